"""The fast decoder: from lines of one event shape to columns of cells, with content left as raw bytes.

A contract's shape becomes a tree of `msgspec` structs that forbid unknown fields. Fields that are sealed or
dropped are declared raw: they are cut out as slices of the line and never become Python strings.

`msgspec` alone is not strict enough: it keeps the last of two equal keys, and passes invalid UTF-8 inside raw
slices. What it lacks is added per group of lines with sums that cost a few nanoseconds a field, and that are
exact because each of them can only err to one side:

- every colon of a line belongs to a decoded key, to a decoded string or to a raw slice; a key that was
  overwritten by an equal one leaves colons that nobody accounts for;
- a backslash outside the raw slices means an escape in a key or a typed string; such lines are read by
  `schemas.careful` instead, so that the sum above stays exact;
- UTF-8 is validated over the whole group by Arrow, without making a string of it;
- raw slices that hold objects or arrays are scanned for duplicate keys and depth.

Where a sum does not come out, the group is halved until the odd line is alone; `schemas.careful` decides it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from schemas.cells import Level, Path, UnknownValue, raw_column, text_bytes, typed_column
from schemas.contract import EventShape
from schemas.decoder_plan import Learned, ObjectPlan, PlanBuilder, Slot
from schemas.strict_json import RecordFault, check_containers

MAX_DEPTH = 32
"""Deepest nesting of objects and arrays in a record; nothing that a platform sends comes near it."""

_HALVE_BELOW = 4


class _Odd(Exception):  # noqa: N818 - a signal between two functions, not an error
    """The sums of a group do not come out: at least one of its lines needs the careful path."""


@dataclass
class _Account:
    """What has been accounted for in a group of lines."""

    colons: int = 0
    backslashes: int = 0


class FastDecoder:
    """Decodes lines of one shape; lines it cannot vouch for are returned to the caller.

    Args:
        shape: The event shape.
        learned: What has been learned about it so far; shared with the careful path.
    """

    def __init__(self, shape: EventShape, learned: Learned) -> None:
        learned.active.update(shape.type_at[:end] for end in range(1, len(shape.type_at) + 1))
        self._plan = PlanBuilder(learned).object(shape.root, ())
        self._decode = msgspec.json.Decoder(self._plan.struct).decode
        self._events = frozenset(shape.events)
        self._type_path = shape.type_at

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], Level, list[int]]:
        """Decode lines.

        Returns:
            The indexes of the decoded lines, their columns, and the indexes of the lines left over.
        """
        rows, objects, left = self._parse(lines)
        if not rows:
            return [], Level(), left
        try:
            return rows, self._check([lines[row] for row in rows], objects), left
        except (_Odd, RecordFault):
            pass
        good: list[int] = []
        self._sieve(lines, rows, objects, 0, len(rows), good, left)
        kept = set(good)
        objects = [entry for row, entry in zip(rows, objects, strict=True) if row in kept]
        return good, _columns(self._plan, objects, None), sorted(left)

    def _parse(self, lines: Sequence[bytes]) -> tuple[list[int], list[Any], list[int]]:
        decode = self._decode
        try:
            return list(range(len(lines))), [decode(line) for line in lines], []
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            pass
        rows, objects, left = [], [], []
        for number, line in enumerate(lines):
            try:
                objects.append(decode(line))
                rows.append(number)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                left.append(number)
        return rows, objects, left

    def _sieve(
        self,
        lines: Sequence[bytes],
        rows: list[int],
        objects: list[Any],
        start: int,
        end: int,
        good: list[int],
        left: list[int],
    ) -> None:
        """Halve a group until every part either adds up or is small enough for the careful path."""
        if start == end:
            return
        try:
            self._check([lines[row] for row in rows[start:end]], objects[start:end])
        except (_Odd, RecordFault):
            if end - start < _HALVE_BELOW:
                left.extend(rows[start:end])
                return
            middle = (start + end) // 2
            self._sieve(lines, rows, objects, start, middle, good, left)
            self._sieve(lines, rows, objects, middle, end, good, left)
        else:
            good.extend(rows[start:end])

    def _check(self, lines: list[bytes], objects: list[Any]) -> Level:
        text = b"\n".join(lines)
        if not text.isascii():
            require_utf8(text)
        account = _Account()
        level = _columns(self._plan, objects, account)
        if text.count(b":") != account.colons or text.count(b"\\") != account.backslashes:
            raise _Odd
        types = pc.unique(level.cells[self._type_path]).to_pylist()
        if not self._events.issuperset(map(str, types)):
            raise _Odd
        return level


def _columns(plan: ObjectPlan, structs: Sequence[Any], account: _Account | None) -> Level:
    """Transpose structs into columns, and account for what stands in them if asked."""
    level = Level(len(structs))
    _Transposer(level, account).transpose(plan, structs)
    return level


class _Transposer:
    """Fills one level with columns, object by object."""

    def __init__(self, level: Level, account: _Account | None) -> None:
        self._level = level
        self._account = account

    def transpose(self, plan: ObjectPlan, structs: Sequence[Any]) -> list[pa.Array]:
        """Fill in the columns of an object.

        Returns:
            For each field and array at any depth below, a column that is null where its key was absent.
        """
        columns: list[Any] = list(zip(*map(plan.getter, structs), strict=True))
        seen = [self._slot(slot, column) for slot, column in zip(plan.slots, columns, strict=False)]
        columns = columns[len(plan.slots) :]
        for (_, below), column in zip(plan.objects, columns, strict=False):
            inside = self.transpose(below, column)
            if self._account is not None:
                self._account.colons += _rows_with(inside, len(structs))
            seen += inside
        columns = columns[len(plan.objects) :]
        for (path, _, elements), column in zip(plan.arrays, columns, strict=False):
            seen.append(self._array(path, elements, column))
        return seen

    def _slot(self, slot: Slot, column: Sequence[Any]) -> pa.Array:
        array, seen = _slot_column(slot, column)
        if self._account is not None:
            self._account.colons += len(seen) - seen.null_count
            _account_cells(slot, array, self._account)
        _place(slot, array, self._level)
        return seen

    def _array(self, path: Path, elements: ObjectPlan, column: Sequence[Any]) -> pa.Array:
        counts = np.fromiter((len(cell) if cell else 0 for cell in column), np.int64, len(column))
        below = _columns(elements, list(chain.from_iterable(filter(None, column))), self._account)
        below.parent_rows = np.repeat(np.arange(len(column)), counts)
        self._level.arrays[path] = below
        seen = pa.array([None if cell is None else True for cell in column])
        if self._account is not None:
            self._account.colons += len(seen) - seen.null_count
        return seen


def _slot_column(slot: Slot, column: Sequence[Any]) -> tuple[pa.Array, pa.Array]:
    """A slot's column, and one that is null exactly where the key was absent."""
    if slot.is_raw:
        array = raw_column(column)
        return array, array
    assert slot.entry is not None  # noqa: S101 - only unknown keys have no field, and they are raw
    if slot.is_nullable:
        seen = pa.array([None if cell is UNSET else True for cell in column])
        return typed_column(slot.entry, [None if cell is UNSET else cell for cell in column]), seen
    array = typed_column(slot.entry, column)
    return array, array


