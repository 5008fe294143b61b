"""Files written anew when something was taken in again: without what was retired, with what was completed.

A file takes the place of the one that it was made from, in the same folder and row for row, but for rows of
data keys that are retired. Each function that changes rows is a plain one on a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import (
    CHILD_POSITION,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
    UNREADABLE,
)
from transforms.erase_commit import SameFolder
from transforms.erase_reach import is_in
from transforms.erase_search import folder_of
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter
from transforms.reprocess_effects import merged_flag
from transforms.reprocess_lookup import StoreLookup
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA

SEALED_TABLES: Final = (QUARANTINE_ITEMS, QUARANTINE_BLOBS, QUARANTINE_REJECTED)
Change = Callable[[pa.Table], pa.Table]


@dataclass
class Completion:
    """What is completed, event by event.

    Attributes:
        telemetry: Values by table.
        schemas: The columns of these tables, as the contracts have them.
        labels: The contract that each table's values come from.
        roster: Values for the rows of the roster, by event.
        claims: Columns of the rows of all items of an event, by event.
        folders: The folder by day of each of these events.
    """

    telemetry: dict[str, list[pa.Table]] = field(default_factory=dict)
    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    roster: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def add_telemetry(self, table: str, schema: pa.Schema, label: str, rows: list[dict[str, Any]]) -> None:
        """Add values for rows of a table."""
        named = [name for name in schema.names if any(name in row for row in rows)]
        columns = pa.schema([schema.field(name) for name in named])
        self.telemetry.setdefault(table, []).append(pa.Table.from_pylist(rows, schema=columns))
        self.schemas[table], self.labels[table] = schema, label


class Rewriter:
    """Writes files of a store anew.

    Args:
        lookup: The store.
        run_id: The run.
    """

    def __init__(self, lookup: StoreLookup, run_id: str) -> None:
        self._lookup, self._store, self._run_id = lookup, lookup.store, run_id
        self.adds: list[FileRecord] = []
        self.removes: list[str] = []
        self.gone: Counter[str] = Counter()
        self.completed = 0
        self.bundles = 0

    def retire(self, keys: frozenset[bytes], completion: Completion) -> None:
        """Take data keys away, with everything under them; complete the other items of their events."""
        for table in SEALED_TABLES:
            for record in self._store.files(table):
                goes = self._holds(record, "key_id", keys)
                told = table == QUARANTINE_ITEMS and self._holds(record, "event_id", completion.claims.keys())
                if goes or told:
                    self._rewrite(record, partial(_kept, table, keys, completion.claims))
        self._retire_keys(keys)

    def complete(self, completion: Completion) -> None:
        """Complete rows of telemetry and rosters."""
        for table, parts in completion.telemetry.items():
            self._complete_table(table, _joined(parts), completion)
        events = {event: completion.folders[event] for event in completion.roster}
        for record in self._lookup.files(ROSTER, events.values()):
            if self._holds(record, "event_id", events.keys()):
                self._rewrite(record, lambda rows: with_presence(rows, completion.roster))

    def _complete_table(self, table: str, values: pa.Table, completion: Completion) -> None:
        events = {event: completion.folders[event] for event in values.column("event_id").to_pylist()}
        for record in self._lookup.files(table, events.values()):
            if not self._holds(record, "event_id", events.keys()):
                continue
            schema = _widened(completion.schemas[table], self._lookup.schema(record))

            def change(rows: pa.Table, schema: pa.Schema = schema) -> pa.Table:
                found, number = with_values(rows, values, schema, completion.labels[table])
                self.completed += number
                return found

            self._rewrite(record, change, schema)

    def _retire_keys(self, keys: frozenset[bytes]) -> None:
        """Take rows of data keys away, and of bundle keys that nothing is under any more."""
        left: Counter[bytes] = Counter()
        freed: set[bytes] = set()
        for batch in (
            self._store.scan(QUARANTINE_KEYS, ["key_id", "covers", "wrapping_key_id"]) if keys else ()
        ):
            is_data = pc.equal(batch.column("covers"), COVERS_DATA).to_numpy(zero_copy_only=False)
            goes = is_in(batch.column("key_id"), keys) & is_data
            wrapping = batch.column("wrapping_key_id")
            freed.update(wrapping.filter(pa.array(goes)).to_pylist())
            left.update(wrapping.filter(pa.array(is_data & ~goes)).to_pylist())
        bundles = frozenset(each for each in freed if not left[each])
        self.bundles = len(bundles)
        for record in self._store.files(QUARANTINE_KEYS) if keys else ():
            if self._holds(record, "key_id", keys | bundles):
                self._rewrite(record, lambda rows: without_keys(rows, keys, bundles))

    def _holds(self, record: FileRecord, column: str, values: Iterable[Any]) -> bool:
        wanted = frozenset(values)
        return bool(wanted) and any(
            is_in(batch.column(column), wanted).any()
            for batch in self._store.scan(record.table, [column], records=[record])
        )

    def _rewrite(self, record: FileRecord, change: Change, schema: pa.Schema | None = None) -> None:
        columns = schema or self._lookup.schema(record)
        folder = SameFolder(folder=folder_of(record))
        files = self._store.files_of_store
        before = after = 0
        with TableWriter(files, self._run_id, record.table, columns, folder) as writer:
            for batch in self._store.scan(record.table, records=[record]):
                rows = change(pa.Table.from_batches([batch]))
                before, after = before + batch.num_rows, after + rows.num_rows
                members = rows.column("key_id").to_pylist() if record.table == QUARANTINE_KEYS else ()
                if rows.num_rows:
                    writer.append(rows, members)
            self.adds += writer.close()
        self.removes.append(record.path)
        self.gone[record.table] += before - after


# --- rows -------------------------------------------------------------------------------------------------


def _kept(
    table: str, keys: frozenset[bytes], claims: Mapping[str, Mapping[str, Any]], rows: pa.Table
) -> pa.Table:
    kept = rows.filter(pa.array(~is_in(rows.column("key_id"), keys)))
    return with_claims(kept, claims) if table == QUARANTINE_ITEMS else kept


def without_keys(rows: pa.Table, keys: frozenset[bytes], bundles: frozenset[bytes]) -> pa.Table:
    """Rows of the keys table without some data keys and bundle keys."""
    ids, covers = rows.column("key_id"), rows.column("covers")
    data = is_in(ids, keys) & is_in(covers, [COVERS_DATA])
    bundle = is_in(ids, bundles) & is_in(covers, [COVERS_BUNDLE])
    return rows.filter(pa.array(~(data | bundle)))


def with_values(rows: pa.Table, values: pa.Table, schema: pa.Schema, label: str) -> tuple[pa.Table, int]:
    """Rows of telemetry, completed; nothing that they have is replaced.

    Args:
        rows: The rows.
        values: Event, in the table of an array also the place in it, and columns with values for that row.
        schema: The columns that the rows are to have.
        label: The contract that the values come from.

    Returns:
        The rows, and how many of them were completed.
    """
    places = pc.index_in(_names(rows, values), value_set=_names(values, values))
    found = places.is_valid()
    arrays = []
    for entry in schema:
        cells = rows.column(entry.name) if entry.name in rows.column_names else None
        column = pa.nulls(rows.num_rows, entry.type) if cells is None else cells.combine_chunks()
        if entry.name == "contract":
            column = pc.if_else(found, pa.scalar(label), column)
        elif entry.name in values.column_names and entry.name not in ("event_id", CHILD_POSITION):
            own = values.column(entry.name).combine_chunks().take(places).cast(entry.type)
            missing = pc.and_(column.is_null(), own.is_valid())
            column = pc.if_else(missing, own, column.cast(entry.type))
        arrays.append(column)
    return pa.Table.from_arrays(arrays, schema=schema), int(pc.sum(found).as_py() or 0)


def _names(rows: pa.Table, like: pa.Table) -> pa.Array:
    """What tells rows apart: the event, and in the table of an array the place in it."""
    events = rows.column("event_id").combine_chunks()
    if CHILD_POSITION not in like.column_names:
        return events
    return pc.binary_join_element_wise(
        events, rows.column(CHILD_POSITION).combine_chunks().cast(pa.string()), "|"
    )


def with_presence(rows: pa.Table, told: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Rows of the roster, completed: further identifiers of a person, and what was not told of them."""
    changed = [_present(row, told.get(row["event_id"], {})) for row in rows.to_pylist()]
    return pa.Table.from_pylist(changed, schema=rows.schema)


