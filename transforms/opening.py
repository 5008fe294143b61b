"""The reading side of the quarantine: unwrap keys and open blobs, and re-wrap keys when the vault is rotated.

Whoever calls this decides first: opening an item needs a signed decision. What does not open is named by ids
and never stops what does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from transforms.chunked_encryption import KEY_BYTES, SealBroken, open_message
from transforms.key_files import KEY_ID_BYTES
from transforms.keys import IngestKeyProvider, ReleaseKeyProvider
from transforms.sealed_format import (
    COVERS_BUNDLE,
    COVERS_DATA,
    ITEM_ID_BYTES,
    NONCE_BYTES,
    SCHEME,
    WRAPPED_DATA_KEY_BYTES,
    BlobRow,
    KeyRow,
    blob_context,
    bundle_key_info,
    data_key_aad,
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
        self._keys = keys
        self._rows: dict[tuple[str, bytes], list[KeyRow]] = {}
        for row in key_rows:
            self._rows.setdefault((row.covers, row.key_id), []).append(row)
        self._bundle_ciphers: dict[tuple[bytes, str], AESGCM] = {}
        self._decompressor = zstandard.ZstdDecompressor()

    def __repr__(self) -> str:
        return f"<VaultOpener {len(self._rows)} keys>"

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
        failure = _missing(key_id)
        for row in self._rows.get((COVERS_DATA, key_id), ()):
            try:
                return self._unwrap_data_key(row)
            except SealBroken as error:
                failure = error
        raise failure

    def close(self) -> None:
        """Forget the unwrapped keys."""
        self._bundle_ciphers.clear()

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

    def _unwrap_data_key(self, row: KeyRow) -> bytes:
        if len(row.wrapped) != WRAPPED_DATA_KEY_BYTES:
            raise _unwrappable(row.key_id)
        cipher = self._bundle_cipher(row.wrapping_key_id, row.holds)
        aad = data_key_aad(bundle_key_id=row.wrapping_key_id, key_id=row.key_id, holds=row.holds)
        try:
            return cipher.decrypt(row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:], aad)
        except InvalidTag:
            raise _unwrappable(row.key_id) from None

    def _bundle_cipher(self, key_id: bytes, holds: str) -> AESGCM:
        cipher = self._bundle_ciphers.get((key_id, holds))
        if cipher is None:
            cipher = self._bundle_ciphers[key_id, holds] = AESGCM(self._bundle_key(key_id, holds))
        return cipher

    def _bundle_key(self, key_id: bytes, holds: str) -> bytes:
        failure = _missing(key_id)
        for row in self._rows.get((COVERS_BUNDLE, key_id), ()):
            info = bundle_key_info(vault_id=row.wrapping_key_id, key_id=key_id, holds=holds)
            try:
                key = self._keys.unwrap_from_vault(row.wrapped, vault_id=row.wrapping_key_id, info=info)
            except SealBroken as error:
                failure = error
                continue
            if len(key) == KEY_BYTES:
                return key
            failure = _unwrappable(key_id)
        raise failure


@dataclass
class RewrappedKeys:
    """New rows for the surviving keys, and the ids of keys that did not unwrap."""

    keys: list[KeyRow] = field(default_factory=list)
    broken: list[bytes] = field(default_factory=list)


def rewrap_keys(
    key_rows: Sequence[KeyRow], *, keys: ReleaseKeyProvider, vault: IngestKeyProvider
) -> RewrappedKeys:
    """Give every bundle a new bundle key, wrapped to ``vault``, and wrap its surviving data keys under it.

    Once the old rows and the old vault key are destroyed, an old copy of the keys table opens nothing. The
    ciphertexts stay as they are; key ids of data keys and all days are kept.

    Args:
        key_rows: All surviving rows of the keys table.
        keys: The reading side's keys, with the old vault key.
        vault: Where the new bundle keys are wrapped to.
    """
    opener = VaultOpener(keys, key_rows)
    rewrapped = RewrappedKeys()
    data_rows = sorted((row for row in key_rows if row.covers == COVERS_DATA), key=_bundle_of)
    for _, rows in groupby(data_rows, key=_bundle_of):
        _rewrap_bundle(list(rows), opener, vault, rewrapped)
    opener.close()
    return rewrapped


def _bundle_of(row: KeyRow) -> tuple[bytes, str]:
    return row.wrapping_key_id, row.holds


def _rewrap_bundle(
    rows: Sequence[KeyRow], opener: VaultOpener, vault: IngestKeyProvider, rewrapped: RewrappedKeys
) -> None:
    bundle_key, bundle_key_id = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_ID_BYTES)
    cipher, holds, survivors = AESGCM(bundle_key), rows[0].holds, []
    for row in rows:
        try:
            data_key = opener.data_key(row.key_id)
        except SealBroken:
            rewrapped.broken.append(row.key_id)
            continue
        aad = data_key_aad(bundle_key_id=bundle_key_id, key_id=row.key_id, holds=holds)
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + cipher.encrypt(nonce, data_key, aad)
        survivors.append(row._replace(wrapping_key_id=bundle_key_id, wrapped=wrapped))
    if survivors:
        info = bundle_key_info(vault_id=vault.vault_id, key_id=bundle_key_id, holds=holds)
        wrapped = vault.wrap_to_vault(bundle_key, info=info)
        created = min(row.created for row in survivors)
        rewrapped.keys.append(KeyRow(bundle_key_id, COVERS_BUNDLE, holds, vault.vault_id, wrapped, created))
        rewrapped.keys += survivors


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


def _missing(key_id: bytes) -> SealBroken:
    return SealBroken(
        "SEAL_KEY_MISSING", f"key {key_id.hex()} is not in the keys table; it was destroyed or not read"
    )


def _unwrappable(key_id: bytes) -> SealBroken:
    return SealBroken("SEAL_KEY_BROKEN", f"key {key_id.hex()} does not unwrap; its row was changed or moved")
