"""The ledger of a run as tables for people."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

_TELEMETRY = "telemetry/"


def print_ledger(ledger: dict[str, Any], store: str, seconds: float, console: Console | None = None) -> None:
    """Print what became of every record, and where it went."""
    console = console or Console()
    console.print(_outcomes(ledger))
    console.print(_written(ledger))
    held = _held(ledger)
    if held.row_count:
        console.print(held)
    if ledger["drift"]:
        console.print(_drift(ledger))
    rate = ledger["records"] / seconds if seconds else 0
    console.print(
        f"{ledger['records']:,} records read ({ledger['bytes_read'] / 1e6:,.1f} MB), each with exactly one "
        f"outcome; reconciled by count and keyed sum {ledger['reconciliation']['read']['sum'][:8]}…"
    )
    console.print(f"{rate:,.0f} records a second. Run {ledger['run_id']}, store {store}", markup=False)


def _outcomes(ledger: dict[str, Any]) -> Table:
    table = Table(title="What became of the records", title_justify="left")
    for name in ("source", "event type", "outcome"):
        table.add_column(name)
    table.add_column("records", justify="right")
    by_type: Counter[tuple[str, str, str]] = Counter()
    for row in ledger["by_type"]:
        by_type[(row["source"], row["event_type"], row["outcome"])] += row["records"]
    for (source, event, outcome), number in sorted(by_type.items()):
        table.add_row(source, event, outcome, f"{number:,}")
    for outcome, number in ledger["outcomes"].items():
        table.add_row("all", "", outcome, f"{number:,}", style="bold")
    return table


def _written(ledger: dict[str, Any]) -> Table:
    table = Table(title="What was written", title_justify="left")
    table.add_column("lane")
    table.add_column("table or kind")
    table.add_column("rows", justify="right")
    for name, number in ledger["rows"].items():
        if name.startswith(_TELEMETRY):
            table.add_row("service and metadata", name, f"{number:,}")
    for kind, number in ledger["items"].items():
        table.add_row("content (sealed)", kind, f"{number:,}")
    return table


def _held(ledger: dict[str, Any]) -> Table:
    table = Table(title="Records that are sealed whole", title_justify="left")
    table.add_column("reason")
    table.add_column("records", justify="right")
    reasons: Counter[str] = Counter()
    for row in ledger["by_type"]:
        if row["outcome"] in ("rejected", "unknown"):
            reasons[row["reason"]] += row["records"]
    for reason, number in sorted(reasons.items()):
        table.add_row(reason, f"{number:,}")
    return table


def _drift(ledger: dict[str, Any]) -> Table:
    table = Table(title="Fields that no contract names (sealed)", title_justify="left")
    for name in ("table", "below", "JSON type", "hash of the name"):
        table.add_column(name)
    table.add_column("values", justify="right")
    for row in ledger["drift"][:20]:
        place = row["parent"] or "(the event)"
        table.add_row(row["table"], place, row["json_type"], row["name_digest"], f"{row['values']:,}")
    if len(ledger["drift"]) > 20:
        table.caption = f"and {len(ledger['drift']) - 20} more (see --json)"
    return table
