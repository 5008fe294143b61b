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

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from schemas.classification import Protection
from schemas.contract import ITEMS, ArrayNode, EventShape, Field, ObjectNode
from schemas.strict_json import RecordFault, check_containers

MAX_DEPTH = 32
"""Deepest nesting of objects and arrays in a record; nothing that a platform sends comes near it."""

MAX_LEARNED = 64
"""Unknown fields a shape learns per worker; beyond them lines take the careful path."""

_HALVE_BELOW = 4
_INT64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

Path = tuple[str, ...]


def is_raw(entry: Field) -> bool:
    """Whether a field's value is cut out as bytes and never decoded."""
    return entry.protection in (Protection.SEAL, Protection.DROP)


def cell_type(entry: Field) -> Any:
    """The Python type into which a kept or pseudonymised value is decoded."""
    scalar = _scalar_type(entry)
    return list[scalar] if entry.is_list else scalar  # type: ignore[valid-type]


def _scalar_type(entry: Field) -> Any:
    if entry.protection is Protection.PSEUDONYM:
        return _INT64 | str
    if entry.protection is Protection.TRUNCATE_IP or entry.text_form is not None:
        return str
    base: Any = {
        "string": str,
        "integer": _INT64,
        "number": float,
        "boolean": bool,
        "timestamp": _INT64 if entry.unit else str,
    }[entry.logical_type]
    for other in entry.accepts:
        base = base | {"string": str, "integer": _INT64, "boolean": bool, "number": float}[other]
    return base


@dataclass(frozen=True)
class UnknownValue:
    """A value under a key that the contract does not name, or that does not fit its field.

    Attributes:
        row: Row of the level the value stands in.
        parent: Known path of the object around it.
        key: The unknown key, or None where the key is known and only the value does not fit.
        raw: The value's JSON text.
    """

    row: int
    parent: Path
    key: bytes | None = field(repr=False)
    raw: bytes = field(repr=False)
    path: Path | None = None


@dataclass
class Level:
    """Columns of one level of an event shape: the event itself, or the elements of one array.

    Attributes:
        size: Number of rows.
        cells: For each leaf path that is in use, a cell a row: a raw slice, a typed value, or None.
        parent_rows: For each element its row in the level above (empty for the event itself).
        arrays: The arrays of this level by path.
        unknown: Values that no field of the contract takes.
    """

    size: int
    cells: dict[Path, list[Any]]
    arrays: dict[Path, Level]
    parent_rows: list[int] = field(default_factory=list)
    unknown: list[UnknownValue] = field(default_factory=list)


@dataclass
class _Slot:
    path: Path
    attribute: str
    entry: Field | None
    is_raw: bool
    is_nullable: bool
    key: bytes | None = None
    alias_of: Path | None = None


@dataclass
class _LevelPlan:
    """How one level is decoded: its struct, and where each leaf and array lies in it."""

    struct: type[Struct]
    slots: list[_Slot] = field(default_factory=list)
    objects: list[Path] = field(default_factory=list)
    arrays: list[tuple[Path, str, _LevelPlan]] = field(default_factory=list)
    getter: Callable[[Any], tuple[Any, ...]] = field(default=lambda row: ())


@dataclass
class Learned:
    """What a worker has learned about a shape from the events that it has seen.

    A contract names every field that a platform may send; most events use a few of them. The fast decoder is
    built for the fields that have been seen, and grows when another one comes.

    Attributes:
        active: Paths that have been seen: fields, objects, arrays and other spellings.
        unknown: (parent path, key) of fields that the contract does not name.
        nullable: Paths of fields that were seen as null.
    """

    active: set[Path] = field(default_factory=set)
    unknown: dict[tuple[Path, bytes], None] = field(default_factory=dict)
    nullable: set[Path] = field(default_factory=set)

    def activate(self, path: Path) -> bool:
        """Remember that a path of the contract is in use; True when the decoder has to be built anew."""
        if path in self.active:
            return False
        self.active.add(path)
        return True

    def learn_unknown(self, parent: Path, key: bytes) -> bool:
        """Remember an unknown key; True when the decoder has to be built anew."""
        slot = (parent, key)
        if slot in self.unknown or len(self.unknown) >= MAX_LEARNED or not _can_be_slot(key):
            return False
        self.unknown[slot] = None
        return True

    def learn_null(self, path: Path) -> bool:
        """Remember that a field can be null; True when the decoder has to be built anew."""
        if path in self.nullable:
            return False
        self.nullable.add(path)
        return True


def _can_be_slot(key: bytes) -> bool:
    return 0 < len(key) <= 64 and key.isascii() and not any(byte in b':\\"' or byte < 32 for byte in key)


