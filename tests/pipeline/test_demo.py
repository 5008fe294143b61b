"""The demo passes, can be run again, touches nothing of others, and fails when something differs."""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipelines import demo_command
from pipelines.cli import cli
from pipelines.demo_command import FIXTURES, MARK, telemetry_differences
from pipelines.ledger_comparison import ledger_differences
from pipelines.store_search import words_in_clear
from transforms.store import Store

EXPECTED: dict[str, Any] = json.loads((FIXTURES / "expected.json").read_bytes())


def run_demo(output: Path) -> Result:
    return CliRunner().invoke(cli, ["demo", "--output", str(output), "--events", "600"])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    output = tmp_path_factory.mktemp("demo")
    return output, run_demo(output)


def test_the_demo_finds_everything_as_expected_and_names_what_it_wrote(shown: tuple[Path, Result]) -> None:
    output, result = shown
    assert result.exit_code == 0, result.output
    assert "differs" not in result.output
    for name in (
        "keys",
        "events",
        "events/consents",
        "by-hand",
        "store",
        "store/telemetry",
        "store/released",
    ):
        assert (output / name).is_dir()
        assert f"  {output / name} " in result.output.split("Written:")[1]
    for name in ("report.html", "report.json"):
        assert (output / name).stat().st_size > 10_000
        assert f"  {output / name} " in result.output.split("Written:")[1]


def test_each_command_that_the_demo_ends_with_works(shown: tuple[Path, Result]) -> None:
    commands = re.findall(r"\$ cofferdam (.*)", shown[1].output.split("To look further:")[1])
    assert [command.split()[0] for command in commands] == [
        "explain",
        "inspect",
        "tables",
        "report",
        "replay",
    ]
    for command in commands:
        result = CliRunner().invoke(cli, shlex.split(command))
        assert result.exit_code == 0, result.output
        assert len(result.output.splitlines()) >= 3


def test_the_demo_may_run_again_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_command, "STEPS", demo_command.STEPS[:2])
    assert run_demo(tmp_path).exit_code == 0
    (tmp_path / "left-over").write_text("of an earlier demo")
    again = run_demo(tmp_path)
    assert again.exit_code == 0, again.output
    assert not (tmp_path / "left-over").exists()


def test_the_demo_touches_no_folder_of_others(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    result = run_demo(tmp_path)
    assert result.exit_code == 2
    assert "DEMO_FOLDER_IN_USE" in result.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_demo_follows_no_link_out_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, output = tmp_path / "outside", tmp_path / "demo"
    outside.mkdir()
    output.mkdir()
    (outside / "kept").write_text("kept")
    (output / MARK).write_text("")
    (output / "link").symlink_to(outside)
    monkeypatch.setattr(demo_command, "STEPS", ())
    assert run_demo(output).exit_code == 0
    assert (outside / "kept").exists()
    assert not (output / "link").exists()


def test_the_demo_fails_when_an_expectation_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixtures = tmp_path / "fixtures"
    fixtures.mkdir()
    for file in FIXTURES.iterdir():
        (fixtures / file.name).write_bytes(file.read_bytes())
    wrong = {**EXPECTED, "nowhere": ["meeting.started"], "records": 33}
    (fixtures / "expected.json").write_text(json.dumps(wrong))
    monkeypatch.setattr(demo_command, "FIXTURES", fixtures)
    monkeypatch.setattr(demo_command, "STEPS", demo_command.STEPS[:2])
    result = run_demo(tmp_path / "out")
    assert result.exit_code == 1
    assert "records: expected 33, got 32" in result.output
    assert "word 0 stands in" in result.output
    assert "DEMO_DIFFERS" in result.output


def ledger() -> dict[str, Any]:
    return {
        "records": 2,
        "outcomes": {"separated": 1, "rejected": 1},
        "by_type": [
            {"source": "zoom", "event_type": "a", "outcome": "separated", "reason": "-", "records": 1},
            {"source": "-", "event_type": "-", "outcome": "rejected", "reason": "NOT_JSON", "records": 1},
        ],
        "items": {"chat": 1, "rejected": 1},
        "rows": {"telemetry/t": 1, "roster": 1, "quarantine/blobs": 7},
        "drift": [{"table": "t", "values": 3}],
        "misfits": [{"table": "t", "field": "x", "values": 1}],
        "dropped": [],
    }


def expected() -> dict[str, Any]:
    return {
        "records": 2,
        "outcomes": {"separated": 1, "rejected": 1, "duplicate": 0},
        "separated": [{"source": "zoom", "event_type": "a", "records": 1}],
        "reasons": {"NOT_JSON": 1},
        "items": {"chat": 1, "rejected": 1},
        "rows": {"telemetry/t": 1, "roster": 1},
        "unknown_fields": 3,
        "misfits": [{"table": "t", "field": "x", "values": 1}],
        "dropped": [],
    }


def test_a_ledger_that_agrees_shows_no_difference() -> None:
    assert ledger_differences(expected(), ledger()) == []


@pytest.mark.parametrize("part", sorted(expected()))
def test_no_part_of_a_ledger_goes_uncompared(part: str) -> None:
    without = {name: value for name, value in expected().items() if name != part}
    assert ledger_differences(without, ledger()) == [f"{part}: no expectation"]


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("outcomes", {"separated": 2}),
        ("items", {"chat": 1, "audio": 1}),
        ("rows", {"telemetry/t": 1, "telemetry/u": 1}),
        ("drift", []),
        ("dropped", [{"table": "t", "field": "y", "values": 1}]),
        ("by_type", []),
    ],
)
def test_every_part_of_a_ledger_is_compared(part: str, value: Any) -> None:
    changed = copy.deepcopy(ledger())
    changed[part] = value
    assert ledger_differences(expected(), changed)


@pytest.mark.parametrize("value", ["the tender number", {"a": ["the tender number"]}, b"the tender number"])
def test_a_word_is_found_inside_compressed_columns(shown: tuple[Path, Result], value: Any) -> None:
    store = shown[0] / "by-hand"
    leak = store / "telemetry" / "planted.parquet"
    pq.write_table(pa.table({"column": [value] * 50}), leak, compression="zstd")
    try:
        findings = words_in_clear(Store.open(store), ["no such word", "tender number"])
    finally:
        leak.unlink()
    assert any(line.startswith("word 1 stands in telemetry/planted.parquet, column") for line in findings)
    assert not any("word 0" in line for line in findings)


def test_a_word_is_found_in_file_names_and_other_files(shown: tuple[Path, Result]) -> None:
    store = shown[0] / "by-hand"
    leak = store / "tender number.txt"
    leak.write_text("and the pass code")
    try:
        findings = words_in_clear(Store.open(store), ["tender number", "pass code"])
    finally:
        leak.unlink()
    assert findings == ["word 0 stands in a file name", "word 1 stands in tender number.txt"]


def test_values_of_telemetry_are_compared(shown: tuple[Path, Result]) -> None:
    store = Store.open(shown[0] / "by-hand")
    assert telemetry_differences(EXPECTED, store) == []
    wrong = {"telemetry": {"cofferdam_participant": {"network_ip": ["203.0.113.87"], "join_latency": [812]}}}
    assert len(telemetry_differences(wrong, store)) == 1


def test_each_sealed_word_does_stand_in_the_events() -> None:
    events = b"".join(file.read_bytes() for file in FIXTURES.glob("*.jsonl"))
    assert [word for word in EXPECTED["nowhere"] if word.encode() not in events] == []
