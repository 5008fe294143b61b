"""``cofferdam release``: decide what may leave the quarantine, and release it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pipelines.beam_options import refuse_misspelt
from pipelines.command_errors import reported
from pipelines.ledger_command import no_wait_option, stopped_text, tell_submitted
from pipelines.option_types import PatientCommand
from pipelines.quiet_start import quiet_start
from pipelines.release_options import read_options, required_release_options
from schemas.errors import EXIT_INFRASTRUCTURE

_PATH = click.Path(path_type=Path)
_EXIT_CODES = """\b
Exit codes:
  0  decided; what may go was released
  1  a promise failed; nothing was released
  2  usage, registry or policies
  3  a key, file or store could not be used, or records changed so that something may not go any more;
     nothing was released"""


@click.command(
    name="release",
    cls=PatientCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=_EXIT_CODES,
)
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release.")
@required_release_options
@no_wait_option
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def release(
    context: click.Context, /, store: str, keys: Path, no_wait: bool, as_json: bool, **options: Any
) -> None:
    """Decide about everything in quarantine, and release what may go.

    Content goes to a purpose only if everybody concerned has agreed, by signed records, and every rule that
    applies is met; everything else stays sealed, each with its reasons. Running it again releases nothing
    twice, and with new records it decides anew.

    All other options go to Beam, for example --runner FlinkRunner.
    """
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.release_report import print_release

    with quiet_start():
        from pipelines.run_release import run_release
    with reported():
        refuse_misspelt(context.args)
        started = time.monotonic()
        asked = replace(read_options(store, keys, tuple(context.args), options), wait=not no_wait)
        ledger = run_release(asked, show_progress=not as_json)
        if no_wait:
            context.exit(tell_submitted(ledger, store, as_json=as_json))
        seconds = time.monotonic() - started
    if as_json:
        took = {"seconds": round(seconds, 2)}
        click.echo(json.dumps({**ledger, **took, "checkpoint": checkpoint_of(store)}))
    else:
        print_release(ledger, store, seconds)
        click.echo(checkpoint_text(store))
    if ledger["stopped"] is not None:
        click.echo(stopped_text(ledger), err=True)
        context.exit(EXIT_INFRASTRUCTURE)
