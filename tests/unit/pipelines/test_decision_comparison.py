"""Decisions are compared one by one with those that were expected, and shown beside them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pipelines.decision_comparison import AGREED, decision_differences, decisions_table
from validation.reasons import CATALOGUE

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


def shown(width: int, decided: dict[str, Any]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(decisions_table(expected(), decided))
    return out.getvalue().splitlines()


def test_the_table_shows_what_was_released_first_and_every_reason_in_words() -> None:
    lines = [line.split() for line in shown(160, ledger())[2:]]
    assert [line[:3] for line in lines] == [
        ["RELEASE", "3", "3"],
        ["OK", "3", "3"],
        ["QUARANTINE", "7", "7"],
        ["NO_CONSENT", "7", "7"],
    ]
    assert lines[1][3:] == AGREED.split()
    assert lines[3][3:] == CATALOGUE["NO_CONSENT"].sentence.split()


def test_the_table_shows_what_was_not_expected_and_what_did_not_come() -> None:
    rows = [
        {"purpose": "ai_training", "kind": "chat", "decision": "ERASE", "primary": "WITHDRAWN", "items": 4},
        {"purpose": "ai_training", "kind": "chat", "decision": "NEW", "primary": "NEW_REASON", "items": 1},
    ]
    lines = [line.split()[:3] for line in shown(160, ledger(decisions=rows))]
    assert [lines.index(line) for line in (["RELEASE", "0", "3"], ["OK", "0", "3"], ["NO_CONSENT", "0", "7"])]
    assert lines.index(["WITHDRAWN", "4", "0"]) < lines.index(["NEW_REASON", "1", "0"])


def test_each_sentence_has_room_on_a_terminal_of_80_columns() -> None:
    rows = [
        {"purpose": "p", "kind": "chat", "decision": reason.action, "primary": code, "items": 12_345}
        for code, reason in CATALOGUE.items()
    ]
    lines = shown(80, ledger(decisions=rows))
    assert len(lines) < 4 * len(CATALOGUE)
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "\u2026" in line]
