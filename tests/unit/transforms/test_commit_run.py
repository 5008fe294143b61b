"""A run is committed whole or not at all, and only if it adds up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import transforms.commit_run as commit_run_module
from schemas.errors import CofferdamError, InfrastructureFault, PromiseBroken
from schemas.tables import FIXED_TABLES, LEDGER
from tests.unit.transforms.store_samples import BY_DAY, CALLS, CALLS_SCHEMA, SEAL, calls
from transforms.commit_run import RunSettings, commit_run, ledger_table
from transforms.manifests import FileRecord
from transforms.record_digests import RecordSum
from transforms.run_counts import RunCounts
from transforms.separate import DriftKey, Outcome
from transforms.store import Store

RUN = "20260302t100000z-00000001"
READ = RecordSum(3, 7, 9)


def settings(store: Path, run_id: str = RUN) -> RunSettings:
    base = Store.open_or_create(str(store)).snapshot.last_digest
    return RunSettings(
        str(store), run_id, base, "auto", date(2026, 3, 2), contracts=("c@1",), version="1.2.3"
    )


def written(store: Path, run_id: str = RUN) -> list[FileRecord]:
    with Store.open(str(store)).writer(run_id, CALLS, CALLS_SCHEMA, BY_DAY) as writer:
        writer.append(calls([1, 2]))
        return writer.close()


def counts() -> list[RunCounts]:
    """Two bundles that had three records between them."""
    one, two = RunCounts(), RunCounts()
    one.count(("zoom", "a", Outcome.SEPARATED, "-"), 2)
    one.add_sum(Outcome.SEPARATED, RecordSum(2, 3, 4))
    one.rows[CALLS] += 1
    one.drift[DriftKey("zoom", "calls", "payload", "string", "00ff")] += 2
    two.count(("-", "-", Outcome.REJECTED, "NOT_JSON"))
    two.add_sum(Outcome.REJECTED, RecordSum(1, 4, 5))
    two.rows[CALLS] += 1
    two.items["chat"] += 5
    two.misfits["calls", "payload.x"] += 1
    two.dropped["calls", "payload.y"] += 1
    return [one, two]


def read(total: RecordSum = READ) -> list[RunCounts]:
    return [RunCounts(read=total, bytes_read=100)]


def test_a_run_that_adds_up_is_committed_with_its_ledger(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    files = written(tmp_path)
    assert Store.open(str(tmp_path)).tables() == []

    ledger = commit_run(chosen, SEAL, files, counts(), read())

    store = Store.open(str(tmp_path), SEAL)
    assert set(store.tables()) == {CALLS, LEDGER}
    assert store.read_table(CALLS).num_rows == 2
    manifest = store.snapshot.of_run(RUN)
    assert manifest is not None
    assert manifest.facts == {"kind": "ingest", "ledger": ledger}
    assert store.read_table(LEDGER).to_pylist() == ledger_table(sum_of(counts())).to_pylist()


def sum_of(parts: Iterable[RunCounts]) -> RunCounts:
    made = RunCounts()
    for part in parts:
        made.merge(part)
    return made


def test_the_ledger_says_everything_and_is_json(tmp_path: Path) -> None:
    ledger = commit_run(settings(tmp_path), SEAL, written(tmp_path), counts(), read())
    assert json.loads(json.dumps(ledger)) == ledger
    reconciliation = ledger.pop("reconciliation")
    assert reconciliation["findings"] == []
    assert reconciliation["read"] == reconciliation["outcomes"] == {"count": 3, "sum": READ.as_text()}
    assert ledger == {
        "run_id": RUN,
        "received": "2026-03-02",
        "version": "1.2.3",
        "contracts": ["c@1"],
        "bytes_read": 100,
        "records": 3,
        "outcomes": {"rejected": 1, "separated": 2},
        "by_type": [
            {"source": "-", "event_type": "-", "outcome": "rejected", "reason": "NOT_JSON", "records": 1},
            {"source": "zoom", "event_type": "a", "outcome": "separated", "reason": "-", "records": 2},
        ],
        "items": {"chat": 5},
        "rows": {CALLS: 2},
        "drift": [
            {
                "source": "zoom",
                "table": "calls",
                "parent": "payload",
                "json_type": "string",
                "name_digest": "00ff",
                "values": 2,
            }
        ],
        "misfits": [{"table": "calls", "field": "payload.x", "values": 1}],
        "dropped": [{"table": "calls", "field": "payload.y", "values": 1}],
    }


def test_the_ledgers_table_has_nulls_where_there_is_nothing() -> None:
    table = ledger_table(sum_of(counts()))
    assert table.schema == FIXED_TABLES[LEDGER]
    assert [row["source"] for row in table.to_pylist()] == [None, "zoom"]
    assert [(row["outcome"], row["reason"], row["records"]) for row in table.to_pylist()] == [
        ("rejected", "NOT_JSON", 1),
        ("separated", None, 2),
    ]


def test_a_type_that_is_missing_in_some_records_is_told_as_none(tmp_path: Path) -> None:
    one, two = counts()
    one.count(("zoom", None, Outcome.SEPARATED, None), 4)
    one.add_sum(Outcome.SEPARATED, RecordSum(4, 0, 0))
    seen = read(RecordSum(7, 7, 9))
    ledger = commit_run(settings(tmp_path), SEAL, written(tmp_path), [one, two], seen)
    assert [(row["event_type"], row["reason"], row["records"]) for row in ledger["by_type"]] == [
        ("-", "NOT_JSON", 1),
        ("-", "-", 4),
        ("a", "-", 2),
    ]
    rows = Store.open(str(tmp_path)).read_table(LEDGER).to_pylist()
    assert [row["event_type"] for row in rows] == [None, None, "a"]


def lost_file(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    files.clear()


def unexpected_rows(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    made[0].rows["telemetry/other"] += 1


def lost_record(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    made[1].sums.clear()


def lost_bundle(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    made.pop()


def doubled_record(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    made[0].add_sum(Outcome.DUPLICATE, RecordSum(1, 1, 1))


def swapped_record(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    made[0].sums[Outcome.SEPARATED] = RecordSum(2, 3, 5)


def unread_part(files: list[FileRecord], made: list[RunCounts], seen: list[RunCounts]) -> None:
    seen.append(RunCounts(read=RecordSum(1, 1, 1)))


@pytest.mark.parametrize(
    "spoil",
    [lost_file, unexpected_rows, lost_record, lost_bundle, doubled_record, swapped_record, unread_part],
)
def test_a_run_that_does_not_add_up_commits_nothing(
    tmp_path: Path, spoil: Callable[[list[FileRecord], list[RunCounts], list[RunCounts]], None]
) -> None:
    chosen, files, made, seen = settings(tmp_path), written(tmp_path), counts(), read()
    spoil(files, made, seen)
    with pytest.raises(PromiseBroken) as caught:
        commit_run(chosen, SEAL, files, made, seen)
    assert caught.value.code == "RUN_DOES_NOT_RECONCILE"
    assert "Nothing was committed" in caught.value.message
    store = Store.open(str(tmp_path))
    assert (store.tables(), store.version) == ([], 0)


def test_a_store_that_changed_meanwhile_is_not_committed_to(tmp_path: Path) -> None:
    mine, other = settings(tmp_path), settings(tmp_path, "20260302t100000z-00000002")
    commit_run(other, SEAL, written(tmp_path, other.run_id), counts(), read())
    with pytest.raises(InfrastructureFault) as caught:
        commit_run(mine, SEAL, written(tmp_path), counts(), read())
    assert caught.value.code == "STORE_CHANGED"
    store = Store.open(str(tmp_path))
    assert store.snapshot.of_run(RUN) is None
    assert store.read_table(CALLS).num_rows == 2


def test_a_commit_that_is_tried_again_changes_nothing(tmp_path: Path) -> None:
    chosen, files = settings(tmp_path), written(tmp_path)
    first = commit_run(chosen, SEAL, files, counts(), read())
    version = Store.open(str(tmp_path)).version
    assert commit_run(chosen, SEAL, files, counts(), read()) == first
    store = Store.open(str(tmp_path))
    assert store.version == version
    assert store.read_table(LEDGER).num_rows == 2


def test_a_run_of_nothing_is_committed_too(tmp_path: Path) -> None:
    ledger = commit_run(settings(tmp_path), SEAL, [], [], [])
    assert (ledger["records"], ledger["outcomes"]) == (0, {})
    assert Store.open(str(tmp_path)).snapshot.of_run(RUN) is not None


def test_an_error_that_nobody_planned_shows_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any) -> pa.Table:
        raise ValueError("Anna said hunter2")

    monkeypatch.setattr(commit_run_module, "ledger_table", stumble)
    with pytest.raises(CofferdamError) as caught:
        commit_run(settings(tmp_path), SEAL, written(tmp_path), counts(), read())
    assert caught.value.code == "STEP_FAILED"
    assert "Anna" not in str(caught.value)
    assert Store.open(str(tmp_path)).tables() == []
