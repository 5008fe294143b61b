"""Columns of decoded cells become typed telemetry columns; what does not fit its contract is handed back.

Both decoders feed the functions here, so that a value is judged in one place only. A cell that is outside its
closed set, pattern, range or unit never reaches the column: its row is named as a misfit, the column holds a
null there, and the caller seals the value. Strings are judged by distinct value, not by row.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Field
from schemas.telemetry import TIMESTAMP, arrow_type, is_time

EARLIEST_MS = 946_684_800_000  # 2000-01-01: no event of a meeting platform is older
LATEST_MS = 4_102_444_800_000  # 2100-01-01

_NOTHING = r"[^\s\S]"
_UNIT_SIGNS = {"percent": "%", "fps": "fps", "kbps": "kbps", "ms": "ms", "mbps": "mbps", "dbm": "dbm"}
_RFC3339 = r"\A\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\z"
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


def keep(entry: Field, cells: pa.Array) -> Protected:
    """The column of a field that is kept: judged against its closed set, pattern, range or unit.

    Args:
        entry: The field.
        cells: Its decoded cells (`schemas.cells.arrow_cell_type`).
    """
    if entry.is_list:
        return _keep_lists(entry, cells)
    if is_time(entry):
        return timestamps(cells, entry.unit)
    wanted = arrow_type(entry)
    if wanted == pa.string():
        return _strings(entry, cells)
    if cells.type == pa.string():
        return _by_distinct(cells, _reader(entry), wanted)
    if entry.logical_type == "boolean":
        return Protected(cells, [])
    return _numbers(entry, cells)


def _strings(entry: Field, cells: pa.Array) -> Protected:
    encoded = cells.dictionary_encode()
    allowed = _allowed(entry, encoded.dictionary)
    if pc.all(allowed, min_count=0).as_py():
        return Protected(cells, [])
    return _without(cells, pc.take(allowed, encoded.indices))


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


def _numbers(entry: Field, column: pa.Array) -> Protected:
    if entry.values is not None:
        inside = pc.is_in(column, value_set=pa.array(list(entry.values), column.type))
        return _without(column, pc.or_(inside, pc.is_null(column)))
    least, most = _least(entry), _most(entry)
    low, high = pc.min_max(column).as_py().values()
    if low is None or (least <= low and high <= most):
        return Protected(column, [])
    # A bound may be a fraction or beyond 64 bits, where Arrow's scalars of the column's type cannot follow.
    fits = [number is None or least <= number <= most for number in column.to_pylist()]
    return _without(column, pa.array(fits, pa.bool_()))


def _least(entry: Field) -> Any:
    return 0 if entry.minimum is None else entry.minimum


def _most(entry: Field) -> Any:
    return 0 if entry.maximum is None else entry.maximum


def _by_distinct(cells: pa.Array, read: Callable[[str], Any], kind: pa.DataType) -> Protected:
    """Read each distinct text once; one that reads as None is a misfit, an empty one is absent."""
    encoded = cells.dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    values = [None if text == "" else read(text) for text in texts]
    column = pa.array(values, kind).take(encoded.indices)
    wrong = [text != "" and value is None for text, value in zip(texts, values, strict=True)]
    if not any(wrong):
        return Protected(column, [])
    found = pc.fill_null(pa.array(wrong, pa.bool_()).take(encoded.indices), False)
    return Protected(column, np.flatnonzero(found.to_numpy(zero_copy_only=False)).tolist())


def _reader(entry: Field) -> Callable[[str], Any]:
    if entry.logical_type == "boolean":
        return _TRUTH.get
    whole = entry.logical_type == "integer"
    number = r"-?\d{1,18}" if whole else r"-?\d{1,15}(?:\.\d{1,9})?"
    sign = _UNIT_SIGNS.get((entry.unit or "").lower(), entry.unit or "")
    suffix = rf"\s?{re.escape(sign)}" if entry.text_form == "number_with_unit" else ""
    pattern = re.compile(rf"({number}){suffix}", re.ASCII)

    def read(text: str) -> Any:
        found = pattern.fullmatch(text.strip(" "))
        if found is None:
            return None
        value = int(found.group(1)) if whole else float(found.group(1))
        if entry.values is not None:
            return value if value in entry.values else None
        return value if _least(entry) <= value <= _most(entry) else None

    return read


def timestamps(cells: pa.Array, unit: str | None) -> Protected:
    """RFC 3339 text, or integers in the unit, as milliseconds UTC inside the accepted window."""
    if unit is not None:
        factor = 1 if unit.startswith("ms") else 1000
        if cells.type == pa.string():
            return _by_distinct(cells, lambda text: _read_epoch(text, factor), TIMESTAMP)
        inside = pc.and_(pc.greater_equal(cells, EARLIEST_MS // factor), pc.less(cells, LATEST_MS // factor))
        kept = _without(cells, inside)
        return Protected(pc.multiply(kept.array, factor).cast(TIMESTAMP), kept.misfits)
    if pc.all(pc.match_substring_regex(cells, _RFC3339), min_count=0).as_py():
        try:
            return _inside_window(cells.cast(pa.timestamp("ns", tz="UTC")).cast(TIMESTAMP, safe=False))
        except pa.ArrowInvalid:
            pass
    return _by_distinct(cells, _read_time, TIMESTAMP)


def _inside_window(times: pa.Array) -> Protected:
    milliseconds = times.cast(pa.int64())
    inside = pc.and_(pc.greater_equal(milliseconds, EARLIEST_MS), pc.less(milliseconds, LATEST_MS))
    return _without(times, inside)


def _read_epoch(text: str, factor: int) -> int | None:
    if not re.fullmatch(r"\d{1,16}", text, re.ASCII):
        return None
    value = int(text) * factor
    return value if EARLIEST_MS <= value < LATEST_MS else None


def _read_time(text: str) -> int | None:
    """One RFC 3339 timestamp in milliseconds since 1970, or None."""
    column = pa.array([text], pa.string())
    if not pc.match_substring_regex(column, _RFC3339)[0].as_py():
        return None
    try:
        times = column.cast(pa.timestamp("ns", tz="UTC")).cast(TIMESTAMP, safe=False)
    except pa.ArrowInvalid:
        return None
    value: int = times.cast(pa.int64())[0].as_py()
    return value if EARLIEST_MS <= value < LATEST_MS else None


def _keep_lists(entry: Field, cells: pa.Array) -> Protected:
    """Lists of kept scalars: one value that does not fit makes the whole list a misfit."""
    judged = keep(replace(entry, is_list=False), cells.flatten())
    column = listed_like(cells, judged.array, arrow_type(entry))
    if not judged.misfits:
        return Protected(column, [])
    rows = pc.list_parent_indices(cells).to_numpy()[judged.misfits]
    fits = np.ones(len(cells), dtype=bool)
    fits[rows] = False
    return _without(column, pa.array(fits))


def listed_like(cells: pa.Array, items: pa.Array, kind: pa.DataType) -> pa.Array:
    """Items in lists as long as those of a column of lists, null where that has none."""
    lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    column = pa.ListArray.from_arrays(offsets, items, type=kind)
    return pc.if_else(cells.is_valid(), column, pa.scalar(None, kind))


def cut_fragments(entry: Field, cells: pa.Array) -> pa.Array:
    """The closed fragment that a contract lets out of sealed text: read as bytes, matched against its list.

    Text after the marker that is not in the closed list gives null; the whole text is sealed by the caller.
    """
    cut = entry.cut
    assert cut is not None  # noqa: S101 - narrows a type; the caller asks for cut fields only
    marker = cut.after.encode()
    allowed = {value.encode(): value for value in cut.values}
    found = []
    for cell in cells.to_pylist():
        _, mark, rest = (cell or b"").rpartition(marker)
        found.append(allowed.get(rest.rstrip(b'"').strip()) if mark else None)
    return pa.array(found, pa.string())
