"""What telemetry, rosters and signals say of a person, without anybody else in it (GDPR article 15(4)).

A row about the person is given whole, but for the pseudonyms of others. A row about somebody else that names
the person is reduced to that: where, when, and as what it names them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, ROSTER, SIGNALS, TELEMETRY, fact, inherited
from transforms.erase_reach import Mask, Space, is_in
from transforms.erase_rows import PERSON_CLASS, names_somebody
from transforms.erase_search import StoreSearch
from transforms.subject_search import Section

_MENTION: Final = ("event_id", "event_type", "event_time", "tenant", "meeting", "source")


@dataclass
class OwnRows:
    """What telemetry says of a person.

    Attributes:
        tables: Rows about them, by table.
        mentions: Where rows about others name them.
        blanked: Number of others' names that were taken out.
    """

    tables: dict[str, pa.Table] = field(default_factory=dict, repr=False)
    mentions: list[dict[str, Any]] = field(default_factory=list, repr=False)
    blanked: int = 0

    def sections(self) -> Iterator[Section]:
        """The same as parts of the archive."""
        about = "Measurements and usage data about the person; names of others are left out."
        for table, rows in sorted(self.tables.items()):
            yield Section(table, f"Telemetry: {table.rpartition('/')[2]}", about, rows)
        about = "Where telemetry about somebody else names the person; what it says of the other is left out."
        yield Section("telemetry_mentions", "Mentions in telemetry about others", about, self.mentions)


def telemetry_of(search: StoreSearch, space: Space) -> OwnRows:
    """All telemetry about a person, under every pseudonym of theirs.

    Args:
        search: The store.
        space: The person in telemetry.
    """
    found = OwnRows()
    parts: dict[str, list[pa.Table]] = defaultdict(list)
    for record in search.holding(TELEMETRY, space.named):
        for rows in search.rows(record, search.schema(record).names):
            own, others = _split(rows, space)
            if own.any():
                kept, blanked = _without_others(rows.filter(pa.array(own)), space.people | space.visits)
                parts[record.table].append(kept)
                found.blanked += blanked
            found.mentions += _mentions(record.table, rows.filter(pa.array(others)), space)
    for table, pieces in parts.items():
        rows = pa.concat_tables(pieces, promote_options="permissive")
        found.tables[table] = rows.sort_by([("event_time", "ascending"), ("event_id", "ascending")])
    found.mentions.sort(key=lambda row: (row["table"], str(row["event_time"]), str(row["event_id"])))
    return found


def _split(rows: pa.Table, space: Space) -> tuple[Mask, Mask]:
    """Which rows are about the person, and which others name them."""
    names = space.people | space.visits
    participant = rows.column("participant")
    theirs = is_in(participant, names)
    nobody = pc.is_null(participant).to_numpy()
    named, visited = theirs.copy(), np.zeros(rows.num_rows, dtype=bool)
    somebody = np.zeros(rows.num_rows, dtype=bool)
    for column in rows.schema:
        mask, other = _named_in(column, rows.column(column.name), names)
        named |= mask
        somebody |= other
        if pa.types.is_string(column.type) and _is_person(column):
            visited |= is_in(rows.column(column.name), space.visits)
    own = theirs | (nobody & named & (visited | ~somebody))
    return own, named & ~own


def _is_person(column: pa.Field) -> bool:
    return fact(column, "classification") == PERSON_CLASS


def _named_in(column: pa.Field, values: pa.ChunkedArray, names: frozenset[str]) -> tuple[Mask, Mask]:
    """Which rows of a column name the person, and which name anybody else."""
    if pa.types.is_string(column.type) and _is_person(column):
        mask = is_in(values, names)
        return mask, pc.is_valid(values).to_numpy() & ~mask
    if _holds_names(column):
        cells = values.to_pylist()
        mine = [bool(cell) and any(each in names for each in cell) for cell in cells]
        other = [bool(cell) and any(each not in names for each in cell) for cell in cells]
        return np.array(mine, dtype=bool), np.array(other, dtype=bool)
    nothing = np.zeros(len(values), dtype=bool)
    return nothing, nothing


def _holds_names(column: pa.Field) -> bool:
    """Whether a column is a list of people's pseudonyms."""
    if not pa.types.is_list(column.type):
        return False
    inner = inherited(column.type.value_field, column)
    return pa.types.is_string(inner.type) and _is_person(inner)


def _names_people(column: pa.Field) -> bool:
    """Whether a column, or anything inside it, names people."""
    if _is_person(column):
        return True
    inside = column.type if pa.types.is_struct(column.type) else ()
    if pa.types.is_list(column.type):
        inside = (inherited(column.type.value_field, column),)
    return any(_names_people(inherited(child, column)) for child in inside)


