"""Sealed items that a person has sent, and what became of them: copies, recalls, openings, tombstones.

Nothing is opened here. Items of the person's meetings that nobody alone has sent (a recording of all, a
summary) are named, and content that others sent is not even that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import REJECTED_KIND
from schemas.tables import (
    DECISION_EXPORTS,
    FIXED_TABLES,
    OPENINGS,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    RECALLS,
    TOMBSTONES,
)
from transforms.erase_reach import Mask, Space, is_in
from transforms.erase_recalls import released_by
from transforms.erase_search import StoreSearch
from transforms.sealed_format import ITEM_ID_BYTES
from transforms.subject_rows import OwnRows
from transforms.subject_search import Section
from transforms.telemetry_exports import KIND, exports_of, scopes_of

EVENT_DIGITS: Final = 30
"""Digits of an item's id that are its event's; the last two are its kind."""

_SEALING: Final = ("key_id", "blob_part")
_MIXED: Final = ("item_id", "kind", "source", "event_type", "meeting_join", "event_time")
_BLOB: Final = ("key_id", "part", "kind", "contract", "item_ids", "sender")
_RULES: Final = ("policy_hash", "registry_hash")
_EXPORTS: Final = ("run_id", "purpose", "recipient", "kind", "as_of", *_RULES)


@dataclass(frozen=True)
class OwnBlob:
    """A sealed blob whose only sender is the person.

    Attributes:
        key_id: Its data key (16 bytes).
        part: Its place among the blobs of that key.
        kind: Kind of what it holds.
        contract: Contract that cut it out.
        path: The file that it lies in.
        item_ids: Items in it (32 hexadecimal digits).
    """

    key_id: bytes
    part: int
    kind: str
    contract: str
    path: str
    item_ids: tuple[str, ...]


@dataclass
class OwnItems:
    """What a person has sent, sealed.

    Attributes:
        rows: Rows of the table of items.
        blobs: Where the ciphertext lies, also of names and secrets, which have no such rows.
        mixed: Items of their meetings that nobody alone has sent.
    """

    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    blobs: list[OwnBlob] = field(default_factory=list, repr=False)
    mixed: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def item_ids(self) -> frozenset[str]:
        """Ids of everything that they have sent."""
        sealed = (item for blob in self.blobs for item in blob.item_ids)
        return frozenset(sealed).union(row["item_id"] for row in self.rows)

    @property
    def meetings(self) -> frozenset[str]:
        """Meetings that they have sent something in, under the join key."""
        return frozenset(row["meeting_join"] for row in self.rows if row["meeting_join"] is not None)


def items_of(search: StoreSearch, join: Space, meetings: Iterable[str]) -> OwnItems:
    """What a person has sent, and what was made of all in their meetings.

    Args:
        search: The store.
        join: The person under the join key, with their visits.
        meetings: Meetings that they were in.
    """
    names, found = join.people | join.visits, OwnItems()
    columns = [name for name in FIXED_TABLES[QUARANTINE_ITEMS].names if name not in _SEALING]
    for record in search.holding(QUARANTINE_ITEMS, names):
        for rows in search.rows(record, columns):
            found.rows += _where(rows, is_in(rows.column("sender_join"), names))
    for record in search.holding(QUARANTINE_BLOBS, names):
        for rows in search.rows(record, list(_BLOB)):
            sent = _where(rows, is_in(rows.column("sender"), names))
            found.blobs += (_blob(row, record.path) for row in sent if row["kind"] != REJECTED_KIND)
    places = found.meetings.union(meetings)
    for record in search.holding(QUARANTINE_ITEMS, places):
        for rows in search.rows(record, [*_MIXED, "sender_join"]):
            nobodys = pc.is_null(rows.column("sender_join")).to_numpy()
            mask = is_in(rows.column("meeting_join"), places) & nobodys
            found.mixed += _where(rows.select(list(_MIXED)), mask)
    found.rows.sort(key=lambda row: (str(row["event_time"]), row["item_id"]))
    return found


def _where(rows: pa.Table, mask: Mask) -> list[dict[str, Any]]:
    return rows.filter(pa.array(mask)).to_pylist() if mask.any() else []


def _blob(row: Mapping[str, Any], path: str) -> OwnBlob:
    packed = row["item_ids"]
    starts = range(0, len(packed), ITEM_ID_BYTES)
    ids = tuple(packed[start : start + ITEM_ID_BYTES].hex() for start in starts)
    return OwnBlob(row["key_id"], row["part"], row["kind"], row["contract"], path, ids)


def claims_of(items: OwnItems) -> Section:
    """What events claimed about the person's consent: they can point at records and refuse, never grant."""
    rows = [
        {"item_id": row["item_id"], "event_time": row["event_time"], **row["consent_flag"]}
        for row in items.rows
        if row["consent_flag"] is not None
    ]
    about = "What events said about consent. Such a claim can refuse or point at a record; it grants nothing."
    return Section("claims", "Claims about consent", about, rows)


def mixed_of(items: OwnItems) -> Section:
    """Items that are about several people."""
    about = (
        "Content of the person's meetings that is of several people together, such as a recording of "
        "all or a summary. It is named only: opening it would show what others said (article 15(4))."
    )
    return Section("mixed_items", "Content of several people", about, items.mixed)


