"""Who is measured: each contender as a command that reads a folder of JSON lines and writes a new folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

COFFERDAM, NAIVE, DUCKDB = "cofferdam", "naive", "duckdb"
TWO_PROCESSES = ("--direct_num_workers", "2", "--direct_running_mode", "multi_processing")


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: Short name.
        what: What it does, for the table.
        command: (folder of events, output, keys) to the command line.
    """

    name: str
    what: str
    command: Callable[[Path, Path, Path], Sequence[str]]


def cofferdam_command(events: Path, output: Path, keys: Path, *more: str) -> list[str]:
    """The product as a user runs it, with all checks on."""
    program = str(Path(sys.executable).parent / "cofferdam")
    arguments = ["--input", str(events), "--store", str(output), "--keys", str(keys / "ingest")]
    # Part of the input is broken or unknown on purpose; that is not what is measured here.
    return [program, "run", *arguments, "--max-held-ratio", "1", "--json", *more]


def _naive(events: Path, output: Path, keys: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.naive", f"{events}/*.jsonl", str(output)]


def _duckdb(events: Path, output: Path, keys: Path) -> list[str]:
    output.mkdir()
    return [
        sys.executable,
        "-m",
        "benchmarks.duckdb_convert",
        f"{events}/*.jsonl",
        f"{output}/events.parquet",
    ]


CONTENDERS = (
    Contender(COFFERDAM, "separates, seals, checks everything, reconciles", cofferdam_command),
    Contender(NAIVE, "drops repeats, separates and seals event by event, checks nothing", _naive),
    Contender(DUCKDB, "converts to one Parquet file, separates nothing", _duckdb),
)
