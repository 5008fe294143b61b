"""``cofferdam generate``: make realistic meeting events to try things out with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipelines.command_errors import reported
from pipelines.generator import (
    CONSENTS_FILE,
    DECISIONS_FILE,
    EVENTS_FOLDER,
    EXPECTED_FILE,
    REGISTRY_FOLDER,
    SHAPES,
    Settings,
)
from pipelines.generator import generate as generate_events


@click.command(name="generate")
@click.option("--events", type=click.IntRange(1), required=True, help="Number of records to make.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds give equal files.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="A folder that does not exist or is empty.",
)
@click.option(
    "--shape",
    type=click.Choice(list(SHAPES)),
    default="mixed",
    show_default=True,
    help="Whose events the records look like.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the records should come to as JSON.")
def generate(events: int, seed: int, output: Path, shape: str, as_json: bool) -> None:
    """Make realistic meeting events, and what a run over them should come to.

    DIR/events holds the records (JSON lines, one JSON array, one gzip file), DIR/expected/outcomes.json the
    outcomes to expect. DIR/registry is a whole registry, DIR/consents holds signed consent records of the
    people in them, and DIR/expected/decisions.json the decisions to expect for AI training. The signing key
    is marked test: it follows from the seed, and nothing that it signs counts without --allow-test-keys.
    Names, addresses and everything that is said are invented.

    Exit codes: 0 made, 2 DIR is not empty, 3 DIR cannot be written.
    """
    with reported():
        expected = generate_events(Settings(events, seed, shape), output)
    click.echo(json.dumps(expected, indent=2) if as_json else _as_text(expected, output))


def _as_text(expected: dict[str, Any], output: Path) -> str:
    outcomes = ", ".join(f"{number:,} {name}" for name, number in expected["outcomes"].items())
    return (
        f"made {expected['records']:,} records in {output / EVENTS_FOLDER}\n"
        f"expected: {outcomes} ({output / EXPECTED_FILE})\n"
        f"consent records, signed with test keys: {output / CONSENTS_FILE}, registry: "
        f"{output / REGISTRY_FOLDER}, decisions to expect: {output / DECISIONS_FILE}"
    )
