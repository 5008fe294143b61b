"""The files of a key directory: written once, each with its own checks when it is read back.

One side of the directory is a folder with ``keys.json`` (ids, purposes, algorithms, epochs, dates; no key
material) and one file a key. A key's id is a hash of the key, so a damaged or exchanged file is found when it
is loaded. Folders are 0700 and files 0600; symbolic links are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from schemas.errors import InfrastructureFault
from transforms.chunked_encryption import length_prefixed

FORMAT_VERSION = 1
DESCRIPTION_FILE = "keys.json"
INGEST, RELEASE = "ingest", "release"
KEY_ID_BYTES = 16

VAULT_PUBLIC = "vault_public"
VAULT_PRIVATE = "vault_private"
VAULT_SERVICE = "vault_service"
EPOCH_ROOT = "pseudonym_epoch_root"
JOIN_KEY = "join_key"
DIGEST_KEY = "digest_key"
LOG_SIGNING = "log_signing"

MLKEM_PUBLIC_BYTES = 1184
MLKEM_SEED_BYTES = 64
VAULT_PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + 32
_SECRET_BYTES = 32
_LARGEST_FILE = 1_000_000

_VAULT = "HPKE MLKEM768-X25519, HKDF-SHA256, AES-256-GCM"
_MAC = "HKDF-SHA256, HMAC-SHA256"
ALGORITHMS = {
    VAULT_PUBLIC: _VAULT,
    VAULT_PRIVATE: _VAULT,
    VAULT_SERVICE: _VAULT,
    EPOCH_ROOT: _MAC,
    JOIN_KEY: _MAC,
    DIGEST_KEY: _MAC,
    LOG_SIGNING: "Ed25519",
}


@dataclass(frozen=True)
class KeyDescription:
    """What ``keys.json`` says of one key; nothing in it is secret.

    Attributes:
        key_id: 32 hexadecimal digits.
        purpose: One of the purposes of this module.
        algorithm: What the key is used with.
        created: The day it was made (ISO 8601).
        epoch: 1 for the first key of its purpose in a store, one more with each renewal.
    """

    key_id: str
    purpose: str
    algorithm: str
    created: str
    epoch: int

    @property
    def file_name(self) -> str:
        """Name of the file that holds the key, beside ``keys.json``."""
        return f"{self.purpose}-{self.key_id}.key"


@dataclass(frozen=True)
class StoredKey:
    """A key and its description."""

    description: KeyDescription
    material: bytes = field(repr=False)


@dataclass(frozen=True)
class StoredSide:
    """One side of a key directory, read and checked. The first key of a purpose writes, all of them read."""

    directory: Path
    side: str
    keys: tuple[StoredKey, ...]

    def all_of(self, purpose: str, *, needed: bool = True) -> list[tuple[bytes, bytes]]:
        """Ids (16 bytes) and materials of the keys with this purpose, the current one first.

        Raises:
            InfrastructureFault: There is none and it is needed (``KEYS_CORRUPT``).
        """
        found = [key for key in self.keys if key.description.purpose == purpose]
        if needed and not found:
            raise _corrupt(self.directory / DESCRIPTION_FILE)
        return [(bytes.fromhex(key.description.key_id), key.material) for key in found]

    def current(self, purpose: str) -> tuple[bytes, bytes]:
        """Id and material of the key that writes."""
        return self.all_of(purpose)[0]


# --- making -----------------------------------------------------------------------------------------------


def new_secret(purpose: str, *, created: date, epoch: int = 1) -> StoredKey:
    """A fresh random key of 256 bits."""
    material = secrets.token_bytes(_SECRET_BYTES)
    return StoredKey(_describe(purpose, _identify(purpose, material), created, epoch), material)


def new_vault_pair(*, created: date, epoch: int = 1) -> tuple[StoredKey, StoredKey]:
    """A fresh vault key pair: the public half, and the private half under the same id."""
    mlkem, x25519 = MLKEM768PrivateKey.generate(), X25519PrivateKey.generate()
    private = mlkem.private_bytes_raw() + x25519.private_bytes_raw()
    public = vault_public_half(private)
    vault_id = _identify(VAULT_PUBLIC, public)
    return (
        StoredKey(_describe(VAULT_PUBLIC, vault_id, created, epoch), public),
        StoredKey(_describe(VAULT_PRIVATE, vault_id, created, epoch), private),
    )


def new_vault_reference(
    public: bytes, name: str, *, created: date, epoch: int = 1
) -> tuple[StoredKey, StoredKey]:
    """A vault key that a key service holds: its public half, and under the same id what names it there.

    Args:
        public: ML-KEM-768 and X25519 public keys (1184 + 32 bytes).
        name: The service's name of the key.
        created: The day of the description.
        epoch: Its number among the store's vault keys.
    """
    vault_id = _identify(VAULT_PUBLIC, public)
    return (
        StoredKey(_describe(VAULT_PUBLIC, vault_id, created, epoch), public),
        StoredKey(_describe(VAULT_SERVICE, vault_id, created, epoch), public + name.encode()),
    )


def vault_public_half(private: bytes) -> bytes:
    """The ML-KEM-768 and X25519 public keys (1184 + 32 bytes) of a stored private half (64 + 32 bytes)."""
    mlkem = MLKEM768PrivateKey.from_seed_bytes(private[:MLKEM_SEED_BYTES])
    x25519 = X25519PrivateKey.from_private_bytes(private[MLKEM_SEED_BYTES:])
    return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()


def _describe(purpose: str, key_id: bytes, created: date, epoch: int) -> KeyDescription:
    return KeyDescription(key_id.hex(), purpose, ALGORITHMS[purpose], created.isoformat(), epoch)


def _identify(purpose: str, material: bytes) -> bytes:
    # The id shows nothing of the key: uniformly random keys of 256 bits cannot be guessed from a hash.
    digest = hashlib.sha256(length_prefixed(b"cofferdam key id v1", purpose.encode(), material))
    return digest.digest()[:KEY_ID_BYTES]


def write_sides(directory: Path, sides: Mapping[str, Sequence[StoredKey]]) -> None:
    """Write a whole new key directory; raises ``OSError`` where anything is in the way."""
    directory.mkdir(mode=0o700)
    for side, keys in sides.items():
        folder = directory / side
        folder.mkdir(mode=0o700)
        for key in keys:
            write_private(folder / key.description.file_name, key.material)
        write_private(folder / DESCRIPTION_FILE, description_json(side, [key.description for key in keys]))


def description_json(side: str, keys: Sequence[KeyDescription]) -> bytes:
    """The bytes of ``keys.json``."""
    entries = [vars(description) for description in keys]
    document = {"format_version": FORMAT_VERSION, "side": side, "keys": entries}
    return json.dumps(document, indent=2).encode() + b"\n"


def write_private(path: Path, content: bytes) -> None:
    """Make a file that only its owner reads; raises ``OSError`` where it exists."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


