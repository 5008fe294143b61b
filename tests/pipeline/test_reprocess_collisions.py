"""Another body under the id of an event that was taken in stays sealed, however often it is reprocessed."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from schemas.errors import PromiseBroken
from schemas.tables import QUARANTINE_REJECTED
from tests.pipeline.reprocess_world import Chance, poor_contract, reprocess, write_contract
from tests.pipeline.support import RECEIVED, ingest, lines_file
from tests.pipeline.test_reprocess_engines import LATER, MANY_TASKS
from transforms import reprocess_steps, store_reading
from transforms.reprocess_tasks import Task, tasks_of
from transforms.store import Store

VISITS = "telemetry/visits"
LATEST = LATER + (LATER - RECEIVED)
Event = dict[str, Any]
Other = Callable[[Event], Event]
TIMES = ("2026-03-01T23:59:58Z", "2026-03-05T11:00:00Z")


def knowing(folder: Path, *types: str) -> Path:
    """A contract that knows some more types of events."""

    def grown(document: dict[str, Any]) -> None:
        document["schema"][0]["customProperties"][0]["value"] += types

    return write_contract(folder, change=grown)


def later(event: Event, time: str) -> Event:
    return {**event, "time": time}


def of_type(event: Event, name: str) -> Event:
    return {**event, "type": name}


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three contracts: one that knows neither type of event, one that knows one, one that knows both."""
    folder = tmp_path_factory.mktemp("contracts")
    poor_contract(folder / "none")
    knowing(folder / "one", "visit.grew")
    knowing(folder / "both", "visit.grew", "visit.late")
    return folder


def unknown_events(number: int) -> list[Event]:
    return [
        of_type({**each, "id": f"u-{at}"}, "visit.grew") for at, each in enumerate(Chance(5).events(number))
    ]


def held(store: Path, contract: Path, keys: Path, events: list[Event], day: Any = RECEIVED) -> None:
    """Ingest events; earlier runs are not looked back at."""
    source = lines_file(store.with_name(f"{day}.jsonl"), events)
    since = {} if day == RECEIVED else {"digest_since": day}
    ingest(source, store, keys, contract_files=(contract,), received=day, **since)


def came_of(ledger: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {
        (row["outcome"], row["reason"]): row["count"]
        for row in ledger["values"]
        if row["held_as"] == "UNKNOWN_TYPE"
    }


def events_of(store: Path) -> list[str]:
    return [str(each) for each in Store.open(store).read_table(VISITS).column("event_id").to_pylist()]


def rejects(store: Path) -> list[str]:
    return sorted(Store.open(store).read_table(QUARANTINE_REJECTED).column("reject_id").to_pylist())


@pytest.fixture(scope="module", params=TIMES)
def colliding(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, contracts: Path, keys: Path
) -> Path:
    """A store once reprocessed in which two events have come with two bodies, of one day or of two."""
    store = tmp_path_factory.mktemp("colliding") / "store"
    events = unknown_events(6)
    held(store, contracts / "none", keys, events)
    held(store, contracts / "none", keys, [later(each, request.param) for each in events[3:5]], LATER)
    assert came_of(reprocess(store, keys, contracts / "one")) == {
        ("separated", ""): 6,
        ("stays", "ID_COLLISION"): 2,
    }
    return store


def test_another_body_stays_however_often_it_is_reprocessed(
    colliding: Path, contracts: Path, tmp_path: Path, keys: Path
) -> None:
    store = Path(shutil.copytree(colliding, tmp_path / "store"))
    before, sealed = events_of(store), rejects(store)
    for how in ({}, MANY_TASKS):
        ledger = reprocess(store, keys, contracts / "one", **how)
        assert came_of(ledger) == {("stays", "ID_COLLISION"): 2}
        assert (events_of(store), rejects(store)) == (before, sealed)
    assert len(sealed) == 2
    assert len(set(before)) == 6


def test_of_bodies_that_collided_none_is_taken_for_a_duplicate(
    colliding: Path, contracts: Path, tmp_path: Path, keys: Path
) -> None:
    """Delivered again, each of them: which one was taken in cannot be told, so all of them stay."""
    store = Path(shutil.copytree(colliding, tmp_path / "store"))
    events, before = unknown_events(6), events_of(store)
    held(store, contracts / "none", keys, events[2:5], LATEST)
    assert came_of(reprocess(store, keys, contracts / "one")) == {
        ("duplicate", ""): 1,
        ("stays", "ID_COLLISION"): 4,
    }
    assert events_of(store) == before


@pytest.mark.parametrize("first", ["visit.grew", "visit.came"])
def test_another_type_under_the_id_of_an_event_that_was_taken_in_stays(
    first: str, contracts: Path, tmp_path: Path, keys: Path
) -> None:
    """What was taken in came by reprocessing, or was known from the start."""
    store = tmp_path / "store"
    events = [of_type(each, first) for each in unknown_events(3)]
    held(store, contracts / "none", keys, events)
    held(store, contracts / "none", keys, [of_type(each, "visit.late") for each in events[:2]], LATER)
    reprocess(store, keys, contracts / "one")
    assert len(events_of(store)) == 3
    assert came_of(reprocess(store, keys, contracts / "both")) == {("stays", "ID_COLLISION"): 2}
    assert len(set(events_of(store))) == len(events_of(store)) == 3
    assert len(rejects(store)) == 2


# --- rows that vanish -------------------------------------------------------------------------------------


def _without_rows(path: Path, rows: int) -> None:
    """Cut rows off a file and keep its size."""
    size, kept = path.stat().st_size, io.BytesIO()
    table = pq.ParquetFile(path).read()
    pq.write_table(
        table.slice(0, max(0, table.num_rows - rows)), kept, store_schema=False, compression="zstd"
    )
    content = kept.getvalue()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    path.write_bytes(content[:-footer] + bytes(size - len(content)) + content[-footer:])


def _cut_then_vanish(rows: int, store: Store, *rest: Any) -> list[Task]:
    tasks = tasks_of(store, *rest)
    for record in store.files(QUARANTINE_REJECTED):
        _without_rows(Path(store.root) / record.path, rows)
    return tasks


@pytest.mark.parametrize("rows", [1, 1000], ids=["some", "all"])
def test_rows_that_vanish_once_they_are_chosen_are_missed(
    rows: int, contracts: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    held(store, contracts / "none", keys, unknown_events(6))
    manifests = len(Store.open(store).snapshot.manifests)
    monkeypatch.setattr(reprocess_steps, "tasks_of", partial(_cut_then_vanish, rows))
    monkeypatch.setattr(store_reading, "check_content", lambda *_: None)  # it came before they vanished
    with pytest.raises(PromiseBroken, match=r"chosen rows|data keys"):
        reprocess(store, keys, contracts / "one")
    assert len(Store.open(store).snapshot.manifests) == manifests
