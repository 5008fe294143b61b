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
                assert told == option.multiple, name


def test_a_launch_becomes_a_command_line() -> None:
    launched = [
        "--input=gs://a-1/x,gs://b-1/y=1",
        "--store=gs://bucket-1/s",
        "--keys=/run/cofferdam/keys/ingest",
        "--record_cap=2048",
        "--runner=DataflowRunner",
        "--temp_location=gs://bucket-1/t",
    ]
    line = command_line(run, launched)
    assert line[: len(FIXED)] == list(FIXED)
    with run.make_context("run", list(line)) as context:
        assert context.params["patterns"] == ("gs://a-1/x", "gs://b-1/y=1")
        assert (context.params["store"], context.params["record_cap"]) == ("gs://bucket-1/s", 2048)
        assert context.params["no_wait"]
        assert context.args == ["--runner=DataflowRunner", "--temp_location=gs://bucket-1/t"]


def test_a_launch_of_a_release_becomes_a_command_line() -> None:
    template = TEMPLATES[1]
    launched = [f"--{name}={values[-1]}" for name, values in template.good.items()]
    line = command_line(release, [*launched, "--runner=DataflowRunner", "--job_name=a,b"])
    with release.make_context("release", list(line)) as context:
        given = context.params
        assert list(map(str, given["consents"])) == template.good["consents"][-1].split(",")
        assert str(given["registry"]) == "gs://bucket-1/registry"
        assert given["purposes"] == ("ai_training", "service_improvement")
        assert given["approvers"] == ("officer-1", "officer-2")
        assert (given["no_wait"], given["allow_test_keys"], given["recipient"]) == (
            True,
            False,
            "third_party",
        )
        assert context.args == ["--runner=DataflowRunner", "--job_name=a,b"]


def test_an_image_of_no_side_launches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main("")
    assert (stopped.value.code, "COFFERDAM_SIDE" in capsys.readouterr().err) == (2, True)


# --- the image ----------------------------------------------------------------------------------------------


def test_the_image_copies_what_is_there_and_is_of_the_pinned_engine() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if re.match(r"COPY (?!--from)", line)]
    assert all((ROOT / source).exists() for sources in copied for source in sources)
    pinned = re.search(r"^apache-beam==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"apache/beam_python3.11_sdk:{pinned[1]}" in text
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= {source for sources in copied for source in sources}


def pins(file: Path) -> dict[str, str]:
    """Versions by name, as a constraints file states them."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    named = (line.split("==") for line in lines)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in named}


def test_the_image_and_the_tests_have_the_same_versions() -> None:
    tested, image = pins(ROOT / "constraints.txt"), pins(DEPLOY / "constraints.txt")
    assert {name: image[name] for name in image.keys() & tested.keys()} == {
        name: tested[name] for name in image.keys() & tested.keys()
    }


@pytest.fixture(scope="module")
def entrypoint() -> ModuleType:
    """The module that the image starts with; it is no part of the package."""
    spec = importlib.util.spec_from_file_location("entrypoint", DEPLOY / "entrypoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("image") / "K"
    create_key_directory(directory, created=date(2026, 3, 2))
    return directory


def packed(folder: Path, prefix: str = "./") -> bytes:
    """A folder as ``tar --create --directory FOLDER .`` packs it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(folder, prefix.rstrip("/") or ".", recursive=False)
        for file in sorted(folder.iterdir()):
            archive.add(file, f"{prefix}{file.name}")
    return buffer.getvalue()


@pytest.mark.parametrize("side", ["ingest", "release"])
def test_the_entry_point_writes_keys_that_load(
    entrypoint: ModuleType, sides: Path, tmp_path: Path, side: str
) -> None:
    folder, load = tmp_path / "run" / side, {"ingest": load_ingest_keys, "release": load_release_keys}[side]
    before = os.umask(0)
    try:
        entrypoint.unpack(packed(sides / side), folder, side)
    finally:
        os.umask(before)
    assert load(folder).key_ids == load(sides / side).key_ids
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("side", "other"), [("ingest", "release"), ("release", "ingest")])
def test_the_other_side_does_not_get_onto_a_worker(
    entrypoint: ModuleType, sides: Path, tmp_path: Path, side: str, other: str
) -> None:
    with pytest.raises(SystemExit, match=f"not the {side} side"):
        entrypoint.unpack(packed(sides / other), tmp_path / side, side)
    assert not (tmp_path / side).exists()


def test_an_image_that_was_built_for_no_side_fetches_nothing(
    entrypoint: ModuleType, sides: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="COFFERDAM_SIDE"):
        entrypoint.unpack(packed(sides / "release"), tmp_path / "keys", "")
    assert tuple(COMMANDS) == entrypoint.SIDES


def test_an_archive_that_leads_elsewhere_is_refused(
    entrypoint: ModuleType, sides: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="something else"):
        entrypoint.unpack(packed(sides / "ingest", "../"), tmp_path / "ingest", "ingest")
    assert not (tmp_path / "ingest").exists()


@pytest.mark.parametrize("name", ["", "projects/p/secrets/s/versions/latest", "s"])
def test_a_secret_is_named_with_its_version(entrypoint: ModuleType, name: str) -> None:
    with pytest.raises(SystemExit, match="with a number"):
        entrypoint.fetch(name, None)


