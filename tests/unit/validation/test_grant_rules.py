"""Rows that are remembered are those that would be found again."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.unit.validation.judging import as_case, shipped_policies
from tests.unit.validation.random_cases import make_case
from validation.facts import person_table
from validation.grant_rules import PersonRow, Remembered, _statement, person_rows
from validation.item_rules import find_item
from validation.record_rules import RecordBook, find_standing

POLICIES = shipped_policies()
TABLE = person_table(POLICIES)
OWN = ("id", "subject", "scope", "event_time", "ingested_at", "body_hash")


def seen(rows: list[PersonRow]) -> list[tuple[Any, ...]]:
    return [(row.facts, row.grant, row.tie, row.advisories, row.employee) for row in rows]


def test_rows_are_the_same_whatever_is_remembered() -> None:
    """One use, the records of many other cases, and recordings that ended at any of their times."""
    reused = 0
    for seed in range(25):
        vector = make_case(Random(seed), junk=0.05)
        found = find_item(as_case(vector), POLICIES)
        remembered: dict[object, Remembered] = {}
        for other in range(25) if found.use is not None else ():
            case = as_case({**vector, "records": make_case(Random(1000 + other), junk=0.05)["records"]})
            book = RecordBook(case.records, case.registry, shorthand=True)
            for asked in found.asked:
                assert found.use is not None
                standing = find_standing(book, asked.subject or "", found.use.request)
                ends = (found.use.recorded_end, *(one.row.instant for one in standing.candidates))
                for use in (replace(found.use, recorded_end=end) for end in ends):
                    known = remembered.setdefault(asked.person, {})
                    before = len(known)
                    rows = person_rows(TABLE, standing, asked.person, use, known)
                    assert seen(rows) == seen(person_rows(TABLE, standing, asked.person, use))
                    reused += len(standing.candidates) > len(known) - before
    assert reused > 100


@pytest.mark.parametrize("name", [*OWN, "mechanism", "a rule to come"])
def test_a_statement_is_all_of_a_record_but_whom_where_and_when(name: str) -> None:
    fields = {"id": "r1", "mechanism": "explicit_statement", "bundled": False}
    assert (_statement({**fields, name: 1}) == _statement({**fields, name: True})) is (name in OWN)
    assert _statement(fields) == _statement(dict(reversed(fields.items())))
