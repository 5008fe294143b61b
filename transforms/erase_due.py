"""What is due: decided by the same rules, records and suites as a release, for every registered purpose.

The decisions are taken in a store of their own that is thrown away; those that something is destroyed upon
are kept as evidence. A purpose has lost an item when somebody's verified no, a registered request or the end
of retention says so. An item goes when every registered purpose has lost it or is forbidden, and no legal
hold keeps it. What is doubtful, disputed or merely missing holds and destroys nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import PromiseBroken
from schemas.registry_entries import PurposeEntry
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES, QUARANTINE_ITEMS, RELEASED
from transforms.erase_passing import seal_of_decisions
from transforms.erase_reach import NO_PURPOSE_LEFT, WITHDRAWN, Scope, is_in
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.release_rules import ReleaseRules
from transforms.store import Store
from validation.decisions import ERASE
from validation.reasons import CATALOGUE

STAGE: Final = "erase"
RETENTION_OVER: Final = "PURPOSE_RETENTION_OVER"
"""The purpose has had its copies for as long as it may keep them."""

_LEGAL_HOLD: Final = "LEGAL_HOLD"
_PROHIBITED: Final = "PURPOSE_PROHIBITED"
_DAYS: Final = {"D": 1, "M": 30, "Y": 365}


@dataclass
class Due:
    """What is due.

    Attributes:
        keys: Reason by data key of which every item goes.
        copies: Reason by item and purpose whose released copies go.
        waiting: Items that are due and share a data key with items that are not.
        items: Items that go.
    """

    keys: dict[bytes, str] = field(default_factory=dict, repr=False)
    copies: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)
    waiting: int = 0
    items: set[str] = field(default_factory=set, repr=False)


@dataclass
class KeepDecisions(beam.PTransform[Any, Any]):
    """Commit the files of decisions to the store that they were written to, under the erasure's own seal."""

    store: str
    run_id: str
    keys: ReleaseKeys

    def expand(self, files: Any) -> Any:
        """FileRecord -> nothing."""
        once = files.pipeline | "Once" >> beam.Create([self.store], reshuffle=False)
        return once | "Keep" >> beam.Map(_keep, self.run_id, self.keys, beam.pvalue.AsList(files))


def _keep(store: str, run_id: str, keys: ReleaseKeys, files: Sequence[FileRecord]) -> None:
    with value_free("keep decisions"):
        Store.open(store, seal_of_decisions(keys, run_id)).commit(run_id, files, {"kind": "decisions"})


def purposes_to_ask(store: Store, rules: ReleaseRules) -> tuple[str, ...]:
    """For which registered purposes something can be due.

    While a purpose is registered that asks nobody, such as carrying the meeting, items can be used, whatever
    people say: only the copies of other purposes can be due then.
    """
    registered = rules.request.purposes
    if not any(rules.asks_nobody(purpose) for purpose in registered):
        return registered
    released = {purpose for purposes in _released(store).values() for purpose in purposes}
    return tuple(purpose for purpose in registered if purpose in released)


def find_due(store: Store, decided: Store, purposes: Sequence[str], *, whole: bool) -> Due:
    """What the decisions say goes.

    Args:
        store: The store.
        decided: The store of decisions about all of its items, for these purposes, opened with its seal.
        purposes: The purposes that were asked for.
        whole: Whether these are all that are registered.

    Raises:
        PromiseBroken: An item has not one decision for each purpose (``ERASURE_DOES_NOT_RECONCILE``).
    """
    verdicts, released = _verdicts(decided), _released(store)
    found = _Found()
    for batch in decided.scan(DECISION_ITEMS, ["item_id", "purpose", "decision_id"]):
        found.add(pa.Table.from_batches([batch]), *verdicts, released)
    items = sum(record.rows for record in store.files(QUARANTINE_ITEMS))
    if found.decisions != items * len(purposes):
        message = (
            f"{items * len(purposes)} decisions were due and {found.decisions} made. Nothing was changed"
        )
        raise PromiseBroken("ERASURE_DOES_NOT_RECONCILE", message)
    due = Due(copies=found.copies)
    _find_keys(store, due, found.without_purpose(len(purposes)) if whole else set())
    return due


class _Found:
    """What is found among the decisions, which are too many to be looked at together."""

    def __init__(self) -> None:
        self.decisions = 0
        self.copies: dict[tuple[str, str], str] = {}
        self._over: list[pa.Table] = []

    def add(self, rows: pa.Table, lost: set[str], over: set[str], released: Mapping[str, set[str]]) -> None:
        """Take some decisions in.

        Args:
            rows: Columns item_id, purpose and decision_id.
            lost: Decisions by which a purpose has lost its items.
            over: Decisions by which a purpose has lost them or never had any.
            released: Purposes that each item is released for.
        """
        self.decisions += rows.num_rows
        ended = rows.filter(pa.array(is_in(rows.column("decision_id"), over)))
        has_lost = is_in(ended.column("decision_id"), lost)
        if not ended.num_rows:
            return
        counted = pa.array(has_lost.astype(np.int64))
        self._over.append(pa.table({"item_id": ended.column("item_id"), "lost": counted}))
        copied = has_lost & is_in(ended.column("item_id"), released.keys())
        for row in ended.filter(pa.array(copied)).to_pylist():
            if row["purpose"] in released[row["item_id"]]:
                self.copies[row["item_id"], row["purpose"]] = WITHDRAWN

    def without_purpose(self, purposes: int) -> set[str]:
        """Items that every purpose has lost or may never have, and at least one has lost."""
        if not self._over:
            return set()
        grouped = pa.concat_tables(self._over).group_by("item_id")
        found = grouped.aggregate([("lost", "sum"), ("item_id", "count")])
        all_over = pc.equal(found.column("item_id_count"), purposes)
        mask = pc.and_(pc.greater(found.column("lost_sum"), 0), all_over)
        return set(found.column("item_id").filter(mask).to_pylist())


