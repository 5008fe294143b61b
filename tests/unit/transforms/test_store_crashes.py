"""A writer that is killed at any step leaves a store that shows nothing of its work or all of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.transforms.store_crash_child import erase, ingest
from tests.unit.transforms.store_samples import participants
from transforms.store import Store
from transforms.store_gc import collect_garbage

LONG_AGO = -1.0
FUTURE = 4_000_000_000.0


def killed_stores(tmp_path: Path, scenario: str, start: Path | None = None) -> Iterator[Path]:
    """One store for each step at which the writer was killed."""
    folder = tmp_path / "stores"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.unit.transforms.store_crash_child", scenario, str(folder)]
    ran = subprocess.run([*command, str(start)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    steps = int(ran.stdout)
    assert steps > 20
    return (folder / f"{step:04d}" for step in range(1, steps + 1))


def only_live_files_are_left(root: Path) -> bool:
    collect_garbage(Store.open(root), now=FUTURE, older_than=0)
    store = Store.open(root)
    store.check(digests=True)
    own = {"format.json", ".lock", *(manifest.path for manifest in store.snapshot.manifests)}
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return there == own | set(store.snapshot.live)


@pytest.mark.slow
def test_a_killed_run_shows_nothing_or_all_and_runs_again(tmp_path: Path) -> None:
    seen = set()
    for root in killed_stores(tmp_path, "ingest"):
        seen.add(tuple(participants(Store.open_or_create(root))))
        ingest(root)
        assert participants(Store.open(root)) == [1, 2]
        assert Store.open(root).version == 1
        assert only_live_files_are_left(root)
    assert seen == {(), (1, 2)}


@pytest.mark.slow
def test_a_killed_erasure_shows_the_old_state_or_the_new_and_runs_again(tmp_path: Path) -> None:
    ingest(tmp_path / "start")
    seen = set()
    for root in killed_stores(tmp_path, "erase", tmp_path / "start"):
        seen.add(tuple(participants(Store.open(root))))
        erase(root)
        assert participants(Store.open(root)) == [2]
        assert only_live_files_are_left(root)
    assert seen == {(1, 2), (2,)}
