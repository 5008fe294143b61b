"""Where the records stand that a run sealed whole: input file and offset, for whoever has to mend them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.console_tables import grid, harmless
from schemas.errors import CofferdamError
from schemas.tables import QUARANTINE_REJECTED
from transforms.faults import value_free
from transforms.sources import input_paths
from transforms.store import Store

_COLUMNS: Final = ["reason", "file_index", "offset", "piece"]
_SHOWN: Final = 3
"""Places of each reason that are told; the table in the store has all of them."""


def refused_places(store: str | Path, run_id: str, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """The first places of each reason: reason, file, offset in its uncompressed content, and how many more.

    The run is over and has not failed, whatever happens here: where the store has gone on meanwhile, nothing
    is told.

    Args:
        store: The store's root.
        run_id: A run that has committed.
        inputs: Paths of its input in their order (`transforms.sources.input_paths`); without them files are
            told by their numbers.
    """
    try:
        return _places(Store.open(store), run_id, inputs)
    except CofferdamError:
        return []


def if_unchanged(inputs: Sequence[str], patterns: Sequence[str]) -> Sequence[str]:
    """Paths of a run's input if they are the same now; files that came or went shift the others' numbers."""
    return inputs if listed(patterns) == inputs else ()


def listed(patterns: Sequence[str]) -> Sequence[str]:
    """Paths of an input, none where it cannot be listed: the run itself says why."""
    try:
        return input_paths(patterns)
    except CofferdamError:
        return ()


def _places(opened: Store, run_id: str, inputs: Sequence[str]) -> list[dict[str, Any]]:
    manifest = opened.snapshot.of_run(run_id)
    records = [] if manifest is None else [add for add in manifest.adds if add.table == QUARANTINE_REJECTED]
    first: dict[str, list[tuple[int, int]]] = {}
    found: Counter[str] = Counter()
    with value_free("read where records were refused"):
        for batch in opened.scan(QUARANTINE_REJECTED, _COLUMNS, records=records) if records else ():
            for row in batch.to_pylist():
                if row["piece"] == 0:
                    found[row["reason"]] += 1
                    places = [*first.get(row["reason"], ()), (row["file_index"], row["offset"])]
                    first[row["reason"]] = sorted(places)[:_SHOWN]
    return [
        {
            "reason": reason,
            "first": [{"file": _named(inputs, file), "offset": offset} for file, offset in places],
            "more": found[reason] - len(places),
        }
        for reason, places in sorted(first.items())
    ]


def _named(inputs: Sequence[str], index: int) -> str:
    return inputs[index] if 0 <= index < len(inputs) else f"file {index}"


def print_places(places: Sequence[dict[str, Any]], console: Console) -> None:
    """Print where records were refused, if any were."""
    if not places:
        return
    table: Table = grid(
        console, "reason", "input file", "byte", title="Where they stand, in the uncompressed content"
    )
    for entry in places:
        for place in entry["first"]:
            table.add_row(entry["reason"], Text(harmless(place["file"])), f"{place['offset']}")
        if entry["more"]:
            table.add_row(entry["reason"], Text(f"and {entry['more']:,} more"), "")
    console.print(table)
    console.print()
