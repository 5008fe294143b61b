"""The steps of ingest as Beam sees them: read and digest, find duplicates, separate and seal, commit.

Elements between steps are read tasks, names of files of digests, tables of verdicts and records of finished
files; events never are. The work itself is in plain functions and classes of the modules imported here.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

import transforms.arrow_coder  # noqa: F401 - registers the coder of tables
from schemas.contract import ContractSet
from schemas.tables import DIGESTS, FIXED_TABLES
from schemas.telemetry import all_telemetry_tables
from transforms.bundle_writer import BundleWriter
from transforms.canaries import CanaryFiles, CanarySettings, take_canaries
from transforms.collector import collector_paused
from transforms.commit_run import RunSettings, commit_run
from transforms.digest_shards import ShardFiles, read_shard, remove_shards
from transforms.duplicates import (
    VerdictIndex,
    digest_rows,
    digest_table,
    earlier_digests,
    erased_digests,
    find_duplicates,
)
from transforms.fault_digests import FAULT_FILES, FaultDigests, fault_positions
from transforms.faults import value_free
from transforms.keys import IngestKeys
from transforms.known_ids import KNOWN_IDS
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter
from transforms.progress import PROGRESS
from transforms.pseudonym_spaces import PseudonymSpaces
from transforms.record_digests import RecordDigester
from transforms.run_counts import RunCounts
from transforms.separate import Separator
from transforms.sources import ReadTask, list_inputs, plan_reads, read_blocks
from transforms.splitting import Block
from transforms.store import Store
from transforms.store_files import open_files
from transforms.take_blocks import BlockTaker
from transforms.tombstones import erased_events

VERDICTS, FILES, COUNTS, READ, SHARDS = "verdicts", "files", "counts", "read", "shards"
CANARIES = "canaries"
_END = GlobalWindow().max_timestamp()


def blocks_of(task: ReadTask, settings: RunSettings) -> Iterator[Block]:
    """The blocks of one read task, within the run's caps."""
    return read_blocks(task, record_cap=settings.record_cap, limits=settings.limits)


@dataclass
class PlanReads(beam.PTransform[Any, Any]):
    """Patterns to read tasks, spread over the workers."""

    split_bytes: int

    def expand(self, patterns: Any) -> Any:
        """Patterns -> ReadTask."""
        return (
            patterns
            | "ListFiles" >> beam.FlatMap(_plan, self.split_bytes).with_output_types(ReadTask)
            | "Spread" >> beam.Reshuffle()
        )


def _plan(patterns: Sequence[str], split_bytes: int) -> list[ReadTask]:
    with value_free("list input"):
        return plan_reads(list_inputs(patterns), split_bytes=split_bytes)


@dataclass
class DigestRecords(beam.PTransform[Any, Any]):
    """Read tasks to files of digests by shard, and the sum of what was read."""

    settings: RunSettings
    keys: IngestKeys = field(repr=False)

    def expand(self, tasks: Any) -> Any:
        """ReadTask -> (shard, path of digests); `read`: RunCounts."""
        step = beam.ParDo(_DigestTask(self.settings, self.keys))
        return tasks | "Digest" >> step.with_outputs(READ, main=DIGESTS)


