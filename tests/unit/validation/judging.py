"""Helpers of the decision tests: all clauses, and a quick gate that judges by the same suites."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from tests.unit.validation import clauses, record_clauses
from tests.unit.validation.clauses import Clause
from validation.cases import Case, Registry
from validation.decisions import Decider, Decision
from validation.facts import FactRow
from validation.gate import Gate, Verdict
from validation.policy import Policies
from validation.policy_loading import load_policies
from validation.suites import Expectation, Suite

REGISTRY = Registry.from_json(clauses.REGISTRY)


def all_clauses() -> list[Clause]:
    groups = [
        getattr(module, name)
        for module in (clauses, record_clauses)
        for name in dir(module)
        if name.isupper()
    ]
    return [one for group in groups if isinstance(group, list) for one in group if isinstance(one, Clause)]


@functools.cache
def shipped_policies() -> Policies:
    return load_policies()


class PlainGate(Gate):
    """Judges by a suite's own words, quickly. That it agrees with the real gate is tested.

    Args:
        without: An expectation that is left out, to see whether anybody notices.
    """

    def __init__(self, without: Expectation | None = None) -> None:
        super().__init__()
        self._without = without

    def judge(self, suite: Suite, rows: Iterable[FactRow]) -> dict[FactRow, Verdict]:
        return {row: self._judge_row(suite, row) for row in dict.fromkeys(rows)}

    def _judge_row(self, suite: Suite, row: FactRow) -> Verdict:
        cells = dict(zip(suite.table.names, row, strict=True))
        return frozenset(
            one
            for one in suite.expectations
            if one.allowed is not None
            and (one.condition is None or cells[one.condition[0]] == one.condition[1])
            and cells[one.column] not in one.allowed
            and one != self._without
        )


def as_case(vector: dict[str, Any], registry: Registry = REGISTRY) -> Case:
    return Case(vector["item"], vector["records"], registry, vector["as_of"], shorthand=True)


def decide_all(
    decider: Decider, vectors: Sequence[dict[str, Any]], registry: Registry = REGISTRY
) -> list[Decision]:
    return decider.decide_batch([as_case(vector, registry) for vector in vectors])


def compared(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.decision,
        "primary": decision.primary,
        "reasons": list(decision.reasons),
        "advisories": list(decision.advisories),
    }
