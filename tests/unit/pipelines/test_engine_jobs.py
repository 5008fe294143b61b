"""Who interrupts the waiting for an engine is told what becomes of the job, which Flink is made to cancel."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PipelineResult
from apache_beam.runners.runner import PipelineState

from pipelines import engine_jobs, flink_jobs
from pipelines.engine_jobs import JobGoesOn, carry_out
from pipelines.run_ingest import our_errors
from schemas.errors import CofferdamError

RUN = "20260302t000000z-0a"
JOB = "BeamApp-ada-1_2f"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_SECONDS_TO_CANCEL", "_SECONDS_TO_ANSWER"):
        monkeypatch.setattr(engine_jobs, name, 0.5)
    monkeypatch.setattr(engine_jobs, "_SECONDS_BETWEEN", 0.01)
    monkeypatch.setattr(flink_jobs, "SECONDS_BETWEEN_LOOKS", 0.02)


class Result:
    """A job that ends with an exception, and is in a state, or nobody can tell."""

    def __init__(
        self, ends: BaseException | None, state: str | BaseException = PipelineState.RUNNING
    ) -> None:
        self._ends, self._state, self.cancelled = ends, state, 0

    def wait_until_finish(self) -> None:
        if self._ends is not None:
            raise self._ends

    @property
    def state(self) -> str:
        if isinstance(self._state, BaseException):
            raise self._state
        return self._state

    def cancel(self) -> None:
        self.cancelled += 1
        if self._state == PipelineState.RUNNING:
            self._state = PipelineState.CANCELLED


class PortableResult(PipelineResult):
    """The result of a job service whose engine does not heed it."""

    def __init__(self) -> None:
        self._job_id = JOB

    def wait_until_finish(self, duration: None = None) -> None:
        raise KeyboardInterrupt

    def cancel(self) -> None:
        """The job service would call it cancelled from now on."""

    @property
    def state(self) -> str:
        return str(PipelineState.FAILED)


class Waiting(PortableResult):
    """The result of a job that Flink does again and again, until it is cancelled there."""

    def __init__(self, flink: Flink, seconds: float = 5) -> None:
        super().__init__()
        self._flink, self._seconds = flink, seconds

    def wait_until_finish(self, duration: None = None) -> None:
        until = time.monotonic() + self._seconds
        while self._flink.jobs["a"]["state"] == "RUNNING" and time.monotonic() < until:
            time.sleep(0.01)
        raise RuntimeError("No client connected within timeout")


class Launch:
    """A pipeline as far as it is asked for anything."""

    def __init__(self, launched: Callable[[], Any], *arguments: str) -> None:
        self.run, self.options = launched, PipelineOptions(list(arguments))


def ended(launch: Any) -> JobGoesOn:
    with pytest.raises(JobGoesOn) as caught:
        carry_out(launch, RUN)
    assert f"`cofferdam ledger --store STORE --run {RUN}`" in str(caught.value)
    return caught.value


def test_a_job_that_ends_is_waited_for() -> None:
    carry_out(Launch(lambda: Result(None)), RUN)  # type: ignore[arg-type]


def test_a_job_that_has_failed_fails_as_it_did() -> None:
    result = Result(RuntimeError("a step"), PipelineState.FAILED)
    with pytest.raises(RuntimeError, match="a step"):
        carry_out(Launch(lambda: result), RUN)  # type: ignore[arg-type]


def test_what_cannot_be_handed_over_fails_as_it_does() -> None:
    def refuses() -> None:
        raise RuntimeError("no such thing")

    with pytest.raises(RuntimeError, match="no such thing"):
        carry_out(Launch(refuses), RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [ConnectionError("a secret"), PipelineState.RUNNING])
def test_an_engine_that_is_lost_may_still_be_at_work(state: str | BaseException) -> None:
    error = ended(Launch(lambda: Result(ConnectionError("a secret"), state)))
    assert (error.code, error.exit_code, "secret" in str(error)) == ("ENGINE_LOST", 3, False)


def test_an_engine_that_heeds_it_is_said_to_have_cancelled_the_job() -> None:
    result = Result(KeyboardInterrupt())
    error = ended(Launch(lambda: result))
    assert (error.code, result.cancelled) == ("RUN_INTERRUPTED", 1)
    assert "was interrupted, and the engine has ended it" in str(error)


@pytest.mark.parametrize("state", [ConnectionError(), PipelineState.CANCELLING])
def test_an_engine_that_does_not_say_so_may_go_on(state: str | BaseException) -> None:
    assert "the engine may go on" in str(ended(Launch(lambda: Result(KeyboardInterrupt(), state))))


def test_an_interrupt_of_the_launch_itself_tells_that_it_may_have_been_taken() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert "may have been taken" in str(ended(Launch(interrupted)))


def test_a_second_interrupt_ends_the_waiting_for_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def impatient(ended: Callable[[], bool]) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_jobs, "_soon", impatient)
    assert "the engine may go on" in str(ended(Launch(lambda: Result(KeyboardInterrupt()))))


# --- Flink, whose job service forgets a job and lets it go on -----------------------------------------------


class Flink:
    """Jobs (id, name, state) as Flink tells and cancels them."""

    def __init__(self, *jobs: tuple[str, str, str], heeds: bool = True) -> None:
        self.jobs = {job: {"jid": job, "name": name, "state": state} for job, name, state in jobs}
        self.heeds, self.asked, self.failures = heeds, list[str](), list[str]()

    @contextmanager
    def serving(self) -> Iterator[str]:
        flink = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/jobs/overview":
                    self.answer({"jobs": list(flink.jobs.values())})
                else:
                    entries = [{"stacktrace": each} for each in flink.failures]
                    self.answer({"exceptionHistory": {"entries": entries}} if "/jobs/a/" in self.path else {})

            def do_PATCH(self) -> None:
                flink.asked.append(self.path)
                if flink.heeds:
                    flink.jobs[self.path.split("/")[2].split("?")[0]]["state"] = "CANCELED"
                self.answer({})

            def answer(self, found: Any) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(found).encode())

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def interrupted(self, scheme: str = "") -> JobGoesOn:
        with self.serving() as address:
            return ended(Launch(PortableResult, "--flink_master", scheme + address))


OTHERS = (("b", "BeamApp-bob-1", "RUNNING"), ("c", "BeamApp-ada-12", "RUNNING"))


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_flink_is_made_to_cancel_the_job_and_no_other(scheme: str) -> None:
    flink = Flink(("a", "BeamApp-ada-1", "RUNNING"), *OTHERS)
    error = flink.interrupted(scheme)
    assert "(job BeamApp-ada-1_2f) was interrupted, and the engine has ended it" in str(error)
    assert flink.asked == ["/jobs/a?mode=cancel"]


def test_a_job_that_has_ended_in_flink_is_left_alone() -> None:
    flink = Flink(("a", "BeamApp-ada-1", "FINISHED"), *OTHERS)
    assert "the engine has ended it" in str(flink.interrupted())
    assert flink.asked == []


@pytest.mark.parametrize(
    ("flink", "asked"),
    [
        (Flink(("a", "BeamApp-ada-1", "RUNNING"), heeds=False), True),
        (Flink(*OTHERS), False),
        (Flink(("a", "BeamApp-ada-1", "RUNNING"), ("d", "BeamApp-ada-1", "RUNNING")), False),
    ],
)
def test_a_job_that_flink_does_not_cancel_or_know_may_go_on(flink: Flink, asked: bool) -> None:
    assert "cancel it on its own pages" in str(flink.interrupted())
    assert set(flink.asked) == ({"/jobs/a?mode=cancel"} if asked else set())


@pytest.mark.parametrize("master", ["[auto]", "127.0.0.1:1", "file:///etc/passwd", "no-such-host.invalid:1"])
def test_flink_that_is_not_named_or_not_there_may_go_on(master: str) -> None:
    assert "the engine may go on" in str(ended(Launch(PortableResult, "--flink_master", master)))


# --- what no attempt can bring to its end -------------------------------------------------------------------

MISSING = "schemas.errors.InfrastructureFault: KEYS_MISSING: /k is missing; restore it"
AGAIN = "java.lang.RuntimeException: No client connected within timeout"


def failed(failures: list[str], *jobs: tuple[str, str, str], seconds: float = 5) -> tuple[str, list[str]]:
    """What a launch says of a job for whose failures Flink did something again, and what was cancelled."""
    flink = Flink(("a", "BeamApp-ada-1", "RUNNING"), *jobs)
    flink.failures = failures
    with flink.serving() as address:
        launch: Any = Launch(lambda: Waiting(flink, seconds), "--flink_master", address)
        with pytest.raises(RuntimeError) as caught:
            carry_out(launch, RUN)
    return str(caught.value), flink.asked


@pytest.mark.parametrize(
    "error",
    [
        MISSING,
        "schemas.errors.InfrastructureFault: STORE_CHANGED: another run has committed",
        "schemas.errors.ConfigurationError: POLICY_MISSING: there is none",
    ],
)
def test_a_job_that_no_attempt_can_end_is_cancelled_and_says_why(error: str) -> None:
    traceback = f"java.lang.RuntimeException: Error received\nTraceback\n{error}\n\tat java.base"
    said, asked = failed([AGAIN, AGAIN, traceback], *OTHERS)
    assert (said, asked) == (error, ["/jobs/a?mode=cancel"])
    with pytest.raises(CofferdamError) as caught, our_errors():
        raise RuntimeError(said)
    assert str(caught.value) == error.partition(": ")[2]


@pytest.mark.parametrize(
    "error",
    [
        AGAIN,
        "schemas.errors.InfrastructureFault: STORE_DISK_FULL: no space left",
        "schemas.errors.PromiseBroken: RUN_DOES_NOT_RECONCILE: found other rows",
        f"an event that says {MISSING.lower()}",
    ],
)
def test_what_may_be_otherwise_the_next_time_is_left_to_flink(error: str) -> None:
    assert failed([error], seconds=0.3) == ("No client connected within timeout", [])


def test_a_job_that_shares_its_name_is_not_taken_for_another() -> None:
    said, asked = failed([MISSING], ("d", "BeamApp-ada-1", "RUNNING"), seconds=0.3)
    assert (said, asked) == ("No client connected within timeout", [])
