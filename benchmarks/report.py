"""What a governance report takes: ``cofferdam report`` over stores of growing size, whole, as a user runs it.

Everything is read back and validated, the log is verified, and each record is looked up. From the last store
nothing was released.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Cost
from benchmarks.report_world import make_store

SHARES: Final = (50, 5, 1)
"""The stores hold the largest one's items divided by these."""

AS_OF: Final = "2026-12-01T00:00:00Z"
Measured = Callable[[Sequence[str], str], Cost]


def bench_report(folder: Path, keys: Path, items: int, measured: Measured) -> list[dict[str, Any]]:
    """CPU, memory and size of reports by the number of items.

    Args:
        folder: Where stores are made and kept.
        keys: The key directory.
        items: Items of the largest store.
        measured: Runs a command under a name and measures it.
    """
    wanted = [(items // share, False) for share in SHARES] + [(items, True)]
    return [_row(folder, keys, number, held, measured) for number, held in wanted]


def _row(folder: Path, keys: Path, items: int, held: bool, measured: Measured) -> dict[str, Any]:
    store, registry = make_store(folder, keys, items, held=held)
    out = folder / f"{store.name}.json"
    program = str(Path(sys.executable).parent / "cofferdam")
    places = ["--store", str(store), "--registry", str(registry), "--keys", str(keys / "ingest")]
    command = [program, "report", *places, "--as-of", AS_OF, "--out", str(out)]
    cost = measured(command, f"measured-{store.name}")
    return {"items": items, "held": held, "report_bytes": out.stat().st_size, **asdict(cost)}


def print_report(rows: list[dict[str, Any]], console: Console) -> None:
    """The figures as a table."""
    table = Table(title="The governance report", title_justify="left")
    for heading in ("items", "released", "CPU s", "peak MiB", "kB of report"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['items']:,}",
            "none" if row["held"] else "70 %",
            f"{row['cpu_seconds']:.1f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
            f"{row['report_bytes'] / 1e3:,.0f}",
        )
    console.print(table)
