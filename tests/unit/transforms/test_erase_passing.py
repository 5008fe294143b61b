from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import ROSTER
from transforms import erase_passing
from transforms.erase_passing import FOLDER, delete_passed, edits_kept, folder_for_decisions, read_edits
from transforms.erase_reach import Scope, Space
from transforms.erase_rows import Edit
from transforms.keys import ReleaseKeys, create_key_directory, load_release_keys
from transforms.store import Store

PERSON = "0123456789abcdef" * 4
EDITS = [
    Edit(
        f"roster/run-{number}.parquet",
        ROSTER,
        Space(frozenset([PERSON]), gone=Scope(tenants=frozenset(["t"]))),
        keys=frozenset([bytes(range(16))]),
        released=frozenset(["i|p"]),
        secret=b"\x00\xff" * 16,
        filters="filters/x",
        gone=number,
        changed=2,
    )
    for number in range(250)
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKeys:
    folder = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(folder, created=date(2026, 3, 2))
    return load_release_keys(folder / "release")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store that counts as one that workers elsewhere reach."""
    monkeypatch.setattr(erase_passing, "SCHEME", str(tmp_path))
    return Store.open_or_create(tmp_path / "store")


def left(store: Store) -> list[str]:
    return [found.path for found in store.files_of_store.find(FOLDER)]


def test_workers_read_the_edits_that_were_kept(store: Store, keys: ReleaseKeys) -> None:
    with edits_kept(store, keys, "run-000001", EDITS, elsewhere=True) as paths:
        assert [edit for path in paths for edit in read_edits(path, store.root, keys)] == EDITS
        assert len(paths) == 3
    assert left(store) == []


def test_no_edit_can_be_read_in_the_store(store: Store, keys: ReleaseKeys) -> None:
    with edits_kept(store, keys, "run-000001", EDITS, elsewhere=True) as paths:
        content = b"".join(map(store.files_of_store.read, paths))
    assert not [word for word in (PERSON, ROSTER, "i|p") if word.encode() in content]


@pytest.mark.parametrize("fault", ["changed", "moved", "empty"])
def test_edits_that_are_not_these_are_refused(store: Store, keys: ReleaseKeys, fault: str) -> None:
    files = store.files_of_store
    with edits_kept(store, keys, "run-000001", EDITS, elsewhere=True) as (first, second, _):
        content = files.read(first)
        last = bytes([content[-1] ^ 1])
        changed = {"changed": content[:-1] + last, "moved": files.read(second), "empty": b""}[fault]
        files.replace(first, changed)
        with pytest.raises(InfrastructureFault, match="ERASURE_EDITS_BROKEN"):
            read_edits(first, store.root, keys)


def test_edits_travel_in_the_graph_where_the_work_is_done_here(store: Store, keys: ReleaseKeys) -> None:
    with edits_kept(store, keys, "run-000001", EDITS, elsewhere=False) as paths:
        assert (paths, left(store)) == ((), [])


def test_decisions_lie_in_the_store_while_they_are_needed(store: Store) -> None:
    with folder_for_decisions(store, "run-000001", elsewhere=True) as folder:
        Store.open_or_create(folder)
        assert left(store) == [f"{FOLDER}/run-000001/format.json"]
        assert store.refreshed().version == 0
    assert left(store) == []


def test_decisions_of_this_process_lie_outside_of_the_store(store: Store) -> None:
    with folder_for_decisions(store, "run-000001", elsewhere=False) as folder:
        Store.open_or_create(folder)
        assert left(store) == []
    assert not Path(folder).exists()


@pytest.mark.parametrize("what", ["decisions", "edits"])
def test_what_a_killed_erasure_left_is_deleted_by_the_next(
    store: Store, keys: ReleaseKeys, what: str
) -> None:
    store.files_of_store.create(f"{FOLDER}/run-killed-edits-000000", b"x")
    if what == "decisions":
        with folder_for_decisions(store, "run-000001", elsewhere=True):
            assert left(store) == []
    else:
        with edits_kept(store, keys, "run-000001", [], elsewhere=True):
            assert left(store) == []
    store.files_of_store.create(f"{FOLDER}/run-killed-edits-000000", b"x")
    delete_passed(store.files_of_store)
    assert left(store) == []
