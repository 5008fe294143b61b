"""``cofferdam ledger``: what a run came to that nobody waited for."""

from __future__ import annotations

import json
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import PatientCommand
from schemas.errors import EXIT_INFRASTRUCTURE, InfrastructureFault

_EXIT_CODES = """\b
Exit codes:
  0  it is committed
  2  usage, or no such store
  3  it is not committed (yet), the store cannot be read, or a release was stopped and released nothing"""

no_wait_option = click.option(
    "--no-wait",
    is_flag=True,
    help="End when the engine has taken the job; it commits by itself; `cofferdam ledger` shows the result.",
)


@click.command(name="ledger", cls=PatientCommand, epilog=_EXIT_CODES)
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option("--run", "run_id", metavar="ID", help="The run; the last that was committed if none is named.")
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def ledger(context: click.Context, /, store: str, run_id: str | None, as_json: bool) -> None:
    """Tell what a run or a release came to, from the manifest that it committed.

    A run that is not committed has changed nothing. Whether it is still on its way, the engine tells.
    """
    with reported():
        kind, found = read_ledger(store, run_id)
    if as_json:
        click.echo(json.dumps(found))
    else:
        _print(kind, found, store)
    if found.get("stopped"):
        click.echo(stopped_text(found), err=True)
        context.exit(EXIT_INFRASTRUCTURE)


def read_ledger(store: str, run_id: str | None) -> tuple[str, dict[str, Any]]:
    """Kind and ledger of a run that was committed, or of the last one.

    Raises:
        InfrastructureFault: It is not committed (``RUN_NOT_COMMITTED``), or the store cannot be read.
    """
    from transforms.store import Store

    manifests = Store.open(store).snapshot.manifests
    for manifest in reversed(manifests):
        if "ledger" in manifest.facts and run_id in (None, manifest.run_id):
            return str(manifest.facts.get("kind", "")), dict(manifest.facts["ledger"])
    message = "no such run is committed; it has changed nothing, and may still be on its way"
    raise InfrastructureFault("RUN_NOT_COMMITTED", message)


def _print(kind: str, found: dict[str, Any], store: str) -> None:
    if kind == "ingest":
        from pipelines.run_report import print_ledger

        print_ledger(found, store, None)
    elif kind == "release":
        from pipelines.release_report import print_release

        print_release(found, store, None)
    else:
        click.echo(json.dumps(found, indent=2))


def stopped_text(found: dict[str, Any]) -> str:
    """Why a release released nothing."""
    return (
        f"Error: {found['stopped']}: records or registry changed or were lost while the release ran; "
        "everything is held, run again"
    )


def tell_submitted(found: dict[str, Any], store: str, *, as_json: bool) -> int:
    """Say that a run was handed over and not waited for; gives the exit code."""
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(f"Handed over as run {found['run_id']}. When it has ended:")
        click.echo(f"  cofferdam ledger --store {store} --run {found['run_id']}")
    return 0
