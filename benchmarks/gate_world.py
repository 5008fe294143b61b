"""A world to measure the gate in: people in meetings, what they said there, and what they agreed to.

Items are tiny, so that what is measured is deciding and not decrypting. Seven meetings in ten may go; in the
others somebody said nothing, withdrew, or was merely told.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.contenders import cofferdam_command
from benchmarks.measure import measure
from schemas.consent_building import build_record
from schemas.consent_rows import Identifier
from schemas.consent_signing import sign_record
from schemas.registry import load_registry
from schemas.registry_writing import PrivateKey, compare_pins, read_private_key, write_pins, write_starter

ITEMS_A_MEETING, PEOPLE_A_MEETING = 10, 5
MEETINGS_A_PERSON = 2.5
HOT_ITEMS_A_PERSON = 5
FILE_MEETINGS = 20_000
TENANT, CONTROLLER, TERMS = "example-tenant", "example-controller", "example-2026-01"
PURPOSE, RECIPIENT, AS_OF = "ai_training", "first_party", "2026-03-20T00:00:00Z"
_START = datetime(2026, 3, 2, 8, tzinfo=UTC)
_STRIDE = 7919  # a prime: the people of a meeting are all different, and met before in other company
_HOURS = timedelta(hours=3)

Event = dict[str, Any]


@dataclass(frozen=True)
class GateWorld:
    """Everything that a release is asked with."""

    folder: Path
    items: int
    meetings: int
    people: int
    records: int

    @property
    def store(self) -> Path:
        """The store with the sealed items."""
        return self.folder / "store"

    @property
    def consents(self) -> Path:
        """The signed records."""
        return self.folder / "consents"

    @property
    def registry(self) -> Path:
        """The registry."""
        return self.folder / "registry"


class Shape:
    """What a world consists of."""

    name: str
    items: int
    meetings: int
    people: int
    records: int

    def events(self) -> Iterator[Event]:
        """All events, meeting by meeting."""
        raise NotImplementedError

    def consents(self) -> Iterator[dict[str, Any]]:
        """The fields of all records."""
        raise NotImplementedError


class Spread(Shape):
    """Many meetings of five people, with ten items and five records each; people meet again and again.

    Args:
        items: Number of items.
    """

    def __init__(self, items: int) -> None:
        self.name = f"gate-{items}"
        self.meetings = max(1, items // ITEMS_A_MEETING)
        self.items = self.meetings * ITEMS_A_MEETING
        self.records = self.meetings * PEOPLE_A_MEETING
        self.people = max(PEOPLE_A_MEETING, int(self.records / MEETINGS_A_PERSON))
        while self.people % _STRIDE == 0:
            self.people += 1

    def people_of(self, meeting: int) -> list[int]:
        """Who was in a meeting."""
        first = meeting * PEOPLE_A_MEETING
        return [(first + seat) * _STRIDE % self.people for seat in range(PEOPLE_A_MEETING)]

    def events(self) -> Iterator[Event]:
        """All events, meeting by meeting."""
        for number in range(self.meetings):
            people = self.people_of(number)
            start = _START + timedelta(seconds=37 * (number % 20_000))
            stays = [(person, start, start + timedelta(hours=1)) for person in people]
            said = [
                (people[item % PEOPLE_A_MEETING], start + timedelta(minutes=5 + item))
                for item in range(ITEMS_A_MEETING)
            ]
            yield from _meeting(f"m{number}", start, timedelta(hours=1), stays, said)

    def consents(self) -> Iterator[dict[str, Any]]:
        """One record of each person for each meeting."""
        for number in range(self.meetings):
            people = self.people_of(number)
            for seat, person in enumerate(people):
                last = seat == PEOPLE_A_MEETING - 1
                yield {
                    **_grant(f"m{number}", person, f"r{number}-{seat}", minutes=number % 20_000),
                    **(_STORIES.get(number % 10, {}) if last else {}),
                }


class Hot(Shape):
    """One meeting of very many people who come and go, some of whom did not agree and came late.

    Args:
        items: Number of items.
    """

    def __init__(self, items: int) -> None:
        self.name = f"gate-hot-{items}"
        self.meetings, self.items = 1, items
        self.people = max(10, items // HOT_ITEMS_A_PERSON)
        self.records = self.people + self.people // 2

    def events(self) -> Iterator[Event]:
        """All events of the meeting."""
        step = timedelta(minutes=30) / self.people
        stays = []
        for person in range(self.people):
            late = timedelta(hours=2) if self._refuses(person) else timedelta(0)
            joined = _START + person * step + late
            if person % 10 == 0:  # away for a while
                stays.append((person, joined, joined + timedelta(minutes=20)))
                joined += timedelta(minutes=25)
            stays.append((person, joined, _START + _HOURS - (self.people - person) * step))
        said = [(number % self.people, _START + _HOURS * number / self.items) for number in range(self.items)]
        yield from _meeting("m0", _START, _HOURS, stays, said)

    def _refuses(self, person: int) -> bool:
        return person % 1000 == 7

    def consents(self) -> Iterator[dict[str, Any]]:
        """A record of everybody, and an earlier one of every second."""
        for person in range(self.people):
            story = {"status": "refused"} if self._refuses(person) else {}
            yield {**_grant("m0", person, f"r{person}", minutes=person % 20_000), **story}
            if person % 2:
                yield _grant("m0", person, f"e{person}", minutes=20_000 + person % 20_000)


_STORIES: dict[int, dict[str, Any]] = {
    0: {"purposes": ["transcription"]},
    1: {"status": "withdrawn"},
    2: {"mechanism": "notice_acknowledged"},
}
"""What the last person of some meetings said instead, by the meeting's number modulo ten."""


