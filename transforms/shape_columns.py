"""From decoded levels to telemetry tables: every kept value judged, every identifier pseudonymised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import Protection
from schemas.contract import ITEMS, EventShape, Field
from schemas.decoder import Level, Path, UnknownValue
from schemas.telemetry import TIMESTAMP, TelemetryTable, arrow_type, telemetry_tables
from transforms.protect import Protected, cut_fragments, keep, timestamps

TENANT, MEETING = "tenant", "meeting"


class PseudonymMaker(Protocol):
    """What separation needs of the pseudonyms: two spaces that never meet."""

    def telemetry(
        self, identifier_type: str, values: Sequence[str | None], tenants: Sequence[str | None]
    ) -> pa.Array:
        """Pseudonyms for telemetry, under the epoch's keys of each row's tenant."""

    def join(self, identifier_type: str, values: Sequence[str | None]) -> pa.Array:
        """Pseudonyms for rosters and decisions, under the store's join key."""

    def truncate_ip(self, value: str) -> str | None:
        """The network of an address (/24 or /48), None where the text is no address."""


class ShapeColumns:
    """What is known of a shape before any event: its tables, its roles, its fields by level."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.tables = {table.array: table for table in telemetry_tables(shape)}
        by_path = {entry.path: entry for entry in shape.fields}
        self.roles: dict[str, Field] = {
            role: by_path[path] for role, path in shape.envelope.items() if path in by_path
        }


@dataclass
class Columns:
    """The columns of one group of events of one shape.

    Attributes:
        event_ids: 32 hexadecimal digits a row.
        event_types: Event type a row.
        event_time: Timestamp column.
        join: Join pseudonyms a row by role (tenant, meeting, participant).
        judged: Kept columns of the event level by path.
        misfits: For each level (path of its array, empty for the event) the values that do not fit.
        tables: Telemetry tables by name in the store.
    """

    event_ids: list[str]
    event_types: list[str]
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
    shape = plan.shape
    text = ids.tobytes().hex()
    event_ids = [text[start : start + 32] for start in range(0, len(text), 32)]
    event_types = list(map(str, level.cells[shape.type_at]))
    columns = Columns(event_ids, event_types, pa.nulls(level.size, TIMESTAMP))
    misfits: list[UnknownValue] = []
    if "time" in plan.roles and plan.roles["time"].path in level.cells:
        columns.event_time = _judge(plan.roles["time"], level, columns, misfits)
    tenants = plain_texts(plan, "tenant", level)
    standard = _standard(plan, level, columns, tenants, pseudonyms)
    columns.misfits[()] = misfits
    _event_table(plan, level, columns, tenants, standard, pseudonyms)
    for path, child in level.arrays.items():
        _child_tables(plan, path, child, np.arange(level.size), columns, tenants, standard, pseudonyms)
    return columns


def plain_texts(plan: ShapeColumns, role: str, level: Level) -> list[str | None]:
    """The text of an identifier role a row (numbers in their canonical text), None where it is absent."""
    cells = level.cells.get(plan.roles[role].path) if role in plan.roles else None
    return [None] * level.size if cells is None else [plain_text(cell) for cell in cells]


def plain_text(cell: Any) -> str | None:
    """An identifier as text: a decoded cell, or the JSON text of one that is sealed."""
    if cell is None or cell.__class__ is str:
        return cell or None
    if cell.__class__ is int:
        return str(cell)
    try:
        value = msgspec.json.decode(bytes(cell), type=str | int | None)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return None if value is None or value == "" else str(value)


def identifier_type(entry: Field) -> str:
    """Type under which a value is pseudonymised: equal values of different types never meet."""
    if entry.classification == "identifier.tenant":
        return TENANT
    if entry.classification == "identifier.meeting":
        return MEETING
    return entry.identifies or entry.path[-1]


def _standard(
    plan: ShapeColumns,
    level: Level,
    columns: Columns,
    tenants: Sequence[str | None],
    pseudonyms: PseudonymMaker,
) -> dict[str, pa.Array]:
    shape, size = plan.shape, level.size
    made: dict[str, pa.Array] = {
        "event_id": pa.array(columns.event_ids, pa.string()),
        "event_type": pa.array(columns.event_types, pa.string()),
        "event_time": columns.event_time,
    }
    for role in ("tenant", "meeting", "participant"):
        if role not in plan.roles or plan.roles[role].path not in level.cells:
            made[role] = columns.join[role] = pa.nulls(size, pa.string())
            continue
        kind = identifier_type(plan.roles[role])
        values = tenants if role == "tenant" else plain_texts(plan, role, level)
        made[role] = pseudonyms.telemetry(kind, values, tenants)
        columns.join[role] = pseudonyms.join(kind, values)
    made["source"] = pa.repeat(pa.scalar(shape.source), size)
    made["contract"] = pa.repeat(pa.scalar(shape.contract_label), size)
    return made


def _event_table(
    plan: ShapeColumns,
    level: Level,
    columns: Columns,
    tenants: Sequence[str | None],
    standard: dict[str, pa.Array],
    pseudonyms: PseudonymMaker,
) -> None:
    table = plan.tables[()]
    arrays = dict(standard)
    misfits = columns.misfits[()]
    for entry in table.columns:
        arrays[entry.column or ""] = _protect(entry, level, tenants, pseudonyms, columns, misfits)
    for entry in plan.roles.values():
        _judge_role(plan, entry, level, columns, misfits)
    columns.tables[table.name] = _arrange(table, arrays)


def _judge_role(
    plan: ShapeColumns, entry: Field, level: Level, columns: Columns, misfits: list[UnknownValue]
) -> None:
    """Judge kept roles that have no column of their own (the id and the source are never kept)."""
    never_kept = (plan.roles.get("id"), plan.roles.get("source"))
    is_open = entry.column is None and entry.path not in columns.judged and entry.path in level.cells
    if is_open and entry.protection is Protection.KEEP and entry not in never_kept:
        _judge(entry, level, columns, misfits)


def _child_tables(
    plan: ShapeColumns,
    path: Path,
    level: Level,
    parent_events: np.ndarray,
    columns: Columns,
    tenants: Sequence[str | None],
    standard: dict[str, pa.Array],
    pseudonyms: PseudonymMaker,
) -> None:
    events = parent_events[np.asarray(level.parent_rows, dtype=np.int64)]
    misfits = columns.misfits.setdefault(path, [])
    table = plan.tables.get(path)
    if table is not None and level.size:
        rows = pa.array(events)
        arrays = {name: pc.take(array, rows) for name, array in standard.items()}
        arrays["position"] = pa.array(ordinals(level.parent_rows), pa.int32())
        own_tenants = [tenants[event] for event in events.tolist()]
        for entry in table.columns:
            arrays[entry.column or ""] = _protect(entry, level, own_tenants, pseudonyms, columns, misfits)
        columns.tables[table.name] = _arrange(table, arrays)
    for below, child in level.arrays.items():
        _child_tables(plan, below, child, events, columns, tenants, standard, pseudonyms)


def ordinals(parent_rows: Sequence[int]) -> list[int]:
    """Place of each element among those of its parent, from 0."""
    counts: dict[int, int] = {}
    places = []
    for parent in parent_rows:
        place = counts.get(parent, 0)
        counts[parent] = place + 1
        places.append(place)
    return places


def _arrange(table: TelemetryTable, arrays: dict[str, pa.Array]) -> pa.Table:
    return pa.Table.from_arrays([arrays[name] for name in table.schema.names], schema=table.schema)


def _protect(
    entry: Field,
    level: Level,
    tenants: Sequence[str | None],
    pseudonyms: PseudonymMaker,
    columns: Columns,
    misfits: list[UnknownValue],
) -> pa.Array:
    cells = level.cells.get(entry.path)
    if cells is None:
        return pa.nulls(level.size, arrow_type(entry))
    if entry.protection is Protection.KEEP:
        return _judge(entry, level, columns, misfits)
    if entry.cut is not None:
        return cut_fragments(entry, cells)
    if entry.protection is Protection.TRUNCATE_IP:
        return _note(entry, cells, _networks(cells, pseudonyms), misfits)
    if entry.is_list:
        return _pseudonym_lists(entry, cells, tenants, pseudonyms)
    return pseudonyms.telemetry(identifier_type(entry), [plain_text(cell) for cell in cells], tenants)


def _judge(entry: Field, level: Level, columns: Columns, misfits: list[UnknownValue]) -> pa.Array:
    cells = level.cells[entry.path]
    if entry.logical_type == "timestamp" or (entry.unit or "").endswith("since 1970 UTC"):
        judged = timestamps(cells, entry.unit)
    else:
        judged = keep(entry, cells)
    array = _note(entry, cells, judged, misfits)
    if ITEMS not in entry.path:
        columns.judged[entry.path] = array
    return array


def _note(entry: Field, cells: Sequence[Any], judged: Protected, misfits: list[UnknownValue]) -> pa.Array:
    for row in judged.misfits:
        raw = msgspec.json.encode(cells[row])
        misfits.append(UnknownValue(row, entry.path[:-1], None, raw, entry.path))
    return judged.array


def _networks(cells: Sequence[Any], pseudonyms: PseudonymMaker) -> Protected:
    memo: dict[str, str | None] = {}
    for cell in set(cells) - {None, ""}:
        memo[cell] = pseudonyms.truncate_ip(cell)
    misfits = [row for row, cell in enumerate(cells) if cell and memo[cell] is None]
    return Protected(pa.array([memo.get(cell) for cell in cells], pa.string()), misfits)


def _pseudonym_lists(
    entry: Field, cells: Sequence[Any], tenants: Sequence[str | None], pseudonyms: PseudonymMaker
) -> pa.Array:
    flat = [plain_text(item) for cell in cells if cell for item in cell]
    owners = [tenants[row] for row, cell in enumerate(cells) if cell for _ in cell]
    made = iter(pseudonyms.telemetry(identifier_type(entry), flat, owners).to_pylist())
    lists = [None if cell is None else [next(made) for _ in cell] for cell in cells]
    return pa.array(lists, pa.list_(pa.field("element", pa.string())))
