"""Events made from contracts and changed field by field, and what is decided about them, in one process."""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from schemas.contract import ITEMS, ArrayNode, EventShape, Field, Node, ObjectNode
from schemas.registry import load_registry
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, ROSTER
from tests.pipeline.release_world import TENANT, Event, World, at
from tests.pipeline.support_populate import _plain
from tests.unit.transforms.separator_samples import bundled, key_folder, separator, take
from tests.unit.validation.judging import PlainGate
from transforms.consent_intake import (
    Link,
    RecordIntake,
    alias_links,
    plan_records,
    read_range,
    resolve,
    rows_of_people,
)
from transforms.decide_meetings import DecisionLabels, MeetingInput, decide_meetings
from transforms.keys import load_release_keys
from transforms.meeting_joins import HOME, participants, senders
from transforms.pseudonyms import join_pseudonyms
from transforms.release_rules import ReleaseRules, make_rules
from validation.decisions import Decider

LABELS: Final = DecisionLabels("run-000001", "decide", "0:0")
GRANTED: Final = {"status": "granted", "purposes": ["ai_training"], "record_ids": ["r00001"]}

VALUES: Final[tuple[Any, ...]] = (
    *(None, "", "ada", "bob", "m1", "granted", "us-default", "bot", True, 0, 1),
    *(at("10:30"), "2030-01-01T00:00:00Z", [], [GRANTED], GRANTED),
)
"""What each field is changed to: words that could mean consent, people and places, and wrong types."""

ABSENT: Final = object()
Path_ = tuple[str | int, ...]


