"""The steps of a release as Beam sees them: read, resolve people, decide, open and write.

Elements between steps are Arrow tables, ids under pseudonyms and rows of records; content is in none of them.
Joins are keyed by item, by meeting, by identifier, by person and by meeting again, so that no worker holds a
ledger; what every worker gets are the rules and the few records of which nobody can tell whose they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES, QUARANTINE_ITEMS, ROSTER, SIGNALS
from transforms.consent_intake import (
    IntakeCounts,
    resolve,
    rows_of_people,
    total_intake,
)
from transforms.decide_meetings import DecisionLabels, MeetingDecisions, MeetingInput, decide_meetings
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.meeting_joins import (
    NO_MEETING,
    concat,
    packed,
    roster_identifiers,
    rows_for_meeting,
    senders,
    unpacked,
)
from transforms.parquet_files import TableWriter
from transforms.release_content import (
    PLACE_SCHEMA,
    TASK_SCHEMA,
    ContentReleaser,
    blob_places,
    placed,
    release_tasks,
    with_warrants,
)
from transforms.release_counts import ReleaseCounts
from transforms.release_reading import (
    AGAIN,
    COUNTS,
    FILES,
    ROWS,
    TASKS,
    UNPLACED,
    WANTED,
    WITNESSED,
    packed_shards,
    shards_of_rows,
)
from transforms.release_rules import ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store
from transforms.store_files import open_files
from transforms.witness_releases import witness_releases

_END = GlobalWindow().max_timestamp()
_MARKED: Final = pa.schema(
    [
        *FIXED_TABLES[QUARANTINE_ITEMS],
        pa.field("ambiguous", pa.bool_()),
        pa.field("released_for", pa.list_(pa.string())),
    ]
)
_GATHERED_CELLS: Final = 100_000
"""Items, roster rows and records that wait to be decided about together."""

_TASK_LIST_CELLS: Final = 1_000_000
"""Cells of lists in one table of tasks: releases that rest on very many records travel in smaller tables."""


@dataclass
class FindPeople(beam.PTransform[Any, Any]):
    """Who the people of each meeting are, and what records each of them has."""

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """items, roster, aliases, rows -> `links`: (meeting, Link), `rows`: (meeting, (person, rows))."""
        named = (
            inputs["roster"] | "Participants" >> beam.FlatMap(_participants),
            inputs["items"] | "Senders" >> beam.FlatMap(_item_senders),
        )
        wanted = named | "Named" >> beam.Flatten() | "Once" >> beam.Distinct()
        resolved = (
            {"aliases": inputs["aliases"], "wanted": wanted, "rows": inputs["rows"]}
            | "ByIdentifier" >> beam.CoGroupByKey()
            | "Resolve" >> beam.FlatMap(_resolve).with_outputs(ROWS, WANTED, main="links")
        )
        rows = (
            {"wanted": resolved[WANTED], "rows": resolved[ROWS]}
            | "ByPerson" >> beam.CoGroupByKey()
            | "ToMeetings" >> beam.FlatMap(_to_meetings)
        )
        return {"links": resolved["links"], "rows": rows}


def _participants(keyed: tuple[str, bytes]) -> Iterator[tuple[str, str]]:
    with value_free("list participants"):
        yield from ((pseudonym, keyed[0]) for pseudonym in sorted(roster_identifiers(unpacked(keyed[1]))))


def _item_senders(keyed: tuple[str, bytes]) -> Iterator[tuple[str, str]]:
    with value_free("list senders"):
        yield from ((pseudonym, keyed[0]) for pseudonym in sorted(senders(unpacked(keyed[1]))))


def _resolve(keyed: tuple[str, Mapping[str, Iterable[Any]]]) -> Iterator[Any]:
    with value_free("resolve people"):
        pseudonym, found = keyed
        aliases = sorted(found["aliases"])
        link = resolve(pseudonym, aliases)
        for meeting in found["wanted"]:
            yield meeting, link
            if link.person is not None:
                yield beam.pvalue.TaggedOutput(WANTED, (link.person, meeting))
        for person, row in rows_of_people(pseudonym, aliases, found["rows"]):
            yield beam.pvalue.TaggedOutput(ROWS, (person, row))


def _to_meetings(
    keyed: tuple[str, Mapping[str, Iterable[Any]]],
) -> Iterator[tuple[str, tuple[str, tuple[bytes, ...]]]]:
    with value_free("spread records"):
        person, found = keyed
        meetings = sorted(set(found["wanted"]))
        rows = list(found["rows"]) if meetings else []
        for meeting in meetings:
            if rows:
                yield meeting, (person, rows_for_meeting(rows, meeting))


@dataclass
class DecideMeetings(beam.PTransform[Any, Any]):
    """Decide about all items, meeting by meeting."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)
    keys: ReleaseKeys = field(repr=False)
    stage: str
    doubts: tuple[Any, Any] = field(repr=False)
    read: Any = field(repr=False)

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """items, roster, signals, links, rows -> FileRecord; `tasks`, `witnessed`, `again`, `counts`."""
        step = _DecideMeeting(self.settings, self.rules, self.keys, self.stage)
        sides = [beam.pvalue.AsList(side) for side in (*self.doubts, self.read)]
        return (
            dict(inputs)
            | "ByMeeting" >> beam.CoGroupByKey()
            | "Decide" >> beam.ParDo(step, *sides).with_outputs(TASKS, AGAIN, COUNTS, WITNESSED, main=FILES)
        )


