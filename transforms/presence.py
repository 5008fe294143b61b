"""Presence: which people each item of a meeting concerns, found for classes of items and not item by item.

Items of one class have in common everything that a decision about them depends on: tenant, kind, who was
there while they came about and whether that is attested, an objection that came with them, regions, and when
their recording ended. A meeting of ten thousand people with fifty thousand items comes to some hundred
classes.

Whatever events claim about attributes can only add: a region to the union, somebody who objects, a sender
who is not on the roster. Only who was there, and when, is taken from events as it stands.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.presence_classes import (
    ItemClass,
    MeetingClasses,
    Numbers,
    Objection,
    Person,
    places_of,
    roots_of,
)
from transforms.presence_items import UNKNOWN, ItemColumns
from transforms.presence_people import Identity, Persons, identify
from transforms.presence_roster import (
    ALWAYS_AFTER,
    ALWAYS_BEFORE,
    OUTSIDE,
    UNIDENTIFIED,
    MeetingRoster,
    RosterRow,
    Stay,
    read_roster,
)

__all__ = [
    "ItemClass",
    "MeetingClasses",
    "Objection",
    "Person",
    "Persons",
    "meeting_classes",
    "meeting_people",
]

TIMES_UNREADABLE: Final = "times_unreadable"
SENDER_ABSENT: Final = "sender_not_on_roster"
OTHER_TENANT: Final = "roster_of_another_tenant"

PEOPLE_IN_SEGMENTS: Final = 8_000_000
"""Bound on people times presence segments of a meeting (some seconds of work for those who decide).

Up to it, presence is exact to the millisecond. Beyond, time is cut into steps of a power of two
milliseconds, and whoever was there in a part of a step counts as there in all of it.
"""

_SENDER: Final = "sender_join"
_CLASS_WORDS: Final = ("tenant_join", "kind", "region")
_MILLISECOND: Final = 1_000_000
_ID_DIGITS: Final = 32


def meeting_people(items: pa.Table, roster: pa.Table, persons: Persons) -> tuple[Person, ...]:
    """Everybody whose records decisions about a meeting's items may need; see `meeting_classes`."""
    senders = ItemColumns.read(items).distinct("sender_join")
    return _People(read_roster(roster, persons), senders, persons).listed


def meeting_classes(
    items: pa.Table | ItemColumns,
    roster: pa.Table | Sequence[RosterRow],
    persons: Persons,
    *,
    instants: Iterable[int] | None = None,
    labels: Sequence[str] = (),
    people_in_segments: int = PEOPLE_IN_SEGMENTS,
) -> MeetingClasses:
    """The classes of the items of one meeting; the order of rows and items changes nothing.

    Args:
        items: Rows of the items table, all of one meeting, or their columns with those of `labels`.
        roster: All rows of the roster of that meeting.
        persons: Registered persons, as far as they may be in the meeting.
        instants: Instants (ns since 1970) that the end of a recording is compared with: the times of the
            people's grants, and the instant of the decision. Items whose recordings ended between the same
            two share a class. None keeps every end apart.
        labels: Further columns of ``items`` whose values split classes.
        people_in_segments: Bound on people times segments; see `PEOPLE_IN_SEGMENTS`.

    Raises:
        ValueError: The items are of several meetings.
    """
    columns = items if isinstance(items, ItemColumns) else ItemColumns.read(items, labels)
    return _Meeting(columns, roster, persons, instants, labels, people_in_segments).classes()


