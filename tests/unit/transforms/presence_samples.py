"""Rosters and items of one meeting, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, ROSTER
from transforms.presence import MeetingClasses, Person

Row = dict[str, Any]

TENANT, MEETING = "tenant-t", "meeting-m"


def roster_row(event: str, time: int | None, **fields: Any) -> Row:
    return {"event": event, "event_time": time, "tenant_join": TENANT, "meeting_join": MEETING, **fields}


def bounds(start: int = 0, end: int = 100) -> list[Row]:
    return [roster_row("start", start), roster_row("end", end)]


def came(event: str, time: int | None, *ids: str, visit: str | None = None, **fields: Any) -> Row:
    """A join or a leave; an id is a ``zoom.user_id`` unless it reads ``type/id``."""
    subjects = [
        {"type": one.rpartition("/")[0] or "zoom.user_id", "pseudonym": one.rpartition("/")[2]} for one in ids
    ]
    return roster_row(event, time, subjects=subjects, join_pseudonym=visit, **fields)


def visit(join: int, leave: int, *ids: str, name: str | None = None, **fields: Any) -> list[Row]:
    return [came(event, at, *ids, visit=name, **fields) for event, at in (("join", join), ("leave", leave))]


def item(item_id: str = "i", at: int | None = 50, **fields: Any) -> Row:
    known = {"kind": "chat", "tenant_join": TENANT, "meeting_join": MEETING, "event_time": at}
    return {"item_id": item_id, **known, **fields}


def roster_table(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=FIXED_TABLES[ROSTER])


def item_table(rows: Sequence[Row], *columns: pa.Field) -> pa.Table:
    schema = FIXED_TABLES[QUARANTINE_ITEMS]
    return pa.Table.from_pylist(rows, schema=pa.schema([*schema, *columns]))


def people_of(found: MeetingClasses, place: int = 0) -> list[Person]:
    """The people whom an item concerns."""
    one = found.classes[found.class_of[place]]
    return [found.people[at] for at in found.people_of(one)]


def keys_of(found: MeetingClasses, place: int = 0) -> set[str]:
    return {person.key for person in people_of(found, place)}


def flag(purposes: Iterable[str] | None = None, refuses: bool | None = True) -> Row:
    return {"record_ids": None, "purposes": purposes and list(purposes), "refuses": refuses}
