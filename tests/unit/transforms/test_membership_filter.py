from __future__ import annotations

import secrets

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import membership_filter
from transforms.membership_filter import FilterBuilder, is_of_earlier_kind, may_hold

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


def test_hardly_any_other_value_is_taken_for_a_member() -> None:
    made = filter_of([secrets.token_hex(16) for _ in range(5000)])
    wrong = sum(may_hold(made, [secrets.token_hex(16)]) for _ in range(5000))
    # 0.05 expected of 5,000; more than 5 has a chance below 1e-9
    assert wrong <= 5


def test_filters_with_fewer_probes_are_read_and_known_to_be_of_an_earlier_kind() -> None:
    halves = np.frombuffer(bytes.fromhex("00" * 15 + "01"), dtype="<u8").reshape(1, 2)
    bits = np.zeros(96, dtype=np.uint8)
    bits[membership_filter._positions(halves, 8, 96).ravel()] = 1
    earlier = b"CBF1\x08" + np.packbits(bits, bitorder="little").tobytes()
    assert may_hold(earlier, ["00" * 15 + "01"])
    assert not may_hold(earlier, ["11" * 16])
    assert [is_of_earlier_kind(each) for each in (earlier, b"", filter_of(["x"]))] == [True, True, False]


def test_an_empty_filter_holds_nothing_and_no_question_is_never_answered_yes() -> None:
    assert not may_hold(filter_of([]), ["x"])
    assert not may_hold(filter_of(["x"]), [])


@pytest.mark.parametrize("damaged", [b"", b"CBF", b"CBF1", b"XBF1\x08abc"])
def test_a_filter_without_its_header_may_hold_anything(damaged: bytes) -> None:
    assert may_hold(damaged, ["x"])


def test_the_layout_is_the_documented_one() -> None:
    a, b = 3, 8  # b | 1 = 9: with 24 bits the probes hit 3, 12, 21, 6, 15, 0, 9, 18, and these again
    value = a.to_bytes(8, "little") + b.to_bytes(8, "little")
    bits = sum(1 << position for position in (3, 12, 21, 6, 15, 0, 9, 18))
    assert filter_of([value]) == b"CBF1\x10" + bits.to_bytes(3, "little")
