"""Rotation of a store: everything opens afterwards, nothing of before does, and no content is decrypted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from tests.unit.transforms.key_samples import (
    CANARY,
    DAY,
    add_bundle,
    add_files,
    continued,
    key_rows,
    open_all,
    seal,
)
from transforms import key_rotation
from transforms.erase_search import StoreSearch
from transforms.key_destruction import destroy_key
from transforms.key_rotation import Rotation, refuse_retired, retire_vaults, retired_vaults, rotate_store
from transforms.key_rotation_plan import key_table, plan_rotation
from transforms.keys import (
    IngestKeys,
    ReleaseKeys,
    create_key_directory,
    load_ingest_keys,
    load_release_keys,
)
from transforms.sealed_format import KeyRow
from transforms.store import Store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "keys", created=DAY)
    return tmp_path / "keys"


@pytest.fixture
def ingest(directory: Path) -> IngestKeys:
    return load_ingest_keys(directory / "ingest")


@pytest.fixture
def store(tmp_path: Path, ingest: IngestKeys) -> Store:
    """Three bundles of four blobs; the keys of the second lie in two files."""
    store = Store.open_or_create(tmp_path / "store")
    for number, split in ((1, None), (2, 2), (3, None)):
        batch = seal(ingest, range(10 * number, 10 * number + 3))
        store = add_bundle(store, f"run-00000{number}", batch, split)
    return store


@pytest.fixture
def newer(directory: Path, tmp_path: Path) -> ReleaseKeys:
    return continued(directory, tmp_path / "next")


def rotate(store: Store, keys: ReleaseKeys) -> tuple[Store, Rotation]:
    with store.writing("rotate-0001") as current:
        done = rotate_store(current, keys)
    return store.refreshed(), done


def without_the_old_vault(keys: ReleaseKeys) -> ReleaseKeys:
    for vault_id in keys.older_vaults:
        destroy_key(keys.directory, "release", vault_id.hex())
    return load_release_keys(keys.directory)


def test_rotated_keys_are_found_by_their_ids(store: Store, newer: ReleaseKeys) -> None:
    """An erasure would else have to read every file of keys."""
    store, _ = rotate(store, newer)
    search = StoreSearch(store)
    for record in store.files(QUARANTINE_KEYS):
        ids = [key_id for rows in search.rows(record, ["key_id"]) for key_id in rows["key_id"].to_pylist()]
        assert ids
        assert not search.is_silent(record)
        assert all(record in search.holding(QUARANTINE_KEYS, [key_id]) for key_id in ids)


def test_everything_opens_without_the_old_vault_key(store: Store, newer: ReleaseKeys) -> None:
    before = {item.item_id: item.framed for item in open_all(store, newer).items}
    rotated, done = rotate(store, newer)
    opened = open_all(rotated, without_the_old_vault(newer))
    assert not opened.broken
    assert {item.item_id: item.framed for item in opened.items} == before
    assert (done.files, done.data_keys, done.broken) == (4, 12, {})
    assert done.bundles == 7  # items and rejects of three bundles, of which one lies in two files


def test_an_old_copy_of_the_keys_opens_nothing(store: Store, newer: ReleaseKeys) -> None:
    backup = key_rows(store)
    rotated, _ = rotate(store, newer)
    opened = open_all(rotated, without_the_old_vault(newer), backup)
    assert not opened.items
    assert {broken.code for broken in opened.broken} == {"SEAL_KEY_MISSING"}


def test_what_was_erased_between_a_backup_and_the_rotation_stays_closed(
    store: Store, newer: ReleaseKeys
) -> None:
    backup = key_rows(store)
    erased = next(row.key_id for row in backup if row.covers == "data" and row.holds == "items")
    rotated, _ = rotate(erase(store, erased), newer)
    left = without_the_old_vault(newer)
    for rows in (backup, [*backup, *key_rows(rotated)], key_rows(rotated)):
        assert erased in {broken.key_id for broken in open_all(rotated, left, rows).broken}
    assert len(open_all(rotated, left).broken) == 1


def erase(store: Store, key_id: bytes) -> Store:
    """Destroy one data key, as an erasure does."""
    files = store.files(QUARANTINE_KEYS)
    schema = store.schema(QUARANTINE_KEYS)
    kept = [row for row in key_rows(store) if row.key_id != key_id]
    with store.writer("erase-00001", QUARANTINE_KEYS, schema) as writer:
        writer.append(key_table(kept))
        changed = store.commit("erase-00001", writer.close(), {}, [record.path for record in files])
    for record in files:
        store.files_of_store.delete(record.path)
    return changed


def test_no_old_wrapping_is_left_anywhere_in_the_folder(store: Store, newer: ReleaseKeys) -> None:
    old = [row.wrapped for row in key_rows(store)]
    before = b"".join(path.read_bytes() for path in Path(store.root).rglob("*.parquet"))
    assert all(wrapped in before for wrapped in old)
    (Path(store.root) / "quarantine/keys/leftover.parquet").write_bytes(old[0])
    rotated, _ = rotate(store, newer)
    everything = [path.read_bytes() for path in Path(rotated.root).rglob("*.parquet")]
    assert not [wrapped for wrapped in old if any(wrapped in content for content in everything)]


def test_ciphertexts_and_their_files_stay_as_they_are(store: Store, newer: ReleaseKeys) -> None:
    before = {record.path: record.sha256 for record in store.files(QUARANTINE_BLOBS)}
    rotated, _ = rotate(store, newer)
    rotated.check(digests=True)
    assert {record.path: record.sha256 for record in rotated.files(QUARANTINE_BLOBS)} == before


def test_no_content_is_decrypted(store: Store, newer: ReleaseKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> bytes:
        raise AssertionError("content was opened")

    for place in ("transforms.chunked_encryption.open_message", "transforms.opening.open_message"):
        monkeypatch.setattr(place, opened)
    monkeypatch.setattr("cryptography.cobblestone.Cobblestone256Decryptor", opened)
    monkeypatch.setattr("transforms.chunked_encryption.Cobblestone256Decryptor", opened)
    read = Store.scan

    def scan(self: Store, table: str, *arguments: object, **options: object) -> Iterable[object]:
        assert table == QUARANTINE_KEYS
        return read(self, table, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "scan", scan)
    _, done = rotate(store, newer)
    assert done.data_keys == 12


def test_a_second_rotation_changes_nothing(store: Store, newer: ReleaseKeys) -> None:
    rotated, _ = rotate(store, newer)
    again, done = rotate(rotated, newer)
    assert (again.version, done) == (rotated.version, Rotation())
    assert plan_rotation(again, newer.vault_id).files == ()


def test_only_files_that_need_it_are_written(
    store: Store, directory: Path, newer: ReleaseKeys, tmp_path: Path
) -> None:
    rotated, _ = rotate(store, newer)
    older = seal(load_ingest_keys(directory / "ingest"), [77])
    mixed = add_bundle(rotated, "run-000009", older)
    (late,) = plan_rotation(mixed, newer.vault_id).moving
    before = {record.path for record in mixed.files(QUARANTINE_KEYS)}
    again, done = rotate(mixed, newer)
    assert before - {record.path for record in again.files(QUARANTINE_KEYS)} == {late.record.path}
    assert (done.files, done.data_keys) == (1, 2)


def test_a_store_that_is_all_new_needs_nothing(tmp_path: Path, newer: ReleaseKeys) -> None:
    store = Store.open_or_create(tmp_path / "fresh")
    batch = seal(load_ingest_keys(tmp_path / "next" / "ingest"), [1])
    store = add_bundle(store, "run-000001", batch)
    assert rotate(store, newer)[1] == Rotation()


@pytest.mark.parametrize(("keys", "files"), [(1, 1000), (1000, 1)])
def test_many_keys_and_files_are_moved_by_several_commits(
    store: Store, newer: ReleaseKeys, monkeypatch: pytest.MonkeyPatch, keys: int, files: int
) -> None:
    monkeypatch.setattr(key_rotation, "COMMIT_KEYS", keys)
    monkeypatch.setattr(key_rotation, "COMMIT_FILES", files)
    rotated, done = rotate(store, newer)
    assert done.commits >= 4
    assert not open_all(rotated, without_the_old_vault(newer)).broken
    assert {row.wrapping_key_id for row in key_rows(rotated) if row.covers == "bundle"} == {newer.vault_id}


def test_progress_is_told_after_every_commit(
    store: Store, newer: ReleaseKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "COMMIT_FILES", 1)
    seen: list[int] = []
    with store.writing("rotate-0001") as current:
        rotate_store(current, newer, lambda done: seen.append(done.files))
    assert seen == sorted(seen)
    assert seen[-1] == len(seen)


# --- what does not unwrap -----------------------------------------------------------------------------------


def damaged(store: Store, change: dict[str, object], covers: str = "data") -> tuple[Store, KeyRow]:
    """A store in which one key row was changed; the row as it was."""
    rows = key_rows(store)
    place = next(place for place, row in enumerate(rows) if row.covers == covers)
    row = rows[place]
    rows[place] = row._replace(**change)  # type: ignore[arg-type]
    files = [record.path for record in store.files(QUARANTINE_KEYS)]
    added = add_files(store, "damage-0001", [(QUARANTINE_KEYS, rows)])
    return added.commit("damage-0002", [], {}, files), row


def test_a_tampered_key_is_named_and_everything_else_moves(store: Store, newer: ReleaseKeys) -> None:
    changed, row = damaged(store, {"wrapped": bytes(60)})
    rotated, done = rotate(changed, newer)
    assert done.broken == {row.key_id: "SEAL_KEY_BROKEN"}
    assert done.needed == set(newer.older_vaults)
    assert done.data_keys == 11
    opened = open_all(rotated, without_the_old_vault(newer))
    assert [broken.key_id for broken in opened.broken] == [row.key_id]


def test_a_tampered_key_can_still_be_restored_while_the_old_vault_key_is_kept(
    store: Store, newer: ReleaseKeys
) -> None:
    changed, row = damaged(store, {"wrapped": bytes(60)})
    rotated, _ = rotate(changed, newer)
    assert not open_all(rotated, newer, [*key_rows(rotated), row]).broken


def test_a_tampered_key_does_not_keep_a_rotation_going(store: Store, newer: ReleaseKeys) -> None:
    rotated, _ = rotate(damaged(store, {"wrapped": bytes(60)})[0], newer)
    again, done = rotate(rotated, newer)
    assert (again.version, done.files, len(done.broken)) == (rotated.version, 0, 1)


def test_a_lost_bundle_key_is_named_by_its_data_keys(store: Store, newer: ReleaseKeys) -> None:
    rows = key_rows(store)
    lost = rows[0].key_id
    files = [record.path for record in store.files(QUARANTINE_KEYS)]
    changed = add_files(store, "damage-0001", [(QUARANTINE_KEYS, rows[1:])]).commit(
        "damage-0002", [], {}, files
    )
    _, done = rotate(changed, newer)
    assert set(done.broken) == {row.key_id for row in rows if row.wrapping_key_id == lost}
    assert set(done.broken.values()) == {"SEAL_KEY_MISSING"}
    assert done.needed == set(newer.older_vaults)


def test_keys_of_a_vault_that_is_not_here_do_not_hold_up_the_others(store: Store, newer: ReleaseKeys) -> None:
    changed, row = damaged(store, {"wrapping_key_id": bytes(16)}, covers="bundle")
    _, done = rotate(changed, newer)
    assert set(done.broken.values()) == {"SEAL_KEY_MISSING"}
    assert done.needed == {bytes(16)}
    assert row.key_id


def test_no_message_names_content(store: Store, newer: ReleaseKeys) -> None:
    _, done = rotate(damaged(store, {"wrapped": bytes(60)})[0], newer)
    assert CANARY not in repr(done)


# --- retiring -----------------------------------------------------------------------------------------------


def test_a_retired_vault_key_is_sealed_to_no_more(store: Store, newer: ReleaseKeys) -> None:
    (old,) = newer.older_vaults
    with store.writing("retire-0001") as current:
        retired = retire_vaults(current, [old])
    assert retired_vaults(retired.snapshot) == {old}
    with pytest.raises(InfrastructureFault, match="KEYS_RETIRED"):
        refuse_retired(retired.snapshot, old)
    refuse_retired(retired.snapshot, newer.vault_id)
    refuse_retired(store.snapshot, old)


def test_retiring_twice_is_stated_once(store: Store, newer: ReleaseKeys) -> None:
    with store.writing("retire-0001") as current:
        retired = retire_vaults(current, newer.older_vaults)
        assert retire_vaults(retired, newer.older_vaults).version == retired.version
        assert retire_vaults(retired, []).version == retired.version
