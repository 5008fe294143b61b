"""Read back what a release wrote and hold it against what was decided, by item and then by decision.

No worker sees more than a shard of items or of decisions. What comes out are counts of findings; the suite
judges them when the release is committed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES, RELEASED
from transforms.collector import collector_paused
from transforms.faults import value_free
from transforms.manifests import FileRecord
from transforms.meeting_joins import concat, groups, unpacked
from transforms.people_joins import tuples
from transforms.release_reading import Keyed
from transforms.release_rules import SINK, ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.witness_releases import WITNESSED_SCHEMA
from transforms.written_rows import ITEM_COLUMNS, decision_findings, item_findings
from validation.decisions import RELEASE
from validation.release_suite import WrittenRelease, total_written

_OF_DECISION: Final = (
    "decision_id",
    "purpose",
    "recipient",
    "kind",
    "records",
    "record_ids",
    "terms",
    "policy_hash",
    "suite_hash",
    "as_of",
)
_OF_ITEM: Final = ("item_id", "decision", "reasons")
_OF_CLASS: Final = [
    "decision_id",
    "decision",
    "purpose",
    "recipient",
    "kind",
    "record_ids",
    "terms",
    "policy_hash",
    "suite_hash",
    "as_of",
]
"""What rows are compared with, of the decisions that they name."""

NOTHING: Final = "{}"
_PLACED: Final = pa.schema([("item_id", pa.string()), ("decision_id", pa.string())])
_FOUND: Final = pa.schema(
    [
        *(FIXED_TABLES[RELEASED].field(name) for name in _OF_DECISION),
        pa.field("found", pa.string()),
        pa.field("rows", pa.int64()),
    ]
)
"""Rows that are alike in all that their decision says, and what was found about them as items."""

_ROWS_AT_ONCE: Final = 2048
"""Written rows that are looked at together: each may name many records."""


@dataclass
class JudgeWritten(beam.PTransform[Any, Any]):
    """What was written, in the words of the second suite."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """released, logs: FileRecord; people: as `WITNESSED_SCHEMA`, packed -> WrittenRelease."""
        digits = self.settings.digits
        written = inputs["released"] | "Written" >> beam.FlatMap(_read_written, self.settings)
        decided = inputs["logs"] | "DecidedItems" >> beam.FlatMap(_read_decided, self.settings)
        people = inputs["people"] | "PeopleShards" >> beam.FlatMap(_people_shards, digits)
        classes = inputs["logs"] | "Decisions" >> beam.FlatMap(_read_classes, self.settings)
        found = (
            {"written": written, "decided": decided, "people": people}
            | "ByItem" >> beam.CoGroupByKey()
            | "JudgeItems" >> beam.FlatMap(_judge_items, digits)
        )
        return (
            {"found": found, "classes": classes}
            | "ByDecision" >> beam.CoGroupByKey()
            | "JudgeDecisions" >> beam.Map(_judge_decisions, self.rules)
            | "Total" >> beam.CombineGlobally(total_written)
        )


def _shards(table: pa.Table, column: str, digits: int) -> Iterator[Keyed]:
    """A table cut by the first digits of an id; rows without one are a shard of their own."""
    yield from groups(table, pc.fill_null(pc.utf8_slice_codeunits(table.column(column), 0, digits), ""))


def _batches(record: FileRecord, settings: ReleaseSettings, columns: list[str] | None) -> Iterator[pa.Table]:
    for batch in settings.opened().scan(record.table, columns, records=[record]):
        yield pa.Table.from_batches([batch])


def _read_written(record: FileRecord, settings: ReleaseSettings) -> Iterator[Keyed]:
    with value_free("read back"):
        for rows in (
            _batches(record, settings, [*_OF_ITEM, *_OF_DECISION]) if record.table == RELEASED else ()
        ):
            yield from _shards(rows, "item_id", settings.digits)


def _let_go(rows: pa.Table) -> pa.Table:
    is_first = pc.not_equal(rows.column("stage"), SINK)
    return rows.filter(pc.and_(pc.equal(rows.column("decision"), RELEASE), is_first))


def _read_decided(record: FileRecord, settings: ReleaseSettings) -> Iterator[Keyed]:
    with value_free("read decisions"):
        columns = [*_PLACED.names, "decision", "stage"]
        for rows in _batches(record, settings, columns) if record.table == DECISION_ITEMS else ():
            yield from _shards(_let_go(rows).select(_PLACED.names), "item_id", settings.digits)


def _read_classes(record: FileRecord, settings: ReleaseSettings) -> Iterator[Keyed]:
    with value_free("read decisions"):
        columns = [*_OF_CLASS, "stage"]
        for rows in _batches(record, settings, columns) if record.table == DECISION_CLASSES else ():
            yield from _shards(_let_go(rows).select(_OF_CLASS), "decision_id", settings.digits)


def _people_shards(content: bytes, digits: int) -> Iterator[Keyed]:
    with value_free("spread"):
        yield from _shards(unpacked(content), "item_id", digits)


def _judge_items(keyed: tuple[str, Mapping[str, Iterable[bytes]]], digits: int) -> Iterator[Keyed]:
    with value_free("judge items"), collector_paused():
        parts = keyed[1]
        decided: dict[str, set[str]] = defaultdict(set)
        for item, decision in tuples(concat(parts["decided"], _PLACED)):
            decided[item].add(decision)
        people = {
            (item, purpose): word for item, purpose, word in tuples(concat(parts["people"], WITNESSED_SCHEMA))
        }
        seen: set[tuple[str, str]] = set()
        found = [_found(rows, decided, people, seen) for rows in _pieces(parts["written"])]
        shards = list(_shards(pa.concat_tables(found), "decision_id", digits)) if found else []
    yield from shards


def _pieces(contents: Iterable[bytes]) -> Iterator[pa.Table]:
    for content in contents:
        table = unpacked(content)
        for start in range(0, table.num_rows, _ROWS_AT_ONCE):
            yield table.slice(start, _ROWS_AT_ONCE).combine_chunks()


def _found(
    written: pa.Table,
    decided: Mapping[str, set[str]],
    people: Mapping[tuple[str, str], str],
    seen: set[tuple[str, str]],
) -> pa.Table:
    """Written rows that are alike in what their decision says and in what was found, once each."""
    plain = written.select(ITEM_COLUMNS)
    words = [
        json.dumps(found, sort_keys=True) if found else NOTHING
        for row in tuples(plain)
        for found in (item_findings(dict(zip(ITEM_COLUMNS, row, strict=True)), decided, people, seen),)
    ]
    first: dict[tuple[Any, ...], int] = {}
    rows: Counter[tuple[Any, ...]] = Counter()
    said = (_codes(written.column(name).combine_chunks()) for name in _OF_DECISION)
    for place, key in enumerate(zip(*said, words, strict=True)):
        rows[key] += 1
        first.setdefault(key, place)
    alike = written.select(list(_OF_DECISION)).take(pa.array(first.values(), pa.int64()))
    named = alike.append_column("found", pa.array([key[-1] for key in first], pa.string()))
    return named.append_column("rows", pa.array([rows[key] for key in first], pa.int64())).cast(_FOUND)


def _codes(values: pa.Array) -> Sequence[Hashable]:
    """Something for each value that is equal for equal values, without a Python object for what is in it."""
    if not pa.types.is_list(values.type):
        return _numbers(values)
    within = np.asarray(_numbers(values.flatten()), dtype=np.int32)
    ends = np.cumsum(pc.fill_null(pc.list_value_length(values), 0).to_numpy()).tolist()
    known = values.is_valid().to_pylist()
    starts = [0, *ends[:-1]]
    return [
        within[start:end].tobytes() if is_there else None
        for start, end, is_there in zip(starts, ends, known, strict=True)
    ]


def _numbers(values: pa.Array) -> list[int]:
    numbers: list[int] = values.dictionary_encode().indices.fill_null(-1).to_pylist()
    return numbers


def _rows(contents: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for piece in _pieces(contents):
        yield from piece.to_pylist()


def _judge_decisions(keyed: tuple[str, Mapping[str, Iterable[bytes]]], rules: ReleaseRules) -> WrittenRelease:
    with value_free("judge decisions"), collector_paused():
        classes = {row["decision_id"]: row for row in _rows(keyed[1]["classes"])}
        written = WrittenRelease()
        for row in _rows(keyed[1]["found"]):
            found = {**json.loads(row["found"]), **decision_findings(row, classes, rules)}
            written.add(found, row["rows"])
        return written