def test_one_version_of_the_secret_is_asked_for(entrypoint: ModuleType) -> None:
    asked = []

    def answer(name: str) -> Any:
        asked.append(name)
        return SimpleNamespace(payload=SimpleNamespace(data=b"bytes"))

    client = SimpleNamespace(access_secret_version=answer)
    assert entrypoint.fetch("projects/p/secrets/s/versions/3", client) == b"bytes"
    assert asked == ["projects/p/secrets/s/versions/3"]


def test_a_source_distribution_builds_installs_and_imports(tmp_path: Path) -> None:
    """What ``--setup_file ./setup.py`` does: build here, install there, with what is there already."""
    quiet: dict[str, Any] = {"check": True, "capture_output": True, "text": True}
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run([*command, "sdist", "--dist-dir", str(tmp_path)], cwd=ROOT, **quiet)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed_source:
        packed_source.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path / "there")]
    subprocess.run(build, cwd=source, **quiet)
    code = (
        "import pipelines.dataflow_template, transforms.ingest_steps, transforms.store_cloud\n"
        "from schemas.contract import load_contracts\n"
        "print(pipelines.__file__, len(load_contracts().contracts) > 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
        **quiet,
    )
    assert ran.stdout.split() == [str(tmp_path / "there" / "pipelines" / "__init__.py"), "True"]


# --- rights -------------------------------------------------------------------------------------------------

KMS = {
    "get_public_key": "cloudkms.cryptoKeyVersions.viewPublicKey",
    "decapsulate": "cloudkms.cryptoKeyVersions.useToDecapsulate",
    "get_crypto_key_version": "cloudkms.cryptoKeyVersions.get",
    "destroy_crypto_key_version": "cloudkms.cryptoKeyVersions.destroy",
}
BIGQUERY = {
    "get_table": {"bigquery.tables.get"},
    "load_table_from_uri": {"bigquery.jobs.create", "bigquery.tables.create", "bigquery.tables.updateData"},
    "update_table": {"bigquery.tables.update"},
    "delete_table": {"bigquery.tables.delete"},
}


def granted(account: str, service: str) -> set[str]:
    """The rights of an account on a service."""
    grants = [permission for grant in ROLES[account]["grants"] for permission in grant["permissions"]]
    return {permission for permission in grants if permission.startswith(f"{service}.")}


def asked_of_client(file: str) -> dict[str, set[str]]:
    """Methods of ``client`` that each function of a module calls."""
    tree = ast.parse((ROOT / file).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {
        function.name: {
            node.func.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "client"
        }
        for function in functions
    }


def test_each_account_has_the_rights_on_keys_that_its_commands_use_and_no_others() -> None:
    asked = asked_of_client("transforms/key_provider_gcp.py")
    used = {name: {KMS[method] for method in methods} for name, methods in asked.items() if methods}
    assert granted("release", "cloudkms") == used.pop("_decapsulated")
    assert granted("rotate", "cloudkms") == used.pop("destroy")
    assert granted("setup", "cloudkms") == used.pop("fetch_public_half")
    assert used == {}
    assert granted("ingest", "cloudkms") == granted("load", "cloudkms") == set()


def test_the_loading_account_has_the_rights_that_loading_uses_and_no_others() -> None:
    asked = asked_of_client("transforms/bigquery_load.py")
    used = set().union(*(BIGQUERY[method] for methods in asked.values() for method in methods))
    assert granted("load", "bigquery") == used
    assert [account for account in ROLES if account != "load" and granted(account, "bigquery")] == []


@pytest.mark.parametrize("side", ["ingest", "release"])
def test_workers_read_the_secret_of_their_side_and_nobody_else_reads_one(side: str) -> None:
    secrets = {
        name: [grant["resource"] for grant in role["grants"] if "secret" in grant["resource"]]
        for name, role in ROLES.items()
    }
    assert secrets.pop(side) == [f"the secret with the {side} side of the keys"]
    assert granted(side, "secretmanager") == {"secretmanager.versions.access"}
    assert [name for name in secrets if granted(name, "secretmanager")] == [
        name for name in secrets if secrets[name]
    ]


def test_what_dataflow_needs_is_given_to_the_accounts_of_workers_alone() -> None:
    predefined = {name: role["predefined"] for name, role in ROLES.items() if role["predefined"]}
    assert predefined.pop("launch") == ["roles/dataflow.developer"]
    assert predefined == {side: ["roles/dataflow.worker"] for side in COMMANDS}


def test_the_page_on_keys_names_the_rights_of_each_account() -> None:
    section = (ROOT / "docs" / "keys.md").read_text().split("## A vault key in Google Cloud KMS")[1]
    told = {
        account: set(re.findall(r"`(cloudkms\.[a-zA-Z.]+)`", line))
        for account, line in re.findall(r"^  \| `(\w+)` \|(.*)$", section, re.MULTILINE)
    }
    assert told == {name: granted(name, "cloudkms") for name in ("ingest", "release", "rotate", "setup")}
    assert not granted("load", "cloudkms") | granted("launch", "cloudkms")


def test_nobody_has_what_the_account_shall_never_have() -> None:
    for account, role in ROLES.items():
        given = {permission for grant in role["grants"] for permission in grant["permissions"]}
        assert not given & set(role["never"]), account
        assert all(re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){2}", permission) for permission in given)
