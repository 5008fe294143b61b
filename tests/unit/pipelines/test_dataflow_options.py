from __future__ import annotations

import pytest
from click.testing import CliRunner

from pipelines.cli import cli
from pipelines.dataflow_options import is_dataflow, refuse_out_of_reach
from schemas.errors import ConfigurationError

RUN = ("run", "--input", "gs://bucket-1/in", "--keys", "/keys/ingest", "--runner", "DataflowRunner")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DataflowRunner", True),
        ("dataflow", True),
        ("apache_beam.runners.dataflow.dataflow_runner.DataflowRunner", True),
        ("DirectRunner", False),
        ("FlinkRunner", False),
        ("", False),
        (None, False),
    ],
)
def test_dataflow_is_known_by_its_names(name: str | None, meant: bool) -> None:
    assert is_dataflow(name) is meant


def test_a_local_store_is_out_of_reach() -> None:
    result = CliRunner().invoke(cli, [*RUN, "--store", "my-store"])
    assert (result.exit_code, "DATAFLOW_STORE" in result.stderr) == (2, True)


GROUNDS = {"consents": ("gs://bucket-1/consents",), "registry": "gs://bucket-1/registry"}
LOCAL = {"consents": ("consents",), "registry": "registry"}


@pytest.mark.parametrize("command", ["run", "release", "erase"])
def test_commands_go_there_whose_store_and_records_workers_reach(command: str) -> None:
    refuse_out_of_reach(command, {"store": "gs://bucket-1/s", **(GROUNDS if command != "run" else {})})


@pytest.mark.parametrize("command", ["reprocess", "demo", ""])
def test_other_commands_do_not_go_there(command: str) -> None:
    with pytest.raises(ConfigurationError, match="DATAFLOW_NOT_OFFERED"):
        refuse_out_of_reach(command, {"store": "gs://bucket-1/s", **GROUNDS})


@pytest.mark.parametrize("command", ["release", "erase"])
@pytest.mark.parametrize("part", GROUNDS)
def test_records_and_registry_that_workers_do_not_reach_are_refused(command: str, part: str) -> None:
    given = {"store": "gs://bucket-1/s", **GROUNDS, part: LOCAL[part]}
    with pytest.raises(ConfigurationError, match="DATAFLOW_RECORDS"):
        refuse_out_of_reach(command, given)


def test_a_run_asks_for_records_only_where_a_release_follows() -> None:
    given = {"store": "gs://bucket-1/s", "release_keys": None, "consents": (), "registry": None}
    refuse_out_of_reach("run", given)
    with pytest.raises(ConfigurationError, match="DATAFLOW_RECORDS"):
        refuse_out_of_reach("run", {**given, "release_keys": "K/release", **LOCAL})


def test_a_release_is_refused_before_anything_is_read() -> None:
    options = "--store gs://bucket-1/s --keys k --consents c --registry r --purpose p --recipient first_party"
    result = CliRunner().invoke(
        cli,
        ["release", *options.split(), "--as-of", "2026-01-01T00:00:00Z", "--runner=DataflowRunner"],
    )
    assert (result.exit_code, "DATAFLOW_RECORDS" in result.stderr) == (2, True), result.output
