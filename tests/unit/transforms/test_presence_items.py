"""The columns of many meetings, read together, are those of each alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tests.unit.transforms.presence_samples import Row, bounds, flag, item, item_table, roster_table, visit
from transforms.presence_items import ItemColumns
from transforms.presence_roster import roster_rows, rosters_together

MEETINGS: Sequence[Sequence[Row]] = (
    [item("a", sender_join="ada", region="eu"), item("b", None, consent_flag=flag(["ai_training"]))],
    [],
    [item("c", kind="audio", recorded_end=7), item("d", sender_join="bob", derived_from=["audio"])],
)


def plain(columns: ItemColumns) -> list[dict[str, Any]]:
    """Every item with its words in place of numbers."""
    return [
        {
            **{name: columns.word(name, codes[at]) for name, codes in columns.codes.items()},
            **{name: (times[at], known[at]) for name, (times, known) in columns.times.items()},
            "refusal": columns.refusals[columns.refusal[at]] if columns.refusal[at] >= 0 else None,
            "lineage": columns.lineages[columns.lineage[at]],
        }
        for at in range(len(columns.refusal))
    ]


def test_parts_of_what_is_read_together_are_read_alone() -> None:
    tables = [item_table(rows) for rows in MEETINGS]
    sizes = [table.num_rows for table in tables]
    together = ItemColumns.read(pa.concat_tables(tables)).parts(sizes)
    assert [plain(columns) for columns in together] == [plain(ItemColumns.read(table)) for table in tables]
    assert [columns.distinct("sender_join") for columns in together] == [["ada"], [], ["bob"]]


def test_rosters_read_together_are_read_alone() -> None:
    tables = [roster_table(rows) for rows in ([*bounds(), *visit(0, 5, "ada")], [], bounds(1, 2))]
    assert rosters_together(tables) == [roster_rows(table) for table in tables]
