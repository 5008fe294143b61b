"""Tombstones: what was destroyed, so that it is known to be gone and does not come back.

A tombstone names an item, the data key that was destroyed and the digest of the ciphertext that nothing opens
any more; of the person it says nothing. The ids of erased events stand in a table of their own, and old input
that holds such an event again is dropped as a repetition, whatever days ingest looks back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa

from schemas.tables import ERASED_EVENTS, FIXED_TABLES, TOMBSTONES
from transforms.store import Store

_ROWS_AT_ONCE = 1 << 16


def tombstone_rows(
    run_id: str, as_of: datetime, destroyed: Sequence[tuple[str, str, bytes, bytes, str]]
) -> Iterator[pa.Table]:
    """Rows of the table of tombstones.

    Args:
        run_id: The erasure.
        as_of: Its instant.
        destroyed: Item id, kind, key id, digest and reason of each item.
    """
    schema = FIXED_TABLES[TOMBSTONES]
    for start in range(0, len(destroyed), _ROWS_AT_ONCE):
        items, kinds, keys, digests, reasons = zip(*destroyed[start : start + _ROWS_AT_ONCE], strict=True)
        size = len(items)
        columns = {
            "run_id": [run_id] * size,
            "item_id": items,
            "kind": kinds,
            "key_id": keys,
            "digest": digests,
            "reason": reasons,
            "as_of": [as_of] * size,
        }
        yield pa.table([pa.array(columns[each.name], each.type) for each in schema], schema=schema)


def event_rows(run_id: str, event_ids: Iterable[str]) -> pa.Table:
    """Rows of the table of erased events.

    Args:
        run_id: The erasure.
        event_ids: Ids of events (32 hexadecimal digits).
    """
    schema = FIXED_TABLES[ERASED_EVENTS]
    digests = [bytes.fromhex(each) for each in sorted(event_ids)]
    columns = [pa.array([run_id] * len(digests), pa.string()), pa.array(digests, pa.binary(16))]
    return pa.Table.from_arrays(columns, schema=schema)


def erased_events(store: Store) -> Iterator[pa.Table]:
    """Ids of all events of which an erasure took something: column id_digest (16 bytes)."""
    for batch in store.scan(ERASED_EVENTS, ["id_digest"]):
        yield pa.Table.from_batches([batch])


def destroyed_items(store: Store) -> Iterator[pa.Table]:
    """Ids of all items that were destroyed: column item_id (32 hexadecimal digits)."""
    for batch in store.scan(TOMBSTONES, ["item_id"]):
        yield pa.Table.from_batches([batch])
