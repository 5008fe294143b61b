"""Scopes of telemetry: what one telemetry table holds about one meeting, and whose meeting that is.

Telemetry has pseudonyms of its own, which nobody can match with those of rosters. But an event that left a
row in telemetry and a row in the roster or the quarantine left them under one event id. Through these ids,
and through them alone, the release side learns whose meeting some telemetry is about. Telemetry of a meeting
of which no event is known there, or of two, or about somebody who is not on the roster, is nobody's: nobody
can have agreed, and it is held.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.tables import QUARANTINE_ITEMS, ROSTER, SIGNALS, TELEMETRY, fact, leaves, telemetry_columns
from transforms.collector import collector_paused
from transforms.faults import value_free
from transforms.meeting_joins import HOME, NO_MEETING, concat, groups, shards_by, shards_by_home
from transforms.people_joins import tuples
from transforms.release_settings import ReleaseSettings
from transforms.service_items import MEASURED, WHO_AND_WHEN
from transforms.store import Store

SCOPE_SCHEMA: Final = pa.schema(
    [
        ("scope_id", pa.string()),
        ("table", pa.string()),
        ("kind", pa.string()),
        ("tenant", pa.string()),
        ("meeting", pa.string()),
        ("rows", pa.int64()),
        ("tenant_join", pa.string()),
        ("meeting_join", pa.string()),
        ("pieces", pa.list_(pa.string())),
    ]
)
"""One table's rows about one meeting; `tenant` and `meeting` are telemetry's pseudonyms. `pieces` are the
messages and documents, under the join key, that are sealed items of the same events."""

_PLACED_SCHEMA: Final = SCOPE_SCHEMA.append(pa.field(HOME, pa.string()))
_ROWS, _LINK, _PERSON, _PIECE = "rows", "link", "person", "piece"
_FOUND_SCHEMA: Final = pa.schema(
    [
        *((name, pa.string()) for name in ("what", "tenant", "meeting", "first", "second")),
        ("rows", pa.int64()),
    ]
)
"""What is known of a meeting of telemetry: how many rows (of a table and kind), whose meeting it is (tenant
and meeting under the join key), who occurs in it (table, participant), or which messages (table, piece)."""

_SEEN_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("event_id", "table", "kind", "tenant", "meeting", "participant")]
)
_KNOWN_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("event_id", "tenant_join", "meeting_join", "event", "piece_join")]
)
_COMINGS: Final = ("join", "leave", "enter")
_LINKING: Final = (ROSTER, QUARANTINE_ITEMS)
"""Tables that hold event ids together with the join pseudonyms of their meetings."""

_LACKING: Final[Mapping[str, Mapping[str, str | None]]] = {
    ROSTER: {"piece_join": None},
    QUARANTINE_ITEMS: {"event": ""},
}
"""Columns of `_KNOWN_SCHEMA` that they do not have, and what stands there."""

_KIND_OF_CLASS: Final = (
    ("service.diagnostics", "network_diag"),
    ("service.usage", "feature_usage"),
    ("service.telemetry", MEASURED),
)
"""Classification of columns to kind, the strictest first."""

_ID_DIGITS: Final = 32
_STANDARD: Final = frozenset(column.name for column in telemetry_columns())
_PAIR: Final = ("tenant", "meeting")
_Pair = tuple[str | None, str | None]
_NOBODYS: Final[_Pair] = (None, None)


def telemetry_tables(store: Store) -> list[str]:
    """Names of the telemetry tables of a store."""
    return [table for table in store.tables() if table.startswith(f"{TELEMETRY}/")]


def kind_of_table(schema: pa.Schema) -> str:
    """The kind that a table's rows are decided as: that of its strictest column.

    A table with nothing but metadata is of the kind that every row has: who took part, and when.
    """
    own = (field for path, field in leaves(schema) if path.split(".")[0] not in _STANDARD)
    classes = {fact(field, "classification") for field in own}
    return next((kind for name, kind in _KIND_OF_CLASS if name in classes), WHO_AND_WHEN)


def basis_of(store: Store) -> str:
    """Names exactly the files that decisions about telemetry are made from."""
    tables = {*telemetry_tables(store), *_LINKING, SIGNALS}
    paths = sorted(record.path for record in store.snapshot.live.values() if record.table in tables)
    return hashlib.sha256("\n".join(paths).encode()).hexdigest()


@dataclass
class ReadTelemetry(beam.PTransform[Any, Any]):
    """Scopes of all telemetry, by meeting."""

    settings: ReleaseSettings

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> scopes by meeting."""
        return (
            pipeline
            | "Store" >> beam.Create([self.settings], reshuffle=False)
            | "Files" >> beam.FlatMap(_files)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, self.settings).with_output_types(tuple[str, tuple[bool, bytes]])
            | "ByEvent" >> beam.GroupByKey()
            | "Link" >> beam.FlatMap(_linked, self.settings.digits).with_output_types(tuple[str, bytes])
            | "ByScope" >> beam.GroupByKey()
            | "Scopes" >> beam.FlatMap(_scopes, self.settings.digits).with_output_types(tuple[str, bytes])
        )


