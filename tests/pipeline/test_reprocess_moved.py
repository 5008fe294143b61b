"""What was taken in is known again, wherever a mended contract would put it now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.tables import TELEMETRY
from tests.pipeline.reprocess_world import Document, reprocess, write_contract
from tests.pipeline.support import RECEIVED, ingest, lines_file
from tests.pipeline.test_reprocess_collisions import Event, came_of, held, rejects
from tests.unit.transforms.feature_contract import EVENT
from transforms import reprocess_steps
from transforms.reprocess import Done, take_in
from transforms.reprocess_tasks import Task
from transforms.store import Store

LATER = RECEIVED + timedelta(days=2)
DUPLICATE = {("duplicate", ""): 2}


def at_another_time(document: Document) -> None:
    """Take the time of events from another field."""
    for entry in document["schema"][0]["customProperties"]:
        if entry["property"] == "envelope":
            entry["value"]["time"] = "data.began"


def in_another_table(document: Document) -> None:
    document["schema"][0]["name"] = "stays"


def contract(folder: Path, change: Any = None) -> Path:
    """A contract that knows a type of event, and what else is changed of it."""

    def changed(document: Document) -> None:
        document["schema"][0]["customProperties"][0]["value"].append("visit.grew")
        if change is not None:
            change(document)

    return write_contract(folder, change=changed)


def events() -> list[Event]:
    data = {**EVENT["data"], "began": "2026-02-27T09:00:00Z"}
    return [{**EVENT, "id": f"u-{at}", "type": "visit.grew", "data": data} for at in range(2)]


def rows(store: Path) -> list[str]:
    """Events of all rows of telemetry."""
    state = Store.open(store)
    tables = [name for name in state.tables() if name.startswith(f"{TELEMETRY}/")]
    return [each for name in tables for each in state.read_table(name).column("event_id").to_pylist()]


@pytest.mark.parametrize("moved", [at_another_time, in_another_table])
@pytest.mark.parametrize("known_by", ["run", "reprocess"])
def test_an_event_that_was_taken_in_elsewhere_is_not_taken_in_again(
    moved: Any, known_by: str, tmp_path: Path, keys: Path
) -> None:
    """It was held once, taken in by a run or a reprocessing, and came once more unless it had before."""
    store, known, other = tmp_path / "store", contract(tmp_path / "known"), contract(tmp_path / "m", moved)
    unknown = write_contract(tmp_path / "unknown")
    held(store, unknown, keys, events())
    if known_by == "run":
        held(store, known, keys, events(), LATER)
    else:
        reprocess(store, keys, known)
        held(store, unknown, keys, events(), LATER)
    before = rows(store)
    assert (len(before), len(rejects(store))) == (2, 2)
    assert came_of(reprocess(store, keys, other)) == DUPLICATE
    assert (rows(store), rejects(store)) == (before, [])


def test_of_a_record_that_stays_every_copy_stays(tmp_path: Path, keys: Path) -> None:
    store, unknown = tmp_path / "store", write_contract(tmp_path / "unknown")
    for _ in range(2):  # both of one day, the second beyond the days that ingest looks back
        source = lines_file(tmp_path / "events.jsonl", events())
        ingest(source, store, keys, contract_files=(unknown,), digest_since=LATER)
    before = rejects(store)
    assert came_of(reprocess(store, keys, unknown)) == {("stays", "UNKNOWN_TYPE"): 4}
    assert rejects(store) == before
    assert came_of(reprocess(store, keys, contract(tmp_path / "known"))) == {
        ("separated", ""): 2,
        ("duplicate", ""): 2,
    }
    assert (len(set(rows(store))), len(rows(store)), rejects(store)) == (2, 2, [])


def test_of_tasks_that_met_the_same_event_each_later_one_is_done_again_by_itself(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record that came each day does not make one worker do everything."""
    store, unknown = tmp_path / "store", write_contract(tmp_path / "unknown")
    days = [RECEIVED + timedelta(days=day) for day in range(4)]
    for day in days:
        held(store, unknown, keys, [events()[0], {**events()[1], "id": f"of-{day}"}], day)
    done: list[tuple[int, int]] = []

    def noted(task: Task, *rest: Any) -> Done:
        done.append((task.number, len(rest[3:] and rest[3])))
        return take_in(task, *rest)

    monkeypatch.setattr(reprocess_steps, "take_in", noted)
    ledger = reprocess(store, keys, contract(tmp_path / "known"), rows_a_task=1)
    assert came_of(ledger) == {("separated", ""): 5, ("duplicate", ""): 3}
    assert (len(set(rows(store))), len(rows(store)), rejects(store)) == (5, 5, [])
    assert sorted(done) == [(0, 0), *((task, known) for task in (1, 2, 3) for known in (0, 1))]


@pytest.mark.parametrize("how", [{}, {"rows_a_task": 1}], ids=["one task", "many"])
def test_what_stays_keeps_no_other_body_from_being_taken_in(
    how: dict[str, Any], tmp_path: Path, keys: Path
) -> None:
    store, unknown = tmp_path / "store", write_contract(tmp_path / "unknown")
    for name in ("visit.unheard", "visit.grew", "visit.grew", "visit.unheard"):
        source = lines_file(tmp_path / "events.jsonl", [{**each, "type": name} for each in events()])
        ingest(source, store, keys, contract_files=(unknown,), digest_since=LATER)
    assert came_of(reprocess(store, keys, contract(tmp_path / "known"), **how)) == {
        ("separated", ""): 2,
        ("duplicate", ""): 2,
        ("stays", "UNKNOWN_TYPE"): 4,
    }
    assert (len(set(rows(store))), len(rows(store)), len(rejects(store))) == (2, 2, 4)
