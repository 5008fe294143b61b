"""Steps at which something is killed are drawn from the whole way, and the same ones again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.pipeline.fault_figures import sampled


@pytest.mark.parametrize(("count", "parts"), [(697, 60), (1191, 60), (60, 60), (7, 60), (100, 1)])
def test_one_step_is_drawn_from_each_part(count: int, parts: int) -> None:
    steps = sampled(count, parts, 1)
    bounds = [1 + count * part // parts for part in range(parts + 1)]
    assert (bounds[0], bounds[-1]) == (1, count + 1)
    per_part = [sum(first <= step < after for step in steps) for first, after in pairwise(bounds)]
    assert per_part == [int(first < after) for first, after in pairwise(bounds)]


def test_a_sample_cut_short_still_reaches_far_along_the_way() -> None:
    assert sampled(1000, 60, 1) == sampled(1000, 60, 1) != sampled(1000, 60, 2)
    begun = sampled(1000, 60, 1)[:10]
    assert begun != sorted(begun)
    assert (min(begun) < 300, max(begun) > 700) == (True, True)