class _DigestTask(beam.DoFn):
    """Digests a bundle's tasks; when it ends its files of digests are finished."""

    def __init__(self, settings: RunSettings, keys: IngestKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._shards: ShardFiles | None = None

    def setup(self) -> None:
        with value_free("set up a worker"):
            self._digester = RecordDigester(self._keys.digest_key)

    def start_bundle(self) -> None:
        with value_free("begin a bundle"):
            self._shards = ShardFiles(open_files(self._settings.store), self._settings.run_id)

    def process(self, task: ReadTask) -> Iterator[Any]:
        assert self._shards is not None  # noqa: S101 - Beam starts a bundle before it processes
        try:
            with value_free("digest"):
                counts = self._digest(task, self._shards)
        except BaseException:
            self._shards.abandon()
            raise
        yield beam.pvalue.TaggedOutput(READ, counts)

    def _digest(self, task: ReadTask, shards: ShardFiles) -> RunCounts:
        counts = RunCounts()
        faults = FaultDigests(task.file.path, self._digester)
        for block in blocks_of(task, self._settings):
            with collector_paused():
                shards.add(digest_block(block, self._settings.run_id, self._digester, faults, counts))
            PROGRESS.add_digested(len(block.records))
        return counts

    def finish_bundle(self) -> Iterator[Any]:
        shards, self._shards = self._shards, None
        if shards is None:
            return
        with value_free("finish digests"), shards:
            written = shards.close()
        for shard in written:
            yield WindowedValue(shard, _END, (GlobalWindow(),))


def digest_block(
    block: Block, run_id: str, digester: RecordDigester, faults: FaultDigests, counts: RunCounts
) -> list[pa.Table]:
    """Digests of a block's records and of what is no record, both added to the sum of what was read."""
    tables = []
    if block.records:
        counts.read += digester.position_sum(block.file, block.offsets)
        counts.bytes_read += sum(map(len, block.records))
        identities = digester.identities(block.records)
        KNOWN_IDS.keep(run_id, block, identities.ids)
        tables.append(digest_table(identities, block.file, block.offsets))
    if block.faults:
        space = block.file + FAULT_FILES
        counts.read += digester.position_sum(space, fault_positions(block.faults))
        counts.bytes_read += sum(len(fault.raw) for fault in block.faults)
        complete = faults.add(block.faults)
        tables += [digest_table(identities, space, positions) for identities, positions in complete]
    return tables


@dataclass
class FindDuplicates(beam.PTransform[Any, Any]):
    """Digests of this run and of earlier ones to verdicts, and the digests that are new."""

    settings: RunSettings

    def expand(self, digests: Any) -> Any:
        """(shard, path of digests) -> table[verdicts]; `files`: FileRecord; `counts`: RunCounts.

        `shards`: paths of the files that have served when the run has committed.
        """
        earlier = (
            digests.pipeline
            | "EarlierRuns" >> beam.Create([self.settings], reshuffle=False)
            | "EarlierDigests" >> beam.FlatMap(_earlier).with_output_types(tuple[int, str])
        )
        shards = (digests, earlier) | "AllDigests" >> beam.Flatten()
        judged = (
            shards
            | "ByShard" >> beam.GroupByKey()
            | "Judge" >> beam.ParDo(_JudgeShard(self.settings)).with_outputs(FILES, COUNTS, main=VERDICTS)
        )
        return {
            VERDICTS: judged[VERDICTS],
            FILES: judged[FILES],
            COUNTS: judged[COUNTS],
            SHARDS: shards | "Paths" >> beam.Values(),
        }


def _earlier(settings: RunSettings) -> list[tuple[int, str]]:
    with (
        value_free("read earlier digests"),
        ShardFiles(open_files(settings.store), settings.run_id) as shards,
    ):
        shards.add(_earlier_digests(settings.store, settings.base, settings.digest_since))
        return shards.close()


def _earlier_digests(store: str, base: str, since: date | None) -> Iterator[pa.Table]:
    opened = Store.at(store, base)
    for erased in erased_events(opened):
        yield erased_digests(erased)
    if DIGESTS not in opened.tables():
        return
    where = None if since is None else pa.compute.field("seen") >= pa.scalar(since, pa.date32())
    columns = ["id_digest", "body_digest"]
    for batch in opened.scan(DIGESTS, columns, where):
        if batch.num_rows:
            yield earlier_digests(pa.Table.from_batches([batch]))


class _JudgeShard(beam.DoFn):
    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings

    def process(self, shard: tuple[int, Iterable[str]]) -> Iterator[Any]:
        with value_free("find duplicates"):
            yield from self._judge(read_shard(self._settings.store, shard[1]))

    def _judge(self, tables: Iterable[pa.Table]) -> Iterator[Any]:
        found = find_duplicates(tables)
        if found.verdicts.num_rows:
            yield found.verdicts
        rows = digest_rows(found.fresh, pa.scalar(self._settings.received, pa.date32()))
        counts = RunCounts()
        counts.rows[DIGESTS] += rows.num_rows
        with TableWriter(
            open_files(self._settings.store), self._settings.run_id, DIGESTS, FIXED_TABLES[DIGESTS]
        ) as writer:
            if rows.num_rows:
                writer.append(rows)
            for record in writer.close():
                yield beam.pvalue.TaggedOutput(FILES, record)
        yield beam.pvalue.TaggedOutput(COUNTS, counts)


@dataclass
class SeparateAndSeal(beam.PTransform[Any, Any]):
    """Read tasks to finished files: telemetry, sealed content, rosters, sealed rejects."""

    settings: RunSettings
    contracts: ContractSet = field(repr=False)
    keys: IngestKeys = field(repr=False)
    verdicts: Any = field(repr=False)

    def expand(self, tasks: Any) -> Any:
        """ReadTask -> FileRecord; `counts`: RunCounts; `canaries`: CanaryFiles."""
        step = _SeparateTask(self.settings, self.contracts, self.keys)
        side = beam.pvalue.AsList(self.verdicts)
        if self.settings.canaries is not None:
            planted = tasks.pipeline | "Canaries" >> beam.Create([self.settings.canaries], reshuffle=False)
            tasks = (tasks, planted) | "Plant" >> beam.Flatten()
        return tasks | "Separate" >> beam.ParDo(step, side).with_outputs(COUNTS, CANARIES, main=FILES)


class _SeparateTask(beam.DoFn):
    """Separates a bundle's tasks; when it ends its files are finished and its keys forgotten."""

    def __init__(self, settings: RunSettings, contracts: ContractSet, keys: IngestKeys) -> None:
        self._settings = settings
        self._contracts = contracts
        self._keys = keys
        self._writer: BundleWriter | None = None
        self._taker: BlockTaker | None = None

    def setup(self) -> None:
        with value_free("set up a worker"):
            self._digester = RecordDigester(self._keys.digest_key)
            pseudonyms = PseudonymSpaces(self._keys)
            self._separator = Separator(self._contracts, self._settings.source, pseudonyms, self._digester)
            self._telemetry = all_telemetry_tables(self._contracts)
        # Contracts, decoders and the graph live as long as the worker: the collector need not walk them.
        gc.collect()
        gc.freeze()

    def start_bundle(self) -> None:
        settings = self._settings
        with value_free("begin a bundle"):
            self._writer = BundleWriter(
                settings.store, settings.run_id, self._keys, self._telemetry, settings.received
            )
            self._taker = BlockTaker(
                self._separator, self._digester, self._writer, settings.run_id, known_ids=KNOWN_IDS
            )

    def process(self, task: ReadTask | CanarySettings, verdicts: Sequence[pa.Table]) -> Iterator[Any]:
        assert self._writer is not None  # noqa: S101 - Beam starts a bundle before it processes
        assert self._taker is not None  # noqa: S101
        try:
            if isinstance(task, CanarySettings):
                with value_free("plant canaries"):
                    became = self._canaries(task)
                yield beam.pvalue.TaggedOutput(CANARIES, became)
                return
            with value_free("separate"):
                self._separate(task, self._taker, VerdictIndex(verdicts))
        except BaseException:
            self._writer.abandon()
            raise

    def _separate(self, task: ReadTask, taker: BlockTaker, index: VerdictIndex) -> None:
        for block in blocks_of(task, self._settings):
            with collector_paused():
                taker.take(block, index)
            PROGRESS.add_separated(len(block.records))

    def _canaries(self, planted: CanarySettings) -> CanaryFiles:
        """Take canaries the way of all records, into files of their own."""
        settings = self._settings
        writer = BundleWriter(settings.store, settings.run_id, self._keys, self._telemetry, settings.received)
        taker = BlockTaker(self._separator, self._digester, writer, settings.run_id, from_outside=False)
        try:
            take_canaries(planted, self._contracts, settings.source, taker)
            taker.finish()
            return CanaryFiles(writer.close(), writer.counts)
        except BaseException:
            writer.abandon()
            raise

    def finish_bundle(self) -> Iterator[Any]:
        writer, taker = self._writer, self._taker
        self._writer = self._taker = None
        if writer is None or taker is None:
            return
        try:
            with value_free("finish files"), collector_paused():
                taker.finish()
                records = writer.close()
        except BaseException:
            writer.abandon()
            raise
        for record in records:
            yield WindowedValue(record, _END, (GlobalWindow(),))
        yield beam.pvalue.TaggedOutput(COUNTS, WindowedValue(writer.counts, _END, (GlobalWindow(),)))


@dataclass
class CommitRun(beam.PTransform[Any, Any]):
    """Reconcile and commit: the last step, on one worker, with everything the others finished."""

    settings: RunSettings
    keys: IngestKeys = field(repr=False)
    files: Any = field(repr=False)
    counts: Any = field(repr=False)
    read: Any = field(repr=False)
    canaries: Any = field(repr=False)

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> ledger."""
        return (
            pipeline
            | "Once" >> beam.Create([self.settings], reshuffle=False)
            | "Commit"
            >> beam.Map(
                _commit,
                self.keys,
                files=beam.pvalue.AsList(self.files),
                counts=beam.pvalue.AsList(self.counts),
                read=beam.pvalue.AsList(self.read),
                canaries=beam.pvalue.AsList(self.canaries),
            )
        )


def _commit(
    settings: RunSettings,
    keys: IngestKeys,
    files: Sequence[FileRecord],
    counts: Sequence[RunCounts],
    read: Sequence[RunCounts],
    canaries: Sequence[CanaryFiles],
) -> dict[str, Any]:
    return commit_run(settings, seal_of(keys), files, counts, read, canaries)


@dataclass
class RemoveShards(beam.PTransform[Any, Any]):
    """Delete the files of digests that served the run."""

    store: str
    shards: Any = field(repr=False)

    def expand(self, committed: Any) -> Any:
        """RunSummary -> nothing."""
        return committed | "Remove" >> beam.FlatMap(_remove, self.store, beam.pvalue.AsList(self.shards))


def _remove(committed: Any, store: str, paths: Sequence[str]) -> list[Any]:
    with value_free("remove digests"):
        remove_shards(store, paths)
    return []