class _DecideMeeting(beam.DoFn):
    """Decides about meetings, many at a time, and writes the log of it."""

    def __init__(self, settings: ReleaseSettings, rules: ReleaseRules, keys: ReleaseKeys, stage: str) -> None:
        self._settings, self._rules, self._keys, self._stage = settings, rules, keys, stage
        self._start()

    def _start(self) -> None:
        self._counts = ReleaseCounts()
        self._writers: dict[str, TableWriter] = {}
        self._waiting: list[tuple[str, MeetingInput]] = []
        self._cells = 0
        self._records_seen = ""

    def start_bundle(self) -> None:
        self._start()

    def process(
        self,
        keyed: tuple[str, Mapping[str, Iterable[Any]]],
        ownerless: Sequence[bytes],
        anywhere: Sequence[bytes],
        read: Sequence[IntakeCounts],
    ) -> Iterator[Any]:
        with self._abandoning("gather meetings"):
            self._records_seen = total_intake(read).fingerprint
            self._gather(*keyed, ownerless, anywhere)
        if self._cells >= _GATHERED_CELLS:
            with self._abandoning("decide"):
                yield from self._decide_all()

    def finish_bundle(self) -> Iterator[Any]:
        with self._abandoning("decide"):
            for output in self._decide_all():
                yield beam.pvalue.TaggedOutput(output.tag, _at_end(output.value))
        with self._abandoning("finish files"):
            records = [record for writer in self._writers.values() for record in writer.close()]
        for record in records:
            yield _at_end(record)
        yield beam.pvalue.TaggedOutput(COUNTS, _at_end(self._counts))

    @contextmanager
    def _abandoning(self, step: str) -> Iterator[None]:
        """Delete what was written if anything goes wrong."""
        try:
            with value_free(step):
                yield
        except BaseException:
            for writer in self._writers.values():
                writer.abandon()
            raise

    def _gather(
        self,
        meeting: str,
        found: Mapping[str, Iterable[Any]],
        ownerless: Sequence[bytes],
        anywhere: Sequence[bytes],
    ) -> None:
        items = concat(found["items"], _MARKED)
        if not items.num_rows:
            return
        given = MeetingInput(
            None if meeting.startswith(NO_MEETING) else meeting,
            items.sort_by([("item_id", "ascending"), ("key_id", "ascending")]),
            concat(found["roster"], FIXED_TABLES[ROSTER]),
            list(found["links"]),
            dict(found["rows"]),
            ownerless,
            [concat(each, FIXED_TABLES[SIGNALS]) for each in (found["signals"], anywhere)],
        )
        self._waiting.append((meeting, given))
        self._cells += items.num_rows + given.roster.num_rows + sum(map(len, given.rows.values()))

    def _decide_all(self) -> Iterator[Any]:
        labels = DecisionLabels(self._settings.run_id, self._stage, self._records_seen)
        waiting, self._waiting, self._cells = self._waiting, [], 0
        decided = decide_meetings([given for _, given in waiting], self._rules, labels)
        for (meeting, given), decisions in zip(waiting, decided, strict=True):
            yield from self._finish(meeting, given, decisions)

    def _finish(self, meeting: str, given: MeetingInput, decisions: MeetingDecisions) -> Iterator[Any]:
        items = given.items
        tasks = release_tasks(items, decisions)
        self._write(DECISION_CLASSES, decisions.classes)
        self._write(DECISION_ITEMS, decisions.items)
        self._counts.add(items, decisions.classes, tasks)
        for piece in _in_pieces(tasks):
            signed = with_warrants(piece, self._keys, self._settings.run_id)
            yield beam.pvalue.TaggedOutput(TASKS, packed(signed))
        if tasks.num_rows:
            chosen = pc.is_in(items.column("item_id"), value_set=pc.unique(tasks.column("item_id")))
            yield beam.pvalue.TaggedOutput(AGAIN, (meeting, packed(items.filter(chosen))))
            said = witness_releases(given, decisions, self._rules)
            yield beam.pvalue.TaggedOutput(WITNESSED, packed(said))

    def _write(self, table: str, rows: pa.Table) -> None:
        if table not in self._writers:
            files = open_files(self._settings.store)
            self._writers[table] = TableWriter(files, self._settings.run_id, table, FIXED_TABLES[table])
        self._writers[table].append(rows)
        self._counts.rows[table] += rows.num_rows


