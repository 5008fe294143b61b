"""What is done on an engine and in process, and what of a store must be the same afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pipelines.run_erase import EraseOptions, run_erase
from tests.pipeline.kill_worlds import ADA, BOB, EVE, SECRETS, State, state
from tests.pipeline.kill_worlds import DEEDS as KILLED
from tests.pipeline.release_world import AS_OF, Event, World, chat, meeting
from tests.pipeline.reprocess_world import reprocess
from tests.pipeline.support import opened
from transforms.store import Store

Beam = tuple[str, ...]
ERASED = ("items", "reasons", "kinds", "events", "recalls")


def begin(folder: Path, keys: Path) -> World:
    """Three people, two of whom agree to what is asked in the first meeting."""
    made = World(folder, keys)
    made.adults(ADA, BOB, EVE)
    for name in (ADA, BOB):
        made.say(name, scope="tenant:t1")
    return made


def ingest(world: World, beam: Beam) -> dict[str, Any]:
    """A run: two meetings, records that come again and records that are no events."""
    talk = [chat(f"m1-chat-{number}", ADA) for number in range(20)]
    odd = [b'{"mumbled', b'{"mumbled": 1, "mumbled": 2}']
    events: list[Event | bytes] = [*meeting([ADA, BOB], items=2), *meeting([BOB, EVE], "m2"), *talk[2:], *odd]
    world.ingest([*events, *talk[5:12]], beam_arguments=beam, split_bytes=4096)
    return ledger_of(world)


def release(world: World, beam: Beam) -> dict[str, Any]:
    """A release of what may go."""
    return world.release(beam_arguments=beam)


def erase(world: World, beam: Beam, **changes: Any) -> dict[str, Any]:
    """Ada is erased."""
    options = EraseOptions(
        store=str(world.store),
        keys=world.keys / "release",
        consents=(world.consents,),
        registry=world.registry,
        as_of=AS_OF,
        subjects=(f"cofferdam.user_id:{ADA}",),
        max_share=100.0,
        allow_test_keys=True,
        beam_arguments=beam,
    )
    return run_erase(replace(options, **changes), show_progress=False)


def take_in_again(world: World, beam: Beam) -> dict[str, Any]:
    """What a poor contract did not know is taken in again under a rich one, in many tasks."""
    return reprocess(world.store, world.keys, world.folder / "rich", beam_arguments=beam, rows_a_task=2)


DEEDS: Final = MappingProxyType(
    {"run": ingest, "release": release, "erase": erase, "reprocess": take_in_again}
)
BEFORE: Final = MappingProxyType({"run": (), "release": ("run",), "erase": ("run", "release")})
LIFE: Final = ("run", "release", "erase")
"""Deeds that are done one after the other in one world."""


def prepared(name: str, folder: Path, keys: Path) -> World:
    """A world in which a deed can be done; what comes before it was done in this process."""
    if name == "reprocess":
        return KILLED[name].prepare(folder, keys)
    world = begin(folder, keys)
    for before in BEFORE[name]:
        DEEDS[before](world, ())
    return world


def ledger_of(world: World) -> dict[str, Any]:
    """The ledger of the last commit."""
    found: dict[str, Any] = Store.open(world.store).snapshot.manifests[-1].facts["ledger"]
    return found


def said(name: str, ledger: dict[str, Any]) -> dict[str, Any]:
    """What a ledger says that is the same on every engine."""
    names = {
        "run": ("outcomes", "by_type", "items", "drift", "misfits", "dropped", "records", "bytes_read"),
        "release": ("released", "outcomes", "decisions"),
        "erase": ERASED,
        "reprocess": tuple(sorted({*ledger} - {"run_id", "decision_id"})),
    }
    return {each: ledger[each] for each in names[name]}


def kept(world: World) -> State:
    """All that the store keeps; of what names files and keys, the number of rows."""
    found = {
        name: Counter({"rows": rows.total()}) if name.startswith("tombstones/") else rows
        for name, rows in state(world).items()
    }
    # Parts of an item stand in the order in which their decoder came to know their fields.
    parts = opened(world.store, world.keys).items.items()
    found["opened items"] = Counter(repr((item, sorted(each))) for item, each in parts)
    return found


def decided(world: World) -> Counter[str]:
    """All decisions, of all purposes and stages."""
    names = ("stage", "purpose", "kind", "decision", "primary", "reasons", "items")
    rows = [row for stage in ("decide", "sink") for row in world.classes(stage=stage)]
    return Counter(repr([row.get(name) for name in names]) for row in rows)


def differing(found: State, expected: State) -> tuple[int, int]:
    """Rows that are missing, and rows that are there too often."""
    names = {*found, *expected}
    lost = [(expected.get(name, Counter()) - found.get(name, Counter())).total() for name in names]
    more = [(found.get(name, Counter()) - expected.get(name, Counter())).total() for name in names]
    return sum(lost), sum(more)


def logged(folder: Path) -> int:
    """Log lines of a cluster that hold something from inside an event."""
    lines = (line for path in folder.glob("*") for line in path.read_bytes().splitlines())
    return sum(any(secret in line for secret in SECRETS) for line in lines)


Deed = Callable[[World, Beam], dict[str, Any]]

__all__ = [
    "BEFORE",
    "DEEDS",
    "Beam",
    "Deed",
    "begin",
    "decided",
    "differing",
    "kept",
    "ledger_of",
    "logged",
    "prepared",
    "said",
]
