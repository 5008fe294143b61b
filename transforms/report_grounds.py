"""What the decisions say that released rows name: whether they are there, who agreed, and by which records.

Everybody's outcome in a decision must be a yes; and with a key, the records that it names are looked up among
those that releases have read, where they must be trusted yeses. Of each decision 19 bytes are kept, of each
record 16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.consent_sets import POSITIVE_STATUSES
from schemas.tables import CONSENT_RECORDS, DECISION_CLASSES, RELEASED
from transforms.report_view import StoreView
from transforms.row_digests import NONE, Digests, DigestSet, digests
from validation.decisions import RELEASE

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
Pointer = Callable[[str], str]
"""Makes of a record's id the pseudonym under which the store knows it."""

Mask = npt.NDArray[np.uint16]
"""For each row a bit for each check that it fails."""

_CLASS: Final = ("decision_id", "purpose", "recipient", "kind", "record_ids", "outcomes")


def bit(check: str) -> np.uint16:
    """The bit of a check in a `Mask`."""
    return np.uint16(1 << CHECKS.index(check))


class Grounds:
    """The decisions to release that released rows name, each with what is wrong with it.

    Args:
        view: The store.
        asks_nobody: Whether a purpose needs nobody's consent.
        pointer: How to look a record up, None without a key.

    Attributes:
        looked_up: Records that were looked up, once for each decision that names them; None without a key.
    """

    def __init__(self, view: StoreView, asks_nobody: Callable[[str], bool], pointer: Pointer | None) -> None:
        self._asks_nobody, self._pointer = asks_nobody, pointer
        self.looked_up: int | None = None if pointer is None else 0
        self._read, self._yeses = _records(view) if pointer is not None else (DigestSet(), DigestSet())
        self._ids = DigestSet()
        for rows in view.scan(RELEASED, ["decision_id"]):
            self._ids.add(digests([rows.column("decision_id")]))
        named = len(self._ids.sorted())
        self._stated, self._masks = np.zeros(named, np.uint64), np.zeros(named, np.uint16)
        self._there = np.zeros(named, np.bool_)
        for rows in view.scan(DECISION_CLASSES, list(_CLASS), pc.field("decision") == RELEASE):
            self._take(rows)
        del self._read, self._yeses

    def faults(self, ids: Digests, stated: Digests) -> Mask:
        """What is wrong with the decisions of some rows.

        Args:
            ids: Digests of the decisions' ids.
            stated: Digests of what the rows state: the id, purpose, recipient, kind and number of records.
        """
        places = self._ids.places(ids)
        mask = self._masks[places]
        mask[self._stated[places] != stated] |= bit("DECIDED_OTHERWISE")
        mask[~self._there[places]] = bit("NO_SUCH_DECISION")
        return mask

    def _take(self, rows: pa.Table) -> None:
        places = self._ids.places(digests([rows.column("decision_id")]))
        own, places = rows.filter(pa.array(places >= 0)), places[places >= 0]
        if not own.num_rows:
            return
        stated = digests([*(own.column(name) for name in _CLASS[:4]), _number_of_records(own)])
        masks = self._masks_of(own)
        # Of two decisions of one id every row that names it must be as both say.
        masks[self._there[places] & (self._stated[places] != stated)] |= bit("DECIDED_OTHERWISE")
        np.bitwise_or.at(self._masks, places, masks)
        self._stated[places] = stated
        self._there[places] = True

    def _masks_of(self, rows: pa.Table) -> Mask:
        masks = np.zeros(rows.num_rows, np.uint16)
        masks[_somebody_does_not_agree(rows)] |= bit("SOMEBODY_DOES_NOT_AGREE")
        silent = _number_of_records(rows).to_numpy() == 0
        for number in np.flatnonzero(silent):
            if not self._asks_nobody(rows.column("purpose")[int(number)].as_py()):
                masks[number] |= bit("NO_RECORD_NAMED")
        if self._pointer is not None:
            self._look_up(rows, self._pointer, masks)
        return masks

    def _look_up(self, rows: pa.Table, pointer: Pointer, masks: Mask) -> None:
        column = rows.column("record_ids").combine_chunks()
        names = [pointer(record) for record in pc.list_flatten(column).to_pylist()]
        self.looked_up = (self.looked_up or 0) + len(names)
        parents = pc.list_parent_indices(column).to_numpy()
        asked = digests([pa.array(names, pa.string())]) if names else NONE
        read, yes = self._read.holds(asked), self._yeses.holds(asked)
        masks[parents[~read]] |= bit("RECORD_UNKNOWN")
        masks[parents[read & ~yes]] |= bit("RECORD_IS_NO_YES")


def _records(view: StoreView) -> tuple[DigestSet, DigestSet]:
    """Records that releases have read, and those of them that are a trusted yes under one id."""
    read, yeses = DigestSet(), DigestSet()
    # Stores of older versions do not say what a record says; that it was read is all they know.
    said = pa.array([None, *sorted(POSITIVE_STATUSES)], pa.string())
    for rows in view.scan(CONSENT_RECORDS, ["record_join", "status", "fault"]):
        joins = digests([rows.column("record_join")])
        trusted = pc.and_(pc.is_null(rows.column("fault")), pc.is_in(rows.column("status"), value_set=said))
        read.add(joins)
        yeses.add(joins[trusted.to_numpy()])
    return read, yeses


def _number_of_records(rows: pa.Table) -> pa.Array:
    lengths = pc.list_value_length(rows.column("record_ids")).combine_chunks()
    return pc.fill_null(lengths, 0).cast(pa.int64())


def _somebody_does_not_agree(rows: pa.Table) -> npt.NDArray[np.int64]:
    """Numbers of the decisions in which an outcome is not a yes."""
    column = rows.column("outcomes").combine_chunks()
    agrees = pc.fill_null(pc.struct_field(pc.list_flatten(column), "agrees"), False).to_numpy(
        zero_copy_only=False
    )
    parents: npt.NDArray[np.int64] = pc.list_parent_indices(column).to_numpy()
    return parents[~agrees.astype(bool)]