def _files(settings: ReleaseSettings) -> list[str]:
    with value_free("list telemetry"):
        opened = settings.opened()
        tables = telemetry_tables(opened)
        # Rosters and items are read for their event ids alone, and only if there is something to link.
        return [record.path for table in [*tables, *_LINKING] if tables for record in opened.files(table)]


def _read(path: str, settings: ReleaseSettings) -> Iterator[tuple[str, tuple[bool, bytes]]]:
    """Rows with their event ids, and whether they tell whose meeting an event is of."""
    with value_free("read telemetry"):
        opened = settings.opened()
        record = opened.snapshot.live[path]
        links = record.table in _LINKING
        schema = _KNOWN_SCHEMA if links else _SEEN_SCHEMA
        words = _LACKING.get(record.table)
        if words is None:
            words = {"table": record.table, "kind": kind_of_table(opened.schema(record.table))}
        columns = [name for name in schema.names if name not in words]
        for batch in opened.scan(record.table, columns, records=[record]):
            rows = pa.Table.from_batches([batch])
            for name, word in words.items():
                rows = rows.append_column(name, pa.repeat(pa.scalar(word, pa.string()), len(rows)))
            placed = rows.select(schema.names).cast(schema)
            for shard, content in shards_by(placed, "event_id", settings.digits):
                yield shard, (links, content)


def _linked(shard: tuple[str, Iterable[tuple[bool, bytes]]], digits: int) -> Iterator[tuple[str, bytes]]:
    """What is known of each meeting of telemetry, as `_FOUND_SCHEMA` has it, by meeting."""
    with value_free("link telemetry"):
        contents = list(shard[1])
        known = concat((content for links, content in contents if links), _KNOWN_SCHEMA)
        seen = concat((content for links, content in contents if not links), _SEEN_SCHEMA)
        counted = seen.group_by([*_PAIR, "table", "kind"]).aggregate([([], "count_all")])
        places = known.select(["event_id", "tenant_join", "meeting_join"])
        linked = seen.select(["event_id", *_PAIR]).join(places, "event_id", join_type="inner")
        links = linked.group_by([*_PAIR, "tenant_join", "meeting_join"]).aggregate([])
        people = _people(seen, known)
        sent = known.select(["event_id", "piece_join"]).filter(pc.is_valid(known.column("piece_join")))
        beside = seen.select(["event_id", *_PAIR, "table"]).join(sent, "event_id", join_type="inner")
        pieces = beside.group_by([*_PAIR, "table", "piece_join"]).aggregate([])
        found = [
            _named(_ROWS, counted, "table", "kind", counted.column("count_all")),
            _named(_LINK, links, "tenant_join", "meeting_join"),
            _named(_PERSON, people, "where", "participant"),
            _named(_PIECE, pieces, "table", "piece_join"),
        ]
        yield from _by_meeting(pa.concat_tables(found), digits)


