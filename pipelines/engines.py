"""Engines outside of this process: what they need of paths, and how it ends when they carry a pipeline out.

Nothing that a pipeline decides or writes is done in the launching process behind its end. The last steps of
the graph reconcile, commit and append to the audit log; whoever waits only reads the ledger back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions

from pipelines.beam_options import is_in_process
from pipelines.engine_jobs import carry_out
from schemas.errors import CofferdamError, ConfigurationError
from transforms.store import Store


def runs_elsewhere(arguments: Sequence[str]) -> bool:
    """Whether the runner that options for Beam name works outside of this process."""
    return not is_in_process(PipelineOptions(list(arguments)).view_as(StandardOptions).runner)


def absolute(path: str) -> str:
    """A local path or pattern as it is found from any folder; addresses of other filesystems stay."""
    return path if "://" in path else str(Path(path).absolute())


def refuse_not_outliving(arguments: Sequence[str]) -> None:
    """Refuse not to wait for an engine that ends with the launching process.

    Raises:
        ConfigurationError: ``CANNOT_LEAVE``: nobody would carry the job out.
    """
    options = PipelineOptions(list(arguments))
    portable = options.view_as(PortableOptions)
    name = (options.view_as(StandardOptions).runner or "").rpartition(".")[2].lower()
    needs_server = name in ("flinkrunner", "portablerunner", "sparkrunner")
    if (
        not runs_elsewhere(arguments)
        or name == "prismrunner"
        or portable.environment_type == "LOOPBACK"
        or (needs_server and portable.job_endpoint in (None, "", "embed"))
    ):
        raise ConfigurationError(
            "CANNOT_LEAVE",
            "--no-wait needs an engine that goes on without this process: a job service (--job_endpoint) "
            "with workers of its own (--environment_type EXTERNAL or DOCKER), or Dataflow",
        )


def run_to_commit(pipeline: beam.Pipeline, store: str, run_id: str, *, elsewhere: bool) -> bool:
    """Run a pipeline that ends with a commit, and wait for it.

    An engine that loses a worker behind the commit does steps again whose results went with it, and these
    find another store than they began with. What is committed is committed, once, and has not failed.

    Args:
        pipeline: The pipeline.
        store: The store's root.
        run_id: The run.
        elsewhere: Whether the engine works outside of this process, and so may lose workers.

    Returns:
        Whether it went to its end; if not, what comes behind the commit may be missing.

    Raises:
        JobGoesOn: The user has interrupted a job elsewhere, or its engine is lost.
    """
    if not elsewhere:
        pipeline.run().wait_until_finish()
        return True
    try:
        carry_out(pipeline, run_id)
    except Exception:
        if not _is_committed(store, run_id):
            raise
        return False
    return True


def _is_committed(store: str, run_id: str) -> bool:
    try:
        return Store.open(store).snapshot.of_run(run_id) is not None
    except CofferdamError:
        return False


__all__ = ["absolute", "refuse_not_outliving", "run_to_commit", "runs_elsewhere"]
