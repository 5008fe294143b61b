"""Tables on their way through joins: cut into shards by meeting, by item or by key, and put together again.

A shard is everything whose id begins with the same digits. It holds up to some hundred thousand rows, so that
a join costs little a row (each shard may send a table to each shard of the next join), and there are the more
shards the more rows there are, so that no worker holds a ledger. Behind the join a shard is cut into its
meetings.

Beam's joins of several collections pickle what they carry, and a pickled slice carries its whole parent. So
tables enter a join as compressed bytes of Arrow IPC (`packed`) and are tables again behind it (`concat`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from transforms.arrow_coder import ArrowTableCoder

NO_MEETING: Final = "none"
"""What keys of items without a meeting begin with; no pseudonym does."""

SHARD_ROWS: Final = 320_000
"""Rows of a shard at most. A digit more makes sixteen times the shards, and 256 times the tables that shards
of one join send to those of the next, so a shard is as large as a worker can well hold."""
MOST_DIGITS: Final = 4
_SPREAD_DIGITS: Final = 2
_CODER: Final = ArrowTableCoder()

HOME: Final = "home"
"""Column with the key of the group that a row is decided in: its meeting, or a part of those without one."""

MARK_IDS: Final = pa.schema([("item_id", pa.string()), (HOME, pa.string())])
RELEASED_IDS: Final = pa.schema([("item_id", pa.string()), ("purpose", pa.string())])
MARKS: Final = pa.schema(
    [
        ("item_id", pa.string()),
        (HOME, pa.string()),
        ("ambiguous", pa.bool_()),
        ("released_for", pa.list_(pa.string())),
    ]
)
"""What is to be known of some items beyond their rows; most items have no mark."""

Shards = Iterator[tuple[str, bytes]]


def shard_digits(rows: int) -> int:
    """How many hexadecimal digits of an id name a shard, so that each has `SHARD_ROWS` at most."""
    digits = 1
    while digits < MOST_DIGITS and rows >> 4 * digits > SHARD_ROWS:
        digits += 1
    return digits


def homes(table: pa.Table) -> pa.ChunkedArray:
    """The group that each row is decided in; what has no meeting is spread by its id."""
    keys = table.column("meeting_join")
    if not keys.null_count:
        return keys
    spread = pc.utf8_slice_codeunits(table.column("item_id"), 0, _SPREAD_DIGITS)
    return pc.coalesce(keys, pc.binary_join_element_wise(NO_MEETING, spread, ""))


def shards_by(table: pa.Table, column: str, digits: int) -> Shards:
    """A table cut by the first digits of an id (hexadecimal text or bytes), packed."""
    ids = table.column(column)
    if not pa.types.is_string(ids.type):
        first = pc.binary_slice(ids.cast(pa.binary()), 0, (digits + 1) // 2)
        ids = pa.array([each.hex() for each in first.to_pylist()], pa.string())
    yield from groups(table, pc.utf8_slice_codeunits(ids, 0, digits))


def shards_by_home(table: pa.Table, digits: int) -> Shards:
    """A table with a column `HOME` cut so that no group is in two shards, packed."""
    keys = table.column(HOME)
    spread = min(digits, _SPREAD_DIGITS)
    shards = pc.if_else(
        pc.starts_with(keys, NO_MEETING),
        pc.utf8_slice_codeunits(keys, len(NO_MEETING), len(NO_MEETING) + spread),
        pc.utf8_slice_codeunits(keys, 0, digits),
    )
    yield from groups(table, shards)


def groups(table: pa.Table, keys: pa.Array | pa.ChunkedArray) -> Shards:
    """A table cut by equal keys, packed."""
    for key, rows in slices(table, keys):
        yield key, packed(rows)


def slices(table: pa.Table, keys: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, pa.Table]]:
    """A table cut by equal keys; rows of a key keep their order."""
    if not table.num_rows:
        return
    whole = pa.concat_arrays(keys.chunks) if isinstance(keys, pa.ChunkedArray) else keys
    encoded = whole.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ordered = table.take(pa.array(order)).combine_chunks()
    bounds = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1)).tolist()
    for at, name in enumerate(encoded.dictionary.to_pylist()):
        yield name, ordered.slice(bounds[at], bounds[at + 1] - bounds[at])


def packed(table: pa.Table) -> bytes:
    """A table as bytes, with its own rows only; what its columns mean stays behind."""
    plain = pa.schema([pa.field(each.name, each.type) for each in table.schema])
    bare = table.combine_chunks().cast(plain)
    return zstandard.ZstdCompressor(level=1).compress(_CODER.encode(bare))


def unpacked(content: bytes) -> pa.Table:
    """The table behind some bytes."""
    return _CODER.decode(zstandard.ZstdDecompressor().decompress(content))


def concat(tables: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """Some packed tables as one."""
    found = [_as(unpacked(content), schema) for content in tables]
    return pa.concat_tables(found).combine_chunks() if found else schema.empty_table()


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema.equals(schema) else table.cast(schema)


def find_marks(items: pa.Table, released: pa.Table) -> pa.Table:
    """What ids tell: items whose id another item has, too, and items that were released before.

    Args:
        items: Item ids with their homes, as `MARK_IDS` has them.
        released: What was released to the recipient in question, as `RELEASED_IDS` has it.

    Returns:
        One row, as `MARKS` has it, for every such item.
    """
    ids = items.column("item_id").to_numpy(zero_copy_only=False)
    distinct, which, times = np.unique(ids.astype(str), return_inverse=True, return_counts=True)
    purposes: dict[str, set[str]] = {}
    for item_id, purpose in zip(
        *(released.column(name).to_pylist() for name in RELEASED_IDS.names), strict=True
    ):
        purposes.setdefault(item_id, set()).add(purpose)
    before = np.array([each in purposes for each in distinct.tolist()], dtype=bool)
    chosen = np.flatnonzero(((times > 1) | before)[which])
    marked = items.take(pa.array(chosen, pa.int64()))
    named = [sorted(purposes.get(each, ())) for each in marked.column("item_id").to_pylist()]
    return pa.table(
        [*marked.columns, pa.array((times > 1)[which][chosen]), pa.array(named, pa.list_(pa.string()))],
        schema=MARKS,
    )


def mark_items(items: pa.Table, marks: pa.Table) -> pa.Table:
    """Items with what their ids tell: whether another item has the same id, and for what they are released.

    Returns:
        The rows with ``ambiguous`` (bool) and ``released_for`` (list of purposes).
    """
    ids = items.column("item_id").to_pylist() if marks.num_rows else ()
    found: Mapping[str, Any] = {row["item_id"]: row for row in marks.to_pylist()}
    known = [found.get(each) for each in ids]
    if marks.num_rows:
        ambiguous = pa.array([one is not None and one["ambiguous"] for one in known], pa.bool_())
        before = pa.array([one["released_for"] if one else [] for one in known], pa.list_(pa.string()))
    else:
        ambiguous = pa.repeat(pa.scalar(False), items.num_rows)
        before = pa.ListArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), items.num_rows + 1), pa.array([], pa.string())
        )
    return items.append_column("ambiguous", ambiguous).append_column("released_for", before)


def participants(roster: pa.Table) -> pa.Table:
    """Everybody that some rows of the roster name, once a meeting: columns pseudonym and home."""
    subjects = pa.concat_arrays(
        roster.column("subjects").chunks or [pa.array([], roster.schema.field("subjects").type)]
    )
    rows = pc.list_parent_indices(subjects)
    named = pc.struct_field(subjects.flatten(), "pseudonym")
    return _once(named, roster.column("meeting_join").take(rows))


def senders(items: pa.Table) -> pa.Table:
    """Everybody that some items are from, once a meeting: columns pseudonym and home."""
    return _once(items.column("sender_join"), items.column(HOME))


def _once(pseudonyms: Any, meetings: Any) -> pa.Table:
    pairs = pa.table([pseudonyms, meetings], names=["pseudonym", HOME])
    known = pairs.filter(pc.is_valid(pairs.column("pseudonym")))
    return known.group_by(["pseudonym", HOME]).aggregate([])
