"""Tables on their way through joins: cut by item, by meeting and by key, and put together again.

Beam's joins of several collections pickle what they carry, and a pickled slice carries its whole parent. So
tables enter a join as bytes of Arrow IPC (`packed`) and are tables again behind it (`concat`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.arrow_coder import ArrowTableCoder
from transforms.consent_intake import decode_row

NO_MEETING: Final = "none"
"""What keys of items without a meeting begin with; no pseudonym does."""

OTHER_MEETINGS: Final = 64
"""Rows about other meetings that travel with a person to a meeting."""

_SHARD_DIGITS: Final = 2
_CODER: Final = ArrowTableCoder()


def shards_by(table: pa.Table, column: str) -> Iterator[tuple[str, bytes]]:
    """A table cut by the first byte of an id (hexadecimal text or bytes), packed."""
    if pa.types.is_string(table.schema.field(column).type):
        shards = pc.utf8_slice_codeunits(table.column(column), 0, _SHARD_DIGITS)
    else:
        first = pc.binary_slice(table.column(column).cast(pa.binary()), 0, 1)
        shards = pa.array([each.hex() for each in first.to_pylist()], pa.string())
    yield from groups(table, shards)


def by_meeting(table: pa.Table) -> Iterator[tuple[str, bytes]]:
    """A table cut by meeting, packed; what has none is spread by its id."""
    keys = table.column("meeting_join")
    if keys.null_count:
        spread = table.column("item_id" if "item_id" in table.column_names else "event_id")
        shards = pc.utf8_slice_codeunits(spread, 0, _SHARD_DIGITS)
        keys = pc.coalesce(keys, pc.binary_join_element_wise(NO_MEETING, shards, ""))
    yield from groups(table, keys)


def groups(table: pa.Table, keys: pa.Array | pa.ChunkedArray) -> Iterator[tuple[str, bytes]]:
    """A table cut by equal keys, packed."""
    if not table.num_rows:
        return
    whole = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    encoded = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
    encoded = encoded.dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ordered = table.take(pa.array(order))
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) != 0])
    ends = [*starts[1:].tolist(), len(order)]
    names = encoded.dictionary.to_pylist()
    for start, end in zip(starts.tolist(), ends, strict=True):
        yield names[codes[order[start]]], packed(ordered.slice(start, end - start))


def packed(table: pa.Table) -> bytes:
    """A table as bytes, with its own rows only."""
    return _CODER.encode(table)


def unpacked(content: bytes) -> pa.Table:
    """The table behind some bytes."""
    return _CODER.decode(content)


def concat(tables: Iterable[bytes], schema: pa.Schema) -> pa.Table:
    """Some packed tables as one."""
    found = [_as(unpacked(content), schema) for content in tables]
    return pa.concat_tables(found) if found else schema.empty_table()


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema.equals(schema) else table.cast(schema)


def mark_items(items: pa.Table, released: pa.Table) -> pa.Table:
    """Items with what their ids tell: whether another item has the same id, and for what they are released.

    Args:
        items: Rows of the items table.
        released: Columns item_id and purpose of what was released to the recipient in question.

    Returns:
        The rows with ``ambiguous`` (bool) and ``released_for`` (list of purposes).
    """
    encoded = pc.dictionary_encode(items.column("item_id").combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    repeated = np.bincount(codes, minlength=1)[codes] > 1 if len(codes) else np.zeros(0, dtype=bool)
    purposes: dict[str, list[str]] = {}
    for row in released.select(["item_id", "purpose"]).to_pylist():
        purposes.setdefault(row["item_id"], []).append(row["purpose"])
    known = [sorted(set(purposes.get(each, ()))) for each in items.column("item_id").to_pylist()]
    marked = items.append_column("ambiguous", pa.array(repeated))
    return marked.append_column("released_for", pa.array(known, pa.list_(pa.string())))


def roster_identifiers(roster: pa.Table) -> set[str]:
    """Pseudonyms of everybody that some rows of the roster name."""
    subjects = roster.column("subjects").combine_chunks()
    if isinstance(subjects, pa.ChunkedArray):
        subjects = pa.concat_arrays(subjects.chunks) if subjects.num_chunks else pa.array([], subjects.type)
    return {each for each in pc.struct_field(subjects.flatten(), "pseudonym").to_pylist() if each is not None}


def senders(items: pa.Table) -> set[str]:
    """Pseudonyms of everybody that some items are from."""
    return {each for each in pc.unique(items.column("sender_join")).to_pylist() if each is not None}


def rows_for_meeting(rows: Iterable[bytes], meeting: str) -> tuple[bytes, ...]:
    """A person's rows as one meeting needs them, sorted, each once for each time that it came.

    Rows about other meetings can decide nothing; they only show what a person agreed to elsewhere. So few of
    them are enough, and without a bound a person of ten thousand meetings would take all rows to all of them.
    Whatever shares its id with another row stays: two records under one id are in doubt wherever they are.
    """
    here: list[bytes] = []
    elsewhere: dict[str, list[bytes]] = {}
    scope = f"meeting:{meeting}"
    ordered = sorted(rows)
    fields = [decode_row(row) for row in ordered]
    ids: dict[object, int] = {}
    for each in fields:
        ids[each.get("id")] = ids.get(each.get("id"), 0) + 1
    for row, each in zip(ordered, fields, strict=True):
        named = each.get("scope")
        is_other = isinstance(named, str) and named.startswith("meeting:") and named != scope
        if is_other and ids[each.get("id")] == 1:
            elsewhere.setdefault(str(each.get("event_time")), []).append(row)
        else:
            here.append(row)
    newest = [row for time in sorted(elsewhere, reverse=True) for row in elsewhere[time]]
    return tuple(sorted([*here, *newest[:OTHER_MEETINGS]]))
