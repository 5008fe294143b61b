"""What a run counts: outcomes by source and type, lanes, drift, rejects, and the sums that must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from transforms.record_digests import RecordSum
from transforms.separate import DriftKey, Outcome

OutcomeKey = tuple[str, str, str, str]
"""Source, event type, outcome, reason code; "-" where there is none."""

NONE = "-"


@dataclass
class RunCounts:
    """Counts of one worker's bundle, or of many of them added up.

    Attributes:
        records: Records by (source, event type, outcome, reason).
        sums: Keyed position sum of the records of each outcome.
        read: Keyed position sum of everything that was read.
        rows: Rows handed to each table.
        items: Items by kind.
        faults: Pieces of input that are no records, by code.
        dropped: Values dropped by contract, by table and field.
        misfits: Values that did not fit their field, by table and field.
        drift: Values under unknown keys.
        bytes_read: Bytes of records read.
    """

    records: Counter[OutcomeKey] = field(default_factory=Counter)
    sums: dict[str, RecordSum] = field(default_factory=dict)
    read: RecordSum = field(default_factory=RecordSum)
    rows: Counter[str] = field(default_factory=Counter)
    items: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    misfits: Counter[tuple[str, str]] = field(default_factory=Counter)
    drift: Counter[DriftKey] = field(default_factory=Counter)
    bytes_read: int = 0

    def count(self, key: tuple[str | None, str | None, str, str | None], number: int = 1) -> None:
        """Count records with an outcome; a part of the key that is missing is counted as "-".

        A key that held None could not be sorted among those of text, and the run could not be committed.
        """
        source, event, outcome, reason = key
        self.records[source or NONE, event or NONE, outcome, reason or NONE] += number

    def add_sum(self, outcome: Outcome, positions: RecordSum) -> None:
        """Add the position sum of records with an outcome."""
        self.sums[outcome] = self.sums.get(outcome, RecordSum()) + positions

    def merge(self, other: RunCounts) -> None:
        """Add another bundle's counts to these."""
        self.records.update(other.records)
        self.rows.update(other.rows)
        self.items.update(other.items)
        self.dropped.update(other.dropped)
        self.misfits.update(other.misfits)
        self.drift.update(other.drift)
        for outcome, positions in other.sums.items():
            self.sums[outcome] = self.sums.get(outcome, RecordSum()) + positions
        self.read = self.read + other.read
        self.bytes_read += other.bytes_read

    def by_outcome(self) -> Counter[str]:
        """Records by outcome."""
        totals: Counter[str] = Counter()
        for (_, _, outcome, _), number in self.records.items():
            totals[outcome] += number
        return totals


def total(parts: Iterable[RunCounts]) -> RunCounts:
    """Add up the counts of all bundles, in any order."""
    counts = RunCounts()
    for part in parts:
        counts.merge(part)
    return counts
