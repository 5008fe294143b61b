"""What a reprocessing prints."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.reprocess_report import print_reprocessing


def _ledger(**changed: Any) -> dict[str, Any]:
    about = {"source": "zoom", "event_type": "e", "held_as": "unclassified", "field": "data.x"}
    return {
        "dry_run": False,
        "values": [
            {**about, "outcome": "telemetry", "lane": "service", "reason": "", "count": 1200},
            {**about, "outcome": "stays", "lane": "content", "reason": "STILL_UNKNOWN", "count": 3},
        ],
        "opened": {"items": 7, "data_keys": 2, "broken": {"ab" * 16: "SEAL_BROKEN"}},
        "retired": {"data_keys": 2, "bundle_keys": 1, "items": 7, "rejects": 0},
        "completed": 4,
        "rewritten": 5,
        "decision_id": "d-1",
        "as_of": "2026-03-10T00:00:00Z",
        "run_id": "r-1",
    } | changed


def test_what_moved_and_what_stays_stand_apart(capsys: pytest.CaptureFixture[str]) -> None:
    print_reprocessing(_ledger(), 1.5)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "What moved",
        "source event type held as field becomes lane values",
        "zoom e unclassified data.x telemetry service 1,200",
    ]
    assert "zoom e unclassified data.x STILL_UNKNOWN content 3" in lines
    assert any("SEAL_BROKEN: data key abab" in line for line in lines)
    assert any(line.startswith("Retired 2 data keys with 7 items") for line in lines)


def test_a_dry_run_says_that_looking_is_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    print_reprocessing(_ledger(dry_run=True, values=[]), 1.5)
    shown = capsys.readouterr().out
    assert shown.startswith("What would move: nothing")
    assert "Nothing was moved. That it was opened is on record" in shown
    assert "Retired" not in shown
