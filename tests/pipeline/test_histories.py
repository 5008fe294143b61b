"""The law: whatever happens to a store, in whatever order and killed wherever, it holds what a model says.

After every step of a random history: every part that was taken has one fate (sealed, or destroyed with a
tombstone, released or not), records that are no events are sealed, nothing is used after somebody said no,
nothing that was erased opens or comes back, nobody's erasure lets others' words go, and the audit log
verifies and continues every checkpoint that was ever kept.

A few histories by default; ``HISTORIES=200`` in the environment tries so many, and shrinks what fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from tests.pipeline.histories import Children, History, Step

LONG = int(os.environ.get("HISTORIES", "0"))
FEW = 4

STORY = (
    Step("meet", who=0, more=1),
    Step("meet", who=0, more=3),
    Step("release"),
    Step("erase", who=3, at=-4),
    Step("release"),
    Step("erase", who=1),
    Step("release"),
    Step("rotate", at=20),
    Step("reprocess", at=-3),
    Step("reprocess"),
    Step("again"),
    Step("due", days=31),
)
"""What is tried in any case: nothing is released in the middle of an erasure, nor because somebody who had
not agreed was erased; and old input comes again."""

KILLS = st.one_of(st.just(0), st.just(0), st.integers(1, 600), st.integers(-60, -1))
STEPS = st.builds(
    Step,
    kind=st.sampled_from(("meet", "say", "release", "erase", "again", "late", "rotate", "due", "reprocess")),
    who=st.integers(0, 3),
    more=st.integers(0, 3),
    days=st.sampled_from((0, 0, 0, 1, 16)),
    at=KILLS,
)
HISTORIES = st.one_of(
    st.just(STORY),
    st.lists(STEPS, min_size=3, max_size=12 if LONG else 5).map(
        lambda steps: (Step("meet", who=0, more=1), *steps)
    ),
)


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    with Children() as served:
        yield served


@pytest.mark.slow
@settings(
    max_examples=LONG or FEW,
    derandomize=not LONG,
    phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(steps=HISTORIES)
def test_the_law_holds_after_every_step_of_a_history(
    steps: tuple[Step, ...], children: Children, tmp_path_factory: pytest.TempPathFactory
) -> None:
    history = History(tmp_path_factory.mktemp("history"), children)
    for step in steps:
        history.take(step)
        history.check()
    history.close()
    for word in history.seen:
        event(word)
