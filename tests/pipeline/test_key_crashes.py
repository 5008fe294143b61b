"""A rotation that is killed at any step loses no key, and the next one finishes it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.pipeline.key_crash_child import rotate
from tests.unit.transforms.key_samples import DAY, add_bundle, key_rows, open_all, seal
from transforms.audit_log import merge
from transforms.key_rotation import retired_vaults
from transforms.keys import create_key_directory, load_ingest_keys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.sealed_format import KeyRow
from transforms.store import Store

ROOT = Path(__file__).parents[2]
FEWEST_STEPS = 30


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """Two bundles of an item and a reject each, the keys of the second in two files; older and newer keys."""
    world = tmp_path / "start"
    create_key_directory(world / "keys", created=DAY)
    ingest = load_ingest_keys(world / "keys" / "ingest")
    store = Store.open_or_create(world / "store", seal_of(ingest))
    store = add_bundle(store, "run-000001", seal(ingest, [1]))
    merge(store, ingest, datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC))
    add_bundle(store, "run-000002", seal(ingest, [2]), split=1)
    create_key_directory(world / "next", created=DAY, continues=world / "keys")
    return world


def test_a_rotation_that_is_killed_at_any_step_is_finished_by_the_next(start: Path, tmp_path: Path) -> None:
    backup = key_rows(Store.open(start / "store"))
    folder = tmp_path / "worlds"
    folder.mkdir()
    command = [sys.executable, "-m", "tests.pipeline.key_crash_child", str(start), str(folder)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert int(shown.stdout.split()[-1]) >= FEWEST_STEPS
    for world in sorted(folder.iterdir()):
        everything_opens(world)
        rotate(world)
        everything_opens(world)
        nothing_of_before_opens(world, backup)


def everything_opens(world: Path) -> None:
    keys = load_release_keys(world / "next" / "release")
    opened = open_all(Store.open(world / "store"), keys)
    assert (len(opened.items), opened.broken) == (4, []), world.name


def nothing_of_before_opens(world: Path, backup: list[KeyRow]) -> None:
    store = Store.open(world / "store")
    keys = load_release_keys(world / "next" / "release")
    old = load_ingest_keys(world / "keys" / "ingest").vault_id
    assert keys.older_vaults == (), world.name
    assert old in retired_vaults(store.snapshot)
    assert not open_all(store, keys, [*backup, *key_rows_of_bundles(store)]).items
    left = [path for path in world.rglob("*vault_private*") if old.hex() in path.name]
    assert left == [], world.name
    wrapped = [row.wrapped for row in backup]
    for path in (world / "store").rglob("*.parquet"):
        content = path.read_bytes()
        assert not [each for each in wrapped if each in content], (world.name, path.name)


def key_rows_of_bundles(store: Store) -> list[KeyRow]:
    return [row for row in key_rows(store) if row.covers == "bundle"]
