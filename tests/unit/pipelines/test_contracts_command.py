"""`cofferdam contracts`, from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from pipelines import contracts_command
from pipelines.contracts_command import contracts
from tests.unit.schemas.contract_samples import HEADER, LAST_LINE, with_field, written


def call(*arguments: object) -> Result:
    return CliRunner().invoke(contracts, [str(argument) for argument in arguments])


BAD = "{name: note, logicalType: string, classification: metadata}"


def test_lint_prints_file_line_field_and_advice(tmp_path: Path) -> None:
    path = written(tmp_path, with_field(BAD))
    result = call("lint", path)
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{path}:{LAST_LINE + 1}: call_quality.note: FREE_TEXT: ")
    assert "1 problem" in result.stderr


def test_lint_prints_json(tmp_path: Path) -> None:
    result = call("lint", written(tmp_path, with_field(BAD)), "--json")
    (problem,) = json.loads(result.stdout)["problems"]
    assert result.exit_code == 2
    assert (problem["line"], problem["code"]) == (LAST_LINE + 1, "FREE_TEXT")


def test_lint_takes_a_folder_of_sound_contracts(tmp_path: Path) -> None:
    written(tmp_path, HEADER)
    result = call("lint", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "1 file, no problems\n")


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    result = call("lint", tmp_path / "gone.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: NO_CONTRACTS")


def _sample(folder: Path) -> Path:
    path = folder / "events.jsonl"
    path.write_text('{"type": "call.ended", "note": "canary"}\n{"type": "Anna Smith"}\nnot json canary\n')
    return path


def test_draft_writes_a_file_that_lints(tmp_path: Path) -> None:
    output = tmp_path / "draft.yaml"
    arguments = ("--source", "cofferdam", "--family", "call", "--type-at", "type", "--output", output)
    result = call("draft", _sample(tmp_path), *arguments)
    assert result.exit_code == 0, result.stderr
    assert "1 event of 1 type; 1 record skipped" in result.stderr
    assert call("lint", output).exit_code == 0
    assert "canary" not in output.read_text() + result.output


def test_draft_never_overwrites(tmp_path: Path) -> None:
    output = written(tmp_path, "mine")
    result = call("draft", _sample(tmp_path), "--source", "zoom", "--family", "x", "--output", output)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: OUTPUT_EXISTS")
    assert output.read_text() == "mine"


def test_draft_prints_to_standard_output(tmp_path: Path) -> None:
    result = call("draft", _sample(tmp_path), "--source", "zoom", "--family", "x", "--type-at", "type")
    assert "- {name: note, logicalType: string, classification: content.unclassified}" in result.stdout


def test_show_prints_plain_columns_off_a_terminal(tmp_path: Path) -> None:
    result = call("show", written(tmp_path, HEADER))
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("jitter")]
    assert re.split(" {2,}", line)[:4] == ["jitter", "service", "service.telemetry", "keep"]
    assert re.split(" {2,}", line)[4:] == ["ms", "0 to 60000", "call_quality.jitter"]


def test_show_draws_brackets_and_colours_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = "{name: ok, logicalType: boolean, classification: service.telemetry}"
    array = f"{{name: legs, logicalType: array, items: {{logicalType: object, properties: [{leaf}]}}}}"
    monkeypatch.setattr(contracts_command, "Console", lambda **_: Console(force_terminal=True, width=200))
    result = call("show", written(tmp_path, with_field(array)))
    assert "legs[].ok" in result.stdout
    assert "\x1b[" in CliRunner().invoke(contracts, ["show", str(tmp_path / "call.yaml")], color=True).stdout


def test_show_prints_json_and_markdown(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER)
    (table,) = json.loads(call("show", path, "--format", "json").stdout)
    assert (table["table"], len(table["fields"])) == ("call_quality", 8)
    assert (
        "| topic | content | content.meeting_title | seal |"
        in call("show", path, "--format", "markdown").stdout
    )


@pytest.mark.parametrize("option", [("--source", "zoom"), ("--table", "gone")])
def test_show_says_when_nothing_fits(tmp_path: Path, option: tuple[str, str]) -> None:
    result = call("show", written(tmp_path, HEADER), *option)
    assert (result.exit_code, result.stderr.split(":")[1]) == (2, " NO_SUCH_TABLE")


def test_show_refuses_a_contract_that_cannot_be_loaded(tmp_path: Path) -> None:
    result = call("show", written(tmp_path, with_field(BAD)))
    assert result.exit_code == 2
    assert "CONTRACT_INVALID" in result.stderr


def _pair(folder: Path, before: str, after: str) -> tuple[Path, Path]:
    new = HEADER.replace("version: 1.0.0", "version: 1.1.0").replace(before, after)
    return written(folder, HEADER, "old.yaml"), written(folder, new, "new.yaml")


def test_diff_of_a_widened_set_is_compatible(tmp_path: Path) -> None:
    result = call("diff", *_pair(tmp_path, "[opus, vp9]", "[opus, vp9, av1]"))
    assert result.exit_code == 0
    assert "BOUNDS_WIDENED" in result.stdout
    assert result.stdout.endswith("compatible, 1 change\n")


def test_diff_fails_on_a_changed_unit(tmp_path: Path) -> None:
    result = call("diff", *_pair(tmp_path, "value: ms}", "value: s}"))
    assert result.exit_code == 1
    assert "INCOMPATIBLE, 1 change" in result.stdout


def test_diff_flags_what_leaves_the_sealed_side(tmp_path: Path) -> None:
    kept = "service.usage, customProperties: [{property: values, value: [a]}]"
    old, new = _pair(tmp_path, "content.meeting_title", kept)
    result = call("diff", old, new)
    assert result.exit_code == 1
    assert "1 field LOOSENED: see the first rows" in result.stdout
    assert json.loads(call("diff", old, new, "--json").stdout)["loosened"] is True


@pytest.mark.parametrize("name", ["", "lint", "draft", "show", "diff"])
def test_help_teaches(name: str) -> None:
    result = call(*filter(None, [name]), "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 10


def test_the_commands_are_those_of_the_group() -> None:
    assert isinstance(contracts, click.Group)
    assert set(contracts.commands) == {"lint", "draft", "show", "diff"}
