"""A shard of meetings behind its join: put together what belongs to each meeting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, ROSTER, SIGNALS
from transforms.collector import collector_paused
from transforms.consent_intake import Attested, Link
from transforms.decide_meetings import MeetingInput
from transforms.meeting_joins import HOME, MARKS, NO_MEETING, concat, mark_items, slices
from transforms.people_joins import LINKS, MEETING_ROWS, tuples

AGAIN_IDS: Final = pa.schema([("item_id", pa.string()), (HOME, pa.string()), ("purpose", pa.string())])
"""What was to be released, by meeting."""

_HOME: Final = pa.field(HOME, pa.string())
ITEMS: Final = FIXED_TABLES[QUARANTINE_ITEMS].append(_HOME)
ROSTER_ROWS: Final = FIXED_TABLES[ROSTER].append(_HOME)
_SIGNALS: Final = FIXED_TABLES[SIGNALS].append(_HOME)
_ORDER: Final = [("item_id", "ascending"), ("key_id", "ascending")]


def gather_meetings(
    found: Mapping[str, Iterable[bytes]],
    ownerless: Sequence[bytes],
    anywhere: Iterable[bytes],
    *,
    only_named: bool,
) -> Iterator[MeetingInput]:
    """The meetings of a shard that have items, with everything that their decisions are made from.

    Args:
        found: Packed tables of the shard: items, marked, roster, signals, links, rows, only.
        ownerless: Rows that may be a no of anybody.
        anywhere: Packed tables of signals that may be about any meeting.
        only_named: Whether nothing but the items that ``only`` names is decided about.
    """
    items = mark_items(concat(found["items"], ITEMS), concat(found["marked"], MARKS))
    if only_named:
        named = pc.unique(concat(found["only"], AGAIN_IDS).column("item_id"))
        items = items.filter(pc.is_in(items.column("item_id"), value_set=named))
    if not items.num_rows:
        return
    with collector_paused():
        people = ShardPeople(found)
    signals = ShardSignals(found["signals"], anywhere)
    ordered = items.sort_by(_ORDER)
    for home, own in slices(ordered.drop_columns([HOME]), ordered.column(HOME)):
        yield MeetingInput(meeting_of(home), own, *people.of(home), ownerless, signals.about(home))


def meeting_of(home: str) -> str | None:
    """The meeting of a group that is decided together; None for a part of what has no meeting."""
    return None if home.startswith(NO_MEETING) else home


class ShardSignals:
    """What is reported to be deleted of the meetings of a shard.

    Args:
        found: Packed tables of the shard's signals.
        anywhere: Packed tables of signals that may be about any meeting.
    """

    def __init__(self, found: Iterable[bytes], anywhere: Iterable[bytes]) -> None:
        signals = concat(found, _SIGNALS)
        self._reported = dict(slices(signals.drop_columns([HOME]), signals.column(HOME)))
        self._of_any = concat(anywhere, FIXED_TABLES[SIGNALS])

    def about(self, home: str) -> tuple[pa.Table, ...]:
        """The signals that may be about a meeting."""
        return (self._reported[home], self._of_any) if home in self._reported else (self._of_any,)


class ShardPeople:
    """Who was in the meetings of a shard, and what they said.

    Args:
        found: Packed tables of the shard: roster, links, rows.
    """

    def __init__(self, found: Mapping[str, Iterable[bytes]]) -> None:
        roster = concat(found["roster"], ROSTER_ROWS)
        self._rosters = dict(slices(roster.drop_columns([HOME]), roster.column(HOME)))
        self._links = _links(concat(found["links"], LINKS))
        self._rows = _rows(concat(found["rows"], MEETING_ROWS))

    def of(self, home: str) -> tuple[pa.Table, Sequence[Link], Mapping[str, Sequence[bytes]]]:
        """Roster, links and rows by person of one meeting."""
        roster = self._rosters.get(home)
        nobody = FIXED_TABLES[ROSTER].empty_table() if roster is None else roster
        return nobody, self._links.get(home, []), self._rows.get(home, {})


def _links(links: pa.Table) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = defaultdict(list)
    for home, pseudonym, person, *attested, registered in tuples(links):
        found[home].append(Link(pseudonym, person, Attested(*attested), registered))
    return found


def _rows(rows: pa.Table) -> dict[str, dict[str, list[bytes]]]:
    found: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for home, person, row in tuples(rows):
        found[home][person].append(row)
    return {home: dict(own) for home, own in found.items()}
