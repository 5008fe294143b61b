"""Options that several commands of the release side share: store, keys, records, registry, contracts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.option_types import PlaceType

_PATH = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def records_and_registry(*, required: bool) -> tuple[Callable[[_Command], _Command], ...]:
    """``--consents`` and ``--registry``, which every decision rests on."""
    return (
        click.option(
            "--consents",
            multiple=True,
            required=required,
            type=PlaceType(),
            metavar="PATH",
            help="Signed consent records: a file or a folder, also on gs://; may be given several times.",
        ),
        click.option(
            "--registry",
            required=required,
            type=PlaceType(),
            metavar="DIR",
            help="The registry, also on gs://.",
        ),
    )


def inputs_of_decisions(command: _Command) -> _Command:
    """``--store``, ``--keys``, ``--consents`` and ``--registry``, all required."""
    options = (
        click.option("--store", required=True, metavar="DIR", help="The store."),
        click.option(
            "--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release."
        ),
        *records_and_registry(required=True),
    )
    return with_options(options, command)


def ways_to_telemetry(command: _Command) -> _Command:
    """``--tenant`` and ``--contracts``: by what else people are called in telemetry."""
    options = (
        click.option(
            "--tenant",
            "tenants",
            multiple=True,
            metavar="ID",
            help="A tenant that the registry does not have, to be searched in telemetry, too.",
        ),
        click.option(
            "--contracts", "contract_files", multiple=True, type=_PATH, metavar="PATH", help="As for run."
        ),
    )
    return with_options(options, command)


def with_options(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    """A command with some options, in this order on its help page."""
    for option in reversed(options):  # a help page lists what was applied last first
        command = option(command)
    return command
