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
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES
from transforms import people_joins
from transforms.collector import collector_paused
from transforms.consent_intake import IntakeCounts
from transforms.decide_meetings import GATHERED_CELLS, DecisionLabels, MeetingInput, decide_together
from transforms.faults import value_free
from transforms.gather_meetings import AGAIN_IDS, gather_meetings
from transforms.keys import ReleaseKeys
from transforms.meeting_joins import concat, packed, shards_by, shards_by_home, unpacked
from transforms.parquet_files import TableWriter
from transforms.people_joins import resolve_people, rows_to_meetings
from transforms.release_content import (
    PLACE_SCHEMA,
    TASK_SCHEMA,
    TASKS_AT_ONCE,
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
    Keyed,
)
from transforms.release_rules import SINK, ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store
from transforms.store_files import open_files
from transforms.witness_releases import witness_releases

_END = GlobalWindow().max_timestamp()
_IDENTIFIED: Final = {
    "aliases": people_joins.ALIASES,
    "wanted": people_joins.WANTED,
    "rows": people_joins.ROWS,
}
_TASK_LIST_CELLS: Final = 1_000_000
"""Cells of lists in one table of tasks: releases that rest on very many records travel in smaller tables."""


@dataclass
class FindPeople(beam.PTransform[Any, Any]):
    """Who the people of each meeting are, and what records each of them has."""

    digits: int

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """aliases, rows, named (a list): by identifier -> `links`, `rows`: by meeting."""
        joined = {
            "aliases": inputs["aliases"],
            "wanted": inputs["named"] | "Named" >> beam.Flatten(),
            "rows": inputs["rows"],
        }
        resolved = (
            joined
            | "ByIdentifier" >> beam.CoGroupByKey()
            | "Resolve" >> beam.FlatMap(_resolve, self.digits).with_outputs(ROWS, WANTED, main="links")
        )
        rows = (
            {"wanted": resolved[WANTED], "rows": resolved[ROWS]}
            | "ByPerson" >> beam.CoGroupByKey()
            | "ToMeetings" >> beam.FlatMap(_to_meetings, self.digits)
        )
        return {"links": resolved["links"], "rows": rows}


def _resolve(keyed: tuple[str, Mapping[str, Iterable[bytes]]], digits: int) -> Iterator[Any]:
    with value_free("resolve people"), collector_paused():
        found = keyed[1]
        tables = (concat(found[name], schema) for name, schema in _IDENTIFIED.items())
        resolved = resolve_people(*tables)
        yield from shards_by_home(resolved.links, digits)
        for part in shards_by(resolved.wanted, "pseudonym", digits):
            yield beam.pvalue.TaggedOutput(WANTED, part)
        for part in shards_by(resolved.rows, "pseudonym", digits):
            yield beam.pvalue.TaggedOutput(ROWS, part)


def _to_meetings(keyed: tuple[str, Mapping[str, Iterable[bytes]]], digits: int) -> Iterator[Keyed]:
    with value_free("spread records"), collector_paused():
        found = keyed[1]
        rows = rows_to_meetings(
            concat(found["wanted"], people_joins.WANTED), concat(found["rows"], people_joins.ROWS)
        )
        yield from shards_by_home(rows, digits)


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
        """items, marked, roster, signals, links, rows, only -> FileRecord; and by tag.

        `tasks` are tables by data key; `again` names their items by meeting. Of a second decision, `only` is
        what the first named: nothing else is decided about.
        """
        step = _DecideMeeting(self.settings, self.rules, self.keys, self.stage)
        sides = [*map(beam.pvalue.AsList, self.doubts), beam.pvalue.AsSingleton(self.read)]
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
        self._waiting: list[MeetingInput] = []
        self._cells = 0
        self._records_seen = ""

    def start_bundle(self) -> None:
        self._start()

    def process(
        self,
        keyed: tuple[str, Mapping[str, Iterable[bytes]]],
        ownerless: Sequence[bytes],
        anywhere: Sequence[bytes],
        read: IntakeCounts,
    ) -> Iterator[Any]:
        with self._abandoning("gather meetings"):
            self._records_seen = read.fingerprint
            meetings = gather_meetings(keyed[1], ownerless, anywhere, only_named=self._stage == SINK)
            for given in meetings:
                self._waiting.append(given)
                self._cells += given.cells
                if self._cells >= GATHERED_CELLS:
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

    def _decide_all(self) -> list[Any]:
        with collector_paused():
            return list(self._decisions())

    def _decisions(self) -> Iterator[Any]:
        given, self._waiting, self._cells = self._waiting, [], 0
        if not given:
            return
        labels = DecisionLabels(self._settings.run_id, self._stage, self._records_seen)
        decided = decide_together(given, self._rules, labels)
        tasks = release_tasks(decided.given, decided.all)
        self._counts.add(decided.given, decided.all.classes, tasks)
        said = witness_releases(given, decided, tasks, self._rules)
        self._write(DECISION_CLASSES, decided.all.classes)
        self._write(DECISION_ITEMS, decided.all.items)
        yield beam.pvalue.TaggedOutput(WITNESSED, packed(said))
        yield from self._to_release(tasks)

    def _to_release(self, tasks: pa.Table) -> Iterator[Any]:
        for piece in _in_pieces(tasks):
            for part in shards_by_home(piece.select(AGAIN_IDS.names), self._settings.digits):
                yield beam.pvalue.TaggedOutput(AGAIN, part)
            signed = with_warrants(piece.select(TASK_SCHEMA.names), self._keys, self._settings.run_id)
            for part in shards_by(signed, "key_id", self._settings.digits):
                yield beam.pvalue.TaggedOutput(TASKS, part)

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
        """Tasks by data key -> FileRecord; `counts`: Openings; `unplaced`: number that lies nowhere."""
        places = (
            tasks.pipeline
            | "BlobStore" >> beam.Create([self.settings], reshuffle=False)
            | "BlobPlaces" >> beam.FlatMap(_places)
        )
        located = (
            {
                TASKS: tasks,
                "places": places,
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


def _places(settings: ReleaseSettings) -> Iterator[Keyed]:
    with value_free("list blobs"):
        for places in blob_places(settings.opened()):
            yield from shards_by(places, "key_id", settings.digits)


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


def _lots(contents: Iterable[bytes]) -> Iterator[pa.Table]:
    """Some packed tables of tasks, as few tables at once as make a lot; all tasks of a blob are in one."""
    waiting: list[pa.Table] = []
    for content in contents:
        waiting.append(unpacked(content).cast(TASK_SCHEMA))
        if sum(table.num_rows for table in waiting) >= TASKS_AT_ONCE:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


class _OpenFile(beam.DoFn):
    """Opens and writes a bundle's tasks; when it ends its files are finished."""

    def __init__(self, settings: ReleaseSettings, purposes: tuple[str, ...], keys: ReleaseKeys) -> None:
        self._settings, self._purposes, self._keys = settings, purposes, keys
        self._releaser: ContentReleaser | None = None
        self._store: Store | None = None

    def start_bundle(self) -> None:
        self._releaser = None

    def process(self, keyed: tuple[str, Iterable[bytes]]) -> None:
        with value_free("open content"), collector_paused():
            if self._releaser is None:
                self._store = self._settings.opened()
                self._releaser = ContentReleaser(
                    self._store, self._keys, self._settings.run_id, self._purposes
                )
            assert self._store is not None  # noqa: S101 - opened with the releaser
            try:
                for tasks in _lots(keyed[1]):
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
