"""Cuts JSON arrays and concatenated documents into records, and tells their layout from JSON lines.

How a layout is chosen (`layout_of`), from the first bytes of the content:

* The first byte that is not whitespace is neither `{` nor `[`: JSON lines.
* It is `[`: documents. A top-level array is an array of events, each element is one record, and several
  arrays or objects may follow one another, so that JSON lines of arrays are read too.
* It is `{` and that object is complete on its line: JSON lines, unless another `{` or `[` follows on it.
* It is `{` and the line ends inside the object: documents (pretty-printed); but JSON lines where the line
  ends inside a string, and where the next two lines are complete objects, since no document can hold two
  neighbouring objects without a comma: the first line is torn.
* The first line is longer than `LAYOUT_WINDOW`: JSON lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

import numpy as np
import numpy.typing as npt

from transforms.splitting import (
    BYTE_ORDER_MARK,
    MAX_BLOCK_FAULTS,
    NOT_JSON,
    PIECE_BYTES,
    RECORD_CAP,
    UNTERMINATED_ARRAY,
    WHITESPACE,
    Block,
    Layout,
    Spill,
    Splitter,
    cut_in_pieces,
)

LAYOUT_WINDOW = 1 << 20
"""How many bytes of content the choice of a layout may look at."""
_SCAN_WINDOW = 128 << 10
"""Bytes that are looked at together: small enough that the arrays made of them stay in the cache."""
_QUOTE, _OPEN_OBJECT, _OPEN_ARRAY, _CLOSE_OBJECT, _CLOSE_ARRAY, _COMMA = range(1, 7)
_KINDS = bytes(max(b'\0"{[}],'.find(byte), 0) for byte in range(256))
_STEPS = np.array([0, 0, 1, 1, -1, -1, 0], np.int64)
_NO_CUTS: tuple[list[int], list[int]] = ([], [])


class StructureScanner:
    """Finds where top-level documents and elements of top-level arrays begin and end, chunk after chunk.

    Whole arrays of positions at a time, so that depth costs nothing and cannot overflow a stack. A bracket
    that closes what was never opened leaves the depth at 0. Kinds of brackets are not matched and a backslash
    counts outside strings too: that only matters in what is not JSON, which the decoder refuses.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self._in_array = False
        self._escaped = False

    def scan(self, window: bytes) -> tuple[list[int], list[int]]:
        """Positions and kinds of the brackets and commas at which something begins or ends."""
        kinds = np.frombuffer(bytearray(window.translate(_KINDS)), np.uint8)
        if self._escaped or b"\\" in window:
            self._drop_escaped_quotes(kinds, window)
        at = np.flatnonzero(kinds != 0)
        if not at.size:
            return _NO_CUTS
        kinds = kinds[at]
        quotes = kinds == _QUOTE
        # Modulo 256 is enough to tell odd from even.
        inside = (np.cumsum(quotes, dtype=np.uint8) & 1).astype(np.bool_) ^ self.in_string
        self.in_string = bool(inside[-1])
        structural = ~(quotes | inside)
        return self._cuts(at[structural], kinds[structural])

    def _cuts(self, at: npt.NDArray[np.intp], kinds: npt.NDArray[np.uint8]) -> tuple[list[int], list[int]]:
        if not at.size:
            return _NO_CUTS
        walk = np.cumsum(_STEPS[kinds]) + self.depth
        depth = walk - np.minimum(np.minimum.accumulate(walk), 0)
        before = np.concatenate(([self.depth], depth[:-1]))
        self.depth = int(depth[-1])
        opens = (depth == 1) & (before == 0)
        closes = (depth == 0) & (before == 1)
        commas = (depth == 1) & (kinds == _COMMA) & self._array_mask(opens, kinds)
        cuts = np.flatnonzero(opens | closes | commas)
        return at[cuts].tolist(), kinds[cuts].tolist()

    def _array_mask(
        self, opens: npt.NDArray[np.bool_], kinds: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.bool_]:
        """For each bracket and comma, whether the top-level document around it is an array."""
        starts = np.flatnonzero(opens)
        lengths = np.diff(np.concatenate(([0], starts, [len(kinds)])))
        is_array = np.concatenate(([self._in_array], kinds[starts] == _OPEN_ARRAY))
        self._in_array = bool(is_array[-1])
        return np.repeat(is_array, lengths)

    def _drop_escaped_quotes(self, kinds: npt.NDArray[np.uint8], window: bytes) -> None:
        """Take out the quotes that an odd number of backslashes stands before."""
        escaped_at_start, self._escaped = self._escaped, False
        if escaped_at_start and kinds[:1] == _QUOTE:
            kinds[0] = 0
        slashes = np.flatnonzero(np.frombuffer(window, np.uint8) == ord("\\"))
        if not slashes.size:
            return
        breaks = np.flatnonzero(np.diff(slashes) != 1)
        first = slashes[np.concatenate(([0], breaks + 1))]
        last = slashes[np.concatenate((breaks, [-1]))]
        odd = ((last - first) & 1) == 0
        if escaped_at_start and first[0] == 0:
            odd[0] = not odd[0]
        escaped = last[odd] + 1
        if escaped.size and escaped[-1] == len(window):
            self._escaped = True
            escaped = escaped[:-1]
        kinds[escaped[kinds[escaped] == _QUOTE]] = 0


