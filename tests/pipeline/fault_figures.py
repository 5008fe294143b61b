"""Tries faults, and prints how many were tried, what was lost and what was let out; both must be nothing.

    .venv/bin/python -m tests.pipeline.fault_figures [run release erase rotate reprocess input sealed]

A run, a release, an erasure, a rotation and a reprocessing are killed at every step, which takes an hour or
more each; with ``--every 10`` at each tenth, with ``--sample 60`` at one out of each sixtieth of the way.
``input`` damages lines of events, and ``sealed`` rows of keys and ciphertext.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

from tests.pipeline.damage_worlds import damage_input, damage_sealed
from tests.pipeline.forked import forked, load_once
from tests.pipeline.kill_worlds import DEEDS, kill_at_steps
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory

SPREAD, LAST = 4, 18
DAMAGES = {"input": damage_input, "sealed": damage_sealed}
MUST_BE_NOTHING = ("half", "lost", "doubled", "let_out")


def main(arguments: Sequence[str]) -> int:
    """Try what was asked for; 1 if anything was lost or let out."""
    options = _options(arguments)
    load_once()
    folder = Path(tempfile.mkdtemp(prefix="cofferdam-faults-"))
    clean = True
    try:
        create_key_directory(folder / "keys", created=RECEIVED)
        for name in options.faults or (*DEEDS, *DAMAGES):
            began = time.monotonic()
            (folder / name).mkdir()
            found = _tried(name, folder / name, folder / "keys", options)
            clean &= not any(found.get(each) for each in MUST_BE_NOTHING)
            took = {"seconds": round(time.monotonic() - began)}
            print(json.dumps({"fault": name, **found, **took}), flush=True)
            shutil.rmtree(folder / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if clean else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = (*DEEDS, *DAMAGES)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join(names)}; all of them if none is named")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth step")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="begin with this step")
    parser.add_argument("--sample", type=int, metavar="N", help="N steps, drawn from as many equal parts")
    parser.add_argument("--seconds", type=float, default=inf, help="try no further step after so many")
    parser.add_argument("--seed", type=int, default=1, help="what they are drawn by")
    parser.add_argument("--spread", action="store_true", help="a few steps, most of them at the end")
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="rows to damage")
    return parser.parse_args(arguments)


def _tried(name: str, folder: Path, keys: Path, options: argparse.Namespace) -> dict[str, Any]:
    if name in DEEDS:
        until = time.monotonic() + options.seconds
        chosen = partial(_chosen, options)
        return asdict(kill_at_steps(DEEDS[name], folder, keys, chosen, lambda: time.monotonic() < until))
    said: dict[str, Any] = forked(partial(_damaged, name, folder, keys, options.rows), folder).said
    return said


def _damaged(name: str, folder: Path, keys: Path, rows: int) -> dict[str, Any]:
    return asdict(DAMAGES[name](folder, keys, rows))


def sampled(count: int, parts: int, seed: int) -> list[int]:
    """One of so many steps out of each of some equal parts of them, in an order that begins anywhere."""
    draw, bounds = random.Random(seed), [1 + count * part // parts for part in range(parts + 1)]
    steps = [draw.randrange(first, after) for first, after in pairwise(bounds) if first < after]
    draw.shuffle(steps)
    return steps


def _chosen(options: argparse.Namespace, count: int) -> Sequence[int]:
    if options.sample:
        return sampled(count, options.sample, options.seed)
    if not options.spread:
        return range(options.first, count + 1, options.every)
    # What is committed is replaced, checked and forgotten in the last steps.
    spread = range(3, count - LAST, max(count // SPREAD, 1))
    return [1, 2, *spread, *range(count - LAST, count - 4, 6), *range(count - 4, count + 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
