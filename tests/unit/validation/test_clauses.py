"""Every clause of the rules, through the real expectation suites; and the second implementation on each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.validation import clauses, reference_decision
from tests.unit.validation.clauses import Clause
from tests.unit.validation.judging import all_clauses, compared, decide_all, shipped_policies
from validation.cases import Registry
from validation.decisions import Decider, Decision
from validation.policy_loading import SHIPPED_PROFILES
from validation.reasons import CATALOGUE

CLAUSES = all_clauses()
LAW = reference_decision.Law(json.loads(SHIPPED_PROFILES.read_text()))


@pytest.fixture(scope="module")
def decisions() -> dict[str, Decision]:
    decided = decide_all(Decider(shipped_policies()), [one.vector for one in CLAUSES])
    return {one.name: decision for one, decision in zip(CLAUSES, decided, strict=True)}


def test_clauses_have_names_of_their_own() -> None:
    assert len({one.name for one in CLAUSES}) == len(CLAUSES) > 300


@pytest.mark.parametrize("one", CLAUSES, ids=lambda one: one.name)
def test_a_clause_comes_to_what_the_rules_say(one: Clause, decisions: dict[str, Decision]) -> None:
    assert compared(decisions[one.name]) == one.expect


@pytest.mark.parametrize("one", CLAUSES, ids=lambda one: one.name)
def test_the_second_implementation_agrees(one: Clause) -> None:
    assert reference_decision.decide(LAW, clauses.REGISTRY, one.vector) == one.expect


def test_every_reason_code_is_produced(decisions: dict[str, Decision]) -> None:
    produced = {code for one in decisions.values() for code in (*one.reasons, *one.advisories)}
    assert produced == set(CATALOGUE)


def test_published_vectors_hold(shared_folder: Path) -> None:
    document: dict[str, Any] = json.loads((shared_folder / "consent" / "vectors.json").read_text())
    registry = Registry.from_json(document["registry"])
    decided = decide_all(Decider(shipped_policies()), document["vectors"], registry)
    wrong = [
        vector["id"]
        for vector, decision in zip(document["vectors"], decided, strict=True)
        if {name: compared(decision)[name] for name in vector["expect"]} != vector["expect"]
    ]
    assert (wrong, len(decided)) == ([], 95)