def _grant(meeting: str, person: int, identity: str, *, minutes: int) -> dict[str, Any]:
    said = _START - timedelta(days=1, minutes=minutes)
    return {
        "id": identity,
        "subject": Identifier("cofferdam.user_id", f"u{person}"),
        "status": "given",
        "mechanism": "explicit_statement",
        "purposes": [PURPOSE],
        "kinds": ["chat"],
        "scope": f"meeting:{meeting}",
        "recipients": [RECIPIENT],
        "terms": TERMS,
        "event_time": _text(said),
        "ingested_at": _text(said + timedelta(seconds=1)),
        "controller": CONTROLLER,
    }


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _meeting(
    meeting: str,
    start: datetime,
    length: timedelta,
    stays: Sequence[tuple[int, datetime, datetime]],
    said: Sequence[tuple[int, datetime]],
) -> Iterator[Event]:
    """The events of a meeting: people with the times they came and went, and who said something when."""
    yield _event(meeting, "meeting.started", "s", start)
    for visit, (person, joined, left) in enumerate(stays):
        who = {"user_id": f"u{person}", "join_id": f"{meeting}-{visit}"}
        yield _event(meeting, "meeting.participant.joined", f"j{visit}", joined, participant=who)
        yield _event(meeting, "meeting.participant.left", f"l{visit}", left, participant=who)
    for number, (person, time) in enumerate(said):
        about = {
            "message_id": f"{meeting}-{number}",
            "text": "so be it",
            "participant": {"user_id": f"u{person}"},
        }
        yield _event(meeting, "chat.message.sent", f"c{number}", time, **about)
    yield _event(meeting, "meeting.ended", "e", start + length)


def _event(meeting: str, kind: str, identity: str, time: datetime, **data: Any) -> Event:
    return {
        "specversion": "1.0",
        "id": f"{meeting}-{identity}",
        "source": "urn:example:platform",
        "type": f"io.cofferdam.{kind}.v1",
        "time": _text(time),
        "data": {"tenant_id": TENANT, "meeting_id": meeting, **data},
    }


def make_world(folder: Path, keys: Path, shape: Shape) -> GateWorld:
    """Make a world of a shape, through ingest as a user runs it; it is used again if it is there."""
    kept = folder / shape.name
    made = GateWorld(kept, shape.items, shape.meetings, shape.people, shape.records)
    if kept.is_dir():
        return made
    draft = folder / f"partial-{shape.name}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    _write_records(draft, shape)
    _write_events(draft / "events", shape)
    measure(cofferdam_command(draft / "events", draft / "store", keys), draft / "ingest.log")
    shutil.rmtree(draft / "events")
    draft.rename(kept)
    return made


def _write_events(folder: Path, shape: Shape) -> None:
    folder.mkdir()
    with (folder / "events.jsonl").open("w", encoding="utf-8") as out:
        for event in shape.events():
            out.write(json.dumps(event, separators=(",", ":")) + "\n")


def _write_records(folder: Path, shape: Shape) -> None:
    """A registry in which everybody is an adult guest, and their records."""
    signer = read_private_key(write_starter(folder / "registry", valid_from="2020-01-01T00:00:00Z"))
    with (folder / "registry" / "subjects.jsonl").open("w", encoding="utf-8") as out:
        for person in range(shape.people):
            about = {"region": "eu", "age": "adult", "relation": "guest"}
            identifier = {"type": "cofferdam.user_id", "value": f"u{person}"}
            line = {"person": f"p{person}", "identifiers": [identifier], **about}
            out.write(json.dumps(line) + "\n")
    write_pins(folder / "registry", compare_pins(folder / "registry")[1])
    (folder / "consents").mkdir()
    with (folder / "consents" / "records.jsonl").open("w", encoding="ascii") as out:
        out.writelines(token + "\n" for token in _signed(folder / "registry", shape, signer))


def _signed(registry_folder: Path, shape: Shape, signer: PrivateKey) -> Iterator[str]:
    registry = load_registry(registry_folder)
    for fields in shape.consents():
        yield sign_record(build_record(fields, registry), signer.key, signer.kid)
