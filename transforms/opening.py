"""The reading side of the quarantine: open blobs with unwrapped keys.

Nothing but ``opening_warrants`` calls this: opening an item needs a signed decision. What does not open is
named by ids and never stops what does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import zstandard

from transforms.chunked_encryption import SealBroken, open_message
from transforms.key_wrapping import KeyUnwrapper, missing
from transforms.keys import ReleaseKeyProvider
from transforms.sealed_format import (
    COVERS_DATA,
    ITEM_ID_BYTES,
    SCHEME,
    BlobRow,
    KeyRow,
    blob_context,
    malformed,
    unpack_items,
)


class OpenedItem(NamedTuple):
    """An item in the clear: its id (16 bytes) and its framed bytes (``unframe_parts``)."""

    item_id: bytes
    framed: bytes

    def __repr__(self) -> str:
        return f"<OpenedItem {self.item_id.hex()}>"


class BrokenBlob(NamedTuple):
    """A blob that does not open: id (16 bytes) of its data key, part, packed item ids and error code."""

    key_id: bytes
    part: int
    item_ids: bytes
    code: str


@dataclass
class OpenedBatch:
    """What opened and what did not."""

    items: list[OpenedItem] = field(default_factory=list, repr=False)
    broken: list[BrokenBlob] = field(default_factory=list)


class VaultOpener:
    """Opens sealed blobs with the vault's private half and the rows of the keys table.

    Args:
        keys: The reading side's keys.
        key_rows: Rows of the keys table: the data keys in question and the bundle keys that wrap them. A key
            may have several rows (one for each wrapping); any of them that unwraps will do.
    """

    def __init__(self, keys: ReleaseKeyProvider, key_rows: Iterable[KeyRow]) -> None:
        rows = list(key_rows)
        self._unwrapper = KeyUnwrapper(keys, rows)
        self._rows: dict[bytes, list[KeyRow]] = {}
        for row in rows:
            if row.covers == COVERS_DATA:
                self._rows.setdefault(row.key_id, []).append(row)
        self._decompressor = zstandard.ZstdDecompressor()

    def __repr__(self) -> str:
        return f"<VaultOpener {len(self._rows)} data keys>"

    def open_blob(self, row: BlobRow) -> list[OpenedItem]:
        """Open one blob.

        Raises:
            SealBroken: ``SEAL_KEY_MISSING`` (no row for the key, or it was destroyed), ``SEAL_KEY_BROKEN``
                (the key does not unwrap), ``SEAL_BROKEN`` (the blob is not what was sealed in this place) or
                ``SEAL_FORMAT`` (another format). The message names ids only.
        """
        try:
            return self._open_blob(row)
        except SealBroken as error:
            raise SealBroken(
                error.code, f"key {row.key_id.hex()}, part {row.part}: {error.message}"
            ) from None

    def open_blobs(self, rows: Iterable[BlobRow]) -> OpenedBatch:
        """Open many blobs; those that do not open are listed and do not hinder the others."""
        batch = OpenedBatch()
        for row in rows:
            try:
                batch.items += self._open_blob(row)
            except SealBroken as error:
                batch.broken.append(BrokenBlob(row.key_id, row.part, row.item_ids, error.code))
        return batch

    def data_key(self, key_id: bytes) -> bytes:
        """Unwrap one data key (32 bytes).

        Raises:
            SealBroken: ``SEAL_KEY_MISSING`` or ``SEAL_KEY_BROKEN``.
        """
        failure = missing(key_id)
        for row in self._rows.get(key_id, ()):
            try:
                return self._unwrapper.unwrap(row)
            except SealBroken as error:
                failure = error
        raise failure

    def close(self) -> None:
        """Forget the unwrapped keys."""
        self._unwrapper.close()

    def _open_blob(self, row: BlobRow) -> list[OpenedItem]:
        if row.scheme != SCHEME or row.part not in range(2**32):
            raise malformed()
        packed = open_message(self.data_key(row.key_id), row.ciphertext, context=blob_context(row))
        framed = unpack_items(packed, self._decompressor)
        if len(row.item_ids) != ITEM_ID_BYTES * len(framed):
            raise malformed()
        starts = range(0, len(row.item_ids), ITEM_ID_BYTES)
        ids = [row.item_ids[start : start + ITEM_ID_BYTES] for start in starts]
        return list(map(OpenedItem, ids, framed))


def join_rejected(items: Iterable[OpenedItem]) -> dict[bytes, bytes]:
    """The raw bytes of opened rejected records by item id, their pieces put together.

    Raises:
        SealBroken: A record's pieces are not all there, once each (``SEAL_FORMAT``).
    """
    pieces: dict[bytes, list[tuple[int, bool, bytes]]] = {}
    for item_id, framed in items:
        if len(framed) < 5:
            raise malformed()
        piece = (int.from_bytes(framed[:4], "big"), framed[4] == 1, framed[5:])
        pieces.setdefault(item_id, []).append(piece)
    return {item_id: _joined(found) for item_id, found in pieces.items()}


def _joined(pieces: list[tuple[int, bool, bytes]]) -> bytes:
    pieces.sort(key=lambda piece: piece[0])
    expected = [(number, number == len(pieces) - 1) for number in range(len(pieces))]
    if [piece[:2] for piece in pieces] != expected:
        raise SealBroken(
            "SEAL_FORMAT", "a rejected record's pieces are not all there; open all its parts together"
        )
    return b"".join([raw for _, _, raw in pieces])
