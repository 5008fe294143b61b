"""The reading steps of a release: items, rosters, consent records and aliases, each by its shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.registry import load_registry
from schemas.tables import QUARANTINE_ITEMS, RELEASED, ROSTER, SIGNALS
from transforms.cloud_places import place_at
from transforms.collector import collector_paused
from transforms.consent_intake import (
    RECORDS_A_RANGE,
    RecordIntake,
    RecordRange,
    alias_links,
    plan_records,
    read_range,
    total_intake,
)
from transforms.deletion_holds import about_anything, about_meetings, person_rows
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.meeting_joins import (
    HOME,
    MARK_IDS,
    RELEASED_IDS,
    concat,
    find_marks,
    homes,
    packed,
    participants,
    senders,
    shard_digits,
    shards_by,
    shards_by_home,
)
from transforms.people_joins import alias_table, row_table
from transforms.pseudonyms import join_pseudonyms
from transforms.records_seen import sighted_table
from transforms.release_rules import ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store

(
    FILES,
    COUNTS,
    TASKS,
    READ,
    OWNERLESS,
    ROWS,
    WANTED,
    AGAIN,
    UNPLACED,
    ITEMS,
    MARKED,
    NAMED,
    ONLY,
    ANYWHERE,
    MEETINGS,
) = (
    "files",
    "counts",
    "tasks",
    "read",
    "ownerless",
    "rows",
    "wanted",
    "again",
    "unplaced",
    "items",
    "marked",
    "named",
    "only",
    "anywhere",
    "meetings",
)
Keyed = tuple[str, bytes]
"""A shard's digits with a part of the shard, packed."""

WITNESSED, SIGHTED = "witnessed", "sighted"


def digits_for(store: Store, record_ranges: int) -> int:
    """How many digits of an id name a shard, for what a store holds and so many ranges of records."""
    rows = sum(record.rows for table in (QUARANTINE_ITEMS, ROSTER) for record in store.files(table))
    return shard_digits(rows + record_ranges * RECORDS_A_RANGE)


@dataclass
class ReadItems(beam.PTransform[Any, Any]):
    """Items of the quarantine, and what is to be known of some of them: ambiguous, or released before."""

    settings: ReleaseSettings
    recipient: str

    def expand(self, starts: Any) -> Any:
        """Anything -> `items`, `marked` by meeting; `named`: senders by identifier. Reads once an element."""
        digits = self.settings.digits
        items = (
            starts
            | "Items" >> _Scan(self.settings, QUARANTINE_ITEMS)
            | "ItemShards" >> beam.FlatMap(_cut_items, digits).with_outputs(MARKED, NAMED, main=ITEMS)
        )
        released = (
            starts
            | "Released" >> _Scan(self.settings, RELEASED, ["item_id", "purpose", "recipient"])
            | "ReleasedShards" >> beam.FlatMap(_released_shards, self.recipient, digits)
        )
        marked = (
            {"items": items[MARKED], "released": released}
            | "ByItem" >> beam.CoGroupByKey()
            | "Mark" >> beam.FlatMap(_mark, digits)
        )
        return {ITEMS: items[ITEMS], MARKED: marked, NAMED: items[NAMED]}


@dataclass
class _Scan(beam.PTransform[Any, Any]):
    """Rows of a table of the store, file by file."""

    settings: ReleaseSettings
    table: str
    columns: list[str] | None = None

    def expand(self, starts: Any) -> Any:
        """Anything -> table, in batches."""
        settings, table = self.settings, self.table
        return (
            starts
            | "Files" >> beam.FlatMap(_paths, settings, table)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(_read, settings, table, self.columns).with_output_types(pa.Table)
        )


def _paths(_: object, settings: ReleaseSettings, table: str) -> list[str]:
    with value_free("list files"):
        return [record.path for record in settings.opened().files(table)]


def _read(path: str, settings: ReleaseSettings, table: str, columns: list[str] | None) -> Iterator[pa.Table]:
    with value_free("read store"):
        opened = settings.opened()
        record = opened.snapshot.live[path]
        for batch in opened.scan(table, columns, records=[record]):
            yield pa.Table.from_batches([batch])


def _tagged(tag: str, parts: Iterable[Any]) -> Iterator[Any]:
    return (beam.pvalue.TaggedOutput(tag, part) for part in parts)


def _cut_items(items: pa.Table, digits: int) -> Iterator[Any]:
    with value_free("spread items"):
        placed = items.append_column(HOME, homes(items))
        yield from shards_by_home(placed, digits)
        yield from _tagged(MARKED, shards_by(placed.select(MARK_IDS.names), "item_id", digits))
        yield from _tagged(NAMED, shards_by(senders(placed), "pseudonym", digits))


def _released_shards(table: pa.Table, recipient: str, digits: int) -> Iterator[Keyed]:
    with value_free("spread"):
        mine = table.filter(pc.equal(table.column("recipient"), recipient))
        yield from shards_by(mine.select(RELEASED_IDS.names), "item_id", digits)


