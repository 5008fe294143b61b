"""Count, from what was written, the released items that rest on no complete set of valid consents.

Nothing is taken over from what the release said of itself. Every released row is read back, its decision is
looked up in the decisions' log, for the class and for the item, in the first look and at the sink;
everybody's outcome in it must be a yes; and with a key, the records that it names are looked up among those
that releases have read, where they must be trusted yeses. Rows are taken in parts, so that memory does not
grow with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.consent_sets import POSITIVE_STATUSES
from schemas.tables import (
    CONSENT_RECORDS,
    DECISION_CLASSES,
    DECISION_EXPORTS,
    DECISION_ITEMS,
    RELEASED,
)
from transforms.report_view import StoreView, id_ranges, instant
from validation.decisions import RELEASE
from validation.release_suite import RELEASE_SUITE_HASH
from validation.report_decided import ReleasedItem

CHECKS: Final = (
    "ROW_IS_NO_RELEASE",
    "NO_SUCH_DECISION",
    "DECIDED_OTHERWISE",
    "ITEM_NOT_DECIDED",
    "NOT_CONFIRMED_AT_SINK",
    "SOMEBODY_DOES_NOT_AGREE",
    "NO_RECORD_NAMED",
    "RECORD_UNKNOWN",
    "RECORD_IS_NO_YES",
    "NOT_JUDGED",
)
EXTRACT: Final = 10
RECORDS_SHOWN: Final = 5
_ROW: Final = (
    "item_id",
    "purpose",
    "recipient",
    "kind",
    "decision",
    "reasons",
    "decision_id",
    "records",
    "record_ids",
    "terms",
    "as_of",
)
_CLASS: Final = ("decision_id", "stage", "run_id", "purpose", "recipient", "kind", "record_ids", "outcomes")

Pointer = Callable[[str], str]
"""Makes of a record's id the pseudonym under which the store knows it."""


@dataclass(frozen=True)
class _Decision:
    """What a decision to release says, as far as rows are held against it."""

    purpose: str
    recipient: str
    kind: str
    records: int
    faults: frozenset[str]


@dataclass
class ReleasedCheck:
    """What was found.

    Attributes:
        rows: Released rows.
        violations: Those that fail a check.
        checks: Rows that fail each check.
        looked_up: Records that were looked up, None without a key.
        to_delete: Rows that the last decision does not allow any more.
        copies: Rows by purpose.
        extract: The first rows by item.
    """

    rows: int = 0
    violations: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    looked_up: int | None = None
    to_delete: int = 0
    copies: Counter[str] = field(default_factory=Counter)
    extract: list[ReleasedItem] = field(default_factory=list)


def check_released(
    view: StoreView, asks_nobody: Callable[[str], bool], pointer: Pointer | None
) -> ReleasedCheck:
    """Count what was released without a complete set of valid consents.

    Args:
        view: The store.
        asks_nobody: Whether a purpose needs nobody's consent.
        pointer: How to look a record up, None without a key.
    """
    found = ReleasedCheck(looked_up=None if pointer is None else 0)
    judged = _judged(view)
    for part in id_ranges(view.rows(RELEASED), "item_id"):
        _Part(view, part, found, asks_nobody, pointer, judged).check()
    return found


def _judged(view: StoreView) -> set[tuple[str, str, str]]:
    """Purpose, recipient and kind of everything that the suite over what was written has judged."""
    columns = ["purpose", "recipient", "kind", "release_suite_hash"]
    return {
        (row["purpose"], row["recipient"], row["kind"])
        for batch in view.scan(DECISION_EXPORTS, columns)
        for row in batch.to_pylist()
        if row["release_suite_hash"] == RELEASE_SUITE_HASH
    }