class _People:
    """Everybody in a meeting, those of the roster and senders who are not on it."""

    def __init__(self, roster: MeetingRoster, senders: Iterable[str], persons: Persons) -> None:
        self._roster = roster
        self._identities: dict[str, Identity] = {key: one.identity for key, one in roster.people.items()}
        by_key: dict[str, list[str]] = defaultdict(list)
        for key, one in roster.people.items():
            for each in one.identity.keys:
                by_key[each].append(key)
        found = {sender: self._find(sender, by_key, persons) for sender in senders}
        order = sorted(self._identities)
        self.place_of = {key: place for place, key in enumerate(order)}
        self.listed = tuple(self._person(key) for key in order)
        self.senders: dict[str, tuple[tuple[int, ...], str | None]] = {
            sender: (tuple(sorted(self.place_of[key] for key in keys)), doubt)
            for sender, (keys, doubt) in found.items()
        }
        """For each sender the places of the person, and what is doubtful about it."""

    def _find(
        self, sender: str, by_key: Mapping[str, Sequence[str]], persons: Persons
    ) -> tuple[Sequence[str], str | None]:
        if sender in self._roster.visits:
            return self._roster.visits[sender], None
        identity = identify([sender], persons)
        if identity.identified and identity.key in by_key:
            return by_key[identity.key], None
        self._identities.setdefault(identity.key, identity)
        return (identity.key,), SENDER_ABSENT if identity.identified else UNIDENTIFIED

    def _person(self, key: str) -> Person:
        attendance = self._roster.people.get(key)
        regions = tuple(sorted(attendance.regions)) if attendance else ()
        identity = self._identities[key]
        return Person(key, identity.keys, identity.identified, regions)


class _Presence:
    """Who was there in an interval: sets of people as numbers with one bit a person."""

    def __init__(self, roster: MeetingRoster, people: _People, bound: int) -> None:
        stays = [
            (people.place_of[key], stay) for key, one in sorted(roster.people.items()) for stay in one.stays
        ]
        self._size = len(people.listed)
        places = np.array([place for place, _ in stays], dtype=np.int64)
        self._start = np.array([stay.start for _, stay in stays], dtype=np.int64)
        self._end = np.array([stay.end for _, stay in stays], dtype=np.int64)
        self._present, self._first = np.unique(places, return_index=True)
        self._starts, self._ends = np.sort(self._start), np.sort(self._end)
        self._step = _step(np.concatenate([self._start, self._end]), self._size, bound)

    def of(self, start: Numbers, end: Numbers) -> tuple[Numbers, list[int]]:
        """The people of each interval, as numbers into distinct sets."""
        if not len(self._start):
            return np.zeros(len(start), dtype=np.int64), [0]
        start, end = start & ~(self._step - 1), end | (self._step - 1)
        # Everybody who had come by the end, less those who had left before the start: the two ranks name
        # the set, so that equal ranks need no second look.
        came = np.searchsorted(self._starts, end, "right")
        left = np.searchsorted(self._ends, start, "left")
        _, first, which = np.unique(
            came * (len(self._ends) + 1) + left, return_index=True, return_inverse=True
        )
        number_of: dict[int, int] = {}
        found = [
            number_of.setdefault(self._set(int(start[at]), int(end[at])), len(number_of)) for at in first
        ]
        return np.array(found, dtype=np.int64)[which], list(number_of)

    def _set(self, start: int, end: int) -> int:
        meets = (self._start <= end) & (self._end >= start)
        here = np.zeros(self._size, dtype=bool)
        here[self._present] = np.logical_or.reduceat(meets, self._first)
        return int.from_bytes(np.packbits(here, bitorder="little").tobytes(), "little")


def _step(instants: Numbers, people: int, bound: int) -> int:
    """The smallest power of two (ms) in whose steps so many people make no more segments than bounded.

    Steps of one size lie within those of the next and are counted from 1970: more people or instants can
    only make them longer, and longer steps hold more people.
    """
    places = np.unique(instants)
    shift = 0
    while len(places) * people > bound and len(places) > 2 and shift < 62:
        shift += 1
        places = np.unique(places >> 1)
    return 1 << shift


class _Alike(NamedTuple):
    """What items of a class have in common, before it is said in words; numbers as in `ItemColumns`."""

    bits: int
    objects: tuple[int, ...] | None
    doubt: str | None
    refusal: int
    lineage: int
    recorded_end: int
    doubts: int
    codes: tuple[int, ...]


