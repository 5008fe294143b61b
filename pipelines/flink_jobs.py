"""A job as Flink itself knows it, where a user names Flink beside Beam's job service (``--flink_master``).

The job service for Flink forgets a job that it is told to cancel, and Flink goes on. Nor does it tell why a
job is done again: it hands on the errors of the last attempt alone, and these may be mere consequences.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final

import apache_beam as beam
from apache_beam.options.pipeline_options import FlinkRunnerOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES

SECONDS_TO_ANSWER: Final = 10.0
SECONDS_BETWEEN_LOOKS: Final = 5.0
_ENDED: Final = ("CANCELED", "FAILED", "FINISHED")
_OURS: Final = re.compile(r"schemas\.errors\.[A-Za-z]+: [A-Z][A-Z0-9_]+: [^\n]*")
_HOPELESS: Final = re.compile(
    r"schemas\.errors\.(ConfigurationError: |InfrastructureFault: (KEYS_|STORE_CHANGED:))"
)
_FAILURES: Final = 100


@dataclass(frozen=True)
class FlinkJob:
    """A job.

    Attributes:
        flink: Flink's address.
        name: The job's name there.
    """

    flink: str
    name: str

    def cancel(self) -> bool:
        """Cancel it, unless there are others of that name; gives whether it is known to have ended."""
        jobs = self._jobs()
        if job := _only_going(jobs):
            self._asked("PATCH", f"/jobs/{job}?mode=cancel")
        return bool(jobs) and all(each.get("state") in _ENDED for each in jobs)

    def errors(self) -> list[str]:
        """Errors of ours for which Flink did something again, the first first."""
        job = _only_going(self._jobs())
        said = self._asked("GET", f"/jobs/{job}/exceptions?maxExceptions={_FAILURES}") if job else {}
        entries = said.get("exceptionHistory", {}).get("entries", [])
        found = [_OURS.findall(str(each.get("stacktrace", ""))) for each in reversed(entries)]
        return [each[-1] for each in found if each]

    def _jobs(self) -> list[dict[str, Any]]:
        return [
            each
            for each in self._asked("GET", "/jobs/overview").get("jobs", [])
            if each.get("name") == self.name
        ]

    def _asked(self, method: str, path: str) -> dict[str, Any]:
        """Flink's answer; an empty one if it gives none."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        asked = urllib.request.Request(self.flink + path, method=method)  # noqa: S310 - see job_in_flink
        with (
            suppress(OSError, ValueError, HTTPException),
            direct.open(asked, timeout=SECONDS_TO_ANSWER) as answer,
        ):
            found: dict[str, Any] = json.load(answer)
            return found
        return {}


def _only_going(jobs: Sequence[dict[str, Any]]) -> str | None:
    going = [str(each["jid"]) for each in jobs if each.get("state") not in _ENDED]
    return going[0] if len(going) == 1 else None


def job_in_flink(pipeline: beam.Pipeline, result: Any) -> FlinkJob | None:
    """The job that a pipeline has become, if its options name Flink.

    Args:
        pipeline: The pipeline.
        result: What a job service has given for it, its id a name and a part that the service has chosen.
    """
    master = pipeline.options.view_as(FlinkRunnerOptions).flink_master
    if master in MAGIC_HOST_NAMES:
        return None
    flink = master if master.startswith(("http://", "https://")) else f"http://{master}"
    return FlinkJob(flink.rstrip("/"), str(getattr(result, "_job_id", "")).rpartition("_")[0])


@contextmanager
def watched(job: FlinkJob | None) -> Iterator[list[str]]:
    """Cancel a job that no attempt can bring to its end, for want of a key, say.

    Args:
        job: The job; None to watch nothing.

    Yields:
        The error for which it was cancelled, if it was.
    """
    said: list[str] = []
    over = threading.Event()

    def watch(job: FlinkJob) -> None:
        while not said and not over.wait(SECONDS_BETWEEN_LOOKS):
            with suppress(Exception):  # whoever answers need not be Flink
                said.extend([each for each in job.errors() if _HOPELESS.match(each)][:1])
        with suppress(Exception):
            while said and not job.cancel() and not over.wait(SECONDS_BETWEEN_LOOKS):
                pass

    if job is None:
        yield said
        return
    thread = threading.Thread(target=watch, args=(job,), daemon=True)
    thread.start()
    try:
        yield said
    finally:
        over.set()
        thread.join(SECONDS_TO_ANSWER)


__all__ = ["FlinkJob", "job_in_flink", "watched"]
