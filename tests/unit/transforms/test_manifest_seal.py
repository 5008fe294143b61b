"""No manifest is believed that was not written with the store's keys."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from schemas.errors import InfrastructureFault, PromiseBroken
from tests.unit.transforms.store_samples import (
    CALLS,
    SEAL,
    calls,
    forge_manifest,
    store_with_runs,
    write_calls,
)
from transforms import manifest_seal, manifests
from transforms.keys import create_key_directory, load_ingest_keys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.manifests import Manifest
from transforms.store import Store

RUNS = {"run-000001": [1], "run-000002": [2], "run-000003": [3]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store_with_runs(tmp_path / "store", RUNS, SEAL)
    return tmp_path / "store"


def refused(root: Path) -> str:
    assert Store.open(root).version == len(RUNS)  # without keys, it looks like any other
    with pytest.raises(PromiseBroken) as caught:
        Store.open(root, SEAL)
    assert caught.value.code == "STORE_MANIFEST_SEAL"
    return caught.value.message


def test_what_was_committed_with_the_keys_is_read_with_them(root: Path) -> None:
    store = Store.open(root, SEAL)
    assert store.version == len(RUNS)
    assert store.refreshed().seal is SEAL


def test_a_manifest_is_decoded_and_checked_once_however_often_its_store_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(root, SEAL)
    monkeypatch.setattr(manifests, "_decoded", lambda *_: pytest.fail("decoded again"))
    monkeypatch.setattr(manifest_seal.ManifestSeal, "_expected", lambda *_: pytest.fail("checked again"))
    again = Store.open(root, SEAL)
    again.snapshot.manifests[0].facts["kept"] = "by somebody"
    assert "kept" not in Store.open(root, SEAL).snapshot.manifests[0].facts


def test_what_was_checked_with_other_keys_is_not_believed(root: Path) -> None:
    Store.open(root, SEAL)
    with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
        Store.open(root, seal_of(SimpleNamespace(join_key=bytes(32))))


@pytest.mark.parametrize(
    "changes",
    [{"run_id": "run-000009"}, {"facts": {"as_of": "2020-01-01"}}, {"seal": ""}, {"seal": "00" * 32}],
    ids=str,
)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_manifest_that_was_changed_is_refused(root: Path, number: int, changes: dict[str, Any]) -> None:
    forge_manifest(root, number, **changes)
    assert f"{number:010d}.json" in refused(root)


def test_a_file_that_was_replaced_together_with_its_digest_is_refused(root: Path) -> None:
    record = Store.open(root).snapshot.manifests[1].adds[0]
    (root / record.path).write_bytes(b"another roster")
    digest = hashlib.sha256(b"another roster").hexdigest()
    others = Store.open(root).snapshot.manifests[1].adds[1:]
    forge_manifest(root, 2, adds=(msgspec.structs.replace(record, size=14, sha256=digest), *others))
    refused(root)


def test_a_seal_fits_its_own_place_only(root: Path) -> None:
    first, second = Store.open(root).snapshot.manifests[:2]
    forge_manifest(root, 2, seal=first.seal)
    assert second.path in refused(root)


def test_a_manifest_that_somebody_else_added_is_refused(root: Path) -> None:
    stranger = seal_of(SimpleNamespace(join_key=bytes(32)))
    store = Store.open(root)
    added = write_calls(store, "run-000004", calls([4]))
    forged = Manifest(1, 4, store.snapshot.last_digest, "run-000004", tuple(added), (), {})
    (root / forged.path).write_bytes(stranger.of(forged).encoded())
    assert Store.open(root).version == len(RUNS) + 1
    with pytest.raises(PromiseBroken, match=r"STORE_MANIFEST_SEAL: manifests/0000000004\.json"):
        Store.open(root, SEAL)


def test_nobody_adds_to_a_sealed_store_without_its_keys(root: Path) -> None:
    store = Store.open(root)
    with pytest.raises(InfrastructureFault, match="STORE_SEAL_NEEDED"):
        store.commit("run-000004", write_calls(store, "run-000004", calls([4])), {})
    assert len(Store.open(root, SEAL).files(CALLS)) == len(RUNS)


def test_both_sides_of_a_key_directory_seal_alike_and_other_keys_do_not(tmp_path: Path) -> None:
    for name in ("mine", "others"):
        create_key_directory(tmp_path / name, created=date(2026, 3, 2))
    create_key_directory(tmp_path / "next", created=date(2026, 3, 3), continues=tmp_path / "mine")
    seal = seal_of(load_ingest_keys(tmp_path / "mine" / "ingest"))
    store_with_runs(tmp_path / "store", RUNS, seal)
    for side in (load_release_keys(tmp_path / "mine/release"), load_release_keys(tmp_path / "next/release")):
        assert Store.open(tmp_path / "store", seal_of(side)).version == len(RUNS)
    with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
        Store.open(tmp_path / "store", seal_of(load_ingest_keys(tmp_path / "others" / "ingest")))


def test_a_state_is_opened_as_it_was_or_not_at_all(root: Path) -> None:
    begun = Store.open(root, SEAL)
    assert Store.at(root, begun.snapshot.last_digest).version == len(RUNS)
    begun.commit("run-000004", write_calls(begun, "run-000004", calls([4])), {})
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        Store.at(root, begun.snapshot.last_digest)


def test_the_key_is_in_no_repr_and_in_no_manifest(root: Path) -> None:
    assert SEAL.key.hex() not in repr(SEAL)
    said = json.loads((root / "manifests" / "0000000001.json").read_bytes())
    assert said["seal"] not in (SEAL.key.hex(), "")
