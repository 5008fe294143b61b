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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.tables import QUARANTINE_ITEMS, ROSTER, TELEMETRY, fact, leaves, telemetry_columns
from transforms.faults import value_free
from transforms.meeting_joins import HOME, NO_MEETING, concat, shards_by, shards_by_home
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
    ]
)
"""One table's rows about one meeting; `tenant` and `meeting` are telemetry's pseudonyms."""

_SEEN_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("event_id", "table", "kind", "tenant", "meeting", "participant")]
)
_KNOWN_SCHEMA: Final = pa.schema(
    [(name, pa.string()) for name in ("event_id", "tenant_join", "meeting_join", "event")]
)
_COMINGS: Final = ("join", "leave", "enter")
_LINKING: Final = (ROSTER, QUARANTINE_ITEMS)
"""Tables that hold event ids together with the join pseudonyms of their meetings."""

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
    tables = {*telemetry_tables(store), *_LINKING}
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
            | "Store" >> beam.Create([self.settings.store], reshuffle=False)
            | "Files" >> beam.FlatMap(_files)
            | "Spread" >> beam.Reshuffle()
            | "Read"
            >> beam.FlatMap(_read, self.settings.store, self.settings.digits).with_output_types(
                tuple[str, tuple[bool, bytes]]
            )
            | "ByEvent" >> beam.GroupByKey()
            | "Link" >> beam.FlatMap(_linked)
            | "ByScope" >> beam.GroupByKey()
            | "Scopes" >> beam.FlatMap(_scopes, self.settings.digits).with_output_types(tuple[str, bytes])
        )


def _files(store: str) -> list[str]:
    with value_free("list telemetry"):
        opened = Store.open(store)
        tables = telemetry_tables(opened)
        # Rosters and items are read for their event ids alone, and only if there is something to link.
        return [record.path for table in [*tables, *_LINKING] if tables for record in opened.files(table)]


def _read(path: str, store: str, digits: int) -> Iterator[tuple[str, tuple[bool, bytes]]]:
    """Rows with their event ids, and whether they tell whose meeting an event is of."""
    with value_free("read telemetry"):
        opened = Store.open(store)
        record = opened.snapshot.live[path]
        links = record.table in _LINKING
        schema = _KNOWN_SCHEMA if links else _SEEN_SCHEMA
        words = {} if links else {"table": record.table, "kind": kind_of_table(opened.schema(record.table))}
        if record.table == QUARANTINE_ITEMS:
            words = {"event": ""}
        columns = [name for name in schema.names if name not in words]
        for batch in opened.scan(record.table, columns, records=[record]):
            rows = pa.Table.from_batches([batch])
            for name, word in words.items():
                rows = rows.append_column(name, pa.repeat(pa.scalar(word), len(rows)))
            for shard, content in shards_by(rows.select(schema.names).cast(schema), "event_id", digits):
                yield shard, (links, content)


def _linked(shard: tuple[str, Iterable[tuple[bool, bytes]]]) -> Iterator[tuple[_Pair, Any]]:
    """For each meeting of telemetry its rows by table, and the meetings that its events are of."""
    with value_free("link telemetry"):
        contents = list(shard[1])
        known = concat((content for links, content in contents if links), _KNOWN_SCHEMA)
        seen = concat((content for links, content in contents if not links), _SEEN_SCHEMA)
        counted = seen.group_by([*_PAIR, "table", "kind"]).aggregate([([], "count_all")])
        for pair, row in _by_pair(counted):
            yield pair, ("rows", row["table"], row["kind"], row["count_all"])
        places = known.select(["event_id", "tenant_join", "meeting_join"])
        linked = seen.select(["event_id", *_PAIR]).join(places, "event_id", join_type="inner")
        for pair, row in _by_pair(linked.group_by([*_PAIR, "tenant_join", "meeting_join"]).aggregate([])):
            yield pair, ("link", row["tenant_join"], row["meeting_join"])
        for pair, row in _by_pair(_people(seen, known)):
            yield pair, ("person", row["where"], row["participant"])


def _people(seen: pa.Table, known: pa.Table) -> pa.Table:
    """Who occurs in each meeting's rows of each table; where the rows are of the roster's events, in it."""
    coming = known.filter(pc.is_in(known.column("event"), value_set=pa.array(_COMINGS)))
    listed = pc.is_in(seen.column("event_id"), value_set=coming.column("event_id").combine_chunks())
    placed = seen.append_column("where", pc.if_else(listed, ROSTER, seen.column("table")))
    named = placed.filter(pc.is_valid(placed.column("participant")))
    return named.group_by([*_PAIR, "where", "participant"]).aggregate([])


def _by_pair(table: pa.Table) -> Iterator[tuple[_Pair, dict[str, Any]]]:
    for row in table.to_pylist():
        yield (row["tenant"], row["meeting"]), row


def _scopes(keyed: tuple[_Pair, Iterable[tuple[Any, ...]]], digits: int) -> Iterator[tuple[str, bytes]]:
    with value_free("make scopes"):
        (tenant, meeting), found = keyed
        counts: Counter[tuple[str, str]] = Counter()
        links: set[_Pair] = set()
        people: dict[str, set[str]] = defaultdict(set)
        for what, *values in found:
            if what == "link":
                links.add((values[0], values[1]))
            elif what == "person":
                people[values[0]].add(values[1])
            else:
                counts[values[0], values[1]] += values[2]
        # A row that names no meeting concerns people of whom no roster tells, whatever its event is about.
        link = links.pop() if len(links) == 1 and meeting is not None else _NOBODYS
        rows = []
        for (table, kind), number in sorted(counts.items()):
            scope_id = _scope_id(table, tenant, meeting)
            whose = link if people[table] <= people[ROSTER] else _NOBODYS
            rows.append((scope_id, table, kind, tenant, meeting, number, *whose))
        made = pa.Table.from_pylist(
            [dict(zip(SCOPE_SCHEMA.names, row, strict=True)) for row in rows], SCOPE_SCHEMA
        )
        unlinked = NO_MEETING + _scope_id("", tenant, meeting)[:2]
        homes = pc.coalesce(made.column("meeting_join"), unlinked)
        yield from shards_by_home(made.append_column(HOME, homes), digits)


def _scope_id(table: str, tenant: str | None, meeting: str | None) -> str:
    text = "\0".join((table, tenant or "", meeting or ""))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


__all__ = ["SCOPE_SCHEMA", "ReadTelemetry", "basis_of", "kind_of_table", "telemetry_tables"]
