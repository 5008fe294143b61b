from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import PromiseBroken
from schemas.tables import TIME
from transforms.partitioning import Partitioning

KINDS = ("audio", "chat", "video")
TIMES = st.none() | st.integers(-(2**40), 2**43)


def folder_of(kind: str, time: int | None) -> str:
    """The folder of one row, worked out row by row."""
    day = "unknown"
    if time is not None:
        found = datetime.fromtimestamp(time / 1000, UTC).date()
        day = found.isoformat() if date(2020, 1, 1) <= found <= date(2030, 12, 31) else day
    return f"kind={kind}/date={day}"


@given(st.lists(st.tuples(st.sampled_from(KINDS), TIMES), max_size=60))
def test_each_row_falls_into_its_own_folder_once(rows: list[tuple[str, int | None]]) -> None:
    partitioning = Partitioning({"kind": KINDS}, "event_time", date(2020, 1, 1), date(2030, 12, 31))
    table = pa.table(
        {
            "kind": pa.array([kind for kind, _ in rows], pa.string()),
            "event_time": pa.array([time for _, time in rows], TIME),
            "row": pa.array(range(len(rows)), pa.int64()),
        }
    )
    found = {row: folder for folder, part in partitioning.split(table) for row in part["row"].to_pylist()}
    assert found == {row: folder_of(*values) for row, values in enumerate(rows)}


def test_a_value_outside_a_closed_set_never_becomes_a_path() -> None:
    table = pa.table({"kind": ["chat", "../../etc"]})
    with pytest.raises(PromiseBroken, match="STORE_PATH_VALUE") as caught:
        list(Partitioning({"kind": KINDS}).split(table))
    assert "etc" not in str(caught.value)


def test_a_null_is_outside_a_closed_set() -> None:
    table = pa.table({"kind": pa.array([None], pa.string())})
    with pytest.raises(PromiseBroken):
        list(Partitioning({"kind": KINDS}).split(table))


def test_a_date_column_serves_as_well() -> None:
    table = pa.table({"received": pa.array([date(2026, 3, 4)], pa.date32())})
    assert [folder for folder, _ in Partitioning(date_from="received").split(table)] == ["date=2026-03-04"]


def test_no_partitioning_is_one_folder() -> None:
    assert [folder for folder, _ in Partitioning().split(pa.table({"x": [1, 2]}))] == [""]


@pytest.mark.parametrize("word", ["a/b", "", "..", "A"])
def test_closed_values_are_words(word: str) -> None:
    with pytest.raises(ValueError, match="closed set"):
        Partitioning({"kind": (word,)})


def test_a_window_begins_after_the_epoch() -> None:
    with pytest.raises(ValueError, match="first day"):
        Partitioning(first_day=date(1970, 1, 1))
