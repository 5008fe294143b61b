"""Somebody else who can write to the bucket forges what an erasure hands to workers: it destroys nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")

from pipelines import run_erase
from pipelines.engines import run_to_commit
from schemas.errors import CofferdamError
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, RELEASED
from tests.cloud_storage_stand_in import CloudStorage, cloud_storage
from tests.pipeline.release_world import meeting
from tests.pipeline.test_cloud_store import STORE, CloudWorld
from tests.pipeline.test_erase import ADA, erase
from transforms.erase_passing import FOLDER
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import ManifestSeal, seal_of
from transforms.store import Store
from transforms.store_files import open_files

Attack = Callable[[str], None]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[tuple[CloudWorld, CloudStorage]]:
    """Everybody has agreed, and it was released: nothing is due."""
    with cloud_storage() as (address, service), pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setattr(run_erase, "runs_elsewhere", lambda _: True)
        world = CloudWorld(tmp_path_factory.mktemp("forged"), keys)
        world.adults("ada", "bob")
        for name in ("ada", "bob"):
            world.say(name)
        world.ingest(meeting(["ada", "bob"], items=2))
        assert world.release()["released"] == 2
        yield world, service


@pytest.fixture
def service(lived: tuple[CloudWorld, CloudStorage]) -> Iterator[CloudStorage]:
    """The service, which afterwards holds what it held before."""
    _, found = lived
    before = dict(found.objects)
    yield found
    found.objects.clear()
    found.objects.update(before)


@pytest.fixture
def world(lived: tuple[CloudWorld, CloudStorage], service: CloudStorage) -> CloudWorld:
    return lived[0]


def contents(service: CloudStorage) -> dict[str, bytes]:
    """What the store holds, but for the log and what erasures hand on."""
    others = (f"stores/first/{folder}" for folder in ("log/", ".lock", FOLDER, "erasures/"))
    skipped = tuple(others)
    return {name: each.content for name, each in service.objects.items() if not name.startswith(skipped)}


def withdrawn(rows: pa.Table) -> pa.Table:
    """Decisions of the same items, but that everybody has withdrawn."""
    if "reasons" not in rows.column_names:
        return rows
    place = rows.schema.get_field_index("reasons")
    reasons = pa.array([["WITHDRAWN"]] * rows.num_rows, rows.schema.field("reasons").type)
    return rows.set_column(place, rows.schema.field("reasons"), reasons)


def forged_manifest(log: str, seal: ManifestSeal | None) -> None:
    """Another store of decisions in the place of the erasure's own."""
    store = Store.open(log)
    (manifest,) = store.snapshot.manifests
    rows = withdrawn(store.read_table(DECISION_CLASSES))
    store.files_of_store.delete(manifest.path)
    with store.writer(manifest.run_id, DECISION_CLASSES) as writer:
        writer.append(rows)
        forged = writer.close()
    others = [record for record in manifest.adds if record.table != DECISION_CLASSES]
    Store.open(log, seal).commit(manifest.run_id, [*others, *forged], manifest.facts)


def forged_file(log: str, table: str) -> None:
    """Other rows in a file that the manifest names, in as many bytes."""
    store = Store.open(log)
    (record,) = store.files(table)
    made = io.BytesIO()
    pq.write_table(withdrawn(store.read_table(table)), made, store_schema=False, compression="zstd")
    content = made.getvalue()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    padded = content[:-footer] + bytes(max(0, record.size - len(content))) + content[-footer:]
    store.files_of_store.replace(record.path, padded)


def forged_twice(log: str) -> None:
    """A second commit behind the erasure's own."""
    store = Store.open(log)
    rows = withdrawn(store.read_table(DECISION_CLASSES))
    with store.writer("run-forged0", DECISION_CLASSES) as writer:
        writer.append(rows)
        records = writer.close()
    manifest = store._change("run-forged0", records, {"kind": "decisions"}, ())
    assert store.files_of_store.create(manifest.path, manifest.encoded())


def gone(log: str) -> None:
    """No decision at all."""
    files = open_files(log)
    for found in list(files.find("")):
        files.delete(found.path)


def attacks(keys: Path) -> dict[str, Attack]:
    ingest = seal_of(load_ingest_keys(keys / "ingest"))
    return {
        "by the writing side": lambda log: forged_manifest(log, ingest),
        "classes exchanged": lambda log: forged_file(log, DECISION_CLASSES),
        "items exchanged": lambda log: forged_file(log, DECISION_ITEMS),
        "committed twice": forged_twice,
        "gone": gone,
    }


NAMES = ("by the writing side", "classes exchanged", "items exchanged", "committed twice", "gone")


@pytest.mark.parametrize("name", NAMES)
def test_forged_decisions_destroy_nothing(
    name: str, world: CloudWorld, service: CloudStorage, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, attack, logs = contents(service), attacks(keys)[name], []

    def attacked(pipeline: Any, store: str, *rest: Any, **more: Any) -> bool:
        done = run_to_commit(pipeline, store, *rest, **more)
        logs.append(store)
        attack(store)
        return done

    monkeypatch.setattr(run_erase, "run_to_commit", attacked)
    with pytest.raises(CofferdamError) as caught:
        erase(world, all_due=True)
    assert [log.startswith(f"{STORE}/{FOLDER}/") for log in logs] == [True]
    assert caught.value.code in {
        "STORE_MANIFEST_SEAL",
        "STORE_FILE_DIGEST",
        "STORE_FILE_SIZE",
        "STORE_NOT_FOUND",
    }, caught.value.code
    assert contents(service) == before
    assert not [each for each in service.objects if FOLDER in each]


def test_where_nothing_is_checked_they_would_have_destroyed(
    world: CloudWorld, service: CloudStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack above is one: without the seal, copies go that nobody has withdrawn."""
    monkeypatch.setattr(run_erase, "seal_of_decisions", lambda *_: None)

    def attacked(pipeline: Any, store: str, *rest: Any, **more: Any) -> bool:
        done = run_to_commit(pipeline, store, *rest, **more)
        if FOLDER in store:
            forged_manifest(store, None)
        return done

    monkeypatch.setattr(run_erase, "run_to_commit", attacked)
    assert erase(world, all_due=True)["recalls"] == 2
    assert world.rows(RELEASED) == []


@pytest.mark.parametrize("fault", ["changed", "exchanged", "gone", "none"])
def test_forged_edits_change_nothing(
    fault: str, world: CloudWorld, service: CloudStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.erase_passing._TOGETHER", 1)
    before, files = contents(service), open_files(STORE)

    def attacked(*given: Any, **more: Any) -> bool:
        first, second, *_ = sorted(found.path for found in files.find(FOLDER))
        if fault == "gone":
            files.delete(first)
        elif fault != "none":
            content = files.read(second if fault == "exchanged" else first)
            flipped = content[:-1] + bytes([content[-1] ^ 1])
            files.replace(first, flipped if fault == "changed" else content)
        return run_to_commit(*given, **more)

    monkeypatch.setattr(run_erase, "run_to_commit", attacked)
    if fault == "none":
        assert erase(world, ADA)["items"] > 0
        return
    with pytest.raises(CofferdamError) as caught:
        erase(world, ADA)
    assert caught.value.code in {"ERASURE_EDITS_BROKEN", "STORE_FILE_MISSING"}
    assert contents(service) == before