class _Meeting:
    """One meeting on its way to its classes."""

    def __init__(
        self,
        items: ItemColumns,
        roster: pa.Table | Sequence[RosterRow],
        persons: Persons,
        instants: Iterable[int] | None,
        labels: Sequence[str],
        bound: int,
    ) -> None:
        meetings = items.distinct("meeting_join")
        if len(meetings) > 1:
            raise ValueError("the items are of several meetings")
        self._meeting = meetings[0] if meetings else None
        self._items, self._labels, self._bound = items, labels, bound
        self._roster = read_roster(roster, persons)
        self._people = _People(self._roster, items.distinct("sender_join"), persons)
        self._key_digests = np.array(
            [hashlib.sha256(one.key.encode()).digest()[:16] for one in self._people.listed], dtype="S16"
        )
        self._presence_hashes: dict[int, str] = {}
        self._classes: dict[_Alike, ItemClass] = {}
        self._instants = None if instants is None else _rounded_up(instants)
        self._region_bits: dict[str, int] = defaultdict(int)
        for place, person in enumerate(self._people.listed):
            for region in person.regions:
                self._region_bits[region] |= 1 << place
        self._regions_of: dict[int, frozenset[str]] = {}

    def classes(self) -> MeetingClasses:
        columns, presences = self._columns()
        number_of: dict[tuple[int, ...], int] = {}
        which = [
            number_of.setdefault(row, len(number_of))
            for row in zip(*(column.tolist() for column in columns), strict=True)
        ]
        found = [self._class(row, presences) for row in number_of]
        classes = tuple(sorted({one.class_id: one for one in found}.values(), key=lambda one: one.class_id))
        place_of = {one.class_id: place for place, one in enumerate(classes)}
        places = np.array([place_of[one.class_id] for one in found], dtype=np.int64)
        return MeetingClasses(self._people.listed, classes, places[np.array(which, dtype=np.int64)])

    def _columns(self) -> tuple[list[Numbers], list[int]]:
        """What classes are made from, as numbers; and the sets of people behind the first of them."""
        items = self._items
        spans = _Spans(items, self._roster)
        presence, presences = _Presence(self._roster, self._people, self._bound).of(spans.start, spans.end)
        words = [items.codes[name] for name in (_SENDER, *_CLASS_WORDS, *self._labels)]
        numbers = [presence, items.refusal, items.lineage, self._comparable(spans.recorded_end), spans.doubts]
        return [*numbers, *words], presences

    def _comparable(self, recorded_end: Numbers) -> Numbers:
        """Ends of recordings as one instant for all that lie between the same two to be compared with.

        Where people and instants are too many, ends are moved back first, so that no grant gains by it.
        """
        if self._instants is None:
            return recorded_end
        step = _step(self._instants, max(1, len(self._people.listed)), self._bound)
        at = np.searchsorted(self._instants, recorded_end & ~(step - 1), "right")
        before_all = self._instants[:1] - 1 if len(self._instants) else np.zeros(1, dtype=np.int64)
        moved = np.concatenate([before_all, self._instants])[at]
        return np.where(recorded_end == ALWAYS_BEFORE, recorded_end, moved)

    def _class(self, row: Sequence[int], presences: Sequence[int]) -> ItemClass:
        presence, refusal, lineage, recorded_end, doubts, sender, *codes = row
        name = self._items.word(_SENDER, sender)
        places, doubt = self._people.senders[name] if name is not None else ((), None)
        bits = presences[presence]
        for place in places:
            bits |= 1 << place
        # Who sent it matters only where it adds somebody, a doubt or an objection.
        objects = None if refusal == UNKNOWN else places
        alike = _Alike(bits, objects, doubt, refusal, lineage, recorded_end, doubts, tuple(codes))
        if alike not in self._classes:
            self._classes[alike] = self._new_class(alike)
        return self._classes[alike]

    def _new_class(self, alike: _Alike) -> ItemClass:
        bits, objects, doubt, refusal, lineage, recorded_end, doubts, codes = alike
        tenant, kind, region, *labels = map(self._items.word, (*_CLASS_WORDS, *self._labels), codes)
        roots, lineage_known = roots_of(kind or "", self._items.lineages[lineage])
        content = {
            "meeting": self._meeting,
            "tenant": tenant,
            "kind": kind or "",
            "roots": roots,
            "lineage_known": lineage_known,
            "labels": tuple(labels),
            "regions": self._regions(bits, region),
            "recorded_end": None if recorded_end == ALWAYS_BEFORE else recorded_end * _MILLISECOND,
            "doubts": self._doubts(doubts, doubt, tenant),
            "objection": None if objects is None else Objection(objects, self._items.refusals[refusal]),
        }
        return ItemClass(class_id=self._class_id(content, bits), presence=bits, **content)

    def _class_id(self, content: Mapping[str, Any], bits: int) -> str:
        objection: Objection | None = content["objection"]
        objects = None
        if objection is not None:
            objects = [[self._people.listed[at].key for at in objection.people], objection.purposes]
        return _digest([self._presence_hash(bits), {**content, "objection": objects}])[:_ID_DIGITS]

    def _presence_hash(self, bits: int) -> str:
        if bits not in self._presence_hashes:
            keys = self._key_digests[places_of(bits, len(self._people.listed))]
            self._presence_hashes[bits] = hashlib.sha256(keys.tobytes()).hexdigest()
        return self._presence_hashes[bits]

    def _regions(self, bits: int, claimed: str | None) -> tuple[str, ...]:
        if bits not in self._regions_of:
            there = (region for region, claims in self._region_bits.items() if claims & bits)
            self._regions_of[bits] = frozenset(self._roster.regions).union(there)
        return tuple(sorted(self._regions_of[bits] | ({claimed} if claimed else set())))

    def _doubts(self, number: int, of_sender: str | None, tenant: str | None) -> tuple[str, ...]:
        doubts = {*self._roster.doubts, *_Spans.named(number)}
        if of_sender is not None:
            doubts.add(of_sender)
        if tenant is not None and self._roster.tenants - {tenant, None}:
            doubts.add(OTHER_TENANT)
        return tuple(sorted(doubts))