class _Part:
    """The released rows of some items."""

    def __init__(
        self,
        view: StoreView,
        condition: Any,
        found: ReleasedCheck,
        asks_nobody: Callable[[str], bool],
        pointer: Pointer | None,
        judged: set[tuple[str, str, str]],
    ) -> None:
        self._view, self._condition, self._found = view, condition, found
        self._asks_nobody, self._pointer, self._judged = asks_nobody, pointer, judged
        self._allowed: set[tuple[str, ...]] = set()
        self._unconfirmed: set[tuple[str, ...]] = set()
        self._last: dict[tuple[str, ...], tuple[str, str]] = {}

    def check(self) -> None:
        ids: set[str] = set()
        items: set[str] = set()
        for rows in self._rows(["decision_id", "item_id"]):
            ids.update(rows.column("decision_id").to_pylist())
            items.update(rows.column("item_id").to_pylist())
        if not items:
            return
        decisions = self._decisions(ids)
        self._read_items(items)
        for rows in self._rows(list(_ROW)):
            for row in rows.to_pylist():
                self._take(row, decisions)

    def _rows(self, columns: list[str]) -> Iterator[pa.Table]:
        return self._view.scan(RELEASED, columns, self._condition)

    def _take(self, row: Mapping[str, Any], decisions: Mapping[str, _Decision]) -> None:
        found = self._found
        faults = set(self._faults(row, decisions.get(row["decision_id"])))
        found.rows += 1
        found.violations += bool(faults)
        found.checks.update(faults)
        found.copies[row["purpose"]] += 1
        found.to_delete += self._last.get(_asked(row), ("", RELEASE))[1] != RELEASE
        if len(found.extract) < EXTRACT or row["item_id"] < found.extract[-1].item_id:
            shown = [*found.extract, _shown(row)]
            found.extract = sorted(shown, key=lambda one: (one.item_id, one.purpose))[:EXTRACT]

    def _faults(self, row: Mapping[str, Any], decision: _Decision | None) -> Iterator[str]:
        if row["decision"] != RELEASE or row["reasons"] is None or row["reasons"]:
            yield "ROW_IS_NO_RELEASE"
        if decision is None:
            yield "NO_SUCH_DECISION"
            return
        yield from decision.faults
        if (row["purpose"], row["recipient"], row["kind"], row["records"]) != (
            decision.purpose,
            decision.recipient,
            decision.kind,
            decision.records,
        ):
            yield "DECIDED_OTHERWISE"
        if (*_asked(row), row["decision_id"]) not in self._allowed:
            yield "ITEM_NOT_DECIDED"
        elif (*_asked(row), row["decision_id"]) in self._unconfirmed:
            yield "NOT_CONFIRMED_AT_SINK"
        if (row["purpose"], row["recipient"], row["kind"]) not in self._judged:
            yield "NOT_JUDGED"

    # --- decisions ------------------------------------------------------------------------------------------

    def _decisions(self, ids: set[str]) -> dict[str, _Decision]:
        """The decisions to release by id, each with what is wrong with it."""
        found: dict[str, _Decision] = {}
        wanted = pa.array(sorted(ids), pa.string())
        where = (pc.field("decision") == RELEASE) & pc.field("decision_id").isin(wanted)
        for rows in self._view.scan(DECISION_CLASSES, list(_CLASS), where):
            lookups = self._look_up(rows)
            for row, agree in zip(_without_people(rows), _all_agree(rows), strict=True):
                faults = {*lookups.get(row["decision_id"], ())}
                if not agree:
                    faults.add("SOMEBODY_DOES_NOT_AGREE")
                if not row["record_ids"] and not self._asks_nobody(row["purpose"]):
                    faults.add("NO_RECORD_NAMED")
                found[row["decision_id"]] = _Decision(
                    row["purpose"],
                    row["recipient"],
                    row["kind"],
                    len(row["record_ids"] or ()),
                    frozenset(faults),
                )
        return found

    def _look_up(self, rows: pa.Table) -> dict[str, set[str]]:
        """What is wrong with the records that decisions name, by decision."""
        wrong: dict[str, set[str]] = defaultdict(set)
        if self._pointer is None:
            return wrong
        ids = rows.column("decision_id").to_pylist()
        for start in range(0, len(ids), _CLASSES_AT_ONCE):
            part = rows.slice(start, _CLASSES_AT_ONCE)
            named: dict[str, list[str]] = defaultdict(list)
            for decision, records in zip(
                part.column("decision_id").to_pylist(), part.column("record_ids").to_pylist(), strict=True
            ):
                for record in records or ():
                    named[self._pointer(record)].append(decision)
            known = self._known(named)
            self._found.looked_up = (self._found.looked_up or 0) + len(named)
            for record, decisions in named.items():
                if record not in known:
                    _note(wrong, decisions, "RECORD_UNKNOWN")
                elif not known[record]:
                    _note(wrong, decisions, "RECORD_IS_NO_YES")
        return wrong

    def _known(self, pointers: Iterable[str]) -> dict[str, bool]:
        """For records that releases have read: whether one under that id is a trusted yes."""
        found: dict[str, bool] = {}
        where = pc.field("record_join").isin(pa.array(sorted(pointers), pa.string()))
        for rows in self._view.scan(CONSENT_RECORDS, ["record_join", "status", "fault"], where):
            for row in rows.to_pylist():
                # Stores of older versions do not say what a record says; that it was read is all they know.
                is_yes = row["fault"] is None and row["status"] in (None, *POSITIVE_STATUSES)
                found[row["record_join"]] = found.get(row["record_join"], False) or is_yes
        return found

    def _read_items(self, items: set[str]) -> None:
        """What was decided about these items, in each look; the last first look is what holds now."""
        columns = ["run_id", "stage", "item_id", "purpose", "recipient", "decision", "decision_id"]
        denied: set[tuple[str, ...]] = set()
        looked: dict[tuple[str, ...], str] = {}
        wanted = pa.array(sorted(items), pa.string())
        where = self._condition & pc.field("item_id").isin(wanted)
        for rows in self._view.scan(DECISION_ITEMS, columns, where):
            for row in rows.to_pylist():
                asked = _asked(row)
                if row["stage"] == "decide":
                    self._last[asked] = max(self._last.get(asked, ("", "")), (row["run_id"], row["decision"]))
                    if row["decision"] == RELEASE:
                        self._allowed.add((*asked, row["decision_id"]))
                        looked[(*asked, row["run_id"])] = row["decision_id"]
                elif row["stage"] == "sink" and row["decision"] != RELEASE:
                    denied.add((*asked, row["run_id"]))
        self._unconfirmed = {(*key[:3], looked[key]) for key in denied if key in looked}


_CLASSES_AT_ONCE: Final = 2048


def _asked(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["item_id"], row["purpose"], row["recipient"]


def _note(wrong: dict[str, set[str]], decisions: Iterable[str], fault: str) -> None:
    for decision in decisions:
        wrong[decision].add(fault)


def _without_people(rows: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.drop_columns(["outcomes"]).to_pylist()
    return found


def _all_agree(rows: pa.Table) -> list[bool]:
    """For each decision whether every outcome in it is a yes."""
    column = rows.column("outcomes").combine_chunks()
    parents = pc.list_parent_indices(column).to_pylist()
    agrees = pc.struct_field(pc.list_flatten(column), "agrees").to_pylist()
    denied = {parent for parent, agree in zip(parents, agrees, strict=True) if agree is not True}
    return [number not in denied for number in range(rows.num_rows)]


def _shown(row: Mapping[str, Any]) -> ReleasedItem:
    return ReleasedItem(
        item_id=row["item_id"],
        purpose=row["purpose"],
        recipient=row["recipient"],
        decision_id=row["decision_id"],
        records=row["records"],
        record_ids=list(row["record_ids"] or ())[:RECORDS_SHOWN],
        terms=list(row["terms"] or ()),
        as_of=instant(row["as_of"]),
    )