def _at_end(value: Any) -> WindowedValue:
    return WindowedValue(value, _END, (GlobalWindow(),))


def _in_pieces(tasks: pa.Table) -> Iterator[pa.Table]:
    if not tasks.num_rows:
        return
    widest = max(1, pc.max(pc.list_value_length(tasks.column("record_ids"))).as_py())
    rows = max(1, _TASK_LIST_CELLS // widest)
    for start in range(0, tasks.num_rows, rows):
        yield tasks.slice(start, rows)


@dataclass
class OpenAndWrite(beam.PTransform[Any, Any]):
    """Fetch, open and write what was decided to go."""

    settings: ReleaseSettings
    purposes: tuple[str, ...]
    keys: ReleaseKeys = field(repr=False)

    def expand(self, tasks: Any) -> Any:
        """Packed table[tasks] -> FileRecord; `counts`: Openings; `unplaced`: number that lies nowhere."""
        places = (
            tasks.pipeline
            | "BlobStore" >> beam.Create([self.settings.store], reshuffle=False)
            | "BlobPlaces" >> beam.FlatMap(_places).with_output_types(pa.Table)
        )
        located = (
            {
                TASKS: tasks | "TaskShards" >> beam.FlatMap(packed_shards, "key_id"),
                "places": places | "PlaceShards" >> beam.FlatMap(shards_of_rows, "key_id"),
            }
            | "ByKey" >> beam.CoGroupByKey()
            | "Place" >> beam.FlatMap(_place).with_outputs(UNPLACED, main=TASKS)
        )
        step = _OpenFile(self.settings, self.purposes, self.keys)
        written = (
            located[TASKS]
            | "ByFile" >> beam.GroupByKey()
            | "Open" >> beam.ParDo(step).with_outputs(COUNTS, main=FILES)
        )
        return {FILES: written[FILES], COUNTS: written[COUNTS], UNPLACED: located[UNPLACED]}


def _places(store: str) -> Iterator[pa.Table]:
    with value_free("list blobs"):
        yield from blob_places(Store.open(store))


def _place(keyed: tuple[str, Mapping[str, Iterable[bytes]]]) -> Iterator[Any]:
    with value_free("find blobs"):
        tasks = concat(keyed[1][TASKS], TASK_SCHEMA)
        if not tasks.num_rows:
            return
        found = placed(tasks, concat(keyed[1]["places"], PLACE_SCHEMA))
        known = found.filter(pc.is_valid(found.column("path")))
        if lost := found.num_rows - known.num_rows:
            yield beam.pvalue.TaggedOutput(UNPLACED, lost)
        for path in pc.unique(known.column("path")).to_pylist():
            here = known.filter(pc.equal(known.column("path"), path))
            yield path, packed(here.drop_columns(["path"]))


class _OpenFile(beam.DoFn):
    """Opens and writes a bundle's tasks; when it ends its files are finished."""

    def __init__(self, settings: ReleaseSettings, purposes: tuple[str, ...], keys: ReleaseKeys) -> None:
        self._settings, self._purposes, self._keys = settings, purposes, keys
        self._releaser: ContentReleaser | None = None
        self._store: Store | None = None

    def start_bundle(self) -> None:
        self._releaser = None

    def process(self, keyed: tuple[str, Iterable[bytes]]) -> None:
        with value_free("open content"):
            if self._releaser is None:
                self._store = Store.open(self._settings.store)
                self._releaser = ContentReleaser(
                    self._store, self._keys, self._settings.run_id, self._purposes
                )
            assert self._store is not None  # noqa: S101 - opened with the releaser
            try:
                tasks = concat(keyed[1], TASK_SCHEMA)
                self._releaser.release(self._store.snapshot.live[keyed[0]], tasks)
            except BaseException:
                self._releaser.abandon()
                raise

    def finish_bundle(self) -> Iterator[Any]:
        releaser, self._releaser = self._releaser, None
        if releaser is None:
            return
        try:
            with value_free("finish files"):
                records = releaser.close()
        except BaseException:
            releaser.abandon()
            raise
        for record in records:
            yield _at_end(record)
        yield beam.pvalue.TaggedOutput(COUNTS, _at_end(releaser.openings))
