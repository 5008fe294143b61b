from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.report_suppression import (
    ALL,
    MINIMUM,
    OTHERS,
    SEVERAL,
    Place,
    Reach,
    together,
    told_together,
    with_totals,
    withheld,
    withheld_together,
)


@st.composite
def tables(draw: st.DrawFn) -> dict[Place, Reach]:
    """Cells of some regions and kinds, their totals, and totals over regions that do not overlap."""
    regions = [f"r{number}" for number in range(draw(st.integers(1, 4)))]
    kinds = [f"k{number}" for number in range(draw(st.integers(1, 4)))]
    cells = {(region, kind): draw(reaches()) for region in regions for kind in kinds if draw(st.booleans())}
    found = with_totals(cells)
    for (region, kind), reach in list(found.items()):
        if region != ALL:
            found.setdefault((ALL, kind), Reach()).add(reach)
    return found


@st.composite
def reaches(draw: st.DrawFn) -> Reach:
    items = draw(st.sampled_from([0, 1, 4, 5, 9, 30, 200]))
    parts = [draw(st.sampled_from([0, 0, 2, 5, 40])) for _ in range(5)]
    return Reach(items, draw(st.integers(0, items)), sum(parts), *parts)


def small(reach: Reach) -> bool:
    return reach.is_small(reasons=False)


@given(cells=tables())
def test_no_small_number_is_shown(cells: dict[Place, Reach]) -> None:
    hidden = withheld(cells, reasons=False)
    assert not [place for place in cells if place not in hidden and small(cells[place])]


@settings(max_examples=200)
@given(cells=tables())
def test_nothing_that_is_withheld_follows_from_what_is_shown(cells: dict[Place, Reach]) -> None:
    hidden = withheld(cells, reasons=False)
    known = solved(cells, hidden)
    assert not [place for place in hidden & known if small(cells[place])]


def solved(cells: dict[Place, Reach], hidden: set[Place]) -> set[Place]:
    """What somebody finds out who knows all that is shown, and that rows and columns add up."""
    known = set(cells) - hidden
    for _ in cells:
        for axis in (0, 1):
            for name in {place[axis] for place in cells}:
                line = {place for place in cells if place[axis] == name}
                missing = line - known
                has_total = any(place[1 - axis] == ALL for place in line)
                if len(missing) == 1 and has_total and len(line) > 1:
                    known |= missing
    return known


@given(cells=tables())
def test_reasons_are_withheld_wherever_the_rest_is(cells: dict[Place, Reach]) -> None:
    assert withheld(cells, reasons=True) >= withheld(cells, reasons=False)


@pytest.mark.parametrize("count", range(1, MINIMUM))
def test_a_remainder_is_as_telling_as_a_number(count: int) -> None:
    assert Reach(items=100, items_covered=100 - count).is_small(reasons=False)
    assert Reach(pairs=100, pairs_covered=100 - count).is_small(reasons=False)
    assert Reach(pairs=100, pairs_covered=90, none=count).is_small(reasons=True)


def test_zeros_and_large_numbers_are_shown() -> None:
    reach = Reach(items=50, pairs=100, pairs_covered=60, none=40)
    assert not reach.is_small(reasons=False)
    assert not reach.is_small(reasons=True)
    assert {field.name for field in fields(Reach)} >= {"refused", "pending", "none", "other"}


def test_one_small_cell_takes_another_with_it() -> None:
    cells = with_totals(
        {
            ("eu", "chat"): Reach(items=3),
            ("eu", "audio"): Reach(items=50),
            ("eu", "video"): Reach(items=70),
        }
    )
    assert withheld(cells, reasons=False) == {("eu", "chat"), ("eu", "audio"), ("eu", ALL)}


def with_all(cells: dict[Place, Reach]) -> dict[Place, Reach]:
    found = with_totals(cells)
    for (region, kind), reach in list(found.items()):
        if region != ALL:
            found.setdefault((ALL, kind), Reach()).add(reach)
    return found


def reach(items: int) -> Reach:
    return Reach(items=items, pairs=items, none=items)


def test_few_items_are_told_of_together_so_that_nothing_need_be_withheld() -> None:
    cells = with_all(
        {
            (SEVERAL, "chat"): reach(900),
            (SEVERAL, "audio"): reach(600),
            (SEVERAL, "poll"): reach(2),
            (SEVERAL, "file"): reach(9),
            ("uk", "chat"): reach(3),
            ("eu", "audio"): reach(1),
        }
    )
    merged = told_together([cells])
    assert merged == (frozenset({"eu", "uk", SEVERAL}), frozenset({"file", "poll"}))
    coarse = together(cells, merged)
    assert not withheld_together([coarse])
    assert (coarse[ALL, ALL].items, coarse[OTHERS, "chat"].items, coarse[ALL, OTHERS].items) == (
        1515,
        903,
        11,
    )


def test_what_is_large_stays_apart() -> None:
    cells = with_all({("eu", "chat"): reach(900), ("uk", "chat"): reach(700), ("uk", "audio"): reach(90)})
    assert told_together([cells]) == (frozenset(), frozenset())


@given(cells=tables())
def test_no_item_is_lost_when_lines_are_told_of_together(cells: dict[Place, Reach]) -> None:
    coarse = together(cells, told_together([cells]))
    for own in (cells, coarse):
        assert own.get((ALL, ALL), Reach()).items == sum(
            one.items for place, one in own.items() if ALL not in place
        )
