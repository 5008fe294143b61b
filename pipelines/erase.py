"""The erasure pipelines: decide about everything that is sealed; write files anew without what goes.

    items, rosters, records ──► decide ──► decisions, in a store of their own
    edits ──► rewrite ──► commit

The first runs only where everything that is due is to go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from pipelines.release import build_decisions
from transforms.erase_commit import CommitErasure, ErasureSettings, RewriteFiles
from transforms.erase_due import STAGE, KeepDecisions
from transforms.erase_passing import read_edits
from transforms.erase_rows import Edit
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.release_rules import ReleaseRules
from transforms.release_settings import ReleaseSettings


def build_erase(
    pipeline: beam.Pipeline,
    settings: ErasureSettings,
    edits: Sequence[Edit],
    evidence: Sequence[FileRecord],
    facts: Mapping[str, Any],
    keys: ReleaseKeys,
    kept: Sequence[str] = (),
) -> None:
    """Put the erasure pipeline together.

    Args:
        pipeline: The pipeline to add to.
        settings: What every step needs to know.
        edits: What is to be done, one entry a file.
        evidence: Files of tombstones, erased events and recalls, written before.
        facts: What the run states about itself.
        keys: The reading side's keys; they travel as a path.
        kept: Paths of files that workers read the edits from, so that they do not travel in the graph.
    """
    if kept:
        paths = pipeline | "Kept" >> beam.Create(list(kept), reshuffle=False)
        todo = paths | "ReadEdits" >> beam.FlatMap(read_edits, settings.store, keys).with_output_types(Edit)
    else:
        todo = pipeline | "Edits" >> beam.Create(list(edits), reshuffle=False)  # Edit
    rewritten = todo | "RewriteFiles" >> RewriteFiles(settings)  # Rewritten
    _ = pipeline | "Commit" >> CommitErasure(settings, keys, tuple(evidence), facts, tuple(edits), rewritten)


def build_due(
    pipeline: beam.Pipeline, settings: ReleaseSettings, log: str, rules: ReleaseRules, keys: ReleaseKeys
) -> None:
    """Put the pipeline together that decides what is due.

    Args:
        pipeline: The pipeline to add to.
        settings: What every step needs to know.
        log: The store that decisions are committed to; all workers must see it.
        rules: Policies and registry, asked for all registered purposes.
        keys: The reading side's keys; they travel as a path.
    """
    files = build_decisions(pipeline, settings, log, rules, keys, STAGE)  # FileRecord
    _ = files | "KeepDecisions" >> KeepDecisions(log, settings.run_id, keys)
