"""The options that go on to Beam: what Beam would pass over in silence is refused before anything is made."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

import click

from pipelines.dataflow_options import is_dataflow, refuse_out_of_reach, refuse_unfit
from schemas.errors import ConfigurationError

_IN_PROCESS = ("", "direct", "directrunner", "fnapi", "fnapirunner")


def is_in_process(runner: str | None) -> bool:
    """Whether a name, spelt in any way that Beam takes, means the runner in this process, as no name does."""
    module, dot, name = (runner or "").lower().rpartition(".")
    return name in _IN_PROCESS and (not dot or module.startswith("apache_beam."))


def refuse_misspelt(arguments: Sequence[str]) -> None:
    """Beam ignores what it does not know; what was meant for us or for it must not be ignored.

    Runners other than Beam's own in this process may know options of which only they tell, later: for these,
    any word with an underscore passes.

    Raises:
        ConfigurationError: An option is misspelt (UNKNOWN_OPTION), has no value that it may have, or none of
            the runner's (BEAM_OPTION_INVALID); no such runner is here (RUNNER_UNKNOWN); or a value follows
            no option, as it does where a shell has spelt out a pattern (UNEXPECTED_VALUE).
    """
    context = click.get_current_context(silent=True)
    ours = {name for param in context.command.params for name in param.opts} if context else set()
    for argument in arguments:
        # One dash and a letter is never Beam's, but for -h, with which its parser would end the process.
        if argument.startswith("-") and argument[1:2].isalpha():
            raise _unknown(argument, ours)
    known, options, left = _parsed(arguments)
    if is_dataflow(options.runner) and context:
        refuse_out_of_reach(context.command.name or "", context.params)
    # Beam itself knows all options for Dataflow.
    has_own_options = not is_in_process(options.runner) and not is_dataflow(options.runner)
    _refuse_left(left, ours, known, has_own_options=has_own_options)
    _check_runner(options, arguments)
    _check_environment(options)
    if is_dataflow(options.runner):
        refuse_unfit(arguments)


def _parsed(arguments: Sequence[str]) -> tuple[set[str], Namespace, list[str]]:
    """Names of all of Beam's options, what they are set to, and the arguments that it would pass over."""
    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[Any] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    (parser,) = parsers
    parser.error = _refuse
    known = {name for action in parser._actions for name in action.option_strings}
    options, left = parser.parse_known_args(list(arguments))
    return known, options, left


def _refuse(message: str) -> NoReturn:
    raise ConfigurationError("BEAM_OPTION_INVALID", message)


def _refuse_left(left: Sequence[str], ours: set[str], known: set[str], *, has_own_options: bool) -> None:
    before = ""
    for argument in left:
        name = argument.split("=")[0]
        if not argument.startswith("-"):
            if not before.startswith("-") or "=" in before:
                raise ConfigurationError(
                    "UNEXPECTED_VALUE",
                    f"{argument} belongs to no option; put patterns in quotes, after --input",
                )
        elif not has_own_options or "_" not in name or name.replace("_", "-") in ours:
            raise _unknown(name, ours | known)
        before = argument


def _unknown(name: str, others: Collection[str]) -> ConfigurationError:
    if name == "--no-wait":
        return ConfigurationError(
            "UNKNOWN_OPTION",
            "--no-wait is for run and release; this command waits, to delete what it replaced",
        )
    near = get_close_matches(name, sorted(others), 1) or get_close_matches(
        name.replace("_", "-"), sorted(others), 1
    )
    advice = f"did you mean {near[0]}?" if near else "see cofferdam run --help"
    return ConfigurationError("UNKNOWN_OPTION", f"{name} is no option of this command or of Beam; {advice}")


def _check_runner(options: Namespace, arguments: Sequence[str]) -> None:
    from apache_beam.runners.runner import create_runner

    name = options.runner
    if is_in_process(name):
        if options.direct_num_workers < 0:
            _refuse("argument --direct_num_workers: at least 1, or 0 for as many as there are cores")
        if options.job_endpoint:
            _refuse("argument --job_endpoint: name its runner, too: --runner FlinkRunner or PortableRunner")
        return
    try:
        create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigurationError("RUNNER_UNKNOWN", f"{name} is no runner here: {error}") from None
    for given in _names(arguments):
        if given.startswith("--direct_"):
            _refuse(f"argument {given}: is for DirectRunner alone; {name} would pass over it")


def _check_environment(options: Namespace) -> None:
    """Where workers are started as Beam reads it, which shows a traceback if it cannot."""
    given, kind = options.environment_config or "", options.environment_type
    if kind == "PROCESS" and (given or not options.environment_options):
        needed, example = "command", '{"command": "/path/to/deploy/flink/worker"}'
    elif kind == "EXTERNAL" and given.lstrip().startswith("{"):
        needed, example = "url", '{"url": "localhost:50000"}'
    else:
        return
    try:
        found = json.loads(given)
        holds = isinstance(found[needed], str) and found[needed] != ""
    except (ValueError, TypeError, KeyError, RecursionError):
        holds = False
    if not holds:
        raise ConfigurationError(
            "ENVIRONMENT_CONFIG_INVALID",
            f"--environment_config is no JSON object with a {needed}, as --environment_type {kind} needs it; "
            f"such as, in single quotes, '{example}'",
        )


def _names(arguments: Sequence[str]) -> Iterator[str]:
    return (argument.split("=")[0] for argument in arguments if argument.startswith("--"))
