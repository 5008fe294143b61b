"""``cofferdam explain``: what a reason code means, the law behind it, and what would change the outcome."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pipelines.command_errors import reported
from schemas.errors import ConfigurationError
from validation.reasons import CATALOGUE, Reason

_EFFECTS = {
    "REJECT": "The item is rejected for this purpose.",
    "ERASE": "The use stops, and what was released for it is deleted.",
    "QUARANTINE": "The item stays sealed.",
    "ADVISORY": "Nothing is held because of it.",
}


@click.command(name="explain")
@click.argument("code", required=False, metavar="[CODE]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(code: str | None, as_json: bool) -> None:
    """Explain a reason CODE; without one, list all codes with a sentence each.

    Exit codes: 0 explained, 2 there is no such code.
    """
    with reported():
        chosen = list(CATALOGUE.values()) if code is None else [_reason(code)]
    if as_json:
        shown = [asdict(reason) for reason in chosen]
        click.echo(json.dumps(shown if code is None else shown[0], indent=2))
    elif code is None:
        click.echo("\n".join(f"{reason.code}: {reason.sentence}" for reason in chosen))
    else:
        click.echo(_as_text(chosen[0]))


def _reason(code: str) -> Reason:
    try:
        return CATALOGUE[code.upper()]
    except KeyError:
        message = "there is no such reason code; `cofferdam explain` lists all"
        raise ConfigurationError("REASON_UNKNOWN", message) from None


def _as_text(reason: Reason) -> str:
    lines = (
        f"{reason.code} (rank {reason.rank}, {reason.action})",
        f"  What:  {reason.sentence}",
        f"  Means: {_EFFECTS[reason.action]}",
        f"  Law:   {reason.hook}",
        f"  Cure:  {reason.cure}",
    )
    return "\n".join(lines)
