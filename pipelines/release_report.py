"""The ledger of a release as tables for people."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines.console_tables import grid, plain_console
from validation.reasons import CATALOGUE


def print_release(
    ledger: dict[str, Any], store: str, seconds: float | None, console: Console | None = None
) -> None:
    """Print what was decided and why, and what was released; without a time, of a run that is over."""
    console = console or plain_console()
    for made in (_decisions, _kinds, _released, _telemetry):
        table = made(ledger, console)
        if table.row_count:
            console.print(table)
            console.print()
    if ledger["telemetry"]["stopped"] and not ledger["stopped"]:
        console.print("Records changed meanwhile: telemetry was not decided again and stays as it is.")
    records = ledger["records"]
    console.print(
        f"{ledger['items']:,} items, {ledger['classes']:,} decisions on classes of them; {records['read']:,} "
        f"consent records, {sum(records['untrusted'].values()):,} of them not trusted"
    )
    if late := records.get("new_claiming_earlier"):
        console.print(
            f"{late:,} records that no release had seen say that they arrived before the last one:"
            " see consents/records"
        )
    if records["test_keys"] and records["test_keys_allowed"]:
        console.print(
            f"Test keys were allowed: {', '.join(records['test_keys'])}. Not for real content.", markup=False
        )
    for code, number in ledger["unopened"].items():
        console.print(f"{number:,} that may go stay held, because they cannot be opened: {code}")
    console.print(f"Released now {ledger['released']:,}, before {ledger['released_before']:,}")
    if any(row["decision"] == "ERASE" for row in ledger["decisions"]):
        console.print(
            "ERASE deletes nothing here: `cofferdam erase --all-due` deletes what was released before and "
            "may not be kept, and `--dry-run` shows it first"
        )
    took = "" if seconds is None else f"; {seconds:.1f} s"
    ended = f"As of {ledger['as_of']}{took}. Run {ledger['run_id']}, store {store}"
    console.print(ended, markup=False)


def _decisions(ledger: dict[str, Any], console: Console) -> Table:
    headings = ("purpose", "decision", "leading reason", "items", "why")
    table = grid(console, *headings, title="What was decided")
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


def _kinds(ledger: dict[str, Any], console: Console) -> Table:
    table = grid(console, "kind", title="Items by kind")
    names = sorted({row["decision"] for row in ledger["decisions"]})
    for name in names:
        table.add_column(name, justify="right")
    counts: Counter[tuple[str, str]] = Counter()
    for row in ledger["decisions"]:
        counts[row["kind"], row["decision"]] += row["items"]
    for kind in sorted({kind for kind, _ in counts}):
        table.add_row(kind, *(f"{counts[kind, name]:,}" for name in names))
    return table


def _telemetry(ledger: dict[str, Any], console: Console) -> Table:
    headings = ("purpose", "decision", "leading reason", "rows")
    table = grid(console, *headings, title="Telemetry for other uses than running the service")
    rows: Counter[tuple[str, str, str]] = Counter()
    for row in ledger["telemetry"]["decisions"]:
        rows[row["purpose"], row["decision"], row["primary"]] += row["rows"]
    for (purpose, decision, primary), number in sorted(rows.items(), key=_rank):
        table.add_row(purpose, decision, primary, f"{number:,}")
    return table


def _released(ledger: dict[str, Any], console: Console) -> Table:
    table = grid(console, "purpose", "kind", "items", title="What was released")
    for row in ledger["released_by"]:
        table.add_row(row["purpose"], row["kind"], f"{row['items']:,}")
    return table
