from __future__ import annotations

import contextlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from transforms import sealed_format
from transforms.chunked_encryption import SealBroken, length_prefixed
from transforms.sealed_format import (
    SMALLEST_SIZE_CLASS,
    frame_parts,
    pack_joined,
    size_class,
    split_prefixed,
    unframe_parts,
    unpack_items,
)

PARTS = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.binary(max_size=40))
)


def pack(items: list[bytes]) -> bytes:
    return pack_joined(length_prefixed(*items), zstandard.ZstdCompressor())


def unpack(packed: bytes) -> list[bytes]:
    return unpack_items(packed, zstandard.ZstdDecompressor())


@given(PARTS)
def test_framed_parts_come_back(parts: list[tuple[str, bytes]]) -> None:
    assert unframe_parts(frame_parts(parts)) == parts


def test_a_frame_has_the_written_down_bytes() -> None:
    assert frame_parts([("a.b", b"xy")]).hex() == "00000003612e62" + "000000027879"


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_names_that_came_as_bytes_come_back_to_the_byte(name: bytes, value: bytes) -> None:
    ((path, raw),) = unframe_parts(frame_parts([(name, memoryview(value))]))
    assert (path.encode("utf-8", "surrogateescape"), raw) == (name, value)


def test_no_name_from_an_event_is_remembered() -> None:
    before = sealed_format._path_prefix.cache_info().currsize
    frame_parts([(b"a name that came with an event", b"")])
    assert sealed_format._path_prefix.cache_info().currsize == before


@pytest.mark.parametrize("path_length", [0, 3, 255, 256, 300])
def test_a_frame_cut_anywhere_but_between_parts_is_refused(path_length: int) -> None:
    framed = frame_parts([("p" * path_length, b"value"), ("q", b"")])
    between = 8 + path_length + 5
    for length in set(range(1, len(framed))) - {between}:
        with pytest.raises(SealBroken, match="SEAL_FORMAT"):
            unframe_parts(framed[:length])
    assert unframe_parts(framed[:between]) == [("p" * path_length, b"value")]


@given(st.lists(st.binary(max_size=300)))
def test_packed_items_come_back(items: list[bytes]) -> None:
    assert unpack(pack(items)) == items


def test_lengths_of_short_chat_lines_do_not_show() -> None:
    lengths = {len(pack([frame_parts([("payload.object.message", b"x" * size)])])) for size in range(150)}
    assert lengths == {SMALLEST_SIZE_CLASS}


@given(st.integers(0, 2**40))
def test_size_classes_cover_and_cost_an_eighth_at_most(length: int) -> None:
    padded = size_class(length)
    assert padded >= length
    assert padded == SMALLEST_SIZE_CLASS or padded <= length * 1.125
    assert size_class(padded) == padded


@given(st.integers(9, 40))
def test_there_are_eight_size_classes_to_a_doubling(power: int) -> None:
    low, step = 2 ** (power - 1), 2 ** (power - 4)
    assert [size_class(low + k * step + 1) for k in range(8)] == [low + (k + 1) * step for k in range(8)]


@given(st.binary(max_size=64))
def test_arbitrary_bytes_unpack_or_are_refused_in_our_words(data: bytes) -> None:
    for opened in (unpack, split_prefixed, unframe_parts):
        with contextlib.suppress(SealBroken):
            opened(data)


def test_a_blob_that_would_unpack_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack([bytes(10_000)])
    monkeypatch.setattr(sealed_format, "LARGEST_PART_BYTES", 9_999)
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        unpack(packed)


def test_a_blob_that_does_not_state_its_size_is_refused() -> None:
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    with pytest.raises(SealBroken, match="SEAL_FORMAT"):
        unpack(length_prefixed(unsized))
