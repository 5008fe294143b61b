"""The ledger of a reprocessing as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console

from pipelines.console_tables import grid, plain_console
from pipelines.report_labels import counted

_ABOUT: Final = ("source", "event type", "held as", "field")
_STAYS: Final = "stays"


def print_reprocessing(ledger: Mapping[str, Any], seconds: float, console: Console | None = None) -> None:
    """Print what moved, or would move, what stays, and what was opened for it."""
    console = console or plain_console()
    moved = [row for row in ledger["values"] if row["outcome"] != _STAYS]
    stays = [row for row in ledger["values"] if row["outcome"] == _STAYS]
    would = "would move" if ledger["dry_run"] else "moved"
    _print_values(console, f"What {would}", moved, "becomes", "outcome")
    _print_values(console, "What stays sealed", stays, "reason", "reason")
    opened, retired = ledger["opened"], ledger["retired"]
    console.print(
        f"Opened {opened['items']:,} items and pieces of records under {opened['data_keys']:,} data keys, "
        f"upon decision {ledger['decision_id']}; "
        "`cofferdam inspect --store DIR --table openings` shows the record."
    )
    for key_id, code in opened["broken"].items():
        console.print(f"  {code}: data key {key_id}; everything under it stays as it is", markup=False)
    if ledger["dry_run"]:
        console.print("Nothing was moved. That it was opened is on record, as of every opening.")
    else:
        console.print(
            f"Retired {counted(retired['data_keys'], 'data key')} with {counted(retired['items'], 'item')} "
            f"and {counted(retired['rejects'], 'reject')}; completed "
            f"{counted(ledger['completed'], 'row of telemetry', 'rows of telemetry')}; wrote "
            f"{counted(ledger['rewritten'], 'file')} anew"
        )
    console.print(f"As of {ledger['as_of']}; {seconds:.1f} s. Run {ledger['run_id']}")


def _print_values(
    console: Console, title: str, rows: Sequence[Mapping[str, Any]], heading: str, column: str
) -> None:
    if not rows:
        console.print(f"{title}: nothing")
        return
    table = grid(console, *_ABOUT, heading, "lane", "values", title=title)
    for row in rows:
        about = (row["source"], row["event_type"], row["held_as"], row["field"], row[column])
        table.add_row(*about, row["lane"] or "-", f"{row['count']:,}")
    console.print(table, markup=False)
    console.print()
