"""A run adds up only if the same records are on both sides and every row was written."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.reconcile import SideSum, reconcile

READ = SideSum(3, "ab")
rows = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3))


def test_equal_sides_and_rows_hold() -> None:
    outcome = reconcile(READ, SideSum(3, "ab"), {"a": 1, "empty": 0}, {"a": 1, "other": 0})
    assert outcome.holds
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("outcomes", "finding"),
    [
        (SideSum(2, "ab"), "3 records were read and 2 have an outcome"),
        (SideSum(4, "cd"), "3 records were read and 4 have an outcome"),
        (SideSum(3, "cd"), "the records that were read are not the records that have an outcome"),
    ],
)
def test_sides_that_differ_do_not_hold(outcomes: SideSum, finding: str) -> None:
    outcome = reconcile(READ, outcomes, {}, {})
    assert not outcome.holds
    assert outcome.findings == (finding,)


def test_every_finding_is_told() -> None:
    outcome = reconcile(READ, SideSum(2, "x"), {"b": 1}, {"a": 5, "b": 2})
    assert outcome.findings == (
        "3 records were read and 2 have an outcome",
        "a: 5 rows were handed over and 0 written",
        "b: 2 rows were handed over and 1 written",
    )


@given(written=rows, expected=rows)
def test_rows_hold_where_every_table_agrees(written: dict[str, int], expected: dict[str, int]) -> None:
    outcome = reconcile(READ, READ, written, expected)
    off = {name for name in "abcd" if written.get(name, 0) != expected.get(name, 0)}
    assert {finding.split(":")[0] for finding in outcome.findings} == off
    assert outcome.holds is (not off)
    assert (outcome.rows_written, outcome.rows_expected) == (written, expected)


def test_a_finding_cannot_be_taken_back() -> None:
    outcome = reconcile(READ, READ, {}, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        outcome.findings = ("x",)  # type: ignore[misc]
