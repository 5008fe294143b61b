"""An erasure that is killed at any step shows nothing or all of itself, and the next one ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.kill_worlds import at, leaks

ROOT = Path(__file__).parents[2]


def figures(*asked: str) -> dict[str, Any]:
    """What came of killing something, in a process of its own that may fork."""
    command = [sys.executable, "-m", "tests.pipeline.fault_figures", *asked]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_an_erasure_that_is_killed_at_any_step_is_ended_by_the_next_one() -> None:
    found = figures("erase", *(() if "EVERY_STEP" in os.environ else ("--spread",)))
    assert found["steps"] > 30
    assert {found[name] for name in ("half", "lost", "doubled", "let_out")} == {0}
    assert 0 < found["before"] < found["kills"], "no step before the commit, or none behind it"


def test_what_is_let_out_is_seen_wherever_it_lies(tmp_path: Path) -> None:
    """The figures would else be 0 whatever happened."""
    world = at(tmp_path, tmp_path / "keys")
    held, copied = {"text": ["saying m2-chat-0"]}, {"text": ["saying m1-chat-0"]}
    for folder, rows in (("telemetry", held), ("released", held), ("released", copied), ("roster", copied)):
        (world.store / folder).mkdir(parents=True, exist_ok=True)
        before = leaks(world)
        path = world.store / folder / f"{len(rows['text'][0])}{rows['text'][0][-8:]}{rows is held}.parquet"
        pq.write_table(pa.table(rows), path, compression="zstd")
        assert leaks(world) - before == (0 if (folder, rows) == ("released", copied) else 1)
    (world.store / "log").mkdir()
    (world.store / "log" / "person-ada").touch()
    assert leaks(world) == 4
