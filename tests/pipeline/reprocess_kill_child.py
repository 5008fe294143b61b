"""Reprocesses stores in processes that are killed at chosen steps, each in a store of its own.

Arguments: a folder with a store for each step (``0000``, ``0001``, …), the key directory, the contracts, and
the steps as numbers ("0" only counts them). Steps are those of ``forked``.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tests.pipeline.forked import forked
from tests.pipeline.reprocess_world import reprocess


def main(folder: str, keys: str, contracts: str, *steps: str) -> None:
    for step in map(int, steps):
        store = Path(folder) / f"{step:04d}"
        ended = forked(partial(reprocess, store, Path(keys), Path(contracts)), store, step)
        assert not ended.code, f"step {step} ended with {ended.code}"
        if step == 0:
            print(ended.steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
