"""What a release opened, counted so that everything adds up, and where what it released came from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Lineage:
    """Where released items came from: platforms, contracts, and the first and last event."""

    sources: set[str] = field(default_factory=set)
    contracts: set[str] = field(default_factory=set)
    first: datetime | None = None
    last: datetime | None = None

    def merge(self, other: Lineage) -> None:
        """Add other items."""
        self.sources |= other.sources
        self.contracts |= other.contracts
        firsts = [time for time in (self.first, other.first) if time is not None]
        lasts = [time for time in (self.last, other.last) if time is not None]
        self.first, self.last = min(firsts, default=None), max(lasts, default=None)


@dataclass
class Openings:
    """What was opened.

    Attributes:
        blobs: Blobs that were opened.
        items: Items in them that had a decision to release.
        beside: Items that lay in the same blobs and were forgotten unread.
        broken: Items in blobs that do not open, by code.
        unopened: Rows that were to be written and could not be.
        rows: Rows handed to the writers.
        logged: Rows handed to the table of openings.
        released: Rows by purpose and kind.
        lineage: Where they came from, likewise.
    """

    blobs: int = 0
    items: int = 0
    beside: int = 0
    broken: Counter[str] = field(default_factory=Counter)
    unopened: int = 0
    rows: int = 0
    logged: int = 0
    released: Counter[tuple[str, str]] = field(default_factory=Counter)
    lineage: dict[tuple[str, str], Lineage] = field(default_factory=lambda: defaultdict(Lineage))

    def __reduce__(self) -> tuple[Any, ...]:
        return _openings, ({**vars(self), "lineage": dict(self.lineage)},)

    def merge(self, other: Openings) -> None:
        """Add another part's counts."""
        self.unopened += other.unopened
        for key, lineage in other.lineage.items():
            self.lineage[key].merge(lineage)
        self.blobs += other.blobs
        self.items += other.items
        self.beside += other.beside
        self.broken.update(other.broken)
        self.rows += other.rows
        self.logged += other.logged
        self.released.update(other.released)


def _openings(state: dict[str, Any]) -> Openings:
    state["lineage"] = defaultdict(Lineage, state["lineage"])
    return Openings(**state)


def total_openings(parts: Iterable[Openings]) -> Openings:
    """The counts of all parts."""
    total = Openings()
    for part in parts:
        total.merge(part)
    return total
