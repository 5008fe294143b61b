"""Runs ingest in processes that are killed at chosen steps, each in a store of its own; for test_crashes.

Arguments: input, a folder for the stores, the key directory, and the steps as numbers ("0" only counts them).
A step is what changes the store: opening a file in it for writing, writing half of what a file is given,
making folders, linking, renaming, deleting. Prints the number of steps of a run that nothing disturbs.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.pipeline.support import ingest
from transforms import store_files

_CHANGES = {"os.link", "os.remove", "os.mkdir", "os.rename"}


class Killer:
    """Counts the steps below a folder and ends the process at one of them."""

    def __init__(self, root: Path, at: int) -> None:
        self._root, self._at, self.steps = str(root), at, 0

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        writes = (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if (writes or event in _CHANGES) and str(arguments[0]).startswith(self._root):
            self.step()

    def step(self) -> bool:
        """Count a step; whether the process is about to be killed."""
        self.steps += 1
        if self.steps == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.steps == self._at - 1


def half_writes(killer: Killer) -> None:
    """Make each write of a data file a step, before which half of it is there."""
    kind = store_files._LocalNewFile
    write = kind.write

    def halved(self: Any, data: bytes) -> int:
        half = len(data) // 2
        write(self, data[:half])
        self._stream.flush()
        killer.step()
        return half + write(self, data[half:])

    kind.write = halved  # type: ignore[method-assign]


def run_child(source: Path, store: Path, keys: Path, at: int) -> int:
    """Run in a forked process that is killed at a step; the number of steps, -1 if it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        killer = Killer(store, at)
        half_writes(killer)
        sys.addaudithook(killer.watch)
        ingest(source, store, keys)
        os.write(write, str(killer.steps).encode())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return -1
    if os.WEXITSTATUS(status):
        raise SystemExit(f"the run failed at step {at}")
    return int(os.read(read, 20))


def main(source: str, folder: str, keys: str, *steps: str) -> None:
    for step in map(int, steps):
        result = run_child(Path(source), Path(folder) / f"{step:04d}", Path(keys), step)
        if step == 0:
            print(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
