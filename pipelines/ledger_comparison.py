"""Lay a run's ledger beside what was expected of it, and say in words where they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from schemas.tables import ROSTER, TELEMETRY

_HELD = ("rejected", "unknown")


def ledger_differences(expected: Mapping[str, Any], ledger: Mapping[str, Any]) -> list[str]:
    """Every count in which a ledger differs from what was expected.

    Args:
        expected: What the generator writes into ``expected/outcomes.json``; a part that is missing there is a
            difference, not a wildcard.
        ledger: A run's ledger, as ``cofferdam run --json`` prints it.

    Returns:
        One line for each difference; empty if there is none.
    """
    found = outcomes_of(ledger)
    lines = []
    for part, actual in found.items():
        if part not in expected:
            lines.append(f"{part}: no expectation")
            continue
        lines.extend(_compare(part, _flat(expected[part]), _flat(actual)))
    return lines


def outcomes_of(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a ledger that can be told beforehand, in the generator's form."""
    return {
        "records": ledger["records"],
        "outcomes": ledger["outcomes"],
        "separated": [row for row in ledger["by_type"] if row["outcome"] == "separated"],
        "reasons": _reasons(ledger["by_type"]),
        "items": ledger["items"],
        "rows": {name: number for name, number in ledger["rows"].items() if _can_be_told(name)},
        "unknown_fields": sum(row["values"] for row in ledger["drift"]),
        "misfits": ledger["misfits"],
        "dropped": ledger["dropped"],
    }


def _reasons(by_type: list[dict[str, Any]]) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for row in by_type:
        if row["outcome"] in _HELD:
            reasons[row["reason"]] += row["records"]
    return reasons


def _can_be_told(table: str) -> bool:
    """How many blobs and keys there are depends on how the work was divided; rows of events do not."""
    return table == ROSTER or table.startswith(f"{TELEMETRY}/")


def _flat(part: Any) -> dict[str, int]:
    """Any part of the outcomes as numbers by name, without zeros."""
    if isinstance(part, int):
        return {"": part}
    if isinstance(part, Mapping):
        return {str(name): number for name, number in part.items() if number}
    counted: Counter[str] = Counter()
    for row in part:
        words = (row[name] for name in ("source", "event_type", "table", "field") if name in row)
        counted[" ".join(words)] += row.get("records", row.get("values", 0))
    return dict(counted)


def _compare(part: str, expected: dict[str, int], actual: dict[str, int]) -> list[str]:
    return [
        f"{' '.join((part, name)).strip()}: expected {expected.get(name, 0):,}, got {actual.get(name, 0):,}"
        for name in sorted({*expected, *actual})
        if expected.get(name, 0) != actual.get(name, 0)
    ]
