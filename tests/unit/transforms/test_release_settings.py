"""Every step of a release believes the store that the launching process has checked, and no later one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import FIXED_TABLES, QUARANTINE_BLOBS, RELEASED, ROSTER
from transforms import judge_written, records_seen, release_reading, release_steps, telemetry_scopes
from transforms.manifests import FileRecord, Manifest
from transforms.release_settings import ReleaseSettings
from transforms.store import Store

Reader = Callable[[ReleaseSettings, FileRecord], Iterable[Any]]
READERS: dict[str, Reader] = {
    "list a table": lambda settings, _: release_reading._paths(None, settings, ROSTER),
    "read a table": lambda settings, file: release_reading._read(file.path, settings, ROSTER, None),
    "list telemetry": lambda settings, _: telemetry_scopes._files(settings),
    "read telemetry": lambda settings, file: telemetry_scopes._read(file.path, settings),
    "list blobs": lambda settings, _: release_steps._places(settings),
    "read back": lambda settings, file: judge_written._batches(file, settings, None),
    "list records": lambda settings, _: records_seen._earlier(None, settings),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a roster, read by nobody yet."""
    made = Store.open_or_create(tmp_path / "store")
    with made.writer("run-0001", ROSTER) as writer:
        writer.append(pa.Table.from_pylist([{"event_id": "e", "event": "join"}], FIXED_TABLES[ROSTER]))
        files = writer.close()
    return made.commit("run-0001", files, {"kind": "ingest"})


def settings_of(store: Store) -> ReleaseSettings:
    return ReleaseSettings(store.root, "run-0002", store.snapshot.last_digest, (), "registry")


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_worker_reads_the_store_that_was_checked(store: Store, read: Reader) -> None:
    list(read(settings_of(store), store.files(ROSTER)[0]))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_worker_refuses_manifests_that_came_after_the_check(store: Store, read: Reader) -> None:
    """As somebody would add them who can write to the store and has no keys."""
    settings, (file,) = settings_of(store), store.files(ROSTER)
    forged = Manifest(
        format=1,
        number=2,
        previous=store.snapshot.last_digest,
        run_id="run-forged",
        adds=(),
        removes=(),
        facts={},
    )
    store.files_of_store.create(forged.path, forged.encoded())
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        list(read(settings, file))


def test_tables_of_a_release_are_read_through_these_settings() -> None:
    """A step that opens the store by itself believes whatever lies there when it comes to its turn."""
    assert {RELEASED, QUARANTINE_BLOBS, ROSTER} <= FIXED_TABLES.keys()
    for module in (judge_written, records_seen, release_reading, release_steps, telemetry_scopes):
        assert "Store.open(" not in Path(module.__file__ or "").read_text()
