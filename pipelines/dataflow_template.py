"""The entry point of the flex templates: parameters of a launch become the command line of a command.

A launch gives every parameter as ``--name=value``, names with underscores, and adds options for Beam. What is
a parameter of the command is spelt as the command spells it; everything else goes on as it is. The launcher
ends when the graph is handed over: the job commits and logs in its last steps.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import click

from pipelines.release_command import release
from pipelines.run_command import run
from schemas.errors import EXIT_CONFIGURATION

COMMANDS: Mapping[str, click.Command] = {"ingest": run, "release": release}
"""What an image launches, by the side of the keys that it is given."""

FIXED = ("--no-wait", "--json")
"""What a command is always given: nobody waits, and nobody looks at a terminal."""


def command_line(command: click.Command, arguments: Sequence[str]) -> list[str]:
    """The arguments of a command for those of a launch.

    Args:
        command: The command.
        arguments: ``--name=value`` each; several values of what may be given several times are separated by
            commas.
    """
    ours = {flag.lstrip("-").replace("-", "_"): (flag, option) for flag, option in _options(command)}
    made: list[str] = list(FIXED)
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if name not in ours or not equals:
            made.append(argument)
            continue
        flag, option = ours[name]
        values = value.split(",") if option.multiple else [value]
        made += [part for each in values for part in (flag, each)]
    return made


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            yield from ((flag, parameter) for flag in parameter.opts if flag.startswith("--"))


def main(side: str) -> None:
    """Launch; the exit code is that of the command.

    Args:
        side: Which side of the keys the image has: ``ingest`` or ``release``.
    """
    command = COMMANDS.get(side)
    if command is None:
        click.echo(f"Error: COFFERDAM_SIDE is one of {', '.join(COMMANDS)}; build the image again", err=True)
        raise SystemExit(EXIT_CONFIGURATION)
    command.main(command_line(command, sys.argv[1:]), prog_name=f"cofferdam {command.name}")
