"""Damaged, cut off, oversized and many-part streams give all their content and say how they ended."""

from __future__ import annotations

import gzip
import io
import json
import random
import time
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InfrastructureFault
from transforms.decompression import (
    Compression,
    Content,
    Ending,
    ReadLimits,
    StoredBytes,
    coalesced,
    compression_of,
    frame_header,
    open_content,
)
from transforms.splitting import CORRUPT_STREAM, DECOMPRESSION_LIMIT, TRAILING_GARBAGE, TRUNCATED_STREAM

MIB = 1 << 20
KINDS = [Compression.GZIP, Compression.ZSTD]
LINES = b"".join(json.dumps({"n": n, "v": n * n % 977}).encode() + b"\n" for n in range(40))


def pack(data: bytes, kind: Compression) -> bytes:
    if kind is Compression.GZIP:
        return gzip.compress(data, mtime=0)
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def content_of(stored: bytes, kind: Compression, limits: ReadLimits | None = None) -> Content:
    source = StoredBytes(io.BytesIO(stored), len(stored))
    return open_content(source, kind, limits or ReadLimits(), chunk_bytes=MIB)


def unpack(
    stored: bytes, kind: Compression, limits: ReadLimits | None = None
) -> tuple[bytes, Ending | None, bytes]:
    content = content_of(stored, kind, limits)
    data = b"".join(content.chunks())
    return data, content.ending, b"".join(content.rest())


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.binary(max_size=300), max_size=5))
def test_several_members_or_frames_are_one_content(kind: Compression, parts: list[bytes]) -> None:
    stored = b"".join(pack(part, kind) for part in parts)

    assert unpack(stored, kind) == (b"".join(parts), None, b"")


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_cut_at_any_byte_says_so_and_gives_what_stands_before(kind: Compression) -> None:
    whole = pack(LINES, kind)

    for length in range(1, len(whole)):
        data, ending, rest = unpack(whole[:length], kind)
        assert LINES.startswith(data)
        if ending is None or ending.code != TRUNCATED_STREAM:
            assert length < 2
            assert ending is not None
            assert rest == whole[:length]
            continue
        assert ending.cut_off
        assert ending.position + len(rest) == length


def test_a_gzip_that_lacks_only_its_trailer_gives_all_its_content() -> None:
    data, ending, _ = unpack(pack(LINES, Compression.GZIP)[:-1], Compression.GZIP)

    assert data == LINES
    assert ending is not None
    assert ending.code == TRUNCATED_STREAM


@pytest.mark.parametrize("kind", KINDS)
def test_any_changed_byte_is_noticed_or_harmless(kind: Compression) -> None:
    whole = pack(LINES, kind)

    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        data, ending, rest = unpack(bytes(damaged), kind)
        assert data == LINES or ending is not None
        if ending is not None:
            assert ending.position + len(rest) == len(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_content_before_damage_is_delivered_to_the_last_possible_byte(kind: Compression) -> None:
    noise = random.Random(1).randbytes(2 * MIB)
    stored = bytearray(pack(noise, kind))
    stored[-4] ^= 1

    data, ending, rest = unpack(bytes(stored), kind)

    assert data == noise
    assert ending is not None
    assert ending.code == CORRUPT_STREAM
    assert 0 < len(rest) <= 8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [b"\x00", b"x" * 50, b"\x1f\x00", b'{"a":1}\n'])
