"""The reading steps of a release: items, rosters, consent records and aliases, as tables and rows by key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.registry import load_registry
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, RELEASED, ROSTER, SIGNALS
from transforms.consent_intake import (
    Link,
    RecordIntake,
    RecordRange,
    alias_links,
    plan_records,
    read_range,
)
from transforms.deletion_holds import about_anything, about_meetings, person_rows
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.meeting_joins import (
    by_meeting,
    concat,
    mark_items,
    packed,
    shards_by,
    unpacked,
)
from transforms.pseudonyms import join_pseudonyms
from transforms.release_rules import ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store

FILES, COUNTS, TASKS, READ, OWNERLESS, ROWS, WANTED, AGAIN, UNPLACED, ANYWHERE, MEETINGS = (
    "files",
    "counts",
    "tasks",
    "read",
    "ownerless",
    "rows",
    "wanted",
    "again",
    "unplaced",
    "anywhere",
    "meetings",
)
WITNESSED: Final = "witnessed"
_RELEASED_IDS: Final = pa.schema([("item_id", pa.string()), ("purpose", pa.string())])


@dataclass
class ReadItems(beam.PTransform[Any, Any]):
    """Items of the quarantine by meeting, marked where an id is ambiguous or released before."""

    settings: ReleaseSettings
    recipient: str

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> (meeting, packed table[items])."""
        items = _scan(pipeline, "Items", self.settings, QUARANTINE_ITEMS)
        released = _scan(pipeline, "Released", self.settings, RELEASED, ["item_id", "purpose", "recipient"])
        shards = {
            "items": items | "ItemShards" >> beam.FlatMap(shards_of_rows, "item_id"),
            "released": released | "ReleasedShards" >> beam.FlatMap(_released_shards, self.recipient),
        }
        return (
            shards
            | "ByItem" >> beam.CoGroupByKey()
            | "Mark" >> beam.FlatMap(_mark).with_output_types(tuple[str, bytes])
        )


def _scan(
    pipeline: Any, label: str, settings: ReleaseSettings, table: str, columns: list[str] | None = None
) -> Any:
    """Rows of a table of the store, file by file."""
    return (
        pipeline
        | f"{label}Store" >> beam.Create([settings.store], reshuffle=False)
        | f"{label}Files" >> beam.FlatMap(_paths, table)
        | f"{label}Spread" >> beam.Reshuffle()
        | f"{label}Read" >> beam.FlatMap(_read, settings.store, table, columns).with_output_types(pa.Table)
    )


def _paths(store: str, table: str) -> list[str]:
    with value_free("list files"):
        return [record.path for record in Store.open(store).files(table)]


def _read(path: str, store: str, table: str, columns: list[str] | None) -> Iterator[pa.Table]:
    with value_free("read store"):
        opened = Store.open(store)
        record = opened.snapshot.live[path]
        for batch in opened.scan(table, columns, records=[record]):
            yield pa.Table.from_batches([batch])


def shards_of_rows(table: pa.Table, column: str) -> Iterator[tuple[str, bytes]]:
    """Packed rows by the shard of a column."""
    with value_free("spread"):
        yield from shards_by(table, column)


def packed_shards(content: bytes, column: str) -> Iterator[tuple[str, bytes]]:
    """As `shards_of_rows`, for rows that are packed already."""
    with value_free("spread"):
        yield from shards_by(unpacked(content), column)


def _released_shards(table: pa.Table, recipient: str) -> Iterator[tuple[str, bytes]]:
    with value_free("spread"):
        mine = table.filter(pc.equal(table.column("recipient"), recipient))
        yield from shards_by(mine.select(["item_id", "purpose"]), "item_id")


def _mark(shard: tuple[str, Mapping[str, Iterable[bytes]]]) -> Iterator[tuple[str, bytes]]:
    with value_free("mark items"):
        items = concat(shard[1]["items"], FIXED_TABLES[QUARANTINE_ITEMS])
        released = concat(shard[1]["released"], _RELEASED_IDS)
        if items.num_rows:
            yield from by_meeting(mark_items(items, released))


