"""The ledger of a release as tables: every number is there, and nothing of the ledger is read as markup."""

from __future__ import annotations

import copy
import io
import re
from typing import Any

from rich.console import Console

from pipelines.release_report import print_release
from validation.reasons import CATALOGUE


def _row(purpose: str, kind: str, decision: str, primary: str, items: int) -> dict[str, Any]:
    return {"purpose": purpose, "kind": kind, "decision": decision, "primary": primary, "items": items}


LEDGER: dict[str, Any] = {
    "run_id": "20260302t100000z-00000001",
    "as_of": "2026-03-02T10:00:00Z",
    "items": 5_010,
    "classes": 12,
    "decisions": [
        _row("ai_training", "chat", "QUARANTINE", "NO_CONSENT", 3_000),
        _row("ai_training", "audio", "QUARANTINE", "NO_CONSENT", 2_000),
        _row("ai_training", "audio", "RELEASE", "OK", 4),
        _row("ai_training", "chat", "ERASE", "WITHDRAWN", 6),
    ],
    "records": {
        "read": 321,
        "untrusted": {"SIGNATURE_INVALID": 2, "KEY_REVOKED": 1},
        "test_keys": [],
        "test_keys_allowed": False,
    },
    "released": 3,
    "released_before": 1,
    "released_by": [{"purpose": "ai_training", "kind": "audio", "items": 4}],
    "stopped": False,
    "telemetry": {"decisions": [], "stopped": False},
    "unopened": {},
}


def printed(ledger: dict[str, Any], store: str = "my-store") -> str:
    out = io.StringIO()
    print_release(ledger, store, 1.25, Console(file=out, width=200, color_system=None))
    return out.getvalue()


def rows(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_decisions_are_added_up_over_kinds_and_told_with_their_reason() -> None:
    told = [row for row in rows(printed(LEDGER)) if row[0] == "ai_training" and len(row) == 5]
    assert told == [
        ["ai_training", "RELEASE", "OK", "4", "Everybody concerned has agreed."],
        ["ai_training", "QUARANTINE", "NO_CONSENT", "5,000", CATALOGUE["NO_CONSENT"].sentence],
        ["ai_training", "ERASE", "WITHDRAWN", "6", CATALOGUE["WITHDRAWN"].sentence],
    ]


def test_kinds_are_told_apart() -> None:
    told = rows(printed(LEDGER))
    assert ["kind", "ERASE", "QUARANTINE", "RELEASE"] in told
    assert ["audio", "0", "2,000", "4"] in told
    assert ["chat", "6", "3,000", "0"] in told


def test_what_was_released_is_told_by_purpose_and_kind() -> None:
    assert ["ai_training", "audio", "4"] in rows(printed(LEDGER))
    assert "What was released" not in printed({**LEDGER, "released_by": []})
    assert "Released now 3, before 1" in printed(LEDGER)


def test_records_that_are_not_trusted_are_counted() -> None:
    assert "5,010 items, 12 decisions on classes of them; 321 consent records, 3 of them" in printed(LEDGER)


def test_records_that_claim_to_be_older_than_they_can_be_are_told() -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["records"] |= {"new": 9, "new_claiming_earlier": 0}
    assert "arrived before" not in printed(ledger)
    ledger["records"]["new_claiming_earlier"] = 7
    assert "7 records that no release had seen say that they arrived before the last one" in printed(ledger)


def test_test_keys_are_named_where_they_counted() -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["records"] |= {"test_keys": ["k-1", "k-2"], "test_keys_allowed": True}
    assert "Test keys were allowed: k-1, k-2. Not for real content." in printed(ledger)
    ledger["records"]["test_keys_allowed"] = False
    assert "Test keys" not in printed(ledger)


def test_what_cannot_be_opened_is_told() -> None:
    text = printed({**LEDGER, "unopened": {"KEY_DESTROYED": 1_234}})
    assert "1,234 that may go stay held, because they cannot be opened: KEY_DESTROYED" in text


def test_a_path_with_brackets_is_shown_as_it_is() -> None:
    text = printed(LEDGER, "/tmp/[bold]x/S")
    assert "As of 2026-03-02T10:00:00Z; 1.2 s. Run 20260302t100000z-00000001, store /tmp/[bold]x/S" in text


def test_it_says_what_deletes_where_something_is_to_go() -> None:
    kept = [row for row in LEDGER["decisions"] if row["decision"] != "ERASE"]
    assert "cofferdam erase --all-due" in printed(LEDGER)
    assert "cofferdam erase" not in printed({**LEDGER, "decisions": kept})
