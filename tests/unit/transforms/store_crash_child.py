"""Kills a writer of a store at every step, once each, in stores of their own; run by test_store_crashes.

Steps are the system calls on files that Python announces (opening, linking, deleting, making folders,
locking) and each write of a data file, of which half reaches the file.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tests.unit.transforms.store_samples import (
    BY_DAY,
    CALLS,
    CALLS_SCHEMA,
    DAY_MS,
    NOON,
    calls,
    write_calls,
)
from transforms.parquet_files import TableWriter
from transforms.store import Store
from transforms.store_files import LocalFiles, NewFile
from transforms.store_gc import collect_garbage

_EVENTS = {"open", "os.link", "os.remove", "os.mkdir", "os.rename", "os.scandir", "fcntl.flock"}


def ingest(root: Path, files: Callable[[str], LocalFiles] = LocalFiles) -> None:
    """A run, in the way of the pipeline; nothing if it was done before."""
    with Store.open_or_create(root).writing("run-000001") as store:
        if store.snapshot.of_run("run-000001"):
            return
        with TableWriter(files(str(root)), "run-000001", CALLS, CALLS_SCHEMA, BY_DAY) as writer:
            writer.append(calls([1, 2], [NOON, NOON + DAY_MS]))
            store.commit("run-000001", writer.close(), {})


def erase(root: Path, files: Callable[[str], LocalFiles] = LocalFiles) -> None:
    """Take participant 1 out, and delete the files that held them."""
    with Store.open_or_create(root).writing("erase-00001") as store:
        if not store.snapshot.of_run("erase-00001"):
            old = [record.path for record in store.files(CALLS)]
            store.commit("erase-00001", write_calls(store, "erase-00001", calls([2])), {}, removes=old)
    collect_garbage(Store.open(root), now=0, older_than=0)


class _Killer:
    """Counts steps and ends the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self, before: Callable[[], object] = lambda: None) -> None:
        self._left -= 1
        if self._left == 0:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, event: str, _: tuple[object, ...]) -> None:
        if event in _EVENTS:
            self.step()


class _HalfWrites(LocalFiles):
    killer: _Killer

    def open_new(self, path: str) -> NewFile:
        return _HalfWritten(super().open_new(path), self.killer)


class _HalfWritten:
    def __init__(self, inner: NewFile, killer: _Killer) -> None:
        self._inner, self._killer = inner, killer

    def write(self, data: bytes) -> int:
        self._killer.step(before=lambda: self._write_half(data))
        return self._inner.write(data)

    def _write_half(self, data: bytes) -> None:
        self._inner.write(data[: len(data) // 2])
        self._inner.close()

    def close(self) -> None:
        self._inner.close()

    def abandon(self) -> None:
        self._inner.abandon()


def killed_at(step: int, scenario: Callable[..., None], root: Path) -> bool:
    """Run a scenario in a child that is killed at a step; false if it ended before."""
    child = os.fork()
    if child == 0:
        killer = _Killer(step)
        _HalfWrites.killer = killer
        sys.addaudithook(killer.watch)
        scenario(root, _HalfWrites)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the child failed at step {step}")
    return os.WIFSIGNALED(status)


def main(name: str, folder: Path) -> None:
    """Kill a scenario at each step; ``folder`` then holds one store a step."""
    start = folder / "start"
    if name == "erase":
        shutil.copytree(sys.argv[3], start)
    for step in range(1, 1000):
        root = folder / f"{step:04d}"
        if start.exists():
            shutil.copytree(start, root)
        if not killed_at(step, {"ingest": ingest, "erase": erase}[name], root):
            print(step - 1)
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