class _Spans:
    """When items came about: an interval each (ms since 1970), both ends included.

    What a recording does not say of its own times is taken from its event, and then from the meeting. What
    was captured cannot be younger than the event that brings it.
    """

    def __init__(self, items: ItemColumns, roster: MeetingRoster) -> None:
        begin = ALWAYS_BEFORE if roster.start is None else roster.start
        finish = ALWAYS_AFTER if roster.end is None else roster.end
        start, started = items.times["recorded_start"]
        end, ended = items.times["recorded_end"]
        event, told = items.times["event_time"]
        only_start = started & ~ended
        self.end = np.where(ended, end, np.where(told, event, finish))
        self.start = np.where(started, start, np.where(ended | ~told, begin, event))
        # A recording that ended nobody knows when is held to the earliest that is possible.
        known_end = ended | told
        earliest = begin if begin != ALWAYS_BEFORE else _first_instant(roster)
        self.recorded_end = np.where(known_end, self.end, np.where(only_start, start, earliest))
        self._settle(begin, finish)

    def _settle(self, begin: int, finish: int) -> None:
        unreadable = self.start > self.end
        self.start = np.where(unreadable, ALWAYS_BEFORE, self.start)
        self.end = np.where(unreadable, ALWAYS_AFTER, self.end)
        outside = (self.start < begin) | (self.end > finish)
        self.doubts: Numbers = unreadable.astype(np.int64) + 2 * outside.astype(np.int64)

    @staticmethod
    def named(number: int) -> tuple[str, ...]:
        """The doubts behind a number of `doubts`."""
        return (TIMES_UNREADABLE,) * (number & 1) + (OUTSIDE,) * (number >> 1)


def _first_instant(roster: MeetingRoster) -> int:
    stays: Iterable[Stay] = (stay for one in roster.people.values() for stay in one.stays)
    known = (time for stay in stays for time in stay if time not in (ALWAYS_BEFORE, ALWAYS_AFTER))
    return min(known, default=ALWAYS_BEFORE)


def _rounded_up(instants: Iterable[int]) -> Numbers:
    """Instants in whole milliseconds: none of them lies after an end that it did not lie after before."""
    return np.unique(np.array([-(-instant // _MILLISECOND) for instant in instants], dtype=np.int64))


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
