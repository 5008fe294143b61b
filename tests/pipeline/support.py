"""What the whole-pipeline tests share: run ingest in this process, and read all that a store holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.run_ingest import IngestRequest, run_ingest
from schemas.tables import (
    DIGESTS,
    LEDGER,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    TELEMETRY,
)
from transforms.keys import load_release_keys
from transforms.opening import OpenedItem, VaultOpener, join_rejected
from transforms.sealed_format import BlobRow, KeyRow
from transforms.sealing import unframe_parts
from transforms.sources import SPLIT_BYTES
from transforms.splitting import RECORD_CAP
from transforms.store import Store

RECEIVED = date(2026, 3, 2)
Ledger = dict[str, Any]

_OF_THE_SEALING = ("key_id", "blob_part")
"""Columns that are drawn anew each time the same content is sealed."""


def request(inputs: Path | Sequence[Path], store: Path, keys: Path, **changes: Any) -> IngestRequest:
    """What ``cofferdam run`` asks for by default; ``keys`` is the key directory with both sides."""
    patterns = (str(inputs),) if isinstance(inputs, Path) else tuple(map(str, inputs))
    plain = IngestRequest(
        patterns=patterns,
        store=str(store),
        keys=keys / "ingest",
        source="auto",
        contract_files=(),
        record_cap=RECORD_CAP,
        split_bytes=SPLIT_BYTES,
        received=RECEIVED,
        digest_since=None,
    )
    return replace(plain, **changes)


def ingest(inputs: Path | Sequence[Path], store: Path, keys: Path, **changes: Any) -> Ledger:
    """Run ingest in this process and return its ledger."""
    return run_ingest(request(inputs, store, keys, **changes), show_progress=False)


def lines_file(path: Path, records: Iterable[Mapping[str, Any] | bytes]) -> Path:
    """A file of JSON lines; records that are bytes stand as they are."""
    lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def reasons(ledger: Ledger) -> Counter[str]:
    """Records of a run by reason code, of those that have one."""
    found: Counter[str] = Counter()
    for row in ledger["by_type"]:
        if row["reason"] != "-":
            found[row["reason"]] += row["records"]
    return found


@dataclass
class Opened:
    """All that a store keeps sealed, in the clear.

    Attributes:
        items: Parts (path, raw value) of each item, by item id.
        kinds: Kind of each item.
        rejects: Raw bytes of each record that is sealed whole, by reject id.
    """

    items: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    rejects: dict[str, bytes] = field(default_factory=dict)

    def everything(self) -> bytes:
        """All sealed bytes, one after the other."""
        parts = [b"\0".join((path.encode(), raw)) for parts in self.items.values() for path, raw in parts]
        return b"\n".join([*parts, *self.rejects.values()])

    def parts_of_kind(self, kind: str) -> list[tuple[str, bytes]]:
        """Parts of all items of a kind."""
        return [part for item, parts in self.items.items() if self.kinds[item] == kind for part in parts]


def opened(store: Path, keys: Path) -> Opened:
    """Open all that a store keeps sealed with the release side's keys; each blob must open."""
    state = Store.open(store)
    if QUARANTINE_BLOBS not in state.tables():
        return Opened()
    key_rows = [KeyRow(**row) for row in state.read_table(QUARANTINE_KEYS).to_pylist()]
    opener = VaultOpener(load_release_keys(keys / "release"), key_rows)
    rejected: list[OpenedItem] = []
    result = Opened()
    for row in state.read_table(QUARANTINE_BLOBS).to_pylist():
        blob = BlobRow(**row)
        found = opener.open_blob(blob)
        if blob.kind == "rejected":
            rejected += found
            continue
        for item_id, framed in found:
            result.items[item_id.hex()] = unframe_parts(framed)
            result.kinds[item_id.hex()] = blob.kind
    result.rejects = {item.hex(): raw for item, raw in join_rejected(rejected).items()}
    return result


@dataclass(frozen=True)
class Reject:
    """A record that was sealed whole: where it stood, why, and its bytes."""

    file: int
    offset: int
    reason: str
    raw: bytes = field(repr=False)


def rejects_of(store: Path, keys: Path) -> list[Reject]:
    """The records that were sealed whole, one entry a record, in the order of their positions."""
    state = Store.open(store)
    if QUARANTINE_REJECTED not in state.tables():
        return []
    raw = opened(store, keys).rejects
    rows = state.read_table(QUARANTINE_REJECTED).to_pylist()
    found = [
        Reject(row["file_index"], row["offset"], row["reason"], raw[row["reject_id"]])
        for row in rows
        if row["last"]
    ]
    return sorted(found, key=lambda entry: (entry.file, entry.offset))


def comparable(store: Path, keys: Path) -> dict[str, list[str]]:
    """All that a store says, so that two stores can be compared: rows in any order, content in the clear.

    Key ids, nonces, file names and what shares a blob differ from run to run and are left out.
    """
    state = Store.open(store)
    said = {
        table: _sorted_rows(state.read_table(table))
        for table in state.tables()
        if table not in (QUARANTINE_BLOBS, QUARANTINE_KEYS, LEDGER)
    }
    inside = opened(store, keys)
    said["opened items"] = sorted(map(repr, inside.items.items()))
    said["opened rejects"] = sorted(map(repr, inside.rejects.items()))
    said["ledger"] = _total_ledger(state)
    return said


def _sorted_rows(table: pa.Table) -> list[str]:
    kept = table.drop_columns([name for name in _OF_THE_SEALING if name in table.column_names])
    return sorted(map(repr, kept.to_pylist()))


def _total_ledger(state: Store) -> list[str]:
    """The ledger of all runs together."""
    total: Counter[tuple[Any, ...]] = Counter()
    for row in state.read_table(LEDGER).to_pylist():
        total[row["source"], row["event_type"], row["outcome"], row["reason"]] += row["records"]
    return sorted(map(repr, total.items()))


def telemetry_rows(store: Path) -> int:
    """Rows of all telemetry tables."""
    state = Store.open(store)
    return sum(state.read_table(name).num_rows for name in state.tables() if name.startswith(TELEMETRY))


def row_counts(store: Path) -> dict[str, int]:
    """Rows of every table but the ledger."""
    state = Store.open(store)
    return {name: state.read_table(name).num_rows for name in state.tables() if name != LEDGER}


__all__ = [
    "DIGESTS",
    "QUARANTINE_ITEMS",
    "QUARANTINE_REJECTED",
    "RECEIVED",
    "Ledger",
    "Opened",
    "Reject",
    "comparable",
    "ingest",
    "lines_file",
    "opened",
    "reasons",
    "rejects_of",
    "request",
    "row_counts",
    "telemetry_rows",
]
