"""``cofferdam run``: take events apart into telemetry and sealed content, on any Beam runner."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from pipelines.beam_options import refuse_misspelt
from pipelines.command_errors import reported
from pipelines.ledger_command import no_wait_option, tell_submitted
from pipelines.option_types import DAYS, FiniteRange, PatientCommand
from pipelines.quiet_start import quiet_start
from pipelines.release_options import release_arguments, release_options
from schemas.errors import EXIT_TOO_MUCH_HELD

_EXIT_CODES = """\b
Exit codes:
  0  complete and reconciled
  1  a promise failed (the run did not reconcile, or a canary was found); nothing was committed
  2  usage or configuration
  3  a key, file or store could not be used; nothing was committed
  4  committed, but more was held than --max-held-ratio allows"""


@click.command(
    cls=PatientCommand,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog=_EXIT_CODES,
)
@click.option(
    "--input",
    "patterns",
    multiple=True,
    required=True,
    metavar="PATTERN",
    help="File, folder or glob of events; may be given several times. JSON lines, JSON arrays, single JSON "
    "documents, and gzip or zstd of these.",
)
@click.option(
    "--store", required=True, metavar="DIR", help="The store to append to; made if it is not there."
)
@click.option(
    "--keys",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The ingest side: KEYS/ingest.",
)
@click.option(
    "--source",
    type=click.Choice(["auto", "zoom", "zoom_rtms", "cofferdam"]),
    default="auto",
    show_default=True,
    help="The platform the events come from; auto tells them apart record by record.",
)
@click.option(
    "--contracts",
    "contract_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Contract files and folders to use instead of the bundled ones; may be given several times.",
)
@click.option(
    "--max-held-ratio",
    type=FiniteRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of records that may be rejected or of unknown type before the exit code is 4.",
)
@click.option(
    "--record-cap",
    type=click.IntRange(min=1024),
    default=16 << 20,
    show_default=True,
    metavar="BYTES",
    help="Longest record; a longer one is sealed in pieces as a reject.",
)
@click.option(
    "--split-bytes",
    type=click.IntRange(min=4096),
    default=64 << 20,
    show_default=True,
    metavar="BYTES",
    help="Size of the ranges in which uncompressed JSON lines are read in parallel.",
)
@click.option(
    "--digest-days",
    type=DAYS,
    default=None,
    metavar="DAYS",
    help="Look for duplicates among the digests of so many past days only (default: all of the store's).",
)
@click.option(
    "--canaries",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    metavar="N",
    help="Plant N events of a reserved tenant, with a random word in every field that is not service data, "
    "and search all that the run writes for these words before it commits. They are kept nowhere.",
)
@click.option(
    "--release-keys",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The release side: KEYS/release. With it, and the options from --consents on, a release follows in "
    "a process of its own; this one never opens the private key.",
)
@release_options
@no_wait_option
@click.option("--json", "as_json", is_flag=True, help="Print the ledger as JSON.")
@click.pass_context
def run(
    context: click.Context,
    /,
    patterns: tuple[str, ...],
    store: str,
    keys: Path,
    source: str,
    contract_files: tuple[Path, ...],
    max_held_ratio: float,
    record_cap: int,
    split_bytes: int,
    digest_days: int | None,
    canaries: int,
    release_keys: Path | None,
    no_wait: bool,
    as_json: bool,
    **release: Any,
) -> None:
    """Take meeting events apart: typed telemetry into tables, content sealed into quarantine.

    Every record ends in exactly one outcome (separated, rejected, unknown type, duplicate), and the run fails
    if what was read and what became of it do not agree. Running the same input again adds nothing.

    All other options go to Beam, for example --runner FlinkRunner, or
    --direct_num_workers 2 --direct_running_mode multi_processing. DirectRunner, the default, is Beam's
    in-process runner; it downloads nothing.
    """
    if no_wait and release_keys is not None:
        raise click.UsageError("a release can follow only a run that is waited for; leave --no-wait away")
    following = release_arguments(store, release_keys, as_json, release)
    with quiet_start():
        from pipelines.refused_places import if_unchanged, listed, refused_places
        from pipelines.run_ingest import IngestRequest, run_ingest
        from pipelines.worker_paths import as_workers_see_it
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.contract_versions import tell_of_versions
    from pipelines.run_report import print_ledger

    today = datetime.now(UTC).date()
    request = IngestRequest(
        patterns=patterns,
        store=store,
        keys=keys,
        source=source,
        contract_files=contract_files,
        record_cap=record_cap,
        split_bytes=split_bytes,
        received=today,
        digest_since=_since(today, digest_days),
        beam_arguments=tuple(context.args),
        canaries=canaries,
        wait=not no_wait,
    )
    with reported():
        refuse_misspelt(context.args)
        read = as_workers_see_it(request)
        inputs = listed(read.patterns)
        started, cpu = time.monotonic(), time.process_time()
        ledger = run_ingest(request, show_progress=not as_json)
        if no_wait:
            context.exit(tell_submitted(ledger, store, as_json=as_json))
        elapsed = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
        places = refused_places(store, ledger["run_id"], if_unchanged(inputs, read.patterns))
        if as_json:
            took = {key: round(value, 2) for key, value in elapsed.items()}
            click.echo(json.dumps({**ledger, **took, "refused": places, "checkpoint": checkpoint_of(store)}))
        else:
            print_ledger(ledger, store, elapsed["seconds"], places=places)
            click.echo(checkpoint_text(store))
        tell_of_versions(contract_files)
    exit_code = _exit_code(ledger, max_held_ratio)
    if following is not None:
        exit_code = _release_after(following, context.args) or exit_code
    context.exit(exit_code)


def _release_after(arguments: Sequence[str], beam_arguments: Sequence[str]) -> int:
    """Run the release in a process of its own: only that one opens the private key."""
    main = "from pipelines.cli import main; main()"
    return subprocess.run([sys.executable, "-c", main, *arguments, *beam_arguments], check=False).returncode  # noqa: S603


def _since(today: date, days: int | None) -> date | None:
    return None if days is None else today - timedelta(days=days)


def _exit_code(ledger: dict[str, Any], max_held_ratio: float) -> int:
    outcomes = ledger["outcomes"]
    held = outcomes.get("rejected", 0) + outcomes.get("unknown", 0)
    # A quotient is rounded as the ratio was when it was read; a product might exceed a bound that it meets.
    if held / max(ledger["records"], 1) > max_held_ratio:
        click.echo(
            f"{held} of {ledger['records']} records are held as rejects or unknown types, more than "
            f"--max-held-ratio {max_held_ratio} allows; see the reasons above.",
            err=True,
        )
        return EXIT_TOO_MUCH_HELD
    return 0
