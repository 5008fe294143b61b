"""Open whole data keys upon one order: every item that is sealed under them, each by a signed warrant.

What is sealed again under new keys has to be opened whole, since the old key is to open nothing afterwards.
A key of which a blob is missing or does not open stays as it is and is named; the others go on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, OPENINGS, QUARANTINE_BLOBS, QUARANTINE_KEYS
from transforms.chunked_encryption import SealBroken
from transforms.erase_reach import is_in
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.opening import OpenedItem
from transforms.opening_warrants import Ground, WarrantedOpener, issue_warrant
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA, ITEM_ID_BYTES, BlobRow, KeyRow
from transforms.store import Store

ITEMS_AT_ONCE: Final = 20_000
BYTES_AT_ONCE: Final = 32 << 20
"""What is opened before it is dealt with: so much may be in memory in the clear."""

BLOB_MISSING: Final = "SEAL_BLOB_MISSING"
"""Not all blobs are there that the rows of items or rejects say a key has."""


@dataclass(frozen=True)
class OpenedKey:
    """Everything under one data key, in the clear.

    Attributes:
        key_id: Its id (16 bytes).
        created: The day that it is dated with; time to live begins there.
        items: The items, in the order of its blobs.
    """

    key_id: bytes
    created: date
    items: list[OpenedItem] = field(repr=False)


class Within(NamedTuple):
    """Files of the tables of ciphertext and of keys."""

    blobs: Sequence[FileRecord]
    keys: Sequence[FileRecord]


class OrderedOpener:
    """Opens data keys upon one order and keeps the record of it.

    Args:
        store: The store.
        keys: The release side's keys.
        ground: What for.
        wanted: The data keys, with the blobs (parts) that each has.
        within: The only files that their blobs and rows of keys are in; None to look into all.
    """

    def __init__(
        self,
        store: Store,
        keys: ReleaseKeys,
        ground: Ground,
        wanted: Mapping[bytes, set[int]],
        within: Within | None = None,
    ) -> None:
        self._store, self._keys, self._ground, self._wanted = store, keys, ground, wanted
        self._within = within or Within(store.files(QUARANTINE_BLOBS), store.files(QUARANTINE_KEYS))
        self._ids = pa.array(list(wanted), pa.binary(16))
        self._key_files = store.checked(self._within.keys) if wanted else ()  # no cipher binds a key's day
        self._data = self._key_rows(COVERS_DATA, self._ids)
        wrapping = pc.unique(self._data.column("wrapping_key_id"))
        self._bundles = [
            KeyRow(**row) for row in self._key_rows(COVERS_BUNDLE, wrapping.cast(pa.binary(16))).to_pylist()
        ]
        self._log = store.writer(ground.run_id, OPENINGS)
        self.broken: dict[bytes, str] = {}
        self.items = 0
        self.logged = 0

    def batches(self) -> Iterator[list[OpenedKey]]:
        """All keys, so many at a time as may be in the clear together.

        Raises:
            InfrastructureFault: The store cannot be read, or the record not be written.
        """
        waiting: list[list[BlobRow]] = []
        items = size = 0
        for blobs in self._complete():
            waiting.append(blobs)
            items += sum(len(blob.item_ids) // ITEM_ID_BYTES for blob in blobs)
            size += sum(blob.size_class for blob in blobs)
            if items >= ITEMS_AT_ONCE or size >= BYTES_AT_ONCE:
                yield self._open(waiting)
                waiting, items, size = [], 0, 0
        if waiting:
            yield self._open(waiting)

    def close(self) -> list[FileRecord]:
        """Finish the record of openings."""
        return self._log.close()

    def abandon(self) -> None:
        """Delete what was written of it."""
        self._log.abandon()

    def _key_rows(self, covers: str, ids: pa.Array) -> pa.Table:
        schema = FIXED_TABLES[QUARANTINE_KEYS]
        where = (pc.field("covers") == covers) & pc.field("key_id").isin(ids)
        files = self._key_files if len(ids) else ()
        batches = self._store.scan(QUARANTINE_KEYS, where=where, records=files) if files else ()
        return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)

    def _complete(self) -> Iterator[list[BlobRow]]:
        """The blobs of each key, once all of them have been met."""
        due = self._blobs_there()
        for key_id, parts in self._wanted.items():
            if parts - due[key_id].keys():
                self.broken[key_id] = BLOB_MISSING
        met: dict[bytes, list[BlobRow]] = defaultdict(list)
        for batch in self._scan(None):
            for row in batch.to_pylist():
                blob = BlobRow(**row)
                met[blob.key_id].append(blob)
                if len(met[blob.key_id]) == due[blob.key_id].total():
                    blobs = met.pop(blob.key_id)
                    if blob.key_id not in self.broken:
                        yield blobs

    def _blobs_there(self) -> dict[bytes, Counter[int]]:
        found: dict[bytes, Counter[int]] = defaultdict(Counter)
        for batch in self._scan(["key_id", "part"]):
            for key_id, part in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found[key_id][part] += 1
        return found

    def _scan(self, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        if self._wanted and self._within.blobs:
            where = pc.field("key_id").isin(self._ids)
            yield from self._store.scan(QUARANTINE_BLOBS, columns, where, self._within.blobs)

    def _open(self, waiting: Iterable[list[BlobRow]]) -> list[OpenedKey]:
        waiting = list(waiting)
        ids = pa.array([blobs[0].key_id for blobs in waiting], pa.binary(16))
        mask = pa.array(is_in(self._data.column("key_id"), ids.to_pylist()))
        rows = [KeyRow(**row) for row in self._data.filter(mask).to_pylist()]
        created = {row.key_id: row.created for row in rows}
        opener = WarrantedOpener(self._keys, [*rows, *self._bundles])
        found = []
        for blobs in waiting:
            items = self._open_key(opener, blobs)
            if items is not None:
                found.append(OpenedKey(blobs[0].key_id, created[blobs[0].key_id], items))
        log = opener.take_rows()
        self._log.append(log)
        self.logged += log.num_rows
        opener.close()
        self.items += sum(len(each.items) for each in found)
        return found

    def _open_key(self, opener: WarrantedOpener, blobs: Iterable[BlobRow]) -> list[OpenedItem] | None:
        """The items of a key, None where a blob of it does not open."""
        items: list[OpenedItem] = []
        for blob in sorted(blobs, key=lambda each: each.part):
            starts = range(0, len(blob.item_ids), ITEM_ID_BYTES)
            named = [blob.item_ids[start : start + ITEM_ID_BYTES] for start in starts]
            warrant = issue_warrant(self._keys.log_signing_key, self._ground, blob.key_id, blob.part, named)
            try:
                items += opener.open_blob(blob, [warrant])
            except SealBroken as error:
                self.broken[blob.key_id] = error.code
                return None
        return items


__all__ = ["BLOB_MISSING", "OpenedKey", "OrderedOpener", "Within"]
