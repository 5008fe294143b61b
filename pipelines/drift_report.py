"""Unknown names on a screen: harmless to the terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from pipelines.console_tables import grid, harmless, plain_console
from pipelines.report_labels import counted
from transforms.drift_names import Revealed

LONGEST_NAME: Final = 120
"""Characters of a name that are shown."""


def shown_name(name: str) -> str:
    """A name as it is shown: harmless to the terminal, and cut off where it is very long."""
    return harmless(name[:LONGEST_NAME]) + ("" if len(name) <= LONGEST_NAME else "…")


def print_drift(ledger: Mapping[str, Any], found: Revealed, console: Console | None = None) -> None:
    """Print unknown fields and event types, the most frequent first."""
    console = console or plain_console()
    table = grid(
        console, "source", "event type", "in", "name", "JSON type", "hash", "values", title="Unknown fields"
    )
    for entry, number in found.fields.most_common():
        words = (entry.source, entry.event_type, entry.parent, entry.name, entry.json_type)
        cells = [Text(shown_name(word)) for word in (*words, entry.name_digest)]
        table.add_row(*cells, f"{number:,}")
    console.print(table if found.fields else "Unknown fields: none")
    types = grid(console, "source", "event type", "records", title="Unknown event types")
    for kind, number in found.types.most_common():
        types.add_row(Text(shown_name(kind.source)), Text(shown_name(kind.event_type)), f"{number:,}")
    console.print(types if found.types else "Unknown event types: none")
    if found.beyond or found.unreadable:
        console.print(
            f"{found.beyond:,} more values and records under further names; "
            f"{counted(found.unreadable, 'record')} without the name of an event type"
        )
    for key_id, code in ledger["opened"]["broken"].items():
        console.print(f"{code}: data key {key_id}", markup=False)
    console.print(
        f"Opened {ledger['opened']['items']:,} items and pieces of records upon decision "
        f"{ledger['decision_id']}, which is on record."
    )


def as_document(ledger: Mapping[str, Any], found: Revealed) -> dict[str, Any]:
    """The same for scripts; JSON escapes what does not print."""
    return {
        **ledger,
        "unknown_fields": [
            {**each._asdict(), "values": number} for each, number in found.fields.most_common()
        ],
        "unknown_types": [
            {**each._asdict(), "records": number} for each, number in found.types.most_common()
        ],
    }
