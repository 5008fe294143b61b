"""Options of commands that look for people in a store on the release side, with records and a registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_PATH = click.Path(path_type=Path)
_Command = TypeVar("_Command", bound=Callable[..., Any])


def inputs_of_decisions(command: _Command) -> _Command:
    """``--store``, ``--keys``, ``--consents`` and ``--registry``, all required."""
    options = (
        click.option("--store", required=True, metavar="DIR", help="The store."),
        click.option(
            "--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release."
        ),
        click.option(
            "--consents",
            multiple=True,
            required=True,
            type=_PATH,
            metavar="PATH",
            help="Signed consent records: a file or a folder; may be given several times.",
        ),
        click.option("--registry", required=True, type=_PATH, metavar="DIR", help="The registry."),
    )
    return _with(options, command)


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
    return _with(options, command)


def _with(options: tuple[Callable[[_Command], _Command], ...], command: _Command) -> _Command:
    for option in reversed(options):  # a help page lists what was applied last first
        command = option(command)
    return command
