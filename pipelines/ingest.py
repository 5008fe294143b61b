"""The ingest pipeline: real meeting events in, typed telemetry and sealed content out.

    patterns ──► read tasks ──► digests ──► duplicates ─┐
                     │                                  ▼
                     └────────────────────────► separate and seal ──► files ──► reconcile and commit ──► log

The input is read twice: first for digests, so that duplicates are known before anything is written, then for
the work itself. Rows that waited for the digests of their own run would cost five times their size in memory;
two reads stay flat.
"""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from schemas.contract import ContractSet
from schemas.tables import DIGESTS
from transforms.audit_append import AppendToLog
from transforms.commit_run import RunSettings
from transforms.ingest_steps import (
    CANARIES,
    COUNTS,
    FILES,
    READ,
    SHARDS,
    VERDICTS,
    CommitRun,
    DigestRecords,
    FindDuplicates,
    PlanReads,
    RemoveShards,
    SeparateAndSeal,
)
from transforms.keys import IngestKeys


def build_ingest(
    pipeline: beam.Pipeline,
    patterns: Sequence[str],
    settings: RunSettings,
    contracts: ContractSet,
    keys: IngestKeys,
    split_bytes: int,
) -> None:
    """Put the ingest pipeline together.

    Args:
        pipeline: The pipeline to add to.
        patterns: Input files, folders and globs.
        settings: What every step needs to know.
        contracts: The contracts of the run.
        keys: The writing side's keys; they travel as a path.
        split_bytes: Size of the ranges in which uncompressed JSON lines are read.
    """
    tasks = (
        pipeline
        | "Patterns" >> beam.Create([list(patterns)], reshuffle=False)
        | "PlanReads" >> PlanReads(split_bytes)
    )  # ReadTask
    digested = tasks | "DigestRecords" >> DigestRecords(settings, keys)  # (shard, path of digests)
    judged = digested[DIGESTS] | "FindDuplicates" >> FindDuplicates(settings)  # table[verdicts]
    separated = tasks | "SeparateAndSeal" >> SeparateAndSeal(settings, contracts, keys, judged[VERDICTS])
    files = (separated[FILES], judged[FILES]) | "AllFiles" >> beam.Flatten()  # FileRecord
    counts = (separated[COUNTS], judged[COUNTS]) | "AllCounts" >> beam.Flatten()  # RunCounts
    committed = pipeline | "CommitRun" >> CommitRun(
        settings, keys, files, counts, digested[READ], separated[CANARIES]
    )  # ledger
    _ = committed | "AppendToLog" >> AppendToLog(settings.store, keys)  # ledger
    _ = committed | "RemoveShards" >> RemoveShards(settings.store, judged[SHARDS])
