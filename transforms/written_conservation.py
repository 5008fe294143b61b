"""Whether ledgers and files add up: what runs say that they wrote, and the rows that manifests name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.classification import IDENTITY_KIND, REJECTED_KIND, SECRET_KIND
from schemas.tables import LEDGER, OPENINGS, QUARANTINE_ITEMS, QUARANTINE_REJECTED, RELEASED
from transforms.manifests import FileRecord, Manifest
from transforms.store import Store

_WITHOUT_ROWS: Final = (IDENTITY_KIND, SECRET_KIND, REJECTED_KIND)
"""Kinds that are sealed without a row of their own among the items."""

Words = Mapping[str, int]


def conservation_words(store: Store) -> Iterator[tuple[str, str, Words]]:
    """For each table and comparison the number of times that it came out equal, and that it did not."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for table, what, left, right in _comparisons(store):
        found.setdefault((table, what), Counter())["equal" if left == right else "differs"] += 1
    for (table, what), words in found.items():
        yield table, what, words


_Comparison = tuple[str, str, object, object]


def _comparisons(store: Store) -> Iterator[_Comparison]:
    live = {record.path: record for manifest in store.snapshot.manifests for record in manifest.adds}
    for manifest in store.snapshot.manifests:
        ledger = manifest.facts.get("ledger") or {}
        added = _rows(manifest.adds)
        if manifest.facts.get("kind") == "ingest":
            yield from _ingest(store, manifest, ledger, added)
        elif manifest.facts.get("kind") == "release":
            yield RELEASED, "rows of the release", ledger.get("released"), added[RELEASED]
            yield QUARANTINE_ITEMS, "decisions", *_decided(ledger)
        elif manifest.facts.get("kind") == "erasure":
            removed = _rows(live[path] for path in manifest.removes if path in live)
            for table, figures in (ledger.get("rows") or {}).items():
                yield table, "rows that an erasure took", figures["gone"], removed[table] - added[table]
        elif manifest.facts.get("kind") == "reprocess":
            removed = _rows(live[path] for path in manifest.removes if path in live)
            yield from _reprocessed(ledger, added, removed)


def _rows(records: Any) -> Counter[str]:
    total: Counter[str] = Counter()
    for record in records:
        total[record.table] += record.rows
    return total


def _ingest(
    store: Store, manifest: Manifest, ledger: Mapping[str, Any], added: Counter[str]
) -> Iterator[_Comparison]:
    records = ledger.get("records")
    yield LEDGER, "records and outcomes", records, sum(ledger.get("outcomes", {}).values())
    yield LEDGER, "records and event types", records, sum(row["records"] for row in ledger.get("by_type", ()))
    sums = ledger.get("reconciliation", {})
    yield LEDGER, "what was read and what was committed", sums.get("read"), sums.get("outcomes")
    own = [record for record in manifest.adds if record.table == LEDGER]
    yield LEDGER, "records and rows", records, _records(store, own)
    written = ledger.get("rows", {})
    for table in sorted({*written, *added} - {LEDGER}):
        if table.split("/")[0] != "manifests":
            yield table, "rows of the run", written.get(table, 0), added[table]
    items = ledger.get("items", {})
    with_rows = sum(number for kind, number in items.items() if kind not in _WITHOUT_ROWS)
    yield QUARANTINE_ITEMS, "items and rows", with_rows, written.get(QUARANTINE_ITEMS, 0)
    held = sum(ledger.get("outcomes", {}).get(outcome, 0) for outcome in ("rejected", "unknown"))
    yield QUARANTINE_REJECTED, "records that are held and rows", held, items.get(REJECTED_KIND, 0)


def _reprocessed(
    ledger: Mapping[str, Any], added: Counter[str], removed: Counter[str]
) -> Iterator[_Comparison]:
    """Rows that came and went when something was taken in again; a completed row is the same one."""
    written, gone = ledger.get("rows", {}), ledger.get("gone", {})
    for table in sorted({*written, *gone, *added, *removed} - {OPENINGS}):
        if table.split("/")[0] != "manifests":
            stated = written.get(table, 0) - gone.get(table, 0)
            yield table, "rows that a reprocessing changed", stated, added[table] - removed[table]
    opened = ledger.get("reconciliation", {})
    yield QUARANTINE_ITEMS, "what was opened and what it became", opened.get("read"), opened.get("outcomes")


def _records(store: Store, records: list[FileRecord]) -> int | None:
    """Records that the ledger's own rows tell of; None if they cannot be read."""
    files = store.files_of_store.arrow()
    try:
        tables = [pq.read_table(record.path, columns=["records"], filesystem=files) for record in records]
        return sum(pc.sum(table.column("records")).as_py() or 0 for table in tables)
    except (pa.ArrowException, OSError, KeyError):
        return None


def _decided(ledger: Mapping[str, Any]) -> tuple[object, object]:
    """Decisions that were due and those that were made."""
    due = (ledger.get("items") or 0) * len(ledger.get("purposes") or ())
    return due, sum(ledger.get("outcomes", {}).values())
