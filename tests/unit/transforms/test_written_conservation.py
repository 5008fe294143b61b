"""Ledgers and manifests that do not add up are told apart from those that do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.tables import FIXED_TABLES, LEDGER, QUARANTINE_ITEMS, RELEASED
from transforms.manifests import FileRecord, Manifest
from transforms.store import Store
from transforms.store_files import open_files
from transforms.written_conservation import conservation_words

CALLS = "telemetry/calls"
INGEST: dict[str, Any] = {
    "records": 5,
    "outcomes": {"separated": 4, "rejected": 1},
    "by_type": [{"records": 4}, {"records": 1}],
    "reconciliation": {"read": {"count": 5, "sum": "a"}, "outcomes": {"count": 5, "sum": "a"}},
    "rows": {CALLS: 4, QUARANTINE_ITEMS: 2, "quarantine/rejected": 1},
    "items": {"chat": 2, "identity": 3, "rejected": 1},
}
RELEASE: dict[str, Any] = {
    "items": 2,
    "purposes": ["a"],
    "outcomes": {"RELEASE": 1, "QUARANTINE": 1},
    "released": 1,
}
ERASURE: dict[str, Any] = {"rows": {CALLS: {"gone": 1, "changed": 2, "of": 4}}}


def file(table: str, rows: int, name: str = "a") -> FileRecord:
    return FileRecord(f"{table}/{name}.parquet", table, rows, 1, "")


def manifest(
    number: int, kind: str, ledger: dict[str, Any], adds: list[FileRecord], *removes: str
) -> Manifest:
    facts = {"kind": kind, "ledger": copy.deepcopy(ledger)}
    return Manifest(1, number, "", f"run-{number:03d}", tuple(adds), removes, facts)


def history() -> list[Manifest]:
    written = [file(CALLS, 4), file(QUARANTINE_ITEMS, 2), file("quarantine/rejected", 1), file(LEDGER, 2)]
    return [
        manifest(1, "ingest", INGEST, written),
        manifest(2, "release", RELEASE, [file(RELEASED, 1)]),
        manifest(3, "erasure", ERASURE, [file(CALLS, 3, "b")], f"{CALLS}/a.parquet"),
        manifest(4, "rotation", {}, []),
    ]


def differing(folder: Path, runs: list[Manifest]) -> dict[tuple[str, str], int]:
    """Comparisons that came out wrong, and how often."""
    (folder / LEDGER).mkdir(exist_ok=True)
    rows = [dict.fromkeys(FIXED_TABLES[LEDGER].names) | {"records": number} for number in (4, 1)]
    pq.write_table(pa.Table.from_pylist(rows, FIXED_TABLES[LEDGER]), folder / LEDGER / "a.parquet")
    files = open_files(folder)
    store = cast(Store, SimpleNamespace(snapshot=SimpleNamespace(manifests=runs), files_of_store=files))
    found = {(table, what): words for table, what, words in conservation_words(store)}
    assert len(found) == 12
    return {key: words["differs"] for key, words in found.items() if words.get("differs")}


def test_what_adds_up_is_equal(tmp_path: Path) -> None:
    assert differing(tmp_path, history()) == {}


def put(number: int, *path: str, value: Any) -> Callable[[list[Manifest]], None]:
    def change(runs: list[Manifest]) -> None:
        place = runs[number].facts["ledger"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


CHANGES = [
    (put(0, "outcomes", "separated", value=3), (LEDGER, "records and outcomes")),
    (put(0, "by_type", value=[{"records": 4}]), (LEDGER, "records and event types")),
    (put(0, "reconciliation", "read", "sum", value="b"), (LEDGER, "what was read and what was committed")),
    (put(0, "rows", CALLS, value=5), (CALLS, "rows of the run")),
    (put(0, "items", "chat", value=1), (QUARANTINE_ITEMS, "items and rows")),
    (put(0, "items", "rejected", value=2), ("quarantine/rejected", "records that are held and rows")),
    (put(0, "records", value=6), (LEDGER, "records and rows")),
    (put(1, "released", value=2), (RELEASED, "rows of the release")),
    (put(1, "outcomes", "QUARANTINE", value=0), (QUARANTINE_ITEMS, "decisions")),
    (put(2, "rows", CALLS, value={"gone": 2}), (CALLS, "rows that an erasure took")),
]


@pytest.mark.parametrize(("change", "found"), CHANGES, ids=[f"{each[1][0]} {each[1][1]}" for each in CHANGES])
def test_what_does_not_add_up_is_named(
    change: Callable[[list[Manifest]], None], found: tuple[str, str], tmp_path: Path
) -> None:
    runs = history()
    change(runs)
    assert found in differing(tmp_path, runs)


def test_a_ledger_that_cannot_be_read_does_not_add_up(tmp_path: Path) -> None:
    runs = history()
    runs[0] = manifest(1, "ingest", INGEST, [*runs[0].adds[:3], file(LEDGER, 2, "gone")])
    assert differing(tmp_path, runs) == {(LEDGER, "records and rows"): 1}
