"""The writing side of the quarantine: seal what was cut out, so that the sealing process cannot open it.

A bundle makes one random key, wraps it once to the vault's public half and forgets it when it ends. Each
(tenant, meeting, sender, kind) in it gets a fresh random data key, wrapped under the bundle key. A data key
is never derived: what can be derived again cannot be destroyed. Rejected records are sealed under a bundle
key of their own, so that they can be destroyed by the day.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from types import TracebackType
from typing import NamedTuple, Self

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.classification import REJECTED_KIND
from transforms.chunked_encryption import KEY_BYTES, Buffer, length_prefixed, seal_message
from transforms.key_files import KEY_ID_BYTES
from transforms.keys import IngestKeyProvider
from transforms.sealed_format import (
    COVERS_BUNDLE,
    COVERS_DATA,
    HOLDS_ITEMS,
    HOLDS_REJECTED,
    ITEM_ID_BYTES,
    NONCE_BYTES,
    PART_BYTES,
    SCHEME,
    BlobRow,
    KeyRow,
    bundle_key_info,
    context_of_blob,
    data_key_aad_start,
    frame_parts,
    pack_joined,
    size_class,
    split_prefixed,
    unframe_parts,
)

__all__ = [
    "BlobRow",
    "BundleSealer",
    "JoinedGroup",
    "KeyRow",
    "RejectedPiece",
    "SealGroup",
    "SealedBatch",
    "frame_parts",
    "pieces_of",
    "size_class",
    "unframe_parts",
]

_RANDOM_BYTES = KEY_BYTES + KEY_ID_BYTES + NONCE_BYTES


class SealGroup(NamedTuple):
    """Items that share a data key: one sender's items of one kind in one meeting.

    Attributes:
        tenant: Pseudonym (hexadecimal), or None.
        meeting: Pseudonym (hexadecimal), or None.
        sender: Pseudonym (hexadecimal), or None where the sender is not known.
        kind: Kind of content.
        contract: Id and version of the contract that cut the items out.
        items: Item id (16 bytes) and framed bytes (``frame_parts``) of each item.
    """

    tenant: str | None
    meeting: str | None
    sender: str | None
    kind: str
    contract: str
    items: Sequence[tuple[bytes, bytes]]


class JoinedGroup(NamedTuple):
    """As ``SealGroup``, with the items already joined, as a batch makes them without looking at each.

    Attributes:
        tenant: Pseudonym (hexadecimal), or None.
        meeting: Pseudonym (hexadecimal), or None.
        sender: Pseudonym (hexadecimal), or None where the sender is not known.
        kind: Kind of content.
        contract: Id and version of the contract that cut the items out.
        item_ids: Item ids, 16 bytes each.
        joined: Framed bytes of the items in the same order, each with its length before it.
    """

    tenant: str | None
    meeting: str | None
    sender: str | None
    kind: str
    contract: str
    item_ids: bytes
    joined: Buffer

    def as_group(self) -> SealGroup:
        """The same items one by one."""
        ids = [self.item_ids[at : at + ITEM_ID_BYTES] for at in range(0, len(self.item_ids), ITEM_ID_BYTES)]
        items = list(zip(ids, split_prefixed(self.joined), strict=True))
        return SealGroup(*self[:5], items)


class RejectedPiece(NamedTuple):
    """A rejected raw record, or one piece of a record too large to hold in one.

    Attributes:
        item_id: Id (16 bytes) of the record; its pieces share it.
        raw: The bytes as they were read.
        number: 0 for the first piece.
        last: Whether this is the record's last piece.
    """

    item_id: bytes
    raw: Buffer
    number: int = 0
    last: bool = True


@dataclass
class SealedBatch:
    """What one call sealed.

    Attributes:
        keys: Rows for the keys table.
        blobs: Rows for the table of ciphertexts.
        item_key_ids: For each item, in the order of the groups and their items: its data key's id (16 bytes).
        item_parts: For each item, the ``part`` of the blob that holds it.
    """

    keys: list[KeyRow] = field(default_factory=list)
    blobs: list[BlobRow] = field(default_factory=list)
    item_key_ids: list[bytes] = field(default_factory=list)
    item_parts: list[int] = field(default_factory=list)


def pieces_of(item_id: bytes, raw: Buffer) -> Iterator[RejectedPiece]:
    """Cut a rejected record into pieces of at most 4 MiB."""
    view = memoryview(raw)
    starts = range(0, len(view) or 1, PART_BYTES)
    for number, start in enumerate(starts):
        yield RejectedPiece(item_id, view[start : start + PART_BYTES], number, start == starts[-1])


class _BundleKey:
    """A bundle's key while the bundle lasts, and the row that says how the vault unwraps it."""

    def __init__(self, keys: IngestKeyProvider, holds: str, created: date) -> None:
        key = bytearray(secrets.token_bytes(KEY_BYTES))
        self.key_id = secrets.token_bytes(KEY_ID_BYTES)
        self.holds = holds
        info = bundle_key_info(vault_id=keys.vault_id, key_id=self.key_id, holds=holds)
        wrapped = keys.wrap_to_vault(key, info=info)
        self.row = KeyRow(self.key_id, COVERS_BUNDLE, holds, keys.vault_id, wrapped, created)
        self.aad_start = data_key_aad_start(bundle_key_id=self.key_id, holds=holds)
        self.cipher = AESGCM(key)
        _wipe(key)


