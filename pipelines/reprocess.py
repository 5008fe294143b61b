"""The reprocessing pipeline: choose what was sealed, take it in again, write files anew, commit.

what stands in clear ──► choose ──► open, separate, seal ──► complete, retire ──► commit
"""

from __future__ import annotations

import apache_beam as beam

from schemas.contract import ContractSet
from transforms.keys import ReleaseKeys
from transforms.reprocess_settings import ReprocessSettings
from transforms.reprocess_steps import TASKS, TOLD, ChooseSealed, CommitReprocessing, TakeIn, WriteAnew


def build_reprocess(
    pipeline: beam.Pipeline, settings: ReprocessSettings, contracts: ContractSet, keys: ReleaseKeys
) -> None:
    """Put the reprocessing pipeline together.

    Args:
        pipeline: The pipeline to add to.
        settings: What every step needs to know.
        contracts: The mended contracts.
        keys: The reading side's keys; they travel as a path.
    """
    chosen = pipeline | "ChooseSealed" >> ChooseSealed(settings, contracts)
    done = chosen[TASKS] | "TakeIn" >> TakeIn(settings, contracts, keys)  # Done
    rewritten = done | "WriteAnew" >> WriteAnew(settings, contracts)  # Rewritten
    _ = pipeline | "Commit" >> CommitReprocessing(settings, keys, chosen[TOLD], done, rewritten)
