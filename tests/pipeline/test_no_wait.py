"""Launching and leaving: what `--no-wait` says, and what `cofferdam ledger` tells afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines import ledger_command, run_ingest, run_release
from pipelines.cli import cli
from schemas.errors import EXIT_CONFIGURATION, EXIT_INFRASTRUCTURE
from tests.pipeline.release_world import AS_OF, TRAINING, World, meeting
from tests.pipeline.support import lines_file
from transforms.store import Store


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    for name in ("ada", "bob"):
        made.say(name, scope="tenant:t1")
    lines_file(tmp_path / "in.jsonl", meeting(["ada", "bob"], items=3))
    return made


@pytest.fixture
def leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the runner in this process went on without it: it has ended when the job is handed over."""
    for module in (run_ingest, run_release):
        monkeypatch.setattr(module, "refuse_not_outliving", lambda _: None)


def launched(world: World, *more: str) -> Result:
    places = ("--store", world.store, "--keys", world.keys / "ingest")
    return run("run", "--input", world.folder / "in.jsonl", *places, "--no-wait", *more)


def released(world: World, *more: str) -> Result:
    places = ("--store", world.store, "--keys", world.keys / "release", "--consents", world.consents)
    asked = ("--purpose", TRAINING, "--recipient", "first_party", "--as-of", AS_OF)
    return run(
        "release", *places, "--registry", world.registry, *asked, "--allow-test-keys", "--no-wait", *more
    )


def test_an_engine_that_would_end_with_the_launch_is_refused_before_anything_is_made(world: World) -> None:
    ended = launched(world)
    assert ended.exit_code == EXIT_CONFIGURATION
    assert "CANNOT_LEAVE" in ended.stderr
    assert not world.store.exists()


def test_a_release_cannot_follow_a_run_that_is_left(world: World) -> None:
    ended = launched(world, "--release-keys", str(world.keys / "release"))
    assert ended.exit_code == EXIT_CONFIGURATION
    assert not world.store.exists()


@pytest.mark.usefixtures("leaves")
def test_a_launch_names_the_command_that_tells_what_the_run_came_to(world: World) -> None:
    ended = launched(world)
    assert ended.exit_code == 0, ended.output
    (manifest,) = Store.open(world.store).snapshot.manifests
    command = f"cofferdam ledger --store {world.store} --run {manifest.run_id}"
    assert command in ended.stdout
    told = run(*command.split()[1:], "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (0, manifest.facts["ledger"])
    shown = run("ledger", "--store", world.store)
    assert shown.exit_code == 0
    assert manifest.run_id in shown.stdout


@pytest.mark.usefixtures("leaves")
def test_a_release_that_was_left_is_told_of_by_its_id(world: World) -> None:
    world.ingest(meeting(["ada", "bob"], items=3))
    answer = json.loads(released(world, "--json").stdout)
    assert answer == {"run_id": answer["run_id"], "submitted": True}
    told = run("ledger", "--store", world.store, "--run", answer["run_id"], "--json")
    assert json.loads(told.stdout)["released"] == 3
    shown = run("ledger", "--store", world.store, "--run", answer["run_id"])
    assert (shown.exit_code, "saying" in shown.stdout) == (0, False)


def test_a_run_that_is_not_committed_is_said_to_be_so(world: World) -> None:
    world.ingest(meeting(["ada"]))
    told = run("ledger", "--store", world.store, "--run", "20260302t000000z-0123456789ab")
    assert told.exit_code == EXIT_INFRASTRUCTURE
    assert "RUN_NOT_COMMITTED" in told.stderr


def test_no_store_and_no_such_option_are_told_apart(world: World) -> None:
    assert run("ledger", "--store", world.folder / "none").exit_code == EXIT_CONFIGURATION
    assert run("ledger").exit_code == EXIT_CONFIGURATION


def test_a_release_that_was_stopped_ends_as_one_that_was_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = {"stopped": "RECORDS_CHANGED", "released": 0}
    monkeypatch.setattr(ledger_command, "read_ledger", lambda *_: ("erasure", stopped))
    told = run("ledger", "--store", world.store, "--json")
    assert told.exit_code == EXIT_INFRASTRUCTURE
    assert json.loads(told.stdout) == stopped
    assert "RECORDS_CHANGED" in told.stderr
