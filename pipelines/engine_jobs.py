"""A job that an engine outside of this process has taken: waiting for it, and what becomes of an interrupt.

The engine goes on without whoever waits, and its workers may still write for a moment when it has cancelled a
job. So nothing is deleted here of what such a job has written: the next writer does that.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

import apache_beam as beam
from apache_beam.options.pipeline_options import FlinkRunnerOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES
from apache_beam.runners.portability.portable_runner import PipelineResult as PortableResult
from apache_beam.runners.runner import PipelineState

from schemas.errors import InfrastructureFault

_SECONDS_TO_ANSWER: Final = 10.0
_SECONDS_TO_CANCEL: Final = 30.0
_SECONDS_BETWEEN: Final = 0.5
_FLINK_ENDED: Final = ("CANCELED", "FAILED", "FINISHED")
_LOOK: Final = "`cofferdam ledger --run {run}` tells whether it has committed; running again is safe"


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
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except KeyboardInterrupt:
        _end_interrupted(pipeline, result, run_id)
    except Exception:
        if result is None or _has_ended(result):
            raise
        raise JobGoesOn(
            "ENGINE_LOST",
            f"the engine cannot be asked any more, and may still carry out {_named(result, run_id)}: see its "
            f"own pages; {_LOOK.format(run=run_id)}",
        ) from None


def _end_interrupted(pipeline: beam.Pipeline, result: Any, run_id: str) -> NoReturn:
    look = _LOOK.format(run=run_id)
    if result is None:
        message = f"run {run_id} was interrupted while it was handed over, and may have been taken; {look}"
    elif _is_cancelled_in_time(pipeline, result):
        message = f"{_named(result, run_id)} was interrupted, and the engine has ended it; {look}"
    else:
        message = (
            f"{_named(result, run_id)} was interrupted, but the engine may go on: cancel it on its own pages "
            f"(with --flink_master HOST:PORT, an interrupt cancels it in Flink); {look}"
        )
    raise JobGoesOn("RUN_INTERRUPTED", message) from None


def _is_cancelled_in_time(pipeline: beam.Pipeline, result: Any) -> bool:
    with suppress(KeyboardInterrupt):  # of a user who does not wait for that, either
        return _is_cancelled(pipeline, result)
    return False


def _is_cancelled(pipeline: beam.Pipeline, result: Any) -> bool:
    """Have a job cancelled; gives whether it is known to have ended."""
    _answered(result.cancel)
    if not isinstance(result, PortableResult):
        return _soon(lambda: _has_ended(result))
    # Beam's job service for Flink forgets the job and calls that cancelled; Flink goes on.
    master = pipeline.options.view_as(FlinkRunnerOptions).flink_master
    flink = master if master.startswith(("http://", "https://")) else f"http://{master}"
    return master not in MAGIC_HOST_NAMES and _soon(lambda: _is_ended_in_flink(flink, _job(result)))


def _is_ended_in_flink(flink: str, job: str) -> bool:
    """Whether no job of that name goes on in Flink; one that does is cancelled."""
    name = job.rpartition("_")[0]
    found = _answered(lambda: _asked("GET", f"{flink}/jobs/overview"))
    jobs = [each for each in json.loads(found)["jobs"] if each["name"] == name] if found else []
    going = [each["jid"] for each in jobs if each["state"] not in _FLINK_ENDED]
    if len(going) == 1:
        _answered(lambda: _asked("PATCH", f"{flink}/jobs/{going[0]}?mode=cancel"))
    return bool(jobs) and not going


def _asked(method: str, address: str) -> bytes:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(address, method=method)  # noqa: S310 - http or https, see where it is made
    with direct.open(asked, timeout=_SECONDS_TO_ANSWER) as answer:
        content: bytes = answer.read()
    return content


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
