"""Wrapped keys alone: unwrap bundle and data keys, and wrap them anew. No content is opened here.

A data key is wrapped under its bundle's key, which is wrapped to the vault. Rotation moves data keys to new
bundle keys under a new vault key; ciphertexts stay as they are.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from transforms.chunked_encryption import KEY_BYTES, SealBroken
from transforms.key_files import KEY_ID_BYTES
from transforms.keys import IngestKeyProvider, ReleaseKeyProvider
from transforms.sealed_format import (
    COVERS_BUNDLE,
    NONCE_BYTES,
    WRAPPED_DATA_KEY_BYTES,
    KeyRow,
    bundle_key_info,
    data_key_aad,
)

_Bundle = tuple[bytes, str]


class KeyUnwrapper:
    """Unwraps data keys with the vault's private half and the rows of their bundle keys.

    Args:
        keys: The reading side's keys.
        key_rows: Rows of the keys table; those of data keys are passed over. A bundle key may have several
            rows (one for each wrapping); any of them that unwraps will do.
    """

    def __init__(self, keys: ReleaseKeyProvider, key_rows: Iterable[KeyRow]) -> None:
        self._keys = keys
        self._rows: dict[bytes, list[KeyRow]] = {}
        for row in key_rows:
            if row.covers == COVERS_BUNDLE:
                self._rows.setdefault(row.key_id, []).append(row)
        self._ciphers: dict[_Bundle, AESGCM] = {}
        self._failures: dict[_Bundle, SealBroken] = {}

    def __repr__(self) -> str:
        return f"<KeyUnwrapper {len(self._rows)} bundle keys>"

    def unwrap(self, row: KeyRow) -> bytes:
        """Unwrap one data key (32 bytes).

        Raises:
            SealBroken: ``SEAL_KEY_MISSING`` (the bundle key has no row, or its vault key is not here) or
                ``SEAL_KEY_BROKEN`` (the data key or its bundle key is not what was wrapped in this place).
        """
        if len(row.wrapped) != WRAPPED_DATA_KEY_BYTES:
            raise unwrappable(row.key_id)
        cipher = self._cipher(row.wrapping_key_id, row.holds)
        aad = data_key_aad(bundle_key_id=row.wrapping_key_id, key_id=row.key_id, holds=row.holds)
        try:
            return cipher.decrypt(row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:], aad)
        except InvalidTag:
            raise unwrappable(row.key_id) from None

    def close(self) -> None:
        """Forget the unwrapped keys."""
        self._ciphers.clear()

    def _cipher(self, key_id: bytes, holds: str) -> AESGCM:
        bundle = (key_id, holds)
        if bundle not in self._ciphers:
            if bundle not in self._failures:
                try:
                    self._ciphers[bundle] = AESGCM(self._bundle_key(key_id, holds))
                except SealBroken as error:
                    self._failures[bundle] = error
            if bundle in self._failures:
                failure = self._failures[bundle]
                raise SealBroken(failure.code, failure.message)
        return self._ciphers[bundle]

    def _bundle_key(self, key_id: bytes, holds: str) -> bytes:
        failure = missing(key_id)
        for row in self._rows.get(key_id, ()):
            info = bundle_key_info(vault_id=row.wrapping_key_id, key_id=key_id, holds=holds)
            try:
                key = self._keys.unwrap_from_vault(row.wrapped, vault_id=row.wrapping_key_id, info=info)
            except SealBroken as error:
                failure = SealBroken(error.code, f"bundle key {key_id.hex()}: {error.message}")
                continue
            if len(key) == KEY_BYTES:
                return key
            failure = unwrappable(key_id)
        raise failure


@dataclass(frozen=True)
class _FreshBundle:
    key_id: bytes
    wrapped: bytes
    cipher: AESGCM
    created: date


class KeyRewrapper:
    """Gives every bundle a new bundle key, wrapped to a vault, and wraps its data keys under it.

    Args:
        unwrapper: Opens the old wrappings.
        vault: Where the new bundle keys are wrapped to.
    """

    def __init__(self, unwrapper: KeyUnwrapper, vault: IngestKeyProvider) -> None:
        self._unwrapper, self._vault = unwrapper, vault
        self._fresh: dict[_Bundle, _FreshBundle] = {}

    def rewrap(self, row: KeyRow) -> KeyRow:
        """The row of a data key under its bundle's new key; its id, day and what it holds stay.

        Raises:
            SealBroken: The old wrapping does not open; as `KeyUnwrapper.unwrap`.
        """
        data_key = self._unwrapper.unwrap(row)
        fresh = self._fresh_bundle(row)
        aad = data_key_aad(bundle_key_id=fresh.key_id, key_id=row.key_id, holds=row.holds)
        nonce = secrets.token_bytes(NONCE_BYTES)
        wrapped = nonce + fresh.cipher.encrypt(nonce, data_key, aad)
        return row._replace(wrapping_key_id=fresh.key_id, wrapped=wrapped)

    def bundle_rows(self) -> list[KeyRow]:
        """Rows of the new bundle keys, each dated with the earliest of its data keys."""
        vault_id = self._vault.vault_id
        return [
            KeyRow(fresh.key_id, COVERS_BUNDLE, holds, vault_id, fresh.wrapped, fresh.created)
            for (_, holds), fresh in self._fresh.items()
        ]

    def _fresh_bundle(self, row: KeyRow) -> _FreshBundle:
        bundle = (row.wrapping_key_id, row.holds)
        fresh = self._fresh.get(bundle)
        if fresh is None:
            key, key_id = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_ID_BYTES)
            info = bundle_key_info(vault_id=self._vault.vault_id, key_id=key_id, holds=row.holds)
            wrapped = self._vault.wrap_to_vault(key, info=info)
            fresh = self._fresh[bundle] = _FreshBundle(key_id, wrapped, AESGCM(key), row.created)
        elif row.created < fresh.created:
            fresh = self._fresh[bundle] = replace(fresh, created=row.created)
        return fresh


def missing(key_id: bytes) -> SealBroken:
    """The error for a key that has no row."""
    return SealBroken(
        "SEAL_KEY_MISSING", f"key {key_id.hex()} is not in the keys table; it was destroyed or not read"
    )


def unwrappable(key_id: bytes) -> SealBroken:
    """The error for a key whose wrapping does not open."""
    return SealBroken("SEAL_KEY_BROKEN", f"key {key_id.hex()} does not unwrap; its row was changed or moved")
