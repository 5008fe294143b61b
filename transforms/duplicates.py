"""Find duplicates: the same event delivered again, in this run or in an earlier one.

Vendors deliver again for hours. An event is the same when its identity digest is (its own id where the source
gives one, else its whole body). Of equal ones the one that an earlier run committed wins, else the one at the
lowest position; another body under the same id is a collision, which is sealed, not dropped, the first time
that it comes.

Digests travel in shards of whole tables, never one by one; one shard at a time is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.tables import BINARY_ID, DIGESTS, FIXED_TABLES
from transforms.record_digests import DIGEST_BYTES, Identities

SHARDS = 16
EARLIER_RUN = -1
"""File index of digests that an earlier run committed; it sorts before every file of this run."""

ERASED_EVENT = -2
"""File index of events of which an erasure took something: whatever comes under their ids is a duplicate."""

DUPLICATE, COLLISION = 1, 2

DIGEST_SCHEMA = pa.schema(
    [
        pa.field("id_digest", BINARY_ID),
        pa.field("body_digest", BINARY_ID),
        pa.field("file", pa.int32()),
        pa.field("offset", pa.int64()),
    ]
)
VERDICT_SCHEMA = pa.schema(
    [pa.field("file", pa.int32()), pa.field("offset", pa.int64()), pa.field("verdict", pa.int8())]
)


def digest_table(identities: Identities, file_index: int, offsets: np.ndarray) -> pa.Table:
    """The digests of a block of records with their positions."""
    return pa.Table.from_arrays(
        [
            _binary(identities.ids),
            _binary(identities.bodies),
            pa.array(np.full(len(offsets), file_index, dtype=np.int32)),
            pa.array(np.asarray(offsets, dtype=np.int64)),
        ],
        schema=DIGEST_SCHEMA,
    )


def earlier_digests(committed: pa.Table) -> pa.Table:
    """Digests of the digests table as if they stood before every file of this run."""
    size = committed.num_rows
    return pa.Table.from_arrays(
        [
            committed.column("id_digest").combine_chunks(),
            committed.column("body_digest").combine_chunks(),
            pa.array(np.full(size, EARLIER_RUN, dtype=np.int32)),
            pa.array(np.arange(size, dtype=np.int64)),
        ],
        schema=DIGEST_SCHEMA,
    )


def erased_digests(erased: pa.Table) -> pa.Table:
    """Ids of erased events as if they stood before everything else."""
    size = erased.num_rows
    ids = erased.column("id_digest").combine_chunks()
    files = pa.array(np.full(size, ERASED_EVENT, dtype=np.int32))
    return pa.Table.from_arrays(
        [ids, ids, files, pa.array(np.arange(size, dtype=np.int64))], schema=DIGEST_SCHEMA
    )


def shards_of(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Split digests by their first byte, so that equal ones meet in one shard."""
    shard = digest_bytes(table.column("id_digest"))[:, 0] % SHARDS
    order = np.argsort(shard, kind="stable")
    counts = np.bincount(shard, minlength=SHARDS)
    ordered = table.take(pa.array(order))
    start = 0
    for number, count in enumerate(counts.tolist()):
        if count:
            yield number, ordered.slice(start, count)
            start += count


@dataclass(frozen=True)
class Found:
    """What a shard of digests holds.

    Attributes:
        verdicts: Positions of this run's records that are duplicates or collisions.
        fresh: Rows for the digests table: what this run is the first to see (without `seen`).
    """

    verdicts: pa.Table
    fresh: pa.Table


