"""A small filter that says which pseudonyms a file may hold, so that erasing a person reads only their files.

It is a Bloom filter (Bloom 1970) with double hashing (Kirsch and Mitzenmacher 2006): it never misses a value
that was put in, and answers "perhaps" for about 3 in 1,000 that were not. The layout, so that other software
can read it, is: the four bytes ``CBF1``, one byte with the number of probes k, then the bits, whose number m
is eight times that of the bytes that follow. A value's bytes are its UTF-8 text, or for a binary value its
lower-case hexadecimal digits. Its 16-byte BLAKE2b digest (personalisation ``cofferdam-filter``) gives two
little-endian 64-bit numbers a and b; the value sets the bits (a + i·(b | 1) mod 2**64) mod m for i below k,
where bit j is bit (j mod 8) of byte j // 8. A filter without bits holds nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

_MAGIC = b"CBF1"
_HEADER_BYTES = len(_MAGIC) + 1
_PERSON = b"cofferdam-filter"
BITS_PER_VALUE = 12
PROBES = 8
LARGEST_BYTES = 1 << 20


def value_bytes(value: str | bytes) -> bytes:
    """The bytes under which a value is filed, the same for 16 bytes and for their 32 hexadecimal digits."""
    return value.encode() if isinstance(value, str) else value.hex().encode()


class FilterBuilder:
    """Collects the values of a file while it is written, at 16 bytes a value."""

    def __init__(self) -> None:
        self._digests: list[np.ndarray] = []

    def add(self, values: Iterable[str | bytes]) -> None:
        """Put values in; repeated ones count once."""
        self._digests.append(_digest(value_bytes(value) for value in values))

    def build(self) -> bytes:
        """The filter of everything that was put in."""
        header = _MAGIC + bytes([PROBES])
        halves = np.unique(np.concatenate([_digest(()), *self._digests]), axis=0)
        size = min(-(-len(halves) * BITS_PER_VALUE // 8), LARGEST_BYTES)
        if not size:
            return header
        bits = np.zeros(size * 8, dtype=np.uint8)
        bits[_positions(halves, PROBES, size * 8).ravel()] = 1
        return header + np.packbits(bits, bitorder="little").tobytes()


def may_hold(filter_bytes: bytes, values: Iterable[str | bytes]) -> bool:
    """Whether any of the values may be in the filter; never false for one that is.

    A filter that cannot be read answers true, so that a damaged one makes a search slower, not wrong.
    """
    wanted = {value_bytes(value) for value in values}
    if not filter_bytes.startswith(_MAGIC) or len(filter_bytes) < _HEADER_BYTES:
        return bool(wanted)
    bits = np.frombuffer(filter_bytes, dtype=np.uint8, offset=_HEADER_BYTES)
    if not wanted or not len(bits):
        return False
    positions = _positions(_digest(wanted), filter_bytes[len(_MAGIC)], len(bits) * 8)
    found = bits[positions >> np.uint64(3)] >> (positions & np.uint64(7)).astype(np.uint8) & 1
    return bool(found.all(axis=1).any())


def _digest(values: Iterable[bytes]) -> np.ndarray:
    """Two 64-bit numbers a value, as an array of two columns."""
    digests = b"".join(hashlib.blake2b(value, digest_size=16, person=_PERSON).digest() for value in values)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def _positions(halves: np.ndarray, probes: int, bits: int) -> np.ndarray:
    """Bit positions, one row a value, one column a probe."""
    steps = np.arange(probes, dtype=np.uint64)
    mixed: np.ndarray = halves[:, :1] + steps * (halves[:, 1:] | np.uint64(1))
    return mixed % np.uint64(bits)
