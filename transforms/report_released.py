"""Count, from what was written, the released items that rest on no complete set of valid consents.

Nothing is taken over from what the release said of itself. Every released row is read back, its decision is
looked up in the decisions' log, for the class (`report_grounds`) and for the item, in the first look and at
the sink. Rows are reduced to digests that are matched part by part, so that memory does not grow with them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_CLASSES, DECISION_EXPORTS, DECISION_ITEMS, RELEASED
from transforms.release_rules import SINK
from transforms.report_grounds import CHECKS, Grounds, Mask, Pointer, bit
from transforms.report_view import StoreView, instant
from transforms.row_digests import NONE, Digests, DigestSet, digests
from transforms.spilled_rows import KEY, Spill, parts_for
from validation.decisions import RELEASE
from validation.release_suite import RELEASE_SUITE_HASH
from validation.report_decided import ReleasedItem

EXTRACT: Final = 10
RECORDS_SHOWN: Final = 5

_ROW: Final = (
    *("item_id", "purpose", "recipient", "kind", "decision", "reasons", "decision_id", "records"),
    *("record_ids", "terms", "as_of"),
)
_ITEM: Final = ("run_id", "stage", "item_id", "purpose", "recipient", "decision", "decision_id")
_ASKED: Final = ("item_id", "purpose", "recipient")
_STATED: Final = ("decision_id", "purpose", "recipient", "kind")
_ROWS: Final = (("stated", "<u8"), ("item", "<u8"), ("named", "<u8"), ("mask", "<u2"), ("judged", "?"))
_ITEMS: Final = (("named", "<u8"), ("mask", "<u2"))
_DECIDED: Final = (
    *(("named", "<u8"), ("of_run", "<u8"), ("run", "<i8")),
    *(("first", "?"), ("second", "?"), ("release", "?")),
)


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
    if not view.has(RELEASED):
        return found
    parts = parts_for(max(view.rows(RELEASED), view.rows(DECISION_CLASSES), view.rows(DECISION_ITEMS)))
    with Spill() as spill:
        grounds = Grounds(view, asks_nobody, pointer, spill, parts)
        check = _Check(view, found, spill, parts)
        check.read()
        check.look_up(grounds)
        check.decide()
    return found


def _judged(view: StoreView) -> DigestSet:
    """Purpose, recipient and kind of everything that the suite over what was written has judged."""
    found = DigestSet()
    columns = ["purpose", "recipient", "kind", "release_suite_hash"]
    for rows in view.scan(DECISION_EXPORTS, columns):
        own = rows.filter(pc.equal(rows.column("release_suite_hash"), RELEASE_SUITE_HASH))
        found.add(_of(own, *columns[:-1]))
    return found


class _Check:
    """The released rows, held against the decisions that they name, and then against those about items."""

    def __init__(self, view: StoreView, found: ReleasedCheck, spill: Spill, parts: int) -> None:
        self._view, self._found, self._parts = view, found, parts
        self._judged = _judged(view)
        self._runs = sorted(run.run_id for run in view.store.snapshot.manifests)
        self._rows, self._items = spill.rows(_ROWS, parts), spill.rows(_ITEMS, parts)
        self._decided = spill.rows(_DECIDED, parts)

    def read(self) -> None:
        """Read the released rows, and what was decided about items."""
        for rows in self._view.scan(RELEASED, list(_ROW)):
            stated = rows.column("records").cast(pa.int64())
            self._rows.add(
                _of(rows, "decision_id"),
                stated=digests([*(rows.column(name) for name in _STATED), stated]),
                item=_of(rows, *_ASKED),
                named=_of(rows, *_ASKED, "decision_id"),
                mask=self._mask(rows),
                judged=self._judged.holds(_of(rows, "purpose", "recipient", "kind")),
            )
            self._note(rows)
        for rows in self._view.scan(DECISION_ITEMS, list(_ITEM)):
            is_first = _is(rows, "stage", "decide")
            self._decided.add(
                _of(rows, *_ASKED),
                named=_of(rows, *_ASKED, "decision_id"),
                of_run=_of(rows, *_ASKED, "run_id"),
                run=self._ranks(rows.column("run_id")),
                first=is_first,
                second=_is(rows, "stage", SINK),
                release=_is(rows, "decision", RELEASE),
            )

    def look_up(self, grounds: Grounds) -> None:
        """Look the decisions up that rows name."""
        for number in range(self._parts):
            part = grounds.part(number)
            for rows in self._rows.part(number):
                mask = rows["mask"] | part.faults(rows[KEY], rows["stated"])
                decided = (mask & bit("NO_SUCH_DECISION")) == 0
                mask[decided & ~rows["judged"]] |= bit("NOT_JUDGED")
                self._items.add(rows["item"], named=rows["named"], mask=mask)
            if self._found.looked_up is not None:
                self._found.looked_up += part.looked_up

    def decide(self) -> None:
        """Look up what was decided about each item, and count."""
        for number in range(self._parts):
            rows = self._items.whole(number)
            if len(rows):
                asked, named = DigestSet(), DigestSet()
                asked.add(rows[KEY])
                named.add(rows["named"])
                last, allowed, confirmed = self._decisions(number, asked, named)
                mask, places = rows["mask"], named.places(rows["named"])
                decided = (mask & bit("NO_SUCH_DECISION")) == 0
                mask[decided & ~allowed[places]] |= bit("ITEM_NOT_DECIDED")
                mask[decided & allowed[places] & ~confirmed[places]] |= bit("NOT_CONFIRMED_AT_SINK")
                self._count(mask, last[asked.places(rows[KEY])] % 2 == 0)

    def _mask(self, rows: pa.Table) -> Mask:
        """What is wrong with rows, as far as they tell themselves."""
        mask = np.zeros(rows.num_rows, np.uint16)
        empty = pc.equal(pc.list_value_length(rows.column("reasons")), 0)
        right = pc.and_(
            pc.fill_null(empty, False), pc.fill_null(pc.equal(rows.column("decision"), RELEASE), False)
        )
        mask[~right.to_numpy()] |= bit("ROW_IS_NO_RELEASE")
        return mask

    def _note(self, rows: pa.Table) -> None:
        found = self._found
        found.copies.update(_counted(rows.column("purpose")))
        keys = [("item_id", "ascending"), ("purpose", "ascending"), ("recipient", "ascending")]
        first = rows.take(pc.select_k_unstable(rows, k=EXTRACT, sort_keys=keys))
        shown = [*found.extract, *map(_shown, first.to_pylist())]
        found.extract = sorted(shown, key=lambda one: (one.item_id, one.purpose, one.recipient))[:EXTRACT]

    def _count(self, mask: Mask, to_delete: npt.NDArray[np.bool_]) -> None:
        found = self._found
        found.rows += len(mask)
        found.violations += int((mask != 0).sum())
        found.to_delete += int(to_delete.sum())
        for check in CHECKS:
            found.checks[check] += int(((mask & bit(check)) != 0).sum())

    # --- decisions about items ------------------------------------------------------------------------------

    def _decisions(self, number: int, asked: DigestSet, named: DigestSet) -> tuple[Any, Any, Any]:
        """What was decided about the items of a part.

        Returns:
            For each item, purpose and recipient the last first look, odd if it was to release; for each of
            them with the decision that a row names, whether that decision was made, and whether a release
            made it whose second look did not deny it.
        """
        last = np.full(len(asked.sorted()), 1, np.int64)
        made: list[tuple[npt.NDArray[np.int64], Digests]] = []
        denied = DigestSet()
        for rows in self._decided.part(number):
            places = asked.places(rows[KEY])
            own, places = rows[places >= 0], places[places >= 0]
            first, release = own["first"], own["release"]
            np.maximum.at(last, places[first], (own["run"] * 2 + release)[first])
            denied.add(own["of_run"][own["second"] & ~release])
            where = named.places(own["named"])
            told = first & release & (where >= 0)
            made.append((where[told], own["of_run"][told]))
        allowed = np.zeros(len(named.sorted()), np.bool_)
        confirmed = allowed.copy()
        for where, of_run in made:
            allowed[where] = True
            confirmed[where[~denied.holds(of_run)]] = True
        return last, allowed, confirmed

    def _ranks(self, run_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Numbers that are in the order of runs, from 1."""
        coded = run_ids.combine_chunks().dictionary_encode()
        ranks = [1 + bisect_left(self._runs, run_id) for run_id in coded.dictionary.to_pylist()]
        found: npt.NDArray[np.int64] = np.array([*ranks, 0], np.int64)[
            coded.indices.fill_null(len(ranks)).to_numpy(zero_copy_only=False)
        ]
        return found


def _is(rows: pa.Table, column: str, word: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(pc.equal(rows.column(column), word), False).to_numpy()
    return found


def _of(rows: pa.Table, *columns: str) -> Digests:
    return digests([rows.column(name) for name in columns]) if rows.num_rows else NONE


def _counted(column: pa.ChunkedArray) -> dict[str, int]:
    return {entry["values"] or "-": entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def _shown(row: Any) -> ReleasedItem:
    """A row as the report shows it; what a broken store leaves out is a dash."""
    return ReleasedItem(
        item_id=row["item_id"] or "-",
        purpose=row["purpose"] or "-",
        recipient=row["recipient"] or "-",
        decision_id=row["decision_id"] or "-",
        records=row["records"] or 0,
        record_ids=list(row["record_ids"] or ())[:RECORDS_SHOWN],
        terms=list(row["terms"] or ()),
        as_of="-" if row["as_of"] is None else instant(row["as_of"]),
    )