def _named(
    what: str, table: pa.Table, first: str, second: str, rows: pa.ChunkedArray | None = None
) -> pa.Table:
    number = pa.nulls(len(table), pa.int64()) if rows is None else rows
    words = [*(table.column(name) for name in _PAIR), table.column(first), table.column(second)]
    return pa.table([pa.repeat(pa.scalar(what), len(table)), *words, number], schema=_FOUND_SCHEMA)


def _by_meeting(table: pa.Table, digits: int) -> Iterator[tuple[str, bytes]]:
    """A table cut by the first digits of its meetings; rows without one are a shard of their own."""
    yield from groups(table, pc.fill_null(pc.utf8_slice_codeunits(table.column("meeting"), 0, digits), ""))


def _people(seen: pa.Table, known: pa.Table) -> pa.Table:
    """Who occurs in each meeting's rows of each table; where the rows are of the roster's events, in it."""
    coming = known.filter(pc.is_in(known.column("event"), value_set=pa.array(_COMINGS)))
    listed = pc.is_in(seen.column("event_id"), value_set=coming.column("event_id").combine_chunks())
    placed = seen.append_column("where", pc.if_else(listed, ROSTER, seen.column("table")))
    named = placed.filter(pc.is_valid(placed.column("participant")))
    return named.group_by([*_PAIR, "where", "participant"]).aggregate([])


@dataclass
class _Meeting:
    """What is known of a meeting of telemetry: rows by table and kind, whose it is, who and what is where."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    links: set[_Pair] = field(default_factory=set)
    people: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    pieces: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def link(self, meeting: str | None) -> _Pair:
        """Whose it is. A row that names no meeting concerns people of whom no roster tells."""
        return next(iter(self.links)) if len(self.links) == 1 and meeting is not None else _NOBODYS


def _scopes(keyed: tuple[str, Iterable[bytes]], digits: int) -> Iterator[tuple[str, bytes]]:
    with value_free("make scopes"), collector_paused():
        meetings: dict[_Pair, _Meeting] = defaultdict(_Meeting)
        for what, tenant, meeting, first, second, number in tuples(concat(keyed[1], _FOUND_SCHEMA)):
            found = meetings[tenant, meeting]
            if what == _LINK:
                found.links.add((first, second))
            elif what == _PERSON:
                found.people[first].add(second)
            elif what == _PIECE:
                found.pieces[first].add(second)
            else:
                found.counts[first, second] += number
        rows = [row for pair, found in meetings.items() for row in _scope_rows(pair, found)]
        columns = zip(*rows, strict=True) if rows else ([] for _ in _PLACED_SCHEMA)
        arrays = [pa.array(column, each.type) for column, each in zip(columns, _PLACED_SCHEMA, strict=True)]
        yield from shards_by_home(pa.Table.from_arrays(arrays, schema=_PLACED_SCHEMA), digits)


def _scope_rows(pair: _Pair, found: _Meeting) -> Iterator[tuple[Any, ...]]:
    tenant, meeting = pair
    link = found.link(meeting)
    unlinked = NO_MEETING + _scope_id("", tenant, meeting)[:2]
    for (table, kind), number in sorted(found.counts.items()):
        whose = link if found.people[table] <= found.people[ROSTER] else _NOBODYS
        home = whose[1] or unlinked
        pieces = sorted(found.pieces[table])
        yield (_scope_id(table, tenant, meeting), table, kind, tenant, meeting, number, *whose, pieces, home)


def _scope_id(table: str, tenant: str | None, meeting: str | None) -> str:
    text = "\0".join((table, tenant or "", meeting or ""))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


__all__ = ["SCOPE_SCHEMA", "ReadTelemetry", "basis_of", "kind_of_table", "telemetry_tables"]
