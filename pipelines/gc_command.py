"""``cofferdam gc``: delete the files of a store that no manifest names."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from pipelines.command_errors import reported
from pipelines.option_types import FiniteRange, store_path
from transforms.store import Store
from transforms.store_gc import GRACE_SECONDS, Garbage, collect_garbage


@click.command(name="gc")
@click.option("--store", required=True, type=store_path, metavar="DIR", help="The store.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--older-than",
    type=FiniteRange(min=0),
    default=GRACE_SECONDS / 3600,
    show_default=True,
    metavar="HOURS",
    help="Spare files that no manifest ever named and that are younger: a run may still commit them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def gc(store: str | Path, dry_run: bool, older_than: float, as_json: bool) -> None:
    """Delete what runs that were killed left behind, and files that were replaced.

    Nothing that a manifest names is touched. While a run writes to the store, nothing is deleted.

    Exit codes: 0 done, 2 no store, 3 a run is at work, or a file cannot be deleted.
    """
    with reported():
        found = collect_garbage(
            Store.open(store), now=time.time(), older_than=older_than * 3600, dry_run=dry_run
        )
    click.echo(json.dumps(_as_json(found, dry_run), indent=2) if as_json else _as_text(found, dry_run))


def _as_json(found: Garbage, dry_run: bool) -> dict[str, object]:
    return {
        "deleted": not dry_run,
        "bytes": found.size,
        "replaced": [file.path for file in found.replaced],
        "unnamed": [file.path for file in found.unnamed],
        "spared": [file.path for file in found.spared],
    }


def _as_text(found: Garbage, dry_run: bool) -> str:
    verb = "would delete" if dry_run else "deleted"
    lines = [f"{verb} {file.path}" for file in (*found.replaced, *found.unnamed)]
    lines += [f"spared {file.path} (younger than the grace period)" for file in found.spared]
    count = len(found.replaced) + len(found.unnamed)
    lines.append(f"{verb} {count} file{'' if count == 1 else 's'}, {found.size} bytes")
    return "\n".join(lines)
