"""Events to measure with: generated, as JSON lines that every contender can parse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from pipelines.generator import EVENTS_FOLDER, Settings, generate

SEED = 1
_LONGEST_LINE = 1 << 20


def make_events(folder: Path, events: int) -> Path:
    """Generate events and keep the JSON lines that a plain parser takes.

    Only Cofferdam is made for records that are no JSON; the others would stop at them.

    Returns:
        The folder of the events; it is used again if it is there.
    """
    kept = folder / f"events-{events}"
    if kept.is_dir():
        return kept
    scratch = folder / f"scratch-{events}"
    shutil.rmtree(scratch, ignore_errors=True)
    generate(Settings(events, SEED), scratch)
    partial = folder / f"partial-{events}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in sorted((scratch / EVENTS_FOLDER).glob("*.jsonl")):
        _copy_parsable(file, partial / file.name)
    shutil.rmtree(scratch)
    partial.rename(kept)
    return kept


def count_of(folder: Path) -> tuple[int, int]:
    """Records and bytes in a folder of JSON lines."""
    files = list(folder.glob("*.jsonl"))
    return sum(file.read_bytes().count(b"\n") for file in files), sum(file.stat().st_size for file in files)


def _copy_parsable(source: Path, target: Path) -> None:
    with source.open("rb") as lines, target.open("wb") as kept:
        kept.writelines(line for line in lines if _is_parsable(line))


def _is_parsable(line: bytes) -> bool:
    if len(line) > _LONGEST_LINE:
        return False
    try:
        value = json.loads(line)
        json.dumps(value, ensure_ascii=False).encode()  # refuses half a surrogate pair, as DuckDB does
        return isinstance(value, dict)
    except (ValueError, RecursionError):
        return False
