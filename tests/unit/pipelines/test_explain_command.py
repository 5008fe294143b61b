"""``cofferdam explain``: the line that says how many decisions a reason led, and which items are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.explain_command import _led, explain
from validation.reasons import CATALOGUE
from validation.reject_reasons import REJECT_REASONS

ARCHITECTURE = Path(__file__).parents[3] / "docs" / "architecture.md"


@pytest.mark.parametrize(
    ("count", "named", "said"),
    [
        (0, 0, "it led 0 decisions of the last release"),
        (1, 1, "it led 1 decision of the last release, about:"),
        (2, 2, "it led 2 decisions of the last release, about:"),
        (1200, 5, "it led 1,200 decisions of the last release, the first 5 about:"),
    ],
)
def test_it_says_that_more_were_led_than_are_named(count: int, named: int, said: str) -> None:
    assert _led(count, named) == said


def test_every_reason_that_a_run_gives_is_explained_and_no_other() -> None:
    section = ARCHITECTURE.read_text().split("### Records that are sealed whole")[1].split("###")[0]
    assert set(re.findall(r"^\| `([A-Z0-9_]+)` \|", section, re.MULTILINE)) == set(REJECT_REASONS)
    assert not set(REJECT_REASONS) & set(CATALOGUE)


@pytest.mark.parametrize("code", REJECT_REASONS)
def test_a_reason_of_a_run_says_what_would_help(code: str) -> None:
    shown = CliRunner().invoke(explain, [code.lower()])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"{code} (a record that is sealed whole)\n")
    assert REJECT_REASONS[code].cure in shown.output
    document = json.loads(CliRunner().invoke(explain, [code, "--json"]).output)
    assert document == {
        "code": code,
        "sentence": REJECT_REASONS[code].sentence,
        "cure": REJECT_REASONS[code].cure,
    }


def test_all_codes_are_listed() -> None:
    listed = CliRunner().invoke(explain, []).output
    assert [code for code in [*CATALOGUE, *REJECT_REASONS] if f"\n{code}: " not in f"\n{listed}"] == []


@pytest.mark.parametrize(("typed", "meant"), [("WITHDRAWEN", "WITHDRAWN"), ("not_jason", "NOT_JSON")])
def test_a_misspelt_code_is_answered_with_the_one_that_is_meant(typed: str, meant: str) -> None:
    refused = CliRunner().invoke(explain, [typed])
    assert (refused.exit_code, f"did you mean {meant}?" in refused.output) == (2, True)
    assert "did you mean" not in CliRunner().invoke(explain, ["xyz"]).output
