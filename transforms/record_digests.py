"""Digests of records: which ones are the same event, and sums that show that none was lost or doubled.

A digest is SHA-256 of the record, enciphered block by block with AES-256 under the digest key: a keyed
one-to-one map of a collision-resistant hash, so digests can be kept in clear beside the data and tell nobody
without the key whether a guessed record is in the store. Enciphering a whole batch of digests at once costs
nanoseconds; the hash dominates.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

DIGEST_BYTES = 16
_MARKS = (b'"specversion"', b"\\u00")
"""A CloudEvent has one of them: the key that every one of them has may be written with escapes."""
_LEADING = re.compile(
    rb'\{"specversion":"1\.0","id":"([^"\\]{1,200})","source":"([^"\\]{1,200})",'
    rb'(?:"[a-z]{1,40}":"[^"\\]{0,300}",){0,12}"data":\{"tenant_id":"([^"\\]{1,200})"'
)
"""The usual order of a CloudEvent's keys; whatever is in another order is decoded for its identity."""
CLOUD_EVENT_IDENTITY = (("specversion",), ("source",), ("data", "tenant_id"), ("id",))
"""Where a CloudEvent names what tells it apart; the first says that it is one."""
Digests = np.ndarray  # shape (n, 16), uint8


class _Data(msgspec.Struct, gc=False):
    tenant_id: str | int = ""


class _CloudEvent(msgspec.Struct, gc=False):
    """The parts of a CloudEvent that make it the same event when it comes again (CloudEvents 1.0, 3.1.1)."""

    specversion: str
    id: str
    source: str
    data: _Data = msgspec.field(default_factory=_Data)


_cloud_event = msgspec.json.Decoder(_CloudEvent).decode


@dataclass(frozen=True)
class Identities:
    """What makes each record of a batch the same event as another.

    Attributes:
        ids: Digest of the event's identity: its own id where the source gives one, else its body.
        bodies: Digest of the body; equal ids with different bodies are a collision.
    """

    ids: Digests
    bodies: Digests


@dataclass(frozen=True)
class RecordSum:
    """Order-independent keyed sum of record positions, modulo 2**64 in each half, with their count."""

    count: int = 0
    high: int = 0
    low: int = 0

    def __add__(self, other: RecordSum) -> RecordSum:
        return RecordSum(
            self.count + other.count, (self.high + other.high) % 2**64, (self.low + other.low) % 2**64
        )

    def as_text(self) -> str:
        """The sum as 32 hexadecimal digits."""
        return f"{self.high:016x}{self.low:016x}"


class RecordDigester:
    """Digests and position sums under one store's digest key.

    Args:
        digest_key: 32 bytes that only this store's key directory holds.
    """

    def __init__(self, digest_key: bytes) -> None:
        self._bodies = _block_cipher(digest_key, b"cofferdam record body v1")
        self._events = _block_cipher(digest_key, b"cofferdam event identity v1")
        self._positions = _block_cipher(digest_key, b"cofferdam record position v1")
        self._names = digest_key

    def identities(self, records: Sequence[bytes]) -> Identities:
        """Digest a batch of records."""
        hashed = b"".join([hashlib.sha256(record).digest() for record in records])
        halves = _encipher(self._bodies, hashed).reshape(-1, 2, DIGEST_BYTES)
        ids = halves[:, 0].copy()
        named = [(row, key) for row in _with_own_id(records) if (key := _event_key(records[row]))]
        if named:
            ids[[row for row, _ in named]] = self._named([key for _, key in named])
        return Identities(ids, halves[:, 1].copy())

    def event_ids(self, parts: Sequence[pa.Array], records: Sequence[bytes]) -> np.ndarray:
        """Identity digests of records whose source, tenant and id have been decoded already.

        Args:
            parts: Source, tenant and id a record, as text.
            records: The records; where a part is missing, they are read for their identities.
        """
        if any(part.null_count for part in parts):
            return self.identities(records).ids
        columns: list[pa.Array] = []
        for part in parts:
            lengths = pc.binary_length(part).to_numpy().astype(">u8").tobytes()
            prefix = pa.Array.from_buffers(pa.binary(8), len(part), [None, pa.py_buffer(lengths)])
            columns += [prefix.cast(pa.binary()), part.cast(pa.binary())]
        nothing = pa.scalar(b"", pa.binary())
        return self._named(pc.binary_join_element_wise(*columns, nothing).to_pylist())

    def _named(self, keys: Sequence[bytes]) -> np.ndarray:
        return _encipher(
            self._events, b"".join([hashlib.sha256(key).digest()[:DIGEST_BYTES] for key in keys])
        )

    def position_sum(self, file_index: int | np.ndarray, offsets: np.ndarray) -> RecordSum:
        """Keyed sum of the positions of records (file index and offset in the file)."""
        if not len(offsets):
            return RecordSum()
        positions = np.empty((len(offsets), 2), dtype="<u8")
        positions[:, 0] = file_index
        positions[:, 1] = offsets
        enciphered = _encipher(self._positions, positions.tobytes()).view("<u8").reshape(-1, 2)
        high, low = enciphered.sum(axis=0, dtype=np.uint64)
        return RecordSum(len(offsets), int(high), int(low))

    def name_digest(self, name: bytes) -> str:
        """Keyed hash of an unknown field's name, for drift reports (16 hexadecimal digits)."""
        return hashlib.blake2b(name, key=self._names, person=b"cofferdam name", digest_size=8).hexdigest()


def _with_own_id(records: Sequence[bytes]) -> list[int]:
    """Rows that may be CloudEvents; one search over all of them where none is."""
    everything = b"\n".join(records)
    marks = [mark for mark in _MARKS if mark in everything]
    if not marks:
        return []
    first = marks[0]
    if len(marks) == 1:
        return [row for row, record in enumerate(records) if first in record]
    return [row for row, record in enumerate(records) if first in record or marks[1] in record]


def _event_key(record: bytes) -> bytes | None:
    found = _LEADING.match(record)
    if found:
        return _joined([found.group(2), found.group(3), found.group(1)])
    try:
        event = _cloud_event(record)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return _joined([event.source.encode(), str(event.data.tenant_id).encode(), event.id.encode()])


def _joined(parts: Sequence[bytes]) -> bytes:
    return b"".join([len(part).to_bytes(8, "big") + part for part in parts])


def _block_cipher(digest_key: bytes, label: bytes) -> Cipher[modes.ECB]:
    key = HKDFExpand(algorithm=SHA256(), length=32, info=label).derive(digest_key)
    # Single blocks of distinct or secret inputs: a block cipher used as a keyed permutation, not for secrecy.
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def _encipher(cipher: Cipher[modes.ECB], data: bytes) -> np.ndarray:
    return np.frombuffer(cipher.encryptor().update(data), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
