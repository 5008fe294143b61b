"""Tables of consent coverage as they are shown: without small numbers, and what would give them away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields

from validation.report_decided import Cell
from validation.report_suppression import (
    ALL,
    OTHERS,
    Merged,
    Place,
    Reach,
    together,
    told_together,
    with_totals,
    withheld,
    withheld_together,
)


def coverage_tables(counted: Iterable[dict[Place, Reach]]) -> list[list[Cell]]:
    """Tables of consent coverage as they are shown, without small numbers and what gives them away.

    Args:
        counted: What was counted for each purpose and recipient, by region and kind; the cells of all regions
            among them.
    """
    tables = []
    for reach in counted:
        own = {place: one for place, one in reach.items() if place[0] != ALL}
        tables.append({**with_totals(own), **{place: one for place, one in reach.items() if place[0] == ALL}})
    merged = told_together(tables)
    coarse = [_apart(together(cells, merged)) for cells in tables]
    hidden = withheld_together(coarse)
    return [
        [*_cells(cells, hidden), *_in_others(own, merged)] for own, cells in zip(tables, coarse, strict=True)
    ]


def _apart(cells: dict[Place, Reach]) -> dict[Place, Reach]:
    """The cells without those of regions, if no region is told apart: they are those of all regions."""
    apart = {region for region, _ in cells} - {ALL, OTHERS}
    return cells if apart else {place: one for place, one in cells.items() if place[0] != OTHERS}


def _in_others(cells: Mapping[Place, Reach], merged: Merged) -> Iterator[Cell]:
    """Cells without numbers that say what is told of together."""
    regions, kinds = ({place[axis] for place in cells} & merged[axis] for axis in (0, 1))
    for region, kind in [
        *((region, ALL) for region in sorted(regions)),
        *((ALL, kind) for kind in sorted(kinds)),
    ]:
        nothing = dict.fromkeys((one.name for one in fields(Reach)), None)
        yield Cell(region=region, kind=kind, withheld="together", **nothing)


def _cells(cells: dict[Place, Reach], hidden: set[Place]) -> list[Cell]:
    reasons = withheld(cells, reasons=True, also=hidden)
    order = sorted(cells, key=lambda place: (place[0] != ALL, place[0], place[1] != ALL, place[1]))
    return [_cell(place, cells[place], place in hidden, place in reasons) for place in order]


def _cell(place: Place, reach: Reach, everything: bool, reasons: bool) -> Cell:
    why = everything or reasons
    return Cell(
        region=place[0],
        kind=place[1],
        withheld="everything" if everything else "reasons" if reasons else "nothing",
        items=None if everything else reach.items,
        items_covered=None if everything else reach.items_covered,
        pairs=None if everything else reach.pairs,
        pairs_covered=None if everything else reach.pairs_covered,
        refused=None if why else reach.refused,
        pending=None if why else reach.pending,
        none=None if why else reach.none,
        other=None if why else reach.other,
    )
