"""Files written anew when something was taken in again: without what was retired, with what was completed.

A file takes the place of the one that it was made from, in the same folder and row for row, but for rows of
data keys that are retired. Each function that changes rows is a plain one on a table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import ContractSet
from schemas.tables import (
    CHILD_POSITION,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
    UNREADABLE,
)
from schemas.telemetry import all_telemetry_tables, telemetry_tables
from transforms.erase_commit import SameFolder
from transforms.erase_reach import is_in
from transforms.erase_search import folder_of
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter
from transforms.reprocess_effects import merged_flag
from transforms.reprocess_lookup import StoreLookup
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA
from transforms.store import Store

SEALED_TABLES: Final = (QUARANTINE_ITEMS, QUARANTINE_BLOBS, QUARANTINE_REJECTED)


@dataclass
class Completion:
    """What is completed, event by event.

    Attributes:
        telemetry: Values by table.
        roster: Values for the rows of the roster, by event.
        claims: Columns of the rows of all items of an event, by event.
        folders: The folder by day of each of these events.
    """

    telemetry: dict[str, list[pa.Table]] = field(default_factory=dict, repr=False)
    roster: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    folders: dict[str, str] = field(default_factory=dict)

    def add_telemetry(self, table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> None:
        """Add values for rows of a table."""
        named = [name for name in schema.names if any(name in row for row in rows)]
        columns = pa.schema([schema.field(name) for name in named])
        self.telemetry.setdefault(table, []).append(pa.Table.from_pylist(rows, schema=columns))


@dataclass
class Change:
    """What changes in one file.

    Attributes:
        retired: Data keys whose rows go.
        bundles: Bundle keys whose rows go.
        claims: Columns of the rows of all items of an event, by event.
        roster: Values for the rows of the roster, by event.
        values: Values for rows of telemetry.
    """

    retired: frozenset[bytes] = field(default=frozenset(), repr=False)
    bundles: frozenset[bytes] = field(default=frozenset(), repr=False)
    claims: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    roster: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    values: list[pa.Table] = field(default_factory=list, repr=False)


class Rewritten(NamedTuple):
    """A file that was written anew: what took its place, and the rows that went or were completed.

    ``bundles`` are the bundle keys among them.
    """

    path: str
    table: str
    records: tuple[FileRecord, ...]
    gone: int
    completed: int = 0
    bundles: frozenset[bytes] = frozenset()


def completions(lookup: StoreLookup, completion: Completion) -> Iterator[tuple[str, Change]]:
    """What is completed, file by file."""
    for table, parts in completion.telemetry.items():
        values = _joined(parts)
        for path, events in _held(lookup, table, values.column("event_id").to_pylist(), completion):
            mine = pa.array(is_in(values.column("event_id"), events))
            yield path, Change(values=[values.filter(mine)])
    for path, events in _held(lookup, ROSTER, completion.roster, completion):
        yield path, Change(roster={event: completion.roster[event] for event in sorted(events)})
    for path, events in _held(lookup, QUARANTINE_ITEMS, completion.claims, completion):
        yield path, Change(claims={event: completion.claims[event] for event in sorted(events)})


def _held(
    lookup: StoreLookup, table: str, events: Iterable[str], completion: Completion
) -> Iterator[tuple[str, set[str]]]:
    folders = {event: completion.folders[event] for event in events}
    for record, found in lookup.holding(table, folders):
        yield record.path, found


def retirements(store: Store, retired: frozenset[bytes]) -> Iterator[tuple[str, Change]]:
    """Rows of data keys that go, and of bundle keys that nothing is under any more, file by file."""
    left: Counter[bytes] = Counter()
    freed: set[bytes] = set()
    keys: dict[str, set[bytes]] = defaultdict(set)
    bundles: dict[str, set[bytes]] = defaultdict(set)
    for record in store.files(QUARANTINE_KEYS) if retired else ():
        columns = ["key_id", "covers", "wrapping_key_id"]
        for batch in store.scan(QUARANTINE_KEYS, columns, records=[record]):
            ids, covers, wrapping = batch.columns
            is_data = is_in(covers, [COVERS_DATA])
            goes = is_in(ids, retired) & is_data
            keys[record.path].update(ids.filter(pa.array(goes)).to_pylist())
            bundles[record.path].update(ids.filter(pa.array(is_in(covers, [COVERS_BUNDLE]))).to_pylist())
            freed.update(wrapping.filter(pa.array(goes)).to_pylist())
            left.update(wrapping.filter(pa.array(is_data & ~goes)).to_pylist())
    empty = {each for each in freed if not left[each]}
    for path, own in keys.items():
        if own or empty & bundles[path]:
            yield path, Change(retired=frozenset(own), bundles=frozenset(empty & bundles[path]))


class Rewriter:
    """Writes files of a store anew.

    Args:
        lookup: The store.
        run_id: The run.
        contracts: The mended contracts.
    """

    def __init__(self, lookup: StoreLookup, run_id: str, contracts: ContractSet) -> None:
        self._lookup, self._store, self._run_id = lookup, lookup.store, run_id
        self._tables = all_telemetry_tables(contracts)
        self._labels = labels_of(contracts)

    def rewrite(self, path: str, changes: Iterable[Change]) -> Rewritten | None:
        """Write a file anew, None if it holds nothing that changes.

        Raises:
            InfrastructureFault: The store cannot be read or written.
        """
        record, change = self._store.snapshot.live[path], _merged(changes)
        if record.table in SEALED_TABLES:
            told = change.claims if record.table == QUARANTINE_ITEMS else {}
            if not self._holds(record, change.retired) and not told:
                return None
            return self._written(record, partial(_kept, record.table, change.retired, told))
        if record.table == QUARANTINE_KEYS:
            kept = partial(without_keys, keys=change.retired, bundles=change.bundles)
            return self._written(record, kept)._replace(bundles=change.bundles)
        if record.table == ROSTER:
            return self._written(record, partial(with_presence, told=change.roster))
        return self._completed(record, _joined(change.values))

    def _completed(self, record: FileRecord, values: pa.Table) -> Rewritten:
        schema = _widened(self._tables[record.table].schema, self._lookup.schema(record))
        completed = 0

        def complete(rows: pa.Table) -> pa.Table:
            nonlocal completed
            found, number = with_values(rows, values, schema, self._labels[record.table])
            completed += number
            return found

        return self._written(record, complete, schema)._replace(completed=completed)

    def _holds(self, record: FileRecord, keys: frozenset[bytes]) -> bool:
        return bool(keys) and any(
            is_in(batch.column("key_id"), keys).any()
            for batch in self._store.scan(record.table, ["key_id"], records=[record])
        )

    def _written(
        self, record: FileRecord, change: Callable[[pa.Table], pa.Table], schema: pa.Schema | None = None
    ) -> Rewritten:
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
            records = tuple(writer.close())
        return Rewritten(record.path, record.table, records, before - after)


def _merged(changes: Iterable[Change]) -> Change:
    found = Change()
    for each in changes:
        found.retired |= each.retired
        found.bundles |= each.bundles
        found.claims |= each.claims
        found.roster |= each.roster
        found.values += each.values
    return found


def labels_of(contracts: ContractSet) -> dict[str, str]:
    """The contract of each table of telemetry."""
    return {
        table.name: shape.contract_label for shape in contracts.shapes for table in telemetry_tables(shape)
    }


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
