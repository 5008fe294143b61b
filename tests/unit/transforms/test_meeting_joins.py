"""Tables cut into shards and put together again: nothing is lost, and no meeting is in two shards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transforms.presence_samples import item_table, roster_table
from transforms.gather_meetings import AGAIN_IDS
from transforms.meeting_joins import (
    HOME,
    MARK_IDS,
    MARKS,
    MOST_DIGITS,
    NO_MEETING,
    RELEASED_IDS,
    SHARD_ROWS,
    concat,
    find_marks,
    homes,
    mark_items,
    packed,
    participants,
    senders,
    shard_digits,
    shards_by,
    shards_by_home,
    unpacked,
)

HEXADECIMAL = st.text("0123456789abcdef", min_size=32, max_size=32)


def by(schema: pa.Schema, *rows: tuple[Any, ...]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)


@pytest.mark.parametrize("rows", [0, 1, SHARD_ROWS << 4, (SHARD_ROWS << 4) + 16, 1 << 24, 1 << 28, 1 << 40])
def test_shards_hold_no_more_rows_than_they_may_until_there_are_too_many_shards(rows: int) -> None:
    digits = shard_digits(rows)
    assert digits == MOST_DIGITS or rows / 16**digits <= SHARD_ROWS + 1
    assert digits == 1 or rows / 16 ** (digits - 1) > SHARD_ROWS


def test_a_packed_slice_carries_its_own_rows_and_no_descriptions() -> None:
    long = pa.table({"a": pa.array(range(100_000))}).replace_schema_metadata({"b": "c" * 10_000})
    few = long.slice(5, 2)
    assert len(packed(few)) < 1000
    assert unpacked(packed(few)).to_pylist() == few.to_pylist()


@given(ids=st.lists(HEXADECIMAL), digits=st.integers(1, MOST_DIGITS))
def test_every_row_is_in_the_shard_of_its_id(ids: list[str], digits: int) -> None:
    table = pa.table(
        {"item_id": pa.array(ids, pa.string()), "key_id": [bytes.fromhex(each)[:16] for each in ids]}
    )
    for column in ("item_id", "key_id"):
        found: Counter[str] = Counter()
        for shard, content in shards_by(
            table.cast(pa.schema([("item_id", pa.string()), ("key_id", pa.binary(16))])), column, digits
        ):
            own = unpacked(content).column("item_id").to_pylist()
            assert {each[:digits] for each in own} == {shard}
            found.update(own)
        assert found == Counter(ids)


@given(
    meetings=st.lists(st.tuples(HEXADECIMAL, st.sampled_from([None, "aa" * 16, "ab" * 16, "b" * 32]))),
    digits=st.integers(1, MOST_DIGITS),
)
def test_no_group_is_in_two_shards(meetings: list[tuple[str, str | None]], digits: int) -> None:
    schema = pa.schema([("item_id", pa.string()), ("meeting_join", pa.string())])
    table = by(schema, *meetings)
    placed = table.append_column(HOME, homes(table))
    shards: dict[str, set[str]] = {}
    for shard, content in shards_by_home(placed, digits):
        for row in unpacked(content).to_pylist():
            assert row[HOME] == (row["meeting_join"] or NO_MEETING + row["item_id"][:2])
            shards.setdefault(row[HOME], set()).add(shard)
    assert all(len(found) == 1 for found in shards.values())
    assert concat((content for _, content in shards_by_home(placed, digits)), placed.schema).num_rows == len(
        meetings
    )


def test_marks_are_of_repeated_and_of_released_items_alone() -> None:
    items = by(MARK_IDS, ("a", "m1"), ("b", "m1"), ("b", "m2"), ("c", "m2"), ("d", "m2"))
    released = by(RELEASED_IDS, ("c", "q"), ("c", "p"), ("c", "p"), ("z", "p"))
    marks = find_marks(items, released)
    assert sorted(tuple(row.values()) for row in marks.to_pylist()) == [
        ("b", "m1", True, []),
        ("b", "m2", True, []),
        ("c", "m2", False, ["p", "q"]),
    ]
    marked = mark_items(items.select(["item_id"]), marks)
    assert marked.column("ambiguous").to_pylist() == [False, True, True, False, False]
    assert marked.column("released_for").to_pylist() == [[], [], [], ["p", "q"], []]


def test_without_marks_nothing_is_known_of_any_item() -> None:
    for items in (by(MARK_IDS, ("a", "m1"), ("b", "m1")), MARK_IDS.empty_table()):
        assert not find_marks(items, RELEASED_IDS.empty_table()).num_rows
        marked = mark_items(items, MARKS.empty_table())
        assert marked.column("ambiguous").to_pylist() == [False] * items.num_rows
        assert marked.column("released_for").to_pylist() == [[]] * items.num_rows


def test_everybody_is_named_once_a_meeting() -> None:
    one = {"event": "join", "subjects": [{"type": "x", "pseudonym": name} for name in ("aa", "bb")]}
    roster = roster_table([one, one, {"event": "start", "subjects": None}, {"event": "join", "subjects": []}])
    meeting = roster.column("meeting_join")[0].as_py()
    assert sorted(map(tuple, (row.values() for row in participants(roster).to_pylist()))) == [
        ("aa", meeting),
        ("bb", meeting),
    ]
    items = item_table([{"sender_join": "aa"}, {"sender_join": None}, {"sender_join": "aa"}])
    placed = items.append_column(HOME, homes(items))
    assert [row["pseudonym"] for row in senders(placed).to_pylist()] == ["aa"]


def test_empty_tables_stay_tables() -> None:
    assert concat([], AGAIN_IDS).equals(AGAIN_IDS.empty_table())
    assert not list(shards_by_home(AGAIN_IDS.empty_table(), 2))
    assert not participants(roster_table([])).num_rows
