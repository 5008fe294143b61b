"""``cofferdam erase``: erase a person, or everything whose reason has ended."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from pipelines.beam_options import refuse_misspelt
from pipelines.command_errors import reported
from pipelines.option_types import DAYS, FiniteRange, PatientCommand
from pipelines.quiet_start import quiet_start
from pipelines.shared_options import inputs_of_decisions, ways_to_telemetry
from schemas.errors import EXIT_PROMISE_BROKEN

_EXIT_CODES = """\b
Exit codes:
  0  erased and checked, or shown with --dry-run
  1  a promise failed: something does not add up, is left, or is not reached
  2  usage or registry
  3  a key, file or store could not be used
  4  more would go than --max-share allows; nothing was changed"""


@click.command(
    name="erase",
    cls=PatientCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=_EXIT_CODES,
)
@inputs_of_decisions
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="TYPE:ID",
    help="A person who has asked for erasure, under any registered identifier; may be given several times.",
)
@click.option("--all-due", is_flag=True, help="Everything whose time, purpose or retention has ended.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and write nothing.")
@click.option(
    "--as-of", required=True, metavar="TIME", help="Instant of the decision (RFC 3339); no clock is read."
)
@click.option(
    "--max-share",
    type=FiniteRange(0, 100),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="Stop if more of items, rejects, telemetry or rosters would go.",
)
@click.option(
    "--live-days",
    type=DAYS,
    default=30,
    show_default=True,
    metavar="DAYS",
    help="How long sealed items live.",
)
@click.option(
    "--rejected-days",
    type=DAYS,
    default=30,
    show_default=True,
    metavar="DAYS",
    help="How long rejected records live.",
)
@ways_to_telemetry
@click.option(
    "--registry-signer",
    metavar="THUMBPRINT",
    help="Thumbprint of the key that must have signed for the registry; `consent lint` shows it.",
)
@click.option("--allow-test-keys", is_flag=True, help="Take keys marked test for keys.")
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def erase(context: click.Context, /, as_json: bool, **options: Any) -> None:
    """Destroy the keys of what is to be erased, then everything else of it, and check that nothing is left.

    --subject erases people: what they have sent, what telemetry tells of them under every pseudonym, and
    their names in rosters, where somebody nameless takes the place. --all-due acts on withdrawals and
    refusals, on the registry's requests and retention, and on the time to live. An erasure that was
    interrupted is finished by the next one, and until then nothing is released.

    All other options go to Beam, for example --runner FlinkRunner.
    """
    if not options["subjects"] and not options["all_due"]:
        raise click.UsageError("say what to erase: --subject TYPE:ID or --all-due")
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.consent_registry import told_of_types
    from pipelines.erase_report import print_erasure

    with quiet_start():
        from pipelines.run_erase import EraseOptions, run_erase

    with reported():
        refuse_misspelt(context.args)
        started = time.monotonic()
        asked = EraseOptions(**options, beam_arguments=tuple(context.args))
        ledger = run_erase(asked, show_progress=not as_json)
        seconds = time.monotonic() - started
    if as_json:
        said: dict[str, Any] = {**ledger, "seconds": round(seconds, 2)}
        click.echo(json.dumps(said if asked.dry_run else {**said, "checkpoint": checkpoint_of(asked.store)}))
    else:
        print_erasure(ledger, seconds, max_share=asked.max_share)
        if ledger["unregistered"] and (types := told_of_types(asked.subjects, asked.contract_files)):
            click.echo(types)
        if not asked.dry_run:
            click.echo(checkpoint_text(asked.store))
    if ledger["unreached"]:
        click.echo(
            "Error: ERASURE_NOT_COVERED: these columns name people and are not reached: "
            + ", ".join(ledger["unreached"]),
            err=True,
        )
        context.exit(EXIT_PROMISE_BROKEN)
