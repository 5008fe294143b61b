"""People are asked once between their own grants, however many items there are."""

from __future__ import annotations

from typing import Any

import pytest

import transforms.decide_meetings as module
from tests.unit.transforms.decision_samples import (
    ATTESTED,
    by_item,
    decide,
    given_meeting,
    grant,
    naive,
    plain_decider,
    rules,
)
from tests.unit.transforms.presence_samples import bounds, item, visit
from transforms.people_outcomes import MeetingPeople

ITEMS, PEOPLE = 120, 12


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decider_of", plain_decider)


def test_many_items_and_people_are_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody agreed in the middle of the meeting, each at another time, and every item has its own end."""
    names = [f"p{number:02d}" for number in range(PEOPLE)]
    roster = [*bounds(0, 1000), *(row for name in names for row in visit(0, 1000, name))]
    items = [item(f"i{at:03d}", at=at * 8) for at in range(ITEMS)]
    records = {
        name: [grant(f"r-{name}", at=40 + 75 * at, retroactive=at % 2 == 0)] for at, name in enumerate(names)
    }
    found = given_meeting(items, roster, dict.fromkeys(names, ATTESTED), records)
    asked: list[Any] = []
    find = MeetingPeople._find

    def counted(self: MeetingPeople, *how: Any) -> Any:
        asked.append(how)
        return find(self, *how)

    monkeypatch.setattr(MeetingPeople, "_find", counted)

    decided = by_item(decide(found, rules()))

    assert len(asked) <= 3 * PEOPLE  # before the grant, after it, and after the instant of the decision
    wanted = naive(found, rules())
    assert {key: (row["decision"], tuple(row["reasons"])) for key, row in decided.items()} == {
        key: (one.decision, one.reasons) for key, one in wanted.items()
    }
    assert len({row["decision"] for row in decided.values()}) == 2
