"""Small numbers are not shown, nor what would give them away.

A cell of a table of people's consent is withheld where one of its numbers, or what that number leaves of
its whole, is 1 to 4: it could tell of single people. Since rows and columns add up to totals, a single
withheld cell of a row or column would follow from the others; so another one is withheld with it, the
smallest first, until nothing follows. A zero tells of nobody and is shown. Regions and kinds of few items are
told of together where more can be shown so.
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

OTHERS: Final = "others"
"""Stands for regions, or for kinds, that are told of together because few items are of them."""

MOST_MOVED: Final = 20
"""Lines are told of together that hold at most one in so many items."""

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


# --- what is told of together -------------------------------------------------------------------------------

Merged = tuple[frozenset[str], frozenset[str]]
"""Regions and kinds that are told of together."""


def together(cells: Mapping[Place, Reach], merged: Merged) -> dict[Place, Reach]:
    """The cells with some regions, and some kinds, as one line each."""
    found: dict[Place, Reach] = {}
    for place, reach in cells.items():
        own = (OTHERS if name in merged[axis] else name for axis, name in enumerate(place))
        region, kind = own
        found.setdefault((region, kind), Reach()).add(reach)
    return found


def told_together(tables: Iterable[Mapping[Place, Reach]]) -> Merged:
    """Regions and kinds of few items that are best told of together, so that less must be withheld.

    Line by line the smallest one that holds something withheld joins another; of all that comes of it, what
    shows the most items is taken, and of equals what keeps the most lines apart.

    Args:
        tables: Tables about the same items, totals among their cells.
    """
    known = list(tables)
    merged: Merged = (frozenset(), frozenset())
    best, most = merged, -1
    while True:
        coarse = [together(cells, merged) for cells in known]
        hidden = withheld_together(coarse)
        shown = sum(one.items for cells in coarse for place, one in cells.items() if place not in hidden)
        if shown > most:
            best, most = merged, shown
        step = _next_together(coarse, hidden, merged)
        if step is None:
            return best
        axis, names = step
        more = merged[axis] | (names - {OTHERS})
        merged = (more, merged[1]) if axis == 0 else (merged[0], more)


def _next_together(
    tables: list[dict[Place, Reach]], hidden: set[Place], merged: Merged
) -> tuple[int, frozenset[str]] | None:
    """The lines that are told of together next: those that move the fewest items; None for no more."""
    found: list[tuple[int, int, list[str]]] = []
    for axis in (0, 1):
        items = _items(tables, axis)
        weak = {place[axis] for place in hidden} & items.keys()
        sink = OTHERS if merged[axis] else SEVERAL if axis == 0 and SEVERAL in items else None
        for one in sorted(weak):
            rest = [name for name in items if name not in (one, sink)]
            partner = (
                sink if sink is not None and one != sink else min(rest, key=items.__getitem__, default=None)
            )
            if partner is not None:
                moved = sum(items[name] for name in (one, partner) if name != sink)
                found.append((moved, axis, sorted((one, partner))))
    whole = max((cells[ALL, ALL].items for cells in tables if (ALL, ALL) in cells), default=0)
    least = min(found, default=None)
    if least is None or least[0] * MOST_MOVED > whole:
        return None
    return least[1], frozenset(least[2])


def _items(tables: list[dict[Place, Reach]], axis: int) -> dict[str, int]:
    """Items of each line, in the order of their names."""
    names = sorted({place[axis] for cells in tables for place in cells} - {ALL})
    empty = Reach()
    return {
        name: max(cells.get((name, ALL) if axis == 0 else (ALL, name), empty).items for cells in tables)
        for name in names
    }


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
