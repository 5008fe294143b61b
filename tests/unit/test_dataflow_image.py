"""What is in deploy/dataflow: the template's parameters, the image, its entry point, the accounts' rights."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click
import pytest
import yaml

from pipelines.dataflow_template import COMMANDS, FIXED, command_line, main
from pipelines.release_command import release
from pipelines.run_command import run
from transforms.keys import create_key_directory, load_ingest_keys, load_release_keys

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "dataflow"
ROLES = yaml.safe_load((DEPLOY / "roles.yaml").read_text())


@dataclass(frozen=True)
class Template:
    """A flex template: the image's side of the keys, what it launches, and values to try."""

    side: str
    good: dict[str, list[str]]
    bad: dict[str, list[str]]

    @property
    def command(self) -> click.Command:
        return COMMANDS[self.side]

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        metadata = json.loads((DEPLOY / f"{self.side}.json").read_text())
        return {entry["name"]: entry for entry in metadata["parameters"]}

    @property
    def options(self) -> dict[str, click.Option]:
        """Options by flag, spelt as parameters are."""
        options = [one for one in self.command.params if isinstance(one, click.Option)]
        return {flag.lstrip("-").replace("-", "_"): one for one in options for flag in one.opts}

    def fits(self, name: str, value: str) -> bool:
        """Whether a value fits all of a parameter's patterns, as the service compares them."""
        return all(re.fullmatch(pattern, value) for pattern in self.parameters[name]["regexes"])


STORES = ["gs://bucket-1/stores/first", "gs://bucket-1"]
NO_STORES = ["", "/local", "gs://bucket-1/a b", "gs://B/x", "gs://bucket-1/../x/ "]
TEMPLATES = (
    Template(
        "ingest",
        good={
            "input": ["gs://bucket-1/events/*.jsonl", "gs://a-1/x,gs://b-1/y.gz"],
            "store": STORES,
            "keys": ["/run/cofferdam/keys/ingest"],
            "source": ["auto", "zoom", "zoom_rtms", "cofferdam"],
            "record_cap": ["1024", "16777216"],
            "split_bytes": ["4096", "67108864"],
            "digest_days": ["1", "30"],
            "max_held_ratio": ["0", "0.05", "1"],
        },
        bad={
            "input": ["", "events", "gs://a,b", "s3://a/b"],
            "store": NO_STORES,
            "keys": ["", "keys/ingest", "/run/keys/release", "gs://bucket-1/keys/ingest"],
            "source": ["", "teams", "zoom,auto"],
            "record_cap": ["", "0", "-1", "1e6", "512"],
            "split_bytes": ["", "10", "64M"],
            "digest_days": ["0", "-3", "many"],
            "max_held_ratio": ["nan", "1.5", "-0.1", "inf"],
        },
    ),
    Template(
        "release",
        good={
            "store": STORES,
            "keys": ["/run/cofferdam/keys/release"],
            "consents": ["gs://bucket-1/consents", "gs://a-1/x.jsonl,gs://b-1/y/z.parquet"],
            "registry": ["gs://bucket-1/registry"],
            "purpose": ["ai_training", "ai_training,service_improvement"],
            "recipient": ["first_party", "processor", "third_party"],
            "as_of": ["2026-03-10T00:00:00Z", "2026-03-10T01:00:00.5+01:00"],
            "case_id": ["case-7"],
            "approver": ["officer-1", "officer-1,officer-2"],
            "export_to": ["us"],
            "transfer_mechanism": ["adequacy"],
            "registry_signer": ["9vU0dyDmBCw6xuBtNIWWc7dU_uO8XCDJsmh-JvEPT9S"],
        },
        bad={
            "store": NO_STORES,
            "keys": ["", "keys/release", "/run/keys/ingest", "gs://bucket-1/keys/release"],
            "consents": ["", "consents", "gs://bucket-1", "gs://bucket-1/c/*.jsonl", "gs://a-1/x,local"],
            "registry": ["", "registry", "gs://bucket-1", "gs://a-1/x,gs://b-1/y"],
            "purpose": ["", "ai training", "a,"],
            "recipient": ["", "anybody", "first_party,processor"],
            "as_of": ["", "now", "2026-03-10", "2026-03-10T00:00:00"],
            "case_id": ["", "a,b"],
            "approver": ["", ",", "a,,b"],
            "export_to": ["", "us,eu"],
            "transfer_mechanism": ["", "a,b"],
            "registry_signer": ["", "short"],
        },
    ),
)
PARAMETERS = [
    pytest.param(one, name, id=f"{one.side}-{name}") for one in TEMPLATES for name in one.parameters
]
by_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.side)
by_parameter = pytest.mark.parametrize(("template", "name"), PARAMETERS)


# --- the templates ------------------------------------------------------------------------------------------


def test_every_image_has_its_template() -> None:
    assert {one.side for one in TEMPLATES} == set(COMMANDS) == {file.stem for file in DEPLOY.glob("*.json")}


@by_template
def test_every_parameter_is_an_option_of_the_command(template: Template) -> None:
    assert set(template.parameters) <= set(template.options)


@by_template
def test_every_required_option_is_a_required_parameter_and_no_other(template: Template) -> None:
    required = {flag for flag, option in template.options.items() if option.required}
    assert {name for name, entry in template.parameters.items() if not entry["isOptional"]} == required


@by_template
def test_parameters_are_named_as_the_service_allows(template: Template) -> None:
    parameters = template.parameters
    assert all(re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) for name in parameters)
    assert all(entry["label"] and len(entry["helpText"]) > 20 for entry in parameters.values())


@by_parameter
def test_patterns_let_the_command_s_values_through_and_no_others(template: Template, name: str) -> None:
    assert [value for value in template.good[name] if not template.fits(name, value)] == []
    assert [value for value in template.bad[name] if template.fits(name, value)] == []


@by_parameter
def test_what_a_pattern_lets_through_the_option_takes(template: Template, name: str) -> None:
    option = template.options[name]
    context = click.Context(template.command)
    for value in template.good[name]:
        for each in value.split(",") if option.multiple else [value]:
            option.type.convert(each, option, context)


@by_parameter
def test_a_choice_and_its_pattern_name_the_same(template: Template, name: str) -> None:
    kind = template.options[name].type
    if isinstance(kind, click.Choice):
        (pattern,) = template.parameters[name]["regexes"]
        assert set(pattern.strip("^$()").split("|")) == set(kind.choices)


def test_what_may_be_given_once_takes_no_list_and_the_rest_do() -> None:
    for template in TEMPLATES:
        for name, option in template.options.items():
            if name in template.parameters:
                told = "separated by commas" in template.parameters[name]["helpText"]
                assert told == {name: granted(name, "cloudkms") for name in ("ingest", "release", "rotate", "setup")}
    assert not granted("load", "cloudkms") | granted("launch", "cloudkms")


def test_nobody_has_what_the_account_shall_never_have() -> None:
    for account, role in ROLES.items():
        given = {permission for grant in role["grants"] for permission in grant["permissions"]}
        assert not given & set(role["never"]), account
        assert all(re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){2}", permission) for permission in given)
