"""The ledger of an erasure as a table for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from pipelines.console_tables import grid, plain_console


def print_erasure(
    ledger: dict[str, Any], seconds: float, console: Console | None = None, *, max_share: float = 100.0
) -> None:
    """Print what went, or would go, and what the check found; and what is more than may go (percent)."""
    console = console or plain_console()
    dry_run = ledger["dry_run"]
    _print_rows(ledger, console)
    console.print(
        f"{ledger['items']:,} items with {ledger['data_keys']:,} data keys and {ledger['bundle_keys']:,} "
        f"bundle keys; {ledger['recalls']:,} released copies to be recalled; "
        f"{ledger['files']['rewritten']:,} of {ledger['files']['of']:,} files"
    )
    if number := ledger["telemetry_recalls"]:
        console.print(f"{number:,} exports of telemetry can hold what goes; their recipients must delete it")
    for reason, number in ledger["reasons"].items():
        console.print(f"  {reason}: {number:,}")
    if number := ledger["unregistered"]:
        console.print(
            f"{number:,} subject{' is' if number == 1 else 's are'} not in the registry, and looked for "
            "under the identifier given alone. Check TYPE and ID, or register the person, and run again"
        )
    if ledger["waiting"]:
        console.print(
            f"{ledger['waiting']:,} more items are due and wait: others under the same data key are not"
        )
    if ledger["held"]:
        held = ", ".join(f"{name} {number:,}" for name, number in ledger["held"].items())
        console.print(f"Kept for a legal claim, to be erased when it ends (rows): {held}")
    if dry_run and (over := [name for name, share in ledger["share"].items() if share > max_share]):
        console.print(
            f"This is more than {max_share:g} % of {', '.join(over)}: nothing will be changed unless "
            "--max-share allows it"
        )
    if not dry_run:
        check = ledger["check"]
        console.print(
            f"Checked: {check['keys_tried']:,} destroyed keys tried, {check['keys_opened']:,} opened; "
            f"{check['rows_present']:,} erased rows present; {check['files_left']:,} replaced files left"
        )
        if ledger["resumed"]:
            console.print(f"Finished {ledger['resumed']:,} erasures that had been interrupted")
    console.print(f"As of {ledger['as_of']}; {seconds:.1f} s. Run {ledger['run_id']}")


def _print_rows(ledger: dict[str, Any], console: Console) -> None:
    title = "What would go" if ledger["dry_run"] else "What went"
    if not ledger["rows"]:
        console.print(f"{title}: nothing")
        return
    table = grid(console, "table", title=title)
    for name in ("rows gone", "names taken out", "of rows"):
        table.add_column(name, justify="right")
    for name, row in ledger["rows"].items():
        table.add_row(name, f"{row['gone']:,}", f"{row['changed']:,}", f"{row['of']:,}")
    if ledger["rows"]:
        console.print(table)
    else:
        console.print("Nothing in the store is reached: nothing of it is there, or it is held.")
    console.print()
