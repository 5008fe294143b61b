"""Runs that fail: nothing is committed, the exit code says what failed, and no message holds a value."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from schemas.errors import CofferdamError, InfrastructureFault, PromiseBroken
from tests.pipeline.support import ingest, lines_file
from tests.pipeline.support_events import chat, joined
from tests.pipeline.support_search import Canaries, leaks
from transforms import commit_run, ingest_steps
from transforms.bundle_writer import BundleWriter
from transforms.duplicates import find_duplicates
from transforms.parquet_files import TableWriter
from transforms.pseudonym_spaces import PseudonymSpaces
from transforms.record_digests import RecordDigester
from transforms.separate import Separator
from transforms.splitting import Block
from transforms.store import Store
from transforms.take_blocks import BlockTaker

WORD = Canaries().word()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    lines = [joined(number, WORD) for number in range(20)] + [chat("1", WORD)]
    return lines_file(tmp_path / "in.jsonl", lines)


def nothing_is_committed(store: Path) -> bool:
    state = Store.open(store)
    return state.version == 0 and state.tables() == []


def run(events: Path, store: Path, keys: Path, *more: str) -> Result:
    command = ["run", "--input", str(events), "--store", str(store), "--keys", str(keys / "ingest")]
    return CliRunner().invoke(cli, [*command, *more])


# --- reconciliation -----------------------------------------------------------------------------------------

Take = Callable[..., None]


def losing(block: Block) -> list[Block]:
    return [_picked(block, range(1, len(block.records)))]


def doubling(block: Block) -> list[Block]:
    return [block, _picked(block, [0])]


def losing_one_and_doubling_another(block: Block) -> list[Block]:
    return [_picked(block, [0, *range(len(block.records) - 1)])]


def misplacing(block: Block) -> list[Block]:
    return [Block(block.file, block.offsets + 1, block.records, block.faults)]


def _picked(block: Block, indexes: Any) -> Block:
    at = np.array(list(indexes), dtype=np.int64)
    return Block(block.file, block.offsets[at], [block.records[index] for index in at], block.faults)


@pytest.mark.parametrize("tamper", [losing, doubling, losing_one_and_doubling_another, misplacing])
def test_records_that_are_lost_or_doubled_between_the_passes_fail_the_run(
    tamper: Callable[[Block], list[Block]],
    events: Path,
    tmp_path: Path,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    take = BlockTaker.take

    def tampered(self: BlockTaker, block: Block, *rest: Any) -> None:
        for changed in tamper(block):
            take(self, changed, *rest)

    monkeypatch.setattr(BlockTaker, "take", tampered)
    result = run(events, tmp_path / "S", keys)
    assert result.exit_code == 1
    assert "RUN_DOES_NOT_RECONCILE" in result.stderr
    assert nothing_is_committed(tmp_path / "S")


@pytest.mark.parametrize("table", ["telemetry/zoom_participant", "quarantine/items", "roster", "digests"])
def test_rows_that_are_lost_on_their_way_to_a_file_fail_the_run(
    table: str, events: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = TableWriter.append

    def losing_a_row(self: TableWriter, rows: pa.Table, *rest: Any) -> None:
        append(self, rows.slice(1) if self._table == table else rows, *rest)

    monkeypatch.setattr(TableWriter, "append", losing_a_row)
    with pytest.raises(PromiseBroken, match=f"RUN_DOES_NOT_RECONCILE: {table}: "):
        ingest(events, tmp_path / "S", keys)
    assert nothing_is_committed(tmp_path / "S")


def test_a_bundle_that_is_lost_fails_the_run(
    events: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BundleWriter, "close", lambda self: self.abandon() or [])
    with pytest.raises(PromiseBroken, match="RUN_DOES_NOT_RECONCILE"):
        ingest(events, tmp_path / "S", keys)
    assert nothing_is_committed(tmp_path / "S")


# --- exit codes ---------------------------------------------------------------------------------------------


def test_a_complete_run_ends_with_0_and_prints_its_ledger(events: Path, tmp_path: Path, keys: Path) -> None:
    result = run(events, tmp_path / "S", keys, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["outcomes"] == {"separated": 21}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--input", "nowhere/*.jsonl"], "INPUT_NOT_FOUND"),
        (["--contracts", "nowhere.yaml"], "CONTRACT"),
        (["--runner-that-is-none", "x"], "UNKNOWN_OPTION"),
        (["--source", "teams"], "teams"),
        (["--record-cap", "5"], "record-cap"),
    ],
)
def test_what_cannot_be_used_as_asked_for_ends_with_2(
    more: list[str], code: str, events: Path, tmp_path: Path, keys: Path
) -> None:
    result = run(events, tmp_path / "S", keys, *more)
    assert result.exit_code == 2
    assert code in result.stderr
    assert not (tmp_path / "S").exists()


def test_a_contract_that_is_none_ends_with_2(events: Path, tmp_path: Path, keys: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: DataContract\n")
    result = run(events, tmp_path / "S", keys, "--contracts", str(tmp_path / "bad.yaml"))
    assert (result.exit_code, "CONTRACT_INVALID" in result.stderr) == (2, True)


def test_a_folder_of_other_things_as_store_ends_with_2(events: Path, tmp_path: Path, keys: Path) -> None:
    result = run(events, tmp_path, keys)
    assert (result.exit_code, "STORE_NOT_EMPTY" in result.stderr) == (2, True)


def test_a_file_as_store_ends_with_2(events: Path, tmp_path: Path, keys: Path) -> None:
    (tmp_path / "S").write_text("a file")
    result = run(events, tmp_path / "S", keys)
    assert (result.exit_code, (tmp_path / "S").read_text()) == (2, "a file")


def test_missing_keys_end_with_3(events: Path, tmp_path: Path) -> None:
    result = run(events, tmp_path / "S", tmp_path / "no-keys")
    assert (result.exit_code, "KEY" in result.stderr) == (3, True)
    assert not (tmp_path / "S").exists()


def test_the_release_side_is_no_ingest_side(events: Path, tmp_path: Path, keys: Path) -> None:
    command = ["run", "--input", str(events), "--store", str(tmp_path / "S"), "--keys", str(keys / "release")]
    assert CliRunner().invoke(cli, command).exit_code in (2, 3)


def test_a_store_that_another_run_writes_to_ends_with_3(events: Path, tmp_path: Path, keys: Path) -> None:
    with Store.open_or_create(tmp_path / "S").writing("run-000001"):
        result = run(events, tmp_path / "S", keys)
    assert (result.exit_code, "STORE_LOCKED" in result.stderr) == (3, True)


def test_an_input_that_becomes_shorter_while_it_is_read_ends_with_3(
    events: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = find_duplicates

    def shortening(tables: Any) -> Any:
        events.write_bytes(events.read_bytes()[:100])
        return judge(tables)

    monkeypatch.setattr(ingest_steps, "find_duplicates", shortening)
    result = run(events, tmp_path / "S", keys)
    assert (result.exit_code, "INPUT_CHANGED" in result.stderr) == (3, True)
    assert nothing_is_committed(tmp_path / "S")


@pytest.mark.parametrize(("ratio", "exit_code"), [("0.4", 4), ("0.5", 0), ("0", 4), ("1", 0)])
def test_more_rejects_than_allowed_end_with_4_and_are_committed(
    ratio: str, exit_code: int, tmp_path: Path, keys: Path
) -> None:
    path = lines_file(tmp_path / "in.jsonl", [joined(1), b"no json", b'{"event":"nobody.knows"}', joined(2)])
    result = run(path, tmp_path / "S", keys, "--max-held-ratio", ratio)
    assert result.exit_code == exit_code
    assert Store.open(tmp_path / "S").version == 1


# --- unexpected exceptions ----------------------------------------------------------------------------------


def failing(*_: Any, **__: Any) -> Any:
    """Fails as libraries do: with the value in the text, below another error that has it too."""
    try:
        raise KeyError(WORD)
    except KeyError as error:
        raise pa.ArrowInvalid(f"Could not convert '{WORD}' with type str: tried to convert to int") from error


STEPS: dict[str, tuple[object, str]] = {
    "list": (ingest_steps, "plan_reads"),
    "read": (ingest_steps, "read_blocks"),
    "digest": (RecordDigester, "identities"),
    "read earlier digests": (Store, "tables"),
    "find duplicates": (ingest_steps, "find_duplicates"),
    "set up a worker": (PseudonymSpaces, "__init__"),
    "begin a bundle": (BundleWriter, "__init__"),
    "route": (Separator, "route"),
    "separate": (Separator, "separate"),
    "make pseudonyms": (PseudonymSpaces, "telemetry"),
    "write rows": (TableWriter, "append"),
    "end a bundle": (BundleWriter, "close"),
    "reconcile": (commit_run, "ledger_of"),
    "commit": (Store, "commit"),
}


@pytest.mark.parametrize("step", STEPS)
def test_an_exception_that_holds_a_value_is_reported_without_it(
    step: str,
    events: Path,
    tmp_path: Path,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(*STEPS[step], failing)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InfrastructureFault) as caught:
        ingest(events, tmp_path / "S", keys)
    assert caught.value.code == "STEP_FAILED"
    assert leaks(said(caught.value, capfd, caplog)) == []
    monkeypatch.undo()
    assert nothing_is_committed(tmp_path / "S")


def said(
    error: CofferdamError, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> list[tuple[str, bytes]]:
    """All that a failing run shows: what it prints and logs, and its error with all that hangs on it."""
    printed = capfd.readouterr()
    chain = "".join(traceback.format_exception(error))
    return [
        ("standard output", printed.out.encode()),
        ("standard error", printed.err.encode()),
        ("log", caplog.text.encode()),
        ("traceback", chain.encode()),
    ]


def test_the_command_prints_one_line_for_it_and_ends_with_3(
    events: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Separator, "separate", failing)
    result = run(events, tmp_path / "S", keys)
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: STEP_FAILED: ")
    assert result.stderr.count("\n") == 1
    assert leaks([("what was said", result.output.encode())]) == []
    monkeypatch.undo()
    assert run(events, tmp_path / "S", keys).exit_code == 0, "running again is safe"
