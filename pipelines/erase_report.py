"""The ledger of an erasure as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_erasure(ledger: dict[str, Any], seconds: float, console: Console | None = None) -> None:
    """Print what went, or would go, and what the check found."""
    console = console or Console()
    dry_run = ledger["dry_run"]
    table = Table(title="What would go" if dry_run else "What went", title_justify="left")
    table.add_column("table")
    for name in ("rows gone", "names taken out", "of rows"):
        table.add_column(name, justify="right")
    for name, row in ledger["rows"].items():
        table.add_row(name, f"{row['gone']:,}", f"{row['changed']:,}", f"{row['of']:,}")
    console.print(table)
    console.print(
        f"{ledger['items']:,} items with {ledger['data_keys']:,} data keys and {ledger['bundle_keys']:,} "
        f"bundle keys; {ledger['recalls']:,} released copies to be recalled; "
        f"{ledger['files']['rewritten']:,} of {ledger['files']['of']:,} files"
    )
    for reason, number in ledger["reasons"].items():
        console.print(f"  {reason}: {number:,}")
    if ledger["waiting"]:
        console.print(
            f"{ledger['waiting']:,} more items are due and wait: others under the same data key are not"
        )
    if ledger["held"]:
        held = ", ".join(f"{name} {number:,}" for name, number in ledger["held"].items())
        console.print(f"Kept for a legal claim, to be erased when it ends (rows): {held}")
    if not dry_run:
        check = ledger["check"]
        console.print(
            f"Checked: {check['keys_tried']:,} destroyed keys tried, {check['keys_opened']:,} opened; "
            f"{check['rows_present']:,} erased rows present; {check['files_left']:,} replaced files left"
        )
        if ledger["resumed"]:
            console.print(f"Finished {ledger['resumed']:,} erasures that had been interrupted")
    console.print(f"As of {ledger['as_of']}; {seconds:.1f} s. Run {ledger['run_id']}")
