"""No change to any field of an event that carries content turns a hold into a release.

Every such event is filled from its contract; each of its values, and each object and list
around them, is changed to words that could mean consent, people and places, to wrong types, and taken away.
Whatever was held for what records, roster or registry say stays held. It is the same code that runs in the
pipeline, without files and without Beam, and one event goes through the whole pipeline besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.contract import EventShape
from tests.pipeline.release_world import Event, World, bounds, chat, presence
from tests.pipeline.support_metamorphic import (
    ABSENT,
    GRANTED,
    VALUES,
    InProcess,
    base_event,
    changed,
    content_shapes,
    every_change,
    paths_of,
    plain_decider,
    small_world,
)
from transforms import decide_meetings

SHAPES = content_shapes()
ROSTER = [*bounds(), *presence("ada", "10:00", "11:00"), *presence("bob", "10:00", "11:00")]
_MOST = 60
"""Values of an event that are changed to every value; larger events are changed to some of them."""

_SOME: Sequence[Any] = ("ada", GRANTED)

Hold = Callable[[World], list[Event]]


def silence(world: World) -> list[Event]:
    world.say("ada", kinds=["*"], scope="global")
    return ROSTER


def refusal(world: World) -> list[Event]:
    world.say("bob", "refused", kinds=["*"], scope="global")
    return silence(world)


def no_end(world: World) -> list[Event]:
    world.say("bob", kinds=["*"], scope="global")
    return [event for event in silence(world) if not event["type"].endswith("ended.v1")]


def encrypted(world: World) -> list[Event]:
    world.declare(e2ee=True)
    world.say("bob", kinds=["*"], scope="global")
    return silence(world)


def another_purpose(world: World) -> list[Event]:
    for person in ("ada", "bob"):
        world.say(person, kinds=["*"], scope="global", purposes=["ai_evaluation"])
    return ROSTER


def agreement(world: World) -> list[Event]:
    world.say("bob", kinds=["*"], scope="global")
    return silence(world)


HOLDS: list[tuple[Hold, Sequence[Any]]] = [
    (silence, VALUES),
    *((hold, _SOME) for hold in (refusal, no_end, encrypted, another_purpose)),
]
"""Why everything is held, and what each field is changed to."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decide_meetings, "decider_of", plain_decider)


def changes_of(shape: EventShape, values: Sequence[Any] = VALUES) -> list[Event]:
    event = base_event(shape)
    return list(every_change(event, values if len(list(paths_of(event))) <= _MOST else _SOME))


@pytest.mark.slow
@pytest.mark.parametrize(("hold", "values"), HOLDS)
def test_no_change_to_any_field_frees_what_is_held(hold: Hold, values: Sequence[Any], tmp_path: Path) -> None:
    world = small_world(tmp_path)
    roster = hold(world)
    judge = InProcess(world)
    for shape in SHAPES:
        judged = judge.judge(roster, changes_of(shape, values))
        assert judged.items, shape.table
        assert judged.released == [], shape.table


@pytest.mark.slow
def test_the_same_events_go_where_everybody_agreed(tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    world = small_world(tmp_path)
    roster = agreement(world)
    judge = InProcess(world)
    tables = {shape.table for shape in SHAPES if judge.judge(roster, [base_event(shape)]).released}
    assert {"cofferdam_chat", "cofferdam_audio", "cofferdam_transcript", "zoom_meeting_chat"} <= tables
    assert len(tables) > len(SHAPES) // 2
    changes = judge.judge(
        roster, changes_of(next(shape for shape in SHAPES if shape.table == "cofferdam_chat"))
    )
    assert len(changes.released) > 100


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_combination_of_changes_frees_what_is_held(data: st.DataObject, tmp_path_factory: Any) -> None:
    judge = _silent(tmp_path_factory)
    event = base_event(data.draw(st.sampled_from(SHAPES)))
    for _ in range(data.draw(st.integers(1, 6))):
        paths = list(paths_of(event))
        if not paths:
            break
        event = changed(
            event, data.draw(st.sampled_from(paths)), data.draw(st.sampled_from([ABSENT, *VALUES]))
        )
    assert judge.judge(ROSTER, [event]).released == []


_KNOWN: dict[str, InProcess] = {}


def _silent(factory: pytest.TempPathFactory) -> InProcess:
    if "silence" not in _KNOWN:
        world = small_world(factory.mktemp("silence"))
        silence(world)
        _KNOWN["silence"] = InProcess(world)
    return _KNOWN["silence"]


@pytest.mark.slow
def test_no_change_frees_what_is_held_in_the_whole_pipeline(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path, keys)
    world.adults("ada", "bob")
    silence(world)
    event = chat("said", "ada")
    world.ingest(
        [*ROSTER, *every_change({**event, "data": {**event["data"], "consent": {"status": "granted"}}})]
    )
    ledger = world.release()
    assert ledger["items"] > 100
    assert ledger["released"] == 0
    assert "RELEASE" not in ledger["outcomes"]
