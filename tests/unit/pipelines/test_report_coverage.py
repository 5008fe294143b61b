"""What somebody can find out from consent coverage and what stands beside it, by linear programming."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog  # type: ignore[import-untyped]

from pipelines.report_coverage import coverage_tables
from transforms.report_collected import by_kind
from validation import report_suppression
from validation.report_decided import Cell
from validation.report_parts import Kind
from validation.report_suppression import ALL, MINIMUM, OTHERS, SEVERAL, Place, Reach

NUMBERS = tuple(field.name for field in fields(Reach))
REASONS = ("refused", "pending", "none", "other")
Class = tuple[str, str, list[Reach]]
"""Region, kind, and for each purpose the numbers of a class of items."""

Key = tuple[int, Place, str]
Row = dict[Key, float]


@st.composite
def reaches(draw: st.DrawFn, items: int) -> Reach:
    pairs = [draw(st.sampled_from([0, 0, 1, 3, 5, 40])) for _ in range(5)]
    return Reach(items, draw(st.sampled_from([0, items])), sum(pairs), *pairs)


@st.composite
def decided(draw: st.DrawFn) -> list[Class]:
    """Classes of items of some regions and kinds."""
    purposes = draw(st.sampled_from([1, 2]))
    found: list[Class] = []
    for _ in range(draw(st.integers(1, 6))):
        region = draw(st.sampled_from(["eu", "uk", SEVERAL]))
        items = draw(st.sampled_from([1, 2, 4, 5, 7, 30, 200]))
        own = [draw(reaches(items)) for _ in range(purposes)]
        found.append((region, draw(st.sampled_from("abc")), own))
    return found


def counted(classes: list[Class], purpose: int) -> dict[Place, Reach]:
    """Numbers by region and kind, and those of all regions."""
    found: dict[Place, Reach] = {}
    for region, kind, reach in classes:
        for place in ((region, kind), (ALL, kind), (ALL, ALL)):
            found.setdefault(place, Reach()).add(reach[purpose])
    return found


def groups_of(tables: list[list[Cell]], axis: int) -> dict[str, list[str]]:
    """The regions, or kinds, that each published name stands for."""
    cells = [cell for table in tables for cell in table]
    inside = [cell for cell in cells if cell.withheld == "together"]
    merged = {(cell.region, cell.kind)[axis] for cell in inside} - {ALL}
    published = {(cell.region, cell.kind)[axis] for cell in cells if cell.withheld != "together"} - {ALL}
    single = sorted((published - {OTHERS}) | merged)
    return {**{name: [name] for name in single}, OTHERS: sorted(merged), ALL: single}


def is_listed(there: dict[Place, Cell], region: str, kind: str) -> bool:
    """Whether a place would be listed if anything stood there: all that is published is."""
    return region in {place[0] for place in there} and kind in {place[1] for place in there}


class Attacker:
    """Somebody who knows all that is published, and how numbers go together.

    Args:
        tables: Consent coverage for each purpose, as it is published.
        classes: What it was made of; the totals that stand elsewhere come from it.
    """

    def __init__(self, tables: list[list[Cell]], classes: list[Class]) -> None:
        self._tables = tables
        self._groups = tuple(groups_of(tables, axis) for axis in (0, 1))
        keys = [
            (at, place, name)
            for at in range(len(tables))
            for place in self._fine(ALL, ALL)
            for name in NUMBERS
        ]
        self._at: dict[Key, int] = {key: at for at, key in enumerate(keys)}
        self._equal: list[tuple[Row, float]] = []
        self._most: list[tuple[Row, float]] = []
        listed = by_kind({kind: counted(classes, 0)[ALL, kind].items for _, kind, _ in classes}, {})
        for purpose in range(len(tables)):
            self._shown(purpose)
            self._alone(purpose)
            self._elsewhere(purpose, counted(classes, purpose)[ALL, ALL], listed)

    def _fine(self, region: str, kind: str) -> list[Place]:
        """The places that a published cell is the sum of."""
        regions, kinds = self._groups
        return [(one, other) for one in regions[region] for other in kinds[kind]]

    def row(self, purpose: int, place: Place, name: str, factor: float = 1) -> Row:
        """A number of a cell, as the sum of what it is made of."""
        return {(purpose, one, name): factor for one in self._fine(*place)}

    def _shown(self, purpose: int) -> None:
        there = {
            (cell.region, cell.kind): cell for cell in self._tables[purpose] if cell.withheld != "together"
        }
        for region in self._groups[0]:
            for kind in self._groups[1]:
                for name in NUMBERS:
                    cell = there.get((region, kind))
                    value = (
                        getattr(cell, name)
                        if cell is not None
                        else 0
                        if is_listed(there, region, kind)
                        else None
                    )
                    if value is not None:
                        self._equal.append((self.row(purpose, (region, kind), name), value))

    def _alone(self, purpose: int) -> None:
        for place in self._fine(ALL, ALL):
            whole = {(purpose, place, name): -1.0 for name in ("pairs_covered", *REASONS)}
            self._equal.append(({(purpose, place, "pairs"): 1, **whole}, 0))
            self._most.append(({(purpose, place, "items_covered"): 1, (purpose, place, "items"): -1}, 0))
            if purpose:
                self._equal.append(({(purpose, place, "items"): 1, (0, place, "items"): -1}, 0))

    def _elsewhere(self, purpose: int, total: Reach, listed: list[Kind]) -> None:
        """Sealed items by kind, and how many items were released and held, stand elsewhere in the report."""
        for one in listed:
            self._equal.append((self.row(purpose, (ALL, one.kind), "items"), one.items))
        for name in ("items", "items_covered"):
            self._equal.append((self.row(purpose, (ALL, ALL), name), getattr(total, name)))

    def bounds(self, wanted: Row) -> tuple[float, float]:
        """Between what a sum of numbers must lie."""
        goal = self._vector(wanted)
        found = []
        for sign in (1, -1):
            result: Any = linprog(
                sign * goal,
                A_eq=np.array([self._vector(row) for row, _ in self._equal]),
                b_eq=[value for _, value in self._equal],
                A_ub=np.array([self._vector(row) for row, _ in self._most]),
                b_ub=[value for _, value in self._most],
                method="highs",
            )
            assert result.status in (0, 3), result.message  # solved, or without a bound
            found.append(sign * result.fun if result.status == 0 else np.inf)
        return found[0], found[1]

    def _vector(self, row: Row) -> Any:
        vector = np.zeros(len(self._at))
        for key, factor in row.items():
            vector[self._at[key]] = factor
        return vector


def small_ones(attacker: Attacker, purpose: int, cells: dict[Place, Reach]) -> Iterator[Row]:
    """Every number of agreement that must not be found out: small ones, and small remainders of a whole.

    How many items there are is no such number, nor is that everybody agreed to all of them, or to none.
    """
    for place, reach in cells.items():
        for name in NUMBERS:
            all_items = name in ("items", "items_covered") and getattr(reach, name) == reach.items
            if 0 < getattr(reach, name) < MINIMUM and not all_items:
                yield attacker.row(purpose, place, name)
        for whole, part in (("items", "items_covered"), ("pairs", "pairs_covered")):
            rest = getattr(reach, whole) - getattr(reach, part)
            if 0 < rest < MINIMUM and not (whole == "items" and rest == reach.items):
                yield attacker.row(purpose, place, whole) | attacker.row(purpose, place, part, -1)


def told_elsewhere(total: Reach) -> bool:
    """Whether few items were released or held in all, which the report says in any case."""
    counts = (total.items, total.items_covered, total.items - total.items_covered)
    return any(0 < count < MINIMUM for count in counts)


@settings(max_examples=40, deadline=None)
@given(classes=decided())
@pytest.mark.parametrize("most_moved", [report_suppression.MOST_MOVED, 1])
def test_no_small_number_can_be_pinned_down(most_moved: int, classes: list[Class]) -> None:
    """Also where everything may be told of together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_suppression, "MOST_MOVED", most_moved)
        _assert_nothing_is_pinned_down(classes)


def _assert_nothing_is_pinned_down(classes: list[Class]) -> None:
    tables = [counted(classes, purpose) for purpose in range(len(classes[0][2]))]
    assume(not any(told_elsewhere(cells[ALL, ALL]) for cells in tables))
    attacker = Attacker(coverage_tables(tables), classes)
    for purpose, cells in enumerate(tables):
        for wanted in small_ones(attacker, purpose, cells):
            least, most = attacker.bounds(wanted)
            assert least < 1 - 1e-6 or most > MINIMUM - 1 + 1e-6, (wanted, least, most)


def test_an_attacker_finds_what_is_not_protected() -> None:
    many = Reach(items=9, items_covered=9, pairs=9, pairs_covered=9)
    few = Reach(items=3, items_covered=0, pairs=3, none=3)
    classes: list[Class] = [("eu", "a", [many]), ("eu", "b", [few])]
    cells, known = coverage_tables([counted(classes, 0)])[0], counted(classes, 0)
    for cell in cells:
        if cell.kind != "b":
            for name in NUMBERS:
                place = (ALL, cell.kind)  # there is one region
                setattr(cell, name, getattr(known[place], name))
    assert Attacker([cells], classes).bounds({(0, ("eu", "b"), "none"): 1}) == (3, 3)