def _verdicts(decided: Store) -> tuple[set[str], set[str]]:
    """Decisions by which a purpose has lost its items, and those by which it has or never had any."""
    lost, over = set[str](), set[str]()
    for batch in decided.scan(DECISION_CLASSES, ["decision_id", "reasons"]):
        for row in batch.to_pylist():
            reasons = set(row["reasons"])
            if _LEGAL_HOLD in reasons:
                continue
            if any(CATALOGUE[code].action == ERASE for code in reasons):
                lost.add(row["decision_id"])
            elif _PROHIBITED not in reasons:
                continue
            over.add(row["decision_id"])
    return lost, over


def _find_keys(store: Store, due: Due, items: set[str]) -> None:
    """Data keys of which all items are due; the others wait until they are."""
    wanted: dict[bytes, set[str]] = defaultdict(set)
    others: set[bytes] = set()
    for batch in store.scan(QUARANTINE_ITEMS, ["item_id", "key_id"]) if items else ():
        mask = is_in(batch.column("item_id"), items)
        for row in batch.filter(pa.array(mask)).to_pylist():
            wanted[row["key_id"]].add(row["item_id"])
        others.update(pc.unique(batch.column("key_id").filter(pa.array(~mask))).to_pylist())
    due.keys = dict.fromkeys((key for key in wanted if key not in others), NO_PURPOSE_LEFT)
    due.items = {item for key in due.keys for item in wanted[key]}
    due.waiting = sum(len(found) for key, found in wanted.items() if key in others)


def _released(store: Store) -> dict[str, set[str]]:
    """Purposes that each item is released for."""
    found: dict[str, set[str]] = defaultdict(set)
    for batch in store.scan(RELEASED, ["item_id", "purpose"]):
        for row in batch.to_pylist():
            found[row["item_id"]].add(row["purpose"])
    return found


def copies_over(
    store: Store, purposes: Mapping[str, PurposeEntry], as_of: datetime, held: Scope
) -> dict[tuple[str, str], str]:
    """Items and purposes whose copies have been kept for as long as the purpose may.

    Args:
        store: The store.
        purposes: Registered purposes; months count as 30 days and years as 365.
        as_of: Instant of the decision.
        held: Meetings and tenants that are kept for a legal claim.
    """
    kept_items = _held_items(store, held)
    days = {name: _days(entry.retention) for name, entry in purposes.items()}
    found: dict[tuple[str, str], str] = {}
    for batch in store.scan(RELEASED, ["item_id", "purpose", "as_of"]):
        for row in batch.to_pylist():
            kept = days.get(row["purpose"])
            if row["item_id"] in kept_items:
                continue
            if kept is not None and (as_of - row["as_of"]).days >= kept:
                found[row["item_id"], row["purpose"]] = RETENTION_OVER
    return found


def _held_items(store: Store, held: Scope) -> set[str]:
    found: set[str] = set()
    columns = ["item_id", "tenant_join", "meeting_join"]
    for batch in store.scan(QUARANTINE_ITEMS, columns) if held else ():
        rows = pa.Table.from_batches([batch])
        mask = held.mask(rows.column("tenant_join"), rows.column("meeting_join"))
        found.update(rows.column("item_id").filter(pa.array(mask)).to_pylist())
    return found


def _days(retention: str) -> int:
    return int(retention[1:-1]) * _DAYS[retention[-1]]


def evidence(decided: Store, due: Due) -> dict[str, pa.Table]:
    """The decisions that something is destroyed upon, by table.

    Args:
        decided: The store of decisions.
        due: What is due.
    """
    pairs = {f"{item}|{purpose}" for item, purpose in due.copies}
    kept = []
    for batch in decided.scan(DECISION_ITEMS):
        names = pc.binary_join_element_wise(batch.column("item_id"), batch.column("purpose"), "|")
        mask = is_in(batch.column("item_id"), due.items) | is_in(names, pairs)
        kept.append(pa.Table.from_batches([batch]).filter(pa.array(mask)))
    rows = pa.concat_tables(kept) if kept else FIXED_TABLES[DECISION_ITEMS].empty_table()
    where = pc.field("decision_id").isin(pc.unique(rows.column("decision_id")))
    return {DECISION_ITEMS: rows, DECISION_CLASSES: decided.read_table(DECISION_CLASSES, where=where)}
