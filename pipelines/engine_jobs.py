"""A job that an engine outside of this process has taken: waiting for it, and what becomes of an interrupt.

The engine goes on without whoever waits, and its workers may still write for a moment when it has cancelled a
job. So nothing is deleted here of what such a job has written: the next writer does that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import apache_beam as beam
from apache_beam.runners.portability.portable_runner import PipelineResult as PortableResult
from apache_beam.runners.runner import PipelineState

from pipelines.flink_jobs import FlinkJob, job_in_flink, watched
from schemas.errors import InfrastructureFault

_SECONDS_TO_ANSWER: Final = 10.0
_SECONDS_TO_CANCEL: Final = 30.0
_SECONDS_BETWEEN: Final = 0.5
_LOOK: Final = "`cofferdam ledger --store STORE --run {run}` tells if it has committed; running again is safe"


class JobGoesOn(InfrastructureFault):
    """Nobody waits any more, but a worker may still be at work: what it has written is not to be deleted."""


def carry_out(pipeline: beam.Pipeline, run_id: str) -> None:
    """Let an engine carry a pipeline out, and wait for its end; cancel the job if the user interrupts that.

    Args:
        pipeline: The pipeline.
        run_id: The run, for messages.

    Raises:
        JobGoesOn: The user has interrupted it (``RUN_INTERRUPTED``), or the engine cannot be asked any more
            (``ENGINE_LOST``).
    """
    result = None
    job = None
    hopeless: list[str] = []
    try:
        result = pipeline.run()
        job = job_in_flink(pipeline, result) if isinstance(result, PortableResult) else None
        with watched(job) as hopeless:
            result.wait_until_finish()
    except KeyboardInterrupt:
        _end_interrupted(result, job, run_id)
    except Exception:
        if hopeless:
            raise RuntimeError(hopeless[0]) from None
        if result is None or _has_ended(result):
            raise
        raise JobGoesOn(
            "ENGINE_LOST",
            f"the engine cannot be asked any more, and may still carry out {_named(result, run_id)}: see its "
            f"own pages; {_LOOK.format(run=run_id)}",
        ) from None


def _end_interrupted(result: Any, job: FlinkJob | None, run_id: str) -> NoReturn:
    look = _LOOK.format(run=run_id)
    if result is None:
        message = f"run {run_id} was interrupted while it was handed over, and may have been taken; {look}"
    elif _is_cancelled_in_time(result, job):
        message = f"{_named(result, run_id)} was interrupted, and the engine has ended it; {look}"
    else:
        message = (
            f"{_named(result, run_id)} was interrupted, but the engine may go on: cancel it on its own pages "
            f"(with --flink_master HOST:PORT, an interrupt cancels it in Flink); {look}"
        )
    raise JobGoesOn("RUN_INTERRUPTED", message) from None


def _is_cancelled_in_time(result: Any, job: FlinkJob | None) -> bool:
    with suppress(KeyboardInterrupt):  # of a user who does not wait for that, either
        return _is_cancelled(result, job)
    return False


def _is_cancelled(result: Any, job: FlinkJob | None) -> bool:
    """Have a job cancelled; gives whether it is known to have ended."""
    _answered(result.cancel)
    if job is not None:
        return _soon(lambda: bool(_answered(job.cancel)))
    # A job service says so at once, whatever its engine does.
    return not isinstance(result, PortableResult) and _soon(lambda: _has_ended(result))


def _has_ended(result: Any) -> bool:
    """Whether a job is known to have ended."""
    state = _answered(lambda: result.state)
    return state is not None and PipelineState.is_terminal(state)


def _job(result: Any) -> str:
    return str(getattr(result, "_job_id", ""))


def _named(result: Any, run_id: str) -> str:
    """The run, and the engine's name for its job, where Beam's result has one."""
    return f"run {run_id} (job {job})" if (job := _job(result)) else f"run {run_id}"


def _soon(ended: Callable[[], bool]) -> bool:
    until = time.monotonic() + _SECONDS_TO_CANCEL
    while not ended():
        if time.monotonic() > until:
            return False
        time.sleep(_SECONDS_BETWEEN)
    return True


def _answered(ask: Callable[[], Any]) -> Any:
    """The answer to what may fail, or never end, because nobody answers; None without one."""
    found: list[Any] = []

    def tried() -> None:
        with suppress(Exception):
            found.append(ask())

    thread = threading.Thread(target=tried, daemon=True)
    thread.start()
    thread.join(_SECONDS_TO_ANSWER)
    return found[0] if found else None


__all__ = ["JobGoesOn", "carry_out"]
