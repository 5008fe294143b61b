"""Take any single expectation out of a suite, and something gets through that the rules hold."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest

from schemas.errors import PromiseBroken
from tests.unit.validation.judging import PlainGate, all_clauses, compared, decide_all, shipped_policies
from validation.decisions import Decider
from validation.facts import NECESSARY, FactRow, use_word
from validation.gate import Verdict
from validation.pins import single_suites
from validation.suites import FACT_MALFORMED, Expectation, Suite

POLICIES = shipped_policies()
WHOLE = Decider(POLICIES, PlainGate())
SUITES = {suite.hash: suite for suite in single_suites(POLICIES)}
MUTANTS = [
    (suite, expectation)
    for suite in SUITES.values()
    for expectation in suite.expectations
    if expectation.code != FACT_MALFORMED
]
ROUTE_MUTANTS = [(suite, expectation) for suite, expectation in MUTANTS if expectation.column == "use"]
"""A second look at the route that the rules took: they never make the rows that it is for."""
OUTCOME_MUTANTS = [mutant for mutant in MUTANTS if mutant not in ROUTE_MUTANTS]


class _RecordingGate(PlainGate):
    """Remembers which expectations of which suites some row failed."""

    def __init__(self) -> None:
        super().__init__()
        self.failed: set[tuple[str, Expectation]] = set()

    def _judge_row(self, suite: Suite, row: FactRow) -> Verdict:
        verdict = super()._judge_row(suite, row)
        self.failed |= {(suite.hash, one) for one in verdict}
        return verdict


class _MutantGate(PlainGate):
    """Leaves one expectation out of one suite."""

    def __init__(self, pinned: str, without: Expectation) -> None:
        super().__init__(without)
        self._pinned, self._mutated = pinned, without

    def _judge_row(self, suite: Suite, row: FactRow) -> Verdict:
        self._without = self._mutated if suite.hash == self._pinned else None
        return super()._judge_row(suite, row)


def _moved(vector: dict[str, Any], region: str) -> dict[str, Any]:
    moved = copy.deepcopy(vector)
    subjects = moved["item"].get("subjects")
    for subject in subjects if isinstance(subjects, list) else []:
        if isinstance(subject, dict) and isinstance(subject.get("region"), str):
            subject["region"] = region
    if isinstance(moved["item"].get("regions"), list):
        moved["item"]["regions"] = [region]
    return moved


@cache
def vectors_failing() -> dict[tuple[str, Expectation], list[dict[str, Any]]]:
    """For each expectation, clauses (moved to every region in turn) in which a row fails it."""
    found: dict[tuple[str, Expectation], list[dict[str, Any]]] = {}
    gate = _RecordingGate()
    decider = Decider(POLICIES, gate)
    for region in POLICIES.profiles:
        for clause in all_clauses():
            vector = _moved(clause.vector, region)
            gate.failed.clear()
            decide_all(decider, [vector])
            for key in gate.failed:
                found.setdefault(key, []).append(vector)
    return found


def _outcome(decider: Decider, vector: dict[str, Any]) -> Any:
    try:
        return compared(decide_all(decider, [vector])[0])
    except PromiseBroken:
        return "held"


@pytest.mark.parametrize(
    ("suite", "expectation"),
    OUTCOME_MUTANTS,
    ids=[f"{suite.name}-{e.code}-{e.column}" for suite, e in OUTCOME_MUTANTS],
)
def test_a_missing_expectation_is_noticed(suite: Suite, expectation: Expectation) -> None:
    mutant = Decider(POLICIES, _MutantGate(suite.hash, expectation))
    candidates = vectors_failing().get((suite.hash, expectation), [])
    assert any(_outcome(mutant, vector) != _outcome(WHOLE, vector) for vector in candidates)


@pytest.mark.parametrize(
    ("suite", "expectation"),
    ROUTE_MUTANTS,
    ids=lambda value: value.name if isinstance(value, Suite) else value.code,
)
def test_a_purpose_on_a_route_that_its_profile_does_not_give_it_is_forbidden(
    suite: Suite, expectation: Expectation
) -> None:
    row = suite.table.row({"purpose": "ai_training", "use": use_word("ai_training", NECESSARY)})
    assert PlainGate().judge(suite, [row])[row] == {expectation}
    assert PlainGate(without=expectation).judge(suite, [row])[row] == frozenset()


def test_there_are_mutants_of_every_suite() -> None:
    assert {suite.hash for suite, _ in MUTANTS} == set(SUITES)
