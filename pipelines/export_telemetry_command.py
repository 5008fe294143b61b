"""``cofferdam export-telemetry``: take out the telemetry that may be used for a purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.option_types import PatientCommand, PlaceType
from pipelines.quiet_start import quiet_start
from schemas.consent_sets import RECIPIENTS
from schemas.places import Place

_PATH = click.Path(path_type=Path)


@click.command(name="export-telemetry", cls=PatientCommand)
@click.option("--store", required=True, metavar="DIR", help="The store.")
@click.option(
    "--keys",
    "keys_path",
    required=True,
    type=_PATH,
    metavar="DIR",
    help="The release side: KEYS/release. It signs the audit log.",
)
@click.option(
    "--consents",
    multiple=True,
    required=True,
    type=PlaceType(),
    metavar="PATH",
    help="The records that the release read; may be given several times.",
)
@click.option("--registry", required=True, type=PlaceType(), metavar="DIR", help="The registry.")
@click.option("--purpose", required=True, metavar="P", help="Registered purpose.")
@click.option("--recipient", required=True, type=click.Choice(RECIPIENTS), help="Who is to receive it.")
@click.option("--output", required=True, type=_PATH, metavar="DIR", help="A new folder for Parquet files.")
@click.option("--json", "as_json", is_flag=True, help="Print the lineage as JSON.")
def export_telemetry(
    store: str,
    keys_path: Path,
    consents: tuple[Place, ...],
    registry: Place,
    purpose: str,
    recipient: str,
    output: Path,
    as_json: bool,
) -> None:
    """Write the telemetry that the last release decided may be used for a purpose.

    Telemetry is who met whom, when, and on what device: using it for more than running the service is decided
    like content, meeting by meeting. What was decided with other records, another registry or other rows than
    there are now counts no longer; run `cofferdam release` again. Beside the Parquet files, lineage.json says
    what they rest on. The export stays on record in the store and in its audit log, so that an erasure can
    name it to be recalled.

    Exit codes: 0 written, 1 the audit log was changed, 2 nothing was decided for the purpose or the folder
    exists, 3 the decisions are out of date, an erasure is not finished, or a file cannot be used.
    """
    from pipelines.audit_report import checkpoint_of, checkpoint_text

    with quiet_start():
        from transforms.telemetry_export import Export, export_telemetry
    from transforms.keys import load_release_keys

    with reported():
        keys = load_release_keys(keys_path)
        export = Export(store, purpose, recipient, tuple(map(str, consents)), str(registry), keys)
        lineage = export_telemetry(export, output)
    if as_json:
        click.echo(json.dumps({**lineage, "checkpoint": checkpoint_of(store)}, indent=2))
    else:
        click.echo(_as_text(lineage, output))
        click.echo(checkpoint_text(store))


def _as_text(lineage: dict[str, Any], output: Path) -> str:
    lines = [
        f"{table['table']}: {table['rows']:,} rows written, {table['held']:,} held"
        for table in lineage["tables"]
    ]
    use = f"{lineage['purpose']} to {lineage['recipient']}, as of {lineage['as_of']}"
    if lineage["test_keys"]:
        lines.append(f"Test keys were allowed: {', '.join(lineage['test_keys'])}. Not for real use.")
    return "\n".join([*lines, f"{lineage['rows']:,} rows for {use}, in {output}"])
