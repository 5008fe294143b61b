"""Arrays and concatenated documents are cut where JSON says, and their layout is told from JSON lines."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.document_splitting import DocumentSplitter, layout_of
from transforms.splitting import NOT_JSON, UNTERMINATED_ARRAY, Block, Layout

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},\u00e9\n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k"\\{'), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(alphabet='k"\\[{'), JSON, max_size=3)


def split(data: bytes, step: int = 1 << 20) -> list[Block]:
    splitter = DocumentSplitter(0)
    blocks: list[Block] = []
    for at in range(0, len(data), step):
        blocks += splitter.feed(data[at : at + step])
    return [*blocks, *splitter.finish()]


def records(data: bytes, step: int = 1 << 20) -> list[bytes]:
    return [record for block in split(data, step) for record in block.records]


def faults(data: bytes) -> list[tuple[int, str, bytes]]:
    return [(fault.offset, fault.code, fault.raw) for block in split(data) for fault in block.faults]


@given(st.lists(JSON), st.sampled_from([None, 0, 2]), st.booleans(), st.integers(1, 40))
def test_every_element_of_an_array_is_a_record(
    values: list[Any], indent: int | None, ascii_only: bool, step: int
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()

    assert [json.loads(record) for record in records(data, step)] == values
    assert not faults(data)
    for block in split(data, step):
        for offset, record in zip(block.offsets.tolist(), block.records, strict=True):
            assert data[offset : offset + len(record)] == record


@given(st.lists(OBJECTS, min_size=1), st.sampled_from([None, 1]), st.sampled_from(["", "\n", " \r\n"]))
def test_concatenated_documents_are_one_record_each(
    values: list[dict[str, Any]], indent: int | None, between: str
) -> None:
    data = between.join(json.dumps(value, indent=indent) for value in values).encode()

    assert [json.loads(record) for record in records(data)] == values
    assert not faults(data)


@pytest.mark.parametrize(
    ("data", "expected_records", "expected_faults"),
    [
        (b"[]", [], []),
        (b"[1,2]\n[3]", [b"1", b"2", b"3"], []),
        (b"[1]\n{}", [b"1", b"{}"], []),
        (b"[,1]", [b"1"], [(1, NOT_JSON, b",")]),
        (b"[1,]", [b"1"], [(2, NOT_JSON, b",")]),
        (b"[1,,\n,2]", [b"1", b"2"], [(3, NOT_JSON, b",\n,")]),
        (b"[,,]", [], [(1, NOT_JSON, b",,")]),
        (b"[1]]", [b"1"], [(3, NOT_JSON, b"]")]),
        (b"[1}", [b"1"], [(2, NOT_JSON, b"}")]),
        (b"[1", [b"1"], [(0, UNTERMINATED_ARRAY, b"[")]),
        (b'[{"a":"]"', [b'{"a":"]"'], [(0, UNTERMINATED_ARRAY, b"[")]),
        (b"[][]", [], [(2, NOT_JSON, b"[")]),
        (b"[][", [], [(2, NOT_JSON, b"[")]),
        (b"{} rest {}", [b"{}", b"{}"], [(3, NOT_JSON, b"rest")]),
        (b"[1 2, \f]", [b"1 2", b"\f"], []),
        (b'{"a":{', [b'{"a":{'], []),
    ],
)
def test_what_stands_outside_is_a_fault(
    data: bytes, expected_records: list[bytes], expected_faults: list[tuple[int, str, bytes]]
) -> None:
    assert records(data) == expected_records
    assert faults(data) == expected_faults
    assert records(data, 1) == expected_records


@pytest.mark.parametrize("unit", [b"[", b"]", b"{", b",", b'"', b"\\", b"1,", b"[]", b"[1,,", b'{"a":'])
def test_hostile_structure_costs_time_in_proportion(unit: bytes) -> None:
    data = b"[" + unit * ((1 << 20) // len(unit))
    started = time.process_time()
    blocks = split(data)

    assert sum(len(block.records) + len(block.faults) for block in blocks) > 0
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        (b"", Layout.LINES),
        (b" \n", Layout.LINES),
        (b'{"a":1}\n{"a":2}\n', Layout.LINES),
        (b'\xef\xbb\xbf\r\n {"a":1}', Layout.LINES),
        (b'{"a":1} x\n', Layout.LINES),
        (b'{"a":1}{"a":2}\n', Layout.DOCUMENTS),
        (b'{"a":1} [2]', Layout.DOCUMENTS),
        (b'{\n  "a": 1\n}', Layout.DOCUMENTS),
        (b'{"a": [\n{"b":1},\n{"b":2}\n]}', Layout.DOCUMENTS),
        (b'{"a": [\n{"b":1}\n]}', Layout.DOCUMENTS),
        (b'{"a":\n{"b":1}\n{"b":2}\n', Layout.LINES),
        (b'{"a": "torn\n{"b":1}\n', Layout.LINES),
        (b'{"a": "whole line is one unfinished', Layout.LINES),
        (b"[1]\n[2]", Layout.DOCUMENTS),
        (b"\xef\xbb\xbf[1]", Layout.DOCUMENTS),
        (b"\xff\xfe{\x00", Layout.LINES),
        (b"123", Layout.LINES),
    ],
)
def test_the_layout_follows_from_the_first_bytes(head: bytes, layout: Layout) -> None:
    assert layout_of(head, complete=True) is layout


@given(
    st.sampled_from([b'{"a":1}\n{"a":2}\n', b'{\n"a":1}', b'{"a":1}{"b":2}', b'{"a":\n{"b":1}\n{"c":1}\n'])
)
def test_a_layout_is_not_guessed_from_too_few_bytes(data: bytes) -> None:
    final = layout_of(data, complete=True)

    for length in range(len(data) + 1):
        assert layout_of(data[:length], complete=False) in (None, final)
