"""Sealed messages: C2SP chunked encryption with AES-256-GCM, also called Cobblestone-256.

The format (https://c2sp.org/chunked-encryption) derives a single-use key, a base nonce and a commitment from
the input key, a random 24-byte salt and the context by HKDF-Expand with SHA-512, and seals chunks of 16 KiB.
It commits to its key and to its context, so a message opens under one key and in one place only. The work is
done by ``cryptography``, which checks the commitment in constant time before it decrypts anything.
"""

from __future__ import annotations

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from schemas.errors import CofferdamError

SCHEME = "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM"
KEY_BYTES = 32
CHUNK_BYTES = 16_384
HEADER_BYTES = 56
TAG_BYTES = 16

Buffer = bytes | bytearray | memoryview

_SHORT = 256
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(_SHORT))  # halves the cost of a context


class SealBroken(CofferdamError):  # noqa: N818 - the name states the finding
    """A sealed message or a wrapped key that does not open: wrong key, wrong place, truncated or changed."""


def sealed_length(plaintext_length: int) -> int:
    """Length in bytes of the sealed form of a message of ``plaintext_length`` bytes.

    >>> sealed_length(0)
    72
    """
    return HEADER_BYTES + plaintext_length + TAG_BYTES * (plaintext_length // CHUNK_BYTES + 1)


def length_prefixed(*fields: Buffer) -> bytes:
    """Join fields, each after its length (4 bytes, big-endian), so that no two lists give the same bytes.

    >>> length_prefixed(b"ab", b"").hex()
    '00000002616200000000'
    """
    joined: list[Buffer] = []
    for value in fields:
        length = len(value)
        joined.append(_LENGTHS[length] if length < _SHORT else length.to_bytes(4, "big"))
        joined.append(value)
    return b"".join(joined)


def seal_message(key: Buffer, plaintext: Buffer, *, context: bytes) -> bytes:
    """Seal one message.

    Args:
        key: 32 uniformly random bytes.
        plaintext: The message, of any length.
        context: What the message is and where it belongs; needed again, unchanged, to open it.

    Returns:
        Salt (24 bytes), commitment (32 bytes) and the sealed chunks.

    Raises:
        ValueError: The key is not 32 bytes long.
        TypeError: An argument is not bytes.
    """
    sealer = Cobblestone256Encryptor(key, context)
    return sealer.update(plaintext) + sealer.finalize()


def open_message(key: Buffer, ciphertext: Buffer, *, context: bytes) -> bytes:
    """Open one sealed message; no byte is returned before all of it is authenticated.

    Raises:
        SealBroken: Wrong key, wrong context, or a truncated, extended or changed message (``SEAL_BROKEN``).
        ValueError: The key is not 32 bytes long.
        TypeError: An argument is not bytes.
    """
    opener = Cobblestone256Decryptor(key, context)
    try:
        plaintext = opener.update(ciphertext)
        return plaintext + opener.finalize()
    except InvalidTag:
        raise SealBroken(
            "SEAL_BROKEN",
            "a sealed message does not open under this key and in this place; "
            "check that the key and the row belong together, then restore the row from a backup",
        ) from None
