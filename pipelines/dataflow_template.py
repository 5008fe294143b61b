"""The entry point of the flex template: parameters of a launch become the command line of ``cofferdam run``.

A launch gives every parameter as ``--name=value``, names with underscores, and adds options for Beam. What is
a parameter of the command is spelt as the command spells it; everything else goes on as it is. The launcher
ends when the graph is handed over: the run reconciles, commits and logs in its last steps.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pipelines.run_command import run

FIXED = ("--no-wait", "--json")
"""What the command is always given: nobody waits, and nobody looks at a terminal."""


def command_line(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``cofferdam run`` for those of a launch.

    Args:
        arguments: ``--name=value`` each; several inputs are separated by commas.
    """
    ours = {option.lstrip("-").replace("-", "_"): option for option in _options()}
    made: list[str] = list(FIXED)
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        option = ours.get(name)
        if option is None or not equals:
            made.append(argument)
        elif option == "--input":
            made += [part for pattern in value.split(",") for part in (option, pattern)]
        else:
            made += [option, value]
    return made


def _options() -> list[str]:
    return [
        name
        for parameter in run.params
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
        if name.startswith("--")
    ]


def main() -> None:
    """Launch; the exit code is that of ``cofferdam run``."""
    run.main(command_line(sys.argv[1:]), prog_name="cofferdam run")


if __name__ == "__main__":
    main()
