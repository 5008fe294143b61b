"""What the decisions say that released rows name: whether they are there, who agreed, and by which records.

Everybody's outcome in a decision must be a yes; and with a key, the records that it names are looked up among
those that releases have read, where they must be trusted yeses. Both are reduced to digests and matched part
by part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.consent_sets import POSITIVE_STATUSES
from schemas.tables import CONSENT_RECORDS, DECISION_CLASSES
from transforms.report_view import StoreView
from transforms.row_digests import Digests, DigestSet, digests
from transforms.spilled_rows import KEY, Rows, Spill, parts_for
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
_DECISION: Final = ("decision",)
_DECIDED: Final = (("stated", "<u8"), ("mask", "<u2"), ("records", "<i8"))
_FAULTY: Final = (("mask", "<u2"),)
_READ: Final = (("yes", "?"),)
_ASKED: Final = (("decision", "<u8"),)


def bit(check: str) -> np.uint16:
    """The bit of a check in a `Mask`."""
    return np.uint16(1 << CHECKS.index(check))


class Grounds:
    """The decisions to release, each with what is wrong with it.

    Args:
        view: The store.
        asks_nobody: Whether a purpose needs nobody's consent.
        pointer: How to look a record up, None without a key.
        spill: Where rows wait for each other.
        parts: Parts that decisions are cut into, by the digests of their ids.
    """

    def __init__(
        self,
        view: StoreView,
        asks_nobody: Callable[[str], bool],
        pointer: Pointer | None,
        spill: Spill,
        parts: int,
    ) -> None:
        self._asks_nobody, self._pointer = asks_nobody, pointer
        known = parts_for(view.rows(CONSENT_RECORDS))
        self._decided, self._faulty = spill.rows(_DECIDED, parts), spill.rows(_FAULTY, parts)
        self._read, self._asked = spill.rows(_READ, known), spill.rows(_ASKED, known)
        for rows in view.scan(DECISION_CLASSES, list(_CLASS), pc.field("decision") == RELEASE, by=_DECISION):
            self._take(rows)
        if pointer is not None:
            self._read_records(view)
            self._look_up()

    def part(self, number: int) -> GroundsPart:
        """The decisions of a part."""
        return GroundsPart(self._decided.whole(number), self._faulty.part(number))

    def _take(self, rows: pa.Table) -> None:
        ids, records = digests([rows.column("decision_id")]), _number_of_records(rows)
        stated = digests([*(rows.column(name) for name in _CLASS[:4]), records])
        self._decided.add(ids, stated=stated, mask=self._masks_of(rows), records=records.to_numpy())
        if self._pointer is not None:
            column = rows.column("record_ids").combine_chunks()
            names = [self._pointer(record) for record in pc.list_flatten(column).to_pylist()]
            if names:
                asked = digests([pa.array(names, pa.string())])
                self._asked.add(asked, decision=ids[pc.list_parent_indices(column).to_numpy()])

    def _masks_of(self, rows: pa.Table) -> Mask:
        masks = np.zeros(rows.num_rows, np.uint16)
        masks[_somebody_does_not_agree(rows)] |= bit("SOMEBODY_DOES_NOT_AGREE")
        silent = _number_of_records(rows).to_numpy() == 0
        for number in np.flatnonzero(silent):
            if not self._asks_nobody(rows.column("purpose")[int(number)].as_py()):
                masks[number] |= bit("NO_RECORD_NAMED")
        return masks

    def _read_records(self, view: StoreView) -> None:
        """Records that releases have read, and which of them are a trusted yes under one id."""
        # Stores of older versions do not say what a record says; that it was read is all they know.
        said = pa.array([None, *sorted(POSITIVE_STATUSES)], pa.string())
        for rows in view.scan(CONSENT_RECORDS, ["record_join", "status", "fault"]):
            is_yes = pc.is_in(rows.column("status"), value_set=said)
            trusted = pc.and_(pc.is_null(rows.column("fault")), is_yes)
            self._read.add(digests([rows.column("record_join")]), yes=trusted.to_numpy())

    def _look_up(self) -> None:
        for number in range(self._read.parts):
            read, yeses = DigestSet(), DigestSet()
            for rows in self._read.part(number):
                read.add(rows[KEY])
                yeses.add(rows[KEY][rows["yes"]])
            for rows in self._asked.part(number):
                known, good = read.holds(rows[KEY]), yeses.holds(rows[KEY])
                self._faulty.add(rows["decision"][~known], mask=bit("RECORD_UNKNOWN"))
                self._faulty.add(rows["decision"][known & ~good], mask=bit("RECORD_IS_NO_YES"))


class GroundsPart:
    """Decisions that are looked up together.

    Args:
        decided: What they say.
        faulty: What is wrong with the records that they name.
    """

    def __init__(self, decided: Rows, faulty: Iterator[Rows]) -> None:
        self._ids, first, places = np.unique(decided[KEY], return_index=True, return_inverse=True)
        self._stated = decided["stated"][first]
        self._masks = np.zeros(len(self._ids), np.uint16)
        np.bitwise_or.at(self._masks, places, decided["mask"])
        # Of two decisions of one id every row that names it must be as both say.
        differ = places[self._stated[places] != decided["stated"]]
        self._masks[differ] |= bit("DECIDED_OTHERWISE")
        for rows in faulty:
            np.bitwise_or.at(self._masks, np.searchsorted(self._ids, rows[KEY]), rows["mask"])
        self._records = np.zeros(len(self._ids), np.int64)
        np.add.at(self._records, places, decided["records"])
        self._named = np.zeros(len(self._ids), np.bool_)

    @property
    def looked_up(self) -> int:
        """Records of the decisions that rows have named so far, once for each decision."""
        return int(self._records[self._named].sum())

    def faults(self, ids: Digests, stated: Digests) -> Mask:
        """What is wrong with the decisions of some rows.

        Args:
            ids: Digests of the decisions' ids.
            stated: Digests of what the rows state: the id, purpose, recipient, kind and number of records.
        """
        if not len(self._ids):
            return np.full(len(ids), bit("NO_SUCH_DECISION"), np.uint16)
        places = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        there = self._ids[places] == ids
        self._named[places[there]] = True
        masks = self._masks[places]
        masks[self._stated[places] != stated] |= bit("DECIDED_OTHERWISE")
        masks[~there] = bit("NO_SUCH_DECISION")
        return masks


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
