"""What an engine outside of this process needs, and what is made of its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from apache_beam.runners.runner import PipelineState

from pipelines.engine_jobs import JobGoesOn
from pipelines.engines import absolute, refuse_not_outliving, run_to_commit, runs_elsewhere
from schemas.errors import ConfigurationError
from transforms.store import Store

SERVED = ("--job_endpoint", "localhost:1", "--environment_type", "EXTERNAL")


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [(None, False), ("DirectRunner", False), ("PortableRunner", True), ("FlinkRunner", True)],
)
def test_which_runners_work_elsewhere(name: str | None, elsewhere: bool) -> None:
    assert runs_elsewhere(["--runner", name] if name else []) is elsewhere


def test_local_paths_are_found_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("S") == str(tmp_path / "S")
    assert absolute("in/*.jsonl") == str(tmp_path / "in/*.jsonl")
    assert absolute("/a/b") == "/a/b"
    assert absolute("gs://bucket/S") == "gs://bucket/S"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--runner", "FlinkRunner"),
        ("--runner", "FlinkRunner", "--flink_master", "localhost:8081"),
        ("--runner", "PortableRunner", "--job_endpoint", "embed"),
        ("--runner", "PortableRunner", "--job_endpoint", "localhost:1", "--environment_type", "LOOPBACK"),
        ("--runner", "PrismRunner", *SERVED),
    ],
)
def test_an_engine_that_ends_with_the_launching_process_is_waited_for(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        refuse_not_outliving(arguments)
    assert caught.value.code == "CANNOT_LEAVE"


@pytest.mark.parametrize("name", ["FlinkRunner", "PortableRunner"])
def test_a_job_service_goes_on_alone(name: str) -> None:
    refuse_not_outliving(("--runner", name, *SERVED))


class _Engine:
    """A pipeline that may commit and then may fail."""

    state = PipelineState.FAILED

    def __init__(self, store: Path, *, commits: bool, fails: bool) -> None:
        self._store, self._commits, self._fails = store, commits, fails

    def run(self) -> _Engine:
        return self

    def wait_until_finish(self) -> None:
        if self._commits:
            Store.open(self._store).commit("20260302t000000z-0a", [], {"kind": "test"})
        if self._fails:
            raise RuntimeError("a worker was lost")


def _ended(store: Path, *, elsewhere: bool = True, **fate: bool) -> bool:
    Store.open_or_create(store)
    engine: Any = _Engine(store, **fate)
    return run_to_commit(engine, str(store), "20260302t000000z-0a", elsewhere=elsewhere)


def test_a_run_that_goes_through_is_whole(tmp_path: Path) -> None:
    assert _ended(tmp_path / "S", commits=True, fails=False)


def test_what_is_lost_behind_the_commit_does_not_fail_the_run(tmp_path: Path) -> None:
    assert not _ended(tmp_path / "S", commits=True, fails=True)
    assert len(Store.open(tmp_path / "S").snapshot.manifests) == 1


def test_what_is_lost_before_the_commit_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a worker was lost"):
        _ended(tmp_path / "S", commits=False, fails=True)


def test_an_engine_in_this_process_loses_no_workers(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="a worker was lost"):
        _ended(tmp_path / "S", commits=True, fails=True, elsewhere=False)


def test_what_is_committed_when_the_user_interrupts_has_not_failed(tmp_path: Path) -> None:
    store = tmp_path / "S"
    Store.open_or_create(store)
    engine: Any = _Interrupted(store, commits=True, fails=False)
    assert not run_to_commit(engine, str(store), "20260302t000000z-0a", elsewhere=True)


def test_what_is_not_committed_when_the_user_interrupts_may_go_on(tmp_path: Path) -> None:
    store = tmp_path / "S"
    Store.open_or_create(store)
    engine: Any = _Interrupted(store, commits=False, fails=False)
    with pytest.raises(JobGoesOn):
        run_to_commit(engine, str(store), "20260302t000000z-0a", elsewhere=True)
    with pytest.raises(KeyboardInterrupt):
        run_to_commit(engine, str(store), "20260302t000000z-0a", elsewhere=False)


class _Interrupted(_Engine):
    """A pipeline whose waiting the user interrupts."""

    def wait_until_finish(self) -> None:
        super().wait_until_finish()
        raise KeyboardInterrupt

    def cancel(self) -> None:
        """It has ended already."""
