"""The tables of decisions, made for many meetings at once and cut by meeting: small tables cost much each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES

DecidedRows = tuple[list[dict[str, Any]], list[tuple[int, int]]]
"""Rows of the table of classes of one meeting; for each item and purpose its place and its row there."""


def decision_tables(
    items: Sequence[pa.Table], decided: Sequence[DecidedRows]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The tables of classes and of items of each meeting.

    Args:
        items: The items of each meeting.
        decided: What was decided about each.
    """
    rows = [row for own, _ in decided for row in own]
    classes = pa.Table.from_pylist(rows, FIXED_TABLES[DECISION_CLASSES])
    of_classes = _bounds([len(own) for own, _ in decided])
    of_items = _bounds([table.num_rows for table in items])
    places = _bounds([len(own) for _, own in decided])
    class_at = [
        start + row for (start, _), (_, own) in zip(of_classes, decided, strict=True) for _, row in own
    ]
    item_at = [
        start + item for (start, _), (_, own) in zip(of_items, decided, strict=True) for item, _ in own
    ]
    ids = pa.concat_tables([table.select(["item_id"]) for table in items]).column("item_id").combine_chunks()
    schema, chosen = FIXED_TABLES[DECISION_ITEMS], pa.array(class_at, pa.int64())
    made = {name: classes.column(name).take(chosen) for name in schema.names if name != "item_id"}
    made["item_id"] = ids.take(pa.array(item_at, pa.int64()))
    table = pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)
    for (start, end), (first, last) in zip(of_classes, places, strict=True):
        yield classes.slice(start, end - start), table.slice(first, last - first)


def _bounds(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise([0, *accumulate(sizes)]))
