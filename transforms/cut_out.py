"""Cut out: the pieces of content of a group of events, ready to be sealed, and the rows that describe them.

One item is everything of one kind that one event holds. Its parts are raw slices of the record; they are
framed as bytes and never become text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import KIND_NUMBER, UNCLASSIFIED_KIND, Protection
from schemas.contract import ITEMS, EventShape, Field
from schemas.decoder import Level, Path, UnknownValue
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS
from transforms.sealing import frame_parts, size_class
from transforms.shape_columns import Columns, ShapeColumns, ordinals

_NULL = b"null"
_EMPTY = (_NULL, b'""', b"[]", b"{}")
_JSON_TYPES = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}

GroupKey = tuple[str | None, str | None, str | None, str, str]
"""Tenant, meeting and sender under the join key, kind, contract: what shares a data key in a bundle."""

_SEALED_LATER = ("key_id", "blob_part")


@dataclass
class CutOut:
    """Items of one group of events.

    Attributes:
        item_ids: 16 bytes an item.
        framed: Framed parts of each item.
        groups: What each item shares its data key with.
        rows: Rows of the items table but for the columns that sealing adds.
        dropped: Values dropped by contract, by field.
        unknown: Values of unknown keys and values that do not fit (all of them are in items too).
    """

    item_ids: list[bytes] = field(default_factory=list)
    framed: list[bytes] = field(default_factory=list, repr=False)
    groups: list[GroupKey] = field(default_factory=list)
    rows: pa.Table | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    unknown: list[UnknownValue] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @classmethod
    def of(cls, shape: EventShape, plan: ShapeColumns, level: Level, columns: Columns) -> CutOut:
        """Cut the content out of decoded events."""
        cut = cls()
        collector = _Collector(shape, columns, cut)
        collector.collect(level, (), np.arange(level.size), [""] * level.size)
        rows, kinds = collector.frame(cut)
        if rows:
            join = {role: array.to_pylist() for role, array in columns.join.items()}
            label = shape.contract_label
            cut.groups = [
                (join["tenant"][row], join["meeting"][row], join["participant"][row], kind, label)
                for row, kind in zip(rows, kinds, strict=True)
            ]
            cut.rows = _item_rows(shape, plan, columns, cut, rows, kinds)
        return cut


class _Collector:
    """Gathers parts by (kind, event row)."""

    def __init__(self, shape: EventShape, columns: Columns, cut: CutOut) -> None:
        self._shape = shape
        self._columns = columns
        self._cut = cut
        self._parts: dict[str, dict[int, list[tuple[str, bytes]]]] = {}
        self._fields = {entry.path: entry for entry in shape.fields}

    def collect(self, level: Level, path: Path, events: np.ndarray, places: Sequence[str]) -> None:
        """Gather the parts of one level and of the arrays below it.

        Args:
            level: The level.
            path: Path of the array whose elements it holds, empty for the events.
            events: Event row of each of its rows.
            places: Each row's place in its arrays, as text (`[2]`), for the parts' paths.
        """
        rows = events.tolist()
        for leaf, cells in level.cells.items():
            entry = self._fields[leaf]
            if entry.protection is Protection.SEAL:
                self._seal(entry, level, cells, rows, places)
            elif entry.protection is Protection.DROP:
                self._cut.dropped[entry.dotted] += len(cells) - cells.count(None)
        self._unclassified([*level.unknown, *self._columns.misfits.get(path, ())], rows, places)
        for below, child in level.arrays.items():
            parents = np.asarray(child.parent_rows, dtype=np.int64)
            child_places = [
                f"{places[parent]}[{place}]"
                for parent, place in zip(child.parent_rows, ordinals(child.parent_rows), strict=True)
            ]
            self.collect(child, below, events[parents], child_places)

    def _seal(
        self,
        entry: Field,
        level: Level,
        cells: Sequence[bytes | None],
        rows: Sequence[int],
        places: Sequence[str],
    ) -> None:
        name = entry.dotted
        if entry.kind_by is None:
            parts = self._parts.setdefault(entry.kind, {})
            for row, cell in enumerate(cells):
                if cell is not None and cell not in _EMPTY:
                    parts.setdefault(rows[row], []).append((name + places[row], cell))
            return
        siblings = level.cells.get((*entry.path[:-1], entry.kind_by.sibling), [None] * len(cells))
        for row, cell in enumerate(cells):
            if cell is not None and cell not in _EMPTY:
                kind = entry.kind_by.kinds.get(str(siblings[row]), entry.kind_by.otherwise)
                self._parts.setdefault(kind, {}).setdefault(rows[row], []).append((name + places[row], cell))

    def _unclassified(
        self, unknown: Sequence[UnknownValue], rows: Sequence[int], places: Sequence[str]
    ) -> None:
        self._cut.unknown.extend(unknown)
        parts = self._parts.setdefault(UNCLASSIFIED_KIND, {})
        for value in unknown:
            parts.setdefault(rows[value.row], []).append(
                (_dotted(value) + places[value.row], _with_its_key(value))
            )

    def frame(self, cut: CutOut) -> tuple[list[int], list[str]]:
        """Frame the items; returns the event row and the kind of each."""
        rows: list[int] = []
        kinds: list[str] = []
        ids = [bytes.fromhex(event_id[:30]) for event_id in self._columns.event_ids]
        for kind, by_row in self._parts.items():
            number = bytes((KIND_NUMBER[kind],))
            for row, parts in by_row.items():
                rows.append(row)
                kinds.append(kind)
                # The event's digest with the kind in the place of its last byte: the same item again has
                # the same id, in this run and in any other.
                cut.item_ids.append(ids[row] + number)
                cut.framed.append(frame_parts(parts))
        return rows, kinds


def _dotted(value: UnknownValue) -> str:
    return ".".join(value.path if value.path is not None else value.parent).replace(f".{ITEMS}", ITEMS)


def _with_its_key(value: UnknownValue) -> bytes:
    """An unknown field's name is content too: it is sealed with the value, as a one-key object."""
    return value.raw if value.key is None else b'{"' + value.key + b'":' + value.raw + b"}"


