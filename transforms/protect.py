"""Columns of decoded cells become typed Arrow columns; what does not fit its contract is handed back.

Both decoders feed the functions here, so that a value is judged in one place only. A cell that is outside its
closed set, pattern, range or unit never reaches the column: its row is named as a misfit, the column holds a
null there, and the caller seals the value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Field

TIMESTAMP = pa.timestamp("ms", tz="UTC")
EARLIEST_MS = 946_684_800_000  # 2000-01-01: no event of a meeting platform is older
LATEST_MS = 4_102_444_800_000  # 2100-01-01

_UNIT_SIGNS = {"percent": "%", "fps": "fps", "kbps": "kbps", "ms": "ms", "mbps": "mbps", "dbm": "dbm"}
_RFC3339 = r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$"
_NOTHING = r"[^\s\S]"
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Protected:
    """A protected column.

    Attributes:
        array: The column; null where the cell was absent or is a misfit.
        misfits: Rows whose cell the contract does not allow.
    """

    array: pa.Array
    misfits: list[int]


def kept_type(entry: Field) -> pa.DataType:
    """Arrow type of a kept field's column."""
    if entry.is_list:
        return pa.list_(_scalar_type(entry))
    return _scalar_type(entry)


def _scalar_type(entry: Field) -> pa.DataType:
    if entry.logical_type == "timestamp":
        return TIMESTAMP
    if entry.text_form is not None:
        return pa.float64()
    return {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }.get(entry.logical_type, pa.string())


def keep(entry: Field, cells: Sequence[Any]) -> Protected:
    """The column of a field that is kept: judged against its closed set, pattern, range or unit."""
    if entry.is_list:
        return _keep_lists(entry, cells)
    if entry.logical_type == "timestamp":
        return timestamps(cells, entry.unit)
    if entry.text_form is not None:
        return _by_distinct(cells, _number_reader(entry), pa.float64())
    if entry.logical_type == "boolean":
        return _booleans(cells)
    if entry.logical_type in ("integer", "number"):
        return _numbers(entry, cells)
    return _strings(entry, cells)


def _strings(entry: Field, cells: Sequence[Any]) -> Protected:
    column = pa.array(cells, pa.string())
    encoded = column.dictionary_encode()
    allowed = _allowed(entry, encoded.dictionary)
    if pc.all(allowed, min_count=0).as_py():
        return Protected(column, [])
    fits = pc.take(allowed, encoded.indices)
    return _without(column, fits)


def _allowed(entry: Field, values: pa.Array) -> pa.Array:
    if entry.values is not None:
        return pc.is_in(values, value_set=pa.array([str(value) for value in entry.values], pa.string()))
    short = pc.less_equal(pc.utf8_length(values), entry.max_length or 0)
    matches = pc.match_substring_regex(values, rf"\A(?:{entry.pattern or _NOTHING})\z")
    return pc.and_(short, matches)


def _without(column: pa.Array, fits: pa.Array) -> Protected:
    """Null out the rows that do not fit and name them (absent cells fit)."""
    fits = pc.fill_null(fits, True)
    misfits = np.flatnonzero(~fits.to_numpy(zero_copy_only=False)).tolist()
    if not misfits:
        return Protected(column, [])
    return Protected(pc.if_else(fits, column, pa.scalar(None, column.type)), misfits)


def _numbers(entry: Field, cells: Sequence[Any]) -> Protected:
    kind = pa.int64() if entry.logical_type == "integer" else pa.float64()
    if any(cell.__class__ is str for cell in cells):
        return _by_distinct(cells, _plain_number_reader(entry), kind)
    column = pa.array(cells, kind)
    if entry.values is not None:
        return _without(column, _in_closed_numbers(entry, column))
    low, high = pc.min_max(column).as_py().values()
    if low is None or (low >= (entry.minimum or 0) and high <= (entry.maximum or 0)):
        return Protected(column, [])
    above = pc.greater_equal(column, pa.scalar(entry.minimum or 0, kind))
    return _without(column, pc.and_(above, pc.less_equal(column, pa.scalar(entry.maximum or 0, kind))))


def _in_closed_numbers(entry: Field, column: pa.Array) -> pa.Array:
    inside = pc.is_in(column, value_set=pa.array(list(entry.values or ()), column.type))
    return pc.or_kleene(inside, pc.is_null(column))


def _booleans(cells: Sequence[Any]) -> Protected:
    if any(cell.__class__ is str for cell in cells):
        return _by_distinct(
            cells, lambda cell: cell if cell.__class__ is bool else _TRUTH.get(str(cell)), pa.bool_()
        )
    return Protected(pa.array(cells, pa.bool_()), [])


def _by_distinct(cells: Sequence[Any], read: Callable[[Any], Any], kind: pa.DataType) -> Protected:
    """Read each distinct cell once; a cell that reads as None is a misfit, an empty one is absent."""
    memo: dict[Any, Any] = {None: None, "": None}
    values = []
    misfits = []
    for row, cell in enumerate(cells):
        try:
            value = memo[cell]
        except KeyError:
            value = memo[cell] = read(cell)
        values.append(value)
        if value is None and cell is not None and cell != "":
            misfits.append(row)
    return Protected(pa.array(values, kind), misfits)


