"""Since when a store has known a record: noted once, whatever the record says of itself."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pyarrow as pa

from schemas.tables import CONSENT_RECORDS, FIXED_TABLES
from transforms.consent_intake import SightedRecord
from transforms.records_seen import claims_earlier, first_seen, last_release, sighted_table


def at(day: int) -> datetime:
    return datetime(2026, 3, day, tzinfo=UTC)


def record(number: int, arrived: int | None = 1) -> SightedRecord:
    digest = bytes([number]) * 16
    return SightedRecord(digest, f"p-{number}", at(1), None if arrived is None else at(arrived))


def known(*numbers: int) -> pa.Table:
    field = FIXED_TABLES[CONSENT_RECORDS].field("digest")
    return pa.table([[bytes([number]) * 16 for number in numbers]], schema=pa.schema([field]))


def noted(*records: SightedRecord, earlier: pa.Table | None = None, **more: Any) -> list[dict[str, Any]]:
    table = first_seen(sighted_table(records), earlier or known(), "run-1", at(10), more.get("unseen_by"))
    assert table.schema == FIXED_TABLES[CONSENT_RECORDS]
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_a_record_is_noted_once_with_what_it_says_and_what_is_known() -> None:
    (row,) = noted(record(1), record(1), unseen_by=at(5))
    assert row == {
        "digest": bytes([1]) * 16,
        "record_join": "p-1",
        "event_time": at(1),
        "ingested_at": at(1),
        "status": "unreadable",
        "grantor": "unreadable",
        "fault": None,
        "first_seen": at(10),
        "unseen_by": at(5),
        "run_id": "run-1",
    }


def test_a_record_that_is_known_is_not_noted_again() -> None:
    assert [row["record_join"] for row in noted(record(2), record(1), record(3), earlier=known(1, 3))] == [
        "p-2"
    ]
    assert noted(record(1), earlier=known(1)) == []
    assert noted() == []


def test_the_order_of_records_changes_nothing() -> None:
    some = [record(3), record(1, None), record(2)]
    assert noted(*some) == noted(*some[::-1])


def test_a_record_that_was_not_there_cannot_have_arrived_before() -> None:
    (early, late) = noted(record(1, 4), record(2, 6), unseen_by=at(5))
    assert (claims_earlier(early), claims_earlier(late)) == (True, False)
    assert not claims_earlier(*noted(record(1, 4)))
    assert not claims_earlier(*noted(record(1, None), unseen_by=at(5)))


def test_the_last_release_is_the_latest_before_this_one() -> None:
    def run(kind: str, day: int) -> SimpleNamespace:
        return SimpleNamespace(facts={"kind": kind, "ledger": {"as_of": at(day).isoformat()}})

    runs = [run("release", 3), run("release", 5), run("release", 20), run("erase", 7)]
    snapshot: Any = SimpleNamespace(manifests=[*runs, SimpleNamespace(facts={})])
    assert last_release(snapshot, at(10)) == at(5)
    assert last_release(snapshot, at(5)) == at(5)
    assert last_release(snapshot, at(2)) is None