class _Region(Enum):
    OUTSIDE = 0
    OBJECT = 1
    ARRAY = 2


class DocumentSplitter(Splitter):
    """Cuts top-level arrays into their elements, and concatenated documents from one another.

    An element is what stands between two commas of a top-level array, a top-level object is one record; both
    without surrounding whitespace. Bytes outside any document, an element that is missing (its comma), a
    brace that closes an array, and the bracket of an array that follows a document without whitespace are
    faults. A file that ends inside a document gives what there is as a record,
    which the decoder refuses, and inside an array its opening bracket as a fault. A record's length counts
    the whitespace that follows it inside an array.
    """

    def __init__(self, file: int, *, offset: int = 0, record_cap: int = RECORD_CAP) -> None:
        super().__init__(file, offset=offset, record_cap=record_cap)
        self._scanner = StructureScanner()
        self._region = _Region.OUTSIDE
        self._bracket: int | None = None
        self._document_end = -1
        self._comma: int | None = None
        self._gap = Spill(record_cap)
        self._offsets: list[int] = []
        self._records: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Block]:
        """Blocks of the records that end in this chunk."""
        for at in range(0, len(chunk), _SCAN_WINDOW):
            self._take(chunk[at : at + _SCAN_WINDOW])
            if max(len(self._records), len(self._faults)) >= MAX_BLOCK_FAULTS or self._holds_pieces():
                yield from self._flush()
        yield from self._flush()

    def finish(self) -> Iterator[Block]:
        """What is left in an unfinished document."""
        self._close_gap()
        if self._region is _Region.OUTSIDE:
            self._end_outside(b"", self.position)
        else:
            self._end_record(b"", self.position)
        if self._region is _Region.ARRAY and self._bracket is not None:
            self._faults += cut_in_pieces(self._bracket, UNTERMINATED_ARRAY, b"[")
        yield from self._flush()

    def break_off(self, code: str, position: int) -> Iterator[Block]:
        """What is left when the content was cut off."""
        self._close_gap()
        yield from super().break_off(code, position)

    def _holds_pieces(self) -> bool:
        return bool(self._faults) and len(self._faults[-1].raw) >= PIECE_BYTES

    def _flush(self) -> Iterator[Block]:
        offsets, records = np.array(self._offsets, np.int64), self._records
        self._offsets, self._records = [], []
        yield from self._blocks(offsets, records)

    def _take(self, window: bytes) -> None:
        base = self.position
        start = 0
        for at, kind in zip(*self._scanner.scan(window), strict=True):
            if self._region is _Region.ARRAY:
                self._end_element(window[start:at], base + start, base + at, kind)
                start = at + 1
            elif self._region is _Region.OBJECT:
                self._end_record(window[start : at + 1], base + start)
                self._leave(base + at)
                start = at + 1
            else:
                self._end_outside(window[start:at], base + start)
                start = self._begin(at, base + at, kind)
        self._keep(window[start:], base + start)
        self.position += len(window)

    def _begin(self, at: int, offset: int, kind: int) -> int:
        """Enter a document; where its first record starts in the window."""
        if kind == _OPEN_OBJECT:
            self._region = _Region.OBJECT
            return at
        self._region, self._bracket, self._comma = _Region.ARRAY, offset, None
        if offset == self._document_end:
            # `[][]` must not pass for nothing at all.
            self._faults += cut_in_pieces(offset, NOT_JSON, b"[")
            self._bracket = None
        return at + 1

    def _leave(self, offset: int) -> None:
        self._region, self._document_end = _Region.OUTSIDE, offset + 1

    def _keep(self, data: bytes, offset: int) -> None:
        """Hold the beginning of what a later chunk ends, without whitespace before it."""
        if not self._open:
            bare = data.lstrip(WHITESPACE)
            skipped = len(data) - len(bare)
            if self._gap:
                self._gap.add(data[:skipped], self._faults)
            if not bare:
                return
            self._close_gap()
            self._open.start(offset + skipped)
            data = bare
        self._open.add(data, self._faults)

    def _release(self, data: bytes, offset: int) -> tuple[int, bytes]:
        """Offset and bytes of what ends with `data`; no bytes if it was blank or has gone to the faults."""
        if not self._open and not self._gap and len(data) <= self._cap:
            bare = data.lstrip(WHITESPACE)
            return offset + len(data) - len(bare), bare.rstrip(WHITESPACE)
        self._keep(data, offset)
        if not self._open:
            return offset, b""
        raw = self._open.close(self._faults)
        return self._open.offset, (raw or b"").rstrip(WHITESPACE)

    def _end_record(self, data: bytes, offset: int) -> None:
        offset, record = self._release(data, offset)
        if record:
            self._offsets.append(offset)
            self._records.append(record)

    def _end_outside(self, data: bytes, offset: int) -> None:
        offset, raw = self._release(data, offset)
        if raw:
            self._faults += cut_in_pieces(offset, NOT_JSON, raw)

    def _end_element(self, data: bytes, offset: int, end: int, kind: int) -> None:
        """End an element at a comma or at the bracket that closes the array."""
        if kind == _COMMA and not data and self._gap and not self._open:
            self._gap.add(b",", self._faults)
            return
        missing = not self._open and not data.strip(WHITESPACE)
        self._end_record(data, offset)
        if kind == _COMMA:
            self._comma = None if missing else end
            if missing:
                self._add_to_gap(end)
            return
        self._close_gap()
        if missing and self._comma is not None:
            self._faults += cut_in_pieces(self._comma, NOT_JSON, b",")
        if kind == _CLOSE_OBJECT:
            self._faults += cut_in_pieces(end, NOT_JSON, b"}")
        self._leave(end)

    def _add_to_gap(self, offset: int) -> None:
        """Commas without an element before them are one fault together: a file may hold millions."""
        if not self._gap:
            self._gap.start(offset)
        self._gap.add(b",", self._faults)

    def _close_gap(self) -> None:
        if self._gap:
            raw = self._gap.close(self._faults)
            if raw is not None:
                self._faults += cut_in_pieces(self._gap.offset, NOT_JSON, raw.rstrip(WHITESPACE))


