"""``make bench``: CPU and memory of Cofferdam, side by side with a naive pipeline and DuckDB.

Each contender runs in a process of its own, in turns, so that a busy machine is unfair to all alike; the
median of the repeats counts. Starting Python and importing the engine takes the same few seconds whatever
the size of the input: it is measured with a tiny input and shown beside the work. Ratios of CPU seconds carry
over to other machines; seconds do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.contenders import (
    COFFERDAM,
    CONTENDERS,
    DUCKDB,
    NAIVE,
    TWO_PROCESSES,
    cofferdam_command,
)
from benchmarks.erase import bench_erase, print_erase
from benchmarks.events import count_of, make_events
from benchmarks.gate import FACTORS as GATE_FACTORS
from benchmarks.gate import bench_gate, print_gate
from benchmarks.measure import Cost, measure
from benchmarks.report import bench_report, print_report
from pipelines.keys_command import init as _keys_init

WORK = Path("bench-output")
TINY = 100
MEMORY_FACTORS = (1, 4, 16)
PARTS = ("cpu", "memory", "processes", "gate", "erase", "report")


@dataclass
class Bench:
    """One benchmark: where it works, and how large it is."""

    folder: Path
    events: int
    memory_events: int
    repeats: int
    gate_items: int
    gate_factors: Sequence[int]
    erase_items: int
    report_items: int
    console: Console

    @property
    def keys(self) -> Path:
        """The key directory of all runs."""
        return self.folder / "keys"

    def measured(self, command: Sequence[str], name: str) -> Cost:
        """Run a command, say so, and measure it."""
        cost = measure(command, self.folder / f"{name}.log")
        self.console.print(
            f"  {name}: {cost.cpu_seconds:.2f} CPU s, {cost.wall_seconds:.2f} s, "
            f"{cost.peak_bytes / 2**20:,.0f} MiB",
            highlight=False,
        )
        return cost

    def fresh(self, name: str) -> Path:
        """A path for the output of a run; what an earlier run left there is gone."""
        path = self.folder / f"output-{name}"
        shutil.rmtree(path, ignore_errors=True)
        return path


# --- CPU --------------------------------------------------------------------------------------------------


def bench_cpu(bench: Bench) -> dict[str, Any]:
    """CPU seconds of each contender, on a tiny and on the full input, in turns."""
    inputs = {"start-up": make_events(bench.folder, TINY), "full": make_events(bench.folder, bench.events)}
    costs: dict[tuple[str, str], list[Cost]] = {}
    for size, events in inputs.items():
        for repeat in range(bench.repeats):
            for contender in CONTENDERS:
                output = bench.fresh(contender.name)
                command = contender.command(events, output, bench.keys)
                cost = bench.measured(command, f"{size}-{contender.name}-{repeat + 1}")
                costs.setdefault((contender.name, size), []).append(cost)
    records, size_in_bytes = count_of(inputs["full"])
    rows = {contender.name: _row(costs, contender.name, records) for contender in CONTENDERS}
    return {"records": records, "bytes": size_in_bytes, "contenders": rows, "ratios": _ratios(rows)}


def _row(costs: dict[tuple[str, str], list[Cost]], name: str, records: int) -> dict[str, float]:
    full = median(cost.cpu_seconds for cost in costs[name, "full"])
    start_up = median(cost.cpu_seconds for cost in costs[name, "start-up"])
    work = max(full - start_up, 1e-9)
    return {
        "cpu_seconds": full,
        "start_up_cpu_seconds": start_up,
        "work_cpu_seconds": work,
        "records_per_cpu_second": records / work,
        "wall_seconds": median(cost.wall_seconds for cost in costs[name, "full"]),
        "peak_bytes": max(cost.peak_bytes for cost in costs[name, "full"]),
    }


def _ratios(rows: dict[str, dict[str, float]]) -> dict[str, float]:
    work = {name: row["work_cpu_seconds"] for name, row in rows.items()}
    whole = {name: row["cpu_seconds"] for name, row in rows.items()}
    return {
        "times_the_naive_pipeline": work[NAIVE] / work[COFFERDAM],
        "times_duckdb_cpu": work[COFFERDAM] / work[DUCKDB],
        "times_the_naive_pipeline_with_start_up": whole[NAIVE] / whole[COFFERDAM],
        "times_duckdb_cpu_with_start_up": whole[COFFERDAM] / whole[DUCKDB],
    }


def print_cpu(result: dict[str, Any], console: Console) -> None:
    """The CPU figures as a table, and the two ratios."""
    records, size = result["records"], result["bytes"]
    table = Table(title=f"CPU, {records:,} events ({size / 1e6:,.0f} MB)", title_justify="left")
    table.add_column("")
    for heading in ("CPU s", "start-up", "events/CPU s", "wall s", "peak MiB"):
        table.add_column(heading, justify="right")
    for contender in CONTENDERS:
        row = result["contenders"][contender.name]
        table.add_row(
            contender.name,
            f"{row['cpu_seconds']:.2f}",
            f"{row['start_up_cpu_seconds']:.2f}",
            f"{row['records_per_cpu_second']:,.0f}",
            f"{row['wall_seconds']:.2f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
        )
    console.print(table)
    for contender in CONTENDERS:
        console.print(f"  {contender.name}: {contender.what}")
    ratios = result["ratios"]
    console.print(
        f"Without start-up: {ratios['times_the_naive_pipeline']:.2f} times as fast as the naive pipeline; "
        f"{ratios['times_duckdb_cpu']:.2f} times the CPU of DuckDB."
    )


# --- memory -----------------------------------------------------------------------------------------------


def bench_memory(bench: Bench) -> list[dict[str, float]]:
    """Peak memory of Cofferdam at 1, 4 and 16 times an input."""
    rows = []
    for factor in MEMORY_FACTORS:
        events = make_events(bench.folder, bench.memory_events * factor)
        command = cofferdam_command(events, bench.fresh(COFFERDAM), bench.keys)
        cost = bench.measured(command, f"memory-{factor}x")
        records, size = count_of(events)
        rows.append({"factor": factor, "records": records, "bytes": size, **asdict(cost)})
    return rows


def print_memory(rows: list[dict[str, float]], console: Console) -> None:
    """Peak memory by size of input."""
    table = Table(title="Peak memory", title_justify="left")
    for heading in ("input", "events", "MB", "peak MiB", "bytes an event more than 1x"):
        table.add_column(heading, justify="right")
    first = rows[0]
    for row in rows:
        more = row["records"] - first["records"]
        growth = (row["peak_bytes"] - first["peak_bytes"]) / more if more else 0
        table.add_row(
            f"{row['factor']}x",
            f"{row['records']:,}",
            f"{row['bytes'] / 1e6:,.0f}",
            f"{row['peak_bytes'] / 2**20:,.0f}",
            f"{growth:.0f}" if more else "",
        )
    console.print(table)


# --- a second process -------------------------------------------------------------------------------------


def bench_processes(bench: Bench) -> dict[str, dict[str, float]]:
    """Wall and CPU time with one and with two worker processes, in turns."""
    events = make_events(bench.folder, bench.events)
    costs: dict[str, list[Cost]] = {"1": [], "2": []}
    for repeat in range(bench.repeats):
        for number, more in (("1", ()), ("2", TWO_PROCESSES)):
            command = cofferdam_command(events, bench.fresh(COFFERDAM), bench.keys, *more)
            costs[number].append(bench.measured(command, f"processes-{number}-{repeat + 1}"))
    return {
        number: {
            "wall_seconds": median(cost.wall_seconds for cost in measured),
            "cpu_seconds": median(cost.cpu_seconds for cost in measured),
        }
        for number, measured in costs.items()
    }


def print_processes(result: dict[str, dict[str, float]], console: Console) -> None:
    """What a second process brings."""
    one, two = result["1"], result["2"]
    console.print(
        f"A second process: {one['wall_seconds']:.2f} s become {two['wall_seconds']:.2f} s "
        f"({one['wall_seconds'] / two['wall_seconds']:.2f} times as fast); "
        f"{one['cpu_seconds']:.2f} CPU s become {two['cpu_seconds']:.2f}."
    )


# --- the gate ---------------------------------------------------------------------------------------------


def _bench_gate(bench: Bench) -> dict[str, Any]:
    return bench_gate(bench.folder, bench.keys, bench.gate_items, bench.measured, bench.gate_factors)


# --- erasing ----------------------------------------------------------------------------------------------


def _bench_report(bench: Bench) -> list[dict[str, Any]]:
    return bench_report(bench.folder, bench.keys, bench.report_items, bench.measured)


def _bench_erase(bench: Bench) -> list[dict[str, Any]]:
    return bench_erase(bench.folder, bench.keys, bench.erase_items, bench.console)


# --- all --------------------------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """What the figures were taken on, without its name."""
    packages = ("apache-beam", "pyarrow", "msgspec", "cryptography", "duckdb")
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def run_parts(bench: Bench, parts: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Run the parts that are wanted, and show each."""
    steps: dict[str, tuple[Any, Any]] = {
        "cpu": (bench_cpu, print_cpu),
        "memory": (bench_memory, print_memory),
        "processes": (bench_processes, print_processes),
        "gate": (_bench_gate, print_gate),
        "erase": (_bench_erase, print_erase),
        "report": (_bench_report, print_report),
    }
    for part in parts:
        take, show = steps[part]
        bench.console.print(f"Measuring {part}")
        result = take(bench)
        show(result, bench.console)
        yield part, result


