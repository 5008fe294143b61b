"""A small store with what a report tells of: runs, releases, a withdrawal, held and released items."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from pipelines.report_build import ReportRequest
from tests.pipeline.release_world import World, chat, meeting
from transforms.keys import create_key_directory

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
CANARY = "Zanzibar-Teapot"
"""Stands in content of the world, and must stand in no report."""

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\"'&"


def make_world(folder: Path, releases: int = 2) -> World:
    """Two meetings, one of which may be released and one not, and a withdrawal before the second release."""
    keys = folder / "keys"
    create_key_directory(keys, created=date(2026, 3, 2))
    world = World(folder, keys)
    world.adults("ann", "ben", "cat")
    for person in ("ann", "ben"):
        world.say(person, scope="tenant:t1")
    events = [*meeting(["ann", "ben"], "m1", 3), *meeting(["ann", "cat"], "m2", 2)]
    world.ingest([*events, planted("m1-canary"), b'{"not": "an event"}'])
    world.release(as_of="2026-03-10T00:00:00Z")
    world.say("ben", "withdrawn", scope="tenant:t1", event_time="2026-03-11T00:00:00Z")
    if releases > 1:
        world.release(as_of="2026-03-12T00:00:00Z")
    return world


def planted(identity: str) -> dict[str, Any]:
    """A message whose words, name and unknown field are the canary."""
    found = chat(identity, "ann")
    found["data"] |= {"text": CANARY, CANARY: CANARY}
    return found


def request(world: World, **changes: Any) -> ReportRequest:
    """A report on the world, with registry and keys."""
    asked: dict[str, Any] = {"registry": world.registry, "keys": world.keys / "ingest", **changes}
    return ReportRequest(str(world.store), AS_OF, **asked)


def mark(part: Any, text: str) -> None:
    """Put a text in the place of every string of a report."""
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, str):
            setattr(part, name, text)
        elif isinstance(value, msgspec.Struct):
            mark(value, text)
        elif isinstance(value, list):
            setattr(part, name, [text if isinstance(each, str) else each for each in value])
            for each in value:
                if isinstance(each, msgspec.Struct):
                    mark(each, text)
