"""An erasure that is killed at any step shows nothing or all of itself, and the next one ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.run_erase import run_erase
from schemas.errors import InfrastructureFault
from tests.pipeline.erase_kill_child import options
from tests.pipeline.release_world import World, chat, meeting
from tests.pipeline.support import comparable
from tests.pipeline.test_erase import everything, names_of
from transforms.erase_orders import FOLDER
from transforms.store import Store

ROOT = Path(__file__).parents[2]
SPREAD = 4
LAST = 18
"""The last steps of an erasure delete what was replaced and the order: more of them are tried."""

OWN = ("tombstones/items", "tombstones/events", "tombstones/recalls")
"""Tables in which every row names its run."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """A meeting whose chat is released, in a store that was written in two runs."""
    made = World(tmp_path_factory.mktemp("world"), keys)
    made.adults("ada", "bob", "eve")
    for name in ("ada", "bob", "eve"):
        made.say(name, scope="tenant:t1")
    made.ingest([*meeting(["ada", "bob"], items=2), *meeting(["bob", "eve"], "m2")])
    made.ingest([chat("more", "ada", meeting="m2")], "more.jsonl")
    made.release()
    return made


NO_DATA = ("log/", ".lock", "format.json", "manifests/.draft-", ".draft-")
"""What no manifest names and holds no row; `gc` deletes drafts of manifests."""


def copied(world: World, folder: Path) -> Path:
    shutil.copytree(world.folder, folder)
    return folder


def child(*arguments: object) -> str:
    command = [sys.executable, "-m", "tests.pipeline.erase_kill_child", *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=550)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def state(store: Path, keys: Path) -> dict[str, Any]:
    """All that a store says, but for what every run draws anew."""
    said: dict[str, Any] = comparable(store, keys)
    said.pop("ledger")
    said["roster"] = [row.split("'join_pseudonym'")[0] for row in said["roster"]]
    opened = Store.open(store)
    for table in set(OWN) & set(said):
        rows = opened.read_table(table).drop_columns(["run_id"]).to_pylist()
        said[table] = sorted(map(repr, rows))
    return said


def left_over(store: Path) -> set[str]:
    """Files that no manifest names."""
    opened = Store.open(store)
    named = {*opened.snapshot.live, *(each.path for each in opened.snapshot.manifests)}
    found = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    return {path for path in found - named if not path.startswith(NO_DATA)}


def check_finished(folder: Path, world: World, expected: dict[str, Any]) -> None:
    """What a killed erasure left shows nothing or all, releases nothing, and is ended by the next one."""
    store = folder / "store"
    moved = World.__new__(World)
    vars(moved).update({**vars(world), "folder": folder})
    Store.open(store).check(digests=True)
    if (store / FOLDER).exists() and any((store / FOLDER).iterdir()):
        with pytest.raises(InfrastructureFault) as caught:
            moved.release()
        assert caught.value.code == "ERASURE_UNFINISHED"
    ledger = run_erase(options(folder, world.keys), show_progress=False)
    assert (ledger["check"]["keys_opened"], ledger["check"]["rows_present"]) == (0, 0)
    assert state(store, world.keys) == expected
    assert left_over(store) == set()
    assert not any(name in everything(moved) for name in names_of(world, "ada"))


def chosen(count: int) -> list[int]:
    """Every step where the environment asks for it, else some of each part of the way and all of its ends."""
    if "EVERY_STEP" in os.environ:
        return list(range(1, count + 1))
    spread = range(3, count - LAST, max(count // SPREAD, 1))
    return [1, 2, *spread, *range(count - LAST, count - 4, 6), *range(count - 4, count + 1)]


@pytest.mark.slow
def test_an_erasure_that_is_killed_at_any_step_is_ended_by_the_next_one(
    world: World, tmp_path: Path, keys: Path
) -> None:
    count = int(child(copied(world, tmp_path / "0000").parent, keys, 0))
    expected = state(tmp_path / "0000" / "store", keys)
    assert count > 30
    steps = chosen(count)
    for step in steps:
        copied(world, tmp_path / f"{step:04d}")
    child(tmp_path, keys, *steps)
    seen = set()
    for step in steps:
        folder = tmp_path / f"{step:04d}"
        seen.add(Store.open(folder / "store").version)
        check_finished(folder, world, expected)
        shutil.rmtree(folder)
    assert len(seen) == 2, "no step before the commit, or none behind it"
