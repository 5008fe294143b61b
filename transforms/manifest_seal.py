"""The seal of a manifest: that somebody with the store's keys wrote it.

A manifest states digests and rows of files, but whoever can write to the store could state others. So each
carries an HMAC-SHA256 (RFC 2104) over its content, under a key that is derived (HKDF, RFC 5869) from the join
key, which both sides hold for the store's lifetime and the store never does. The same key vouches for the
public keys that sign the audit log.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import PromiseBroken
from transforms.manifests import Manifest, Snapshot

_LABEL = b"cofferdam manifest seal v1"
_MANIFEST = b"manifest\x00"
_SIGNER = b"signer\x00"


class SealingSide(Protocol):
    """One side's keys, as far as seals need them."""

    @property
    def join_key(self) -> bytes:
        """The root (32 bytes) that both sides of a key directory share."""


@dataclass(frozen=True)
class ManifestSeal:
    """What makes and checks the seals of one store.

    Attributes:
        key: The derived key (32 bytes).
    """

    key: bytes = field(repr=False)

    def of(self, manifest: Manifest) -> Manifest:
        """The manifest with its seal."""
        return msgspec.structs.replace(manifest, seal=self._expected(manifest))

    def check(self, snapshot: Snapshot) -> None:
        """Refuse a store in which a manifest was not written with these keys.

        Raises:
            PromiseBroken: With code ``STORE_MANIFEST_SEAL``; the message names the manifest.
        """
        known = _checked(self.key)
        for manifest, digest in zip(snapshot.manifests, snapshot.digests, strict=True):
            if digest in known:
                continue
            if not hmac.compare_digest(manifest.seal.encode(), self._expected(manifest).encode()):
                raise PromiseBroken(
                    "STORE_MANIFEST_SEAL",
                    f"{manifest.path} was not written with these keys; name the keys of this store, or "
                    "restore its manifests from a backup",
                )
            known.add(digest)

    def signer(self, verifier: str) -> str:
        """What vouches for a public key that signs the audit log, hexadecimal."""
        return hmac.new(self.key, _SIGNER + verifier.encode(), sha256).hexdigest()

    def _expected(self, manifest: Manifest) -> str:
        bare = msgspec.structs.replace(manifest, seal="")
        return hmac.new(self.key, _MANIFEST + bare.encoded(), sha256).hexdigest()


def seal_of(keys: SealingSide) -> ManifestSeal:
    """The seals of the stores that these keys belong to; the same for both sides."""
    return _seal(keys.join_key)


@lru_cache(maxsize=8)
def _checked(_: bytes) -> set[str]:
    """SHA-256 of the manifests that this process has found to be sealed with a key."""
    return set()


@lru_cache(maxsize=8)
def _seal(join_key: bytes) -> ManifestSeal:
    return ManifestSeal(HKDF(hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(join_key))
