"""Small stores for tests: one telemetry table, one sealed table."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from schemas.tables import QUARANTINE_BLOBS, TIME, column, telemetry_columns
from transforms.manifest_seal import ManifestSeal, seal_of
from transforms.manifests import FileRecord, Manifest
from transforms.partitioning import Partitioning
from transforms.store import Store

SEAL_ROOT = bytes(range(32))


class _Side:
    join_key = SEAL_ROOT


SEAL = seal_of(_Side())
CALLS = "telemetry/calls"
BITRATE = column("bitrate", pa.float64(), "Sent", unit="kbps", classification="service.telemetry")
CALLS_SCHEMA = pa.schema([*telemetry_columns(), BITRATE])
BY_DAY = Partitioning(date_from="event_time")
NOON = 1_767_268_800_000  # 2026-01-01T12:00:00Z
DAY_MS = 86_400_000


def pseudonym(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()[:32]


def calls(participants: list[int], times: list[int | None] | None = None) -> pa.Table:
    """One row a participant."""
    count = len(participants)
    columns = {
        "event_id": [pseudonym(1_000_000 + number) for number in participants],
        "event_type": ["call.quality"] * count,
        "event_time": pa.array(times or [NOON] * count, TIME),
        "tenant": [pseudonym(1)] * count,
        "meeting": [pseudonym(2)] * count,
        "participant": [pseudonym(number) for number in participants],
        "source": ["zoom"] * count,
        "contract": ["calls@1.0.0"] * count,
        "bitrate": [float(number) for number in participants],
    }
    return pa.table(columns).cast(CALLS_SCHEMA)


def blobs(count: int, ciphertext: bytes) -> pa.Table:
    return pa.table(
        {
            "key_id": pa.array([bytes(16)] * count, pa.binary(16)),
            "part": pa.array([0] * count, pa.int32()),
            "scheme": ["test"] * count,
            "tenant": [pseudonym(1)] * count,
            "meeting": [pseudonym(2)] * count,
            "sender": [pseudonym(3)] * count,
            "kind": ["chat"] * count,
            "contract": ["calls@1.0.0"] * count,
            "item_ids": pa.array([bytes(16)] * count, pa.binary()),
            "size_class": pa.array([256] * count, pa.int32()),
            "ciphertext": pa.array([ciphertext] * count, pa.binary()),
        }
    )


def write_calls(store: Store, run_id: str, rows: pa.Table) -> list[FileRecord]:
    with store.writer(run_id, CALLS, CALLS_SCHEMA, BY_DAY) as writer:
        writer.append(rows)
        return writer.close()


def store_with_runs(root: Path, runs: dict[str, list[int]], seal: ManifestSeal | None = None) -> Store:
    """A store with one committed run for each entry."""
    store = Store.open_or_create(root, seal)
    for run_id, participants in runs.items():
        store = store.commit(run_id, write_calls(store, run_id, calls(participants)), {"as_of": "2026-01-01"})
    return store


def add_blobs(store: Store, run_id: str, ciphertext: bytes) -> Store:
    with store.writer(run_id, QUARANTINE_BLOBS) as writer:
        writer.append(blobs(2, ciphertext))
        return store.commit(run_id, writer.close(), {})


def participants(store: Store) -> list[int]:
    """Who is in the calls table (the samples' bitrate is the participant's number)."""
    if CALLS not in store.tables():
        return []
    return sorted(int(rate) for rate in store.read_table(CALLS, ["bitrate"])["bitrate"].to_pylist())


def forge_manifest(root: Path, number: int, **changes: Any) -> None:
    """Change a manifest as whoever can write to the store could: those after it follow it again."""
    previous = None
    for path in sorted((root / "manifests").glob("*.json")):
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
        if manifest.number == number:
            manifest = msgspec.structs.replace(manifest, **changes)
        if previous is not None:
            manifest = msgspec.structs.replace(manifest, previous=previous)
        path.write_bytes(manifest.encoded())
        previous = hashlib.sha256(path.read_bytes()).hexdigest()
