"""Data keys under new bundle keys: what moves, what does not unwrap, what an old copy opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.transforms.key_samples import DAY, continued, item_id, seal
from transforms.chunked_encryption import SealBroken
from transforms.key_destruction import destroy_key
from transforms.key_wrapping import KeyRewrapper, KeyUnwrapper
from transforms.keys import ReleaseKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.opening import VaultOpener
from transforms.sealed_format import KeyRow
from transforms.sealing import SealedBatch


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_key_directory(tmp_path / "keys", created=DAY)
    return tmp_path / "keys"


@pytest.fixture
def batch(directory: Path) -> SealedBatch:
    return seal(load_ingest_keys(directory / "ingest"), [1, 2, 3])


@pytest.fixture
def newer(directory: Path, tmp_path: Path) -> ReleaseKeys:
    return continued(directory, tmp_path / "next")


def rewrapped(rows: list[KeyRow], keys: ReleaseKeys) -> list[KeyRow]:
    rewrapper = KeyRewrapper(KeyUnwrapper(keys, rows), keys)
    moved = [rewrapper.rewrap(row) for row in rows if row.covers == "data"]
    return [*rewrapper.bundle_rows(), *moved]


def test_all_that_was_sealed_opens_under_the_new_keys(batch: SealedBatch, newer: ReleaseKeys) -> None:
    rows = rewrapped(batch.keys, newer)
    opened = VaultOpener(newer, rows).open_blobs(batch.blobs)
    assert sorted(item.item_id for item in opened.items) == [item_id(number) for number in range(4)]
    assert {row.wrapping_key_id for row in rows if row.covers == "bundle"} == {newer.vault_id}
    assert {row.holds for row in rows if row.covers == "bundle"} == {"items", "rejected"}
    before, after = ({row.key_id for row in some if row.covers == "bundle"} for some in (batch.keys, rows))
    assert not before & after


def test_ids_days_and_what_is_held_stay(batch: SealedBatch, newer: ReleaseKeys) -> None:
    def kept(rows: list[KeyRow]) -> set[tuple[object, ...]]:
        return {(row.key_id, row.holds, row.created) for row in rows if row.covers == "data"}

    assert kept(rewrapped(batch.keys, newer)) == kept(batch.keys)


def test_a_new_bundle_key_is_as_old_as_its_oldest_data_key(batch: SealedBatch, newer: ReleaseKeys) -> None:
    rows = [
        row._replace(created=row.created.replace(day=9 - place)) for place, row in enumerate(batch.keys[:4])
    ]
    (bundle, *_) = rewrapped(rows, newer)
    assert bundle.created == DAY.replace(day=6)


def test_old_rows_open_nothing_once_the_old_vault_key_is_destroyed(
    batch: SealedBatch, newer: ReleaseKeys, directory: Path
) -> None:
    rows = rewrapped(batch.keys, newer)
    destroy_key(newer.directory, "release", load_ingest_keys(directory / "ingest").vault_id.hex())
    left = load_release_keys(newer.directory)
    assert not VaultOpener(left, rows).open_blobs(batch.blobs).broken
    mixed = [*batch.keys, *(row for row in rows if row.covers == "bundle")]
    broken = VaultOpener(left, mixed).open_blobs(batch.blobs).broken
    assert {each.code for each in broken} == {"SEAL_KEY_MISSING"}
    assert len(broken) == len(batch.blobs)


@pytest.mark.parametrize(
    ("place", "change", "code"),
    [
        (1, {"wrapped": bytes(60)}, "SEAL_KEY_BROKEN"),
        (1, {"wrapped": bytes(59)}, "SEAL_KEY_BROKEN"),
        (1, {"key_id": bytes(16)}, "SEAL_KEY_BROKEN"),
        (1, {"holds": "rejected"}, "SEAL_KEY_BROKEN"),
        (1, {"wrapping_key_id": bytes(16)}, "SEAL_KEY_MISSING"),
        (0, {"wrapped": bytes(1168)}, "SEAL_KEY_BROKEN"),
        (0, {"wrapping_key_id": bytes(16)}, "SEAL_KEY_MISSING"),
    ],
)
def test_what_does_not_unwrap_says_why_and_names_ids(
    batch: SealedBatch, newer: ReleaseKeys, place: int, change: dict[str, object], code: str
) -> None:
    rows = list(batch.keys)
    rows[place] = rows[place]._replace(**change)  # type: ignore[arg-type]
    rewrapper = KeyRewrapper(KeyUnwrapper(newer, rows), newer)
    for _ in range(2):  # a failure that is remembered reads the same
        with pytest.raises(SealBroken, match=r"key [0-9a-f]{32}[: ]") as caught:
            rewrapper.rewrap(rows[1])
        assert caught.value.code == code
    if place == 1:
        assert rewrapper.rewrap(rows[2]).key_id == rows[2].key_id


def test_nothing_prints_a_key(batch: SealedBatch, newer: ReleaseKeys) -> None:
    unwrapper = KeyUnwrapper(newer, batch.keys)
    data_key = unwrapper.unwrap(batch.keys[1])
    assert repr(unwrapper) == "<KeyUnwrapper 2 bundle keys>"
    unwrapper.close()
    assert not unwrapper._ciphers
    assert data_key.hex() not in repr(vars(unwrapper))
