from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from schemas.tables import ROSTER
from transforms import erase_passing
from transforms.erase_due import _keep
from transforms.erase_passing import (
    FOLDER,
    delete_passed,
    edits_kept,
    folder_for_decisions,
    read_edits,
    seal_of_decisions,
)
from transforms.erase_reach import Scope, Space
from transforms.erase_rows import Edit
from transforms.keys import ReleaseKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.manifest_seal import ManifestSeal, seal_of
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


def test_edits_that_the_writing_side_could_write_are_refused(store: Store, keys: ReleaseKeys) -> None:
    files = store.files_of_store
    with edits_kept(store, keys, "run-000001", EDITS, elsewhere=True) as (first, *_):
        label = erase_passing._EDITS
        root = load_ingest_keys(keys.directory.parent / "ingest").join_key
        nonce, cipher = bytes(12), AESGCM(HKDF(hashes.SHA256(), 32, None, label).derive(root))
        files.replace(first, nonce + cipher.encrypt(nonce, b"[]", first.encode()))
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


def test_decisions_are_believed_that_this_erasure_has_kept(tmp_path: Path, keys: ReleaseKeys) -> None:
    seal = seal_of_decisions(keys, "run-000001")
    Store.open_or_create(tmp_path, seal)
    _keep(str(tmp_path), "run-000001", keys, [])
    _keep(str(tmp_path), "run-000001", keys, [])
    assert Store.open(tmp_path, seal).version == 1


@pytest.mark.parametrize("who", ["nobody", "writing side", "another erasure"])
def test_decisions_are_not_believed_that_another_has_kept(
    tmp_path: Path, keys: ReleaseKeys, who: str
) -> None:
    ingest = load_ingest_keys(keys.directory.parent / "ingest")
    forged: ManifestSeal | None = {
        "nobody": None,
        "writing side": seal_of(ingest),
        "another erasure": seal_of_decisions(keys, "run-000000"),
    }[who]
    Store.open_or_create(tmp_path).commit("run-000001", [], {"kind": "decisions"})
    if forged is not None:
        (tmp_path / "manifests" / "0000000001.json").unlink()
        Store.open(tmp_path, forged).commit("run-000001", [], {"kind": "decisions"})
    for believe in (
        lambda: Store.open(tmp_path, seal_of_decisions(keys, "run-000001")),
        lambda: _keep(str(tmp_path), "run-000001", keys, []),
    ):
        with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
            believe()


def test_the_writing_side_cannot_make_the_seal_of_decisions(keys: ReleaseKeys) -> None:
    ingest: Any = load_ingest_keys(keys.directory.parent / "ingest")
    assert ingest.join_key == keys.join_key
    assert seal_of_decisions(ingest, "run-000001") != seal_of_decisions(keys, "run-000001")


@pytest.mark.parametrize("named", ["absent", "file"])
def test_no_other_folder_is_taken_where_the_named_one_cannot_be_used(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TMPDIR", str(tmp_path / named))
    with (
        pytest.raises(ConfigurationError, match="TEMPORARY_FOLDER"),
        folder_for_decisions(store, "run-000001", elsewhere=False),
    ):
        pass


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
