"""Columns of decoded cells as Arrow arrays: raw slices as binary, typed values in their own type.

Content is copied from the line into Arrow's buffer and never becomes a Python string on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta

from schemas.classification import Protection
from schemas.contract import Field

Path = tuple[str, ...]

_INT64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


def is_raw(entry: Field) -> bool:
    """Whether a field's value is cut out as bytes and never decoded."""
    return entry.protection in (Protection.SEAL, Protection.DROP)


def cell_type(entry: Field) -> Any:
    """The Python type into which a kept or pseudonymised value is decoded."""
    scalar: Any = _scalar_types(entry)[0]
    for other in _scalar_types(entry)[1:]:
        scalar = scalar | other
    return list[scalar] if entry.is_list else scalar


def _scalar_types(entry: Field) -> list[Any]:
    if entry.protection is Protection.PSEUDONYM:
        return [_INT64, str]
    if entry.protection is Protection.TRUNCATE_IP or entry.text_form is not None:
        return [str]
    base: Any = {
        "string": str,
        "integer": _INT64,
        "number": float,
        "boolean": bool,
        "timestamp": _INT64 if entry.unit else str,
    }[entry.logical_type]
    others = {"string": str, "integer": _INT64, "boolean": bool, "number": float}
    return [base, *(others[name] for name in entry.accepts if others[name] is not base)]


def arrow_cell_type(entry: Field) -> pa.DataType:
    """Arrow type of a column of cells: binary where raw, string where several JSON types may come."""
    if is_raw(entry):
        return pa.binary()
    scalars = _scalar_types(entry)
    kinds = {str: pa.string(), _INT64: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    scalar = kinds[scalars[0]] if len(scalars) == 1 else pa.string()
    return pa.list_(pa.field("element", scalar)) if entry.is_list else scalar


def typed_column(entry: Field, cells: Sequence[Any]) -> pa.Array:
    """Decoded values as a column; values of several JSON types become their canonical text."""
    kind = arrow_cell_type(entry)
    try:
        return pa.array(cells, kind)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        if entry.is_list:
            return pa.array(
                [None if cell is None else [_text(item) for item in cell] for cell in cells], kind
            )
        return pa.array([_text(cell) for cell in cells], kind)


def _text(cell: Any) -> str | None:
    if cell is None or cell.__class__ is str:
        return cell
    if cell.__class__ is bool:
        return "true" if cell else "false"
    return str(cell)


def raw_column(cells: Sequence[Any]) -> pa.Array:
    """Raw slices (anything with a buffer, or None) as a binary column, in one copy."""
    validity = None
    absent = 0
    try:
        data = b"".join(cells)
    except TypeError:
        here = np.array([cell is not None for cell in cells], dtype=bool)
        absent = len(cells) - int(here.sum())
        validity = pa.py_buffer(np.packbits(here, bitorder="little"))
        cells = [b"" if cell is None else cell for cell in cells]
        data = b"".join(cells)
    offsets = np.zeros(len(cells) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, cells), np.int32, len(cells)), out=offsets[1:])
    buffers = [validity, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(cells), buffers, null_count=absent)


def text_bytes(column: pa.Array) -> bytes:
    """The bytes of all strings or raw slices of a column, joined; empty for other types."""
    while pa.types.is_list(column.type):
        column = column.flatten()
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        return b""
    data = column.buffers()[2]
    return b"" if data is None or not len(column) else data.to_pybytes()


@dataclass(frozen=True)
class UnknownValue:
    """A value under a key that the contract does not name, or that does not fit its field.

    Attributes:
        row: Row of the level the value stands in.
        parent: Known path of the object around it.
        key: The unknown key, or None where the key is known and only the value does not fit.
        raw: The value's JSON text.
        path: The known path, where the key is known.
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
        cells: For each leaf path that is in use its column (binary where raw).
        arrays: The arrays of this level by path.
        parent_rows: For each element its row in the level above (int64; empty for the event itself).
        unknown: Values that no field of the contract takes.
    """

    size: int = 0
    cells: dict[Path, pa.Array] = field(default_factory=dict)
    arrays: dict[Path, Level] = field(default_factory=dict)
    parent_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    unknown: list[UnknownValue] = field(default_factory=list)


def concatenate(levels: Sequence[Level]) -> Level:
    """The rows of several levels of one shape, one after the other."""
    filled = [level for level in levels if level.size or level.unknown]
    if len(filled) < 2:
        return filled[0] if filled else Level()
    starts = np.cumsum([0, *(level.size for level in filled)]).tolist()
    kinds = {path: column.type for level in filled for path, column in level.cells.items()}
    cells = {
        path: pa.concat_arrays([_column(level, path, kind) for level in filled])
        for path, kind in kinds.items()
    }
    arrays = {
        path: concatenate(
            [_moved(level.arrays.get(path), start) for level, start in zip(filled, starts, strict=False)]
        )
        for path in dict.fromkeys(path for level in filled for path in level.arrays)
    }
    unknown = [
        UnknownValue(value.row + start, value.parent, value.key, value.raw, value.path)
        for level, start in zip(filled, starts, strict=False)
        for value in level.unknown
    ]
    parents = np.concatenate([level.parent_rows for level in filled])
    return Level(starts[-1], cells, arrays, parents, unknown)


def _column(level: Level, path: Path, kind: pa.DataType) -> pa.Array:
    column = level.cells.get(path)
    return pa.nulls(level.size, kind) if column is None else column


def _moved(level: Level | None, start: int) -> Level:
    """An array's elements, their parents counted from another start."""
    if level is None:
        return Level()
    return Level(level.size, level.cells, level.arrays, level.parent_rows + start, level.unknown)


def encoded_cell(column: pa.Array, row: int) -> bytes:
    """One typed cell as JSON text again, to be sealed."""
    return msgspec.json.encode(column[row].as_py())