# --- what became of them ------------------------------------------------------------------------------------


def fates_of(search: StoreSearch, join: Space, items: OwnItems, telemetry: OwnRows) -> Iterator[Section]:
    """Copies, exports, recalls, openings and tombstones of what a person has sent."""
    own = _own_events(items, telemetry)
    copies = list(_copies(search, items.item_ids))
    about = "Which of the person's content was given to whom, for which purpose, by which decision."
    yield Section("released", "What was released", about, copies)
    runs = {row["export_run_id"] for row in copies}
    about = "The exports that these copies were part of, with the rules that they rest on."
    exports = _rows(search, DECISION_EXPORTS, "run_id", runs, _EXPORTS)
    yield Section("exports", "Exports", about, exports)
    taken = list(_taken_out(search, telemetry))
    about = "Telemetry that was taken out for a purpose and can hold rows of the person."
    yield Section("telemetry_exports", "Exports of telemetry", about, taken)
    about = "Exports whose recipients were told to delete the person's content."
    yield Section("recalls", "Recalls", about, list(_recalls(search, own)))
    about = "Every time that the person's sealed content was opened, by whose decision and for what."
    yield Section("openings", "Openings", about, list(_openings(search, own)))
    about = (
        "Content of the person that was destroyed. It is found by the person's events; of what an "
        "erasure took together with its events, nothing leads to anybody any more."
    )
    yield Section("tombstones", "What was destroyed", about, list(_tombstones(search, own)))


def _own_events(items: OwnItems, telemetry: OwnRows) -> pa.Array:
    """What ids of the person's items begin with: the ids of their events, but for the kind at the end.

    Items that were destroyed have no rows any more, and are found by what telemetry keeps of their events.
    """
    found = {item[:EVENT_DIGITS] for item in items.item_ids}
    for rows in telemetry.tables.values():
        theirs = rows.filter(pc.is_valid(rows.column("participant"))).column("event_id")
        found.update(event[:EVENT_DIGITS] for event in theirs.drop_null().to_pylist())
    return pa.array(sorted(found), pa.string())


def _is_of(item_ids: pa.Array, own: pa.Array) -> pa.Array:
    return pc.is_in(pc.utf8_slice_codeunits(item_ids, 0, EVENT_DIGITS), value_set=own)


def _tombstones(search: StoreSearch, own: pa.Array) -> Iterator[dict[str, Any]]:
    if TOMBSTONES in search.store.tables():
        columns = ["run_id", "item_id", "kind", "reason", "as_of"]
        for batch in search.store.scan(TOMBSTONES, columns):
            yield from batch.filter(_is_of(batch.column(1), own)).to_pylist()


def _copies(search: StoreSearch, own: frozenset[str]) -> Iterator[dict[str, Any]]:
    run_of = released_by(search.store)
    columns = ["item_id", "kind", "purpose", "recipient", "decision_id", "records", "terms", "as_of"]
    for record in search.copies_of(own):
        for rows in search.rows(record, columns):
            for row in _where(rows, is_in(rows.column("item_id"), own)):
                yield {**row, "export_run_id": run_of(record.path)}


def _taken_out(search: StoreSearch, telemetry: OwnRows) -> Iterator[dict[str, Any]]:
    own = {table: scopes_of(rows) for table, rows in telemetry.tables.items()}
    columns = ("run_id", "decided_by", "purpose", "recipient", "table", "as_of", *_RULES)
    for export, scopes in exports_of(search.store):
        if not scopes.isdisjoint(own.get(export["table"], ())):
            yield {"kind": KIND, **{name: export[name] for name in columns}}


def _rows(
    search: StoreSearch, table: str, column: str, values: Iterable[str], columns: Iterable[str]
) -> list[dict[str, Any]]:
    wanted = sorted(values)
    if not wanted or table not in search.store.tables():
        return []
    where = pc.field(column).isin(wanted)
    rows: list[dict[str, Any]] = search.store.read_table(table, list(columns), where=where).to_pylist()
    return rows


def _recalls(search: StoreSearch, own: pa.Array) -> Iterator[dict[str, Any]]:
    columns = ["run_id", "export_run_id", "purpose", "recipient", "kind", "reason", "item_ids", "as_of"]
    yield from _with_items(search, RECALLS, columns, own)


def _openings(search: StoreSearch, own: pa.Array) -> Iterator[dict[str, Any]]:
    columns = ["run_id", "ground", "decision_id", "purpose", "recipient", "kind", "item_ids", "outcome"]
    yield from _with_items(search, OPENINGS, columns, own)


def _with_items(
    search: StoreSearch, table: str, columns: list[str], own: pa.Array
) -> Iterator[dict[str, Any]]:
    """Rows that name items, with the person's own only."""
    if table not in search.store.tables():
        return
    known = set(own.to_pylist())
    for batch in search.store.scan(table, columns):
        lists = batch.column(columns.index("item_ids"))
        parents = pc.list_parent_indices(lists).filter(_is_of(pc.list_flatten(lists), own))
        for row in batch.take(pc.unique(parents)).to_pylist():
            yield {**row, "item_ids": [each for each in row["item_ids"] if each[:EVENT_DIGITS] in known]}


__all__ = ["EVENT_DIGITS", "OwnBlob", "OwnItems", "claims_of", "fates_of", "items_of", "mixed_of"]