class _Builder:
    """Builds the structs of a shape."""

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._count = 0

    def level(self, node: ObjectNode, path: Path) -> _LevelPlan:
        plan = _LevelPlan(struct=Struct)
        plan.struct = self._struct(node, path, "", plan)
        names = [slot.attribute for slot in plan.slots] + [attribute for _, attribute, _ in plan.arrays]
        if names:
            # attrgetter returns a bare value for one name; a repeated name keeps it a tuple.
            plan.getter = operator.attrgetter(*names, names[0])
        return plan

    def _struct(self, node: ObjectNode, path: Path, prefix: str, plan: _LevelPlan) -> type[Struct]:
        fields: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        active = self._learned.active
        for number, (key, child) in enumerate(node.children.items()):
            if (*path, key) not in active:
                continue
            attribute = f"f{number}"
            rename[attribute] = key
            fields.append((attribute, *self._member(child, (*path, key), prefix + attribute, plan)))
        for number, (alias, key) in enumerate(node.aliases.items()):
            child = node.children[key]
            if isinstance(child, Field) and (*path, alias) in active:
                attribute = f"a{number}"
                rename[attribute] = alias
                slot = self._slot(child, (*path, alias), prefix + attribute, plan, alias_of=(*path, key))
                fields.append((attribute, *slot))
        for parent, unknown_key in self._learned.unknown:
            if parent == path:
                attribute = f"u{len(fields)}"
                rename[attribute] = unknown_key.decode()
                plan.slots.append(
                    _Slot(path, prefix + attribute, None, is_raw=True, is_nullable=False, key=unknown_key)
                )
                fields.append((attribute, Raw, None))
        self._count += 1
        return msgspec.defstruct(
            f"Shape{self._count}",
            fields,
            rename=rename,
            forbid_unknown_fields=True,
            frozen=True,
            eq=False,
            gc=False,
            kw_only=True,
        )

    def _member(self, child: Any, path: Path, attribute: str, plan: _LevelPlan) -> tuple[Any, Any]:
        if isinstance(child, Field):
            return self._slot(child, path, attribute, plan)
        if isinstance(child, ArrayNode):
            elements = self.level(child.items, (*path, ITEMS))
            plan.arrays.append((path, attribute, elements))
            return list[elements.struct], None  # type: ignore[name-defined]
        plan.objects.append(path)
        struct = self._struct(child, path, f"{attribute}.", plan)
        # One shared instance stands for every absent object, so that attribute paths always resolve.
        return struct, struct()

    def _slot(
        self, entry: Field, path: Path, attribute: str, plan: _LevelPlan, alias_of: Path | None = None
    ) -> tuple[Any, Any]:
        raw = is_raw(entry)
        nullable = not raw and entry.path in self._learned.nullable
        plan.slots.append(_Slot(path, attribute, entry, raw, nullable, alias_of=alias_of))
        if raw:
            return Raw, None
        if nullable:
            return cell_type(entry) | None | UnsetType, UNSET
        return cell_type(entry), None


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
        self._plan = _Builder(learned).level(shape.root, ())
        self._decode = msgspec.json.Decoder(self._plan.struct).decode
        self._events = frozenset(shape.events)
        self._type_path = shape.type_at

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], Level, list[int]]:
        """Decode lines.

        Returns:
            The indexes of the decoded lines, their columns, and the indexes of the lines left over.
        """
        rows, objects, left = self._parse(lines)
        try:
            return rows, self._check([lines[row] for row in rows], objects), left
        except (_Odd, RecordFault):
            pass
        good: list[int] = []
        self._sieve(lines, rows, objects, 0, len(rows), good, left)
        kept = set(good)
        objects = [entry for row, entry in zip(rows, objects, strict=True) if row in kept]
        return good, self._columns(self._plan, objects, [], None), sorted(left)

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
        level = self._columns(self._plan, objects, [], account)
        if text.count(b":") != account.colons or text.count(b"\\") != account.backslashes:
            raise _Odd
        if not self._events.issuperset(map(str, set(level.cells[self._type_path]))):
            raise _Odd
        return level

    def _columns(
        self, plan: _LevelPlan, objects: list[Any], parent_rows: list[int], account: _Account | None
    ) -> Level:
        size = len(objects)
        columns: list[Any] = list(zip(*map(plan.getter, objects), strict=True))
        level = Level(size, {}, {}, parent_rows)
        present: dict[Path, list[Any]] = {}
        for slot, column in zip(plan.slots, columns or [()] * len(plan.slots), strict=False):
            self._take_slot(slot, column, level, account)
            if account is not None:
                seen = [None if cell is UNSET else True for cell in column] if slot.is_nullable else column
                present.setdefault(slot.path, []).append(seen)
        for (path, _, elements), column in zip(plan.arrays, columns[len(plan.slots) :], strict=False):
            self._take_array(path, elements, column, level, account)
            if account is not None:
                present.setdefault(path, []).append(column)
        if account is not None:
            account.colons += sum(_rows_with(path, present, size) for path in plan.objects)
        for path, _, elements in plan.arrays:
            if path not in level.arrays:
                level.arrays[path] = self._columns(elements, [], [], None)
        return level

    def _take_slot(self, slot: _Slot, column: Any, level: Level, account: _Account | None) -> None:
        cells = [cell for cell in column if cell is not None] if account is not None else []
        if slot.is_nullable:
            cells = [cell for cell in column if cell is not UNSET]
            column = [None if cell is UNSET else cell for cell in column]
        if account is not None:
            account.colons += len(cells)
            _account_cells(slot, [cell for cell in cells if cell is not None], account)
        if slot.key is not None:
            level.unknown.extend(
                UnknownValue(row, slot.path, slot.key, bytes(cell))
                for row, cell in enumerate(column)
                if cell is not None
            )
        elif slot.alias_of is not None:
            _merge_alias(slot, column, level)
        else:
            level.cells[slot.path] = list(column)

    def _take_array(
        self, path: Path, plan: _LevelPlan, column: Any, level: Level, account: _Account | None
    ) -> None:
        elements = [entry for cell in column if cell for entry in cell]
        parents = [row for row, cell in enumerate(column) if cell for _ in cell]
        if account is not None:
            account.colons += sum(1 for cell in column if cell is not None)
        level.arrays[path] = self._columns(plan, elements, parents, account)


