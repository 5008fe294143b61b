"""One generated meeting, minute by minute: who comes and goes, and when what is sent.

A meeting holds its own visits and nothing else, so that memory depends on how many meetings run at a time and
not on how many records are made. What the records look like is for its platform: `ZoomMeeting` and
`CloudMeeting`.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from pipelines.generator_clock import FIRST_DAY
from pipelines.generator_expected import Batch, Expect
from pipelines.generator_people import Cast, Person, digits, letters
from pipelines.generator_stories import AGREES

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
        joined_ms: When the person joined, in ms since 1970 UTC.
        left_ms: When the person left.
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
    joined_ms: int = 0
    left_ms: int = 0

    @property
    def subject(self) -> str:
        """The lasting Zoom id, empty for guests."""
        return "" if self.is_guest else self.person.zoom_id

    @property
    def email(self) -> str:
        """The mail address, empty for guests."""
        return "" if self.is_guest else self.person.email


AGREED, ALIKE, MIXED, ONE_OUT = "agreed", "alike", "mixed", "one_out"
GUEST, UNENDED, DECLARED, OBJECTION = "guest", "unended", "declared", "objection"
SORTS = (
    *(AGREED, MIXED, ALIKE, MIXED, ONE_OUT, ALIKE, DECLARED, MIXED, ALIKE, AGREED, ALIKE),
    *(GUEST, MIXED, DECLARED, ALIKE, OBJECTION, MIXED, ALIKE, UNENDED, MIXED, ALIKE),
)
"""Sorts of meetings, in turn. In all but the mixed ones people come in by app and web and stay orderly:

agreed: everybody in it agrees; alike: everybody has the same other story; one_out: all but one agree;
guest: all agree, but one has no account; unended: all agree, but the platform never says that it ended;
declared: all agree, but the tenant attests something of the meeting; objection: one who agreed withdraws for
this meeting. The number of turns is odd, so that every sort comes on every platform.
"""

DECLARATIONS: tuple[Mapping[str, Any], ...] = (
    {"legal_hold": True},
    {"capture": "some"},
    {"erasure_requested": True},
    {"third_party_mention": True},
    {"retention_until": "2026-04-01T00:00:00Z"},
    {"phi": True},
    {"e2ee": True},
    {"special": True},
    {"edu": True},
    {"legal_hold": True, "erasure_requested": True},
)
"""What tenants attest of single meetings, in turn."""


@dataclass(frozen=True)
class Plan:
    """What is settled about a meeting before it begins.

    Attributes:
        sort: One of `SORTS`.
        starts: Minute after `FIRST_DAY` in which it begins.
        minutes: How long it lasts.
        declared: What its tenant attests of it, besides what it attests of all its meetings.
    """

    sort: str
    tenant: str
    starts: int
    minutes: int
    visits: tuple[Visit, ...]
    title: str
    declared: Mapping[str, Any]
    is_recorded: bool
    is_transcribed: bool
    key: str
    number: str
    extras: dict[str, float] = field(default_factory=dict)

    @property
    def loses_end(self) -> bool:
        """Whether the platform never says that it ended."""
        return self.sort == UNENDED

    @property
    def capture(self) -> str:
        """Who had agreed before anything was recorded."""
        return str(self.declared.get("capture", "all_prior"))


class Content(NamedTuple):
    """Content that a record holds, with what decisions about it depend on.

    Attributes:
        kinds: Kinds of its items.
        at: Time of the record, in ms since 1970 UTC.
        start: Start of what was recorded, where the record says it.
        end: End of what was recorded, where the record says it.
        sender: Who sent it, where the record says it.
        is_objected: Whether the record says that somebody objects.
    """

    kinds: tuple[str, ...]
    at: int
    start: int | None = None
    end: int | None = None
    sender: Visit | None = None
    is_objected: bool = False


def plan_meeting(rng: random.Random, cast: Cast, starts: int, largest: int, number: int) -> Plan:
    """Settle a meeting.

    Args:
        rng: Where all choices come from.
        cast: The people.
        starts: Minute after `FIRST_DAY`.
        largest: The most people it may have.
        number: How many meetings began before it.
    """
    tenant = rng.choice(tuple(cast.by_tenant))
    sort = SORTS[number % len(SORTS)]
    people = _choose(rng, cast, tenant, sort, largest)
    minutes = max(3, min(rng.choice((5, 10, 15, 25, 30, 45, 60)), largest * 2))
    visits = [_visit(rng, person, place, minutes, sort) for place, person in enumerate(people)]
    if sort == MIXED:
        visits.extend(_return(rng, visit, minutes) for visit in visits if rng.random() < 0.05)
    declared = _declared(number) if sort == DECLARED else {}
    return Plan(
        sort=sort,
        tenant=tenant,
        starts=starts,
        minutes=minutes,
        visits=tuple(visits),
        title=rng.choice(cast.titles),
        declared=declared,
        is_recorded=sort != MIXED or rng.random() < 0.4,
        is_transcribed=sort != MIXED or rng.random() < 0.4,
        key=letters(rng, 16),
        number=digits(rng, 11),
    )


def _declared(number: int) -> Mapping[str, Any]:
    """What the tenant attests of a meeting of which it attests something."""
    turn = number // len(SORTS) * SORTS.count(DECLARED) + SORTS[: number % len(SORTS)].count(DECLARED)
    return DECLARATIONS[turn % len(DECLARATIONS)]


def _choose(rng: random.Random, cast: Cast, tenant: str, sort: str, largest: int) -> list[Person]:
    """The people of a meeting, the host first."""
    members = cast.by_tenant[tenant]
    agreeing, others = cast.who(tenant, AGREES), [each for each in members if not each.agrees]
    low, high = rng.choice(_SIZES if sort == MIXED else _SIZES[:4])
    size = max(2, min(rng.randint(low, high), largest))
    if sort == MIXED:
        return rng.sample(members, min(size, len(members)))
    if sort == ALIKE:
        alike = cast.who(tenant, rng.choice(others).story)
        return rng.sample(alike, min(size, len(alike)))
    people = rng.sample(agreeing, min(size, len(agreeing)))
    return [*people[:-1], rng.choice(others)] if sort == ONE_OUT else people


def _visit(rng: random.Random, person: Person, place: int, minutes: int, sort: str) -> Visit:
    is_late = place > 0 and rng.random() < 0.15
    leaves_early = place > 0 and rng.random() < 0.1
    is_guest = place == 1 if sort == GUEST else sort == MIXED and place > 0 and rng.random() < 0.15
    orderly = sort != MIXED or not place
    channels = ("app", "app", "web") if orderly else ("app", "app", "web", "dial_in", "room_device")
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

    Attributes:
        source: The platform.
        tick: Precision of the platform's times of joining and leaving, in ms.
        label: Its id on the platform.
        account: Its tenant's id on the platform.
        came: All visits so far.
        content: All content so far.
        end_ms: When it ended, in ms since 1970 UTC; None as long as no record says it.
    """

    source: str
    tick = 1
    label: str
    account: str

    def __init__(self, plan: Plan, cast: Cast, rng: random.Random) -> None:
        self.plan = plan
        self.cast = cast
        self.rng = rng
        self.minute = 0
        self.present: list[Visit] = []
        self.came: list[Visit] = []
        self.content: list[Content] = []
        self.end_ms: int | None = None
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

    def _moment(self, visit: Visit) -> int:
        return self.minute_ms + visit.milliseconds // self.tick * self.tick

    def note(
        self,
        expect: Expect,
        at: int,
        start: int | None = None,
        end: int | None = None,
        sender: Visit | None = None,
        is_objected: bool = False,
    ) -> None:
        """Keep what decisions about a record's content depend on; arguments as in `Content`."""
        if expect.content:
            self.content.append(Content(expect.content, at, start, end, sender, is_objected))

    def step(self) -> Iterator[Batch]:
        """The records of the next minute."""
        if self.minute == 0:
            yield self.started()
        while self._waiting and self._waiting[-1].arrives <= self.minute:
            visit = self._waiting.pop()
            self.present.append(visit)
            self.came.append(visit)
            visit.joined_ms = self._moment(visit)
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
        if self.present:
            yield from self._leaving(list(self.present))
            self.minute += 1
        if not self.plan.loses_end:
            self.end_ms = self.minute_ms
            yield self.ended()
        yield from self.afterwards()

    def _leaving(self, visits: Sequence[Visit]) -> Iterator[Batch]:
        for visit in visits:
            self.present.remove(visit)
            visit.left_ms = self._moment(visit)
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