def json_type(raw: bytes) -> str:
    """JSON type of a raw value by its first byte."""
    return _JSON_TYPES.get(raw[:1], "number")


def _item_rows(
    shape: EventShape,
    plan: ShapeColumns,
    columns: Columns,
    cut: CutOut,
    rows: list[int],
    kinds: list[str],
) -> pa.Table:
    schema = FIXED_TABLES[QUARANTINE_ITEMS]
    at = pa.array(rows, pa.int64())
    size = len(rows)
    text = b"".join(cut.item_ids).hex()
    made: dict[str, pa.Array] = {
        "item_id": pa.array([text[start : start + 32] for start in range(0, len(text), 32)], pa.string()),
        "event_id": pc.take(pa.array(columns.event_ids, pa.string()), at),
        "source": pa.repeat(pa.scalar(shape.source), size),
        "event_type": pc.take(pa.array(columns.event_types, pa.string()), at),
        "kind": pa.array(kinds, pa.string()),
        "tenant_join": pc.take(columns.join["tenant"], at),
        "meeting_join": pc.take(columns.join["meeting"], at),
        "sender_join": pc.take(columns.join["participant"], at),
        "event_time": pc.take(columns.event_time, at),
        "size_class": pa.array([size_class(len(framed)) for framed in cut.framed], pa.int32()),
        "contract": pa.repeat(pa.scalar(shape.contract_label), size),
    }
    for name, role in (("recorded_start", "started"), ("recorded_end", "ended"), ("region", "region")):
        judged = columns.judged.get(plan.roles[role].path) if role in plan.roles else None
        made[name] = pa.nulls(size, schema.field(name).type) if judged is None else pc.take(judged, at)
    made["consent_flag"] = _consent_flags(shape, columns, schema.field("consent_flag").type, at)
    names = [name for name in schema.names if name not in _SEALED_LATER]
    return pa.Table.from_arrays(
        [made[name] for name in names], schema=pa.schema([schema.field(n) for n in names])
    )


def _consent_flags(shape: EventShape, columns: Columns, kind: pa.DataType, at: pa.Array) -> pa.Array:
    """What events claim about consent: the judged columns of the flag's object; null without one."""
    path = shape.envelope.get("consent")
    members = {member.name: columns.judged.get((*path, member.name)) if path else None for member in kind}
    if all(array is None for array in members.values()):
        return pa.nulls(len(at), kind)
    arrays = [
        pa.nulls(len(at), member.type) if (array := members[member.name]) is None else pc.take(array, at)
        for member in kind
    ]
    arrays = [array.cast(member.type) for array, member in zip(arrays, kind, strict=True)]
    absent = pc.and_(pc.and_(pc.is_null(arrays[0]), pc.is_null(arrays[1])), pc.is_null(arrays[2]))
    return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=absent)


def merged(cuts: Sequence[CutOut]) -> Iterator[tuple[GroupKey, bytes, bytes]]:
    """All items of several groups: group key, item id, framed parts."""
    for cut in cuts:
        yield from zip(cut.groups, cut.item_ids, cut.framed, strict=True)
