"""The ledger of a run as tables for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.console_tables import grid, plain_console
from pipelines.refused_places import print_places

_TELEMETRY = "telemetry/"
_LISTED = 20
"""Rows of what a contract may have to learn; the ledger in JSON has them all."""


def print_ledger(
    ledger: dict[str, Any],
    store: str,
    seconds: float | None,
    console: Console | None = None,
    *,
    places: Sequence[dict[str, Any]] = (),
) -> None:
    """Print what became of every record, and where it went; without a time, of a run that is over.

    Args:
        ledger: The ledger.
        store: The store's root.
        seconds: How long the run took.
        console: Where to print; standard output if not given.
        places: Where refused records stand (`pipelines.refused_places`).
    """
    console = console or plain_console()
    for made in (_outcomes, _written, _held, _drift, _misfits):
        table = made(ledger, console)
        if table.row_count:
            console.print(table)
            console.print()
    print_places(places, console)
    if _has_unknown(ledger):
        console.print(
            "`cofferdam drift show` tells the release side what is unknown; once a contract names it, "
            "`cofferdam reprocess` takes it in",
            markup=False,
        )
    if "canaries" in ledger:
        canaries = ledger["canaries"]
        console.print(
            f"{canaries['planted']:,} canaries planted and sealed; none found in "
            f"{canaries['files_searched']:,} files, the ledger and log lines"
        )
    rate = f"{ledger['records'] / seconds if seconds else 0:,.0f} records a second. "
    console.print(
        f"{ledger['records']:,} records read ({_size(ledger['bytes_read'])}), each with exactly one "
        f"outcome; reconciled by count and keyed sum {ledger['reconciliation']['read']['sum'][:8]}…"
    )
    said = "" if seconds is None else rate
    console.print(f"{said}Run {ledger['run_id']}, store {store}", markup=False)


def _has_unknown(ledger: dict[str, Any]) -> bool:
    return bool(ledger["drift"] or any(row["outcome"] == "unknown" for row in ledger["by_type"]))


def _size(number: int) -> str:
    return f"{number / 1e6:,.1f} MB" if number >= 1e5 else f"{number:,} bytes"


def _outcomes(ledger: dict[str, Any], console: Console) -> Table:
    headings = ("source", "event type", "outcome", "records")
    table = grid(console, *headings, title="What became of the records")
    by_type: Counter[tuple[str, str, str]] = Counter()
    for row in ledger["by_type"]:
        by_type[(row["source"], row["event_type"], row["outcome"])] += row["records"]
    for key, number in sorted(by_type.items()):
        if number:
            table.add_row(*map(Text, key), f"{number:,}")
    for outcome, number in ledger["outcomes"].items():
        if number:
            table.add_row("all", "all", outcome, f"{number:,}", style="bold")
    return table


def _written(ledger: dict[str, Any], console: Console) -> Table:
    table = grid(console, "lane", "table or kind", "rows", title="What was written")
    for name, number in ledger["rows"].items():
        if name.startswith(_TELEMETRY):
            table.add_row("service and metadata", name, f"{number:,}")
    for kind, number in ledger["items"].items():
        table.add_row("content (sealed)", kind, f"{number:,}")
    return table


def _held(ledger: dict[str, Any], console: Console) -> Table:
    table = grid(console, "reason", "records", title="Records that are sealed whole")
    reasons: Counter[str] = Counter()
    for row in ledger["by_type"]:
        if row["outcome"] in ("rejected", "unknown"):
            reasons[row["reason"]] += row["records"]
    for reason, number in sorted(reasons.items()):
        table.add_row(reason, f"{number:,}")
    return table


def _drift(ledger: dict[str, Any], console: Console) -> Table:
    headings = ("table", "below", "JSON type", "hash of the name", "values")
    table = grid(console, *headings, title="Fields that no contract names (sealed)")
    for row in ledger["drift"][:_LISTED]:
        place = row["parent"] or "(the event)"
        words = map(Text, (row["table"], place, row["json_type"], row["name_digest"]))
        table.add_row(*words, f"{row['values']:,}")
    return _cut_off(table, len(ledger["drift"]))


def _misfits(ledger: dict[str, Any], console: Console) -> Table:
    table = grid(console, "table", "field", "values", title="Values that do not fit their field (sealed)")
    for row in ledger["misfits"][:_LISTED]:
        table.add_row(Text(row["table"]), Text(row["field"]), f"{row['values']:,}")
    return _cut_off(table, len(ledger["misfits"]))


def _cut_off(table: Table, all_rows: int) -> Table:
    if all_rows > _LISTED:
        table.caption = f"and {all_rows - _LISTED} more (see --json)"
    return table