def main(arguments: Sequence[str]) -> None:
    """Measure, print tables, and write the figures as JSON."""
    options = _options(arguments)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        folder,
        options.events,
        options.memory_events,
        options.repeats,
        options.gate_items,
        options.gate_factors,
        options.erase_items,
        options.report_items,
        Console(),
    )
    if not bench.keys.exists():
        _keys_init.main([str(bench.keys)], standalone_mode=False)
    results = {"machine": machine(), **dict(run_parts(bench, options.parts))}
    written = folder / "results.json"
    written.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    bench.console.print(f"Figures: {written}")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="events of the CPU part")
    parser.add_argument("--memory-events", type=int, default=100_000, help="events of the memory part at 1x")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender")
    parser.add_argument("--gate-items", type=int, default=100_000, help="items of the gate's part at 1x")
    factors = "multiples of --gate-items to measure"
    parser.add_argument("--gate-factors", type=int, nargs="+", default=GATE_FACTORS, help=factors)
    parser.add_argument("--erase-items", type=int, default=1_000_000, help="items of the largest store")
    parser.add_argument("--report-items", type=int, default=1_000_000, help="items of the largest report")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what to measure")
    parser.add_argument("--output", type=Path, default=WORK, help="where events and figures are kept")
    parser.add_argument("--quick", action="store_true", help="a small input once: a look, no measurement")
    options = parser.parse_args(arguments)
    if options.quick:
        options.events, options.memory_events, options.repeats = 20_000, 5_000, 1
        options.gate_items, options.erase_items, options.report_items = 1_000, 6_400, 100_000
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
