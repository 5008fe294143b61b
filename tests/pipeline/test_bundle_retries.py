"""Engines do bundles again when a worker was lost: nothing is lost, nothing doubled, and one manifest a run.

Beam's runner in this process can do every bundle of a pipeline twice and drop what came out first, the bundle
that commits included.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.run_erase import EraseOptions, run_erase
from tests.pipeline.kill_worlds import State, state, unnamed
from tests.pipeline.release_world import AS_OF, World, meeting
from tests.pipeline.support import comparable, ingest, lines_file
from tests.pipeline.support_events import chat as zoom_chat
from tests.pipeline.support_events import joined
from transforms.store import Store

EVERY_BUNDLE_TWICE = ("--direct_runner_bundle_repeat", "1")
STAGES = ("decide", "sink")
ERASED = ("items", "reasons", "kinds", "data_keys", "events", "recalls", "rows", "check")


def test_a_run_is_the_same_with_every_bundle_done_twice(tmp_path: Path, keys: Path) -> None:
    people = [joined(number, f"Person {number}") for number in range(40)]
    talk = [zoom_chat(f"{number}", f"hello {number}") for number in range(40)]
    events = lines_file(tmp_path / "in.jsonl", [*people, *talk, *talk[:7], b"no json"])
    plain = ingest(events, tmp_path / "plain", keys, split_bytes=4096)
    twice = ingest(events, tmp_path / "twice", keys, split_bytes=4096, beam_arguments=EVERY_BUNDLE_TWICE)
    assert twice["outcomes"] == plain["outcomes"] == {"duplicate": 7, "rejected": 1, "separated": 80}
    assert twice["reconciliation"] == plain["reconciliation"]
    assert comparable(tmp_path / "twice", keys) == comparable(tmp_path / "plain", keys)
    assert len(Store.open(tmp_path / "twice").snapshot.manifests) == 1


def _lived(folder: Path, keys: Path, beam_arguments: tuple[str, ...]) -> tuple[World, list[dict[str, Any]]]:
    """A store that was filled and released from, and a person who was erased from it, with all ledgers."""
    world = World(folder, keys)
    world.adults("ada", "bob", "eve")
    for name in ("ada", "bob"):
        world.say(name, scope="tenant:t1")
    world.ingest(
        [*meeting(["ada", "bob"], items=2), *meeting(["bob", "eve"], "m2")], beam_arguments=beam_arguments
    )
    released = world.release(beam_arguments=beam_arguments)
    options = EraseOptions(
        store=str(world.store),
        keys=keys / "release",
        consents=(world.consents,),
        registry=world.registry,
        as_of=AS_OF,
        subjects=("cofferdam.user_id:ada",),
        max_share=100.0,
        allow_test_keys=True,
        beam_arguments=beam_arguments,
    )
    return world, [released, run_erase(options, show_progress=False)]


def _kept(world: World) -> State:
    """All that the store keeps; what names files and keys, by its number of rows."""
    return {
        name: Counter({"rows": rows.total()}) if name.startswith("tombstones/") else rows
        for name, rows in state(world).items()
    }


def _decided(world: World) -> list[str]:
    names = ("stage", "purpose", "kind", "decision", "primary", "reasons", "items")
    return sorted(
        repr([row.get(name) for name in names]) for stage in STAGES for row in world.classes(stage=stage)
    )


def test_releases_and_erasures_are_the_same_with_every_bundle_done_twice(tmp_path: Path, keys: Path) -> None:
    plain, ledgers = _lived(tmp_path / "plain", keys, ())
    twice, again = _lived(tmp_path / "twice", keys, EVERY_BUNDLE_TWICE)
    released, erased = ledgers
    assert (released["released"], again[0]["released"]) == (2, 2)
    assert again[0]["decisions"] == released["decisions"]
    assert {name: again[1][name] for name in ERASED} == {name: erased[name] for name in ERASED}
    assert erased["items"] == 2
    assert _decided(twice) == _decided(plain)
    assert _kept(twice) == _kept(plain)
    assert len(Store.open(twice.store).snapshot.manifests) == 3
    assert unnamed(twice) == set()