def _account_cells(slot: _Slot, cells: list[Any], account: _Account) -> None:
    if slot.is_raw:
        text = b"".join(cells)
        account.colons += text.count(b":")
        account.backslashes += text.count(b"\\")
        if b"{" in text or b"[" in text:
            for cell in cells:
                if bytes(memoryview(cell)[:1]) in (b"{", b"["):
                    check_containers(bytes(cell), max_depth=MAX_DEPTH - len(slot.path))
        return
    if slot.entry is not None and slot.entry.is_list:
        cells = [item for cell in cells for item in cell]
    texts = [cell for cell in cells if cell.__class__ is str]
    if texts:
        account.colons += "".join(texts).count(":")


def _rows_with(path: Path, present: dict[Path, list[Any]], size: int) -> int:
    """How many rows hold at least one field below an object (so that the object's own key is there)."""
    below = [column for leaf, columns in present.items() if leaf[: len(path)] == path for column in columns]
    partial = []
    for column in below:
        absent = column.count(None)
        if absent == 0:
            return size
        if absent != size:
            partial.append(column)
    if not partial:
        return 0
    return sum(1 for cells in zip(*partial, strict=True) if any(cell is not None for cell in cells))


def _merge_alias(slot: _Slot, column: Iterable[Any], level: Level) -> None:
    """Put a value that came under another spelling where the contract's own spelling keeps it."""
    assert slot.alias_of is not None  # noqa: S101 - narrows a type
    cells = level.cells.setdefault(slot.alias_of, [None] * level.size)
    for row, cell in enumerate(column):
        if cell is None:
            continue
        if cells[row] is not None:
            raise _Odd
        cells[row] = cell


def concatenate(first: Level, second: Level) -> Level:
    """The rows of two levels of one shape, one after the other."""
    if not second.size and not second.unknown:
        return first
    shift = first.size
    cells = {
        path: [
            *first.cells.get(path, [None] * first.size),
            *second.cells.get(path, [None] * second.size),
        ]
        for path in {**first.cells, **second.cells}
    }
    arrays = {}
    for path in {**first.arrays, **second.arrays}:
        below = first.arrays.get(path, Level(0, {}, {}))
        other = second.arrays.get(path, Level(0, {}, {}))
        moved = Level(
            other.size, other.cells, other.arrays, [row + shift for row in other.parent_rows], other.unknown
        )
        arrays[path] = concatenate(below, moved)
    unknown = [*first.unknown, *(replace(value, row=value.row + shift) for value in second.unknown)]
    return Level(shift + second.size, cells, arrays, [*first.parent_rows, *second.parent_rows], unknown)


def require_utf8(data: bytes) -> None:
    """Raise RecordFault (INVALID_UTF8) unless the bytes are UTF-8; makes no string of them."""
    offsets = pa.py_buffer(len(data).to_bytes(8, "little").rjust(16, b"\0"))
    array = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        raise RecordFault("INVALID_UTF8", 0) from None
