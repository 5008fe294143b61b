"""The ledger of a release as tables for people."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from validation.reasons import CATALOGUE


def print_release(ledger: dict[str, Any], store: str, seconds: float, console: Console | None = None) -> None:
    """Print what was decided and why, and what was released."""
    console = console or Console()
    console.print(_decisions(ledger))
    console.print(_kinds(ledger))
    if ledger["released_by"]:
        console.print(_released(ledger))
    if ledger["telemetry"]["decisions"]:
        console.print(_telemetry(ledger))
    if ledger["telemetry"]["stopped"] and not ledger["stopped"]:
        console.print("Records changed meanwhile: telemetry was not decided again and stays as it is.")
    records = ledger["records"]
    console.print(
        f"{ledger['items']:,} items, {ledger['classes']:,} decisions on classes of them; {records['read']:,} "
        f"consent records, {sum(records['untrusted'].values()):,} of them not trusted"
    )
    if records["test_keys"] and records["test_keys_allowed"]:
        console.print(f"Test keys were allowed: {', '.join(records['test_keys'])}. Not for real content.")
    for code, number in ledger["unopened"].items():
        console.print(f"{number:,} that may go stay held, because they cannot be opened: {code}")
    console.print(f"Released now {ledger['released']:,}, before {ledger['released_before']:,}")
    console.print(f"As of {ledger['as_of']}; {seconds:.1f} s. Run {ledger['run_id']}, store {store}")


def _decisions(ledger: dict[str, Any]) -> Table:
    table = Table(title="What was decided", title_justify="left")
    for name in ("purpose", "decision", "leading reason"):
        table.add_column(name)
    table.add_column("items", justify="right")
    table.add_column("why")
    rows: Counter[tuple[str, str, str]] = Counter()
    for row in ledger["decisions"]:
        rows[row["purpose"], row["decision"], row["primary"]] += row["items"]
    for (purpose, decision, primary), number in sorted(rows.items(), key=_rank):
        reason = CATALOGUE.get(primary)
        why = "Everybody concerned has agreed." if reason is None else reason.sentence
        table.add_row(purpose, decision, primary, f"{number:,}", why)
    return table


def _rank(entry: tuple[tuple[str, str, str], int]) -> tuple[str, bool, int, str]:
    (purpose, decision, primary), number = entry
    return purpose, decision != "RELEASE", -number, primary


def _kinds(ledger: dict[str, Any]) -> Table:
    table = Table(title="Items by kind", title_justify="left")
    table.add_column("kind")
    names = sorted({row["decision"] for row in ledger["decisions"]})
    for name in names:
        table.add_column(name, justify="right")
    counts: Counter[tuple[str, str]] = Counter()
    for row in ledger["decisions"]:
        counts[row["kind"], row["decision"]] += row["items"]
    for kind in sorted({kind for kind, _ in counts}):
        table.add_row(kind, *(f"{counts[kind, name]:,}" for name in names))
    return table


def _telemetry(ledger: dict[str, Any]) -> Table:
    table = Table(title="Telemetry for other uses than running the service", title_justify="left")
    for name in ("purpose", "decision", "leading reason"):
        table.add_column(name)
    table.add_column("rows", justify="right")
    rows: Counter[tuple[str, str, str]] = Counter()
    for row in ledger["telemetry"]["decisions"]:
        rows[row["purpose"], row["decision"], row["primary"]] += row["rows"]
    for (purpose, decision, primary), number in sorted(rows.items(), key=_rank):
        table.add_row(purpose, decision, primary, f"{number:,}")
    return table


def _released(ledger: dict[str, Any]) -> Table:
    table = Table(title="What was released", title_justify="left")
    for name in ("purpose", "kind"):
        table.add_column(name)
    table.add_column("items", justify="right")
    for row in ledger["released_by"]:
        table.add_row(row["purpose"], row["kind"], f"{row['items']:,}")
    return table
