"""What an erasure hands to workers that are elsewhere, beside the graph: decisions back, edits out.

An edit names people, by pseudonyms, and holds a secret that nobody keeps; the graph of a job is kept by the
service that takes it. So on Cloud Storage edits lie in the store while they are needed, enciphered, and only
their paths travel. What a killed erasure has left of both is deleted by the next.

Other accounts can write to the store's bucket, too. So decisions are sealed and edits are enciphered with
keys that are derived (HKDF, RFC 5869) from one that the release side alone holds, and are bound to their
erasure: neither those accounts nor whoever has the writing side's keys can put others in their place.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.erase_rows import Edit
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.manifest_seal import ManifestSeal
from transforms.store import Store
from transforms.store_cloud import SCHEME
from transforms.store_files import StoreFiles, open_files

FOLDER: Final = ".erasing"
_EDITS: Final = b"cofferdam erasure edits v2"
_DECISIONS: Final = b"cofferdam erasure decisions v1 "
_NONCE_BYTES: Final = 12
_TOGETHER: Final = 100
"""Edits in one file."""


@contextmanager
def folder_for_decisions(store: Store, run_id: str, *, elsewhere: bool) -> Iterator[str]:
    """A place for the store of decisions while they are needed, that all workers reach.

    Args:
        store: The store, its lock held.
        run_id: The erasure.
        elsewhere: Whether an engine outside of this process decides.

    Raises:
        ConfigurationError: The folder for temporary files cannot be used (``TEMPORARY_FOLDER``).
    """
    if not goes_through_store(store, elsewhere=elsewhere):
        with _temporary_folder() as folder:
            yield folder
        return
    delete_passed(store.files_of_store)
    try:
        yield f"{store.root}/{FOLDER}/{run_id}"
    finally:
        delete_passed(store.files_of_store)


def _temporary_folder() -> TemporaryDirectory[str]:
    """A folder where ``TMPDIR`` says; Python would silently take another one if that cannot be used."""
    named = os.environ.get("TMPDIR")
    try:
        return TemporaryDirectory(prefix="cofferdam-", dir=os.path.abspath(named) if named else None)
    except OSError:
        raise ConfigurationError(
            "TEMPORARY_FOLDER",
            "TMPDIR names no folder that can be written to; make it, or name another. Nothing was changed",
        ) from None


def seal_of_decisions(keys: ReleaseKeys, run_id: str) -> ManifestSeal:
    """The seal of one erasure's store of decisions; the release side alone can make it."""
    return ManifestSeal(_derived(keys, _DECISIONS + run_id.encode()))


@contextmanager
def edits_kept(
    store: Store, keys: ReleaseKeys, run_id: str, edits: Sequence[Edit], *, elsewhere: bool
) -> Iterator[tuple[str, ...]]:
    """Paths of the files that workers read edits from; none where edits travel in the graph.

    Args:
        store: The store, its lock held.
        keys: The release side's keys.
        run_id: The erasure.
        edits: The edits.
        elsewhere: Whether an engine outside of this process rewrites.

    Raises:
        InfrastructureFault: They cannot be written.
    """
    files = store.files_of_store
    if not goes_through_store(store, elsewhere=elsewhere):
        yield ()
        return
    delete_passed(files)
    try:
        parts = [edits[start : start + _TOGETHER] for start in range(0, len(edits), _TOGETHER)]
        paths = tuple(f"{FOLDER}/{run_id}-edits-{number:06}" for number in range(len(parts)))
        for path, part in zip(paths, parts, strict=True):
            nonce = secrets.token_bytes(_NONCE_BYTES)
            content = msgspec.json.encode(list(part))
            files.create(path, nonce + _cipher(keys).encrypt(nonce, content, path.encode()))
        yield paths
    finally:
        delete_passed(files)


def read_edits(path: str, store: str, keys: ReleaseKeys) -> list[Edit]:
    """The edits of one file, on a worker.

    Raises:
        InfrastructureFault: It is not there, or was changed (``ERASURE_EDITS_BROKEN``).
    """
    with value_free("read edits"):
        content = open_files(store).read(path)
        try:
            plain = _cipher(keys).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], path.encode())
        except (InvalidTag, ValueError):
            message = f"{path} is not what this erasure has written; nothing was changed, run again"
            raise InfrastructureFault("ERASURE_EDITS_BROKEN", message) from None
        return msgspec.json.decode(plain, type=list[Edit])


def delete_passed(files: StoreFiles) -> None:
    """Delete what this erasure, or one that was killed, has left for workers."""
    for found in list(files.find(FOLDER)):
        files.delete(found.path)


def goes_through_store(store: Store, *, elsewhere: bool) -> bool:
    """Whether decisions and edits lie in the store while they are needed, so that even a dry run writes."""
    return elsewhere and store.root.startswith(SCHEME)


def _cipher(keys: ReleaseKeys) -> AESGCM:
    return AESGCM(_derived(keys, _EDITS))


def _derived(keys: ReleaseKeys, label: bytes) -> bytes:
    """A key (32 bytes) that the writing side cannot make: its directory holds another signing key."""
    return HKDF(hashes.SHA256(), 32, None, label).derive(keys.log_signing_key.private_bytes_raw())
