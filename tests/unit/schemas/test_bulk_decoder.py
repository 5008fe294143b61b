"""What the bulk decoder takes reads as it does carefully, and it takes no line that it should not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.bulk_decoder import BulkAttempts, BulkDecoder
from schemas.careful import CarefulDecoder
from schemas.cells import Level
from schemas.contract import EventShape, load_contracts
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault
from tests.unit.schemas.decoder_samples import CONTRACT, lines, sample_shape


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> EventShape:
    return sample_shape(tmp_path_factory.mktemp("contract"))


def plain(level: Level) -> dict[str, Any]:
    """A level as plain values that compare; a sealed null holds nothing and is as good as absent."""
    cells = {
        path: (cells.type, [None if cell == b"null" else cell for cell in cells.to_pylist()])
        for path, cells in level.cells.items()
    }
    return {
        "cells": {path: found for path, found in cells.items() if any(c is not None for c in found[1])},
        "parents": level.parent_rows.tolist(),
        "arrays": {path: plain(below) for path, below in level.arrays.items() if below.size},
        "unknown": [(value.row, value.parent, value.key, value.raw) for value in level.unknown],
    }


def learned_from(shape: EventShape, group: list[bytes]) -> Learned:
    learned = Learned()
    at = shape.type_at
    learned.active.update(at[:end] for end in range(1, len(at) + 1))
    for line in group:
        careful(shape, line, learned)
    return learned


def careful(shape: EventShape, line: bytes, learned: Learned | None = None) -> Level | None:
    decoder = CarefulDecoder(shape, learned or Learned())
    try:
        decoder.read(line)
    except RecordFault:
        return None
    return decoder.level()


@settings(max_examples=1500)
@given(line=lines(), others=st.lists(lines(), max_size=2))
def test_a_line_that_is_taken_reads_the_same_carefully(
    shape: EventShape, line: bytes, others: list[bytes]
) -> None:
    decoder = BulkDecoder(shape, learned_from(shape, [line, *others]))

    rows, level, left = decoder.decode([line])

    event(f"taken: {bool(rows)}")
    assert sorted(rows + left) == [0]
    if rows:
        read = careful(shape, line)
        assert read is not None
        assert level is not None
        assert plain(level) == plain(read)


@pytest.mark.parametrize(
    "members",
    ['"topic":null,"Topic":""', '"Topic":"a","topic":null', '"topic":"a","Topic":null', '"Topic":"a"'],
)
def test_a_null_beside_another_spelling_of_its_key_reads_the_same(shape: EventShape, members: str) -> None:
    line = b'{"event":"test.one","payload":{"object":{%b}}}' % members.encode()
    rows, level, left = BulkDecoder(shape, learned_from(shape, [line])).decode([line])
    assert sorted(rows + left) == [0]
    if rows:
        read = careful(shape, line)
        assert read is not None
        assert level is not None
        assert plain(level) == plain(read)


@settings(max_examples=300)
@given(group=st.lists(lines(), min_size=1, max_size=80))
def test_groups_are_taken_whole_in_parts_or_not_at_all(shape: EventShape, group: list[bytes]) -> None:
    learned = learned_from(shape, group)

    rows, levels, left = BulkAttempts(lambda: BulkDecoder(shape, learned)).decode(group)

    assert sorted(rows + left) == list(range(len(group)))
    assert sum(level.size for level in levels) == len(rows)
    taken = [careful(shape, group[row]) for row in rows]
    for path in {path for level in levels for path in level.cells}:
        here = [
            cell
            for level in levels
            for cell in (level.cells[path].to_pylist() if path in level.cells else [None] * level.size)
        ]
        alone = [level.cells[path][0].as_py() if level and path in level.cells else None for level in taken]
        assert here == [None if cell == b"null" else cell for cell in alone]


ORDINARY = {
    "event": "test.one",
    "event_ts": 1772359200000,
    "token": "t",
    "payload": {
        "account_id": "a",
        "object": {
            "topic": "words: more",
            "duration": 3,
            "ratio": 0.25,
            "words": ["x"],
            "people": [{"id": "1", "name": "n", "tracks": [{"kind": "audio"}, {}]}, {"id": "2"}],
        },
    },
}


def as_line(value: Any, **more: Any) -> bytes:
    return json.dumps({**value, **more}, separators=(",", ":"), ensure_ascii=False).encode()


def test_ordinary_lines_are_taken(shape: EventShape) -> None:
    group = [as_line(ORDINARY), as_line(ORDINARY, token=None), as_line({"event": "test.two"})]

    rows, level, left = BulkDecoder(shape, learned_from(shape, group)).decode(group)

    assert (rows, left) == ([0, 1, 2], [])
    assert level is not None
    assert level.cells[("token",)].to_pylist() == [b'"t"', None, None]
    people = level.arrays[("payload", "object", "people")]
    assert people.parent_rows.tolist() == [0, 0, 1, 1]


def test_the_text_of_a_sealed_number_is_kept(shape: EventShape) -> None:
    group = [as_line(ORDINARY, token=1).replace(b'"token":1', b'"token":%b' % text) for text in NUMBERS]

    rows, level, _ = BulkDecoder(shape, learned_from(shape, group)).decode(group)

    assert len(rows) == len(NUMBERS)
    assert level is not None
    assert level.cells[("token",)].to_pylist() == list(NUMBERS)


def test_a_sealed_number_is_not_taken_from_another_place_with_the_same_key(tmp_path: Path) -> None:
    """White space before a colon hides one of two keys, and the other's text would stand for both."""
    file = tmp_path / "twice.yaml"
    token = "- {name: token, logicalType: string, classification: content.chat}"
    file.write_text(
        CONTRACT.replace("- {name: blob,", f"{token}\n              - {{name: blob,"), encoding="utf-8"
    )
    shape = load_contracts([file]).shapes[0]
    line = b'{"event":"test.one","token":1,"payload":{"object":{"token" :2}}}'

    rows, level, _ = BulkDecoder(shape, learned_from(shape, [line])).decode([line])

    assert level is None
    assert rows == []


