"""A small filter that says which pseudonyms a file may hold, so that erasing a person reads only their files.

It is a Bloom filter (Bloom 1970) with double hashing (Kirsch and Mitzenmacher 2006): it never misses a
value that was put in, and answers "perhaps" for about 1 in 100,000 that were not. A person may have a
thousand names, visits and keys, and each is asked for. The layout, so that other software can read it, is:
the four bytes ``CBF1``, one byte with the number of probes k, then the bits, whose number m is eight times
that of the bytes that follow. A filter without bits holds nothing.

Each value has 16 bytes. A pseudonym, which is 16 bytes or their 32 lower-case hexadecimal digits, is a keyed
hash already and has its own; any other value has the BLAKE2b digest (personalisation ``cofferdam-filter``) of
its bytes or its UTF-8 text. As two little-endian 64-bit numbers a and b, they set the bits
(a + i·(b | 1) mod 2**64) mod m for i below k, where bit j is bit (j mod 8) of byte j // 8.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BITS_PER_VALUE = 24
PROBES = 16
LARGEST_BYTES = 1 << 20

_MAGIC = b"CBF1"
_HEADER_BYTES = len(_MAGIC) + 1
_PERSON = b"cofferdam-filter"
_VALUE_BYTES = 16
_HEX = re.compile(r"[0-9a-f]{32}")
_NO_DIGIT = 255
_DIGITS = np.full(256, _NO_DIGIT, dtype=np.uint8)
_DIGITS[list(b"0123456789abcdef")] = range(16)


class FilterBuilder:
    """Collects the values of a file while it is written, at 16 bytes a value."""

    def __init__(self) -> None:
        self._halves: list[np.ndarray] = [_halves(())]

    def add(self, values: Iterable[str | bytes]) -> None:
        """Put values in; repeated ones count once."""
        self._halves.append(_halves(values))

    def add_column(self, column: pa.Array | pa.ChunkedArray) -> None:
        """Put the values of a column of text or binary values in; nulls count for nothing."""
        distinct = pc.unique(column).drop_null()
        self._halves.append(_halves_of_pseudonyms(distinct))

    def build(self) -> bytes:
        """The filter of everything that was put in."""
        header = _MAGIC + bytes([PROBES])
        halves = np.concatenate(self._halves)
        distinct = len(np.unique(halves[:, 0]))
        size = min(-(-distinct * BITS_PER_VALUE // 8), LARGEST_BYTES)
        if not size:
            return header
        bits = np.zeros(size * 8, dtype=np.uint8)
        bits[_positions(halves, PROBES, size * 8).ravel()] = 1
        return header + np.packbits(bits, bitorder="little").tobytes()


class Wanted:
    """Values that are looked for in many filters.

    Args:
        values: Pseudonyms and other values, as ``FilterBuilder.add`` takes them.
    """

    def __init__(self, values: Iterable[str | bytes]) -> None:
        self._halves = _halves(values)

    def may_be_in(self, filter_bytes: bytes) -> bool:
        """Whether any of the values may be in a filter; never false for one that is.

        A filter whose header cannot be read answers true: the search becomes slower, not wrong.
        """
        if not len(self._halves):
            return False
        if not filter_bytes.startswith(_MAGIC) or len(filter_bytes) < _HEADER_BYTES:
            return True
        bits = np.frombuffer(filter_bytes, dtype=np.uint8, offset=_HEADER_BYTES)
        if not len(bits):
            return False
        positions = _positions(self._halves, filter_bytes[len(_MAGIC)], len(bits) * 8)
        found = bits[positions >> np.uint64(3)] >> (positions & np.uint64(7)).astype(np.uint8) & 1
        return bool(found.all(axis=1).any())


def may_hold(filter_bytes: bytes, values: Iterable[str | bytes]) -> bool:
    """Whether any of the values may be in one filter, as ``Wanted.may_be_in``."""
    return Wanted(values).may_be_in(filter_bytes)


def is_empty(filter_bytes: bytes) -> bool:
    """Whether nothing was put into a filter."""
    return filter_bytes.startswith(_MAGIC) and len(filter_bytes) == _HEADER_BYTES


def is_of_earlier_kind(filter_bytes: bytes) -> bool:
    """Whether a filter, or none, was made when released copies were found by people, not by their items."""
    return not filter_bytes.startswith(_MAGIC + bytes([PROBES]))


def _halves(values: Iterable[str | bytes]) -> np.ndarray:
    """Two 64-bit numbers a value, as an array of two columns."""
    return np.frombuffer(b"".join(map(_value_bytes, values)), dtype="<u8").reshape(-1, 2)


def _value_bytes(value: str | bytes) -> bytes:
    if isinstance(value, str):
        if _HEX.fullmatch(value):
            return bytes.fromhex(value)
        value = value.encode()
    elif len(value) == _VALUE_BYTES:
        return value
    return hashlib.blake2b(value, digest_size=_VALUE_BYTES, person=_PERSON).digest()


def _halves_of_pseudonyms(distinct: pa.Array) -> np.ndarray:
    """As ``_halves``, without making a Python object of each value where all of them are pseudonyms."""
    if not len(distinct):
        return _halves(())
    if distinct.type == pa.string() and pc.all(pc.equal(pc.binary_length(distinct), 32)).as_py():
        _, offsets, data = distinct.buffers()
        start = int(np.frombuffer(offsets, dtype=np.int32)[distinct.offset])
        text = np.frombuffer(data, dtype=np.uint8, count=32 * len(distinct), offset=start)
        digits = _DIGITS[text]
        if (digits != _NO_DIGIT).all():
            return (digits[::2] << 4 | digits[1::2]).view("<u8").reshape(-1, 2)
    return _halves(distinct.to_pylist())


def _positions(halves: np.ndarray, probes: int, bits: int) -> np.ndarray:
    """Bit positions, one row a value, one column a probe."""
    steps = np.arange(probes, dtype=np.uint64)
    mixed: np.ndarray = halves[:, :1] + steps * (halves[:, 1:] | np.uint64(1))
    return mixed % np.uint64(bits)