def _account_cells(slot: Slot, array: pa.Array, account: _Account) -> None:
    text = text_bytes(array)
    account.colons += text.count(b":")
    if slot.is_raw:
        account.backslashes += text.count(b"\\")
        if b"{" in text or b"[" in text:
            for cell in array.drop_null().to_pylist():
                if cell[:1] in (b"{", b"["):
                    check_containers(cell, max_depth=MAX_DEPTH - len(slot.path))


def _place(slot: Slot, array: pa.Array, level: Level) -> None:
    if slot.key is not None:
        rows = np.flatnonzero(array.is_valid().to_numpy(zero_copy_only=False)).tolist()
        level.unknown.extend(
            UnknownValue(row, slot.path, slot.key, raw)
            for row, raw in zip(rows, array.drop_null().to_pylist(), strict=True)
        )
    elif slot.alias_of is None:
        level.cells[slot.path] = array
    elif slot.alias_of not in level.cells:
        level.cells[slot.alias_of] = array
    else:
        own = level.cells[slot.alias_of]
        if pc.any(pc.and_(own.is_valid(), array.is_valid())).as_py():
            raise _Odd
        level.cells[slot.alias_of] = pc.coalesce(own, array)


def _rows_with(inside: Sequence[pa.Array], size: int) -> int:
    """How many rows hold at least one field of an object (so that the object's own key is there)."""
    partial = []
    for seen in inside:
        if not seen.null_count:
            return size
        if seen.null_count < size:
            partial.append(seen.is_valid().to_numpy(zero_copy_only=False))
    return int(np.logical_or.reduce(partial).sum()) if partial else 0


def require_utf8(data: bytes) -> None:
    """Raise RecordFault (INVALID_UTF8) unless the bytes are UTF-8; makes no string of them."""
    offsets = pa.py_buffer(len(data).to_bytes(8, "little").rjust(16, b"\0"))
    array = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raise RecordFault("INVALID_UTF8", 0) from None
