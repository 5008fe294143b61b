"""Count a second time, item by item, in how many decisions each reason and each risk stands.

A report adds up how many items decisions state. Here each item's own row is looked at, and the reasons of the
decision that it names, so that neither what a decision states of itself nor a sum is relied upon.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS
from transforms.report_decisions import last_releases
from transforms.report_view import StoreView
from transforms.row_digests import digests
from transforms.spilled_rows import KEY, Rows, Spill, SpilledRows, parts_for
from validation.reasons import CATALOGUE

_CODES: Final = tuple(CATALOGUE)
_WORD: Final = 64
_MASKS: Final = ("low", "high")
_FIELDS: Final = tuple((name, "<u8") for name in _MASKS)
_WANTED: Final = (("item", "<u8"),)
_DECISION: Final = ("run_id", "decision_id")
_ITEM: Final = ("item_id", "purpose", "recipient")


@dataclass
class Recount:
    """What was counted item by item.

    Attributes:
        items: Items that were decided, once for each purpose and recipient.
        reasons: Those of them in whose decision a reason stands.
        risks: Those in whose decision a reason stands that tells of a risk.
        undecided: Items whose decision is not there.
    """

    items: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    risks: Counter[str] = field(default_factory=Counter)
    undecided: int = 0


def recount(view: StoreView, risks: Mapping[str, Collection[str]]) -> Recount:
    """Count what the last releases decided, item by item.

    Args:
        view: The store.
        risks: Reasons that tell of each risk.
    """
    found = Recount()
    runs = set(last_releases(view).items())
    if not runs:
        return found
    parts = parts_for(view.rows(DECISION_ITEMS))
    with Spill() as spill:
        classes, named = spill.rows(_FIELDS, parts), spill.rows(_WANTED, parts)
        decided = spill.rows(_FIELDS, parts)
        _read_classes(view, classes)
        _read_items(view, runs, named)
        for number in range(parts):
            found.undecided += _join(classes.whole(number), named.part(number), decided)
        for number in range(parts):
            _count(decided.whole(number), risks, found)
    return found


def _read_classes(view: StoreView, classes: SpilledRows) -> None:
    where = pc.field("stage") == "decide"
    for rows in view.scan(DECISION_CLASSES, [*_DECISION, "reasons"], where, by=("stage",)):
        low, high = _masks(rows.column("reasons").to_pylist())
        classes.add(digests([rows.column(name) for name in _DECISION]), low=low, high=high)


def _read_items(view: StoreView, runs: Collection[tuple[tuple[str, str], str]], named: SpilledRows) -> None:
    """Items that the last release of their purpose and recipient has decided."""
    columns = [*_DECISION, *_ITEM]
    for rows in view.scan(DECISION_ITEMS, columns, pc.field("stage") == "decide", by=("stage",)):
        asked = zip(
            *(rows.column(name).to_pylist() for name in ("purpose", "recipient", "run_id")), strict=True
        )
        last = rows.filter(pa.array([((purpose, to), run) in runs for purpose, to, run in asked], pa.bool_()))
        keys, items = ([last.column(name) for name in names] for names in (_DECISION, _ITEM))
        named.add(digests(keys), item=digests(items))


def _masks(reasons: Iterable[Collection[str]]) -> npt.NDArray[np.uint64]:
    """For each decision a bit for each reason of the catalogue, in two words."""
    bits = {code: 1 << at for at, code in enumerate(_CODES)}
    whole = [sum({bits.get(code, 0) for code in codes}) for codes in reasons]
    halves = [[one & (1 << _WORD) - 1 for one in whole], [one >> _WORD for one in whole]]
    return np.array(halves, np.uint64)


def _join(classes: Rows, named: Iterable[Rows], decided: SpilledRows) -> int:
    """Give each item the reasons of its decision; how many have none."""
    known, places = np.unique(classes[KEY], return_index=True)
    lost = 0
    for rows in named:
        at = np.searchsorted(known, rows[KEY])
        there = np.isin(rows[KEY], known)
        own = classes[places[at[there]]]
        decided.add(rows["item"][there], **{name: own[name] for name in _MASKS})
        lost += int((~there).sum())
    return lost


def _count(decided: Rows, risks: Mapping[str, Collection[str]], found: Recount) -> None:
    items, places = np.unique(decided[KEY], return_inverse=True)
    masks = {name: np.zeros(len(items), np.uint64) for name in _MASKS}
    for name, mask in masks.items():
        np.bitwise_or.at(mask, places, decided[name])
    found.items += len(items)
    for code in _CODES:
        found.reasons[code] += _with_any(masks, (code,))
    for risk, codes in risks.items():
        found.risks[risk] += _with_any(masks, codes)


def _with_any(masks: Mapping[str, npt.NDArray[np.uint64]], codes: Collection[str]) -> int:
    """In how many decisions one of some reasons stands."""
    wanted = _masks([codes])[:, 0]
    there = (masks["low"] & wanted[0]) | (masks["high"] & wanted[1])
    return int(np.count_nonzero(there))