def _number_reader(entry: Field) -> Callable[[Any], float | None]:
    sign = _UNIT_SIGNS.get((entry.unit or "").lower(), entry.unit or "")
    suffix = rf"\s?{re.escape(sign)}" if entry.text_form == "number_with_unit" else ""
    pattern = re.compile(rf"(-?\d{{1,15}}(?:\.\d{{1,9}})?){suffix}", re.ASCII)

    def read(cell: Any) -> float | None:
        found = pattern.fullmatch(str(cell).strip(" "))
        return _bounded(entry, float(found.group(1))) if found else None

    return read


def _plain_number_reader(entry: Field) -> Callable[[Any], Any]:
    whole = entry.logical_type == "integer"
    pattern = re.compile(r"-?\d{1,18}" if whole else r"-?\d{1,15}(?:\.\d{1,9})?", re.ASCII)

    def read(cell: Any) -> Any:
        if cell.__class__ is str:
            if not pattern.fullmatch(cell):
                return None
            cell = int(cell) if whole else float(cell)
        if entry.values is not None:
            return cell if cell in entry.values else None
        return _bounded(entry, cell)

    return read


def _bounded(entry: Field, number: Any) -> Any:
    low, high = entry.minimum, entry.maximum
    return number if low is not None and high is not None and low <= number <= high else None


def timestamps(cells: Sequence[Any], unit: str | None) -> Protected:
    """RFC 3339 text, or integers in the unit, as milliseconds UTC inside the accepted window."""
    if unit is not None:
        return _epoch_times(cells, 1 if unit.startswith("ms") else 1000)
    column = pa.array([cell or None for cell in cells], pa.string())
    well_formed = pc.match_substring_regex(column, _RFC3339)
    if not pc.all(well_formed, min_count=0).as_py():
        return _by_distinct(cells, _read_time, TIMESTAMP)
    try:
        times = pc.cast(column, pa.timestamp("ns", tz="UTC")).cast(TIMESTAMP, safe=False)
    except pa.ArrowInvalid:
        return _by_distinct(cells, _read_time, TIMESTAMP)
    return _inside_window(times)


def _epoch_times(cells: Sequence[Any], factor: int) -> Protected:
    if any(cell.__class__ is str for cell in cells):
        return _by_distinct(cells, lambda cell: _read_epoch(cell, factor), TIMESTAMP)
    column = pa.array(cells, pa.int64())
    inside = pc.and_(pc.greater_equal(column, EARLIEST_MS // factor), pc.less(column, LATEST_MS // factor))
    kept = _without(column, inside)
    return Protected(pc.multiply(kept.array, factor).cast(TIMESTAMP), kept.misfits)


def _read_epoch(cell: Any, factor: int) -> int | None:
    if cell.__class__ is str:
        if not re.fullmatch(r"\d{1,16}", cell, re.ASCII):
            return None
        cell = int(cell)
    return cell * factor if EARLIEST_MS <= cell * factor < LATEST_MS else None


def _inside_window(times: pa.Array) -> Protected:
    milliseconds = times.cast(pa.int64())
    inside = pc.and_(pc.greater_equal(milliseconds, EARLIEST_MS), pc.less(milliseconds, LATEST_MS))
    return _without(times, inside)


def _read_time(cell: Any) -> int | None:
    """One RFC 3339 timestamp in milliseconds since 1970, or None (a leap second is none of ours)."""
    column = pa.array([str(cell)], pa.string())
    if not pc.match_substring_regex(column, _RFC3339)[0].as_py():
        return None
    try:
        times = pc.cast(column, pa.timestamp("ns", tz="UTC")).cast(TIMESTAMP, safe=False)
    except pa.ArrowInvalid:
        return None
    value = times.cast(pa.int64())[0].as_py()
    return value if EARLIEST_MS <= value < LATEST_MS else None


def _keep_lists(entry: Field, cells: Sequence[Any]) -> Protected:
    """Lists of kept scalars: one value that does not fit makes the whole list a misfit."""
    single = _as_scalar(entry)
    flat = [item for cell in cells if cell for item in cell]
    rows = [row for row, cell in enumerate(cells) if cell for _ in cell]
    judged = keep(single, flat)
    misfits = sorted({rows[index] for index in judged.misfits})
    excluded = set(misfits)
    values = judged.array.to_pylist()
    lists: list[list[Any] | None] = [None if cell is None else [] for cell in cells]
    for row, value in zip(rows, values, strict=True):
        lists[row].append(value)  # type: ignore[union-attr]
    column = [None if row in excluded else entries for row, entries in enumerate(lists)]
    return Protected(pa.array(column, pa.list_(_scalar_type(entry))), misfits)


def _as_scalar(entry: Field) -> Field:
    return replace(entry, is_list=False)


def cut_fragments(entry: Field, cells: Sequence[Any]) -> pa.Array:
    """The closed fragment that a contract lets out of sealed text: read as bytes, matched against its list.

    Text after the marker that is not in the closed list gives null; the whole text is sealed by the caller.
    """
    cut = entry.cut
    assert cut is not None  # noqa: S101 - narrows a type; the caller asks for cut fields only
    marker = cut.after.encode()
    allowed = {value.encode(): value for value in cut.values}
    found = []
    for cell in cells:
        text = bytes(cell) if cell is not None else b""
        _, mark, rest = text.rpartition(marker)
        found.append(allowed.get(rest.rstrip(b'"').strip()) if mark else None)
    return pa.array(found, pa.string())
