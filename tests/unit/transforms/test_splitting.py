"""Lines and documents are cut at the same places however the bytes arrive, and no byte is lost."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import splitting
from transforms.document_splitting import DocumentSplitter
from transforms.splitting import (
    RECORD_TOO_LARGE,
    SOURCE_FAULTS,
    WHITESPACE,
    Block,
    LineSplitter,
    SourceFault,
    Splitter,
    cut_in_pieces,
)

Result = tuple[list[tuple[int, bytes]], list[SourceFault]]

HOSTILE = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"\n", b" ", b"\r", b"\f", b"a", b"12", b"\x00"]
    )
).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=6)
CAPS = st.sampled_from([1, 2, 5, 1000])


def collect(blocks: Iterable[Block]) -> Result:
    records: list[tuple[int, bytes]] = []
    faults: list[SourceFault] = []
    for block in blocks:
        assert len(block.offsets) == len(block.records)
        records += zip(block.offsets.tolist(), block.records, strict=True)
        faults += block.faults
    return sorted(records), sorted(faults, key=lambda fault: (fault.offset, fault.piece))


def split(kind: type[Splitter], data: bytes, cuts: Iterable[int] = (), *, cap: int = 1000) -> Result:
    splitter = kind(0, record_cap=cap)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    blocks: list[Block] = []
    for start, end in pairwise(edges):
        blocks += splitter.feed(data[start:end])
    blocks += splitter.finish()
    return collect(blocks)


def uncovered(data: bytes, result: Result) -> bytes:
    """The bytes in no record and no fault; fails where two overlap or one is not what stands in the data."""
    left = bytearray(data)
    taken = [False] * len(data)
    begins = {(fault.offset, fault.piece): fault.raw for fault in result[1]}
    spans = list(result[0])
    for (offset, piece), raw in begins.items():
        spans.append((offset + piece * splitting.PIECE_BYTES, raw))
    for offset, raw in spans:
        assert data[offset : offset + len(raw)] == raw
        assert not any(taken[offset : offset + len(raw)])
        taken[offset : offset + len(raw)] = [True] * len(raw)
    return bytes(byte for byte, gone in zip(left, taken, strict=True) if not gone)


@pytest.fixture(autouse=True, scope="module")
def _small_pieces() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitting, "PIECE_BYTES", 3)
        yield


@given(HOSTILE, CUTS, CAPS)
def test_lines_are_the_same_for_every_chunking(data: bytes, cuts: list[int], cap: int) -> None:
    expected: Result = ([], [])
    at = 0
    for line in data.split(b"\n"):
        if len(line) > cap:
            expected[1].extend(cut_in_pieces(at, RECORD_TOO_LARGE, line))
        elif line.strip(WHITESPACE):
            indent = len(line) - len(line.lstrip(WHITESPACE))
            expected[0].append((at + indent, line.strip(WHITESPACE)))
        at += len(line) + 1

    assert split(LineSplitter, data, cuts, cap=cap) == expected


@given(HOSTILE, CUTS, CAPS)
def test_documents_are_the_same_for_every_chunking(data: bytes, cuts: list[int], cap: int) -> None:
    assert split(DocumentSplitter, data, cuts, cap=cap) == split(DocumentSplitter, data, cap=cap)


@given(HOSTILE, CUTS, CAPS)
def test_no_byte_of_a_document_file_is_lost(data: bytes, cuts: list[int], cap: int) -> None:
    result = split(DocumentSplitter, data, cuts, cap=cap)

    assert not uncovered(data, result).strip(WHITESPACE + b"[],")
    for fault in result[1]:
        assert fault.code in SOURCE_FAULTS
        assert fault.raw


@given(HOSTILE, CAPS)
def test_content_that_breaks_off_gives_no_unfinished_record(data: bytes, cap: int) -> None:
    for kind in (LineSplitter, DocumentSplitter):
        splitter = kind(0, record_cap=cap)
        fed = list(splitter.feed(data))
        records, faults = collect([*fed, *splitter.break_off("TRUNCATED_STREAM", 7)])

        assert records == collect(fed)[0]
        punctuation = b"[]," if kind is DocumentSplitter else b""
        assert not uncovered(data, (records, faults)).strip(WHITESPACE + punctuation)


def test_pieces_are_numbered_and_the_last_is_marked() -> None:
    pieces = split(LineSplitter, b"abcdefgh\n1", [4], cap=2)[1]

    assert [(p.offset, p.piece, p.last, p.raw) for p in pieces] == [
        (0, 0, False, b"abc"),
        (0, 1, False, b"def"),
        (0, 2, True, b"gh"),
    ]


def test_many_tiny_lines_come_in_blocks_of_bounded_length() -> None:
    blocks = list(LineSplitter(3).feed(b"1\n" * 500_000))

    assert sum(len(block.records) for block in blocks) == 500_000
    assert max(len(block.records) for block in blocks) < 4 * splitting.MAX_BLOCK_RECORDS
    assert {block.file for block in blocks} == {3}


def test_nothing_shown_of_a_block_or_fault_holds_its_bytes() -> None:
    (block,) = LineSplitter(0, record_cap=10).feed(b'{"k":"s"}\nCANARY-CANARY\n')

    assert len(block.records) == len(block.faults[:1]) == 1
    assert "CANARY" not in repr(block)
    assert '"s"' not in repr(block)


def test_a_long_line_that_arrives_in_small_chunks_costs_time_in_proportion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splitting, "PIECE_BYTES", 4 << 20)
    splitter = LineSplitter(0, record_cap=1 << 20)
    chunk = b"x" * 1024
    started = time.process_time()
    for _ in range(20_000):
        for _block in splitter.feed(chunk):
            pass

    assert time.process_time() - started < 10
