"""Opening with a signed decision only: what may be opened, and the record of every opening.

A warrant names one blob, the items in it that a decision is about, and what the decision is for. The release
side signs it where the decision is made; the step that opens checks the signature, hands out the items that
the warrant names, forgets the rest of the blob unread, and keeps a row of it for the table of openings. A
blob without a warrant is not opened, so nothing is opened that is not on record.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import PromiseBroken
from schemas.tables import FIXED_TABLES, OPENINGS
from transforms.chunked_encryption import SealBroken, length_prefixed
from transforms.keys import ReleaseKeys
from transforms.opening import OpenedItem, VaultOpener
from transforms.sealed_format import ITEM_ID_BYTES, BlobRow, KeyRow

OPENED: Final = "opened"
FOR_RELEASE: Final = "release"
FOR_REPROCESSING: Final = "reprocess"
FOR_DRIFT: Final = "drift"
FOR_EXPORT: Final = "export"
GROUNDS: Final = (FOR_RELEASE, FOR_REPROCESSING, FOR_DRIFT, FOR_EXPORT)
"""What sealed data may be opened for (closed set)."""

_LABEL: Final = b"cofferdam opening warrant v1"


class Ground(NamedTuple):
    """What an opening is for.

    Attributes:
        run_id: The run that opens.
        ground: One of `GROUNDS`.
        decision_id: The decision that allows it: of a release, its decision; else a digest of the order that
            was given, as the command records it.
        purpose: Registered purpose, empty where it is none.
        recipient: Who receives it, empty where it stays inside.
    """

    run_id: str
    ground: str
    decision_id: str
    purpose: str = ""
    recipient: str = ""


class Warrant(NamedTuple):
    """A signed permission to open some items of one blob.

    Attributes:
        ground: What for.
        key_id: Id (16 bytes) of the blob's data key.
        part: The blob's place among those of its data key.
        item_ids: Ids (16 bytes) of the items, sorted.
        signature: The release side's Ed25519 signature (64 bytes) over all of it.
    """

    ground: Ground
    key_id: bytes
    part: int
    item_ids: tuple[bytes, ...]
    signature: bytes


def issue_warrant(
    signing_key: Ed25519PrivateKey, ground: Ground, key_id: bytes, part: int, item_ids: Iterable[bytes]
) -> Warrant:
    """Sign a permission to open items of one blob.

    Args:
        signing_key: The release side's log signing key.
        ground: What for.
        key_id: Id (16 bytes) of the blob's data key.
        part: The blob's place among those of its data key.
        item_ids: Ids (16 bytes) of the items.
    """
    unsigned = Warrant(ground, key_id, part, tuple(sorted(set(item_ids))), b"")
    return unsigned._replace(signature=signing_key.sign(_message(unsigned)))


def check_warrant(public_key: Ed25519PublicKey, warrant: Warrant) -> None:
    """Refuse a warrant that the release side has not signed.

    Raises:
        PromiseBroken: With code ``OPENING_WITHOUT_DECISION``.
    """
    try:
        if warrant.ground.ground in GROUNDS:
            return public_key.verify(warrant.signature, _message(warrant))
    except InvalidSignature:
        pass
    raise _unwarranted(warrant.key_id, warrant.part)


def _check_own(signing_key: Ed25519PrivateKey, warrant: Warrant) -> None:
    """As `check_warrant`, by whoever has the private key: Ed25519 signs equal messages alike (RFC 8032).

    Signing again costs a fifth of verifying, and a release does this for every blob.
    """
    expected = signing_key.sign(_message(warrant))
    if warrant.ground.ground not in GROUNDS or not hmac.compare_digest(expected, warrant.signature):
        raise _unwarranted(warrant.key_id, warrant.part)


def _unwarranted(key_id: bytes, part: int) -> PromiseBroken:
    return PromiseBroken(
        "OPENING_WITHOUT_DECISION",
        f"key {key_id.hex()}, part {part}: there is no signed decision to open it; nothing was committed",
    )


def _message(warrant: Warrant) -> bytes:
    words = (word.encode() for word in warrant.ground)
    place = (warrant.key_id, warrant.part.to_bytes(4, "big"), b"".join(warrant.item_ids))
    return length_prefixed(_LABEL, *words, *place)


class WarrantedOpener:
    """Opens blobs by warrant and keeps the rows that say so.

    Args:
        keys: The release side's keys.
        key_rows: Rows of the keys table, as `VaultOpener` takes them.
    """

    def __init__(self, keys: ReleaseKeys, key_rows: Iterable[KeyRow]) -> None:
        self._opener = VaultOpener(keys, key_rows)
        self._signing_key = keys.log_signing_key
        self._rows: list[dict[str, Any]] = []

    def open_blob(self, blob: BlobRow, warrants: Sequence[Warrant]) -> list[OpenedItem]:
        """Open one blob; gives the items that its warrants name.

        Raises:
            PromiseBroken: There is no warrant for it (``OPENING_WITHOUT_DECISION``).
            SealBroken: As `VaultOpener.open_blob`; the failure is on record, too.
        """
        if not warrants or any((each.key_id, each.part) != (blob.key_id, blob.part) for each in warrants):
            raise _unwarranted(blob.key_id, blob.part)
        for warrant in warrants:
            _check_own(self._signing_key, warrant)
        try:
            items = self._opener.open_blob(blob)
        except SealBroken as error:
            self._record(blob, warrants, error.code)
            raise
        self._record(blob, warrants, OPENED)
        wanted = {item_id for warrant in warrants for item_id in warrant.item_ids}
        return [item for item in items if item.item_id in wanted]

    def take_rows(self) -> pa.Table:
        """Rows for the table of openings since the last call."""
        rows, self._rows = self._rows, []
        return pa.Table.from_pylist(rows, schema=FIXED_TABLES[OPENINGS])

    def close(self) -> None:
        """Forget the unwrapped keys."""
        self._opener.close()

    def _record(self, blob: BlobRow, warrants: Sequence[Warrant], outcome: str) -> None:
        starts = range(0, len(blob.item_ids), ITEM_ID_BYTES)
        held = [blob.item_ids[start : start + ITEM_ID_BYTES] for start in starts]
        for warrant in warrants:
            named = set(warrant.item_ids)
            self._rows.append(
                {
                    **warrant.ground._asdict(),
                    "kind": blob.kind,
                    "key_id": blob.key_id,
                    "blob_part": blob.part,
                    "item_ids": [item_id.hex() for item_id in warrant.item_ids],
                    "beside": sum(item_id not in named for item_id in held),
                    "outcome": outcome,
                    "signature": warrant.signature,
                }
            )


def warrant_of_row(row: Mapping[str, Any]) -> Warrant:
    """The warrant that a row of the table of openings keeps, for whoever checks the record."""
    ground = Ground(*(row[name] for name in Ground._fields))
    item_ids = tuple(map(bytes.fromhex, row["item_ids"]))
    return Warrant(ground, row["key_id"], row["blob_part"], item_ids, row["signature"])


__all__ = [
    "FOR_DRIFT",
    "FOR_EXPORT",
    "FOR_RELEASE",
    "FOR_REPROCESSING",
    "GROUNDS",
    "OPENED",
    "Ground",
    "Warrant",
    "WarrantedOpener",
    "check_warrant",
    "issue_warrant",
    "warrant_of_row",
]
