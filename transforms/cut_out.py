"""Cut out: the pieces of content of a group of events, ready to be sealed, and the rows that describe them.

One item is everything of one kind that one event holds. Its parts are raw slices of the record; they are
framed as whole columns, copied from buffer to buffer, and never become text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level, Path, UnknownValue
from schemas.classification import (
    IDENTITY_KIND,
    KIND_NUMBER,
    SECRET_KIND,
    UNCLASSIFIED_KIND,
    Protection,
)
from schemas.contract import ITEMS, Field
from transforms.chunked_encryption import length_prefixed
from transforms.item_rows import EventClaims, event_claims, item_rows
from transforms.sealed_format import frame_parts
from transforms.shape_columns import Columns, PseudonymMaker, ShapeColumns, ordinals

NEVER_RELEASED = (IDENTITY_KIND, SECRET_KIND)
"""Kinds that no decision can release: they are sealed and counted, but are no items of the quarantine."""

_EMPTY = pa.array([b"null", b'""', b"[]", b"{}"], pa.binary())
_LONGEST_EMPTY = 4
_JSON_TYPES = {b'"': "string", b"{": "object", b"[": "array", b"t": "boolean", b"f": "boolean", b"n": "null"}
PlaceOf = Callable[[int], str]


@dataclass
class CutOut:
    """The items of one kind in one group of events.

    Attributes:
        kind: Their kind.
        contract: Contract that cut them out.
        item_ids: Ids, shape (items, 16), uint8.
        framed: Framed parts of each item, with the length before it (binary).
        join: Join pseudonyms of tenant, meeting and participant for each item.
        rows: Rows of the items table but for the columns that sealing adds; None for kinds never released.
    """

    kind: str
    contract: str
    item_ids: np.ndarray
    framed: pa.Array = field(repr=False)
    join: list[pa.Array] = field(repr=False)
    rows: pa.Table | None = field(repr=False)

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def bytes(self) -> int:
        """Bytes that wait with these items: content, ids, and the rows that describe them."""
        rows = 0 if self.rows is None else self.rows.nbytes
        return int(self.framed.nbytes + self.item_ids.nbytes + rows + sum(part.nbytes for part in self.join))


@dataclass
class CutGroup:
    """All that was cut out of a group of events.

    Attributes:
        cuts: Items by kind.
        dropped: Values dropped by contract, by field.
        unknown: Values of unknown keys and values that do not fit (all of them are in items too).
    """

    cuts: list[CutOut] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    unknown: list[UnknownValue] = field(default_factory=list)


def cut_out(plan: ShapeColumns, level: Level, columns: Columns, pseudonyms: PseudonymMaker) -> CutGroup:
    """Cut the content out of decoded events."""
    group = CutGroup()
    collector = _Collector(plan, level.size, columns, group)
    collector.collect_events(level)
    for path, below in level.arrays.items():
        collector.collect_elements(below, path, np.arange(level.size), _no_place)
    claims: EventClaims | None = None
    for kind, parts in collector.columns_by_kind():
        if claims is None and kind not in NEVER_RELEASED:
            claims = event_claims(plan, level, columns, pseudonyms)
        group.cuts.append(_cut_kind(plan, kind, parts, columns, claims))
    return group


class _Collector:
    """Gathers framed parts by kind: whole columns for the event's own fields, single cells for the rest."""

    def __init__(self, plan: ShapeColumns, size: int, columns: Columns, group: CutGroup) -> None:
        self._fields = plan.fields
        self._size = size
        self._columns = columns
        self._group = group
        self._whole: dict[str, list[pa.Array]] = {}
        self._single: dict[str, dict[int, list[tuple[str, bytes]]]] = {}

    def collect_events(self, level: Level) -> None:
        """Gather the parts of the event level."""
        for path, cells in level.cells.items():
            entry = self._fields[path]
            if entry.protection is Protection.DROP:
                self._drop(entry, cells)
            elif entry.protection is Protection.SEAL:
                cells = without_empty(cells)
                if entry.kind_by is not None:
                    self._by_sibling(entry, level, cells, np.arange(level.size), _no_place)
                elif cells.null_count < len(cells):
                    framed = _framed_column(entry.dotted.encode(), cells)
                    self._whole.setdefault(entry.kind, []).append(framed)
        unknown = [*level.unknown, *self._columns.misfits.get((), ())]
        self._unclassified(unknown, np.arange(level.size), _no_place)

    def collect_elements(
        self, level: Level, path: Path, parent_events: np.ndarray, parent_place: PlaceOf
    ) -> None:
        """Gather the parts of an array's elements and of the arrays below it.

        Args:
            level: The elements.
            path: Path of the array.
            parent_events: Event row of each row of the level above.
            parent_place: The place of one of these rows in its arrays, as text (`[2]`).
        """
        events = parent_events[level.parent_rows]
        unknown = [*level.unknown, *self._columns.misfits.get(path, ())]
        numbers = ordinals(level.parent_rows)

        def place_of(row: int) -> str:
            return f"{parent_place(int(level.parent_rows[row]))}[{numbers[row]}]"

        for leaf, cells in level.cells.items():
            entry = self._fields[leaf]
            if entry.protection is Protection.DROP:
                self._drop(entry, cells)
            elif entry.protection is Protection.SEAL:
                self._by_sibling(entry, level, without_empty(cells), events, place_of)
        self._unclassified(unknown, events, place_of)
        for below, child in level.arrays.items():
            self.collect_elements(child, below, events, place_of)

    def _drop(self, entry: Field, cells: pa.Array) -> None:
        # A null holds nothing to drop, and not every decoder tells it from an absent field.
        present = pc.and_kleene(cells.is_valid(), pc.not_equal(cells, b"null"))
        if number := pc.sum(present).as_py():
            self._group.dropped[entry.dotted] += number

    def _by_sibling(
        self, entry: Field, level: Level, cells: pa.Array, events: np.ndarray, place_of: PlaceOf
    ) -> None:
        siblings: list[object] = [None] * len(cells)
        if entry.kind_by is not None:
            path = (*entry.path[:-1], entry.kind_by.sibling)
            if path in level.cells:
                siblings = level.cells[path].to_pylist()
        for row in np.flatnonzero(cells.is_valid().to_numpy(zero_copy_only=False)).tolist():
            kind = entry.kind
            if entry.kind_by is not None:
                kind = entry.kind_by.kinds.get(str(siblings[row]), entry.kind_by.otherwise)
            self._add(kind, int(events[row]), entry.dotted + place_of(row), cells[row].as_py())

    def _unclassified(self, unknown: Sequence[UnknownValue], events: np.ndarray, place_of: PlaceOf) -> None:
        self._group.unknown.extend(unknown)
        for value in unknown:
            path = _dotted(value) + place_of(value.row)
            self._add(UNCLASSIFIED_KIND, int(events[value.row]), path, _with_its_key(value))

    def _add(self, kind: str, event: int, path: str, raw: bytes) -> None:
        self._single.setdefault(kind, {}).setdefault(event, []).append((path, raw))

    def columns_by_kind(self) -> Iterator[tuple[str, list[pa.Array]]]:
        """For each kind its columns of framed parts, as long as the events, null where there is none."""
        for kind in {**self._whole, **self._single}:
            columns = self._whole.get(kind, [])
            if kind in self._single:
                framed: list[bytes | None] = [None] * self._size
                for event, parts in self._single[kind].items():
                    framed[event] = frame_parts(parts)
                columns = [*columns, pa.array(framed, pa.binary())]
            yield kind, columns