@dataclass
class ReadRoster(beam.PTransform[Any, Any]):
    """The rosters of all meetings."""

    settings: ReleaseSettings

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> (meeting, packed table[roster])."""
        roster = _scan(pipeline, "Roster", self.settings, ROSTER)
        return roster | "ByMeeting" >> beam.FlatMap(_by_meeting).with_output_types(tuple[str, bytes])


def _by_meeting(table: pa.Table) -> Iterator[tuple[str, bytes]]:
    with value_free("spread"):
        yield from by_meeting(table.filter(pc.is_valid(table.column("meeting_join"))))


@dataclass
class ReadSignals(beam.PTransform[Any, Any]):
    """Deletions that sources report: by meeting, of nobody knows what, and of people."""

    settings: ReleaseSettings

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> `meetings`: (meeting, packed table); `anywhere`: such; `rows`: (pseudonym, row)."""
        signals = _scan(pipeline, "Signals", self.settings, SIGNALS)
        return signals | "Sort" >> beam.FlatMap(_sorted_signals).with_outputs(ANYWHERE, ROWS, main=MEETINGS)


def _sorted_signals(table: pa.Table) -> Iterator[Any]:
    with value_free("sort signals"):
        yield from by_meeting(about_meetings(table))
        anywhere = about_anything(table)
        if anywhere.num_rows:
            yield beam.pvalue.TaggedOutput(ANYWHERE, packed(anywhere))
        for keyed in person_rows(table):
            yield beam.pvalue.TaggedOutput(ROWS, keyed)


@dataclass
class ReadRecords(beam.PTransform[Any, Any]):
    """Consent records, verified and keyed by pseudonym."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)
    keys: ReleaseKeys = field(repr=False)

    def expand(self, starts: Any) -> Any:
        """Anything -> (pseudonym, row); `ownerless`: row; `read`: IntakeCounts. Reads once an element."""
        return (
            starts
            | "Plan" >> beam.FlatMap(_plan, self.settings).with_output_types(RecordRange)
            | "Spread" >> beam.Reshuffle()
            | "Verify" >> beam.ParDo(_Verify(self.rules, self.keys)).with_outputs(OWNERLESS, READ, main=ROWS)
        )


def _plan(_: object, settings: ReleaseSettings) -> list[RecordRange]:
    with value_free("list records"):
        return plan_records(settings.consents)


class _Verify(beam.DoFn):
    def __init__(self, rules: ReleaseRules, keys: ReleaseKeys) -> None:
        self._rules, self._keys = rules, keys

    def setup(self) -> None:
        self._pseudonyms = join_pseudonyms(self._keys)

    def process(self, part: RecordRange) -> Iterator[Any]:
        with value_free("verify records"):
            intake = RecordIntake(
                self._rules.signing_keys, self._pseudonyms, allow_test_keys=self._rules.allow_test_keys
            )
            for pseudonym, row in intake.take(read_range(part)):
                if pseudonym is None:
                    yield beam.pvalue.TaggedOutput(OWNERLESS, row)
                else:
                    yield pseudonym, row
            yield beam.pvalue.TaggedOutput(READ, intake.counts)


@dataclass
class ReadAliases(beam.PTransform[Any, Any]):
    """The registry's links between identifiers and people."""

    settings: ReleaseSettings
    keys: ReleaseKeys = field(repr=False)

    def expand(self, starts: Any) -> Any:
        """Anything -> (pseudonym, Link)."""
        return starts | "Links" >> beam.FlatMap(_links, self.settings, self.keys)


def _links(_: object, settings: ReleaseSettings, keys: ReleaseKeys) -> Iterator[tuple[str, Link]]:
    with value_free("read aliases"):
        registry = load_registry(Path(settings.registry))
        for link in alias_links(registry, join_pseudonyms(keys)):
            yield link.pseudonym, link
