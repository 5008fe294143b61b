"""What the meetings of a batch have in common: equal findings, equal uses, and equal cases are judged once.

A decision depends on a meeting only through what its people's records come to and what is attested of it.
Meetings for which both are the same word for word are one case for the suites, whoever was in them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from validation.decisions import Decision, PersonOutcome
from validation.facts import FactTable, person_table
from validation.grant_rules import Person, Remembered, Use
from validation.policy import Policies

_OF_ONE_MEETING: Final = ("meeting", "recorded_end")
"""Fields of an item that name its meeting or its time; records are held to them where they are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a case, for everybody whose findings are those of the case.

    Attributes:
        decision: The decision.
        outcomes: What each finding means, by its code; None for one that nobody was asked about.
        rows: Rows of each finding that the decision rests on, by code; of other findings none does.
    """

    decision: Decision
    outcomes: Mapping[int, PersonOutcome | None] = field(repr=False)
    rows: Mapping[int, frozenset[int]] = field(repr=False)


class SharedCases:
    """Codes of findings, uses and answers of one batch of meetings."""

    def __init__(self) -> None:
        self.codes: dict[object, int] = {}
        self.answers: dict[Hashable, Answer] = {}
        self._claimed: set[Hashable] = set()
        self._uses: dict[Hashable, Use | None] = {}
        self._rows: dict[tuple[str, Person], Remembered] = {}
        self._table: FactTable | None = None

    def table_of(self, policies: Policies) -> FactTable:
        """The columns of a person's row; a batch has one version of policies."""
        if self._table is None:
            self._table = person_table(policies)
        return self._table

    def claim(self, key: Hashable) -> bool:
        """Whether a case is new; whoever is told so sees to its answer."""
        if key in self._claimed:
            return False
        self._claimed.add(key)
        return True

    def use_of(self, key: Hashable, meeting: str | None, find: Callable[[], Use | None]) -> Use | None:
        """What grants are tested against in a meeting, found once for all meetings that have the same key."""
        if key not in self._uses:
            self._uses[key] = find()
        known = self._uses[key]
        if known is None or meeting is None or known.request.meeting == meeting:
            return known
        return replace(known, request=replace(known.request, meeting=meeting))

    def rows_for(self, alike: str, person: Person) -> Remembered:
        """Rows that were found for uses with an equal `fields_key` and people who are alike; none without."""
        return self._rows.setdefault((alike, person), {}) if alike else {}


def fields_key(fields: Mapping[str, Any]) -> str:
    """Equal for equal fields of items, whatever their meeting and time; what has none differs."""
    kept = {name: value for name, value in fields.items() if name not in _OF_ONE_MEETING}
    named = [fields.get(name) is not None for name in _OF_ONE_MEETING]
    return json.dumps([named, kept], sort_keys=True, default=repr)
