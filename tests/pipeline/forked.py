"""Runs work in forked processes that may be killed at a chosen step.

Whoever forks must never have run a pipeline: the threads of one do not live on in a fork. A step is what
changes files: opening one for writing, writing half of what a file is given, making folders, linking,
renaming, deleting.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from schemas.contract import bundled_contract_files
from schemas.errors import CofferdamError
from tests.pipeline.crash_child import Killer, half_writes
from tests.pipeline.read_once import bundled_once


class Ended(NamedTuple):
    """How forked work ended.

    Attributes:
        killed: Whether it was killed.
        steps: Steps that it took; 0 if it was killed.
        code: Code of the error that it ended with, empty if there was none.
        said: What it returned, as JSON can hold it.
    """

    killed: bool
    steps: int = 0
    code: str = ""
    said: Any = None


class AfterCommit(Killer):
    """Counts from the first commit on."""

    def __init__(self, root: Path, after: int) -> None:
        super().__init__(root, 0)
        self._after, self._committed = after, False

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count a step; a manifest that gets its name is a commit."""
        super().watch(event, arguments)
        if event == "os.link" and "/manifests/" in str(arguments[1]) and not self._committed:
            self._committed, self._at = True, self.steps + self._after


def forked(work: Callable[[], Any], root: Path, at: int = 0) -> Ended:
    """Do some work in a process of its own.

    Args:
        work: What to do; what it returns must be JSON.
        root: Steps below this folder count.
        at: The step at which the process is killed; 0 for none; -N for the Nth step after a commit.

    Raises:
        AssertionError: The work failed, and not with one of our errors.
    """
    read, write = os.pipe()
    killer = Killer(root, at) if at >= 0 else AfterCommit(root, -at)
    child = os.fork()
    if child == 0:
        os.close(read)
        _run(work, killer, write)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == -signal.SIGKILL:
        return Ended(True)
    assert status == 0, f"forked work ended with {status} (step {at}); what it printed says why"
    return Ended(False, *json.loads(said))


def _run(work: Callable[[], Any], killer: Killer, write: int) -> None:
    """The forked side; never returns."""
    status = 1
    try:
        half_writes(killer)
        sys.addaudithook(killer.watch)
        try:
            told: tuple[int, str, Any] = (0, "", work())
        except CofferdamError as error:
            told = (0, error.code, None)
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps([killer.steps, *told[1:]], default=str).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def load_once() -> None:
    """Load what every fork would else load again; to be called once, before the first fork."""
    from pipelines import run_erase, run_ingest

    # Beam makes dozens of argument parsers a run, each of which looks for translations on the disk.
    os.environ["LANGUAGE"] = "C"
    for module in (run_ingest, run_erase):
        module.load_contracts = bundled_once  # type: ignore[attr-defined]
    import_module("great_expectations.expectations.core")
    bundled_once(bundled_contract_files())
    gc.collect()
    gc.freeze()
