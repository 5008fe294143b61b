"""The tables of many meetings, made together, are those of each alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES
from transforms.decision_tables import DecidedRows, tables_together

Row = dict[str, Any]


def class_row(name: str, **more: Any) -> Row:
    plain = dict.fromkeys(FIXED_TABLES[DECISION_CLASSES].names)
    return {**plain, "decision_id": name, "as_of": datetime(2026, 3, 2, tzinfo=UTC), **more}


def ids(*names: str) -> pa.Table:
    return pa.table(
        {"item_id": pa.array(names, pa.string()), "kind": pa.array(["chat"] * len(names), pa.string())}
    )


def rows_of(names: list[str], *places: tuple[int, int], **more: Any) -> DecidedRows:
    at = np.array(places, dtype=np.int64).reshape(-1, 2)
    return DecidedRows([class_row(name, **more) for name in names], at[:, 0], at[:, 1])


def pairs(table: pa.Table) -> list[tuple[str, str]]:
    return [(row["item_id"], row["decision_id"]) for row in table.to_pylist()]


def test_every_meeting_gets_its_own_rows() -> None:
    items = [ids("a", "b"), ids(), ids("c")]
    decided = [rows_of(["d1", "d2"], (1, 0), (0, 1)), rows_of([]), rows_of(["d3"], (0, 0), record_ids=["r"])]
    together = tables_together(pa.concat_tables(items), [2, 0, 1], decided)
    made = together.apart()
    assert [one.classes.column("decision_id").to_pylist() for one in made] == [["d1", "d2"], [], ["d3"]]
    assert [pairs(one.items) for one in made] == [[("b", "d1"), ("a", "d2")], [], [("c", "d3")]]
    assert together.all.items.schema.equals(FIXED_TABLES[DECISION_ITEMS])
    for one, own_items, own in zip(made, items, decided, strict=True):
        alone = tables_together(own_items, [own_items.num_rows], [own]).all
        assert (one.classes, one.items) == (alone.classes, alone.items)


def test_places_of_all_meetings_lead_to_their_items_and_decisions() -> None:
    decided = [rows_of(["d1", "d2"], (1, 0), (0, 1)), rows_of(["d3"], (0, 0))]
    found = tables_together(ids("a", "b", "c"), [2, 1], decided).all
    assert (found.item_at.tolist(), found.class_at.tolist()) == ([1, 0, 2], [0, 1, 2])
