"""Stores with sealed items for tests of keys: bundles of chat messages, one blob a message."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa

from schemas.tables import FIXED_TABLES, QUARANTINE_BLOBS, QUARANTINE_KEYS
from transforms.keys import IngestKeys, ReleaseKeys, create_key_directory, load_release_keys
from transforms.opening import OpenedBatch, VaultOpener
from transforms.sealed_format import BlobRow, KeyRow
from transforms.sealing import BundleSealer, RejectedPiece, SealedBatch, SealGroup, frame_parts
from transforms.store import Store

DAY = date(2026, 2, 3)
CANARY = "canary that no rotation reads"


def item_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def seal(keys: IngestKeys, numbers: Iterable[int], created: date = DAY) -> SealedBatch:
    """One bundle: an item in a blob of its own for each number, and a reject."""
    with BundleSealer(keys, created=created) as sealer:
        groups = [
            SealGroup("t", "m", f"s{number}", "chat", "c@1", [(item_id(number), _framed(number))])
            for number in numbers
        ]
        batch = sealer.seal_groups(groups)
        rejected = sealer.seal_rejected([RejectedPiece(item_id(0), CANARY.encode())])
    return SealedBatch(batch.keys + rejected.keys, batch.blobs + rejected.blobs)


def _framed(number: int) -> bytes:
    return frame_parts([("text", f"{CANARY} {number}".encode())])


def add_files(store: Store, run_id: str, files: Iterable[tuple[str, Iterable[KeyRow | BlobRow]]]) -> Store:
    """Commit a run with these files; each is a table's name and its rows."""
    records = []
    for table, rows in files:
        schema = FIXED_TABLES[table]
        with store.writer(run_id, table) as writer:
            writer.append(pa.Table.from_pylist([row._asdict() for row in rows], schema=schema))
            records += writer.close()
    return store.commit(run_id, records, {})


def add_bundle(store: Store, run_id: str, batch: SealedBatch, split: int | None = None) -> Store:
    """Commit a bundle; its keys in one file, or cut in two after so many rows."""
    cut = len(batch.keys) if split is None else split
    parts = [part for part in (batch.keys[:cut], batch.keys[cut:]) if part]
    return add_files(
        store, run_id, [*((QUARANTINE_KEYS, part) for part in parts), (QUARANTINE_BLOBS, batch.blobs)]
    )


def key_rows(store: Store) -> list[KeyRow]:
    return [KeyRow(**row) for row in store.read_table(QUARANTINE_KEYS).to_pylist()]


def open_all(store: Store, keys: ReleaseKeys, rows: Iterable[KeyRow] | None = None) -> OpenedBatch:
    """Open all that a store keeps sealed, with its own or other rows of keys."""
    blobs = [BlobRow(**row) for row in store.read_table(QUARANTINE_BLOBS).to_pylist()]
    return VaultOpener(keys, key_rows(store) if rows is None else rows).open_blobs(blobs)


def continued(older: Path, newer: Path) -> ReleaseKeys:
    """The release side of a key directory that continues another."""
    create_key_directory(newer, created=DAY, continues=older)
    return load_release_keys(newer / "release")
