"""Where the private half of a vault key is kept: in the key directory, or in a key service that keeps it.

Sealing is the same for all: the ingest side has the public half as a file and asks nobody. Opening asks a
provider to unwrap a bundle key, once a bundle. Every provider passes one conformance suite
(``tests/unit/transforms/test_key_providers.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from transforms.chunked_encryption import Buffer, SealBroken
from transforms.key_files import (
    MLKEM_PUBLIC_BYTES,
    MLKEM_SEED_BYTES,
    VAULT_PRIVATE,
    VAULT_SERVICE,
    vault_public_half,
)

VAULT_PURPOSES: Final = (VAULT_PRIVATE, VAULT_SERVICE)
"""Purposes of keys that open: a private half, or the name of one in a key service."""


class VaultKey(Protocol):
    """The private half of a vault key, wherever it is."""

    @property
    def public_half(self) -> bytes:
        """ML-KEM-768 and X25519 public keys (1184 + 32 bytes)."""

    def unwrap(self, wrapped: Buffer, *, info: bytes) -> bytes:
        """Unwrap a key that was wrapped to the public half with the same ``info``.

        Raises:
            SealBroken: The wrapped key or ``info`` is not what was wrapped (``SEAL_KEY_BROKEN``), or the
                private half is no more (``SEAL_KEY_MISSING``).
            InfrastructureFault: The provider cannot be asked now; nothing is said about the key.
        """

    def destroy(self) -> Destruction:
        """Destroy the private half, as far as the provider does it; doing it again changes nothing.

        Raises:
            InfrastructureFault: The provider cannot be asked, or refuses.
        """


@dataclass(frozen=True)
class Destruction:
    """How far the destruction of a private half has come.

    Attributes:
        done: Whether it is no more. If not, it is scheduled, and an administrator can still take it back.
        due: When it will be no more (RFC 3339), empty where it is no more already or nobody says.
    """

    done: bool
    due: str = ""


def vault_suite() -> Suite:
    """The HPKE suite that wraps bundle keys to the vault."""
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def vault_public_key(public_half: bytes) -> MLKEM768X25519PublicKey:
    """The public key of a stored public half (1184 + 32 bytes)."""
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public_half[:MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public_half[MLKEM_PUBLIC_BYTES:]),
    )


def vault_key(purpose: str, material: bytes) -> VaultKey:
    """The provider of a stored key, by its purpose (one of `VAULT_PURPOSES`)."""
    if purpose == VAULT_PRIVATE:
        return LocalVaultKey(material)
    from transforms.key_provider_gcp import CloudKmsVaultKey

    return CloudKmsVaultKey.of_reference(material)


class LocalVaultKey:
    """A private half in the key directory (implements ``VaultKey``).

    Args:
        material: ML-KEM-768 seed and X25519 private key (64 + 32 bytes).
    """

    def __init__(self, material: bytes) -> None:
        self._public_half = vault_public_half(material)
        self._private = MLKEM768X25519PrivateKey(
            MLKEM768PrivateKey.from_seed_bytes(material[:MLKEM_SEED_BYTES]),
            X25519PrivateKey.from_private_bytes(material[MLKEM_SEED_BYTES:]),
        )

    @property
    def public_half(self) -> bytes:
        """ML-KEM-768 and X25519 public keys (1184 + 32 bytes)."""
        return self._public_half

    def unwrap(self, wrapped: Buffer, *, info: bytes) -> bytes:
        """Unwrap a key; as ``VaultKey.unwrap``."""
        try:
            return vault_suite().decrypt(wrapped, self._private, info)
        except (InvalidTag, ValueError):
            raise not_unwrapped() from None

    def destroy(self) -> Destruction:
        """Nothing but the file is to be destroyed, which the key directory does."""
        return Destruction(done=True)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a private key does not travel")


def not_unwrapped() -> SealBroken:
    """The error for a wrapped key that does not open."""
    return SealBroken("SEAL_KEY_BROKEN", "a key wrapped to the vault does not unwrap")


def no_more(reason: str) -> SealBroken:
    """The error for a private half that is no more."""
    return SealBroken("SEAL_KEY_MISSING", reason)
