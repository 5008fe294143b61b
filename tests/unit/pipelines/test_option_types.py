"""Numbers that are none stop no bound from holding, and all missing options are named at once."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.option_types import FiniteRange, PatientCommand


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


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--digest-days"],
        ["erase", "--live-days"],
        ["erase", "--rejected-days"],
        ["reprocess", "--live-days"],
        ["drift", "show", "--rejected-days"],
    ],
    ids=" ".join,
)
def test_more_days_than_a_calendar_has_are_refused(words: list[str]) -> None:
    result = CliRunner().invoke(cli, [*words, "1000000"])
    assert (result.exit_code, "1000000 is not in the range" in result.output) == (2, True)


@click.command(cls=PatientCommand, context_settings={"ignore_unknown_options": True})
@click.option("--store", required=True)
@click.option("-k", "--keys", required=True)
@click.option("--purpose", required=True, multiple=True)
@click.option("--more")
def patient(**_: object) -> None:
    """Wants three options."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((), "Missing options: --store, --keys, --purpose"),
        (("--purpose", "x"), "Missing options: --store, --keys"),
        (("--store", "x", "--more", "--keys"), "Missing options: --keys, --purpose"),
        (("--store", "x", "-k", "y"), "Missing option '--purpose'"),
        (("--keys",), "Option '--keys' requires an argument"),
    ],
)
def test_all_missing_options_are_named_at_once(given: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(patient, given)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_help_and_whole_command_lines_need_no_patience() -> None:
    assert CliRunner().invoke(patient, ["--help"]).exit_code == 0
    assert CliRunner().invoke(patient, ["--store", "a", "--keys", "b", "--purpose", "c"]).exit_code == 0


ERASE = ("--store", "--keys", "--consents", "--registry", "--as-of")
NEEDED = ["--store", "--keys", "--consents", "--registry", "--purpose", "--recipient", "--as-of"]


def test_the_help_of_a_release_marks_what_it_needs() -> None:
    shown = re.split(r"\n  (?=-)", CliRunner().invoke(cli, ["release", "--help"]).output)
    marked = [part.split()[0] for part in shown if part.rstrip().endswith("[required]")]
    assert marked == NEEDED


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["release"], f"Missing options: {', '.join(NEEDED)}"),
        (["erase", "--store", "s"], "Missing options: --keys, --consents, --registry, --as-of"),
        (
            [
                *("erase", "--store", "s", "--keys", "k", "--consents", "c"),
                *("--registry", "r", "--as-of", "t"),
            ],
            "say what to erase",
        ),
        (["run"], "Missing options: --input, --store, --keys"),
        (
            ["run", "--input", "i", "--store", "s", "--keys", "k", "--release-keys", "r", "--as-of", "t"],
            "a release needs --consents, --registry, --purpose, --recipient",
        ),
    ],
    ids=["release", "erase", "erase nothing", "run", "run and release"],
)
def test_a_usage_error_is_said_before_the_engine_is_loaded(words: list[str], said: str) -> None:
    code = (
        "import sys; from click.testing import CliRunner; from pipelines.cli import cli; "
        "result = CliRunner().invoke(cli, sys.argv[1:]); print(result.exit_code, result.stderr); "
        "print('apache_beam' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert (shown.stdout.split()[0], said in shown.stdout) == ("2", True), shown.stdout
    assert shown.stdout.split()[-1] == "False"
