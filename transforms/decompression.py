"""Bounded, streaming decompression of gzip (RFC 1952) and zstd (RFC 8878) that loses nothing in silence.

Several gzip members and several zstd frames in a file are normal. Content is passed on in chunks of bounded
size; all that was decompressed before damage, a missing end mark or a limit is passed on, and how the stream
came to its end is stated, never raised. Dictionaries and nested compression are not supported: the first is
a corrupt stream, the second ends as records that are not JSON.

Beam's own decompression is not used: its readers lose the tail of a truncated gzip without an error and
unpack a bomb whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

import zstandard

from schemas.errors import InfrastructureFault
from transforms.splitting import CORRUPT_STREAM, DECOMPRESSION_LIMIT, TRAILING_GARBAGE, TRUNCATED_STREAM

STORED_CHUNK = 256 << 10
"""How many stored bytes are read at a time."""
_FIRST_STEP = 4 << 10
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_ZSTD_HEADER_MAX = 18
_GZIP_OR_ZLIB = 31


class Compression(StrEnum):
    """How a file's content is stored."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True)
class ReadLimits:
    """How much content a compressed file may unpack to.

    JSON logs compress 10 to 60 times; DEFLATE cannot exceed 1,032 times, a bomb needs that or more. Up to the
    allowance any ratio passes, since that much cannot hurt.

    Attributes:
        max_content_bytes: Content of one file, in bytes.
        max_ratio: Content bytes per stored byte, beyond the allowance.
        ratio_allowance_bytes: Content bytes that need no stored ones.
        max_window_bytes: Memory that a zstd frame may ask for; 128 MiB is what `zstd --long` needs.
    """

    max_content_bytes: int = 64 << 30
    max_ratio: int = 200
    ratio_allowance_bytes: int = 64 << 20
    max_window_bytes: int = 128 << 20

    def __post_init__(self) -> None:
        if min(self.max_content_bytes, self.max_ratio, self.ratio_allowance_bytes, self.max_window_bytes) < 1:
            raise ValueError("limits on reading must be positive")

    def exceeded(self, content: int, stored: int) -> bool:
        """Whether so much content is too much for so many stored bytes."""
        allowed = self.ratio_allowance_bytes + self.max_ratio * stored
        return content > min(allowed, self.max_content_bytes)


@dataclass(frozen=True)
class Ending:
    """Why content ended before the stored bytes did, or before its end mark.

    Attributes:
        code: One of `splitting.SOURCE_FAULTS`.
        position: Stored byte up to which content was read.
        cut_off: Whether content is missing, so that its last record may be incomplete.
    """

    code: str
    position: int
    cut_off: bool


def compression_of(head: bytes) -> Compression:
    """The compression that the first bytes of a file name."""
    if head.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    if head.startswith(_ZSTD_MAGIC) or _is_skippable(head):
        return Compression.ZSTD
    return Compression.NONE


class StoredBytes:
    """The stored bytes of one file, read in order with bounded look-ahead.

    Args:
        handle: The open file, at its start.
        size: How many bytes to read. What a growing file gained since it was listed is left for the next run,
            so that two reads of one run see the same bytes.
        chunk_bytes: How many bytes to ask for at a time.

    Raises:
        InfrastructureFault: On reading, when the file has become shorter.
    """

    def __init__(self, handle: BinaryIO, size: int, *, chunk_bytes: int = STORED_CHUNK) -> None:
        self._handle = handle
        self._unread = size
        self._chunk_bytes = chunk_bytes
        self._buffer = b""
        self._at = 0
        self.position = 0

    def peek(self, count: int) -> memoryview:
        """The next bytes, fewer than asked for only at the end."""
        while len(self._buffer) - self._at < count and self._unread:
            self._fill()
        return memoryview(self._buffer)[self._at : self._at + count]

    def advance(self, count: int) -> None:
        """Pass over bytes that were peeked."""
        self._at += count
        self.position += count

    def drain(self) -> Iterator[bytes]:
        """All remaining bytes, in chunks."""
        while chunk := bytes(self.peek(self._chunk_bytes)):
            self.advance(len(chunk))
            yield chunk

    def _fill(self) -> None:
        data = self._handle.read(min(self._chunk_bytes, self._unread))
        if not data:
            raise InfrastructureFault(
                "INPUT_CHANGED",
                "an input file became shorter while it was read; run again when it is complete",
            )
        self._unread -= len(data)
        self._buffer = self._buffer[self._at :] + data
        self._at = 0


