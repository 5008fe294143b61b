"""``cofferdam release``: decide what may leave the quarantine, and release it."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.run_command import refuse_misspelt
from schemas.consent_sets import RECIPIENTS
from schemas.errors import EXIT_INFRASTRUCTURE

_PATH = click.Path(path_type=Path)
_EXIT_CODES = """\b
Exit codes:
  0  decided; what may go was released
  1  a promise failed; nothing was released
  2  usage, registry or policies
  3  a key, file or store could not be used, or records changed so that something may not go any more;
     nothing was released"""


def release_options(command: Any) -> Any:
    """The options that say what to release, and on what grounds."""
    options = [
        click.option(
            "--consents",
            multiple=True,
            type=_PATH,
            metavar="PATH",
            help="Signed consent records: a file or a folder; may be given several times.",
        ),
        click.option("--registry", type=_PATH, metavar="DIR", help="The registry."),
        click.option(
            "--purpose",
            "purposes",
            multiple=True,
            metavar="P",
            help="Registered purpose; may be given several times.",
        ),
        click.option("--recipient", type=click.Choice(RECIPIENTS), help="Who is to receive it."),
        click.option(
            "--as-of",
            metavar="TIME",
            help="Instant of the decision (RFC 3339). The same instant and inputs give the same decisions.",
        ),
        click.option("--allow-test-keys", is_flag=True, help="Take keys marked test for keys."),
        click.option("--case-id", metavar="ID", help="The case, for purposes of single cases."),
        click.option("--approver", "approvers", multiple=True, metavar="ID", help="Who approved the case."),
        click.option("--export-to", metavar="PLACE", help="Where the content is to be taken."),
        click.option("--transfer-mechanism", metavar="NAME", help="What covers that under the law."),
        click.option("--pins", type=_PATH, metavar="FILE", help="Hashes that policies and suites must have."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    name="release",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=_EXIT_CODES,
)
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option("--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release.")
@release_options
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def release(context: click.Context, /, store: str, keys: Path, as_json: bool, **options: Any) -> None:
    """Decide about everything in quarantine, and release what may go.

    Content goes to a purpose only if everybody concerned has agreed, by signed records, and every rule that
    applies is met; everything else stays sealed, each with its reasons. Running it again releases nothing
    twice, and with new records it decides anew.

    All other options go to Beam, for example --runner FlinkRunner.
    """
    from pipelines.release_report import print_release
    from pipelines.run_release import run_release

    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    with reported():
        refuse_misspelt(context.args)
        started = time.monotonic()
        ledger = run_release(
            read_options(store, keys, tuple(context.args), options), show_progress=not as_json
        )
        seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps({**ledger, "seconds": round(seconds, 2)}))
    else:
        print_release(ledger, store, seconds)
    if ledger["stopped"] is not None:
        click.echo(
            f"Error: {ledger['stopped']}: records or registry changed or were lost while the release ran; "
            "everything is held, run again",
            err=True,
        )
        context.exit(EXIT_INFRASTRUCTURE)


def read_options(store: str, keys: Path, beam_arguments: tuple[str, ...], options: dict[str, Any]) -> Any:
    """The options of the command as the run takes them.

    Raises:
        click.UsageError: One that is needed is missing.
    """
    from pipelines.run_release import ReleaseOptions
    from transforms.release_rules import ReleaseRequest

    needed = ("consents", "registry", "purposes", "recipient", "as_of")
    if missing := [name for name in needed if not options[name]]:
        names = ", ".join("--" + name.replace("purposes", "purpose").replace("_", "-") for name in missing)
        raise click.UsageError(f"a release needs {names}")
    return ReleaseOptions(
        store=store,
        keys=keys,
        consents=options["consents"],
        registry=options["registry"],
        request=ReleaseRequest(
            purposes=tuple(dict.fromkeys(options["purposes"])),
            recipient=options["recipient"],
            as_of=options["as_of"],
            case_id=options["case_id"],
            approvers=options["approvers"],
            export_to=options["export_to"],
            transfer_mechanism=options["transfer_mechanism"],
        ),
        allow_test_keys=options["allow_test_keys"],
        pins=options["pins"],
        beam_arguments=beam_arguments,
    )