def _mark(shard: tuple[str, Mapping[str, Iterable[bytes]]], digits: int) -> Iterator[Keyed]:
    with value_free("mark items"):
        marks = find_marks(concat(shard[1]["items"], MARK_IDS), concat(shard[1]["released"], RELEASED_IDS))
        yield from shards_by_home(marks, digits)


@dataclass
class ReadRoster(beam.PTransform[Any, Any]):
    """The rosters of all meetings."""

    settings: ReleaseSettings

    def expand(self, starts: Any) -> Any:
        """Anything -> `rows` by meeting; `named`: people by identifier. Reads once an element."""
        return (
            starts
            | "Roster" >> _Scan(self.settings, ROSTER)
            | "Shards" >> beam.FlatMap(_cut_roster, self.settings.digits).with_outputs(NAMED, main=ROWS)
        )


def _cut_roster(table: pa.Table, digits: int) -> Iterator[Any]:
    with value_free("spread roster"):
        roster = table.filter(pc.is_valid(table.column("meeting_join")))
        yield from shards_by_home(roster.append_column(HOME, roster.column("meeting_join")), digits)
        yield from _tagged(NAMED, shards_by(participants(roster), "pseudonym", digits))


@dataclass
class ReadSignals(beam.PTransform[Any, Any]):
    """Deletions that sources report: by meeting, of nobody knows what, and of people."""

    settings: ReleaseSettings

    def expand(self, starts: Any) -> Any:
        """Anything -> `meetings` by meeting; `anywhere`: packed table; `rows` by identifier."""
        return (
            starts
            | "Signals" >> _Scan(self.settings, SIGNALS)
            | "Sort"
            >> beam.FlatMap(_sorted_signals, self.settings.digits).with_outputs(ANYWHERE, ROWS, main=MEETINGS)
        )


def _sorted_signals(table: pa.Table, digits: int) -> Iterator[Any]:
    with value_free("sort signals"):
        placed = about_meetings(table)
        yield from shards_by_home(placed.append_column(HOME, placed.column("meeting_join")), digits)
        anywhere = about_anything(table)
        if anywhere.num_rows:
            yield beam.pvalue.TaggedOutput(ANYWHERE, packed(anywhere))
        yield from _tagged(ROWS, shards_by(row_table(list(person_rows(table))), "pseudonym", digits))


@dataclass
class ReadRecords(beam.PTransform[Any, Any]):
    """Consent records, verified and keyed by pseudonym."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)
    keys: ReleaseKeys = field(repr=False)

    def expand(self, starts: Any) -> Any:
        """Anything -> `rows` by identifier; `ownerless`: row; `read`: IntakeCounts; `sighted` by digest.

        Reads once an element.
        """
        found = (
            starts
            | "Plan" >> beam.FlatMap(_plan, self.settings).with_output_types(RecordRange)
            | "Spread" >> beam.Reshuffle()
            | "Verify"
            >> beam.ParDo(_Verify(self.settings, self.rules, self.keys)).with_outputs(
                OWNERLESS, READ, SIGHTED, main=ROWS
            )
        )
        read = found[READ] | "Total" >> beam.CombineGlobally(total_intake)
        return {ROWS: found[ROWS], OWNERLESS: found[OWNERLESS], READ: read, SIGHTED: found[SIGHTED]}


def _plan(_: object, settings: ReleaseSettings) -> list[RecordRange]:
    with value_free("list records"):
        return plan_records(settings.consents)


class _Verify(beam.DoFn):
    def __init__(self, settings: ReleaseSettings, rules: ReleaseRules, keys: ReleaseKeys) -> None:
        self._settings, self._rules, self._keys = settings, rules, keys

    def setup(self) -> None:
        self._pseudonyms = join_pseudonyms(self._keys)

    def process(self, part: RecordRange) -> Iterator[Any]:
        with value_free("verify records"):
            intake = RecordIntake(
                self._rules.signing_keys, self._pseudonyms, allow_test_keys=self._rules.allow_test_keys
            )
            with collector_paused():
                taken = list(intake.take(read_range(part)))
            yield from _tagged(OWNERLESS, (row for pseudonym, row in taken if pseudonym is None))
            owned = [(pseudonym, row) for pseudonym, row in taken if pseudonym is not None]
            yield from shards_by(row_table(owned), "pseudonym", self._settings.digits)
            yield beam.pvalue.TaggedOutput(READ, intake.counts)
            sighted = shards_by(sighted_table(intake.sighted), "digest", self._settings.digits)
            yield from _tagged(SIGHTED, sighted)


@dataclass
class ReadAliases(beam.PTransform[Any, Any]):
    """The registry's links between identifiers and people."""

    settings: ReleaseSettings
    keys: ReleaseKeys = field(repr=False)

    def expand(self, starts: Any) -> Any:
        """Anything -> links by identifier. Reads once an element."""
        return starts | "Links" >> beam.FlatMap(_links, self.settings, self.keys)


def _links(_: object, settings: ReleaseSettings, keys: ReleaseKeys) -> Iterator[Keyed]:
    with value_free("read aliases"):
        registry = load_registry(place_at(settings.registry))
        links = alias_table(alias_links(registry, join_pseudonyms(keys)))
        yield from shards_by(links, "pseudonym", settings.digits)
