"""Lay what was decided beside what was expected, say where they differ, and show both in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from schemas.consent_sets import DECISIONS
from validation.decisions import RELEASE
from validation.reasons import CATALOGUE

AGREED = "Everybody concerned has agreed."


def decision_differences(expected: Mapping[str, Any], ledger: Mapping[str, Any]) -> list[str]:
    """Every count of decisions in which a release differs from what was expected.

    Args:
        expected: What the generator writes into ``expected/decisions.json``.
        ledger: The ledger of a release for the same purpose, recipient and instant.

    Returns:
        One line for each difference; empty if there is none.
    """
    purpose = expected["purpose"]
    lines = [f"decisions for {row['purpose']}" for row in ledger["decisions"] if row["purpose"] != purpose]
    wanted, found = _counted(expected["classes"]), _counted(ledger["decisions"])
    pairs = [
        *((" ".join(key), wanted[key], found[key]) for key in sorted({*wanted, *found})),
        ("items", expected["items"], ledger["items"]),
        ("released", expected["decisions"][RELEASE], ledger["released"] + ledger["released_before"]),
    ]
    return lines + [f"{name}: expected {one:,}, got {other:,}" for name, one, other in pairs if one != other]


def _counted(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str, str]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        counts[row["kind"], row["decision"], row["primary"]] += row["items"]
    return counts


def decisions_table(expected: Mapping[str, Any], ledger: Mapping[str, Any]) -> Table:
    """Decisions with their leading reasons: how many items, how many were expected, and why."""
    title = f"What was decided for {expected['purpose']}"
    # No borders, and one row a decision over its reasons: the sentences need the width of a terminal.
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("decision and leading reason", no_wrap=True)
    for name in ("items", "expected"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    wanted, found = _by_reason(expected["classes"]), _by_reason(ledger["decisions"])
    for decision in sorted({key[0] for key in (*wanted, *found)}, key=_place):
        reasons = {key[1]: (found[key], wanted[key]) for key in {*wanted, *found} if key[0] == decision}
        all_found, all_wanted = (sum(numbers) for numbers in zip(*reasons.values(), strict=True))
        table.add_row(decision, f"{all_found:,}", f"{all_wanted:,}", style="bold")
        for primary, (number, should) in sorted(reasons.items(), key=lambda entry: (-entry[1][0], entry[0])):
            table.add_row(f"  {primary}", f"{number:,}", f"{should:,}", _sentence(primary))
    return table


def _sentence(primary: str) -> str:
    reason = CATALOGUE.get(primary)
    return AGREED if reason is None else reason.sentence


def _by_reason(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row["decision"], row["primary"]] += row["items"]
    return counts


def _place(decision: str) -> tuple[int, str]:
    """The order in which decisions are shown; one that is not known last."""
    return DECISIONS.index(decision) if decision in DECISIONS else len(DECISIONS), decision
