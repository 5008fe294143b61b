"""Orders: what an erasure was asked for, kept from before its first step until its last check.

An erasure that is interrupted leaves its order behind. The next one carries it out together with its own, and
until then nothing is released. An order names the people, and is kept enciphered under a key that is derived
from the store's join key; it is deleted when it is done.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import InfrastructureFault
from transforms.erase_reach import Identifier
from transforms.keys import ReleaseKeys
from transforms.release_rules import ReleaseRules
from transforms.store_files import DRAFT_PREFIX, StoreFiles

FOLDER: Final = "erasures"
_LABEL: Final = b"cofferdam erasure order v1"
_NONCE_BYTES: Final = 12

Places = tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True)
class Order:
    """What an erasure was asked for.

    Attributes:
        run_id: The erasure.
        people: Identifiers of the people.
        due: Whether everything that is due was to go.
        held_in: Where something of the people stays for a legal claim, as pseudonyms of tenant and meeting;
            None for an order that has not been carried out.
    """

    run_id: str
    people: tuple[Identifier, ...] = field(repr=False)
    due: bool
    held_in: Places | None = field(default=None, repr=False)

    @property
    def path(self) -> str:
        """Where the order lies in the store."""
        return f"{FOLDER}/{self.run_id}-{'open' if self.held_in is None else 'held'}.order"


def write_order(files: StoreFiles, keys: ReleaseKeys, order: Order) -> None:
    """Keep an order.

    Raises:
        InfrastructureFault: It cannot be written.
    """
    said = {"people": order.people, "due": order.due, "held_in": order.held_in}
    nonce = secrets.token_bytes(_NONCE_BYTES)
    files.create(
        order.path, nonce + _cipher(keys).encrypt(nonce, json.dumps(said).encode(), order.run_id.encode())
    )


def read_orders(files: StoreFiles, keys: ReleaseKeys) -> list[Order]:
    """All orders that are not done.

    Raises:
        InfrastructureFault: One cannot be read (``ERASURE_ORDER_BROKEN``).
    """
    cipher = _cipher(keys)
    return [_read(files, cipher, path) for path in sorted(_paths(files)) if not _is_draft(path)]


def delete_drafts(files: StoreFiles) -> None:
    """Delete what is left of orders that were killed while they were written; nothing was done upon them."""
    for path in filter(_is_draft, list(_paths(files))):
        files.delete(path)


def _paths(files: StoreFiles) -> list[str]:
    return [found.path for found in files.find(FOLDER)]


def _is_draft(path: str) -> bool:
    return path.startswith(f"{FOLDER}/{DRAFT_PREFIX}")


def _read(files: StoreFiles, cipher: AESGCM, path: str) -> Order:
    run_id = path.removeprefix(f"{FOLDER}/").removesuffix(".order").rpartition("-")[0]
    content = files.read(path)
    try:
        said = json.loads(cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], run_id.encode()))
    except (InvalidTag, ValueError):
        message = (
            f"{path} does not open with these keys; use the keys of this store, or restore the file: "
            "it says what is still to be erased"
        )
        raise InfrastructureFault("ERASURE_ORDER_BROKEN", message) from None
    people = tuple(Identifier(*each) for each in said["people"])
    places = (
        None if said["held_in"] is None else tuple((tenant, meeting) for tenant, meeting in said["held_in"])
    )
    return Order(run_id, people, said["due"], places)


def finish_orders(files: StoreFiles, orders: Iterable[Order]) -> None:
    """Forget orders that are done."""
    for order in orders:
        files.delete(order.path)


def refuse_unfinished(files: StoreFiles, keys: ReleaseKeys, rules: ReleaseRules) -> None:
    """Let nothing be released while an erasure waits to be carried out.

    What stays for a legal claim is not released as long as the claim lasts; when it ends, the erasure comes
    first.

    Raises:
        InfrastructureFault: ``ERASURE_UNFINISHED``.
    """
    for order in read_orders(files, keys):
        if order.held_in is None or not all(is_held(rules, *place) for place in order.held_in):
            raise _unfinished()


def refuse_interrupted(files: StoreFiles, keys: ReleaseKeys) -> None:
    """Let nothing be taken out while an erasure that was interrupted waits to be carried out.

    Raises:
        InfrastructureFault: ``ERASURE_UNFINISHED``.
    """
    if any(order.held_in is None for order in read_orders(files, keys)):
        raise _unfinished()


def _unfinished() -> InfrastructureFault:
    message = "an erasure is not finished, so nothing is released; run `cofferdam erase` again first"
    return InfrastructureFault("ERASURE_UNFINISHED", message)


def is_held(rules: ReleaseRules, tenant: str | None, meeting: str | None) -> bool:
    """Whether a meeting is kept for a legal claim."""
    view = rules.tenants.get(tenant or "")
    return view is not None and view.attested_of(meeting).get("legal_hold") is not False


def people_of(orders: Sequence[Order]) -> set[Identifier]:
    """Everybody whom some orders name."""
    return {each for order in orders for each in order.people}


def _cipher(keys: ReleaseKeys) -> AESGCM:
    key = HKDF(hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(keys.join_key)
    return AESGCM(key)