def layout_of(head: bytes, *, complete: bool) -> Layout | None:
    """The layout that the first bytes of some content show, None where more bytes are needed.

    Args:
        head: The beginning of the content; a UTF-8 byte order mark is skipped.
        complete: Whether there are no more bytes, or no more may be looked at.
    """
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip(WHITESPACE)
    if not text:
        return Layout.LINES if complete else None
    if text[:1] == b"[":
        return Layout.DOCUMENTS
    if text[:1] != b"{":
        return Layout.LINES
    line, newline, after = text.partition(b"\n")
    scanner = StructureScanner()
    closing = [
        at for at, kind in zip(*scanner.scan(line), strict=True) if kind in (_CLOSE_OBJECT, _CLOSE_ARRAY)
    ]
    if closing:
        follows = line[closing[0] + 1 :].lstrip(WHITESPACE)[:1]
        if not follows and not newline and not complete:
            return None
        return Layout.DOCUMENTS if follows in (b"{", b"[") else Layout.LINES
    if not newline:
        return Layout.LINES if complete else None
    if scanner.in_string:
        return Layout.LINES
    return _layout_after_open_line(after, complete=complete)


def _layout_after_open_line(after: bytes, *, complete: bool) -> Layout | None:
    """Whether a first line that ends inside its object begins a document or is a torn one of JSON lines."""
    rest = after
    for _ in range(2):
        line, newline, rest = rest.lstrip(WHITESPACE).partition(b"\n")
        if line and not line.startswith(b"{"):
            return Layout.DOCUMENTS
        if not newline and not complete:
            return None
        if not _is_one_object(line):
            return Layout.DOCUMENTS
    return Layout.LINES


def _is_one_object(line: bytes) -> bool:
    scanner = StructureScanner()
    positions, _ = scanner.scan(line.rstrip(WHITESPACE))
    return len(positions) == 2 and positions == [0, len(line.rstrip(WHITESPACE)) - 1]