# --- reading ----------------------------------------------------------------------------------------------


def read_side(path: Path, side: str) -> StoredSide:
    """Read one side with all its keys.

    Raises:
        InfrastructureFault: A file is missing (``KEYS_MISSING``), open to others (``KEYS_PERMISSIONS``), a
            symbolic link (``KEYS_SYMLINK``), damaged (``KEYS_CORRUPT``), of the other side
            (``KEYS_WRONG_SIDE``) or of an unknown format (``KEYS_FORMAT``). The message names the file and
            the remedy.
    """
    with _opened(path, None) as folder:
        descriptions = _read_descriptions(folder, path, side)
        keys = tuple(StoredKey(entry, _read_key(folder, path, entry)) for entry in descriptions)
    return StoredSide(path.absolute(), side, keys)


def describe_keys(path: Path, side: str) -> tuple[KeyDescription, ...]:
    """What ``keys.json`` of one side says, with the checks of ``read_side``; reads no key material."""
    with _opened(path, None) as folder:
        return _read_descriptions(folder, path, side)


@contextmanager
def _opened(path: Path, folder: int | None) -> Iterator[int]:
    """A checked descriptor; files are opened relative to the checked folder, so neither can be swapped."""
    name, kind = (str(path), os.O_DIRECTORY) if folder is None else (path.name, 0)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | kind, dir_fd=folder)
    except OSError:
        raise _unopened(path) from None
    try:
        _check_status(path, os.fstat(descriptor), is_folder=folder is None)
        yield descriptor
    finally:
        os.close(descriptor)


