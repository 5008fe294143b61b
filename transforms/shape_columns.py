"""From decoded levels to telemetry tables: every kept value judged, every identifier pseudonymised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level, Path, UnknownValue, encoded_cell
from schemas.classification import Protection
from schemas.contract import ITEMS, EventShape, Field
from schemas.tables import CHILD_POSITION
from schemas.telemetry import TIMESTAMP, TelemetryTable, arrow_type, telemetry_tables
from transforms.protect import Protected, cut_fragments, keep, listed_like

TENANT, MEETING = "tenant", "meeting"
JOIN_ROLES = ("tenant", "meeting", "participant")

Tenants: TypeAlias = Any  # str | pa.Array | None; pyarrow has no types
"""The tenant of all rows where they have one, or of each row."""


class PseudonymMaker(Protocol):
    """What separation needs of the pseudonyms: two spaces that never meet."""

    def telemetry(self, identifier_type: str, values: pa.Array, tenants: Tenants) -> pa.Array:
        """Pseudonyms for telemetry, under the epoch's keys of each row's tenant."""

    def join(self, identifier_type: str, values: pa.Array) -> pa.Array:
        """Pseudonyms for rosters and decisions, under the store's join key."""

    def truncate_ip(self, value: str) -> str | None:
        """The network of an address (/24 or /48), None where the text is no address."""


