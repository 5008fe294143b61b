"""Numbers that are none stop no bound from holding."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.option_types import FiniteRange


def given(value: str, kind: click.FloatRange) -> Result:
    @click.command()
    @click.option("--number", type=kind)
    def command(number: float) -> None:
        click.echo(number)

    return CliRunner().invoke(command, ["--number", value])


@pytest.mark.parametrize("value", ["nan", "-nan", "NaN", "inf", "-inf", "infinity", "1e999", "", "x", "-1"])
def test_what_is_no_number_within_the_range_is_refused(value: str) -> None:
    for kind in (FiniteRange(0, 1), FiniteRange(min=0)):
        assert given(value, kind).exit_code == 2


@pytest.mark.parametrize("value", ["0", "1", "0.05", "1e-3", "-0.0"])
def test_bounds_belong_to_the_range(value: str) -> None:
    assert float(given(value, FiniteRange(0, 1)).output) == float(value)


def test_no_command_has_a_number_whose_bound_can_be_made_void() -> None:
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in cli.list_commands(context)]
    while commands:
        command = commands.pop()
        if isinstance(command, click.Group):
            commands += command.commands.values()
        for option in command.params if command else ():
            kind = option.type
            assert kind is not click.FLOAT, option.name
            assert not isinstance(kind, click.FloatRange) or isinstance(kind, FiniteRange), option.name
