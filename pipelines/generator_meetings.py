"""One generated meeting, minute by minute: who comes and goes, and when what is sent.

A meeting holds its own visits and nothing else, so that memory depends on how many meetings run at a time and
not on how many records are made. What the records look like is for its platform: `ZoomMeeting` and
`CloudMeeting`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from pipelines.generator_expected import Batch
from pipelines.generator_people import FIRST_DAY, Cast, Person, digits, letters

EXTRAS = 16
"""The most records besides presence and quality that a meeting sends in a minute."""
CLOSING_EXTRAS = 5
"""The most records about a meeting itself: its start, its end, and what is made of it."""

_SIZES = ((2, 6), (2, 6), (2, 6), (3, 12), (8, 25), (20, 80), (60, 250))
_FIRST_MS = int(FIRST_DAY.timestamp() * 1000)


@dataclass(slots=True)
class Visit:
    """One person's stay in a meeting, from joining to leaving.

    Attributes:
        person: Who it is.
        arrives: Minute of the meeting in which the person joins.
        leaves: Minute in which the person leaves.
        is_guest: Without an account, so without an id that lasts.
        channel: How the person takes part.
        key: Random letters that name the visit.
        session: Random number that names the visit on platforms that count.
        milliseconds: When in a minute this visit's records are sent.
        second: The same as the end of a timestamp.
        head: What a platform writes into every quality record of the visit.
    """

    person: Person
    arrives: int
    leaves: int
    is_host: bool
    is_guest: bool
    channel: str
    key: str
    session: str
    milliseconds: int
    second: str
    head: str = ""

    @property
    def subject(self) -> str:
        """The lasting Zoom id, empty for guests."""
        return "" if self.is_guest else self.person.zoom_id

    @property
    def email(self) -> str:
        """The mail address, empty for guests."""
        return "" if self.is_guest else self.person.email


@dataclass(frozen=True)
class Plan:
    """What is settled about a meeting before it begins.

    Attributes:
        starts: Minute after `FIRST_DAY` in which it begins.
        minutes: How long it lasts.
        is_agreed: Everybody in it has a valid grant for AI training, and its roster is complete.
        loses_end: The platform never says that it ended (late deliveries apart, such things happen).
    """

    tenant: str
    starts: int
    minutes: int
    visits: tuple[Visit, ...]
    title: str
    is_agreed: bool
    is_recorded: bool
    is_transcribed: bool
    loses_end: bool
    key: str
    number: str
    extras: dict[str, float] = field(default_factory=dict)


def plan_meeting(rng: random.Random, cast: Cast, starts: int, largest: int) -> Plan:
    """Settle a meeting.

    Args:
        rng: Where all choices come from.
        cast: The people.
        starts: Minute after `FIRST_DAY`.
        largest: The most people it may have.
    """
    tenant = rng.choice(tuple(cast.by_tenant))
    is_agreed = rng.random() < 0.3
    members = cast.agreeing(tenant) if is_agreed else cast.by_tenant[tenant]
    low, high = rng.choice(_SIZES[:4] if is_agreed else _SIZES)
    size = max(2, min(rng.randint(low, high), largest, len(members)))
    minutes = max(3, min(rng.choice((5, 10, 15, 25, 30, 45, 60)), largest * 2))
    people = rng.sample(list(members), size)
    visits = [_visit(rng, person, place, minutes, is_agreed) for place, person in enumerate(people)]
    if not is_agreed:
        visits.extend(_return(rng, visit, minutes) for visit in visits if rng.random() < 0.05)
    return Plan(
        tenant=tenant,
        starts=starts,
        minutes=minutes,
        visits=tuple(visits),
        title=rng.choice(cast.titles),
        is_agreed=is_agreed,
        is_recorded=is_agreed or rng.random() < 0.4,
        is_transcribed=is_agreed or rng.random() < 0.4,
        loses_end=not is_agreed and rng.random() < 0.05,
        key=letters(rng, 16),
        number=digits(rng, 11),
    )


def _visit(rng: random.Random, person: Person, place: int, minutes: int, is_agreed: bool) -> Visit:
    is_late = place > 0 and rng.random() < 0.15
    leaves_early = place > 0 and rng.random() < 0.1
    is_guest = not is_agreed and place > 0 and rng.random() < 0.15
    channels = (
        ("app", "app", "web") if is_agreed or not place else ("app", "app", "web", "dial_in", "room_device")
    )
    arrives = rng.randrange(minutes // 2 + 1) if is_late else min(rng.randrange(3), place)
    leaves = rng.randrange(arrives + 1, minutes + 1) if leaves_early else minutes
    return _new_visit(rng, person, arrives, leaves, place == 0, is_guest, rng.choice(channels))


def _return(rng: random.Random, visit: Visit, minutes: int) -> Visit:
    """A second visit of somebody who lost the connection: the first one ends before it begins."""
    visit.leaves = max(visit.arrives + 1, min(visit.leaves, minutes - 1))
    return _new_visit(rng, visit.person, visit.leaves, minutes, visit.is_host, visit.is_guest, visit.channel)


def _new_visit(
    rng: random.Random, person: Person, arrives: int, leaves: int, is_host: bool, is_guest: bool, channel: str
) -> Visit:
    second, millisecond = rng.randrange(60), rng.randrange(1000)
    return Visit(
        person=person,
        arrives=arrives,
        leaves=leaves,
        is_host=is_host,
        is_guest=is_guest,
        channel=channel,
        key=letters(rng, 14),
        session=digits(rng, 8),
        milliseconds=second * 1000 + millisecond,
        second=f"{second:02d}Z",
    )


class Meeting(ABC):
    """A meeting that is under way.

    Args:
        plan: What is settled about it.
        cast: The people and what they say.
        rng: Where all choices come from.
    """

    source: str

    def __init__(self, plan: Plan, cast: Cast, rng: random.Random) -> None:
        self.plan = plan
        self.cast = cast
        self.rng = rng
        self.minute = 0
        self.present: list[Visit] = []
        self._waiting = sorted(plan.visits, key=lambda visit: -visit.arrives)

    @property
    def is_over(self) -> bool:
        """Whether the meeting has had its time."""
        return self.minute > self.plan.minutes

    @property
    def bound(self) -> int:
        """The most records that the next minute can bring and leave to be sent at the end."""
        arriving = sum(1 for visit in self._waiting if visit.arrives <= self.minute)
        leaving = sum(1 for visit in self.present if visit.leaves <= self.minute)
        return 6 * arriving + 4 * len(self.present) + 3 * leaving + EXTRAS + CLOSING_EXTRAS

    @property
    def start_ms(self) -> int:
        """When it began, in ms since 1970 UTC."""
        return _FIRST_MS + self.plan.starts * 60_000

    @property
    def minute_ms(self) -> int:
        """Begin of the present minute, in ms since 1970 UTC."""
        return self.start_ms + self.minute * 60_000

    def text_at(self, minute: int) -> str:
        """RFC 3339 text of a minute of the meeting without its seconds."""
        return (FIRST_DAY + timedelta(minutes=self.plan.starts + minute)).strftime("%Y-%m-%dT%H:%M:")

    def step(self) -> Iterator[Batch]:
        """The records of the next minute."""
        if self.minute == 0:
            yield self.started()
        while self._waiting and self._waiting[-1].arrives <= self.minute:
            visit = self._waiting.pop()
            self.present.append(visit)
            yield from self.joined(visit)
        yield from self._leaving([visit for visit in self.present if visit.leaves <= self.minute])
        if self.present:
            yield from self.quality(self.present)
            yield from self.extras(self.present)
        self.minute += 1

    def close(self) -> Iterator[Batch]:
        """The records of its end: everybody leaves, and what is made afterwards."""
        if self.minute == 0:
            return
        yield from self._leaving(list(self.present))
        if not self.plan.loses_end:
            yield self.ended()
        yield from self.afterwards()

    def _leaving(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        for visit in visits:
            self.present.remove(visit)
            yield from self.left(visit)

    @abstractmethod
    def started(self) -> Batch:
        """The meeting begins."""

    @abstractmethod
    def ended(self) -> Batch:
        """The meeting ends."""

    @abstractmethod
    def joined(self, visit: Visit) -> Iterator[Batch]:
        """Somebody joins: at most two records."""

    @abstractmethod
    def left(self, visit: Visit) -> Iterator[Batch]:
        """Somebody leaves: at most three records."""

    @abstractmethod
    def quality(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """One quality record for each visit."""

    @abstractmethod
    def extras(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        """What people do in this minute: at most `EXTRAS` records."""

    @abstractmethod
    def afterwards(self) -> Iterator[Batch]:
        """What is made when the meeting is over: at most three records."""
