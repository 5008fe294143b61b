"""The fast and the careful decoder agree on every line, and neither lets a strictness fault through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.careful import CarefulDecoder
from schemas.cells import Level
from schemas.contract import EventShape
from schemas.decoder import FastDecoder
from schemas.decoder_plan import MAX_LEARNED, Learned
from schemas.strict_json import RecordFault
from tests.unit.schemas.decoder_samples import lines, sample_shape


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> EventShape:
    return sample_shape(tmp_path_factory.mktemp("contract"))


def plain(level: Level) -> dict[str, Any]:
    """A level as plain values that compare, without the order in which unknown values were met."""
    return {
        "cells": {
            path: (cells.type, cells.to_pylist())
            for path, cells in level.cells.items()
            if cells.null_count < len(cells)
        },
        "parents": level.parent_rows.tolist(),
        "arrays": {path: plain(below) for path, below in level.arrays.items() if below.size},
        "unknown": sorted(
            (value.row, value.parent, value.key or b"", value.raw, value.path or ())
            for value in level.unknown
        ),
    }


def careful(shape: EventShape, line: bytes, learned: Learned | None = None) -> Level | None:
    decoder = CarefulDecoder(shape, learned or Learned())
    try:
        decoder.read(line)
    except RecordFault:
        return None
    return decoder.level()


@settings(max_examples=500)
@given(line=lines())
def test_a_line_that_the_fast_decoder_takes_reads_the_same_carefully(shape: EventShape, line: bytes) -> None:
    learned = Learned()
    read = careful(shape, line, learned)

    rows, level, left = FastDecoder(shape, learned).decode([line])

    assert len(rows) + len(left) == 1
    if rows:
        assert read is not None
        assert plain(level) == plain(read)


@settings(max_examples=200)
@given(group=st.lists(lines(), min_size=1, max_size=12))
def test_groups_give_what_their_lines_give_one_by_one(shape: EventShape, group: list[bytes]) -> None:
    learned = Learned()
    for line in group:
        careful(shape, line, learned)

    rows, level, left = FastDecoder(shape, learned).decode(group)

    assert sorted(rows + left) == list(range(len(group)))
    for place, row in enumerate(rows):
        alone = careful(shape, group[row])
        assert alone is not None
        for path, cells in alone.cells.items():
            if cells.null_count == 0:
                assert level.cells[path][place].as_py() == cells[0].as_py()


def test_learning_takes_a_line_from_the_careful_path_to_the_fast_one(shape: EventShape) -> None:
    line = b'{"event":"test.one","extra":{"a":1},"event_ts":null}'
    learned = Learned()
    assert FastDecoder(shape, learned).decode([line])[0] == []

    CarefulDecoder(shape, learned).read(line)

    rows, level, _ = FastDecoder(shape, learned).decode([line, b'{"event":"test.two"}'])
    assert rows == [0, 1]
    assert [(value.key, value.raw) for value in level.unknown] == [(b"extra", b'{"a":1}')]


def test_no_more_than_a_bounded_number_of_fields_is_learned() -> None:
    learned = Learned()

    grown = [learned.learn_unknown((), b"key%d" % number) for number in range(MAX_LEARNED + 10)]

    assert sum(grown) == MAX_LEARNED


@pytest.mark.parametrize(
    "line",
    [
        b'{"event":"test.one","event":"test.one"}',
        b'{"event":"test.one","\\u0065vent":"test.two"}',
        b'{"event":"test.one","token":"a","token":"b"}',
        b'{"event":"test.one","token":{"a":1,"\\u0061":2}}',
        b'{"event":"test.one","payload":{"object":{"people":[{"id":"1","id":"1"}]}}}',
        b'{"event":"test.one","payload":{},"payload":{"account_id":"x"}}',
        b'{"event":"test.one","token":"\xff"}',
        b'{"event":"test.one","token":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"event":"test.one","token":1}x',
        b'{"event":"test.one","token":NaN}',
        b"[]",
        b"",
    ],
)
def test_strictness_faults_are_taken_by_neither_decoder(shape: EventShape, line: bytes) -> None:
    good = b'{"event":"test.two","token":"fine: \\" really"}'

    learned = Learned()
    careful(shape, good, learned)
    for seen in (b'{"event":"test.one","payload":{"account_id":"x","object":{"people":[{"id":"1"}]}}}',):
        assert careful(shape, seen, learned)

    rows, _, left = FastDecoder(shape, learned).decode([good, line, good, good, good, good, good, good])

    assert 1 in left
    assert {4, 5, 6, 7} <= set(rows)
    assert careful(shape, line) is None


def test_an_event_type_of_another_shape_is_left_over(shape: EventShape) -> None:
    assert FastDecoder(shape, Learned()).decode([b'{"event":"other"}'])[0] == []


def test_content_stays_raw_bytes(shape: EventShape) -> None:
    line = json.dumps(
        {"event": "test.one", "payload": {"object": {"topic": "a b", "blob": {"c": 1}}}}
    ).encode()

    learned = Learned()
    CarefulDecoder(shape, learned).read(line)

    _, level, _ = FastDecoder(shape, learned).decode([line])

    assert level.cells[("payload", "object", "topic")].to_pylist() == [b'"a b"']
    assert level.cells[("payload", "object", "blob")].to_pylist() == [b'{"c": 1}']
