"""The tables of decisions, made for many meetings at once and cut by meeting: small tables cost much each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES
from transforms.presence_classes import Numbers


class DecidedRows(NamedTuple):
    """What was decided about one meeting, before it is a table.

    Attributes:
        rows: Rows of the table of classes.
        item_at: For each item and purpose the item's place.
        class_at: Likewise, its row in `rows`.
    """

    rows: Sequence[dict[str, Any]]
    item_at: Numbers
    class_at: Numbers


@dataclass(frozen=True)
class MeetingDecisions:
    """What was decided about some items.

    Attributes:
        classes: Rows of the table of classes.
        items: Rows of the table of items.
        item_at: For each row of ``items`` its place in the given items.
        class_at: Likewise, its row in ``classes``.
    """

    classes: pa.Table
    items: pa.Table
    item_at: Numbers = field(repr=False)
    class_at: Numbers = field(repr=False)


@dataclass(frozen=True)
class DecidedTogether:
    """What was decided about the items of some meetings.

    Attributes:
        given: The items of all meetings, one meeting after the other.
        all: The decisions about them.
        decided: What was decided about each meeting.
        items_before: For each meeting how many items come before its own, and last of all their number.
    """

    given: pa.Table
    all: MeetingDecisions
    decided: Sequence[DecidedRows]
    items_before: Sequence[int]

    def apart(self) -> list[MeetingDecisions]:
        """The decisions about each meeting."""
        found = []
        class_row = item_row = 0
        for one in self.decided:
            classes = self.all.classes.slice(class_row, len(one.rows))
            items = self.all.items.slice(item_row, len(one.item_at))
            found.append(MeetingDecisions(classes, items, one.item_at, one.class_at))
            class_row, item_row = class_row + len(one.rows), item_row + len(one.item_at)
        return found


def tables_together(given: pa.Table, sizes: Sequence[int], decided: Sequence[DecidedRows]) -> DecidedTogether:
    """The tables of classes and of items of some meetings.

    Args:
        given: The items of all meetings, one meeting after the other.
        sizes: How many of them each meeting has.
        decided: What was decided about each meeting.
    """
    rows = [row for one in decided for row in one.rows]
    classes = pa.Table.from_pylist(rows, FIXED_TABLES[DECISION_CLASSES])
    items_before = [0, *accumulate(sizes)]
    classes_before = [0, *accumulate(len(one.rows) for one in decided)]
    item_at = _shifted([one.item_at for one in decided], items_before)
    class_at = _shifted([one.class_at for one in decided], classes_before)
    items = _item_rows(given, classes, item_at, class_at)
    return DecidedTogether(given, MeetingDecisions(classes, items, item_at, class_at), decided, items_before)


def _shifted(places: Sequence[Numbers], before: Sequence[int]) -> Numbers:
    if not places:
        return np.array([], dtype=np.int64)
    return np.concatenate([own + start for own, start in zip(places, before, strict=False)])


def _item_rows(given: pa.Table, classes: pa.Table, item_at: Numbers, class_at: Numbers) -> pa.Table:
    schema = FIXED_TABLES[DECISION_ITEMS]
    from_items, from_classes = pa.array(item_at), pa.array(class_at)
    made = [
        given.column(name).take(from_items) if name == "item_id" else classes.column(name).take(from_classes)
        for name in schema.names
    ]
    return pa.Table.from_arrays(made, schema=schema)
