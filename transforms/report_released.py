"""Count, from what was written, the released items that rest on no complete set of valid consents.

Nothing is taken over from what the release said of itself. Every released row is read back, its decision is
looked up in the decisions' log, for the class (`report_grounds`) and for the item, in the first look and at
the sink. Rows are reduced to digests and taken in parts, so that memory does not grow with them.
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

from schemas.tables import DECISION_EXPORTS, DECISION_ITEMS, RELEASED
from transforms.release_rules import SINK
from transforms.report_grounds import CHECKS, Grounds, Mask, Pointer, bit
from transforms.report_view import StoreView, id_ranges, instant
from transforms.row_digests import NONE, Digests, DigestSet, digests
from validation.decisions import RELEASE
from validation.release_suite import RELEASE_SUITE_HASH
from validation.report_decided import ReleasedItem

EXTRACT: Final = 10
RECORDS_SHOWN: Final = 5
PART_ROWS: Final = 1 << 18
"""Released rows that are held against the decisions about items at once; each takes some 40 bytes."""

_ROW: Final = (
    *("item_id", "purpose", "recipient", "kind", "decision", "reasons", "decision_id", "records"),
    *("record_ids", "terms", "as_of"),
)
_ITEM: Final = ("run_id", "stage", "item_id", "purpose", "recipient", "decision", "decision_id")
_ASKED: Final = ("item_id", "purpose", "recipient")


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
    grounds = Grounds(view, asks_nobody, pointer)
    found.looked_up = grounds.looked_up
    judged = _judged(view)
    for part in id_ranges(view.rows(RELEASED), "item_id", PART_ROWS):
        _Part(view, part, found, grounds, judged).check()
    return found


def _judged(view: StoreView) -> DigestSet:
    """Purpose, recipient and kind of everything that the suite over what was written has judged."""
    found = DigestSet()
    columns = ["purpose", "recipient", "kind", "release_suite_hash"]
    for rows in view.scan(DECISION_EXPORTS, columns):
        own = rows.filter(pc.equal(rows.column("release_suite_hash"), RELEASE_SUITE_HASH))
        found.add(_of(own, *columns[:-1]))
    return found


class _Part:
    """The released rows of some items."""

    def __init__(
        self, view: StoreView, condition: Any, found: ReleasedCheck, grounds: Grounds, judged: DigestSet
    ) -> None:
        self._view, self._condition, self._found = view, condition, found
        self._grounds, self._judged = grounds, judged
        runs = (run.run_id for run in view.store.snapshot.manifests)
        self._runs = sorted(runs)
        self._asked, self._named = DigestSet(), DigestSet()

    def check(self) -> None:
        masks: list[Mask] = []
        rows_asked: list[Digests] = []
        rows_named: list[Digests] = []
        for rows in self._view.scan(RELEASED, list(_ROW), self._condition):
            masks.append(self._mask(rows))
            rows_asked.append(_of(rows, *_ASKED))
            rows_named.append(_of(rows, *_ASKED, "decision_id"))
            self._asked.add(rows_asked[-1])
            self._named.add(rows_named[-1])
            self._note(rows)
        if masks:
            last, allowed, confirmed = self._decided()
            asked, named = np.concatenate(rows_asked), self._named.places(np.concatenate(rows_named))
            mask = np.concatenate(masks)
            decided = (mask & bit("NO_SUCH_DECISION")) == 0
            mask[decided & ~allowed[named]] |= bit("ITEM_NOT_DECIDED")
            mask[decided & allowed[named] & ~confirmed[named]] |= bit("NOT_CONFIRMED_AT_SINK")
            self._count(mask, last[self._asked.places(asked)] % 2 == 0)

    def _mask(self, rows: pa.Table) -> Mask:
        """What is wrong with rows, as far as they and their decisions tell."""
        ids, stated = _of(rows, "decision_id"), rows.column("records").cast(pa.int64())
        mask = self._grounds.faults(ids, digests([*(rows.column(name) for name in _STATED), stated]))
        decided = (mask & bit("NO_SUCH_DECISION")) == 0
        mask[decided & ~self._judged.holds(_of(rows, "purpose", "recipient", "kind"))] |= bit("NOT_JUDGED")
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

    def _decided(self) -> tuple[Any, Any, Any]:
        """What was decided about these items.

        Returns:
            For each item, purpose and recipient the last first look, odd if it was to release; for each of
            them with the decision that a row names, whether that decision was made, and whether a release
            made it whose second look did not deny it.
        """
        last = np.full(len(self._asked.sorted()), 1, np.int64)
        made: list[tuple[npt.NDArray[np.int64], Digests]] = []
        denied = DigestSet()
        for rows in self._view.scan(DECISION_ITEMS, list(_ITEM), self._condition):
            places = self._asked.places(_of(rows, *_ASKED))
            own = rows.filter(pa.array(places >= 0))
            is_first = pc.equal(own.column("stage"), "decide").to_numpy(zero_copy_only=False).astype(bool)
            to_release = pc.equal(own.column("decision"), RELEASE).to_numpy(zero_copy_only=False).astype(bool)
            runs = self._ranks(own.column("run_id"))
            np.maximum.at(last, places[places >= 0][is_first], (runs * 2 + to_release)[is_first])
            denied.add(_of(own.filter(pa.array(self._denials(own, to_release))), *_ASKED, "run_id"))
            named = own.filter(pa.array(is_first & to_release))
            where = self._named.places(_of(named, *_ASKED, "decision_id"))
            made.append((where[where >= 0], _of(named, *_ASKED, "run_id")[where >= 0]))
        allowed = np.zeros(len(self._named.sorted()), np.bool_)
        confirmed = allowed.copy()
        for where, of_run in made:
            allowed[where] = True
            confirmed[where[~denied.holds(of_run)]] = True
        return last, allowed, confirmed

    def _denials(self, rows: pa.Table, to_release: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        second: npt.NDArray[np.bool_] = (
            pc.equal(rows.column("stage"), SINK).to_numpy(zero_copy_only=False).astype(bool)
        )
        return second & ~to_release

    def _ranks(self, run_ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Numbers that are in the order of runs, from 1."""
        coded = run_ids.combine_chunks().dictionary_encode()
        ranks = [1 + bisect_left(self._runs, run_id) for run_id in coded.dictionary.to_pylist()]
        found: npt.NDArray[np.int64] = np.array([*ranks, 0], np.int64)[
            coded.indices.fill_null(len(ranks)).to_numpy(zero_copy_only=False)
        ]
        return found


_STATED: Final = ("decision_id", "purpose", "recipient", "kind")


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
