"""A plain model of what a store must hold: no keys, no files, only who said what and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from tests.pipeline.release_world import Event, bounds, chat, event, presence

PEOPLE = ("person-ada", "person-bob", "person-eve", "person-dan")
"""All but the last agree from the beginning; the last never says anything."""

LIVE_DAYS = 30
UNKNOWN = " unknown"
HELD, ERASED, AGED, MOVED = "held", "erased", "aged", "moved"


@dataclass
class Part:
    """A piece of content of somebody, or a record that was sealed whole, and what became of it."""

    text: str
    sender: str | None
    meeting: str
    day: date
    fate: str = HELD
    releasable: bool = True
    copied: bool = False


@dataclass
class Told:
    """A row of telemetry: about whom, if about anybody, and whether it is there."""

    person: str | None
    there: bool = True


@dataclass
class Delivery:
    """A file of input: its lines, and what a run that takes it makes of them."""

    name: str
    lines: list[Event | bytes]
    parts: list[Part]
    rejects: list[Part]
    told: list[Told]
    people: tuple[str, ...]
    meeting: str
    taken: bool = False


@dataclass
class Model:
    """What a store must hold.

    Attributes:
        parts: All content that was taken.
        rejects: All records that were sealed whole.
        told: All rows of telemetry.
        present: By meeting and person, whether the roster still names them.
        word: Last word of each person; ``early`` for a yes from before all meetings that was never changed.
        asked: People in orders of erasure that have not been carried out.
        asked_due: Whether one of these orders is for everything that is due.
    """

    parts: list[Part] = field(default_factory=list)
    rejects: list[Part] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    present: dict[str, dict[str, bool]] = field(default_factory=dict)
    word: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    asked_due: bool = False

    def take(self, deliveries: Iterable[Delivery], day: date) -> None:
        """A run has taken files; what it knew already changes nothing."""
        for delivery in deliveries:
            if delivery.taken:
                continue
            delivery.taken = True
            for part in (*delivery.parts, *delivery.rejects):
                part.day = day
            self.parts += delivery.parts
            self.rejects += delivery.rejects
            self.told += delivery.told
            self.present.setdefault(delivery.meeting, {}).update(dict.fromkeys(delivery.people, True))

    def erase(self, people: set[str]) -> None:
        """People were erased."""
        for part in self.parts:
            if part.sender in people and part.fate == HELD:
                part.fate, part.copied = ERASED, False
        for told in self.told:
            told.there &= told.person not in people
        for meeting in self.present.values():
            meeting.update(dict.fromkeys(people & meeting.keys(), False))

    def end_due(self, today: date) -> None:
        """Everything that was due has gone."""
        for part in (*self.parts, *self.rejects):
            if part.fate == HELD and part.day < today - timedelta(days=LIVE_DAYS):
                part.fate, part.copied = AGED, False
        for part in self.parts:
            part.copied &= "withdrawn" not in self._words(part)

    def reprocess(self, today: date) -> None:
        """A contract that knows the unknown events has taken in those that are young enough to be opened."""
        for part in self.rejects:
            if (
                part.text.endswith(UNKNOWN)
                and part.fate == HELD
                and part.day >= today - timedelta(days=LIVE_DAYS)
            ):
                part.fate = MOVED
                self.told.append(Told(None))

    def may_go(self, part: Part) -> bool:
        """Whether a release may copy it: everybody who was there is known and has agreed last."""
        return part.fate == HELD and part.releasable and set(self._words(part)) <= {"early", "given"}

    def must_go(self, part: Part, today: date) -> bool:
        """Whether a release must copy it: everybody had agreed before, and it is young."""
        young = part.day >= today - timedelta(days=LIVE_DAYS)
        return self.may_go(part) and set(self._words(part)) == {"early"} and young

    def _words(self, part: Part) -> list[str]:
        """The last words of all who were there; somebody nameless has none."""
        there = self.present[part.meeting]
        words = [self.word.get(person, "none") if named else "nameless" for person, named in there.items()]
        return words if part.sender in there else [*words, "stranger"]

    # --- what a store must hold -----------------------------------------------------------------------------

    def texts(self) -> list[str]:
        """Content that opens."""
        return sorted(part.text for part in self.parts if part.fate == HELD)

    def gone(self) -> set[str]:
        """Content and records that must not open."""
        return {part.text for part in (*self.parts, *self.rejects) if part.fate in (ERASED, AGED)}

    def whole(self) -> list[str]:
        """Records that are sealed whole."""
        return sorted(part.text for part in self.rejects if part.fate == HELD)

    def copies(self) -> list[str]:
        """Content that is released."""
        return sorted(part.text for part in self.parts if part.copied)

    def nameless(self) -> set[str]:
        """People whom nothing in the store may name."""
        named = {told.person for told in self.told if told.there}
        named |= {part.sender for part in self.parts if part.fate == HELD}
        named |= {person for meeting in self.present.values() for person, here in meeting.items() if here}
        return set(PEOPLE) - named


# --- input --------------------------------------------------------------------------------------------------


def whole_meeting(number: int, people: tuple[str, ...]) -> Delivery:
    """A meeting: everybody comes and goes, the first two say something, and some lines are no events."""
    name, first = f"meeting-{number}", date.min
    lines: list[Event | bytes] = list(bounds(name))
    told = [Told(None), Told(None)]
    for person in people:
        lines += presence(person, "10:00", "11:00", name)
        told += [Told(person), Told(person)]
    parts: list[Part] = []
    for speaker in people[:2]:
        said = chat(f"{name}-{speaker}", speaker, meeting=name)
        said["data"]["text"] = text = f"text {name} {speaker}"
        lines.append(said)
        parts.append(Part(text, speaker, name, first))
        told.append(Told(speaker))
    drift, hidden = chat(f"{name}-drift", people[0], meeting=name, time="10:40"), f"text {name} drift"
    drift["data"] |= {"text": f"text {name} beside", "novelty": hidden}
    parts += [
        Part(f"text {name} beside", people[0], name, first),
        Part(hidden, people[0], name, first, releasable=False),
    ]
    told.append(Told(people[0]))
    again = chat(f"{name}-{people[0]}", people[0], meeting=name, time="10:50")
    again["data"]["text"] = f"text {name} collision"
    unknown = event("novelty", f"text {name} unknown", "10:20", name)
    lines += [drift, again, unknown, f'{{"text {name} torn'.encode()]
    rejects = [Part(f"text {name} {word}", None, name, first) for word in ("collision", "unknown", "torn")]
    return Delivery(f"{name}.jsonl", lines, parts, rejects, told, people, name)


def late_word(number: int, meeting: str, speaker: str) -> Delivery:
    """Something that somebody said in an earlier meeting and that comes late."""
    said = chat(f"late-{number}", speaker, meeting=meeting, time="10:45")
    said["data"]["text"] = text = f"text late-{number} {speaker}"
    part = Part(text, speaker, meeting, date.min)
    return Delivery(f"late-{number}.jsonl", [said], [part], [], [Told(speaker)], (), meeting)
