"""Write what was taken in again: sealed anew, dated with the day on which it was first received.

Time to live goes on from that day, so taking something in again never lets it live longer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.classification import UNCLASSIFIED_KIND
from schemas.contract import ContractSet
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, ROSTER, SIGNALS
from schemas.telemetry import all_telemetry_tables
from transforms.bundle_writer import BundleWriter
from transforms.chunked_encryption import length_prefixed
from transforms.cut_out import CutOut
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.opening import OpenedItem
from transforms.reprocess_effects import NewItem
from transforms.reprocess_fields import SealedFields, Taken
from transforms.run_counts import RunCounts, total
from transforms.sealed_format import frame_parts, size_class
from transforms.sealing import RejectedPiece
from transforms.separate import Separated
from transforms.store import Store

_ITEM_SCHEMA = pa.schema(
    [entry for entry in FIXED_TABLES[QUARANTINE_ITEMS] if entry.name not in ("key_id", "blob_part")]
)
_REJECT_COLUMNS = ("reject_id", "source", "reason", "file_index", "offset", "piece", "last", "stored")


class Resealer:
    """Seals and writes, by the day of reception.

    Args:
        store: The store.
        run_id: The run.
        keys: The release side's keys; their public half seals.
        contracts: The mended contracts.
    """

    def __init__(self, store: Store, run_id: str, keys: ReleaseKeys, contracts: ContractSet) -> None:
        self._store, self._run_id, self._keys = store, run_id, keys
        self._telemetry = all_telemetry_tables(contracts)
        self._writers: dict[date, BundleWriter] = {}

    def write_records(self, separated: Iterable[tuple[date, Separated]]) -> None:
        """Write what records were taken apart into."""
        for received, each in separated:
            writer = self._writer(received)
            writer.write_rows(each.telemetry)
            writer.take_content(each.content)
            if each.roster is not None:
                writer.write_rows({ROSTER: each.roster})
            if each.signals is not None:
                writer.write_rows({SIGNALS: each.signals})

    def write_rejects(
        self, received: date, items: Sequence[OpenedItem], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Seal pieces of rejects again that shared a data key with others, each with its row."""
        if not items:
            return
        pieces = [
            RejectedPiece(item.item_id, item.framed[5:], int.from_bytes(item.framed[:4], "big"), last)
            for item in items
            for last in (item.framed[4] == 1,)
        ]
        named = [{name: row[name] for name in _REJECT_COLUMNS} for row in rows]
        self._writer(received).write_rejects(pieces, named)

    def write_fields(self, taken: Iterable[Taken], *, sealed: bool) -> None:
        """Write what unclassified fields have become.

        Args:
            taken: What becomes of everything under one data key.
            sealed: Whether what is left of it is sealed again, since the key is retired.
        """
        cuts: dict[tuple[date, str, str], list[tuple[SealedFields, NewItem]]] = defaultdict(list)
        for each in taken:
            fields = each.fields
            items = list(each.effects.items)
            if each.left and sealed:
                items.append(_left_over(each))
            for item in items:
                cuts[fields.received, item.kind, item.contract].append((fields, item))
            writer = self._writer(fields.received)
            for name, rows in each.effects.adds.items():
                schema = self._telemetry[name].schema
                writer.write_rows({name: pa.Table.from_pylist(rows, schema=schema)})
            if each.effects.signals:
                signals = pa.Table.from_pylist(each.effects.signals, schema=FIXED_TABLES[SIGNALS])
                writer.write_rows({SIGNALS: signals})
        for (received, kind, contract), group in cuts.items():
            self._writer(received).take_content([_cut(kind, contract, group)])

    def close(self) -> tuple[list[FileRecord], RunCounts]:
        """Finish the files; what was handed to them is counted."""
        records = [record for writer in self._writers.values() for record in writer.close()]
        return records, total(writer.counts for writer in self._writers.values())

    def abandon(self) -> None:
        """Forget the keys and delete what was written."""
        for writer in self._writers.values():
            writer.abandon()

    def _writer(self, received: date) -> BundleWriter:
        writer = self._writers.get(received)
        if writer is None:
            writer = BundleWriter(self._store.root, self._run_id, self._keys, self._telemetry, received)
            self._writers[received] = writer
        return writer


def _left_over(taken: Taken) -> NewItem:
    """What is left of an unclassified item: the same item with fewer parts."""
    row = {**taken.fields.row, **taken.effects.claims}
    framed = frame_parts([(part.path, part.raw) for part in taken.left])
    own = {name: row[name] for name in _ITEM_SCHEMA.names} | {"size_class": size_class(len(framed))}
    return NewItem(bytes.fromhex(row["item_id"]), UNCLASSIFIED_KIND, row["contract"], framed, own)


def _cut(kind: str, contract: str, group: Sequence[tuple[SealedFields, NewItem]]) -> CutOut:
    """Items of one kind as sealing takes them."""
    ids = np.frombuffer(b"".join(item.item_id for _, item in group), np.uint8).reshape(-1, 16)
    framed = pa.array([length_prefixed(item.framed) for _, item in group], pa.binary())
    join = [
        pa.array([fields.row[name] for fields, _ in group], pa.string())
        for name in ("tenant_join", "meeting_join", "sender_join")
    ]
    rows = None
    if all(item.row is not None for _, item in group):
        named = [{name: (item.row or {})[name] for name in _ITEM_SCHEMA.names} for _, item in group]
        rows = pa.Table.from_pylist(named, schema=_ITEM_SCHEMA)
    return CutOut(kind, contract, ids, framed, join, rows)


def written_rows(records: Iterable[FileRecord]) -> Counter[str]:
    """Rows of finished files by table."""
    found: Counter[str] = Counter()
    for record in records:
        found[record.table] += record.rows
    return found


__all__ = ["Resealer", "written_rows"]
