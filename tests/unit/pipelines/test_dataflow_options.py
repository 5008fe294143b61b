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


@pytest.mark.parametrize("command", ["release", "erase", "reprocess"])
def test_what_reads_records_does_not_go_there(command: str) -> None:
    with pytest.raises(ConfigurationError, match="DATAFLOW_INGEST_ONLY"):
        refuse_out_of_reach(command, "gs://bucket-1/s")


def test_a_release_is_refused_before_anything_is_read() -> None:
    options = "--store gs://bucket-1/s --keys k --consents c --registry r --purpose p --recipient first_party"
    result = CliRunner().invoke(
        cli,
        ["release", *options.split(), "--as-of", "2026-01-01T00:00:00Z", "--runner=DataflowRunner"],
    )
    assert (result.exit_code, "DATAFLOW_INGEST_ONLY" in result.stderr) == (2, True), result.output
