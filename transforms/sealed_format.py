"""The sealed format: rows, framing, size classes and the contexts that bind each seal to its place.

docs/format.md writes the format down for readers in other languages. Both sides share this module; neither
side's keys are in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import zstandard

from transforms.chunked_encryption import SCHEME as MESSAGE_SCHEME
from transforms.chunked_encryption import Buffer, SealBroken, length_prefixed

SCHEME = f"cofferdam-sealed@v1+{MESSAGE_SCHEME}"
ITEM_ID_BYTES = 16
NONCE_BYTES = 12
WRAPPED_DATA_KEY_BYTES = NONCE_BYTES + 32 + 16

COVERS_BUNDLE, COVERS_DATA = "bundle", "data"
HOLDS_ITEMS, HOLDS_REJECTED = "items", "rejected"

SMALLEST_SIZE_CLASS = 256
PART_BYTES = 4 * 1024 * 1024
LARGEST_PART_BYTES = 256 * 1024 * 1024

_FORMAT = b"cofferdam-sealed@v1"
_BLOB_START = length_prefixed(_FORMAT, b"blob")


class KeyRow(NamedTuple):
    """One wrapped key, a row of the keys table.

    Attributes:
        key_id: Random id (16 bytes) of the wrapped key.
        covers: ``bundle`` (wrapped to the vault) or ``data`` (wrapped under a bundle key).
        holds: ``items`` or ``rejected``: what is sealed under it; the two never share a key.
        wrapping_key_id: Id (16 bytes) of the vault key or of the bundle key that it is wrapped under.
        wrapped: The wrapped key (about 1.2 kB for a bundle key, 60 bytes for a data key).
        created: The day it was made.
    """

    key_id: bytes
    covers: str
    holds: str
    wrapping_key_id: bytes
    wrapped: bytes
    created: date


class BlobRow(NamedTuple):
    """Items of one data key, sealed together: a row of the table of ciphertexts.

    Attributes:
        key_id: Id (16 bytes) of the data key.
        part: 0, or the place among the blobs of a data key that holds more than one.
        scheme: Names the whole format, for example for a later one.
        tenant: Pseudonym of the tenant, or None.
        meeting: Pseudonym of the meeting, or None.
        sender: Pseudonym of the sender, or None.
        kind: Kind of content.
        contract: Id and version of the contract that cut the items out.
        item_ids: The ids of the items in order, 16 bytes each, without anything between.
        size_class: Length in bytes of what was sealed, after compression and padding.
        ciphertext: The sealed message.
    """

    key_id: bytes
    part: int
    scheme: str
    tenant: str | None
    meeting: str | None
    sender: str | None
    kind: str
    contract: str
    item_ids: bytes
    size_class: int
    ciphertext: bytes


def bundle_key_info(*, vault_id: bytes, key_id: bytes, holds: str) -> bytes:
    """What a wrapped bundle key is bound to (the ``info`` of HPKE)."""
    return length_prefixed(_FORMAT, b"bundle key", vault_id, key_id, holds.encode())


def data_key_aad(*, bundle_key_id: bytes, key_id: bytes, holds: str) -> bytes:
    """What a wrapped data key is bound to (the associated data of AES-256-GCM)."""
    return data_key_aad_start(bundle_key_id=bundle_key_id, holds=holds) + length_prefixed(key_id)


def data_key_aad_start(*, bundle_key_id: bytes, holds: str) -> bytes:
    """What the associated data of all data keys of a bundle start with; the prefixed key id follows."""
    return length_prefixed(_FORMAT, b"data key", bundle_key_id, holds.encode())


def blob_context(row: BlobRow) -> bytes:
    """What a sealed blob is bound to: everything in its row but the ciphertext and its length.

    A missing pseudonym counts as an empty one; no real pseudonym is empty.
    """
    return context_of_blob(
        row.key_id, row.part, row.tenant, row.meeting, row.sender, row.kind, row.contract, row.item_ids
    )


def context_of_blob(
    key_id: bytes,
    part: int,
    tenant: str | None,
    meeting: str | None,
    sender: str | None,
    kind: str,
    contract: str,
    item_ids: bytes,
) -> bytes:
    """As ``blob_context``, of a row that has not been made yet."""
    return b"".join(
        (
            _BLOB_START,
            _prefixed_text(tenant),
            _prefixed_text(meeting),
            _prefixed_text(sender),
            _prefixed_text(kind),
            _prefixed_text(contract),
            length_prefixed(key_id),
            _part_number(part),
            len(item_ids).to_bytes(4, "big"),
            item_ids,
        )
    )


@lru_cache(maxsize=8192)
def _prefixed_text(text: str | None) -> bytes:
    return length_prefixed((text or "").encode())


@lru_cache(maxsize=64)
def _part_number(part: int) -> bytes:
    return length_prefixed(part.to_bytes(4, "big"))


def size_class(length: int) -> int:
    """The padded length of ``length`` bytes: 256, then eight classes to each doubling (12.5 % at most).

    >>> [size_class(length) for length in (0, 256, 257, 513)]
    [256, 256, 288, 576]
    """
    if length <= SMALLEST_SIZE_CLASS:
        return SMALLEST_SIZE_CLASS
    step = 1 << ((length - 1).bit_length() - 4)
    return -(-length // step) * step


def frame_parts(parts: Sequence[tuple[str | bytes, Buffer]]) -> bytes:
    """One item's bytes: for each part the length and bytes of its field path, then of its value.

    Args:
        parts: Field path and raw value. A path from a contract is text; a field's name that came with an
            event is content, and stays bytes.
    """
    framed: list[Buffer] = []
    for path, value in parts:
        prefix = _path_prefix(path) if isinstance(path, str) else length_prefixed(path)
        framed += (prefix, len(value).to_bytes(4, "big"), value)
    return b"".join(framed)


@lru_cache(maxsize=4096)
def _path_prefix(path: str) -> bytes:
    return length_prefixed(path.encode("utf-8", "surrogateescape"))


def unframe_parts(framed: Buffer) -> list[tuple[str, bytes]]:
    """Field paths and raw values of one item, as ``frame_parts`` took them (paths as text).

    Raises:
        SealBroken: The bytes are not a framed item (``SEAL_FORMAT``).
    """
    fields = split_prefixed(framed)
    if len(fields) % 2:
        raise malformed()
    paths = [path.decode("utf-8", "surrogateescape") for path in fields[::2]]
    return list(zip(paths, fields[1::2], strict=True))


def split_prefixed(joined: Buffer) -> list[bytes]:
    """The fields that ``length_prefixed`` joined.

    Raises:
        SealBroken: The lengths do not add up (``SEAL_FORMAT``).
    """
    view, position, fields = memoryview(joined), 0, []
    while position < len(view):
        start = position + 4
        position = start + int.from_bytes(view[start - 4 : start], "big")
        if start > len(view) or position > len(view):
            raise malformed()
        fields.append(bytes(view[start:position]))
    return fields


def pack_joined(joined: Buffer, compressor: zstandard.ZstdCompressor) -> bytes:
    """Compress and pad the joined items of a blob (``length_prefixed`` of each): what is sealed.

    Returns:
        Length of the compressed items (4 bytes, big-endian), the compressed items, zeros to the size class.
    """
    prefixed = length_prefixed(compressor.compress(joined))
    return prefixed.ljust(size_class(len(prefixed)), b"\0")


def unpack_items(packed: bytes, decompressor: zstandard.ZstdDecompressor) -> list[bytes]:
    """The framed items of an opened blob.

    Raises:
        SealBroken: The bytes are not a packed blob, or unpack to more than 256 MiB (``SEAL_FORMAT``).
    """
    end = 4 + int.from_bytes(packed[:4], "big")
    compressed = packed[4:end]
    try:
        length = zstandard.get_frame_parameters(compressed).content_size
        if end > len(packed) or length > LARGEST_PART_BYTES:
            raise malformed()
        return split_prefixed(decompressor.decompress(compressed) if length else b"")
    except zstandard.ZstdError:
        raise malformed() from None


def malformed() -> SealBroken:
    """The error for bytes that opened but are not in this format."""
    return SealBroken(
        "SEAL_FORMAT",
        "a sealed row opened but is not in the format it names; open it with the version that wrote it",
    )
