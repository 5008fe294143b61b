"""The bulk decoder: groups of plain lines of one event shape to columns, without a Python object for a cell.

Arrow's JSON reader takes a group of lines straight to columns. It is told every field that a shape uses and
stops at any other; it finds equal keys itself. What it lacks is added around it, so that its answer for a
line is either the one that `schemas.careful` would give, or none:

- each line is checked first to be one JSON object and nothing more (Arrow would take several values from a
  line, read NaN as a number, and end the process at a null that stands alone);
- UTF-8 is validated over the whole group;
- lines with a backslash are left out: without one, a string's text in the line is its value between quotes,
  which is how a sealed value's raw bytes are had from a decoded column;
- the text of a sealed number is found behind its key: without a backslash, a quoted key before a colon
  stands nowhere but where it is a key, and how often it stands there is counted, with and without the colon;
- other sealed values, unknown fields, and values of another JSON type are left out too.

Lines that are left out are decoded one by one (`schemas.decoder`). A group with a line that Arrow refuses is
tried again in small parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from schemas.cells import Level, Path, arrow_cell_type, is_raw
from schemas.contract import ITEMS, ArrayNode, EventShape, Field, ObjectNode
from schemas.decoder import require_utf8
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault

_LINES_IN_A_PART = 64
"""Lines that are tried again together when a whole group was refused."""

_LINES_BEFORE_GIVING_UP = 4096
_GIVE_UP_BELOW = 0.5

_one_value = msgspec.json.Decoder(msgspec.Raw).decode
_QUOTE = pa.scalar(b'"', pa.binary())
_NOTHING = pa.scalar(b"", pa.binary())


class _Refused(Exception):  # noqa: N818 - a signal between two functions, not an error
    """A group holds something that Arrow took, but that is not for the bulk decoder to judge."""


@dataclass
class _Member:
    """One key of an object in the plan: a leaf, an object or an array of objects."""

    path: Path
    entry: Field | None = None
    alias_of: Path | None = None
    below: _Members | None = None
    is_array: bool = False


@dataclass
class _Members:
    """The keys of an object that are decoded in bulk, and how Arrow is told of them."""

    members: list[_Member] = field(default_factory=list)
    fields: list[pa.Field] = field(default_factory=list)
    excluded: set[bytes] = field(default_factory=set)

    def add(self, key: str, kind: pa.DataType, member: _Member) -> None:
        self.fields.append(pa.field(key, kind))
        self.members.append(member)


class BulkDecoder:
    """Decodes groups of lines of one shape; lines it cannot vouch for are returned to the caller.

    Args:
        shape: The event shape.
        learned: What has been learned about it so far; shared with the other decoders.
    """

    def __init__(self, shape: EventShape, learned: Learned) -> None:
        self._plan = _plan_of(shape.root, (), learned)
        self._events = frozenset(shape.events)
        self._type_path = shape.type_at
        self._keys_left_out = sorted(_excluded(self._plan) | {key for _, key in learned.unknown})
        self._options = arrow_json.ParseOptions(
            explicit_schema=pa.schema(self._plan.fields), unexpected_field_behavior="error"
        )

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], Level | None, list[int]]:
        """Decode lines.

        Returns:
            The indexes of the decoded lines, their columns (None without any), and the indexes left over.
        """
        plain, left = self._plain(lines)
        level = self._columns([lines[row] for row in plain] if left else lines)
        return (plain, level, left) if level is not None else ([], None, list(range(len(lines))))

    def _plain(self, lines: Sequence[bytes]) -> tuple[list[int], list[int]]:
        """Rows that may be decoded in bulk, and those that may not."""
        text = b"\n".join(lines)
        marks = [mark for mark in (b"\\", *(b'"%b"' % key for key in self._keys_left_out)) if mark in text]
        if not marks:
            return list(range(len(lines))), []
        plain: list[int] = []
        left: list[int] = []
        for row, line in enumerate(lines):
            (left if any(mark in line for mark in marks) else plain).append(row)
        return plain, left

    def _columns(self, lines: Sequence[bytes]) -> Level | None:
        """The columns of lines; None where a single one of them is not as expected."""
        if not lines or not all(line[:1] == b"{" for line in lines):
            return None
        text = b"\n".join(lines)
        try:
            for line in lines:
                _one_value(line)
            if text.count(b"\n") != len(lines) - 1:
                return None
            if not text.isascii():
                require_utf8(text)
            table = self._read(text)
            if table.num_rows != len(lines):
                return None
            level = Level(len(lines))
            columns = [column.combine_chunks() for column in table.columns]
            _Taker(lines, text).take(self._plan, columns, level)
            types = pc.unique(level.cells[self._type_path]).to_pylist()
        except (_Refused, RecordFault, msgspec.MsgspecError, RecursionError, pa.ArrowException, KeyError):
            return None
        return level if self._events.issuperset(map(str, types)) else None

    def _read(self, text: bytes) -> pa.Table:
        options = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        return arrow_json.read_json(pa.BufferReader(text), read_options=options, parse_options=self._options)


class BulkAttempts:
    """Groups of lines through the bulk decoder, for as long as that pays.

    Args:
        make: Makes the decoder from what has been learned.
    """

    def __init__(self, make: Callable[[], BulkDecoder]) -> None:
        self._make = make
        self._decoder: BulkDecoder | None = None
        self._tried = 0
        self._taken = 0

    def forget(self) -> None:
        """Build the decoder anew: more has been learned."""
        self._decoder = None

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], list[Level], list[int]]:
        """Decode what can be decoded in bulk.

        Returns:
            The indexes of the decoded lines, their columns in parts, and the indexes left over.
        """
        if self._tried > _LINES_BEFORE_GIVING_UP and self._taken < _GIVE_UP_BELOW * self._tried:
            return [], [], list(range(len(lines)))
        rows: list[int] = []
        levels: list[Level] = []
        left: list[int] = []
        for start, part, level, others in self._parts(lines):
            rows += [start + row for row in part]
            left += [start + row for row in others]
            if level is not None:
                levels.append(level)
        self._tried += len(lines)
        self._taken += len(rows)
        return rows, levels, left

    def _parts(self, lines: Sequence[bytes]) -> Iterator[tuple[int, list[int], Level | None, list[int]]]:
        decoder = self._decoder = self._decoder or self._make()
        whole = decoder.decode(lines)
        if whole[1] is not None or len(lines) <= _LINES_IN_A_PART:
            yield 0, *whole
            return
        for start in range(0, len(lines), _LINES_IN_A_PART):
            yield start, *decoder.decode(lines[start : start + _LINES_IN_A_PART])


# --- the plan ---------------------------------------------------------------------------------------------


def _plan_of(node: ObjectNode, path: Path, learned: Learned) -> _Members:
    plan = _Members()
    for key, child in node.children.items():
        here = (*path, key)
        if here not in learned.active:
            continue
        if isinstance(child, Field):
            _add_leaf(plan, key, child, here, learned, None)
        else:
            is_array = isinstance(child, ArrayNode)
            below = (
                _plan_of(child.items, (*here, ITEMS), learned)
                if isinstance(child, ArrayNode)
                else _plan_of(child, here, learned)
            )
            kind = pa.struct(below.fields)
            plan.add(key, pa.list_(kind) if is_array else kind, _Member(here, below=below, is_array=is_array))
    for alias, key in node.aliases.items():
        target = node.children[key]
        if isinstance(target, Field) and (*path, alias) in learned.active:
            _add_leaf(plan, alias, target, (*path, alias), learned, (*path, key))
    return plan


def _add_leaf(
    plan: _Members, key: str, entry: Field, path: Path, learned: Learned, alias_of: Path | None
) -> None:
    kind = _kind_of(entry, learned.kinds.get(entry.path, set()))
    if kind is None:
        plan.excluded.add(key.encode())
    else:
        plan.add(key, kind, _Member(path, entry, alias_of))


def _kind_of(entry: Field, seen: set[str]) -> pa.DataType | None:
    """The type as which Arrow reads a field; None where it is left to the other decoders."""
    if is_raw(entry):
        if seen == {"number"} and ITEMS not in entry.path:
            return pa.float64()
        return pa.string() if seen <= {"string"} else None
    kind = arrow_cell_type(entry)
    if entry.is_list or "string" in seen or not seen or kind != pa.string():
        return kind
    return {"number": pa.int64(), "boolean": pa.bool_()}.get(next(iter(seen)))


def _excluded(plan: _Members) -> set[bytes]:
    below = (_excluded(member.below) for member in plan.members if member.below is not None)
    return plan.excluded.union(*below)


# --- from Arrow's columns to a level ----------------------------------------------------------------------


class _Taker:
    """Places the columns of a group of lines.

    Args:
        lines: The lines.
        text: The lines, joined.
    """

    def __init__(self, lines: Sequence[bytes], text: bytes) -> None:
        self._lines = lines
        self._text = text

    def take(self, plan: _Members, columns: Sequence[pa.Array], level: Level) -> None:
        """Place the columns of an object, and those of the objects and arrays in it."""
        for member, column in zip(plan.members, columns, strict=True):
            if member.entry is not None:
                self._refuse_nulls_beside(member)
                _place(member, self._cells(member.entry, member.path, column), level)
            elif member.is_array:
                self._take_array(member, column, level)
            elif member.below is not None:
                self.take(member.below, column.flatten(), level)

    def _refuse_nulls_beside(self, member: _Member) -> None:
        """Leave it to the other decoders which spelling of a key counts where one of them may say null.

        Arrow tells a null from nothing at all only by the text that it was in.
        """
        if member.alias_of is not None and b"null" in self._text:
            raise _Refused

    def _take_array(self, member: _Member, column: pa.Array, level: Level) -> None:
        assert member.below is not None  # noqa: S101 - an array has elements; narrows a type
        elements = column.flatten()
        if elements.null_count:
            raise _Refused
        below = Level(len(elements))
        below.parent_rows = np.asarray(pc.list_parent_indices(column), dtype=np.int64)
        self.take(member.below, elements.flatten(), below)
        level.arrays[member.path] = below

    def _cells(self, entry: Field, path: Path, column: pa.Array) -> pa.Array:
        """A column as the other decoders give it: JSON text where sealed, canonical text where types mix."""
        if is_raw(entry):
            if pa.types.is_floating(column.type):
                return self._number_texts(path[-1], column)
            return pc.binary_join_element_wise(_QUOTE, column.cast(pa.binary()), _QUOTE, _NOTHING)
        if entry.is_list and column.flatten().null_count:
            raise _Refused
        kind = arrow_cell_type(entry)
        return column if column.type == kind else column.cast(kind)

    def _number_texts(self, key: str, column: pa.Array) -> pa.Array:
        """The numbers of a column as they stand in their lines."""
        mark = f'"{key}":'
        numbers = len(column) - column.null_count
        # White space before a colon would hide the same key of another object from the second count.
        if not self._text.count(mark[:-1].encode()) == self._text.count(mark.encode()) == numbers:
            raise _Refused
        at = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)).tolist()
        number = re.compile(rb"%b(-?[0-9][0-9.eE+-]*)" % re.escape(mark.encode()))
        texts: list[bytes | None] = [None] * len(column)
        for row in at:
            found = number.search(self._lines[row])
            if found is None:
                raise _Refused
            texts[row] = found[1]
        return pa.array(texts, pa.binary())


def _place(member: _Member, array: pa.Array, level: Level) -> None:
    path = member.alias_of or member.path
    own = level.cells.get(path)
    if own is None:
        level.cells[path] = array
        return
    if pc.any(pc.and_(own.is_valid(), array.is_valid())).as_py():
        raise _Refused
    level.cells[path] = pc.coalesce(own, array)