def _check_status(path: Path, status: os.stat_result, *, is_folder: bool) -> None:
    if not (stat.S_ISDIR if is_folder else stat.S_ISREG)(status.st_mode):
        raise _corrupt(path)
    if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid not in (0, os.geteuid()):
        raise InfrastructureFault(
            "KEYS_PERMISSIONS",
            f"{path} is open to other users; run `chmod {'700' if is_folder else '600'}` on it as its owner, "
            "and if others could have read it, make new keys",
        )


def _unopened(path: Path) -> InfrastructureFault:
    if path.is_symlink():
        return InfrastructureFault(
            "KEYS_SYMLINK", f"{path} is a symbolic link; name the real directory or file"
        )
    if path.exists():
        return InfrastructureFault("KEYS_PERMISSIONS", f"{path} cannot be opened; run as its owner")
    return InfrastructureFault(
        "KEYS_MISSING",
        f"{path} is missing; `cofferdam keys init DIR` makes DIR/{INGEST} and DIR/{RELEASE}, "
        "and a command takes one of these two; restore lost keys from their backup",
    )


def _read_file(folder: int, path: Path) -> bytes:
    with _opened(path, folder) as descriptor:
        return os.read(descriptor, _LARGEST_FILE)


def _read_descriptions(folder: int, path: Path, side: str) -> tuple[KeyDescription, ...]:
    file = path / DESCRIPTION_FILE
    try:
        document = json.loads(_read_file(folder, file))
        version, named = document["format_version"], document["side"]
    except (ValueError, TypeError, KeyError):
        raise _corrupt(file) from None
    if version != FORMAT_VERSION:
        raise InfrastructureFault(
            "KEYS_FORMAT", f"{file} has a format this version does not know; use the version that wrote it"
        )
    if named != side:
        raise InfrastructureFault(
            "KEYS_WRONG_SIDE", f"{path} holds the other side's keys; give the `{side}` one"
        )
    try:
        return tuple(_checked_description(entry) for entry in document["keys"])
    except (ValueError, TypeError, KeyError):
        raise _corrupt(file) from None


def _checked_description(entry: Mapping[str, Any]) -> KeyDescription:
    description = KeyDescription(**entry)
    if type(description.epoch) is not int or bytes.fromhex(description.key_id).hex() != description.key_id:
        raise ValueError
    if ALGORITHMS[description.purpose] != description.algorithm:
        raise ValueError
    date.fromisoformat(description.created)
    return description


def _read_key(folder: int, path: Path, entry: KeyDescription) -> bytes:
    file = path / entry.file_name
    material = _read_file(folder, file)
    try:
        if _material_id(entry.purpose, material).hex() == entry.key_id:
            return material
    except ValueError:
        pass
    raise _corrupt(file) from None


def _material_id(purpose: str, material: bytes) -> bytes:
    if purpose == VAULT_PRIVATE:
        return _identify(VAULT_PUBLIC, vault_public_half(material))
    if purpose == VAULT_SERVICE:
        return _identify(VAULT_PUBLIC, material[:VAULT_PUBLIC_BYTES])
    return _identify(purpose, material)


def _corrupt(path: Path) -> InfrastructureFault:
    return InfrastructureFault(
        "KEYS_CORRUPT",
        f"{path} is damaged or does not match its id; restore the key directory from its backup",
    )
