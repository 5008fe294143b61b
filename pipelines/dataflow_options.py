"""The options of a launch on Dataflow: what the service would refuse after minutes is refused at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from schemas.errors import ConfigurationError

NEEDED = ("project", "region", "temp_location")
"""Options without which Beam would look around: for a default project, a region, a bucket to make."""


OFFERED = ("run", "release", "erase")
"""Commands of which Dataflow carries the pipelines out."""


def is_dataflow(runner: str | None) -> bool:
    """Whether a name, spelt in any way that Beam takes, means Dataflow."""
    return (runner or "").rpartition(".")[2].lower() in ("dataflowrunner", "dataflow")


def refuse_out_of_reach(command: str, given: Mapping[str, Any]) -> None:
    """Refuse what workers of Dataflow cannot do or see.

    Args:
        command: Name of the command that is to run there.
        given: Values of its parameters.

    Raises:
        ConfigurationError: The command does not run there (``DATAFLOW_NOT_OFFERED``); the store is not on
            Cloud Storage (``DATAFLOW_STORE``); or records or registry are not, which every worker reads, to
            hear what arrives while it works (``DATAFLOW_RECORDS``).
    """
    if command not in OFFERED:
        raise ConfigurationError(
            "DATAFLOW_NOT_OFFERED",
            f"{', '.join(OFFERED)} run on Dataflow, and `{command}` does not; leave --runner away, it works "
            "with a store on gs:// from any machine",
        )
    if not _in_cloud([given.get("store")]):
        raise ConfigurationError(
            "DATAFLOW_STORE",
            "workers of Dataflow reach a store on Cloud Storage only; name gs://BUCKET/FOLDER",
        )
    releases = command != "run" or given.get("release_keys") is not None
    if releases and not _in_cloud([*(given.get("consents") or ()), given.get("registry")]):
        raise ConfigurationError(
            "DATAFLOW_RECORDS",
            "workers of Dataflow read consent records and registry on Cloud Storage only, so that they hear "
            "what arrives meanwhile; name gs://BUCKET/FOLDER for --consents and --registry",
        )


def _in_cloud(places: Iterable[object]) -> bool:
    return all(str(place).startswith("gs://") for place in places)


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
