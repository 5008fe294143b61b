"""What goes on to Beam is Beam's: nothing misspelt is passed over, and no choice of a runner is in vain."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st

from pipelines.beam_options import is_in_process, refuse_misspelt
from pipelines.run_ingest import make_pipeline
from schemas.errors import ConfigurationError

BEAMS_OWN = sorted(
    f"--{name}" for name, value in PipelineOptions([]).get_all_options().items() if value is not False
)


def refused(*arguments: str) -> str:
    """The code with which arguments are refused, and the message."""
    with pytest.raises(ConfigurationError) as caught:
        refuse_misspelt(arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--runner", "FlinkRunner"],
        ["--runner=FlinkRunner", "--streaming", "--parallelism", "4"],
        ["--direct_num_workers=2", "--direct_running_mode", "multi_processing", "--experiments", "a"],
        ["--experiments", "a", "--experiments", "b"],
        ["--direct_num_workers", "0"],
        ["--project", "p", "--region", "r"],
        ["--runner", "SparkRunner", "--an_option_of_the_server", "5", "--another_one=6", "--and_a_flag"],
    ],
)
def test_beams_own_options_pass(arguments: list[str]) -> None:
    refuse_misspelt(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--jsn"], ["--direct_num_worker", "2"], ["--direct_num_worker=2"], ["--direct-num-workers", "2"]),
        *(["--streamin"], ["--runnr", "FlinkRunner"], ["-x"], ["-h"], ["-x", "2"], ["--no_such_option"]),
        *(["--runner", "FlinkRunner", "--jsn"], ["--runner=FlinkRunner", "--paralelism", "4"]),
    ],
)
def test_what_nobody_knows_is_refused(arguments: list[str]) -> None:
    assert refused(*arguments).startswith("UNKNOWN_OPTION")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("--direct_num_worker", "--direct_num_workers"), ("--direct-running-mode", "--direct_running_mode")],
)
def test_what_was_meant_is_named(given: str, meant: str) -> None:
    assert f"did you mean {meant}?" in refused(given)
    assert "see cofferdam run --help" in refused("--zzzzzzzzzzzz")


@pytest.mark.parametrize(
    "arguments",
    [["a.jsonl"], ["--streaming", "a.jsonl"], ["--runner=FlinkRunner", "a"], ["--region", "r", "a", "b"]],
)
def test_a_value_that_belongs_to_no_option_is_refused(arguments: list[str]) -> None:
    assert refused(*arguments).startswith("UNEXPECTED_VALUE")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--direct_running_mode", "bogus"], "invalid choice: 'bogus'"),
        (["--direct_num_workers", "two"], "invalid int value: 'two'"),
        (["--direct_num_workers"], "expected one argument"),
        (["--direct_num_workers", "-1"], "at least 1"),
        (["--streaming=yes"], "ignored explicit argument"),
        (["--runner", "FlinkRunner", "--direct_num_workers", "2"], "DirectRunner alone"),
        (["--direct_running_mode=multi_processing", "--runner=SparkRunner"], "DirectRunner alone"),
        (["--job_endpoint", "localhost:8099"], "name its runner"),
    ],
)
def test_what_beam_could_not_take_is_told_in_a_line(
    arguments: list[str], why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(*arguments)
    assert message.startswith("BEAM_OPTION_INVALID")
    assert why in message
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def worker(kind: str, config: str | None) -> list[str]:
    given = [] if config is None else ["--environment_config", config]
    return ["--runner", "FlinkRunner", "--environment_type", kind, *given]


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        *(
            ("PROCESS", config)
            for config in ("{command: /w}", '{"comand": "/w"}', '{"command": ""}', "[1]", "7")
        ),
        *(
            ("PROCESS", config)
            for config in (None, "", "/w", '{"command": 1}', "[" * 100_000, '{"command": "/w"')
        ),
        *(("EXTERNAL", config) for config in ("{url: h:1}", '{"url": ""}', ' {"address": "h:1"}')),
    ],
)
def test_what_starts_workers_is_read_before_anything_is_made(kind: str, config: str | None) -> None:
    message = refused(*worker(kind, config))
    assert message.startswith("ENVIRONMENT_CONFIG_INVALID: --environment_config is no JSON object with a ")
    assert len(message) < 300


@pytest.mark.parametrize(
    "arguments",
    [
        worker("PROCESS", '{"command": "/w", "env": {"A": "b"}}'),
        [
            "--runner",
            "FlinkRunner",
            "--environment_type",
            "PROCESS",
            "--environment_options",
            "process_command=/w",
        ],
        worker("EXTERNAL", "localhost:50000"),
        worker("EXTERNAL", '{"url": "localhost:50000"}'),
        worker("DOCKER", "image:1"),
        worker("LOOPBACK", None),
    ],
)
def test_what_starts_workers_passes(arguments: list[str]) -> None:
    refuse_misspelt(arguments)


def test_who_always_waits_says_so() -> None:
    assert "this command waits" in refused("--no-wait")


@pytest.mark.parametrize("name", ["NoSuchRunner", "no.such.module.Runner", "json.NoSuchRunner", "."])
def test_a_runner_that_is_not_here_is_told_before_anything_is_made(name: str) -> None:
    assert refused("--runner", name).startswith(f"RUNNER_UNKNOWN: {name} is no runner here")


@pytest.mark.parametrize(
    "name",
    ["", "DirectRunner", "directrunner", "direct", "Direct", "FnApiRunner", "apache_beam.x.DirectRunner"],
)
def test_the_runner_of_this_process_goes_by_all_of_beams_names(name: str) -> None:
    # The runner that Beam itself puts behind these names begins by trying to download another engine.
    assert is_in_process(name)
    refuse_misspelt(["--runner", name] if name else [])
    assert isinstance(make_pipeline(["--runner", name] if name else []).runner, FnApiRunner)


@pytest.mark.parametrize(
    "name", ["FlinkRunner", "PrismRunner", "my.own.DirectRunner", "my.Runner", "Runner", "."]
)
def test_no_other_runner_is_taken_for_it(name: str) -> None:
    assert not is_in_process(name)


@given(option=st.sampled_from(BEAMS_OWN), at=st.integers(3, 60), letter=st.sampled_from("qxz_"))
def test_no_option_of_beams_passes_with_a_letter_too_many(option: str, at: int, letter: str) -> None:
    wrong = option[:at] + letter + option[at:]
    assert refused(f"{wrong}=1").startswith("UNKNOWN_OPTION")
