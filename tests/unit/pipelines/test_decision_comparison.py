"""Decisions are compared one by one with those that were expected, and shown beside them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pipelines.decision_comparison import decision_differences, decisions_table

ROWS = [
    {"kind": "audio", "decision": "RELEASE", "primary": "OK", "items": 3},
    {"kind": "audio", "decision": "QUARANTINE", "primary": "NO_CONSENT", "items": 5},
    {"kind": "chat", "decision": "QUARANTINE", "primary": "NO_CONSENT", "items": 2},
]


def expected() -> dict[str, Any]:
    return {"purpose": "ai_training", "items": 10, "decisions": {"RELEASE": 3}, "classes": ROWS}


def ledger(**changes: Any) -> dict[str, Any]:
    rows = [{"purpose": "ai_training", **row} for row in ROWS]
    return {"items": 10, "released": 3, "released_before": 0, "decisions": rows, **changes}


def test_a_release_as_expected_shows_no_difference() -> None:
    assert decision_differences(expected(), ledger()) == []
    assert decision_differences(expected(), ledger(released=1, released_before=2)) == []


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize(
    "change", [{"items": 1}, {"primary": "PENDING"}, {"decision": "ERASE"}, {"kind": "poll"}]
)
def test_every_count_is_compared(place: int, change: dict[str, Any]) -> None:
    rows = ledger()["decisions"]
    rows[place] = {**rows[place], **change}
    assert decision_differences(expected(), ledger(decisions=rows))


@pytest.mark.parametrize("change", [{"items": 11}, {"released": 2}, {"released": 4}])
def test_sums_are_compared(change: dict[str, int]) -> None:
    assert len(decision_differences(expected(), ledger(**change))) == 1


def test_decisions_for_another_purpose_are_a_difference() -> None:
    rows = [*ledger()["decisions"], {**ROWS[0], "purpose": "marketing", "items": 0}]
    assert decision_differences(expected(), ledger(decisions=rows)) == ["decisions for marketing"]


def test_the_table_shows_what_was_released_first_and_every_reason_in_words() -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(decisions_table(expected(), ledger()))
    lines = [
        line.split() for line in out.getvalue().splitlines() if "RELEASE" in line or "QUARANTINE" in line
    ]
    assert lines[0][:4] == ["RELEASE", "OK", "3", "3"]
    assert lines[1][:4] == ["QUARANTINE", "NO_CONSENT", "7", "7"]
    assert len(lines[1]) > 4