def _present(row: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    found = {**row, **{name: value for name, value in told.items() if row[name] is None}}
    known = row["subjects"] or []
    more = [each for each in told.get("subjects", ()) if each not in known]
    return {**found, "subjects": [*known, *more]} if more else {**found, "subjects": row["subjects"]}


def with_claims(rows: pa.Table, told: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    """Rows of items, completed by what their event claims; whatever makes one stricter stays."""
    mask = is_in(rows.column("event_id"), told.keys())
    if not mask.any():
        return rows
    changed = [_claimed(row, told[row["event_id"]]) for row in rows.filter(pa.array(mask)).to_pylist()]
    others = rows.filter(pa.array(~mask))
    return pa.concat_tables([others, pa.Table.from_pylist(changed, schema=rows.schema)])


def _claimed(row: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    found = {**row, **{name: value for name, value in told.items() if row[name] is None}}
    if row["derived_from"] is not None:
        found["derived_from"] = sorted({*row["derived_from"], *told.get("derived_from", ())})
    if row["piece_join"] == UNREADABLE:
        found["piece_join"] = told.get("piece_join", UNREADABLE)
    found["consent_flag"] = merged_flag(row["consent_flag"], told.get("consent_flag"))
    return found


def _widened(schema: pa.Schema, old: pa.Schema) -> pa.Schema:
    """A contract's columns, and behind them those that only the file has; types stay as the file has them."""
    kinds = {entry.name: entry for entry in old}
    own = [
        entry if kinds.get(entry.name, entry).type == entry.type else kinds[entry.name] for entry in schema
    ]
    return pa.schema([*own, *(entry for entry in old if entry.name not in schema.names)])


def _joined(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts, promote_options="default").combine_chunks()
