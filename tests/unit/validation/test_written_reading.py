"""Columns reduced to what rules read of them: nothing that is wrong may vanish on the way."""

from __future__ import annotations

import base64
import os
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import PromiseBroken
from validation.written_reading import counted, leaf_of
from validation.written_rules import (
    PSEUDONYM_SHAPE,
    Rule,
    between,
    even,
    finite,
    in_set,
    length,
    not_null,
    pseudonym,
)

HEX = "0123456789abcdef" * 2


def read(values: pa.Array, rule: Rule) -> Counter[Any]:
    total: Counter[Any] = Counter()
    for value, rows in counted(values, rule):
        total[value] += rows
    return total


def failing(values: pa.Array, rule: Rule) -> int:
    """Rows that do not meet a rule, by its plain reading."""
    return sum(rows for value, rows in counted(values, rule) if not rule.is_met_by(value))


def test_presence_counts_nulls() -> None:
    assert read(pa.array(["a", None, None]), not_null()) == {"present": 1, None: 2}


def test_nulls_are_nothing_to_other_rules() -> None:
    assert read(pa.array([None, "a", "a"], pa.string()), in_set("a")) == {"a": 2}
    assert read(pa.array([None], pa.string()), in_set("a")) == {}


@pytest.mark.parametrize(
    "text",
    [
        HEX.upper(),
        HEX[:-1],
        HEX + "0",
        f" {HEX[1:]}",
        f"x{HEX}",
        f"{HEX}{HEX}",
        "#" * 32,
        "#",
        "Ada",
        "",
        PSEUDONYM_SHAPE,
        f"{HEX}\n",
    ],
)
def test_only_a_pseudonym_has_the_shape_of_one(text: str) -> None:
    assert failing(pa.array([HEX]), pseudonym()) == 0
    assert failing(pa.array([HEX, text]), pseudonym()) == 1


@given(st.lists(st.integers(-(2**40), 2**40) | st.none(), max_size=60), st.integers(-9, 0), st.integers(0, 9))
def test_a_range_counts_exactly_what_lies_outside(values: list[int | None], least: int, most: int) -> None:
    rule = between(least, most)
    outside = sum(value is not None and not least <= value <= most for value in values)
    assert failing(pa.array(values, pa.int64()), rule) == outside


def test_a_range_over_many_rows_hands_over_few_values() -> None:
    assert len(list(counted(pa.array(range(10_000)), between(0, 4_999)))) == 4
    assert failing(pa.array(range(10_000)), between(0, 4_999)) == 5_000


def test_what_is_no_number_is_not_in_a_range() -> None:
    numbers = pa.array([1.0, float("nan"), float("inf"), -float("inf"), None])
    assert failing(numbers, finite()) == 3
    with pytest.raises(PromiseBroken):
        list(counted(pa.array(["a"]), between(0, 1)))


def test_lengths_are_of_characters_and_of_bytes() -> None:
    assert failing(pa.array(["äö", "abc"]), length(0, 2)) == 1
    assert failing(pa.array([b"ab", b"abc"]), length(0, 2)) == 1
    assert failing(pa.array([b"a" * 16], pa.binary(16)), length(16, 16)) == 0


def test_times_days_and_truths_are_read() -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    times = pa.array([moment], pa.timestamp("ms", tz="UTC"))
    assert read(times, between(0, 1)) == {int(moment.timestamp() * 1000): 1}
    assert read(pa.array([date(1970, 1, 3)]), between(0, 1)) == {2: 1}
    assert read(pa.array([True, False, True]), in_set("true")) == {"true": 2, "false": 1}


PLAIN = {
    "json": b'{"text": "we should ship the release on Tuesday"}' * 30,
    "zeros": bytes(4096),
    "base64": base64.b64encode(os.urandom(3000)),
    "hex": os.urandom(1000).hex().encode(),
    "prose": b"She said that she would not come to the meeting. " * 6,
}


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN.keys())
def test_plain_content_is_not_spread_like_a_ciphertext(content: bytes) -> None:
    assert failing(pa.array([content]), even()) == 1


def test_random_bytes_are_spread_like_a_ciphertext() -> None:
    some = [os.urandom(size) for size in (328, 400, 1000, 5000, 100_000) for _ in range(200)]
    assert failing(pa.array(some), even()) == 0


def test_nested_leaves_are_found() -> None:
    kind = pa.list_(pa.field("element", pa.struct([("type", pa.string()), ("pseudonym", pa.string())])))
    column = pa.array(
        [[{"type": "email", "pseudonym": "a"}], None, [{"type": "phone", "pseudonym": None}]], kind
    )
    assert leaf_of(column, "subjects.list.element.type").to_pylist() == ["email", "phone"]
    assert leaf_of(column, "subjects.list.element.pseudonym").to_pylist() == ["a", None]
    assert leaf_of(pa.array(["x"]), "kind").to_pylist() == ["x"]