def _without_others(rows: pa.Table, names: frozenset[str]) -> tuple[pa.Table, int]:
    """Rows without the pseudonyms of others, and how many were taken out."""
    blanked = 0
    for place, column in enumerate(rows.schema):
        values = rows.column(place)
        if pa.types.is_string(column.type) and _is_person(column):
            mask = is_in(values, names)
            blanked += int((pc.is_valid(values).to_numpy() & ~mask).sum())
            kept = pc.if_else(pa.array(mask), values, pa.scalar(None, pa.string()))
        elif _holds_names(column):
            cells = values.to_pylist()
            left = [None if cell is None else [each for each in cell if each in names] for cell in cells]
            blanked += sum(len(cell or ()) for cell in cells) - sum(len(cell or ()) for cell in left)
            kept = pa.chunked_array([pa.array(left, column.type)])
        elif _names_people(column):
            kept = pa.nulls(rows.num_rows, column.type)  # of a form that nobody has thought of: nothing of it
        else:
            continue
        rows = rows.set_column(place, column, kept)
    return rows, blanked


def _mentions(table: str, rows: pa.Table, space: Space) -> Iterator[dict[str, Any]]:
    names = space.people | space.visits
    named: list[list[str]] = [[] for _ in range(rows.num_rows)]
    for column in rows.schema:
        mask, _ = _named_in(column, rows.column(column.name), names)
        for place in np.flatnonzero(mask).tolist():
            named[place].append(column.name)
    for row, columns in zip(rows.select(list(_MENTION)).to_pylist(), named, strict=True):
        yield {"table": table, **row, "named_as": columns}


# --- rosters and signals ------------------------------------------------------------------------------------


@dataclass
class Presence:
    """Where rosters and signals name a person.

    Attributes:
        roster: Rows of rosters.
        signals: What sources say was deleted or withdrawn.
        shared_visits: Visits under which others are named, too; what is known by them alone is held back.
    """

    roster: pa.Table = field(repr=False)
    signals: pa.Table = field(repr=False)
    shared_visits: int

    @property
    def meetings(self) -> frozenset[str]:
        """Meetings that the person was in, under the join key."""
        return frozenset(self.roster.column("meeting_join").drop_null().to_pylist())

    def sections(self) -> Iterator[Section]:
        """The same as parts of the archive."""
        yield Section(
            "roster",
            "Presence in meetings",
            "When the person joined and left which meeting, in which role. Others are left out.",
            self.roster,
        )
        yield Section(
            "signals",
            "Signals of deletion",
            "What a platform said was deleted or withdrawn, where it named the person.",
            self.signals,
        )


def presence_of(search: StoreSearch, join: Space) -> Presence:
    """Rows of rosters and signals that name a person, without anybody else.

    Args:
        search: The store.
        join: The person under the join key, with their visits.
    """
    roster = _naming(search, ROSTER, join)
    visits = set(roster.column("join_pseudonym").drop_null().to_pylist())
    shared = visits - join.visits
    rows = [
        {**row, "join_pseudonym": None if row["join_pseudonym"] in shared else row["join_pseudonym"]}
        for row in _own_subjects(roster, join)
    ]
    signals = list(_own_subjects(_naming(search, SIGNALS, join), join))
    return Presence(_table(ROSTER, rows), _table(SIGNALS, signals), len(shared))


def _naming(search: StoreSearch, table: str, join: Space) -> pa.Table:
    schema, parts = FIXED_TABLES[table], []
    for record in search.holding(table, join.people | join.visits):
        for rows in search.rows(record, schema.names):
            mask = names_somebody(rows, join.people)
            if "join_pseudonym" in schema.names:
                mask |= is_in(rows.column("join_pseudonym"), join.visits)
            parts.append(rows.filter(pa.array(mask)).cast(schema))
    return pa.concat_tables([schema.empty_table(), *parts])


def _own_subjects(rows: pa.Table, join: Space) -> Iterator[dict[str, Any]]:
    for row in rows.to_pylist():
        own = [each for each in row["subjects"] or () if each["pseudonym"] in join.people]
        yield {**row, "subjects": own}


def _table(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    ordered = sorted(rows, key=lambda row: (str(row["event_time"]), str(row["event_id"])))
    return pa.Table.from_pylist(ordered, schema=FIXED_TABLES[table])


def by_table(rows: OwnRows) -> Counter[str]:
    """Number of rows about the person in each table."""
    return Counter({table: found.num_rows for table, found in rows.tables.items()})


__all__ = ["OwnRows", "Presence", "by_table", "presence_of", "telemetry_of"]
