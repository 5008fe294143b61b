"""However the input is cut and spread over processes, a run gives the same rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.support import Ledger, comparable, ingest, lines_file
from tests.pipeline.support_events import chat, joined

TWO_PROCESSES = ("--direct_num_workers", "2", "--direct_running_mode", "multi_processing")
TWO_THREADS = ("--direct_num_workers", "2", "--direct_running_mode", "multi_threading")
SAME = (
    "outcomes",
    "by_type",
    "items",
    "drift",
    "misfits",
    "dropped",
    "records",
    "bytes_read",
    "reconciliation",
)
WAYS: dict[str, dict[str, Any]] = {
    "small ranges": {"split_bytes": 4096},
    "two threads": {"beam_arguments": TWO_THREADS, "split_bytes": 4096},
    "two processes": {"beam_arguments": TWO_PROCESSES},
    "two processes and small ranges": {"beam_arguments": TWO_PROCESSES, "split_bytes": 4096},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of several forms: events, duplicates across files, drift, misfits, rejects and a collision."""
    folder = tmp_path_factory.mktemp("in")
    people = [joined(number, f"Person {number}") for number in range(120)]
    talk = [chat(f"{number}", f"hello {number}") for number in range(120)]
    people[7]["payload"]["object"]["participant"]["leave_reason"] = {"unexpected": ["form"]}
    people[9] |= {"surprise": 1, "event_ts": "soon"}
    odd = [b"no json", b'{"event":"nobody.knows"}', b'{"a":1,"a":1}', b"x" * 9000, b"\xff"]
    lines_file(folder / "a.jsonl", [*people, *odd, *talk[:60]])
    lines_file(folder / "b.jsonl", [*talk[40:], *people[100:], chat("7", "another body")])
    (folder / "c.json").write_text(json.dumps([*people[:5], joined(500), chat("500", "in an array")]))
    (folder / "d.jsonl.gz").write_bytes(
        gzip.compress(b"".join(json.dumps(one).encode() + b"\n" for one in talk))
    )
    return folder


@pytest.fixture(scope="module")
def plain(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, keys: Path
) -> tuple[Ledger, dict[str, list[str]]]:
    """The run in one process and whole files."""
    store = tmp_path_factory.mktemp("plain") / "S"
    ledger = ingest(folder, store, keys)
    assert ledger["outcomes"] == {"duplicate": 165, "rejected": 5, "separated": 242, "unknown": 1}
    return ledger, comparable(store, keys)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_same_rows_come_out_however_the_work_is_spread(
    way: str,
    folder: Path,
    plain: tuple[Ledger, dict[str, list[str]]],
    tmp_path: Path,
    keys: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ledger = ingest(folder, tmp_path / "S", keys, **WAYS[way])
    expected, rows = plain
    assert {name: ledger[name] for name in SAME} == {name: expected[name] for name in SAME}
    found = comparable(tmp_path / "S", keys)
    assert found.keys() == rows.keys()
    assert [table for table in rows if found[table] != rows[table]] == []
    assert not [word for word in ("Person", "hello", "example.com") if word in "".join(capfd.readouterr())]
