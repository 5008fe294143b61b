"""What a release counts: items, decisions, rows and openings, so that everything adds up at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from validation.decisions import RELEASE


@dataclass
class ReleaseCounts:
    """Counts of one bundle of decisions, or of many added up.

    Attributes:
        items: Items that were decided about.
        ambiguous: Items whose id stands for two different things.
        decisions: Items by purpose, kind, decision and primary reason.
        classes: Classes that were decided.
        rows: Rows handed to each table.
        tasks: Items and purposes to be released.
        released_before: Items and purposes that an earlier run has released.
    """

    items: int = 0
    ambiguous: int = 0
    decisions: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    classes: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    tasks: int = 0
    released_before: int = 0

    def add(self, items: pa.Table, classes: pa.Table, tasks: pa.Table) -> None:
        """Count what was decided about some items.

        Args:
            items: The items, with ``ambiguous``.
            classes: Rows of the table of classes.
            tasks: What is to be released of them now.
        """
        self.items += items.num_rows
        self.ambiguous += pc.sum(items.column("ambiguous")).as_py() or 0
        self.classes += classes.num_rows
        self.tasks += tasks.num_rows
        released = 0
        for row in classes.select(["purpose", "kind", "decision", "primary", "items"]).to_pylist():
            self.decisions[row["purpose"], row["kind"], row["decision"], row["primary"]] += row["items"]
            released += row["items"] if row["decision"] == RELEASE else 0
        self.released_before += released - tasks.num_rows

    def merge(self, other: ReleaseCounts) -> None:
        """Add another bundle's counts."""
        self.items += other.items
        self.ambiguous += other.ambiguous
        self.decisions.update(other.decisions)
        self.classes += other.classes
        self.rows.update(other.rows)
        self.tasks += other.tasks
        self.released_before += other.released_before

    def by_outcome(self) -> Counter[str]:
        """Items and purposes by decision."""
        found: Counter[str] = Counter()
        for (_, _, decision, _), number in self.decisions.items():
            found[decision] += number
        return found


def total_counts(parts: Iterable[ReleaseCounts]) -> ReleaseCounts:
    """The counts of all bundles."""
    total = ReleaseCounts()
    for part in parts:
        total.merge(part)
    return total
