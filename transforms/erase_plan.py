"""Plan an erasure: which files hold rows that go, how many, and which data keys are destroyed.

Only files that the manifests' filters name are looked into, and of those only columns of ids and pseudonyms.
The plan is a list of edits, one a file; nothing is changed here.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import ContractSet
from schemas.tables import (
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
    SIGNALS,
    TELEMETRY,
)
from transforms.erase_reach import DECLARED_DUE, ERASURE_REQUESTED, Mask, Reach, Scope, Space, is_in
from transforms.erase_rows import Edit, edited, needed_columns
from transforms.erase_search import IDS_AT_ONCE, StoreSearch, TelemetryNames, values_where, with_visits
from transforms.manifests import FileRecord
from transforms.sealed_format import COVERS_DATA, ITEM_ID_BYTES
from transforms.store import Store


@dataclass(frozen=True)
class Destroyed:
    """An item whose data key goes.

    Attributes:
        item_id: 32 hexadecimal digits.
        kind: Its kind.
        key_id: The data key (16 bytes).
        digest: SHA-256 of its ciphertext.
        reason: Why it goes.
    """

    item_id: str
    kind: str
    key_id: bytes
    digest: bytes = field(repr=False)
    reason: str


@dataclass
class ErasurePlan:
    """Everything that an erasure will do.

    Attributes:
        edits: What is done to which file.
        destroyed: Items whose data keys go.
        keys: Reason by data key that goes.
        bundles: Bundle keys under which nothing is left; they go, too.
        events: Ids of events of which rows go or change.
        held: Rows that stay because of a legal hold, by table.
        held_in: Tenants and meetings (join pseudonyms) of what stays sealed because of it.
        copies: Reason by item and purpose, of released copies that go while the sealed item stays.
        rows: Rows of the whole store, by table.
        reach: Whom and what it is about, with everything that was found on the way.
        search: What it was found with.
    """

    edits: list[Edit] = field(default_factory=list)
    destroyed: list[Destroyed] = field(default_factory=list, repr=False)
    keys: dict[bytes, str] = field(default_factory=dict, repr=False)
    bundles: set[bytes] = field(default_factory=set, repr=False)
    events: set[str] = field(default_factory=set, repr=False)
    held: Counter[str] = field(default_factory=Counter)
    held_in: set[tuple[str | None, str | None]] = field(default_factory=set, repr=False)
    copies: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)
    rows: Counter[str] = field(default_factory=Counter)
    reach: Reach = field(default=Reach(Space(), Space()), repr=False)
    search: StoreSearch | None = field(default=None, repr=False)

    def gone(self) -> Counter[str]:
        """Rows that go, by table."""
        return _summed((edit.table, edit.gone) for edit in self.edits)

    def changed(self) -> Counter[str]:
        """Rows that lose a name, by table."""
        return _summed((edit.table, edit.changed) for edit in self.edits)

    def edits_of(self, table: str) -> list[Edit]:
        """The edits of one table's files."""
        return [edit for edit in self.edits if edit.table == table]


