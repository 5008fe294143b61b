"""``cofferdam drift``: what unknown fields and event types are called, for who mends contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.opening_options import order_options
from pipelines.quiet_start import quiet_start
from schemas.errors import EXIT_PROMISE_BROKEN

_PATH = click.Path(path_type=Path)
_EXIT_CODES = """\b
Exit codes:
  0  shown
  1  blobs do not open; what lies in the others is shown
  2  usage or contracts; nothing was opened
  3  a key, file or store could not be used"""


@click.group(name="drift")
def drift() -> None:
    """See what events hold that no contract knows."""


@drift.command(name="show", epilog=_EXIT_CODES)
@order_options
@click.option("--contracts", "contract_files", multiple=True, type=_PATH, metavar="PATH", help="As for run.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def show(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Reveal the names of unknown fields and event types, with their places, JSON types and counts.

    Ingest tells of an unknown field without its name, as whoever sends events can write anything into it. The
    names are sealed; here they are opened upon a signed order, which is logged, and printed. They are written
    nowhere else, so do not let this output run into a log. Values are not shown.

    Characters of a name that a terminal could take for a command are shown escaped.
    """
    from pipelines.drift_report import as_document, print_drift

    with quiet_start():
        from pipelines.run_drift import DriftRequest, show_drift

    with reported():
        ledger, found = show_drift(DriftRequest(**options), show_progress=not as_json)
    if as_json:
        click.echo(json.dumps(as_document(ledger, found), indent=2))
    else:
        print_drift(ledger, found)
    if ledger["opened"]["broken"]:
        context.exit(EXIT_PROMISE_BROKEN)