class ShapeColumns:
    """What is known of a shape before any event: its tables, its roles, its fields."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.tables = {table.array: table for table in telemetry_tables(shape)}
        self.fields = {entry.path: entry for entry in shape.fields}
        self.roles: dict[str, Field] = {
            role: self.fields[path] for role, path in shape.envelope.items() if path in self.fields
        }
        never_kept = (self.roles.get("id"), self.roles.get("source"))
        self.judged_roles = [
            entry
            for entry in self.roles.values()
            if entry.column is None
            and entry.protection is Protection.KEEP
            and entry.path != shape.type_at
            and entry not in never_kept
        ]


@dataclass
class Columns:
    """The columns of one group of events of one shape.

    Attributes:
        ids: Event digests, shape (rows, 16), uint8.
        event_ids: The digests as 32 hexadecimal digits.
        event_types: Event type a row.
        event_time: Timestamp column.
        join: Join pseudonyms a row by role (tenant, meeting, participant).
        judged: Kept columns of the event level by path.
        misfits: For each level (path of its array, empty for the event) the values that do not fit.
        tables: Telemetry tables by name in the store.
    """

    ids: np.ndarray
    event_ids: pa.Array
    event_types: pa.Array
    event_time: pa.Array
    join: dict[str, pa.Array] = field(default_factory=dict)
    judged: dict[Path, pa.Array] = field(default_factory=dict)
    misfits: dict[Path, list[UnknownValue]] = field(default_factory=dict)
    tables: dict[str, pa.Table] = field(default_factory=dict)


def take_columns(plan: ShapeColumns, level: Level, ids: np.ndarray, pseudonyms: PseudonymMaker) -> Columns:
    """Judge and protect the columns of a group.

    Args:
        plan: The shape's plan.
        level: The decoded events.
        ids: Event digests, shape (rows, 16), uint8.
        pseudonyms: Makes the pseudonyms.
    """
    return _Taker(plan, level, ids, pseudonyms).take()


def hex_column(digests: np.ndarray) -> pa.Array:
    """Digests, shape (rows, n), uint8, as hexadecimal strings."""
    rows, width = digests.shape
    text = digests.tobytes().hex().encode()
    offsets = np.arange(rows + 1, dtype=np.int32) * (2 * width)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def identifier_type(entry: Field) -> str:
    """Type under which a value is pseudonymised: equal values of different types never meet."""
    if entry.classification == "identifier.tenant":
        return TENANT
    if entry.classification == "identifier.meeting":
        return MEETING
    return entry.identifies or entry.path[-1]


def plain_texts(cells: pa.Array) -> pa.Array:
    """Identifiers as text: decoded ones as they are, sealed ones read from their JSON text; null if empty."""
    if cells.type == pa.string():
        return pc.if_else(pc.equal(cells, ""), None, cells)
    if cells.type != pa.binary():
        return cells.cast(pa.string())
    return pa.array([_plain_text(cell) for cell in cells.to_pylist()], pa.string())


def _plain_text(cell: bytes | None) -> str | None:
    if cell is None:
        return None
    try:
        value = msgspec.json.decode(cell, type=str | int | None)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return None if value is None or value == "" else str(value)


def ordinals(parent_rows: np.ndarray) -> np.ndarray:
    """Place of each element among those of its parent, from 0 (int32)."""
    order = np.argsort(parent_rows, kind="stable")
    grouped = parent_rows[order]
    starts = np.r_[True, grouped[1:] != grouped[:-1]] if len(grouped) else np.zeros(0, bool)
    rows = np.arange(len(grouped))
    places = np.empty(len(grouped), dtype=np.int32)
    places[order] = rows - np.maximum.accumulate(np.where(starts, rows, 0))
    return places


class _Taker:
    """Takes the columns of one group of events."""

    def __init__(self, plan: ShapeColumns, level: Level, ids: np.ndarray, pseudonyms: PseudonymMaker) -> None:
        self._plan = plan
        self._level = level
        self._pseudonyms = pseudonyms
        types = level.cells[plan.shape.type_at]
        event_types = types if types.type == pa.string() else types.cast(pa.string())
        no_time = pa.nulls(level.size, TIMESTAMP)
        self._columns = Columns(ids, hex_column(ids), event_types, no_time)
        self._tenants: Tenants = None
        self._standard: dict[str, pa.Array] = {}

    def take(self) -> Columns:
        columns, level, plan = self._columns, self._level, self._plan
        misfits = columns.misfits.setdefault((), [])
        if "time" in plan.roles and plan.roles["time"].path in level.cells:
            columns.event_time = self._judge(plan.roles["time"], level, misfits)
        self._make_standard()
        self._event_table(misfits)
        for path, child in level.arrays.items():
            self._child_tables(path, child, np.arange(level.size))
        return columns

    def _role_texts(self, role: str) -> pa.Array | None:
        entry = self._plan.roles.get(role)
        cells = None if entry is None else self._level.cells.get(entry.path)
        return None if cells is None else plain_texts(cells)

    def _make_standard(self) -> None:
        columns, shape, size = self._columns, self._plan.shape, self._level.size
        tenants = self._role_texts("tenant")
        self._tenants = _one_or_all(tenants)
        made = {
            "event_id": columns.event_ids,
            "event_type": columns.event_types,
            "event_time": columns.event_time,
        }
        for role in JOIN_ROLES:
            values = tenants if role == TENANT else self._role_texts(role)
            if values is None:
                made[role] = columns.join[role] = pa.nulls(size, pa.string())
                continue
            kind = identifier_type(self._plan.roles[role])
            made[role] = self._pseudonyms.telemetry(kind, values, self._tenants)
            columns.join[role] = self._pseudonyms.join(kind, values)
        made["source"] = pa.repeat(pa.scalar(shape.source), size)
        made["contract"] = pa.repeat(pa.scalar(shape.contract_label), size)
        self._standard = made

    def _event_table(self, misfits: list[UnknownValue]) -> None:
        table = self._plan.tables[()]
        arrays = dict(self._standard)
        for entry in table.columns:
            arrays[entry.column or ""] = self._protect(entry, self._level, self._tenants, misfits)
        for entry in self._plan.judged_roles:
            if entry.path in self._level.cells and entry.path not in self._columns.judged:
                self._judge(entry, self._level, misfits)
        self._columns.tables[table.name] = _arrange(table, arrays)

    def _child_tables(self, path: Path, level: Level, parent_events: np.ndarray) -> None:
        events = parent_events[level.parent_rows]
        misfits = self._columns.misfits.setdefault(path, [])
        table = self._plan.tables.get(path)
        if table is not None and level.size:
            arrays = dict(self._standard_rows(events))
            arrays[CHILD_POSITION] = pa.array(ordinals(level.parent_rows))
            tenants = self._tenants
            if isinstance(tenants, pa.Array):
                tenants = tenants.take(pa.array(events))
            for entry in table.columns:
                arrays[entry.column or ""] = self._protect(entry, level, tenants, misfits)
            self._columns.tables[table.name] = _arrange(table, arrays)
        for below, child in level.arrays.items():
            self._child_tables(below, child, events)

    def _standard_rows(self, events: np.ndarray) -> Iterator[tuple[str, pa.Array]]:
        """The standard columns for the rows of a child table."""
        if len(events) == self._level.size and np.array_equal(events, np.arange(len(events))):
            yield from self._standard.items()
            return
        rows = pa.array(events)
        for name, array in self._standard.items():
            constant = name in ("source", "contract")
            yield name, pa.repeat(array[0], len(events)) if constant else array.take(rows)

    def _protect(self, entry: Field, level: Level, tenants: Tenants, misfits: list[UnknownValue]) -> pa.Array:
        cells = level.cells.get(entry.path)
        if cells is None:
            return pa.nulls(level.size, arrow_type(entry))
        if entry.protection is Protection.KEEP:
            return self._judge(entry, level, misfits)
        if entry.cut is not None:
            return cut_fragments(entry, cells)
        if entry.protection is Protection.TRUNCATE_IP:
            return _noted(entry, cells, self._networks(cells), misfits)
        kind = identifier_type(entry)
        if entry.is_list:
            return self._pseudonym_lists(entry, cells, tenants)
        return self._pseudonyms.telemetry(kind, plain_texts(cells), tenants)

    def _judge(self, entry: Field, level: Level, misfits: list[UnknownValue]) -> pa.Array:
        cells = level.cells[entry.path]
        array = _noted(entry, cells, keep(entry, cells), misfits)
        if ITEMS not in entry.path:
            self._columns.judged[entry.path] = array
        return array

    def _networks(self, cells: pa.Array) -> Protected:
        encoded = cells.dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        networks = [self._pseudonyms.truncate_ip(text) if text else None for text in texts]
        wrong = [bool(text) and network is None for text, network in zip(texts, networks, strict=True)]
        found = pc.fill_null(pa.array(wrong, pa.bool_()).take(encoded.indices), False)
        misfits = np.flatnonzero(found.to_numpy(zero_copy_only=False)).tolist()
        return Protected(pa.array(networks, pa.string()).take(encoded.indices), misfits)

    def _pseudonym_lists(self, entry: Field, cells: pa.Array, tenants: Tenants) -> pa.Array:
        owners = tenants
        if isinstance(owners, pa.Array):
            owners = owners.take(pc.list_parent_indices(cells))
        flat = self._pseudonyms.telemetry(identifier_type(entry), plain_texts(cells.flatten()), owners)
        return listed_like(cells, flat, arrow_type(entry))


def _one_or_all(tenants: pa.Array | None) -> Tenants:
    """One tenant where all rows have the same; telling so once saves looking at each row."""
    if tenants is None:
        return None
    distinct = pc.unique(tenants)
    return distinct[0].as_py() if len(distinct) == 1 else tenants.dictionary_encode()


def _arrange(table: TelemetryTable, arrays: dict[str, pa.Array]) -> pa.Table:
    return pa.Table.from_arrays([arrays[name] for name in table.schema.names], schema=table.schema)


def _noted(entry: Field, cells: pa.Array, judged: Protected, misfits: list[UnknownValue]) -> pa.Array:
    for row in judged.misfits:
        misfits.append(UnknownValue(row, entry.path[:-1], None, encoded_cell(cells, row), entry.path))
    return judged.array
