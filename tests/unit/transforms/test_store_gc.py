from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from tests.unit.transforms.store_samples import CALLS, calls, participants, store_with_runs, write_calls
from transforms.store import Store
from transforms.store_gc import collect_garbage

NOW = 2_000_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with live files, a replaced one, and old files of a run that was killed."""
    store = store_with_runs(tmp_path / "store", {"run-000001": [1, 2], "run-000002": [3]})
    replaced = [store.files(CALLS)[0].path]
    store = store.commit("run-000003", write_calls(store, "run-000003", calls([2])), {}, removes=replaced)
    write_calls(store, "killed-00001", calls([9]))
    (tmp_path / "store/manifests/.draft-0011").write_text("half a manifest")
    (tmp_path / "store/log").mkdir()
    (tmp_path / "store/log/tile").write_text("not ours")
    set_age(tmp_path / "store", 3600)
    return store


def set_age(root: Path, seconds: float) -> None:
    for path in root.rglob("*"):
        os.utime(path, (NOW - seconds, NOW - seconds))


def test_only_what_no_manifest_names_goes(store: Store) -> None:
    found = collect_garbage(store, now=NOW, older_than=60)
    assert [file.path.split("/")[0] for file in found.replaced] == ["telemetry"]
    assert sorted(file.path.split("/")[0] for file in found.unnamed) == ["manifests", "telemetry"]
    assert participants(store.refreshed()) == [2, 3]
    store.refreshed().check(digests=True)
    root = Path(store.root)
    assert not any((root / file.path).exists() for file in (*found.replaced, *found.unnamed))
    assert (root / "log/tile").exists()


def test_a_second_collection_finds_nothing(store: Store) -> None:
    collect_garbage(store, now=NOW, older_than=60)
    again = collect_garbage(store, now=NOW, older_than=60)
    assert (again.replaced, again.unnamed, again.spared, again.size) == ((), (), (), 0)


def test_young_files_are_spared_but_replaced_ones_go(store: Store) -> None:
    found = collect_garbage(store, now=NOW, older_than=7200)
    assert (len(found.replaced), found.unnamed, len(found.spared)) == (1, (), 2)
    assert all((Path(store.root) / file.path).exists() for file in found.spared)


def test_a_dry_run_deletes_nothing(store: Store) -> None:
    found = collect_garbage(store, now=NOW, older_than=60, dry_run=True)
    assert len(found.replaced) + len(found.unnamed) == 3
    assert found.size > 0
    assert all((Path(store.root) / file.path).exists() for file in (*found.replaced, *found.unnamed))


def test_nothing_is_deleted_while_a_run_is_at_work(store: Store) -> None:
    with store.writing("run-000009"), pytest.raises(InfrastructureFault, match="STORE_LOCKED"):
        collect_garbage(store, now=NOW, older_than=0)
