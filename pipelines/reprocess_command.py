"""``cofferdam reprocess``: take in again what was held because no contract knew it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from pipelines.beam_options import refuse_misspelt
from pipelines.command_errors import reported
from pipelines.opening_options import order_options
from pipelines.option_types import PatientCommand
from pipelines.quiet_start import quiet_start
from schemas.contract import SOURCES
from schemas.errors import EXIT_PROMISE_BROKEN

_PATH = click.Path(path_type=Path)
_EXIT_CODES = """\b
Exit codes:
  0  taken in again and reconciled, or shown with --dry-run
  1  a promise failed: it does not add up, and nothing was changed; or blobs
     do not open, and those alone stay as they are
  2  usage or contracts; nothing was opened
  3  a key, file or store could not be used; nothing was changed"""


@click.command(
    name="reprocess",
    cls=PatientCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=_EXIT_CODES,
)
@order_options
@click.option(
    "--contracts",
    "contract_files",
    multiple=True,
    type=_PATH,
    metavar="PATH",
    help="The mended contracts, files or folders of all that apply; may be given several times. Without it, "
    "the bundled ones.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would move, and move nothing. To be looked at it has to be opened, which is on record.",
)
@click.option(
    "--source",
    type=click.Choice(["auto", *SOURCES]),
    default="auto",
    show_default=True,
    help="Source of the records, as for run.",
)
@click.option(
    "--tenant",
    "tenants",
    multiple=True,
    metavar="ID",
    help="A tenant whose identifiers may have become known: pseudonyms are made with its id, which no store "
    "holds. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def reprocess(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Take in again what was sealed because no contract knew it, after a contract was mended.

    Reopens records that were refused or of unknown type, and fields that were sealed as unclassified. What
    the contracts know by now goes the way that it would have gone: to telemetry, rosters, or sealed items of
    its kind. What they do not know stays sealed as it was. What was erased does not come back, and running
    it again moves nothing twice.

    Every opening rests on this order, which is signed and logged. `cofferdam drift show` says what the
    unknown fields and event types are called.

    All other options go to Beam, for example --runner FlinkRunner, or
    --direct_num_workers 2 --direct_running_mode multi_processing.
    """
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.contract_versions import tell_of_versions
    from pipelines.reprocess_report import print_reprocessing

    with quiet_start():
        from pipelines.run_reprocess import ReprocessRequest, reprocess_store

    with reported():
        refuse_misspelt(context.args)
        started = time.monotonic()
        request = ReprocessRequest(**options, beam_arguments=tuple(context.args))
        ledger = reprocess_store(request, show_progress=not as_json)
        seconds = time.monotonic() - started
    if as_json:
        took = {"seconds": round(seconds, 2)}
        click.echo(json.dumps({**ledger, **took, "checkpoint": checkpoint_of(request.store)}))
    else:
        print_reprocessing(ledger, seconds)
        click.echo(checkpoint_text(request.store))
    with reported():
        tell_of_versions(request.contract_files)
    if ledger["opened"]["broken"]:
        context.exit(EXIT_PROMISE_BROKEN)