def find_duplicates(tables: Iterable[pa.Table]) -> Found:
    """Judge all digests of one shard, in any order of its tables."""
    table = pa.concat_tables(list(tables)).combine_chunks()
    files = table.column("file").to_numpy()
    offsets = table.column("offset").to_numpy()
    ids = digest_bytes(table.column("id_digest")).view("<u8").reshape(-1, 2)
    bodies = digest_bytes(table.column("body_digest")).view("<u8").reshape(-1, 2)
    first_of_id = _firsts(ids, files, offsets)
    first_of_body = _firsts(np.hstack([ids, bodies]), files, offsets)
    erased = _after(ids, files, ERASED_EVENT)
    mine = files > EARLIER_RUN
    later = np.flatnonzero(mine & ~(first_of_id & first_of_body))
    # What an erasure took does not come back, not even in another spelling.
    collides = first_of_body[later] & ~erased[later]
    verdict = np.where(collides, COLLISION, DUPLICATE).astype(np.int8)
    verdicts = pa.Table.from_arrays(
        [pa.array(files[later]), pa.array(offsets[later]), pa.array(verdict)], schema=VERDICT_SCHEMA
    )
    # Bodies that collided are remembered too: delivered again, they are duplicates of themselves.
    fresh = np.flatnonzero(mine & first_of_body & ~erased)
    return Found(verdicts, table.take(pa.array(fresh)))


def _firsts(keys: np.ndarray, files: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Which rows stand at the lowest position of those with an equal key."""
    order = np.lexsort((offsets, files, *keys.T))
    ordered = keys[order]
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    firsts = np.empty(len(order), dtype=bool)
    firsts[order] = starts
    return firsts


def _after(keys: np.ndarray, files: np.ndarray, file: int) -> np.ndarray:
    """Which rows have a key that a row of some file index has, too."""
    named = np.unique(np.ascontiguousarray(keys[files == file]).view("V16"))
    if not len(named):
        return np.zeros(len(files), dtype=bool)
    return np.isin(np.ascontiguousarray(keys).view("V16").ravel(), named)


def digest_rows(fresh: pa.Table, seen: pa.Scalar) -> pa.Table:
    """Rows for the digests table."""
    schema = FIXED_TABLES[DIGESTS]
    files = fresh.column("file").to_numpy().astype(np.int64)
    position = (files << 40) | (fresh.column("offset").to_numpy() & ((1 << 40) - 1))
    made = {
        "id_digest": fresh.column("id_digest"),
        "body_digest": fresh.column("body_digest"),
        "seen": pa.chunked_array([pa.repeat(seen, fresh.num_rows)]),
        "position": pa.chunked_array([pa.array(position)]),
    }
    return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


class VerdictIndex:
    """Looks up the verdicts of a file's records.

    Args:
        tables: Verdict tables of all shards.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        parts = list(tables)
        table = pa.concat_tables(parts) if parts else VERDICT_SCHEMA.empty_table()
        self._files = table.column("file").to_numpy()
        self._offsets = table.column("offset").to_numpy()
        self._verdicts = table.column("verdict").to_numpy()
        self._by_file: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def of_block(self, file_index: int, offsets: np.ndarray) -> np.ndarray:
        """Verdict of each record of a block: 0, DUPLICATE or COLLISION."""
        found = np.zeros(len(offsets), dtype=np.int8)
        judged, verdicts = self._of_file(file_index)
        if len(judged) and len(offsets):
            places = np.searchsorted(judged, offsets)
            places[places == len(judged)] = 0
            hit = judged[places] == offsets
            found[hit] = verdicts[places[hit]]
        return found

    def _of_file(self, file_index: int) -> tuple[np.ndarray, np.ndarray]:
        if file_index not in self._by_file:
            mine = np.flatnonzero(self._files == file_index)
            order = mine[np.argsort(self._offsets[mine], kind="stable")]
            self._by_file[file_index] = (self._offsets[order], self._verdicts[order])
        return self._by_file[file_index]


def digest_bytes(column: pa.ChunkedArray) -> np.ndarray:
    """A column of digests as uint8 of shape (rows, 16)."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], BINARY_ID)
    data = np.frombuffer(array.buffers()[1], dtype=np.uint8) if len(array) else np.empty(0, np.uint8)
    start = array.offset * DIGEST_BYTES
    return data[start : start + len(array) * DIGEST_BYTES].reshape(-1, DIGEST_BYTES)


def _binary(digests: np.ndarray) -> pa.Array:
    buffer = pa.py_buffer(np.ascontiguousarray(digests).tobytes())
    return pa.Array.from_buffers(BINARY_ID, len(digests), [None, buffer])
