"""The tables of many meetings, made together, are those of each alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, FIXED_TABLES
from transforms.decision_tables import DecidedRows, decision_tables

Row = dict[str, Any]


def class_row(name: str, **more: Any) -> Row:
    plain = dict.fromkeys(FIXED_TABLES[DECISION_CLASSES].names)
    return {**plain, "decision_id": name, "as_of": datetime(2026, 3, 2, tzinfo=UTC), **more}


def ids(*names: str) -> pa.Table:
    return pa.table({"item_id": pa.array(names, pa.string()), "kind": pa.array(["chat"] * len(names))})


def test_every_meeting_gets_its_own_rows() -> None:
    items = [ids("a", "b"), ids(), ids("c")]
    decided: list[DecidedRows] = [
        ([class_row("d1"), class_row("d2")], [(1, 0), (0, 1)]),
        ([], []),
        ([class_row("d3", record_ids=["r"])], [(0, 0)]),
    ]
    made = list(decision_tables(items, decided))
    assert [classes.column("decision_id").to_pylist() for classes, _ in made] == [["d1", "d2"], [], ["d3"]]
    pairs = [[(row["item_id"], row["decision_id"]) for row in table.to_pylist()] for _, table in made]
    assert pairs == [[("b", "d1"), ("a", "d2")], [], [("c", "d3")]]
    assert all(table.schema.equals(FIXED_TABLES[DECISION_ITEMS]) for _, table in made)
    for (classes, table), own_items, own in zip(made, items, decided, strict=True):
        assert [(classes, table)] == list(decision_tables([own_items], [own]))
