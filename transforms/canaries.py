"""Canaries of a run: events of a reserved tenant that take the way of all others and are kept nowhere.

The worker that separates real events separates the canaries, too, with the same decoders, pseudonyms and
writers, into files of their own that no manifest will name. Before the run commits, everything that it has
written is searched for their tokens: those files and the real ones, names of files, the ledger. Then the
canaries' files are deleted. They have counts of their own and are in no other. A run that is killed leaves
files that do not exist for any reader; ``gc`` deletes them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from schemas.contract import ContractSet
from schemas.errors import CofferdamError, PromiseBroken
from transforms.canary_events import canary_events
from transforms.canary_search import Stem, file_leaks, leaks
from transforms.duplicates import VerdictIndex
from transforms.manifests import FileRecord
from transforms.run_counts import RunCounts, total
from transforms.separate import Outcome
from transforms.splitting import Block
from transforms.store_files import StoreFiles
from transforms.take_blocks import BlockTaker

FOUND: Final = "CANARY_FOUND"
_SHOWN: Final = 3
_AT_ONCE: Final = 512


@dataclass(frozen=True)
class CanarySettings:
    """What is planted.

    Attributes:
        number: Events.
        stem: What all tokens begin with.
    """

    number: int
    stem: Stem = field(repr=False)


@dataclass
class CanaryFiles:
    """What the canaries of one worker's bundle became.

    Attributes:
        files: Files that were finished and that nothing will name.
        counts: Counts of the canaries alone.
    """

    files: list[FileRecord] = field(default_factory=list)
    counts: RunCounts = field(default_factory=RunCounts)


def take_canaries(settings: CanarySettings, contracts: ContractSet, source: str, taker: BlockTaker) -> None:
    """Take the events in as if they had been read.

    Args:
        settings: What to plant.
        contracts: The contracts of the run.
        source: The source that the run takes, or "auto".
        taker: Takes blocks, for a writer of the canaries' own.
    """
    verdicts = VerdictIndex([])
    made = list(canary_events(contracts, settings.stem, settings.number, source))
    for start in range(0, len(made), _AT_ONCE):
        some = made[start : start + _AT_ONCE]
        taker.take(Block(0, np.arange(start, start + len(some), dtype=np.int64), some, []), verdicts)


# --- afterwards ---------------------------------------------------------------------------------------------


def search_run(
    settings: CanarySettings,
    store: StoreFiles,
    canaries: Sequence[CanaryFiles],
    files: Sequence[FileRecord],
    ledger: dict[str, Any],
) -> dict[str, Any]:
    """Search all that a run has written, before it commits.

    Args:
        settings: What was planted.
        store: The store's files.
        canaries: What became of the canaries.
        files: The run's own files.
        ledger: What will be said of the run.

    Returns:
        The ledger's section about them.

    Raises:
        PromiseBroken: A token was found (``CANARY_FOUND``), or canaries are missing (``CANARIES_LOST``);
            nothing may be committed.
    """
    counts = total(part.counts for part in canaries)
    outcomes = counts.by_outcome()
    if outcomes != {Outcome.SEPARATED: settings.number}:
        taken = outcomes[Outcome.SEPARATED]
        message = f"{taken} of {settings.number} canaries were taken apart; nothing was committed, run again"
        raise PromiseBroken("CANARIES_LOST", message)
    own = [record for part in canaries for record in part.files]
    _check_rows(own, counts)
    found = list(_searched(settings.stem, store, [*own, *files], ledger))
    if found:
        raise canary_found(found, "nothing was committed")
    return {
        "planted": settings.number,
        "found": 0,
        "files_searched": len(own) + len(files),
        "rows": dict(sorted(counts.rows.items())),
        "items": dict(sorted(counts.items.items())),
    }


def _check_rows(files: Iterable[FileRecord], counts: RunCounts) -> None:
    """What was handed to the canaries' writers is what they wrote."""
    written: dict[str, int] = {}
    for record in files:
        written[record.table] = written.get(record.table, 0) + record.rows
    if written != {table: rows for table, rows in counts.rows.items() if rows}:
        message = "rows of canaries were lost on their way; nothing was committed, run again"
        raise PromiseBroken("CANARIES_LOST", message)


def _searched(
    stem: Stem, store: StoreFiles, files: Iterable[FileRecord], ledger: dict[str, Any]
) -> Iterator[str]:
    yield from leaks(stem, [("the ledger", json.dumps(ledger).encode())])
    for record in files:
        for place in file_leaks(stem, record.path, Path(store.root) / record.path):
            # The name of a column or of a file may be what came through.
            yield f"a name in {record.table}" if any(leaks(stem, [("", place.encode())])) else place


def canary_found(found: Sequence[str], what: str) -> PromiseBroken:
    """The error for tokens that stand where they must not: places and forms, no token."""
    rest = f" and {len(found) - _SHOWN} places more" if len(found) > _SHOWN else ""
    places = "; ".join(found[:_SHOWN])
    message = (
        f"a canary came through to {places}{rest}; {what}. Do not use what this software wrote until it is"
        " known why: the contract of that column is the first place to look"
    )
    return PromiseBroken(FOUND, message)


def delete_canaries(store: StoreFiles, canaries: Iterable[CanaryFiles]) -> None:
    """Delete the canaries' files, which nothing names; what cannot be deleted now, ``gc`` deletes."""
    for part in canaries:
        for record in part.files:
            with suppress(CofferdamError):
                store.delete(record.path)


class LogListener(logging.Handler):
    """Looks for tokens in all that is logged in this process; keeps the names of loggers, not what was said.

    Args:
        stem: The tokens' stem.
    """

    def __init__(self, stem: Stem) -> None:
        super().__init__(logging.DEBUG)
        self._stem = stem
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.found: set[str] = set()
        self.lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one line."""
        self.lines += 1
        said = self.format(record).encode()
        self.found.update(leaks(self._stem, [(f"a log line of {record.name}", said)]))
