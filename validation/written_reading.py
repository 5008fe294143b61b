"""What rules read of columns: distinct values, shapes, lengths, each with the rows that it stands for.

Millions of rows become a handful of values that Great Expectations can judge. Numbers under a range are
represented by the ends of what lies inside it and of what lies outside, so that counts stay exact and any
value that is outside still comes before the judge itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import PromiseBroken
from validation.written_rules import BETWEEN, EVEN, FINITE, PRESENT, Reading, Rule, Value

_HEX: Final = "[0-9a-f]{32}"
_FEW: Final = 16
_SPREAD_BYTES: Final = 1 << 16
_LEAST_SPREAD_BYTES: Final = 256
_MOST_UNEVEN: Final = 600.0
"""Chi-square of 255 degrees of freedom that random bytes exceed once in more than 10^25 times."""

Counted = Iterator[tuple[Value, int]]


def leaf_of(column: pa.Array, path: str) -> pa.Array:
    """The values of a leaf column, by its Parquet path below the column (``subjects.list.element.type``)."""
    for step in path.split(".")[1:]:
        if step == "list":
            column = column.flatten()
        elif step != "element":
            column = pc.struct_field(column, step)
    return column


def counted(values: pa.Array, rule: Rule) -> Counted:
    """What a rule reads of some values, with the number of them that each stands for; nulls count as none.

    Args:
        values: A leaf column.
        rule: The rule.
    """
    if rule.reading is Reading.PRESENCE:
        yield from ((word, rows) for word, rows in _presence(values) if rows)
        return
    values = values.drop_null()
    if len(values):
        read = _READERS[rule.reading](values)
        yield from _grouped(read, rule) if rule.type == BETWEEN else _distinct(read)


def _presence(values: pa.Array) -> Counted:
    yield PRESENT, len(values) - values.null_count
    yield None, values.null_count


def _plain(values: pa.Array) -> pa.Array:
    """Values of a type that rules speak of: text, whole numbers, numbers."""
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("ms", tz=values.type.tz)).cast(pa.int64())
    if pa.types.is_date(values.type):
        return values.cast(pa.date32()).cast(pa.int32()).cast(pa.int64())
    if pa.types.is_boolean(values.type):
        return pc.if_else(values, "true", "false")
    return values


def _shapes(values: pa.Array) -> pa.Array:
    texts = values.cast(pa.string())
    lengths = pc.utf8_length(texts).cast(pa.string())
    return pc.binary_join_element_wise(pc.replace_substring_regex(texts, _HEX, "#"), lengths, "/")


def _lengths(values: pa.Array) -> pa.Array:
    return pc.utf8_length(values) if pa.types.is_string(values.type) else pc.binary_length(values)


def _finiteness(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_finite(values), FINITE, "not a finite number")


def _spread(values: pa.Array) -> pa.Array:
    return pa.array([EVEN if _is_even(each) else "uneven" for each in values.to_pylist()], pa.string())


def _is_even(content: bytes) -> bool:
    """Whether bytes could be those of a ciphertext; too few bytes do not tell."""
    some = np.frombuffer(content[:_SPREAD_BYTES], dtype=np.uint8)
    if len(some) < _LEAST_SPREAD_BYTES:
        return True
    found = np.bincount(some, minlength=256).astype(float)
    return float((found * found).sum() * 256 / len(some) - len(some)) <= _MOST_UNEVEN


_READERS: Final[dict[Reading, Any]] = {
    Reading.VALUE: _plain,
    Reading.SHAPE: _shapes,
    Reading.LENGTH: _lengths,
    Reading.FINITENESS: _finiteness,
    Reading.SPREAD: _spread,
}


def _distinct(values: pa.Array) -> Counted:
    for entry in pc.value_counts(values).to_pylist():
        yield entry["values"], entry["counts"]


def _grouped(values: pa.Array, rule: Rule) -> Counted:
    """The ends of what is inside the range and of what is outside, with the rows of each group."""
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise PromiseBroken("WRITTEN_NOT_PROVEN", f"{rule.code} was asked about a column without numbers")
    numbers = values.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(values.type):
        numbers = numbers[np.isfinite(numbers)]  # those that are not are judged by a rule of their own
    inside = (numbers >= rule.least) & (numbers <= rule.most)
    for group in (numbers[inside], numbers[~inside]):
        if len(group) <= _FEW:
            yield from ((number, 1) for number in group.tolist())
        else:
            yield group.min().item(), 1
            yield group.max().item(), len(group) - 1