def _summed(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, number in pairs:
        found[name] += number
    return +found


class Planner:
    """Plans one erasure over one state of a store.

    Args:
        store: The store.
        contracts: Contracts, for the columns of telemetry that hold per-join ids.
        reach: Whom and what it is about.
        earlier: A search of an earlier state of the store.
    """

    def __init__(
        self, store: Store, contracts: ContractSet, reach: Reach, earlier: StoreSearch | None = None
    ) -> None:
        self._store, self._reach, self._contracts = store, reach, contracts
        self._search = StoreSearch(store, earlier)
        self._secret = secrets.token_bytes(32)
        rows = _summed((record.table, record.rows) for record in store.snapshot.live.values())
        self.plan = ErasurePlan(rows=rows, search=self._search)

    def make(
        self, due_keys: Mapping[bytes, str], copies: Mapping[tuple[str, str], str] | None = None
    ) -> ErasurePlan:
        """The plan.

        Args:
            due_keys: Further data keys that go, with the reason.
            copies: Items and purposes whose released copies go, with the reason.
        """
        self.plan.copies = copies or {}
        join = with_visits(self._search, self._reach.join)
        self._reach = replace(self._reach, join=join)
        for table in (ROSTER, SIGNALS):
            self._plan_edits(self._search.holding(table, join.named), space=join, secret=self._secret)
        self.plan.keys = {**due_keys, **self._keys_of(join)}
        self._plan_quarantine(everywhere=bool(due_keys))
        self._plan_released()
        telemetry = TelemetryNames(self._search, self._contracts).learn(self._reach)
        self._reach = replace(self._reach, telemetry=telemetry)
        self._plan_edits(self._search.holding(TELEMETRY, telemetry.named), space=telemetry)
        self.plan.reach = self._reach
        return self.plan

    def _plan_edits(
        self,
        records: Iterable[FileRecord],
        *,
        space: Space | None = None,
        keys: frozenset[bytes] = frozenset(),
        released: frozenset[str] = frozenset(),
        secret: bytes = b"",
    ) -> None:
        """Count what an edit would do to some files, and plan it where it does anything."""
        for record in records:
            filters = self._search.filters_in(record)
            edit = Edit(record.path, record.table, space or Space(), keys, released, secret, filters)
            columns = needed_columns(record.table, self._search.schema(record))
            for rows in self._search.rows(record, columns):
                found = edited(edit, rows)
                edit = replace(edit, gone=edit.gone + found.gone, changed=edit.changed + found.changed)
                self.plan.events.update(found.events)
                self._count_held(edit, rows, found.gone + found.changed)
            if edit.gone or edit.changed:
                self.plan.edits.append(edit)

    def _count_held(self, edit: Edit, rows: pa.Table, touched: int) -> None:
        if not edit.space.held:
            return
        free = edited(replace(edit, space=replace(edit.space, held=Scope())), rows)
        if held := free.gone + free.changed - touched:
            self.plan.held[edit.table] += held

    # --- quarantine -------------------------------------------------------------------------------------

    def _keys_of(self, join: Space) -> dict[bytes, str]:
        """Data keys of what the people have sent, and of meetings that go, with the reason."""
        found: dict[bytes, str] = {}
        people = join.people | join.visits
        for record in self._search.holding(QUARANTINE_BLOBS, join.named):
            for rows in self._search.rows(record, ["key_id", "tenant", "meeting", "sender"]):
                tenant, meeting, keys = (rows.column(name) for name in ("tenant", "meeting", "key_id"))
                theirs, due = is_in(rows.column("sender"), people), join.gone.mask(tenant, meeting)
                held = join.held.mask(tenant, meeting)
                found |= dict.fromkeys(values_where(keys, due & ~held), DECLARED_DUE)
                found |= dict.fromkeys(values_where(keys, theirs & ~held), ERASURE_REQUESTED)
                self._note_held(rows, theirs & held)
        return found

    def _note_held(self, rows: pa.Table, mask: Mask) -> None:
        """Keep in mind in which meetings something of the people stays for a legal claim."""
        if mask.any():
            self.plan.held[QUARANTINE_BLOBS] += int(mask.sum())
            places = rows.select(["tenant", "meeting"]).filter(pa.array(mask)).to_pylist()
            self.plan.held_in |= {(row["tenant"], row["meeting"]) for row in places}

    def _plan_quarantine(self, *, everywhere: bool) -> None:
        keys = frozenset(self.plan.keys)
        if not keys:
            return
        named = self._reach.join.named
        for table in (QUARANTINE_ITEMS, QUARANTINE_BLOBS):
            records = self._store.files(table) if everywhere else self._search.holding(table, named)
            self._plan_by_key(records, keys)
        if everywhere:
            self._plan_by_key(self._store.files(QUARANTINE_REJECTED), keys)
        self._note_destroyed()
        self._plan_keys(keys)

    def _plan_by_key(self, records: Iterable[FileRecord], keys: frozenset[bytes]) -> None:
        """As `_plan_edits`, each edit with the keys only that its file holds."""
        for record in records:
            if here := self._keys_in(record, keys):
                self._plan_edits([record], keys=frozenset(here))

    def _keys_in(self, record: FileRecord, keys: frozenset[bytes]) -> set[bytes]:
        found: set[bytes] = set()
        for rows in self._search.rows(record, ["key_id"]):
            found.update(values_where(rows.column("key_id"), is_in(rows.column("key_id"), keys)))
        return found

    def _plan_keys(self, keys: frozenset[bytes]) -> None:
        """Data keys, and bundle keys that wrap nothing any more."""
        records = self.files_of_keys(keys)
        left: Counter[bytes] = Counter()
        bundles: set[bytes] = set()
        for record in records:
            for rows in self._search.rows(record, ["key_id", "covers", "wrapping_key_id"]):
                wrapping = rows.column("wrapping_key_id")
                data: Mask = pc.equal(rows.column("covers"), COVERS_DATA).to_numpy()
                goes = is_in(rows.column("key_id"), keys) & data
                bundles.update(values_where(wrapping, goes))
                left.update(wrapping.filter(pa.array(data & ~goes)).to_pylist())
        self.plan.bundles = {each for each in bundles if not left[each]}
        for record in records:
            here = self._keys_in(record, keys | self.plan.bundles)
            self._plan_edits([record], keys=frozenset(here))

    def files_of_keys(self, keys: Collection[bytes]) -> list[FileRecord]:
        """Files that may hold some keys: all whose filters name one of them, or do not know key ids."""
        files = self._store.files(QUARANTINE_KEYS)
        if len(keys) > IDS_AT_ONCE:
            return files
        named = {record.path for record in self._search.holding(QUARANTINE_KEYS, keys)}
        return [record for record in files if record.path in named or self._search.is_silent(record)]

    def _note_destroyed(self) -> None:
        """What the blobs hold that go: the digest of each ciphertext, and the items in it."""
        columns = ["key_id", "kind", "item_ids", "ciphertext"]
        for edit in self.plan.edits_of(QUARANTINE_BLOBS):
            record = self._store.snapshot.live[edit.path]
            where = pc.field("key_id").isin(pa.array(list(edit.keys), pa.binary(16)))
            for batch in self._store.scan(QUARANTINE_BLOBS, columns, where, records=[record]):
                for row in batch.to_pylist():
                    digest = hashlib.sha256(row["ciphertext"]).digest()
                    reason = self.plan.keys[row["key_id"]]
                    self.plan.destroyed += (
                        Destroyed(item.hex(), row["kind"], row["key_id"], digest, reason)
                        for item in _item_ids(row["item_ids"])
                    )

    # --- released copies --------------------------------------------------------------------------------

    def _plan_released(self) -> None:
        """Copies of what is destroyed, and of what a purpose has lost."""
        items = {each.item_id for each in self.plan.destroyed}
        pairs = {f"{item}|{purpose}" for item, purpose in self.plan.copies}
        if not items and not pairs:
            return
        for record in self._search.copies_of(items.union(item for item, _ in self.plan.copies)):
            released: set[str] = set()
            for rows in self._search.rows(record, ["item_id", "purpose"]):
                names = pc.binary_join_element_wise(rows.column("item_id"), rows.column("purpose"), "|")
                mask = is_in(rows.column("item_id"), items) | is_in(names, pairs)
                released.update(values_where(names, mask))
            if released:
                self._plan_edits([record], released=frozenset(released))


def due_by_age(store: Store, first_alive: Mapping[str, date], reason: str) -> dict[bytes, str]:
    """Data keys whose time to live is over, with the reason.

    Args:
        store: The store.
        first_alive: First day that still lives, for each of what keys hold (``items``, ``rejected``).
        reason: The reason to give.
    """
    due: dict[bytes, str] = {}
    records = store.checked(store.files(QUARANTINE_KEYS))  # no cipher binds a key to its day
    for batch in store.scan(QUARANTINE_KEYS, ["key_id", "covers", "holds", "created"], records=records):
        is_data = pc.equal(batch.column("covers"), COVERS_DATA)
        for holds, day in first_alive.items():
            old = pc.less(batch.column("created"), pa.scalar(day, pa.date32()))
            mask = pc.and_(pc.and_(is_data, pc.equal(batch.column("holds"), holds)), old)
            due |= dict.fromkeys(batch.column("key_id").filter(mask).to_pylist(), reason)
    return due


def held_keys(store: Store, space: Space) -> frozenset[bytes]:
    """Data keys of what is kept for a legal claim."""
    found: set[bytes] = set()
    for batch in store.scan(QUARANTINE_BLOBS, ["key_id", "tenant", "meeting"]) if space.held else ():
        rows = pa.Table.from_batches([batch])
        mask = space.held.mask(rows.column("tenant"), rows.column("meeting"))
        found.update(values_where(rows.column("key_id"), mask))
    return frozenset(found)


def _item_ids(packed: bytes) -> list[bytes]:
    return [packed[at : at + ITEM_ID_BYTES] for at in range(0, len(packed), ITEM_ID_BYTES)]


__all__ = ["Destroyed", "ErasurePlan", "Planner", "due_by_age", "held_keys"]
