"""Cuts a stream of bytes into records without decoding it: what every splitter shares, and JSON lines.

The splitters see bytes in chunks of any size and give the same records and offsets for every chunking. They
judge nothing: a record is what stands between two boundaries, and whether it is JSON is the decoder's
question. What cannot be a record (over the cap, outside any document, cut off by damage) becomes a
`SourceFault` with its bytes. Law: every byte that is neither whitespace (RFC 8259, section 2) nor the
punctuation of a top-level array is part of exactly one record or fault.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import compress, repeat

import numpy as np
import numpy.typing as npt

RECORD_CAP = 16 << 20
"""Longest record in bytes; what is longer is held in pieces."""
PIECE_BYTES = 4 << 20
"""Size of every piece of a fault but the last, in bytes."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
WHITESPACE = b" \t\n\r"
"""RFC 8259, section 2; Python's own `strip()` would also take form feeds, which are no whitespace in JSON."""

RECORD_TOO_LARGE = "RECORD_TOO_LARGE"
NOT_JSON = "NOT_JSON"
UNTERMINATED_ARRAY = "UNTERMINATED_ARRAY"
BYTE_ORDER_MARK_FOUND = "BYTE_ORDER_MARK"
TRUNCATED_STREAM = "TRUNCATED_STREAM"
CORRUPT_STREAM = "CORRUPT_STREAM"
TRAILING_GARBAGE = "TRAILING_GARBAGE"
DECOMPRESSION_LIMIT = "DECOMPRESSION_LIMIT"

SOURCE_FAULTS = {
    RECORD_TOO_LARGE: "A record is longer than the cap on one record.",
    NOT_JSON: "Bytes stand where a JSON document or an element of an array should.",
    UNTERMINATED_ARRAY: "The file ends before the bracket that closes its array.",
    BYTE_ORDER_MARK_FOUND: "The file starts with a UTF-8 byte order mark, which JSON forbids to send.",
    TRUNCATED_STREAM: "The compressed stream ends before its end mark.",
    CORRUPT_STREAM: "The compressed stream is damaged, or its checksum does not match.",
    TRAILING_GARBAGE: "Bytes that are not compressed follow the end of a compressed stream.",
    DECOMPRESSION_LIMIT: "The content is larger than the limits allow for what is stored.",
}
"""What each code means, in one sentence."""

MAX_BLOCK_RECORDS = 1 << 16
MAX_BLOCK_FAULTS = 1 << 12
_CACHE_WINDOW = 1 << 17

Int64s = npt.NDArray[np.int64]
_NO_OFFSETS: Int64s = np.empty(0, np.int64)


