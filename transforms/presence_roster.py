"""From the roster rows of one meeting to who stayed from when to when, and what speaks against believing it.

Where an event is missing or contradicts another, people count as present for longer and never for shorter,
and the doubt is named; a roster with a doubt is not complete, and content of its meeting is held.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise, product
from typing import Final, NamedTuple

import pyarrow as pa

from transforms.presence_people import Identity, Persons, identify, stable_pseudonyms

ALWAYS_BEFORE: Final = -(1 << 62)
ALWAYS_AFTER: Final = 1 << 62
"""Instants (ms since 1970) that stand for an unknown start and an unknown end."""

NO_START: Final = "no_start"
NO_END: Final = "no_end"
NO_JOIN: Final = "no_join"
NO_LEAVE: Final = "no_leave"
OUTSIDE: Final = "outside_the_meeting"
UNIDENTIFIED: Final = "unidentified"
SHARED_VISIT: Final = "visit_of_several"
UNREADABLE: Final = "unreadable_row"

_START, _END, _JOIN, _LEAVE, _ENTER = "start", "end", "join", "leave", "enter"
_OF_PEOPLE: Final = (_JOIN, _LEAVE, _ENTER)
_COLUMNS: Final = ("event", "subjects", "join_pseudonym", "region", "event_time", "tenant_join")


class RosterRow(NamedTuple):
    """A row of the roster; its time is None where it has none."""

    event: str | None
    subjects: frozenset[str]
    visit: str | None
    region: str | None
    time: int | None
    tenant: str | None


class Stay(NamedTuple):
    """Somebody was there from the first instant to the last, both included (ms since 1970)."""

    start: int
    end: int


@dataclass(slots=True)
class Attendance:
    """A person's part in a meeting.

    Attributes:
        identity: The person.
        stays: When the person was there, in any order.
        regions: Regions that events claim for the person.
    """

    identity: Identity
    stays: list[Stay] = field(default_factory=list)
    regions: set[str] = field(default_factory=set)


@dataclass
class MeetingRoster:
    """Who was in a meeting.

    Attributes:
        start: First start of the meeting (ms since 1970), None if no event says it.
        end: Last end, likewise.
        people: Everybody who was there, by `Identity.key`.
        visits: Keys of the people of each visit.
        regions: Regions that events claim for the meeting as a whole.
        tenants: Customer accounts that rows name.
        doubts: Why the roster is not believed, none if it is.
    """

    start: int | None = None
    end: int | None = None
    people: dict[str, Attendance] = field(default_factory=dict, repr=False)
    visits: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    regions: set[str] = field(default_factory=set)
    tenants: set[str | None] = field(default_factory=set, repr=False)
    doubts: set[str] = field(default_factory=set)

    def attend(self, identity: Identity, stay: Stay | None, regions: Iterable[str] = ()) -> None:
        """Note that somebody was there; without a stay, only that the person exists."""
        known = self.people.setdefault(identity.key, Attendance(identity))
        known.regions.update(regions)
        if stay is not None:
            known.stays.append(stay)
        if not identity.identified:
            self.doubts.add(UNIDENTIFIED)


def read_roster(roster: pa.Table | Sequence[RosterRow], persons: Persons) -> MeetingRoster:
    """The roster of one meeting, from its rows in any order.

    Args:
        roster: Rows of the roster table, all of one meeting; or what `roster_rows` makes of them.
        persons: Registered persons.
    """
    found = MeetingRoster()
    rows = roster_rows(roster) if isinstance(roster, pa.Table) else roster
    found.tenants = {row.tenant for row in rows}
    _read_bounds(rows, found)
    visits: dict[str, list[RosterRow]] = defaultdict(list)
    others: dict[frozenset[str], list[RosterRow]] = defaultdict(list)
    for row in rows:
        if row.event in (_START, _END):
            continue
        if row.visit is not None:
            visits[row.visit].append(row)
        else:
            others[row.subjects].append(row)
    for visit, its_rows in visits.items():
        _read_visit(visit, its_rows, persons, found)
    _read_others(others, persons, found)
    return found


def roster_rows(roster: pa.Table) -> list[RosterRow]:
    """What is read of rows of the roster table, in their order; of as many meetings as there are."""
    plain = {name: roster.column(name).to_pylist() for name in _COLUMNS[:4]}
    times = roster.column("event_time").cast(pa.int64()).to_pylist()
    tenants = roster.column("tenant_join").to_pylist()
    subjects = map(stable_pseudonyms, plain["subjects"])
    visits, regions = plain["join_pseudonym"], plain["region"]
    return list(map(RosterRow, plain["event"], subjects, visits, regions, times, tenants))


def rosters_together(rosters: Sequence[pa.Table]) -> list[list[RosterRow]]:
    """As `roster_rows`, of each of some tables: reading many at once costs a table little."""
    bounds = [0, *accumulate(table.num_rows for table in rosters)]
    rows = roster_rows(pa.concat_tables([table.select(_COLUMNS) for table in rosters]))
    return [rows[start:end] for start, end in pairwise(bounds)]


def _read_bounds(rows: Sequence[RosterRow], found: MeetingRoster) -> None:
    times: dict[str, list[int]] = {_START: [], _END: []}
    for row in rows:
        if row.time is None or row.event not in (_START, _END, *_OF_PEOPLE):
            found.doubts.add(UNREADABLE)
        if row.event in times:
            found.regions |= {row.region} if row.region else set()
            if row.time is not None:
                times[row.event].append(row.time)
    starts, ends = times[_START], times[_END]
    found.start, found.end = min(starts, default=None), max(ends, default=None)
    if not starts or (ends and min(ends) < min(starts)):
        found.doubts.add(NO_START)
    if not ends or (starts and max(starts) > max(ends)):
        found.doubts.add(NO_END)


def _read_visit(visit: str, rows: Sequence[RosterRow], persons: Persons, found: MeetingRoster) -> None:
    """A visit has an id of its own: it lasts from its first event to its last."""
    sets = {row.subjects for row in rows}
    largest = [one for one in sets if not any(one < other for other in sets)]
    if len(largest) > 1:
        found.doubts.add(SHARED_VISIT)
    identities = {identify(one, persons, visit) for one in largest}
    times = {word: [row.time for row in rows if row.event == word] for word in _OF_PEOPLE}
    stays = _entered(times[_ENTER], found)
    if times[_JOIN] or times[_LEAVE]:
        # Who was first seen in a room of the meeting came to the meeting no later than that.
        stays.append(_visit_stay(times[_JOIN] or times[_ENTER], times[_LEAVE], found))
    if any(row.event not in _OF_PEOPLE for row in rows):
        stays.append(Stay(ALWAYS_BEFORE, ALWAYS_AFTER))
    regions = {row.region for row in rows if row.region}
    for identity, stay in product(identities, stays):
        found.attend(identity, stay, regions)
    found.visits[visit] = tuple(sorted(identity.key for identity in identities))


def _entered(times: Sequence[int | None], found: MeetingRoster) -> list[Stay]:
    """The stay of somebody who entered a room of the meeting: until the meeting ends.

    Where they went from there is not said by their leaving the room, and leaving the main room may be how
    they came into it. So no leave ends the stay, and none is missing.
    """
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        found.doubts.add(NO_JOIN)
        known.append(ALWAYS_BEFORE)
    for time in known:
        _check_inside(Stay(time, time), found)
    return [Stay(min(known), ALWAYS_AFTER)] if known else []


def _visit_stay(joins: list[int | None], leaves: list[int | None], found: MeetingRoster) -> Stay:
    timed_joins = [time for time in joins if time is not None]
    timed_leaves = [time for time in leaves if time is not None]
    known = [*timed_joins, *timed_leaves]
    # At one and the same instant nobody can tell a visit of no length from a leave before a return, unless
    # there is nothing else of the visit.
    at_once = len(joins) == len(leaves) == 1 and len(set(known)) == 1
    joined = bool(timed_joins) and None not in joins
    left = bool(timed_leaves) and None not in leaves
    if not joined or (timed_leaves and min(timed_leaves) <= min(timed_joins) and not at_once):
        found.doubts.add(NO_JOIN)
        joined = False
    if not left or (timed_joins and max(timed_joins) >= max(timed_leaves) and not at_once):
        found.doubts.add(NO_LEAVE)
        left = False
    stay = Stay(min(known) if joined else ALWAYS_BEFORE, max(known) if left else ALWAYS_AFTER)
    _check_inside(stay, found)
    return stay


def _read_others(
    others: Mapping[frozenset[str], Sequence[RosterRow]], persons: Persons, found: MeetingRoster
) -> None:
    """Rows that name no visit are put together by person."""
    rows_of: dict[Identity, list[RosterRow]] = defaultdict(list)
    for subjects, rows in others.items():
        rows_of[identify(subjects, persons)] += rows
    for identity, rows in rows_of.items():
        found.attend(identity, None, {row.region for row in rows if row.region})
        for stay in _stays(rows, found):
            found.attend(identity, stay)


def _stays(rows: Sequence[RosterRow], found: MeetingRoster) -> list[Stay]:
    """The stays of one person from joins and leaves alone.

    Every join needs a leave of its own, since the person may be there twice. Where a leave and a join fall
    on one instant, the leave comes first in the count, so that it cannot stand for the later one, and the
    join comes first in the stay, so that the instant is covered.
    """
    if any(row.time is None or row.event not in _OF_PEOPLE for row in rows):
        found.doubts |= {NO_JOIN, NO_LEAVE}
        return [Stay(ALWAYS_BEFORE, ALWAYS_AFTER)]
    entered = _entered([row.time for row in rows if row.event == _ENTER], found)
    joins = Counter(row.time for row in rows if row.time is not None and row.event == _JOIN)
    leaves = Counter(row.time for row in rows if row.time is not None and row.event == _LEAVE)
    stays = _swept(joins, leaves, found)
    for stay in stays:
        _check_inside(stay, found)
    return [*entered, *stays]


def _swept(joins: Mapping[int, int], leaves: Mapping[int, int], found: MeetingRoster) -> list[Stay]:
    stays: list[Stay] = []
    depth, since = 0, ALWAYS_BEFORE
    for time in sorted({*joins, *leaves}):
        left, joined = leaves.get(time, 0), joins.get(time, 0)
        if depth < left:
            found.doubts.add(NO_JOIN)
            since = ALWAYS_BEFORE
        elif depth == 0:
            since = time
        depth = max(0, depth - left) + joined
        if depth == 0:
            stays.append(Stay(since, time))
    if depth > 0:
        found.doubts.add(NO_LEAVE)
        stays.append(Stay(since, ALWAYS_AFTER))
    return stays


def _check_inside(stay: Stay, found: MeetingRoster) -> None:
    early = found.start is not None and stay.start < found.start
    late = found.end is not None and stay.end > found.end
    if (early and stay.start != ALWAYS_BEFORE) or (late and stay.end != ALWAYS_AFTER):
        found.doubts.add(OUTSIDE)
