"""Reprocesses stores in processes that are killed at chosen steps, each in a store of its own.

Arguments: a folder with a store for each step (``0000``, ``0001``, …), the key directory, the contracts, and
the steps as numbers ("0" only counts them). Steps are those of ``crash_child``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.pipeline.crash_child import Killer, half_writes
from tests.pipeline.reprocess_world import reprocess


def run_child(store: Path, keys: Path, contracts: Path, at: int) -> int:
    """Reprocess in a forked process that is killed at a step; the number of steps, -1 if it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        killer = Killer(store, at)
        half_writes(killer)
        sys.addaudithook(killer.watch)
        reprocess(store, keys, contracts)
        os.write(write, str(killer.steps).encode())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return -1
    if os.WEXITSTATUS(status):
        raise SystemExit(f"the run failed at step {at}")
    return int(os.read(read, 20))


def main(folder: str, keys: str, contracts: str, *steps: str) -> None:
    for step in map(int, steps):
        result = run_child(Path(folder) / f"{step:04d}", Path(keys), Path(contracts), step)
        if step == 0:
            print(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
