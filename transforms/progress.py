"""How far a run is, for the progress display of a run inside this process.

Workers in other processes count for themselves; the display then shows time only. Counts of records are all
that is here.
"""

from __future__ import annotations


class Progress:
    """Counts records as they pass the two reading steps, and items that are opened."""

    def __init__(self) -> None:
        self.digested = 0
        self.separated = 0
        self.opened = 0

    def add_digested(self, records: int) -> None:
        """Count records that were digested."""
        self.digested += records

    def add_separated(self, records: int) -> None:
        """Count records that were separated."""
        self.separated += records

    def add_opened(self, items: int) -> None:
        """Count sealed items that were opened upon an order."""
        self.opened += items

    def reset(self) -> None:
        """Begin anew, for a run."""
        self.digested = 0
        self.separated = 0
        self.opened = 0


PROGRESS = Progress()
