"""Counts of bundles add up to the same, however they are grouped and ordered."""

from __future__ import annotations

import copy
import random

from hypothesis import given
from hypothesis import strategies as st

from transforms.record_digests import RecordSum
from transforms.run_counts import RunCounts, total
from transforms.separate import DriftKey, Outcome

_number = st.integers(1, 9)
_word = st.sampled_from("ab")
_pair = st.tuples(_word, _word)
_drift = st.builds(DriftKey, _word, _word, _word, _word, _word)
_sum = st.builds(RecordSum, st.integers(0, 9), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
_outcome = st.sampled_from(list(Outcome))
_record = st.tuples(_word, _word, _outcome, _word)


@st.composite
def counts(draw: st.DrawFn) -> RunCounts:
    made = RunCounts(read=draw(_sum), bytes_read=draw(_number))
    for key, number in draw(st.lists(st.tuples(_record, _number), max_size=3)):
        made.count(key, number)
    for outcome, positions in draw(st.lists(st.tuples(_outcome, _sum), max_size=3)):
        made.add_sum(outcome, positions)
    for name in ("rows", "items"):
        getattr(made, name).update(draw(st.dictionaries(_word, _number, max_size=2)))
    for name in ("dropped", "misfits"):
        getattr(made, name).update(draw(st.dictionaries(_pair, _number, max_size=2)))
    made.drift.update(draw(st.dictionaries(_drift, _number, max_size=2)))
    return made


@given(parts=st.lists(counts(), max_size=6), randomly=st.randoms(), cut=st.integers(0, 6))
def test_a_total_depends_on_no_order_and_no_grouping(
    parts: list[RunCounts], randomly: random.Random, cut: int
) -> None:
    expected = total(parts)
    mixed = list(parts)
    randomly.shuffle(mixed)
    assert total(mixed) == expected
    assert total([total(mixed[:cut]), total(mixed[cut:])]) == expected


@given(one=counts(), two=counts())
def test_a_total_is_every_part(one: RunCounts, two: RunCounts) -> None:
    made = total([one, two])
    for name in ("records", "rows", "items", "dropped", "misfits", "drift"):
        assert getattr(made, name) == getattr(one, name) + getattr(two, name)
    for outcome in Outcome:
        parts = [part.sums.get(outcome, RecordSum()) for part in (one, two)]
        assert made.sums.get(outcome, RecordSum()) == parts[0] + parts[1]
    assert made.read == one.read + two.read
    assert made.bytes_read == one.bytes_read + two.bytes_read


@given(one=counts(), two=counts())
def test_adding_up_changes_no_part(one: RunCounts, two: RunCounts) -> None:
    before = copy.deepcopy((one, two))
    total([one, two])
    assert (one, two) == before


def test_records_are_counted_by_outcome() -> None:
    made = RunCounts()
    made.count(("zoom", "a", Outcome.SEPARATED, "-"))
    made.count(("zoom", "b", Outcome.SEPARATED, "-"), 2)
    made.count(("-", "-", Outcome.REJECTED, "NOT_JSON"), 3)
    assert made.by_outcome() == {"separated": 3, "rejected": 3}
    assert RunCounts().by_outcome() == {}
