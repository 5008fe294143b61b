from __future__ import annotations

import secrets

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.membership_filter import FilterBuilder, may_hold

PSEUDONYMS = st.binary(min_size=16, max_size=16).map(bytes.hex)
VALUES = st.one_of(PSEUDONYMS, st.text(max_size=40), st.binary(max_size=40))


def filter_of(values: list[str | bytes]) -> bytes:
    builder = FilterBuilder()
    builder.add(values)
    return builder.build()


@given(st.lists(VALUES, min_size=1, max_size=200))
def test_no_value_that_was_put_in_is_missed(values: list[str | bytes]) -> None:
    made = filter_of(values)
    assert all(may_hold(made, [value]) for value in values)


@given(st.lists(st.none() | VALUES.filter(lambda value: isinstance(value, str)), max_size=50))
def test_a_column_counts_as_its_values(values: list[str | None]) -> None:
    builder = FilterBuilder()
    builder.add_column(pa.chunked_array([pa.array(values, pa.string()), pa.array(values, pa.string())]))
    made = builder.build()
    assert all(may_hold(made, [value]) for value in values if value is not None)


@given(st.lists(PSEUDONYMS, min_size=3, max_size=50), st.integers(0, 2))
def test_a_slice_of_pseudonyms_counts_as_its_values(values: list[str], start: int) -> None:
    builder = FilterBuilder()
    builder.add_column(pa.array(values).slice(start))
    assert builder.build() == filter_of(list(values[start:]))


def test_a_pseudonym_is_the_same_as_bytes_and_as_digits() -> None:
    value = secrets.token_bytes(16)
    assert filter_of([value]) == filter_of([value.hex()])


def test_few_of_other_values_are_taken_for_members() -> None:
    made = filter_of([secrets.token_hex(16) for _ in range(5000)])
    wrong = sum(may_hold(made, [secrets.token_hex(16)]) for _ in range(5000))
    # 0.32 % expected, 16 of 5,000; more than 45 has a chance below 1e-8
    assert wrong <= 45


def test_an_empty_filter_holds_nothing_and_no_question_is_never_answered_yes() -> None:
    assert not may_hold(filter_of([]), ["x"])
    assert not may_hold(filter_of(["x"]), [])


@pytest.mark.parametrize("damaged", [b"", b"CBF", b"CBF1", b"XBF1\x08abc"])
def test_a_filter_without_its_header_may_hold_anything(damaged: bytes) -> None:
    assert may_hold(damaged, ["x"])


def test_the_layout_is_the_documented_one() -> None:
    a, b = 3, 8  # b | 1 = 9: with 16 bits the probes hit 3, 12, 5, 14, 7, 0, 9, 2
    value = a.to_bytes(8, "little") + b.to_bytes(8, "little")
    bits = sum(1 << position for position in (3, 12, 5, 14, 7, 0, 9, 2))
    assert filter_of([value]) == b"CBF1\x08" + bits.to_bytes(2, "little")
