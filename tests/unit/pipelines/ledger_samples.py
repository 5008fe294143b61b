"""The ledger of a small run."""

from __future__ import annotations

from typing import Any


def _row(source: str, event: str, outcome: str, reason: str, records: int) -> dict[str, Any]:
    return {"source": source, "event_type": event, "outcome": outcome, "reason": reason, "records": records}


LEDGER: dict[str, Any] = {
    "run_id": "20260302t100000z-00000001",
    "records": 12_345,
    "bytes_read": 6_700_000,
    "outcomes": {"rejected": 5, "separated": 12_338, "unknown": 2},
    "by_type": [
        _row("-", "-", "rejected", "NOT_JSON", 2),
        _row("-", "-", "unknown", "UNKNOWN_TYPE", 2),
        _row("zoom", "-", "rejected", "DUPLICATE_KEY", 3),
        _row("zoom", "meeting.ended", "separated", "-", 12_000),
        _row("zoom", "meeting.started", "separated", "-", 338),
    ],
    "items": {"chat": 41, "secret": 7},
    "rows": {"quarantine/items": 41, "telemetry/zoom_meeting": 12_338},
    "drift": [],
    "misfits": [],
    "dropped": [],
    "reconciliation": {"read": {"count": 12_345, "sum": "00112233445566778899aabbccddeeff"}},
}
