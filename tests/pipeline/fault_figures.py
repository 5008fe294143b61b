"""Kills a run, a release, an erasure and a rotation at every step, and prints what was lost and let out.

    .venv/bin/python -m tests.pipeline.fault_figures [run release erase rotate] [--every N]

It takes hours on one core; ``--every 10`` tries each tenth step only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from tests.pipeline.forked import load_once
from tests.pipeline.kill_worlds import DEEDS, kill_at_steps
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory

SPREAD, LAST = 4, 18


def main(arguments: Sequence[str]) -> int:
    """Try the kills that were asked for; 1 if anything was lost or let out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deeds", nargs="*", help=f"of {', '.join(DEEDS)}; all of them if none is named")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth step")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="begin with this step")
    parser.add_argument("--spread", action="store_true", help="a few steps, most of them at the end")
    options = parser.parse_args(arguments)
    load_once()
    folder = Path(tempfile.mkdtemp(prefix="cofferdam-kills-"))
    clean = True
    try:
        create_key_directory(folder / "keys", created=RECEIVED)
        for name in options.deeds or DEEDS:
            began = time.monotonic()
            (folder / name).mkdir()
            tally = kill_at_steps(DEEDS[name], folder / name, folder / "keys", partial(_chosen, options))
            clean &= tally.clean
            print(
                json.dumps({"deed": name, **asdict(tally), "seconds": round(time.monotonic() - began)}),
                flush=True,
            )
            shutil.rmtree(folder / name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if clean else 1


def _chosen(options: argparse.Namespace, count: int) -> Sequence[int]:
    if not options.spread:
        return range(options.first, count + 1, options.every)
    # What is committed is replaced, checked and forgotten in the last steps.
    spread = range(3, count - LAST, max(count // SPREAD, 1))
    return [1, 2, *spread, *range(count - LAST, count - 4, 6), *range(count - 4, count + 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
