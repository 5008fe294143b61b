"""Erases one person and writes down what it took; run by benchmarks.erase in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.erase import AS_OF, SUBJECT
from pipelines.run_erase import EraseOptions, run_erase
from transforms import store_reading
from transforms.manifests import FileRecord


def main(store: str, keys: str, world: str, report: str) -> None:
    """Erase, and write the figures to a file."""
    options = EraseOptions(
        store=store,
        keys=Path(keys) / "release",
        consents=(Path(world) / "consents",),
        registry=Path(world) / "registry",
        as_of=AS_OF,
        subjects=(SUBJECT,),
        max_share=100.0,
        allow_test_keys=True,
    )
    looked_into: set[str] = set()
    _note_files(looked_into)
    before, cpu, wall = _io(), time.process_time(), time.monotonic()
    ledger = run_erase(options, show_progress=False)
    figures = {
        "looked_into": len(looked_into),
        "rewritten": ledger["files"]["rewritten"],
        "gone": ledger["items"],
        "cpu_seconds": time.process_time() - cpu,
        "wall_seconds": time.monotonic() - wall,
        "read_bytes": _io()["rchar"] - before["rchar"],
        "written_bytes": _io()["wchar"] - before["wchar"],
        "peak_bytes": _peak(),
    }
    Path(report).write_text(json.dumps(figures), encoding="utf-8")


def _note_files(looked_into: set[str]) -> None:
    """Note every file whose rows are read, but for those of filters."""
    plain = store_reading._dataset

    def noted(files: Any, table: str, records: list[FileRecord], **more: Any) -> tuple[pa.Schema, Any]:
        looked_into.update(record.path for record in records)
        return plain(files, table, records, **more)

    store_reading._dataset = noted


def _io() -> dict[str, int]:
    """Bytes that this process has read and written; zeros where the system does not say."""
    told = Path("/proc/self/io")
    lines: Iterable[str] = told.read_text(encoding="ascii").splitlines() if told.exists() else ()
    return {"rchar": 0, "wchar": 0} | {
        name: int(value) for name, value in (line.split(":") for line in lines)
    }


def _peak() -> int:
    """Largest resident set; ``getrusage`` would count that of the process which this one was forked from."""
    told = Path("/proc/self/status")
    lines = told.read_text(encoding="ascii").splitlines() if told.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
