"""A run that nobody waits for holds no lock: whoever commits first, the store is whole; the other is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import run_erase, run_reprocess
from schemas.errors import InfrastructureFault
from schemas.tables import FIXED_TABLES, ROSTER
from tests.pipeline.release_world import World, meeting
from tests.pipeline.test_erase import ADA, erase
from tests.pipeline.test_reprocess import mended_contracts, run, unheard
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord
from transforms.store import Store

Deed = Callable[[], Any]


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    made.ingest([*meeting(["ada", "bob"]), unheard("u-1", "ada"), b"no json"])
    return made


@pytest.fixture(params=["erase", "reprocess"])
def deed(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Deed:
    """Something that deletes what no manifest names."""
    if request.param == "erase":
        return lambda: erase(world, ADA)
    contracts = mended_contracts(tmp_path / "mended")
    return lambda: run(world, contracts)


class Job:
    """A run on an engine: it has written, and is about to commit."""

    def __init__(self, world: World) -> None:
        self.store = Store.open(world.store, seal_of(load_ingest_keys(world.keys / "ingest")))
        with self.store.writer("run-000001", ROSTER) as writer:
            writer.append(FIXED_TABLES[ROSTER].empty_table().from_pylist([{}], FIXED_TABLES[ROSTER]))
            self.files: list[FileRecord] = writer.close()

    def commit(self, *_: Any, **__: Any) -> None:
        self.store.commit("run-000001", self.files, {})


def before_the_end(monkeypatch: pytest.MonkeyPatch, act: Callable[..., Any]) -> None:
    """Do something when everything is written and nothing is committed."""
    for module in (run_erase, run_reprocess):
        real = module.run_to_commit

        def then(*given: Any, real: Callable[..., Any] = real, **more: Any) -> Any:
            act()
            return real(*given, **more)

        monkeypatch.setattr(module, "run_to_commit", then)


def test_where_the_run_commits_first_all_of_it_is_there(
    world: World, deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(world)
    before_the_end(monkeypatch, job.commit)
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        deed()
    store = Store.open(world.store)
    store.check(digests=True)
    assert store.snapshot.of_run("run-000001") is not None
    monkeypatch.undo()
    deed()


def test_where_another_fails_the_run_can_still_commit(
    world: World, deed: Deed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise InfrastructureFault("RUN_FAILED", "no worker is left")

    job = Job(world)
    before_the_end(monkeypatch, fail)
    with pytest.raises(InfrastructureFault, match="RUN_FAILED"):
        deed()
    job.commit()
    Store.open(world.store).check(digests=True)


def test_where_the_run_comes_later_it_commits_nothing_and_leaves_nothing(world: World, deed: Deed) -> None:
    job = Job(world)
    deed()
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        job.commit()
    assert not [record for record in job.files if (world.store / record.path).exists()]
    Store.open(world.store).check(digests=True)
