"""The product against a second, naive implementation, on random cases near a release and full of junk."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.validation import random_cases, reference_decision
from tests.unit.validation.judging import PlainGate, compared, decide_all, shipped_policies
from validation.cases import Registry
from validation.decisions import Decider
from validation.policy_loading import SHIPPED_PROFILES
from validation.reasons import CATALOGUE

LAW = reference_decision.Law(json.loads(SHIPPED_PROFILES.read_text()))
REGISTRY = Registry.from_json(random_cases.REGISTRY)
QUICK = Decider(shipped_policies(), PlainGate())


def expected(vector: dict[str, Any]) -> dict[str, Any]:
    return reference_decision.decide(LAW, random_cases.REGISTRY, vector)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False))
def test_a_single_case_decides_alike(random: Random) -> None:
    vector = random_cases.make_case(random)
    assert compared(decide_all(QUICK, [vector], REGISTRY)[0]) == expected(vector)


@settings(max_examples=20)
@given(st.integers(min_value=0, max_value=2**64 - 1), st.sampled_from([0.0, 0.1, 0.25, 0.6]))
def test_hundreds_of_cases_decide_alike(seed: int, junk: float) -> None:
    random = Random(seed)
    vectors = [random_cases.make_case(random, junk=junk) for _ in range(250)]
    decisions = decide_all(QUICK, vectors, REGISTRY)
    wrong = [v for v, d in zip(vectors, decisions, strict=True) if compared(d) != expected(v)]
    assert wrong == []


@pytest.fixture(scope="module")
def through_the_suites() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    random = Random(20260310)
    vectors = [random_cases.make_case(random) for _ in range(4000)]
    decisions = decide_all(Decider(shipped_policies()), vectors, REGISTRY)
    return [(vector, compared(decision)) for vector, decision in zip(vectors, decisions, strict=True)]


def test_thousands_of_cases_decide_alike_through_great_expectations(
    through_the_suites: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    assert [vector for vector, got in through_the_suites if got != expected(vector)] == []


def test_the_random_cases_reach_every_code_and_decision(
    through_the_suites: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    codes = {code for _, got in through_the_suites for code in (*got["reasons"], *got["advisories"])}
    decisions = {got["decision"] for _, got in through_the_suites}
    assert (set(CATALOGUE) - codes, len(decisions)) == (set(), 4)