class Content:
    """The content of one file: iterate `chunks()`, then look at `ending`, then at `rest()`.

    This class passes stored bytes on as they are; its subclasses decompress.
    """

    def __init__(self, stored: StoredBytes, limits: ReadLimits, *, chunk_bytes: int) -> None:
        self.ending: Ending | None = None
        self._stored = stored
        self._limits = limits
        self._chunk_bytes = chunk_bytes
        self._produced = 0

    def chunks(self) -> Iterator[bytes]:
        """The content, in chunks of at most about twice `chunk_bytes`."""
        return self._stored.drain()

    def rest(self) -> Iterator[bytes]:
        """The stored bytes from which no content came."""
        return self._stored.drain()

    def _end(self, code: str, *, cut_off: bool = True) -> None:
        self.ending = Ending(code, self._stored.position, cut_off)

    def _count(self, output: bytes) -> None:
        self._produced += len(output)
        if self._limits.exceeded(self._produced, self._stored.position):
            self._end(DECOMPRESSION_LIMIT)


class GzipContent(Content):
    """Content stored as one or more gzip members."""

    def chunks(self) -> Iterator[bytes]:
        """The content of all members."""
        return coalesced(self._members(), self._chunk_bytes)

    def _members(self) -> Iterator[bytes]:
        while self.ending is None and (head := self._stored.peek(2)):
            if head != _GZIP_MAGIC:
                self._end(TRAILING_GARBAGE, cut_off=False)
                return
            yield from self._member()

    def _member(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        # What follows a member is copied, so that a file of tiny members must be read in small steps.
        step = _FIRST_STEP
        while not inflater.eof and self.ending is None:
            view = self._stored.peek(step)
            if not view:
                yield from self._remainder(inflater)
                if not inflater.eof:
                    self._end(TRUNCATED_STREAM)
                return
            before = inflater.copy()
            try:
                output = inflater.decompress(view, self._chunk_bytes)
            except zlib.error:
                yield from self._up_to_damage(before, bytes(view))
                return
            self._stored.advance(len(view) - len(inflater.unconsumed_tail) - len(inflater.unused_data))
            self._count(output)
            yield output
            step = min(2 * step, STORED_CHUNK)
        if not inflater.eof:
            yield from self._remainder(inflater)

    def _remainder(self, inflater: zlib._Decompress) -> Iterator[bytes]:
        """What the inflater holds back when its output is bounded: at most a few kilobytes."""
        try:
            while output := inflater.decompress(b"", self._chunk_bytes):
                self._count(output)
                yield output
        except zlib.error:
            self._end(CORRUPT_STREAM)

    def _up_to_damage(self, inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
        """Byte by byte, since a call that fails gives none of the content that stands before the damage."""
        try:
            for at in range(len(data)):
                output = inflater.decompress(data[at : at + 1])
                self._stored.advance(1)
                self._count(output)
                yield output
        except zlib.error:
            self._end(CORRUPT_STREAM)


class ZstdContent(Content):
    """Content stored as one or more zstd frames, fed block by block.

    A block unpacks to at most 128 KiB whatever it claims, so that the output is bounded; frames and blocks
    are walked here because the library does not say when its input ended inside a frame.
    """

    def __init__(self, stored: StoredBytes, limits: ReadLimits, *, chunk_bytes: int) -> None:
        super().__init__(stored, limits, chunk_bytes=chunk_bytes)
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=limits.max_window_bytes)

    def chunks(self) -> Iterator[bytes]:
        """The content of all frames."""
        return coalesced(self._frames(), self._chunk_bytes)

    def _frames(self) -> Iterator[bytes]:
        while self.ending is None and (head := bytes(self._stored.peek(_ZSTD_HEADER_MAX))):
            if _is_skippable(head):
                self._skip(head)
            elif head.startswith(_ZSTD_MAGIC):
                yield from self._frame(head)
            elif len(head) < len(_ZSTD_MAGIC) and _ZSTD_MAGIC.startswith(head):
                self._end(TRUNCATED_STREAM)
            else:
                self._end(TRAILING_GARBAGE, cut_off=False)

    def _skip(self, head: bytes) -> None:
        """Pass over a skippable frame: by definition it holds no content."""
        if len(head) < 8:
            self._end(TRUNCATED_STREAM)
            return
        left = 8 + int.from_bytes(head[4:8], "little")
        while left:
            view = self._stored.peek(min(left, STORED_CHUNK))
            if not view:
                self._end(TRUNCATED_STREAM)
                return
            left -= len(view)
            self._stored.advance(len(view))

    def _frame(self, head: bytes) -> Iterator[bytes]:
        size, window, checksum = frame_header(head)
        if size > len(head):
            self._end(TRUNCATED_STREAM)
            return
        if window > self._limits.max_window_bytes:
            self._end(DECOMPRESSION_LIMIT)
            return
        inflater = self._decompressor.decompressobj()
        yield from self._feed(inflater, size)
        last = False
        while not last and self.ending is None:
            header = int.from_bytes(self._stored.peek(3), "little")
            last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
            yield from self._feed(inflater, 3 + (1 if kind == 1 else length))
        if checksum and self.ending is None:
            yield from self._feed(inflater, 4)
        if not inflater.eof and self.ending is None:
            self._end(CORRUPT_STREAM)

    def _feed(self, inflater: zstandard.ZstdDecompressionObj, count: int) -> Iterator[bytes]:
        view = self._stored.peek(count)
        if len(view) < count or count < 3:
            self._end(TRUNCATED_STREAM)
            return
        try:
            output = inflater.decompress(view)
        except zstandard.ZstdError:
            self._end(CORRUPT_STREAM)
            return
        self._stored.advance(count)
        self._count(output)
        yield output


def frame_header(head: bytes) -> tuple[int, int, bool]:
    """Size of a zstd frame's header, memory its window asks for in bytes, and whether a checksum ends it.

    RFC 8878, section 3.1.1.1. A header that is longer than `head` has the size it would need and no window.
    """
    if len(head) < 5:
        return _ZSTD_HEADER_MAX, 0, False
    descriptor = head[4]
    single = bool(descriptor & 0x20)
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    content_size = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    size = 5 + (0 if single else 1) + dictionary + content_size
    checksum = bool(descriptor & 4)
    if size > len(head):
        return size, 0, checksum
    if single:
        claimed = int.from_bytes(head[size - content_size : size], "little")
        return size, claimed + (256 if content_size == 2 else 0), checksum
    base = 1 << 10 + (head[5] >> 3)
    return size, base + (base >> 3) * (head[5] & 7), checksum


def coalesced(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of at least `size`, but for the last."""
    parts: list[bytes] = []
    gathered = 0
    for chunk in chunks:
        parts.append(chunk)
        gathered += len(chunk)
        if gathered >= size:
            yield b"".join(parts)
            parts, gathered = [], 0
    if gathered:
        yield b"".join(parts)


def open_content(
    stored: StoredBytes, compression: Compression, limits: ReadLimits, *, chunk_bytes: int
) -> Content:
    """The content of a file stored in this way."""
    kinds = {Compression.NONE: Content, Compression.GZIP: GzipContent, Compression.ZSTD: ZstdContent}
    return kinds[compression](stored, limits, chunk_bytes=chunk_bytes)


def _is_skippable(head: bytes) -> bool:
    return len(head) >= 4 and 0x50 <= head[0] <= 0x5F and head[1:4] == _ZSTD_SKIPPABLE