def _no_place(row: int) -> str:
    """The event itself stands in no array."""
    return ""


def without_empty(cells: pa.Array) -> pa.Array:
    """Raw cells without the JSON values that hold nothing: null, "", [], {}."""
    short = pc.less_equal(pc.binary_length(cells), _LONGEST_EMPTY)
    if not pc.any(short).as_py():
        return cells
    return pc.if_else(pc.is_in(cells, value_set=_EMPTY), None, cells)


def _framed_column(path: bytes, cells: pa.Array) -> pa.Array:
    """A column of raw values as framed parts: length and path, length and value (`frame_parts`)."""
    lengths = pc.fill_null(pc.binary_length(cells), 0).to_numpy().astype(">u4")
    return pc.binary_join_element_wise(
        pa.scalar(length_prefixed(path), pa.binary()),
        _four_bytes(lengths),
        cells,
        pa.scalar(b"", pa.binary()),
    )


def _four_bytes(numbers: np.ndarray) -> pa.Array:
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * 4
    return pa.Array.from_buffers(
        pa.binary(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(numbers.tobytes())]
    )


def _dotted(value: UnknownValue) -> str:
    return ".".join(value.path if value.path is not None else value.parent).replace(f".{ITEMS}", ITEMS)


def _with_its_key(value: UnknownValue) -> bytes:
    """An unknown field's name is content too: it is sealed with the value, as a one-key object."""
    if value.key is None:
        return value.raw
    return b"{" + msgspec.json.encode(value.key.decode()) + b":" + value.raw + b"}"


def json_type(raw: bytes) -> str:
    """JSON type of a raw value by its first byte."""
    return _JSON_TYPES.get(raw[:1], "number")


def _cut_kind(
    plan: ShapeColumns, kind: str, parts: list[pa.Array], columns: Columns, claims: EventClaims | None
) -> CutOut:
    """The items of one kind: the parts of each event joined, with the whole length before them."""
    here = np.logical_or.reduce([part.is_valid().to_numpy(zero_copy_only=False) for part in parts])
    at = pa.array(np.flatnonzero(here))
    everything = len(at) == len(here)
    framed = parts[0]
    if len(parts) > 1:
        empty = pa.scalar(b"", pa.binary())
        framed = pc.binary_join_element_wise(*parts, empty, null_handling="replace", null_replacement=b"")
    framed = framed if everything else framed.take(at)
    lengths = pc.binary_length(framed).to_numpy().astype(">u4")
    prefixed = pc.binary_join_element_wise(_four_bytes(lengths), framed, pa.scalar(b"", pa.binary()))
    # The event's digest with the kind in the place of its last byte: the same item again has the same id, in
    # this run and in any other.
    item_ids = columns.ids[here].copy()
    item_ids[:, -1] = KIND_NUMBER[kind]
    join = [columns.join[role] for role in ("tenant", "meeting", "participant")]
    join = join if everything else [array.take(at) for array in join]
    rows = None
    if kind not in NEVER_RELEASED and claims is not None:
        rows = item_rows(plan, kind, item_ids, lengths.astype(np.int64), columns, claims, at)
    return CutOut(kind, plan.shape.contract_label, item_ids, prefixed, join, rows)
