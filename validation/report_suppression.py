"""Small numbers are not shown, nor what would give them away.

A cell of a table of people's consent is withheld where one of its numbers, or what that number leaves of
its whole, is 1 to 4: it could tell of single people. Since rows and columns add up to totals, a single
withheld cell of a row or column would follow from the others; so another one is withheld with it, the
smallest first, until nothing follows. A zero tells of nobody and is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, fields
from typing import Final

MINIMUM: Final = 5
"""The smallest number of items or pairs, other than 0, that is shown."""

ALL: Final = "all"
"""Stands for every region or every kind."""

SEVERAL: Final = "several"
"""Stands for items to which the rules of several regions applied."""

NOWHERE: Final = "none"
"""Stands for items to which the rules of no region applied."""

Place = tuple[str, str]
"""Region and kind."""


@dataclass
class Reach:
    """How far consent reaches in one cell; see `validation.report_decided.Cell`."""

    items: int = 0
    items_covered: int = 0
    pairs: int = 0
    pairs_covered: int = 0
    refused: int = 0
    pending: int = 0
    none: int = 0
    other: int = 0

    def add(self, other: Reach) -> None:
        """Add another cell's numbers."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def is_small(self, *, reasons: bool) -> bool:
        """Whether a number or what it leaves of its whole is too small to be shown.

        Args:
            reasons: Whether the question is of the numbers that say why people are not covered.
        """
        counts = (
            (self.refused, self.pending, self.none, self.other)
            if reasons
            else (
                self.items,
                self.items_covered,
                self.items - self.items_covered,
                self.pairs,
                self.pairs_covered,
                self.pairs - self.pairs_covered,
            )
        )
        return any(0 < count < MINIMUM for count in counts)


def with_totals(cells: Mapping[Place, Reach]) -> dict[Place, Reach]:
    """The cells with a total of each region over all kinds; totals over all regions are the caller's."""
    found = dict(cells)
    for region in {region for region, _ in cells}:
        total = found[region, ALL] = Reach()
        for (own, _), reach in cells.items():
            if own == region:
                total.add(reach)
    return found


def withheld(cells: Mapping[Place, Reach], *, reasons: bool, also: Set[Place] = frozenset()) -> set[Place]:
    """The cells of a table whose numbers are not shown.

    Args:
        cells: Every cell, totals (`ALL`) among them.
        reasons: Whether the question is of the numbers that say why people are not covered. They are withheld
            wherever the others are, and in more places.
        also: Cells that are withheld in any case.
    """
    hidden = set(also & cells.keys())
    hidden |= {place for place, reach in cells.items() if reach.is_small(reasons=reasons)}
    if reasons:
        hidden |= withheld(cells, reasons=False, also=also)
    while True:
        # With totals of rows beside those of columns, a cell could follow from several lines together.
        hidden |= {(region, ALL) for region, _ in hidden if region != ALL} & cells.keys()
        more = next(_given_away(cells, hidden, reasons), None)
        if more is None:
            return hidden
        hidden.add(more)


def withheld_together(tables: Iterable[Mapping[Place, Reach]]) -> set[Place]:
    """The cells that are not shown in any of some tables about the same items.

    An item stands in all of them: what is withheld in one must not follow from another one.
    """
    known = list(tables)
    hidden: set[Place] = set()
    while more := set().union(*(withheld(cells, reasons=False, also=hidden) for cells in known)) - hidden:
        hidden |= more
    return hidden


def _given_away(cells: Mapping[Place, Reach], hidden: set[Place], reasons: bool) -> Iterator[Place]:
    """Cells to be withheld besides, because withheld ones would follow from what is shown."""
    for line in _lines(cells):
        inside = [place for place in line if place in hidden]
        shown = [place for place in line if place not in hidden]
        if inside and shown and (len(inside) == 1 or _sum(cells, inside).is_small(reasons=reasons)):
            yield min(shown, key=lambda place: (ALL in place, cells[place].pairs, cells[place].items, place))


def _lines(cells: Mapping[Place, Reach]) -> Iterator[list[Place]]:
    """Cells of each row and of each column, with and without its total.

    Without, because totals of items by kind stand elsewhere in the report.
    """
    for axis in (0, 1):
        for name in sorted({place[axis] for place in cells}):
            line = [place for place in sorted(cells) if place[axis] == name]
            yield line
            yield [place for place in line if place[1 - axis] != ALL]


def _sum(cells: Mapping[Place, Reach], places: list[Place]) -> Reach:
    total = Reach()
    for place in places:
        if ALL not in place or all(ALL in each for each in places):
            total.add(cells[place])
    return total
