"""Lay what was decided beside what was expected, say where they differ, and show both in one table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from validation.reasons import CATALOGUE

RELEASE = "RELEASE"
AGREED = "everybody concerned has agreed"


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
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("decision", "leading reason"):
        table.add_column(name, no_wrap=True)
    for name in ("items", "expected"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    wanted, found = _by_reason(expected["classes"]), _by_reason(ledger["decisions"])
    for decision, primary in sorted({*wanted, *found}, key=lambda key: _order(key, found[key])):
        key = decision, primary
        reason = CATALOGUE.get(primary)
        why = AGREED if reason is None else reason.sentence
        table.add_row(decision, primary, f"{found[key]:,}", f"{wanted[key]:,}", why)
    return table


def _by_reason(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        counts[row["decision"], row["primary"]] += row["items"]
    return counts


def _order(key: tuple[str, str], items: int) -> tuple[bool, int, tuple[str, str]]:
    """What was released first, then what holds most."""
    return key[0] != RELEASE, -items, key
