"""Cells become columns without a change, and parts of a group join up to the whole group."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.careful import CarefulDecoder
from schemas.cells import (
    Level,
    UnknownValue,
    arrow_cell_type,
    cell_type,
    concatenate,
    encoded_cell,
    is_raw,
    raw_column,
    text_bytes,
    typed_column,
)
from schemas.classification import Protection
from schemas.contract import EventShape, Field
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault
from tests.unit.schemas.decoder_samples import lines, sample_shape


def entry(logical_type: str = "string", protection: Protection = Protection.KEEP, **more: Any) -> Field:
    return Field(
        path=("a",), logical_type=logical_type, classification="metadata", protection=protection, **more
    )


# Columns.


@given(cells=st.lists(st.none() | st.binary(max_size=9), max_size=20))
def test_a_raw_column_holds_the_very_bytes(cells: list[bytes | None]) -> None:
    column = raw_column([None if cell is None else memoryview(cell) for cell in cells])
    column.validate(full=True)
    assert column.type == pa.binary()
    assert column.to_pylist() == cells
    assert column.null_count == cells.count(None)
    assert raw_column([None if cell is None else msgspec.Raw(cell) for cell in cells]).to_pylist() == cells


@pytest.mark.parametrize(
    ("field", "cells", "column"),
    [
        (entry(), ["a", None], ["a", None]),
        (entry("integer"), [5, None, -(2**63)], [5, None, -(2**63)]),
        (entry("number"), [1.5, None, 2], [1.5, None, 2.0]),
        (entry("boolean"), [True, None], [True, None]),
        (
            entry("boolean", accepts=("string",)),
            [True, "false", None, False],
            ["true", "false", None, "false"],
        ),
        (entry("integer", accepts=("string",)), [5, "05", None], ["5", "05", None]),
        (entry("string", accepts=("integer",)), ["a", 7], ["a", "7"]),
        (entry(protection=Protection.PSEUDONYM), [7, "7", None], ["7", "7", None]),
        (entry(protection=Protection.PSEUDONYM, is_list=True), [[7, "a"], None, []], [["7", "a"], None, []]),
        (entry("timestamp"), ["soon", None], ["soon", None]),
        (entry("timestamp", unit="ms since 1970 UTC"), [5, None], [5, None]),
    ],
)
def test_values_become_a_column_in_their_canonical_form(
    field: Field, cells: list[Any], column: list[Any]
) -> None:
    made = typed_column(field, cells)
    assert made.to_pylist() == column
    assert made.type == arrow_cell_type(field)


@pytest.mark.parametrize(
    ("field", "fits", "not_fits"),
    [
        (entry(), ['"a"'], ["5", "true", "[]", "{}"]),
        (
            entry("integer"),
            ["5", str(2**63 - 1), str(-(2**63))],
            ['"5"', "true", "5.5", str(2**63), "-9223372036854775809"],
        ),
        (entry("number"), ["5", "5.5", "1e3"], ['"5"', "true", "1e999"]),
        (entry("boolean"), ["true"], ['"true"', "1"]),
        (entry("boolean", accepts=("boolean", "string")), ["true", '"true"'], ["1"]),
        (entry("timestamp"), ['"2024"'], ["5"]),
        (entry("timestamp", unit="ms since 1970 UTC"), ["5"], ['"5"', "5.5"]),
        (entry("number", text_form="numeric_string"), ['"5"'], ["5"]),
        (entry(protection=Protection.PSEUDONYM), ['"a"', "5"], ["true", "1.5", str(2**70)]),
        (entry(protection=Protection.TRUNCATE_IP), ['"a"'], ["5"]),
        (entry("integer", is_list=True), ["[]", "[1,2]"], ["1", '["1"]', "[null]"]),
    ],
)
def test_only_the_json_types_that_a_contract_names_are_decoded(
    field: Field, fits: list[str], not_fits: list[str]
) -> None:
    decoder = msgspec.json.Decoder(cell_type(field))
    for text in fits:
        decoder.decode(text)
    for text in not_fits:
        with pytest.raises(msgspec.MsgspecError):
            decoder.decode(text)


def test_sealed_and_dropped_values_are_never_decoded() -> None:
    assert [is_raw(entry(protection=protection)) for protection in Protection] == [
        False,
        False,
        True,
        True,
        False,
    ]
    for protection in (Protection.SEAL, Protection.DROP):
        assert arrow_cell_type(entry("integer", protection)) == pa.binary()


@given(cells=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=9))
def test_the_bytes_of_a_column_are_all_of_its_text(cells: list[str | None]) -> None:
    whole = "".join(cell or "" for cell in cells).encode()
    column = pa.array(cells, pa.string())
    assert text_bytes(column) == whole
    assert text_bytes(column.cast(pa.binary())) == whole
    assert text_bytes(pa.array([cells], pa.list_(pa.string()))) == whole


def test_numbers_have_no_text() -> None:
    assert text_bytes(pa.array([1, 2])) == b""
    assert text_bytes(pa.array([], pa.string())) == b""


@pytest.mark.parametrize(
    ("column", "raw"),
    [
        (pa.array(['ä"']), '"ä\\""'.encode()),
        (pa.array([5]), b"5"),
        (pa.array([True]), b"true"),
        (pa.array([1.5]), b"1.5"),
        (pa.array([["a", "b"]]), b'["a","b"]'),
    ],
)
def test_a_cell_is_json_again_when_it_is_sealed(column: pa.Array, raw: bytes) -> None:
    assert encoded_cell(column, 0) == raw


def test_reprs_show_no_value() -> None:
    shown = repr(UnknownValue(3, ("known",), b"Anna", b'"said"'))
    assert "Anna" not in shown
    assert "said" not in shown
    assert "known" in shown


# Levels.


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> EventShape:
    return sample_shape(tmp_path_factory.mktemp("contract"))


def read(shape: EventShape, records: list[bytes]) -> Level:
    decoder = CarefulDecoder(shape, Learned())
    for record in records:
        try:
            decoder.read(record)
        except RecordFault:
            continue
    return decoder.level()


def plain(level: Level) -> dict[str, Any]:
    """A level as values that compare; a column of nulls only is as good as none."""
    return {
        "size": level.size,
        "cells": {
            path: (column.type, column.to_pylist())
            for path, column in level.cells.items()
            if column.null_count < len(column)
        },
        "parents": level.parent_rows.tolist(),
        "arrays": {path: plain(below) for path, below in level.arrays.items() if below.size or below.unknown},
        "unknown": [(value.row, value.parent, value.key, value.raw, value.path) for value in level.unknown],
    }


@settings(max_examples=60)
@given(groups=st.lists(st.lists(lines(), max_size=4), max_size=4))
def test_levels_joined_are_the_level_of_all_lines(shape: EventShape, groups: list[list[bytes]]) -> None:
    joined = concatenate([read(shape, group) for group in groups])
    whole = read(shape, [record for group in groups for record in group])
    assert plain(joined) == plain(whole)


def test_parents_are_counted_on_through_every_level(shape: EventShape) -> None:
    person = {"id": "1", "tracks": [{"kind": "audio"}, {"kind": "video"}]}
    event = {"event": "test.one", "payload": {"object": {"people": [person, person]}}}
    record = json.dumps(event).encode()
    joined = concatenate(
        [read(shape, [record]), read(shape, [b'{"event":"test.two"}']), read(shape, [record])]
    )
    people = joined.arrays["payload", "object", "people"]
    tracks = people.arrays["payload", "object", "people", "[]", "tracks"]
    assert people.parent_rows.tolist() == [0, 0, 2, 2]
    assert tracks.parent_rows.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_column_that_a_part_lacks_is_null_there() -> None:
    one = Level(2, {("a",): pa.array([1, 2])}, unknown=[UnknownValue(1, (), b"k", b"1")])
    two = Level(1, {("b",): raw_column([b"x"])}, unknown=[UnknownValue(0, (), b"l", b"2")])
    joined = concatenate([one, Level(), two])
    assert joined.cells["a",].to_pylist() == [1, 2, None]
    assert joined.cells["b",].to_pylist() == [None, None, b"x"]
    assert [(value.row, value.key) for value in joined.unknown] == [(1, b"k"), (2, b"l")]
    assert joined.size == 3


def test_nothing_joins_to_nothing() -> None:
    assert plain(concatenate([])) == plain(Level())
    only = Level(1, {("a",): pa.array([1])}, parent_rows=np.array([0]))
    assert concatenate([Level(), only]) is only
