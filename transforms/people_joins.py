"""Whom identifiers stand for, and which records go to which meeting: one shard of people at a time.

Everything here is keyed by identifier or by person. A shard is some thousand rows of packed tables, whatever
the number of people.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from transforms.consent_intake import Attested, Link, decode_row, resolve, rows_of_people
from transforms.meeting_joins import HOME

OTHER_MEETINGS: Final = 64
"""Rows about other meetings that travel with a person to a meeting."""

_FLAGS: Final = ("opt_out",)
_ATTESTED: Final = [(name, pa.bool_() if name in _FLAGS else pa.string()) for name in Attested._fields]
WANTED: Final = pa.schema([("pseudonym", pa.string()), (HOME, pa.string())])
"""Which identifier, or which person, is asked about in which meeting."""

ALIASES: Final = pa.schema([("pseudonym", pa.string()), ("person", pa.string()), *_ATTESTED])
"""The registry's links between identifiers and people."""

ROWS: Final = pa.schema([("pseudonym", pa.string()), ("row", pa.binary())])
"""Records by the identifier, or by the person, whom they are about."""

LINKS: Final = pa.schema(
    [
        (HOME, pa.string()),
        ("pseudonym", pa.string()),
        ("person", pa.string()),
        *_ATTESTED,
        ("registered", pa.bool_()),
    ]
)
"""Whom the identifiers in a meeting stand for."""

MEETING_ROWS: Final = pa.schema([(HOME, pa.string()), ("person", pa.string()), ("row", pa.binary())])
"""Records of the people of a meeting."""


class Resolved(NamedTuple):
    """A shard of identifiers, resolved.

    Attributes:
        links: As `LINKS` has it.
        wanted: As `WANTED` has it, of persons.
        rows: As `ROWS` has it, of persons.
    """

    links: pa.Table
    wanted: pa.Table
    rows: pa.Table


def alias_table(links: Iterable[Link]) -> pa.Table:
    """The registry's links as a table; see `ALIASES`."""
    rows = [(link.pseudonym, link.person, *link.attested) for link in links]
    return _table(rows, ALIASES)


def row_table(rows: Sequence[tuple[str, bytes]]) -> pa.Table:
    """Records with the pseudonyms that they are about as a table; see `ROWS`."""
    return _table(rows, ROWS)


def resolve_people(aliases: pa.Table, wanted: pa.Table, rows: pa.Table) -> Resolved:
    """Who is behind some identifiers, and whose their records are.

    Args:
        aliases: All links of these identifiers, as `ALIASES` has them.
        wanted: In which meetings they occur, as `WANTED` has it.
        rows: Their records, as `ROWS` has them.
    """
    known: dict[str, list[Link]] = defaultdict(list)
    for pseudonym, person, *attested in tuples(aliases):
        known[pseudonym].append(Link(pseudonym, person, Attested(*attested), registered=True))
    links: list[tuple[Any, ...]] = []
    asked: list[tuple[str, str]] = []
    for pseudonym, meetings in _grouped(wanted).items():
        link = resolve(pseudonym, sorted(known.get(pseudonym, ())))
        about = (link.pseudonym, link.person, *link.attested, link.registered)
        named = sorted(set(meetings))
        links += [(meeting, *about) for meeting in named]
        if link.person is not None:
            asked += [(link.person, meeting) for meeting in named]
    owned: list[tuple[str, bytes]] = []
    for pseudonym, own in _grouped(rows).items():
        owned += rows_of_people(pseudonym, sorted(known.get(pseudonym, ())), own)
    return Resolved(_table(links, LINKS), _table(asked, WANTED), _table(owned, ROWS))


def rows_to_meetings(wanted: pa.Table, rows: pa.Table) -> pa.Table:
    """The records of some people for each of their meetings, as `MEETING_ROWS` has them.

    Args:
        wanted: In which meetings they are, as `WANTED` has it.
        rows: Their records, as `ROWS` has them.
    """
    meetings_of = _grouped(wanted)
    found: list[tuple[str, str, bytes]] = []
    for person, own in _grouped(rows).items():
        if person in meetings_of:
            book = PersonRows(own)
            for meeting in sorted(set(meetings_of[person])):
                found += [(meeting, person, row) for row in book.for_meeting(meeting)]
    return _table(found, MEETING_ROWS)


class PersonRows:
    """A person's rows, and which of them a meeting needs.

    Rows about other meetings can decide nothing; they only show what a person agreed to elsewhere. So few of
    them are enough, and without a bound a person of ten thousand meetings would take all rows to all of them.
    Whatever shares its id with another row stays: two records under one id are in doubt wherever they are.

    Args:
        rows: The rows, in any order, each once for each time that it came.
    """

    def __init__(self, rows: Iterable[bytes]) -> None:
        ordered = sorted(rows)
        fields = [decode_row(row) for row in ordered]
        times = Counter(each.get("id") for each in fields)
        self._everywhere: list[bytes] = []
        self._about: dict[str, list[bytes]] = defaultdict(list)
        elsewhere: list[tuple[str, str, bytes]] = []
        for row, each in zip(ordered, fields, strict=True):
            scope = each.get("scope")
            named = (
                scope[len("meeting:") :] if isinstance(scope, str) and scope.startswith("meeting:") else None
            )
            if named is None or times[each.get("id")] > 1:
                self._everywhere.append(row)
            else:
                self._about[named].append(row)
                elsewhere.append((str(each.get("event_time")), named, row))
        elsewhere.sort(key=lambda one: one[0], reverse=True)  # keeps the order of rows of one time
        self._newest = [(named, row) for _, named, row in elsewhere]

    def for_meeting(self, meeting: str) -> tuple[bytes, ...]:
        """The rows that one meeting needs, sorted."""
        others: list[bytes] = []
        for named, row in self._newest:
            if len(others) == OTHER_MEETINGS:
                break
            if named != meeting:
                others.append(row)
        return tuple(sorted([*self._everywhere, *self._about.get(meeting, ()), *others]))


def tuples(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The rows of a table."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _grouped(table: pa.Table) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for key, value in tuples(table):
        found[key].append(value)
    return found


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
