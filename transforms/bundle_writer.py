"""Write one bundle: seal what was cut out, and stream every table to files that nobody sees yet.

Content is encrypted here, in the worker that decoded it and inside the first fused step; after it, nothing
holds plaintext. Sealed groups are flushed whenever enough has gathered, so memory stays flat however large
the bundle is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from schemas.classification import REJECTED_KIND, SEALED_KINDS
from schemas.tables import (
    FIXED_TABLES,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
    SIGNALS,
)
from schemas.telemetry import TelemetryTable
from transforms.cut_out import CutOut
from transforms.keys import IngestKeyProvider
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter, WriteBudget
from transforms.partitioning import Partitioning
from transforms.run_counts import RunCounts
from transforms.sealing import (
    BlobRow,
    BundleSealer,
    JoinedGroup,
    KeyRow,
    RejectedPiece,
    SealedBatch,
    size_class,
)
from transforms.store_files import open_files

SEAL_BYTES = 32 << 20
"""Content that gathers before it is sealed: larger blobs compress better, smaller ones keep memory flat."""

_PARTITIONS = {
    QUARANTINE_ITEMS: Partitioning(closed={"kind": SEALED_KINDS}, date_from="event_time"),
    QUARANTINE_REJECTED: Partitioning(date_from="received"),
    ROSTER: Partitioning(date_from="event_time"),
    SIGNALS: Partitioning(date_from="event_time"),
}
_BY_EVENT_TIME = Partitioning(date_from="event_time")


class BundleWriter:
    """Takes the results of one bundle and writes them.

    Args:
        store: The store's root.
        run_id: The run.
        keys: The writing side's keys, or any that seal to the vault.
        telemetry: The run's telemetry tables by name.
        received: The day the run reads its input; rejects live from it.
    """

    def __init__(
        self,
        store: str,
        run_id: str,
        keys: IngestKeyProvider,
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
        self._pending: dict[tuple[str, str], list[CutOut]] = {}
        self._pending_bytes = 0
        self.counts = RunCounts()

    def write_rows(self, tables: Mapping[str, pa.Table]) -> None:
        """Append rows to tables that hold no content."""
        for name, rows in tables.items():
            self._append(name, rows)

    def take_content(self, cuts: Sequence[CutOut]) -> None:
        """Take items in; they are sealed when enough has gathered, at the latest when the bundle ends."""
        for cut in cuts:
            self._pending.setdefault((cut.kind, cut.contract), []).append(cut)
            self._pending_bytes += cut.bytes
            self.counts.items[cut.kind] += cut.size
        if self._pending_bytes >= SEAL_BYTES:
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
        self.counts.items[REJECTED_KIND] += sum(piece.last for piece in pieces)
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
            writer = TableWriter(self._files, self._run_id, name, schema, partitioning, self._budget)
            self._writers[name] = writer
        writer.append(rows, rows.column("key_id").to_pylist() if name == QUARANTINE_KEYS else ())
        self.counts.rows[name] += rows.num_rows

    def _seal_pending(self) -> None:
        for (kind, contract), cuts in self._pending.items():
            groups, order = joined_groups(kind, contract, cuts)
            batch = self._sealer.seal_groups(groups)
            self._append_sealed(batch)
            if cuts[0].rows is not None:
                self._append_items(cuts, order, batch)
        self._pending, self._pending_bytes = {}, 0

    def _append_items(self, cuts: Sequence[CutOut], order: np.ndarray, batch: SealedBatch) -> None:
        rows = pa.concat_tables([cut.rows for cut in cuts]).take(pa.array(order))
        schema = FIXED_TABLES[QUARANTINE_ITEMS]
        added = {
            "key_id": pa.array(batch.item_key_ids, schema.field("key_id").type),
            "blob_part": pa.array(batch.item_parts, pa.int32()),
        }
        arrays = [added[name] if name in added else rows.column(name) for name in schema.names]
        self._append(QUARANTINE_ITEMS, pa.Table.from_arrays(arrays, schema=schema))

    def _append_sealed(self, batch: SealedBatch) -> None:
        if batch.keys:
            self._append(QUARANTINE_KEYS, _table(QUARANTINE_KEYS, KeyRow._fields, batch.keys))
        if batch.blobs:
            self._append(QUARANTINE_BLOBS, _table(QUARANTINE_BLOBS, BlobRow._fields, batch.blobs))


def joined_groups(kind: str, contract: str, cuts: Sequence[CutOut]) -> tuple[list[JoinedGroup], np.ndarray]:
    """Items of one kind grouped by tenant, meeting and sender, each group in one piece.

    Returns:
        The groups, and the order of the cuts' items in them.
    """
    codes = np.zeros(sum(cut.size for cut in cuts), dtype=np.int64)
    names: list[list[str | None]] = []
    for place in range(3):
        encoded = pa.chunked_array([cut.join[place] for cut in cuts]).combine_chunks()
        encoded = _whole(encoded).dictionary_encode(null_encoding="encode")
        distinct = encoded.dictionary.to_pylist()
        names.append(distinct)
        codes = codes * len(distinct) + encoded.indices.to_numpy().astype(np.int64)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    framed = _whole(pa.chunked_array([cut.framed for cut in cuts]).cast(pa.large_binary()).combine_chunks())
    framed = framed.take(pa.array(order))
    offsets = np.frombuffer(framed.buffers()[1], dtype=np.int64)[framed.offset :]
    content = memoryview(framed.buffers()[2])
    item_ids = np.concatenate([cut.item_ids for cut in cuts])[order].tobytes()
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]).tolist()
    groups = []
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
        rest, sender = divmod(int(ordered[start]), len(names[2]))
        tenant, meeting = divmod(rest, len(names[1]))
        join = (names[0][tenant], names[1][meeting], names[2][sender])
        joined = content[offsets[start] : offsets[end]]
        groups.append(JoinedGroup(*join, kind, contract, item_ids[16 * start : 16 * end], joined))
    return groups, order


def _whole(array: pa.Array) -> pa.Array:
    return pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array


def _table(name: str, fields: Sequence[str], rows: Iterable[tuple[object, ...]]) -> pa.Table:
    schema = FIXED_TABLES[name]
    columns = dict(zip(fields, zip(*rows, strict=True), strict=True))
    return pa.Table.from_arrays(
        [pa.array(columns[column.name], column.type) for column in schema], schema=schema
    )
