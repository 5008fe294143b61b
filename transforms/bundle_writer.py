"""Write one bundle: seal what was cut out, and stream every table to files that nobody sees yet.

Content is encrypted here, in the worker that decoded it and inside the first fused step; after it, nothing
holds plaintext. Sealed groups are flushed whenever enough has gathered, so memory stays flat however large
the bundle is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import pyarrow as pa

from schemas.classification import REJECTED_KIND, SEALED_KINDS
from schemas.tables import (
    FIXED_TABLES,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
)
from schemas.telemetry import TelemetryTable
from transforms.cut_out import CutOut, GroupKey
from transforms.keys import IngestKeys
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter, WriteBudget
from transforms.partitioning import Partitioning
from transforms.run_counts import RunCounts
from transforms.sealing import (
    BlobRow,
    BundleSealer,
    KeyRow,
    RejectedPiece,
    SealedBatch,
    SealGroup,
    size_class,
)
from transforms.store_files import open_files

SEAL_BYTES = 32 << 20
"""Content that gathers before it is sealed: larger blobs compress better, smaller ones keep memory flat."""

SEAL_ITEMS = 100_000

_PARTITIONS = {
    QUARANTINE_ITEMS: Partitioning(closed={"kind": SEALED_KINDS}, date_from="event_time"),
    QUARANTINE_REJECTED: Partitioning(date_from="received"),
    ROSTER: Partitioning(date_from="event_time"),
}
_BY_EVENT_TIME = Partitioning(date_from="event_time")


class BundleWriter:
    """Takes the results of one bundle and writes them.

    Args:
        store: The store's root.
        run_id: The run.
        keys: The writing side's keys.
        telemetry: The run's telemetry tables by name.
        received: The day the run reads its input; rejects live from it.
    """

    def __init__(
        self,
        store: str,
        run_id: str,
        keys: IngestKeys,
        telemetry: dict[str, TelemetryTable],
        received: date,
    ) -> None:
        self._files = open_files(store)
        self._run_id = run_id
        self._telemetry = telemetry
        self._received = received
        self._sealer = BundleSealer(keys, created=received)
        self._writers: dict[str, TableWriter] = {}
        self._budget = WriteBudget()
        self._pending: list[CutOut] = []
        self._pending_bytes = 0
        self._pending_items = 0
        self.counts = RunCounts()

    def write_telemetry(self, tables: dict[str, list[pa.Table]]) -> None:
        """Append telemetry rows."""
        for name, parts in tables.items():
            for part in parts:
                self._append(name, part)

    def write_rosters(self, tables: Sequence[pa.Table]) -> None:
        """Append roster rows."""
        for table in tables:
            self._append(ROSTER, table)

    def take_content(self, cuts: Sequence[CutOut]) -> None:
        """Take items in; they are sealed when enough has gathered, at the latest when the bundle ends."""
        for cut in cuts:
            self._pending.append(cut)
            self._pending_items += cut.size
            self._pending_bytes += sum(map(len, cut.framed))
        if self._pending_bytes >= SEAL_BYTES or self._pending_items >= SEAL_ITEMS:
            self._seal_pending()

    def write_rejects(self, pieces: Sequence[RejectedPiece], rows: Sequence[dict[str, object]]) -> None:
        """Seal rejected records, or pieces of them, with the rows that say where and why."""
        batch = self._sealer.seal_rejected(pieces)
        self._append_sealed(batch)
        schema = FIXED_TABLES[QUARANTINE_REJECTED]
        full = [
            {
                **row,
                "key_id": key_id,
                "blob_part": part,
                "received": self._received,
                "size_class": size_class(len(piece.raw)),
            }
            for row, key_id, part, piece in zip(
                rows, batch.item_key_ids, batch.item_parts, pieces, strict=True
            )
        ]
        self.counts.items[REJECTED_KIND] += len({piece.item_id for piece in pieces})
        self._append(QUARANTINE_REJECTED, pa.Table.from_pylist(full, schema=schema))

    def close(self) -> list[FileRecord]:
        """Seal what is left, forget the bundle's keys, finish the files."""
        self._seal_pending()
        self._sealer.close()
        records = [record for writer in self._writers.values() for record in writer.close()]
        self._writers.clear()
        return records

    def abandon(self) -> None:
        """Forget the bundle's keys and delete what was written."""
        self._sealer.close()
        for writer in self._writers.values():
            writer.abandon()
        self._writers.clear()

    def _append(self, name: str, rows: pa.Table) -> None:
        writer = self._writers.get(name)
        if writer is None:
            table = self._telemetry.get(name)
            schema = FIXED_TABLES[name] if table is None else table.schema
            partitioning = _PARTITIONS.get(name) if table is None else _BY_EVENT_TIME
            writer = self._writers[name] = TableWriter(self._files, self._run_id, name, schema, partitioning)
        writer.append(rows)
        self.counts.rows[name] += rows.num_rows

    def _seal_pending(self) -> None:
        if not self._pending:
            return
        groups: dict[GroupKey, list[tuple[bytes, bytes]]] = {}
        places: list[tuple[GroupKey, int]] = []
        for cut in self._pending:
            for key, item_id, framed in zip(cut.groups, cut.item_ids, cut.framed, strict=True):
                members = groups.setdefault(key, [])
                places.append((key, len(members)))
                members.append((item_id, framed))
        batch = self._sealer.seal_groups([SealGroup(*key, items) for key, items in groups.items()])
        self._append_sealed(batch)
        self._append_items(groups, places, batch)
        self._pending, self._pending_bytes, self._pending_items = [], 0, 0

    def _append_items(
        self,
        groups: dict[GroupKey, list[tuple[bytes, bytes]]],
        places: list[tuple[GroupKey, int]],
        batch: SealedBatch,
    ) -> None:
        starts: dict[GroupKey, int] = {}
        position = 0
        for key, members in groups.items():
            starts[key] = position
            position += len(members)
        sealed = [starts[key] + place for key, place in places]
        rows = pa.concat_tables([cut.rows for cut in self._pending])
        schema = FIXED_TABLES[QUARANTINE_ITEMS]
        added = {
            "key_id": pa.array([batch.item_key_ids[at] for at in sealed], schema.field("key_id").type),
            "blob_part": pa.array([batch.item_parts[at] for at in sealed], pa.int32()),
        }
        arrays = [added[name] if name in added else rows.column(name) for name in schema.names]
        for key, members in groups.items():
            self.counts.items[key[3]] += len(members)
        self._append(QUARANTINE_ITEMS, pa.Table.from_arrays(arrays, schema=schema))

    def _append_sealed(self, batch: SealedBatch) -> None:
        if batch.keys:
            self._append(QUARANTINE_KEYS, _table(QUARANTINE_KEYS, KeyRow._fields, batch.keys))
        if batch.blobs:
            self._append(QUARANTINE_BLOBS, _table(QUARANTINE_BLOBS, BlobRow._fields, batch.blobs))


def _table(name: str, fields: Sequence[str], rows: Iterable[tuple[object, ...]]) -> pa.Table:
    schema = FIXED_TABLES[name]
    columns = dict(zip(fields, zip(*rows, strict=True), strict=True))
    return pa.Table.from_arrays(
        [pa.array(columns[column.name], column.type) for column in schema], schema=schema
    )
