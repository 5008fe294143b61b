"""Runs erasures in processes that are killed at chosen steps, each in a world of its own.

Arguments: a folder with a world for each step (``0000``, ``0001``, …), the key directory, and the steps as
numbers ("0" only counts them). Steps are those of ``crash_child``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pipelines.run_erase import EraseOptions, run_erase
from tests.pipeline.crash_child import Killer, half_writes
from tests.pipeline.release_world import AS_OF


def options(folder: Path, keys: Path) -> EraseOptions:
    """The erasure of Ada in the world of a folder."""
    return EraseOptions(
        store=str(folder / "store"),
        keys=keys / "release",
        consents=(folder / "consents",),
        registry=folder / "registry",
        as_of=AS_OF,
        subjects=("cofferdam.user_id:ada",),
        max_share=100.0,
        allow_test_keys=True,
    )


def run_child(folder: Path, keys: Path, at: int) -> int:
    """Erase in a forked process that is killed at a step; the number of steps, -1 if it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        killer = Killer(folder / "store", at)
        half_writes(killer)
        sys.addaudithook(killer.watch)
        run_erase(options(folder, keys), show_progress=False)
        os.write(write, str(killer.steps).encode())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return -1
    if os.WEXITSTATUS(status):
        raise SystemExit(f"the erasure failed at step {at}")
    return int(os.read(read, 20))


def main(folder: str, keys: str, *steps: str) -> None:
    for step in map(int, steps):
        result = run_child(Path(folder) / f"{step:04d}", Path(keys), step)
        if step == 0:
            print(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