class BundleSealer:
    """Seals the content of one bundle. Close it, or use it in a ``with``, and the bundle's keys are gone.

    Python cannot promise to overwrite every copy of a key in memory; the sealer drops its references and
    overwrites the buffers it can reach. Pickling carries no key of the bundle: a copy starts its own.

    Args:
        keys: The writing side's keys.
        created: The day that key rows are dated with (for rejected records, the day of their time to live).
    """

    def __init__(self, keys: IngestKeyProvider, *, created: date) -> None:
        self._keys = keys
        self._created = created
        self._bundle_keys: dict[str, _BundleKey] = {}
        self._compressor: zstandard.ZstdCompressor | None = zstandard.ZstdCompressor(level=3)

    def seal_groups(self, groups: Sequence[SealGroup | JoinedGroup]) -> SealedBatch:
        """Seal each group under a fresh data key.

        Returns:
            The rows to store; the first call of a bundle also returns the bundle key's own row.

        Raises:
            ValueError: An item id is not 16 bytes long, or the sealer is closed.
        """
        return self._seal(groups, HOLDS_ITEMS)

    def seal_rejected(self, pieces: Sequence[RejectedPiece]) -> SealedBatch:
        """Seal rejected raw records under a data key of their own, apart from all content.

        Returns:
            The rows to store; ``item_key_ids`` and ``item_parts`` have one entry for each piece.

        Raises:
            ValueError: An item id is not 16 bytes long, or the sealer is closed.
        """
        items = [(piece.item_id, frame_piece(piece)) for piece in pieces]
        groups = [SealGroup(None, None, None, REJECTED_KIND, "", items)] if items else []
        return self._seal(groups, HOLDS_REJECTED)

    def close(self) -> None:
        """Forget the bundle's keys; nothing that was sealed can be opened from here any more."""
        self._bundle_keys.clear()
        self._compressor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<BundleSealer {'closed' if self._compressor is None else 'open'}>"

    def __reduce__(self) -> tuple[Callable[[IngestKeyProvider, date], BundleSealer], tuple[object, date]]:
        return _fresh_sealer, (self._keys, self._created)

    def _seal(self, groups: Sequence[SealGroup | JoinedGroup], holds: str) -> SealedBatch:
        if self._compressor is None:
            raise ValueError("the bundle is over and its keys are forgotten; make a new sealer")
        batch = SealedBatch()
        if not groups:
            return batch
        bundle = self._bundle_key(holds, batch)
        fresh = bytearray(secrets.token_bytes(_RANDOM_BYTES * len(groups)))
        try:
            view = memoryview(fresh)
            for number, group in enumerate(groups):
                random = view[number * _RANDOM_BYTES : (number + 1) * _RANDOM_BYTES]
                self._seal_group(group, bundle, random, self._compressor, batch)
        finally:
            _wipe(fresh)
        return batch

    def _bundle_key(self, holds: str, batch: SealedBatch) -> _BundleKey:
        bundle = self._bundle_keys.get(holds)
        if bundle is None:
            bundle = self._bundle_keys[holds] = _BundleKey(self._keys, holds, self._created)
            batch.keys.append(bundle.row)
        return bundle

    def _seal_group(
        self,
        group: SealGroup | JoinedGroup,
        bundle: _BundleKey,
        random: memoryview,
        compressor: zstandard.ZstdCompressor,
        batch: SealedBatch,
    ) -> None:
        data_key = random[:KEY_BYTES]
        key_id = bytes(random[KEY_BYTES : KEY_BYTES + KEY_ID_BYTES])
        nonce = bytes(random[KEY_BYTES + KEY_ID_BYTES :])
        aad = bundle.aad_start + length_prefixed(key_id)
        wrapped = nonce + bundle.cipher.encrypt(nonce, data_key, aad)
        batch.keys.append(KeyRow(key_id, COVERS_DATA, bundle.holds, bundle.key_id, wrapped, self._created))
        for part, (item_ids, joined) in enumerate(_in_parts(group)):
            packed = pack_joined(joined, compressor)
            place = (*group[:5], item_ids)
            ciphertext = seal_message(data_key, packed, context=context_of_blob(key_id, part, *place))
            batch.blobs.append(BlobRow(key_id, part, SCHEME, *place, len(packed), ciphertext))
            items = len(item_ids) // ITEM_ID_BYTES
            batch.item_key_ids += [key_id] * items
            batch.item_parts += [part] * items


def _fresh_sealer(keys: IngestKeyProvider, created: date) -> BundleSealer:
    return BundleSealer(keys, created=created)


def _in_parts(group: SealGroup | JoinedGroup) -> list[tuple[bytes, Buffer]]:
    """Item ids and joined items of each blob; none is over 4 MiB, but for a single larger item."""
    if isinstance(group, JoinedGroup):
        if len(group.joined) <= PART_BYTES:
            return [(group.item_ids, group.joined)]
        group = group.as_group()
    parts: list[tuple[list[bytes], list[bytes]]] = []
    filled = PART_BYTES
    for item_id, framed in group.items:
        if len(item_id) != ITEM_ID_BYTES:
            raise ValueError(f"an item id is {ITEM_ID_BYTES} bytes long")
        filled += len(framed)
        if not parts or filled > PART_BYTES:
            parts.append(([], []))
            filled = len(framed)
        parts[-1][0].append(item_id)
        parts[-1][1].append(framed)
    return [(b"".join(ids), length_prefixed(*framed)) for ids, framed in parts]


def frame_piece(piece: RejectedPiece) -> bytes:
    """A rejected piece as an item: number (4 bytes, big-endian), 1 if it is the last one, the raw bytes."""
    return b"".join((piece.number.to_bytes(4, "big"), bytes((piece.last,)), piece.raw))


def _wipe(buffer: bytearray) -> None:
    buffer[:] = bytes(len(buffer))
