"""The second control: planted faults of the decider and of written rows are never committed."""

from __future__ import annotations

import copy
import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import validation.decisions
from schemas.errors import PromiseBroken
from schemas.tables import RELEASED
from tests.pipeline.release_world import World, bounds, chat, meeting, plant, presence
from transforms import commit_release, decide_meetings, release_sink
from transforms import presence as presence_module
from transforms.parquet_files import TableWriter
from transforms.people_outcomes import MeetingPeople
from transforms.store import Store
from validation.decisions import PersonOutcome

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Ada and Bob in a meeting with two chat messages; Ada has agreed."""
    made = World(tmp_path_factory.mktemp("taken-in"), keys)
    made.adults("ada", "bob")
    made.ingest(meeting(["ada", "bob"], items=2))
    made.say("ada")
    return made


@pytest.fixture
def world(taken_in: World, tmp_path: Path) -> World:
    """A copy of that world for each test."""
    twin = copy.copy(taken_in)
    twin.folder = tmp_path / "world"
    shutil.copytree(taken_in.folder, twin.folder)
    return twin


@pytest.fixture
def agreed(world: World) -> World:
    """The same, and Bob has agreed, too."""
    world.say("bob")
    return world


def refused(world: World) -> str:
    """The words of the refusal to commit; nothing was committed."""
    with pytest.raises(PromiseBroken) as caught:
        world.release()
    assert RELEASED not in Store.open(world.store).tables()
    assert not list((world.store / "released").rglob("*.parquet"))
    return str(caught.value)


def everybody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant a fault in the gate: whoever has no grant is taken for somebody who agrees."""
    judge = validation.decisions._person_outcome

    def lenient(*given: Any) -> PersonOutcome:
        return dataclasses.replace(judge(*given), agrees=True, reasons=())

    monkeypatch.setattr(validation.decisions, "_person_outcome", lenient)


# --- faults of the decider -------------------------------------------------------------------------------


def test_a_decider_that_takes_silence_for_a_yes_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_agrees(monkeypatch)
    assert "RELEASED_PEOPLE" in refused(world)


@pytest.mark.parametrize("status", ["withdrawn", "refused"])
def test_a_decider_that_overlooks_a_no_is_caught(
    agreed: World, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    agreed.say("bob", status, event_time="2026-03-02T10:30:00Z", ingested_at="2026-03-02T10:30:01Z")
    everybody_agrees(monkeypatch)
    assert "RELEASED_PEOPLE" in refused(agreed)


def test_a_roster_that_loses_somebody_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = presence_module._Presence._set
    monkeypatch.setattr(
        presence_module._Presence, "_set", lambda self, start, end: bits(self, start, end) & 0
    )
    assert "RELEASED_PEOPLE" in refused(world)


def test_a_decision_that_leaves_out_somebodys_records_is_caught(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = decide_meetings._Meeting._record_ids
    monkeypatch.setattr(decide_meetings._Meeting, "_record_ids", lambda self, *given: named(self, *given)[:1])
    assert "RELEASED_PEOPLE" in refused(agreed)


def test_one_representative_of_unequal_people_is_caught(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for equal, two people are judged by one of them: by the one who agreed, in one of two worlds."""
    monkeypatch.setattr(MeetingPeople, "_code", lambda self, signature: 0)
    worlds = [World(tmp_path / name, keys) for name in ("ada", "bob")]
    caught = 0
    for world in worlds:
        world.adults("ada", "bob")
        world.ingest(meeting(["ada", "bob"]))
        world.say(world.folder.name)
        try:
            assert world.release()["released"] == 0
        except PromiseBroken as error:
            caught += "RELEASED_PEOPLE" in str(error)
    assert caught == 1


# --- faults of the written rows --------------------------------------------------------------------------


def _every(**change: Any) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, **change} for row in rows]


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        (lambda rows: [{**row, "record_ids": row["record_ids"][:1]} for row in rows], "RELEASED_RECORDS"),
        (lambda rows: [{**row, "records": 1} for row in rows], "RELEASED_RECORDS"),
        (_every(record_ids=["r-forged", "r-other"]), "RELEASED_RECORDS"),
        (_every(recipient="third_party"), "RELEASED_RECIPIENT"),
        (_every(item_id="0" * 32), "RELEASED_PEOPLE"),
        (lambda rows: [rows[0], {**rows[0], "item_id": "0" * 32}], "RELEASED_ITEM_ID"),
        (lambda rows: [rows[0], rows[0]], "RELEASED_REPETITION"),
        (_every(terms=[]), "RELEASED_TERMS"),
        (_every(suite_hash=None), "RELEASED_SUITES"),
    ],
)
def test_a_row_that_no_decision_stands_behind_is_caught(
    agreed: World, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Rows], Rows], word: str
) -> None:
    plant(monkeypatch, lambda rows: fault(rows) if rows else rows)
    assert word in refused(agreed)


def test_a_purpose_that_was_swapped_is_caught(agreed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, _every(purpose="ai_evaluation"))
    words = refused_for_both(agreed)
    assert "RELEASED_PURPOSE" in words
    assert "RELEASED_PEOPLE" in words


def refused_for_both(world: World) -> str:
    """As `refused`, for a run that asks for the purpose that nobody agreed to as well."""
    with pytest.raises(PromiseBroken) as caught:
        world.release(purposes=("ai_training", "ai_evaluation"))
    assert RELEASED not in Store.open(world.store).tables()
    return str(caught.value)


def test_rows_that_are_written_twice_are_caught(agreed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, lambda rows: [*rows, *rows])
    assert "RELEASE_NOT_AS_DECIDED" in refused(agreed)


def test_a_row_that_is_lost_on_its_way_to_the_file_is_caught(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = TableWriter.append

    def losing(self: TableWriter, rows: Any, *members: Any) -> None:
        append(self, rows.slice(1) if "parts" in rows.column_names else rows, *members)

    monkeypatch.setattr(TableWriter, "append", losing)
    assert "RELEASE_DOES_NOT_RECONCILE" in refused(agreed)


# --- sound releases --------------------------------------------------------------------------------------


def test_the_witness_speaks_against_no_sound_release(agreed: World) -> None:
    """Late joiners, people who left, dial-in under another identifier, several items, a no that is older."""
    agreed.say("bob", "refused", event_time="2026-03-01T09:00:00Z", ingested_at="2026-03-01T09:00:01Z")
    late = [*bounds("m2"), *presence("ada", "10:00", "11:00", "m2"), *presence("bob", "10:40", "11:00", "m2")]
    late += [*presence("eve", "10:00", "10:20", "m2"), chat("m2-chat", "ada", "10:30", "m2")]
    agreed.ingest(late, "late.jsonl")
    agreed.say("ada", scope="meeting:m2")
    ledger = agreed.release()
    assert (ledger["stopped"], ledger["released"]) == (None, 3)


def test_the_witness_is_asked_again_when_records_changed(
    agreed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = commit_release.look_again

    def arriving(*given: Any) -> Any:
        if not agreed.consents.with_name("late.jsonl").exists():
            agreed.consents.with_name("late.jsonl").write_text(
                agreed.record("bob", scope="meeting:m9") + "\n"
            )
        return look(*given)

    monkeypatch.setattr(release_sink, "look_again", arriving)
    ledger = agreed.release(consents=(agreed.consents.parent,))
    assert ledger["released"] == 2
    assert ledger["records"]["seen"] != ledger["records"]["seen_at_sink"]