class Layout(StrEnum):
    """How records lie in a file's content."""

    LINES = "lines"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Bytes of an input that are no record, or one piece of them.

    Attributes:
        offset: Where the bytes begin in the uncompressed content; the same for all pieces of one fault. What
            is left of a compressed stream carries the offset at which the content ends.
        code: One of `SOURCE_FAULTS`.
        piece: Number of the piece, from 0; every piece but the last has `PIECE_BYTES` bytes.
        last: Whether this is the last piece.
        raw: The bytes; empty where only the position is known. Never shown.
        compressed: Whether the bytes are stored ones that could not be decompressed.
        position: Byte of the stored file up to which content was read, for a fault of the compressed stream.
    """

    offset: int
    code: str
    piece: int
    last: bool
    raw: bytes = field(repr=False)
    compressed: bool = False
    position: int | None = None


@dataclass(slots=True, eq=False)
class Block:
    """Records and faults that follow one another in one file.

    Attributes:
        file: Index of the input file.
        offsets: int64, where each record begins in the uncompressed content.
        records: The records' bytes, without the whitespace around them. Never shown.
        faults: What is not a record.
    """

    file: int
    offsets: Int64s
    records: list[bytes] = field(repr=False)
    faults: list[SourceFault]


def cut_in_pieces(offset: int, code: str, raw: bytes, *, position: int | None = None) -> list[SourceFault]:
    """The bytes of one fault as pieces of bounded size; one empty piece where there are no bytes."""
    starts = range(0, max(len(raw), 1), PIECE_BYTES)
    last = len(starts) - 1
    return [
        SourceFault(offset, code, number, number == last, raw[at : at + PIECE_BYTES], False, position)
        for number, at in enumerate(starts)
    ]


class Spill:
    """Bytes of one unfinished record: kept while they are within the cap, passed on in pieces beyond it."""

    def __init__(self, cap: int, code: str = RECORD_TOO_LARGE, **marks: bool | int) -> None:
        self.offset = 0
        self.spilled = False
        self._cap = cap
        self._code = code
        self._marks = marks
        self._parts: list[bytes] = []
        self._size = 0
        self._piece = 0

    def __bool__(self) -> bool:
        return self._size > 0 or self.spilled

    def start(self, offset: int) -> None:
        """Begin a record at this offset of the content."""
        self.offset, self.spilled = offset, False
        self._parts, self._size, self._piece = [], 0, 0

    def add(self, data: bytes, faults: list[SourceFault]) -> None:
        """Take further bytes; beyond the cap, full pieces go to `faults`."""
        self._parts.append(data)
        self._size += len(data)
        if self._size <= self._cap and not self.spilled:
            return
        self.spilled = True
        if self._size <= PIECE_BYTES:
            return
        joined = b"".join(self._parts)
        at = 0
        # The last piece is only known at the end, so that at least one byte stays behind.
        while len(joined) - at > PIECE_BYTES:
            faults.append(self._fault(joined[at : at + PIECE_BYTES], last=False))
            at += PIECE_BYTES
        self._parts, self._size = [joined[at:]], len(joined) - at

    def close(self, faults: list[SourceFault]) -> bytes | None:
        """End the record: its bytes, or None where they have gone to `faults` in pieces."""
        joined = b"".join(self._parts)
        if not self.spilled:
            self._parts, self._size = [], 0
            return joined
        faults.append(self._fault(joined, last=True))
        self.start(self.offset)
        return None

    def _fault(self, raw: bytes, *, last: bool) -> SourceFault:
        fault = SourceFault(self.offset, self._code, self._piece, last, raw, **self._marks)  # type: ignore[arg-type]
        self._piece += 1
        return fault


class Splitter:
    """What the splitters share: position, the unfinished record, and the faults found so far.

    Args:
        file: Index of the input file, copied to each block.
        offset: Where the first byte that will be fed lies in the content.
        record_cap: Longest record in bytes.
    """

    def __init__(self, file: int, *, offset: int = 0, record_cap: int = RECORD_CAP) -> None:
        self.position = offset
        self._file = file
        self._cap = record_cap
        self._open = Spill(record_cap)
        self._open.start(offset)
        self._faults: list[SourceFault] = []

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """Blocks of the records that end in this chunk."""
        raise NotImplementedError

    def finish(self) -> Iterator[Block]:
        """What is left when the content has come to its proper end."""
        raise NotImplementedError

    def break_off(self, code: str, position: int) -> Iterator[Block]:
        """What is left when the content was cut off: an unfinished record is a fault, never a record."""
        if self._open:
            raw = self._open.close(self._faults)
            if raw is not None and raw.strip(WHITESPACE):
                self._faults += cut_in_pieces(self._open.offset, code, raw, position=position)
        yield from self._blocks(_NO_OFFSETS, [])

    def _blocks(self, offsets: Int64s, records: list[bytes]) -> Iterator[Block]:
        faults, self._faults = self._faults, []
        if len(records) <= MAX_BLOCK_RECORDS and len(faults) <= MAX_BLOCK_FAULTS:
            if records or faults:
                yield Block(self._file, offsets, records, faults)
            return
        for at in range(0, len(records), MAX_BLOCK_RECORDS):
            upto = at + MAX_BLOCK_RECORDS
            yield Block(self._file, offsets[at:upto], records[at:upto], [])
        for at in range(0, len(faults), MAX_BLOCK_FAULTS):
            yield Block(self._file, _NO_OFFSETS, [], faults[at : at + MAX_BLOCK_FAULTS])


_IS_WHITESPACE = np.zeros(256, np.bool_)
_IS_WHITESPACE[list(WHITESPACE)] = True


class LineSplitter(Splitter):
    r"""Cuts JSON lines at `\n`. A line of whitespace is no record; a last line needs no newline.

    Records hold no whitespace at their ends (so that a body is the same bytes under every line end), and
    their offset is that of their first byte. The cap is on the line before that, without its newline.
    """

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """Blocks of the lines that end in this chunk."""
        at = chunk.find(b"\n") + 1
        self._open.add(chunk[: at - 1] if at else chunk, self._faults)
        if at:
            records, offsets = self._take_open()
            end = chunk.rfind(b"\n") + 1
            while at < end:
                lines, starts, at = self._take_lines(chunk, at, end)
                yield from self._blocks(np.concatenate((offsets, starts)), records + lines)
                records, offsets = [], _NO_OFFSETS
            if records:
                yield from self._blocks(offsets, records)
            self._open.start(self.position + end)
            self._open.add(chunk[end:], self._faults)
        self.position += len(chunk)
        yield from self._blocks(_NO_OFFSETS, [])

    def finish(self) -> Iterator[Block]:
        """The last line, where it has no newline."""
        records, offsets = self._take_open()
        yield from self._blocks(offsets, records)

    def _take_open(self) -> tuple[list[bytes], Int64s]:
        """The line that began in an earlier chunk, if it is a record."""
        raw = self._open.close(self._faults) or b""
        record = raw.strip(WHITESPACE)
        if not record:
            return [], _NO_OFFSETS
        indent = len(raw) - len(raw.lstrip(WHITESPACE))
        return [record], np.array([self._open.offset + indent], np.int64)

    def _take_lines(self, chunk: bytes, at: int, end: int) -> tuple[list[bytes], Int64s, int]:
        """Records and offsets of the whole lines from `at`, about a block of them, and where they end."""
        records: list[bytes] = []
        lengths: list[int] = []
        start = at
        while at < end and len(records) < MAX_BLOCK_RECORDS:
            # Lines are copied twice; within a window that fits the cache the second copy is nearly free.
            cut = chunk.rfind(b"\n", at, at + _CACHE_WINDOW) + 1 or chunk.find(b"\n", at) + 1
            lines = io.BytesIO(chunk[at:cut]).readlines()
            lengths += map(len, lines)
            records += map(bytes.rstrip, lines, repeat(WHITESPACE))
            at = cut
        sizes = np.array(lengths, np.int64)
        starts = np.cumsum(sizes)
        starts += start - sizes
        doubtful = _IS_WHITESPACE[np.frombuffer(chunk, np.uint8)[starts]] | (sizes > self._cap + 1)
        starts += self.position
        if doubtful.any():
            keep = ~doubtful
            for index in np.flatnonzero(doubtful).tolist():
                keep[index] = self._settle(records, starts, sizes, chunk, index)
            records = list(compress(records, keep.tolist()))
            starts = starts[keep]
        return records, starts, at

    def _settle(self, records: list[bytes], starts: Int64s, sizes: Int64s, chunk: bytes, index: int) -> bool:
        """Whether a line that is indented, blank or over the cap is a record; puts it right in place."""
        if sizes[index] > self._cap + 1:
            at = int(starts[index]) - self.position
            raw = chunk[at : at + int(sizes[index]) - 1]
            self._faults += cut_in_pieces(int(starts[index]), RECORD_TOO_LARGE, raw)
            return False
        stripped = records[index].lstrip(WHITESPACE)
        starts[index] += len(records[index]) - len(stripped)
        records[index] = stripped
        return len(stripped) > 0
