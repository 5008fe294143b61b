"""A reprocessing that is killed at any step shows nothing or all of itself, and the next one ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.tables import OPENINGS, QUARANTINE_BLOBS, QUARANTINE_KEYS
from tests.pipeline.reprocess_world import Chance, poor_contract, reprocess, write_contract
from tests.pipeline.support import comparable, ingest, lines_file
from transforms.store import Store

ROOT = Path(__file__).parents[2]
SPREAD = 6
LAST = 9
"""The last steps delete what was replaced: more of them are tried."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Path:
    """A store with fields, and events of types, that its contract did not know; and one that does."""
    folder = tmp_path_factory.mktemp("written")
    events = Chance(3).events(12)
    unknown = [{**each, "id": f"u-{number}", "type": "visit.grew"} for number, each in enumerate(events[:4])]
    poor = poor_contract(folder / "poor")

    def grown(document: dict[str, list[dict[str, list[dict[str, list[str]]]]]]) -> None:
        document["schema"][0]["customProperties"][0]["value"].append("visit.grew")

    write_contract(folder / "rich", change=grown)
    source = lines_file(folder / "events.jsonl", [*events, *unknown])
    ingest(source, folder / "store", keys, contract_files=(poor,))
    return folder


def child(*arguments: object) -> str:
    command = [sys.executable, "-m", "tests.pipeline.reprocess_kill_child", *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


def state(store: Path, keys: Path) -> dict[str, list[str]]:
    """All that a store says, but for the record of openings."""
    said = comparable(store, keys)
    said.pop(OPENINGS, None)
    return said


def left_over(store: Path) -> list[str]:
    """Files of keys and ciphertext that no manifest names."""
    live = Store.open(store).snapshot.live
    found = (path.relative_to(store).as_posix() for path in store.rglob("*.parquet"))
    return [
        path for path in found if path not in live and path.startswith((QUARANTINE_BLOBS, QUARANTINE_KEYS))
    ]


def chosen(count: int) -> list[int]:
    """Every step where the environment asks for it, else some of each part of the way, and of its end."""
    if "EVERY_STEP" in os.environ:
        return list(range(1, count + 1))
    return sorted({2, *range(5, count - LAST, max(count // SPREAD, 1)), *range(count - LAST, count + 1, 3)})


@pytest.mark.slow
def test_a_killed_run_shows_nothing_or_all_and_the_next_one_ends_it(
    written: Path, tmp_path: Path, keys: Path
) -> None:
    rich = written / "rich"
    shutil.copytree(written / "store", tmp_path / "0000")
    count = int(child(tmp_path, keys, rich, 0))
    before, expected = (state(store, keys) for store in (written / "store", tmp_path / "0000"))
    assert before != expected
    steps = chosen(count)
    for step in steps:
        shutil.copytree(written / "store", tmp_path / f"{step:04d}")
    child(tmp_path, keys, rich, *steps)
    seen = []
    for step in steps:
        store = tmp_path / f"{step:04d}"
        Store.open(store).check(digests=True)
        seen.append(state(store, keys))
        assert seen[-1] in (before, expected), f"step {step} left something between"
        reprocess(store, keys, rich)
        assert state(store, keys) == expected, f"step {step}"
        assert left_over(store) == [], f"step {step}"
    assert before in seen, "no step before the commit"
    assert expected in seen, "no step behind the commit"
