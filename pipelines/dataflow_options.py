"""The options of a launch on Dataflow: what the service would refuse after minutes is refused at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from schemas.errors import ConfigurationError

NEEDED = ("project", "region", "temp_location")
"""Options without which Beam would look around: for a default project, a region, a bucket to make."""


def is_dataflow(runner: str | None) -> bool:
    """Whether a name, spelt in any way that Beam takes, means Dataflow."""
    return (runner or "").rpartition(".")[2].lower() in ("dataflowrunner", "dataflow")


def refuse_out_of_reach(command: str, store: str) -> None:
    """Refuse what workers of Dataflow cannot see.

    Args:
        command: Name of the command that is to run there.
        store: The store's root.

    Raises:
        ConfigurationError: The command reads records and a registry, and every worker must see new ones
            (``DATAFLOW_INGEST_ONLY``); or the store is not on Cloud Storage (``DATAFLOW_STORE``).
    """
    if command != "run":
        raise ConfigurationError(
            "DATAFLOW_INGEST_ONLY",
            f"only `run` goes to Dataflow: its workers would not see new records; `{command}` runs on one "
            "machine, or on Flink with a folder that all workers share, also with a store on gs://",
        )
    if not store.startswith("gs://"):
        raise ConfigurationError(
            "DATAFLOW_STORE",
            "workers of Dataflow reach a store on Cloud Storage only; name gs://BUCKET/FOLDER",
        )


def refuse_unfit(arguments: Sequence[str]) -> None:
    """Check the options for Dataflow with Beam's own checks; the service is not asked.

    Raises:
        ConfigurationError: With code ``BEAM_OPTION_INVALID``.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    options = PipelineOptions([*arguments, "--dry_run=True"])
    given = options.view_as(GoogleCloudOptions).get_all_options()
    if missing := [f"--{name}" for name in NEEDED if not given[name]]:
        raise _invalid(f"{', '.join(missing)} must be given for Dataflow")
    if not str(given["temp_location"]).startswith("gs://"):
        raise _invalid("--temp_location must be on Cloud Storage")
    with _hushed():
        errors = PipelineOptionsValidator(options, create_runner("DataflowRunner")).validate()
    if errors:
        raise _invalid("; ".join(errors))


@contextmanager
def _hushed() -> Any:
    """Beam logs what it then returns."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _invalid(message: str) -> ConfigurationError:
    return ConfigurationError("BEAM_OPTION_INVALID", message)