def test_bytes_behind_the_end_are_given_back(kind: Compression, garbage: bytes) -> None:
    stored = pack(LINES, kind)

    data, ending, rest = unpack(stored + garbage, kind)

    assert (data, rest) == (LINES, garbage)
    assert ending == Ending(TRAILING_GARBAGE, len(stored), False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_stops_at_the_ratio_in_bounded_memory(kind: Compression) -> None:
    stored = pack(b"\0" * (100 * MIB), kind)
    content = content_of(stored, kind)
    tracemalloc.start()

    produced = sum(len(chunk) for chunk in content.chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert content.ending is not None
    assert content.ending.code == DECOMPRESSION_LIMIT
    assert produced < 90 * MIB
    assert peak < 8 * MIB
    assert content.ending.position + sum(map(len, content.rest())) == len(stored)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_of_many_parts_stops_too(kind: Compression) -> None:
    part = pack(b"\0" * MIB, kind)

    data, ending, _ = unpack(part * 100, kind)

    assert len(data) < 90 * MIB
    assert ending is not None
    assert ending.code == DECOMPRESSION_LIMIT


@pytest.mark.parametrize("kind", KINDS)
def test_the_absolute_cap_holds_at_any_ratio(kind: Compression) -> None:
    noise = random.Random(2).randbytes(3 * MIB)

    data, ending, _ = unpack(pack(noise, kind), kind, ReadLimits(max_content_bytes=MIB))

    assert MIB < len(data) <= 2 * MIB + (1 << 17)
    assert noise.startswith(data)
    assert ending is not None
    assert ending.code == DECOMPRESSION_LIMIT


@pytest.mark.parametrize("kind", KINDS)
def test_repetitive_logs_are_no_bomb(kind: Compression) -> None:
    lines = b"".join(b'{"event":"heartbeat","seq":%d,"status":"ok"}\n' % n for n in range(2_000_000))

    assert len(lines) > ReadLimits().ratio_allowance_bytes
    assert unpack(pack(lines, kind), kind)[1] is None


def test_a_zstd_window_over_the_limit_is_refused_before_it_is_allocated() -> None:
    head = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + b"\x01\x00\x00"

    data, ending, rest = unpack(head, Compression.ZSTD)

    assert ending == Ending(DECOMPRESSION_LIMIT, 0, True)
    assert (data, rest) == (b"", head)


def test_skippable_zstd_frames_hold_no_content() -> None:
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    frame = pack(LINES, Compression.ZSTD)

    assert compression_of(skippable) is Compression.ZSTD
    assert unpack(skippable + frame + skippable, Compression.ZSTD) == (LINES, None, b"")
    assert unpack(frame + skippable[:-1], Compression.ZSTD)[1] is not None


def test_a_zstd_stream_flushed_line_by_line_is_read() -> None:
    compressor = zstandard.ZstdCompressor().compressobj()
    stored = b"".join(
        compressor.compress(line) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for line in LINES.splitlines(keepends=True)
    )
    stored += compressor.flush()

    assert unpack(stored, Compression.ZSTD) == (LINES, None, b"")


@given(st.integers(0, 5000), st.booleans(), st.booleans(), st.integers(10, 24))
def test_frame_headers_are_read_as_the_library_reads_them(
    size: int, checksum: bool, sized: bool, log: int
) -> None:
    params = zstandard.ZstdCompressionParameters(
        window_log=log, write_checksum=checksum, write_content_size=sized
    )
    frame = zstandard.ZstdCompressor(compression_params=params).compress(b"a" * size)
    known = zstandard.get_frame_parameters(frame)

    header_size, window, has_checksum = frame_header(frame[:18])

    assert header_size == zstandard.frame_header_size(frame)
    assert (window, has_checksum) == (known.window_size, known.has_checksum)


def test_a_file_of_tiny_gzip_members_costs_time_in_proportion() -> None:
    member = gzip.compress(b"1\n")
    started = time.process_time()

    data, ending, _ = unpack(member * 40_000, Compression.GZIP)

    assert data == b"1\n" * 40_000
    assert ending is None
    assert time.process_time() - started < 10


def test_a_nested_bomb_is_not_unpacked_twice() -> None:
    inner = zlib.compress(b"\0" * MIB, wbits=31)

    assert unpack(gzip.compress(inner), Compression.GZIP) == (inner, None, b"")


def test_a_file_that_shrank_is_an_infrastructure_fault() -> None:
    stored = StoredBytes(io.BytesIO(b"abc"), 4)

    with pytest.raises(InfrastructureFault, match="INPUT_CHANGED"):
        list(stored.drain())


def test_bytes_beyond_the_listed_size_are_not_read() -> None:
    assert b"".join(StoredBytes(io.BytesIO(b"abcdef"), 4).drain()) == b"abcd"


@given(st.lists(st.binary(max_size=9)), st.integers(1, 20))
def test_coalescing_keeps_bytes_and_bounds_sizes(chunks: list[bytes], size: int) -> None:
    result = list(coalesced(chunks, size))

    assert b"".join(result) == b"".join(chunks)
    assert all(size <= len(chunk) < size + 9 for chunk in result[:-1])
    assert all(result)


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        ReadLimits(max_ratio=0)
