"""An engine that is not there changes nothing, and of a job that may go on nothing is taken away."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines import run_erase, run_release, run_reprocess
from pipelines.cli import cli
from pipelines.engine_jobs import JobGoesOn
from pipelines.engines import run_to_commit
from pipelines.run_reprocess import ReprocessRequest, reprocess_store
from tests.pipeline.kill_worlds import unnamed
from tests.pipeline.release_world import AS_OF, TRAINING, World, meeting
from tests.pipeline.support import lines_file
from tests.pipeline.test_erase import ADA, erase, files_of
from transforms.store import Store


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    for name in ("ada", "bob"):
        made.say(name, scope="tenant:t1")
    made.ingest([*meeting(["ada", "bob"], items=2), *meeting(["bob"], "m2")])
    return made


@pytest.fixture
def nobody() -> str:
    """The address of a job service that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return f"127.0.0.1:{held.getsockname()[1]}"


def command(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def commands(world: World) -> dict[str, tuple[object, ...]]:
    decided = (
        "--consents",
        world.consents,
        "--registry",
        world.registry,
        "--as-of",
        AS_OF,
        "--allow-test-keys",
    )
    places = ("--store", world.store, "--keys", world.keys / "release")
    source = lines_file(world.folder / "in.jsonl", meeting(["ada"], "m3"))
    new = ("--store", world.folder / "new", "--keys", world.keys / "ingest")
    return {
        "run": ("run", "--input", source, *new),
        "release": ("release", *places, *decided, "--purpose", TRAINING, "--recipient", "first_party"),
        "erase": ("erase", *places, *decided, "--all-due"),
        "reprocess": ("reprocess", *places),
    }


def test_an_engine_that_is_not_there_changes_and_makes_nothing(world: World, nobody: str) -> None:
    before = files_of(world)
    for words in commands(world).values():
        ended = command(*words, "--runner", "FlinkRunner", "--job_endpoint", nobody)
        assert (ended.exit_code, ended.stderr.count("Error: ENGINE_UNREACHABLE")) == (3, 1), ended.output
    assert files_of(world) == before
    assert not (world.folder / "new").exists()


@pytest.mark.parametrize("name", ["erase", "reprocess"])
def test_who_deletes_behind_the_commit_waits(name: str, world: World) -> None:
    ended = command(*commands(world)[name], "--no-wait")
    assert (ended.exit_code, "this command waits" in ended.stderr) == (2, True)


def goes_on(pipeline: Any, store: str, run_id: str, *, elsewhere: bool) -> bool:
    """An engine that has written something when nobody waits for it any more."""
    left = Path(store) / "released" / f"{run_id}-left.parquet"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"x")
    raise JobGoesOn("RUN_INTERRUPTED", "it may go on")


def fails(pipeline: Any, store: str, run_id: str, *, elsewhere: bool) -> bool:
    """An engine that has written something when its job fails."""
    try:
        return goes_on(pipeline, store, run_id, elsewhere=elsewhere)
    except JobGoesOn:
        raise RuntimeError("a step") from None


def asked(world: World) -> ReprocessRequest:
    return ReprocessRequest(str(world.store), world.keys / "release")


DEEDS: dict[str, tuple[Any, Callable[[World], object]]] = {
    "release": (run_release, lambda world: world.release()),
    "erase": (run_erase, lambda world: erase(world, ADA)),
    "reprocess": (run_reprocess, lambda world: reprocess_store(asked(world))),
}


@pytest.mark.parametrize("name", DEEDS)
def test_what_a_job_that_may_go_on_has_written_stays_for_the_next_deed(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, do = DEEDS[name]
    version = Store.open(world.store).version
    monkeypatch.setattr(module, "run_to_commit", fails)
    with pytest.raises(Exception, match="RUN_FAILED"):
        do(world)
    assert not [path for path in unnamed(world) if path.endswith("-left.parquet")]
    monkeypatch.setattr(module, "run_to_commit", goes_on)
    with pytest.raises(JobGoesOn):
        do(world)
    assert [path for path in unnamed(world) if path.endswith("-left.parquet")]
    assert Store.open(world.store).version == version
    monkeypatch.setattr(module, "run_to_commit", run_to_commit)
    do(world)
    assert unnamed(world) == set()
    assert Store.open(world.store).version == version + 1


def test_a_look_at_what_would_be_erased_keeps_nobody_from_writing(world: World) -> None:
    with Store.open(world.store).writing("run-000001"):
        before = files_of(world)
        for subjects, due in ((ADA,), False), ((), True):
            assert erase(world, *subjects, dry_run=True, all_due=due)["dry_run"]
        assert files_of(world) == before
