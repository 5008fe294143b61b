"""``cofferdam subject``: give a person what is held about them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import PatientCommand
from pipelines.shared_options import inputs_of_decisions, ways_to_telemetry
from schemas.errors import EXIT_PROMISE_BROKEN

_PATH = click.Path(path_type=Path)


@click.group(name="subject")
def subject() -> None:
    """Answer a person who asks what is held about them."""


@subject.command(name="export", cls=PatientCommand)
@inputs_of_decisions
@click.option(
    "--subject",
    "asked",
    required=True,
    metavar="TYPE:ID",
    help="The person, under any registered identifier, such as email:ada@example.org.",
)
@click.option("--as-of", required=True, metavar="TIME", help="Instant of the answer (RFC 3339).")
@click.option("--output", type=_PATH, metavar="FILE.zip", help="A new file; needed but for --dry-run.")
@click.option("--dry-run", is_flag=True, help="Only say what is there; open and write nothing.")
@ways_to_telemetry
@click.option(
    "--registry-signer",
    metavar="THUMBPRINT",
    help="Thumbprint of the key that must have signed for the registry; `consent lint` shows it.",
)
@click.option("--allow-test-keys", is_flag=True, help="Take keys marked test for keys.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def export(
    context: click.Context,
    /,
    asked: str,
    output: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Write everything that is held about a person to one archive (GDPR articles 15 and 20).

    It holds their telemetry under every pseudonym, their presence in meetings, consent records, decisions
    that concern them, what was released, recalled, opened and destroyed of theirs, and the sealed content
    that they alone have sent, opened for it. Others are never in it: their names are left out, and content
    that others may be in is named and stays closed. Begin with its index.html.

    Every opening is decided, signed and logged. Make sure first that whoever asks is the person.

    Exit codes: 0 written, or nothing is held; 1 written, but some of it could not be opened, or the audit log
    was changed; 2 usage, registry, or a subject that is not one person; 3 a key, file or store could not be
    used.
    """
    from pipelines.audit_report import checkpoint_of, checkpoint_text
    from pipelines.consent_registry import told_of_types
    from pipelines.run_subject_export import SubjectOptions, run_subject_export

    if (output is None) != dry_run:
        raise click.UsageError("name a new file with --output, or --dry-run to only look")
    with reported():
        told = run_subject_export(SubjectOptions(**options, subject=asked, output=output))
    store = options["store"]
    if as_json:
        shown = told if dry_run else {**told, "checkpoint": checkpoint_of(store)}
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo("\n".join(_lines(told, output)))
        if not told["registered"] and (types := told_of_types([asked], options["contract_files"])):
            click.echo(types)
        if not dry_run:
            click.echo(checkpoint_text(store))
    if told["content"]["broken"]:
        context.exit(EXIT_PROMISE_BROKEN)


def _lines(told: Mapping[str, Any], output: Path | None) -> Iterator[str]:
    content, held = told["content"], told["held_back"]
    if not told["sections"] and not content["items"]:
        yield "Nothing is held about this person under the identifiers that are known."
    for name, rows in told["sections"].items():
        yield f"{name}: {rows:,} {'row' if rows == 1 else 'rows'}"
    if content["items"]:
        done = f"{content['to_open']:,} to open" if told["dry_run"] else f"{content['opened']:,} opened"
        yield f"sealed content: {content['items']:,} items, {done}"
    yield from (f"  named only, {why}: {number:,}" for why, number in content["closed"].items())
    yield from (f"  could not be opened, {code}: {number:,}" for code, number in content["broken"].items())
    if not told["registered"]:
        yield (
            "The person is not in the registry, and was looked for under the identifier given alone. Check "
            "TYPE and ID, or register the person, and run again"
        )
    if told["erasure_waits"]:
        yield "An erasure of this person was ordered and has not ended"
    if held["identifiers"]:
        yield f"Held back: {held['identifiers']:,} identifiers of the person that others claim, too"
    if held["records"]:
        yield f"Held back: {held['records']:,} consent records that may be the person's and nobody can tell"
    if held["visits"]:
        yield f"Held back: {held['visits']:,} visits under which others are named, too"
    if output is not None:
        yield f"Wrote {output} ({told['files']:,} files, readable by you alone), SHA-256 {told['sha256']}"
    yield f"As of {told['as_of']}. Run {told['run_id']}"
