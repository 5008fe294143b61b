"""``cofferdam explain``: the line that says how many decisions a reason led, and which items are named."""

from __future__ import annotations

import pytest

from pipelines.explain_command import _led


@pytest.mark.parametrize(
    ("count", "named", "said"),
    [
        (0, 0, "it led 0 decisions of the last release"),
        (1, 1, "it led 1 decision of the last release, about:"),
        (2, 2, "it led 2 decisions of the last release, about:"),
        (1200, 5, "it led 1,200 decisions of the last release, the first 5 about:"),
    ],
)
def test_it_says_that_more_were_led_than_are_named(count: int, named: int, said: str) -> None:
    assert _led(count, named) == said
