"""Rows about a person lose the names of others; rows about others that name the person are reduced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import pyarrow as pa

from schemas.tables import column, telemetry_columns
from transforms.erase_reach import Space
from transforms.erase_search import StoreSearch
from transforms.manifests import FileRecord
from transforms.subject_rows import OwnRows, telemetry_of

TABLE = "telemetry/example"
PERSON = "identifier.pseudonymous"
ME, MY_VISIT, BOB, EVE = "a" * 32, "1" * 32, "b" * 32, "e" * 32
SCHEMA = pa.schema(
    [
        *telemetry_columns(),
        column("host", pa.string(), "Host", classification=PERSON),
        column("visit", pa.string(), "Visit", classification=PERSON),
        column("seen", pa.list_(pa.field("element", pa.string())), "Who was seen", classification=PERSON),
        column("odd", pa.struct([("who", pa.string())]), "Of an unknown form", classification=PERSON),
        column("loss", pa.int64(), "Loss", classification="service.telemetry"),
    ]
)


class Search:
    """One file of telemetry."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        plain = {"event_id": "0" * 32, "event_type": "x", "source": "zoom", "tenant": "t", "meeting": "m"}
        at = datetime(2026, 3, 2, tzinfo=UTC)
        self._rows = pa.Table.from_pylist([{**plain, "event_time": at, **row} for row in rows], schema=SCHEMA)

    def holding(self, table: str, values: object) -> list[FileRecord]:
        return [FileRecord(path=f"{TABLE}/x.parquet", table=TABLE, rows=1, size=1, sha256="")]

    def schema(self, record: FileRecord) -> pa.Schema:
        return SCHEMA

    def rows(self, record: FileRecord, columns: Sequence[str]) -> Iterator[pa.Table]:
        yield self._rows.select(list(columns))


def found(*rows: dict[str, Any]) -> OwnRows:
    space = Space(people=frozenset((ME,)), visits=frozenset((MY_VISIT,)))
    return telemetry_of(cast(StoreSearch, Search(rows)), space)


def own(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    tables = found(*rows).tables
    return tables[TABLE].to_pylist() if tables else []


def test_a_row_about_the_person_is_whole_without_the_names_of_others() -> None:
    given = {"participant": ME, "host": BOB, "seen": [ME, BOB, EVE], "odd": {"who": BOB}, "loss": 7}
    told = found(given)
    (row,) = told.tables[TABLE].to_pylist()
    assert (row["participant"], row["host"], row["seen"], row["odd"], row["loss"]) == (
        ME,
        None,
        [ME],
        None,
        7,
    )
    assert told.blanked == 3
    assert told.mentions == []


def test_a_row_about_somebody_else_is_reduced_to_the_mention() -> None:
    told = found({"participant": BOB, "host": ME, "loss": 7}, {"participant": BOB, "seen": [ME, EVE]})
    assert told.tables == {}
    assert [row["named_as"] for row in told.mentions] == [["host"], ["seen"]]
    assert BOB not in str(told.mentions)
    assert "loss" not in told.mentions[0]


def test_a_row_without_a_participant_is_theirs_if_it_names_nobody_else_or_their_visit() -> None:
    assert len(own({"host": ME})) == 1
    assert len(own({"visit": MY_VISIT, "host": BOB})) == 1
    assert own({"visit": MY_VISIT, "host": BOB})[0]["host"] is None
    assert own({"host": ME, "seen": [BOB]}) == []


def test_rows_that_do_not_name_the_person_are_not_there() -> None:
    told = found({"participant": BOB}, {"seen": [EVE]}, {})
    assert (told.tables, told.mentions) == ({}, [])


def test_a_visit_of_somebody_elses_row_is_a_mention_only() -> None:
    told = found({"participant": BOB, "visit": MY_VISIT})
    assert (told.tables, len(told.mentions)) == ({}, 1)
