"""What the gate costs an item: ``cofferdam release`` over worlds of growing size, and one hot meeting.

The whole command is measured, in a process of its own: reading, verifying records, joins, decisions, the
suites, opening and writing what may go, and the commit. Starting up, with the import of Great Expectations,
is measured with a tiny world and left out of the cost of an item.

Right after each release DuckDB converts the same fixed events to Parquet. How many of these events cost it as
much as one item costs the gate carries over to other machines, and to busy ones; seconds do not.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS, DUCKDB
from benchmarks.events import count_of, make_events
from benchmarks.gate_world import AS_OF, PURPOSE, RECIPIENT, GateWorld, Hot, Shape, Spread, make_world
from benchmarks.measure import Cost

FACTORS = (1, 4, 16)
TINY_ITEMS = 10
BESIDE_EVENTS, TINY_EVENTS = 100_000, 100
Measured = Callable[[Sequence[str], str], Cost]


def release_command(world: GateWorld, store: Path, keys: Path) -> list[str]:
    """The release of a world, as a user runs it."""
    program = str(Path(sys.executable).parent / "cofferdam")
    places = ["--store", str(store), "--keys", str(keys / "release")]
    grounds = ["--consents", str(world.consents), "--registry", str(world.registry)]
    asked = ["--purpose", PURPOSE, "--recipient", RECIPIENT, "--as-of", AS_OF]
    return [program, "release", *places, *grounds, *asked, "--allow-test-keys", "--json"]


def bench_gate(
    folder: Path, keys: Path, items: int, measured: Measured, factors: Sequence[int] = FACTORS
) -> dict[str, Any]:
    """CPU and memory of the gate by size, and for one meeting of very many people.

    Args:
        folder: Where worlds are made and kept.
        keys: The key directory.
        items: Items at 1x; the hot meeting has half as many.
        measured: Runs a command under a name and measures it.
        factors: Multiples of `items` to measure.
    """
    start_up = _cost(folder, keys, Spread(TINY_ITEMS), measured)
    shapes: list[tuple[str, Shape]] = [(f"{factor}x", Spread(items * factor)) for factor in factors]
    shapes.append(("one meeting", Hot(items // 2)))
    rows = []
    for name, shape in shapes:
        cost = _cost(folder, keys, shape, measured)
        beside = _microseconds_beside(folder, measured)
        sizes = {"items": shape.items, "meetings": shape.meetings, "people": shape.people}
        work = max(cost.cpu_seconds - start_up.cpu_seconds, 0.0)
        figures = {
            "records": shape.records,
            "cpu_microseconds_an_item": 1e6 * work / shape.items,
            "duckdb_microseconds_an_event": beside,
            "duckdb_events_an_item": 1e6 * work / shape.items / beside,
            "more_bytes_an_item": (cost.peak_bytes - start_up.peak_bytes) / shape.items,
        }
        rows.append({"name": name, **sizes, **figures, **asdict(cost)})
    return {"start_up": asdict(start_up), "rows": rows}


def _microseconds_beside(folder: Path, measured: Measured) -> float:
    """CPU that DuckDB takes for an event right now, without starting up."""
    convert = next(each.command for each in CONTENDERS if each.name == DUCKDB)
    seconds = []
    for number in (TINY_EVENTS, BESIDE_EVENTS):
        output = folder / "output-beside"
        shutil.rmtree(output, ignore_errors=True)
        cost = measured(convert(make_events(folder, number), output, folder), f"beside-{number}")
        seconds.append(cost.cpu_seconds)
    return 1e6 * max(seconds[1] - seconds[0], 1e-9) / count_of(make_events(folder, BESIDE_EVENTS))[0]


def _cost(folder: Path, keys: Path, shape: Shape, measured: Measured) -> Cost:
    world = make_world(folder, keys, shape)
    store = folder / "output-gate"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(world.store, store)
    cost = measured(release_command(world, store, keys), shape.name)
    shutil.rmtree(store)
    return cost


def print_gate(result: dict[str, Any], console: Console) -> None:
    """The gate's figures as a table."""
    table = Table(title="The gate", title_justify="left")
    table.add_column("")
    headings = (
        "items",
        "meetings",
        "people",
        "records",
        "CPU s",
        "µs an item",
        "DuckDB events",
        "peak MiB",
        "bytes an item",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in result["rows"]:
        table.add_row(
            row["name"],
            *(f"{row[name]:,}" for name in headings[:4]),
            f"{row['cpu_seconds']:.1f}",
            f"{row['cpu_microseconds_an_item']:,.0f}",
            f"{row['duckdb_events_an_item']:,.0f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
            f"{row['more_bytes_an_item']:,.0f}",
        )
    console.print(table)
    seconds, size = result["start_up"]["cpu_seconds"], result["start_up"]["peak_bytes"] / 2**20
    console.print(f"Starting up takes {seconds:.1f} CPU s and {size:,.0f} MiB; neither is counted above.")
    console.print(
        "An item costs as much as that many events of the other parts cost DuckDB, measured beside it."
    )