NUMBERS = (b"1", b"-0", b"0.250", b"1e-3", b"1E+05", b"123456789012345678901234567890")

BAD = (
    b"null",
    b'{"event":"test.one"}null',
    b'{"event":"test.one"} null {"event":"test.one"}',
    b'{"event":"test.one"}{"event":"test.one"}',
    b'{"event":"test.one"}]}null',
    b'{"event":"test.one"}\x00',
    b'{"event":"test.one","event":"test.one"}',
    b'{"event":"test.one","token":null,"token":"x"}',
    b'{"event":"test.one","token":"x","token":null}',
    b'{"event":"test.one","payload":{},"payload":{}}',
    b'{"event":"test.one","payload":null,"payload":{"account_id":"x"}}',
    b'{"event":"test.one","payload":{"object":{"people":[{"id":"1","id":"1"}]}}}',
    b'{"event":"test.one","token":"\xff"}',
    b'{"event":"test.one","payload":{"object":{"ratio":NaN}}}',
    b'{"event":"test.one","payload":{"object":{"ratio":Infinity}}}',
    b'{"event":"test.one",',
    b'"token":"x"}',
    b'{"event":"other"}',
    b'{"token":"x"}',
    b'{"event":"test.one","payload":{"object":{"people":[null]}}}',
    b'{"event":"test.one","payload":{"object":{"words":[null]}}}',
    b'{"event":"test.one","grown":1}',
    b'{"event":"test.one","token":{"a":1}}',
    b'{"event":"test.one","token":"a\\u0000b"}',
    b'{"event":\n"test.one"}',
    b' {"event":"test.one"}',
    b"[]",
    b"",
)


@pytest.mark.parametrize("bad", BAD)
def test_a_line_that_is_not_plain_is_left_and_its_neighbours_are_taken(shape: EventShape, bad: bytes) -> None:
    learned = learned_from(shape, [as_line(ORDINARY)])
    group = [as_line(ORDINARY)] * 64 + [bad] + [as_line(ORDINARY)] * 127

    rows, levels, left = BulkAttempts(lambda: BulkDecoder(shape, learned)).decode(group)

    assert 64 in left
    assert {*range(64), *range(128, 192)} <= set(rows)
    assert sum(level.size for level in levels) == len(rows)


def test_lines_that_complete_each_other_are_left(shape: EventShape) -> None:
    """Two halves of one object and two objects in one line: as many rows as lines, and none of them right."""
    learned = learned_from(shape, [as_line(ORDINARY)])
    group = [b'{"event":"test.one",', b'"token":"x"}', b'{"event":"test.one"}{"event":"test.two"}']

    assert BulkDecoder(shape, learned).decode(group)[0] == []


def test_what_does_not_pay_is_given_up(shape: EventShape) -> None:
    made = []

    def make() -> BulkDecoder:
        made.append(BulkDecoder(shape, learned_from(shape, [as_line(ORDINARY)])))
        return made[-1]

    attempts = BulkAttempts(make)
    odd = [as_line(ORDINARY, token={"a": 1})] * 2100
    for _ in range(2):
        assert attempts.decode(odd)[0] == []
    attempts.forget()

    rows, _, left = attempts.decode([as_line(ORDINARY)])

    assert (rows, left) == ([], [0])
    assert len(made) == 1