def paths_of(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The paths of everything inside a JSON value, leaves and what holds them."""
    if path:
        yield path
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in members:
        yield from paths_of(child, (*path, key))


def changed(event: Event, path: Path_, value: Any) -> Event:
    """A copy of an event with one value changed, or taken away."""
    copied = copy.deepcopy(event)
    inner: Any = copied
    for key in path[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


def every_change(event: Event, values: Sequence[Any] = VALUES) -> Iterator[Event]:
    """An event with each of its values changed to each value in turn, and each taken away."""
    for path in paths_of(event):
        yield from (changed(event, path, value) for value in (ABSENT, *values))


def base_event(shape: EventShape, sender: str = "ada") -> Event:
    """An event of a shape with every field filled, of a sender in meeting m1 at half past ten."""
    event: Event = _filled(shape.root)
    known = {"tenant": TENANT, "meeting": "m1", "participant": sender, "id": "event-1"}
    fields = {entry.path: entry for entry in shape.fields}
    for role, path in shape.envelope.items():
        if role in ("time", "started", "ended"):
            _put(event, path, _half_past_ten(fields[path]))
        elif role in known and ITEMS not in path:
            _put(event, path, known[role])
        elif role in ("consent", "region"):
            _put(event, path, ABSENT)
        elif role == "derived_from":
            _put(event, path, ["audio"])
    kind = shape.events[0]
    _put(event, shape.type_at, int(kind) if shape.source == "zoom_rtms" else kind)
    return event


def _filled(node: Node) -> Any:
    if isinstance(node, ObjectNode):
        return {key: _filled(child) for key, child in node.children.items()}
    if isinstance(node, ArrayNode):
        return [_filled(node.items)]
    return [_plain(node)] if node.is_list else _plain(node)


def _half_past_ten(entry: Field) -> Any:
    scale = {"ms since 1970 UTC": 1000, "s since 1970 UTC": 1}.get(entry.unit or "")
    instant = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)
    return at("10:30") if scale is None else int(instant.timestamp()) * scale


def _put(event: Any, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        event = event[key]
    if value is ABSENT:
        event.pop(path[-1], None)
    else:
        event[path[-1]] = value


def content_shapes() -> list[EventShape]:
    """Every shape whose events carry content, and name a meeting."""
    return [
        shape
        for shape in bundled().shapes
        if "meeting" in shape.envelope
        and any(entry.classification.startswith("content.") for entry in shape.fields)
    ]


@dataclass
class Judged:
    """What was decided about the items of some events.

    Attributes:
        outcomes: Decisions by item id.
        items: Rows of the items.
    """

    outcomes: dict[str, set[str]]
    items: list[dict[str, Any]]

    @property
    def released(self) -> list[dict[str, Any]]:
        """Items that may go."""
        return [row for row in self.items if "RELEASE" in self.outcomes[row["item_id"]]]


class InProcess:
    """Ingest and release of a world's events without files and without Beam, by the same functions.

    Args:
        world: Registry and records.
        request: Changes to what is asked (`World.options`).
    """

    def __init__(self, world: World, **request: Any) -> None:
        self._world = world
        registry = load_registry(world.registry)
        self._pseudonyms = join_pseudonyms(load_release_keys(key_folder() / "release"))
        asked = world.options(**request).request
        self._rules: ReleaseRules = make_rules(
            asked, registry, self._policies(), self._pseudonyms, allow_test_keys=True
        )
        self._aliases: dict[str, list[Link]] = defaultdict(list)
        for link in alias_links(registry, self._pseudonyms):
            self._aliases[link.pseudonym].append(link)
        self._rows, self._ownerless = self._records()

    @staticmethod
    def _policies() -> Any:
        from validation.policy_loading import load_policies

        return load_policies()

    def _records(self) -> tuple[dict[str, list[bytes]], list[bytes]]:
        intake = RecordIntake(self._rules.signing_keys, self._pseudonyms, allow_test_keys=True)
        found: dict[str, list[bytes]] = defaultdict(list)
        ownerless: list[bytes] = []
        lines = (line for part in plan_records([str(self._world.consents)]) for line in read_range(part))
        for pseudonym, row in intake.take(lines):
            if pseudonym is None:
                ownerless.append(row)
                continue
            for person, own in rows_of_people(pseudonym, self._aliases[pseudonym], [row]):
                found[person].append(own)
        return found, ownerless

    def judge(self, roster: Iterable[Event], events: Iterable[Event | bytes]) -> Judged:
        """What is decided about the items of some events, all in one meeting's company."""
        there = [
            row
            for group in take(*roster).groups
            if group.roster is not None
            for row in group.roster.to_pylist()
        ]
        items = self._items(events)
        by_meeting: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        for row in items:
            by_meeting[row["meeting_join"]].append(row)
        given = [self._meeting(name, rows, there) for name, rows in by_meeting.items()]
        outcomes: dict[str, set[str]] = defaultdict(set)
        for decided in decide_meetings(given, self._rules, LABELS):
            for row in decided.items.to_pylist():
                outcomes[row["item_id"]].add(row["decision"])
        return Judged(outcomes, items)

    @staticmethod
    def _items(events: Iterable[Event | bytes]) -> list[dict[str, Any]]:
        worker = separator()
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in events]
        groups, _ = worker.route(lines)
        made = [worker.separate(shape, [lines[index] for index in indexes]) for shape, indexes in groups]
        cuts = [cut for group in made for cut in group.content if cut.rows is not None]
        return [row for cut in cuts if cut.rows is not None for row in cut.rows.to_pylist()]

    def _meeting(
        self, name: str | None, rows: Sequence[Mapping[str, Any]], roster: Sequence[Mapping[str, Any]]
    ) -> MeetingInput:
        schema = pa.schema([*FIXED_TABLES[QUARANTINE_ITEMS], pa.field("ambiguous", pa.bool_())])
        items = pa.Table.from_pylist([{**row, "ambiguous": False} for row in rows], schema=schema)
        here = [row for row in roster if row["meeting_join"] == name and name is not None]
        table = pa.Table.from_pylist(here, schema=FIXED_TABLES[ROSTER])
        placed = items.append_column(HOME, items.column("meeting_join"))
        named = (participants(table), senders(placed))
        wanted = sorted({each for some in named for each in some.column("pseudonym").to_pylist()})
        links = [resolve(pseudonym, self._aliases[pseudonym]) for pseudonym in wanted]
        people = {link.person for link in links if link.person is not None}
        own = {person: tuple(self._rows[person]) for person in sorted(people) if person in self._rows}
        return MeetingInput(name, items, table, links, own, self._ownerless)


def plain_decider(policies: Any) -> Decider:
    """Judges without Great Expectations; that it judges alike is tested with the gate."""
    return Decider(policies, PlainGate())


def small_world(folder: Path) -> World:
    """A registry with Ada and Bob, adults in the EU, known under every type of identifier."""
    world = World(folder, key_folder())
    own = {entry.identifies for shape in bundled().shapes for entry in shape.fields if entry.identifies}
    types = sorted(each for each in own if not each.endswith("join_id") and each != "cofferdam.user_id")
    adult = {"region": "eu", "age": "adult", "relation": "guest"}
    world.people(
        {
            name: {**adult, "identifiers": [{"type": each, "value": name} for each in types]}
            for name in ("ada", "bob")
        }
    )
    return world
