"""Keys: what ingest may hold, what release may hold, and how both travel to workers.

``DIR/ingest`` holds the public half of the vault key pair, the pseudonym epoch roots, the join key and the
digest key: enough to seal and to pseudonymise, never to open. ``DIR/release`` holds the private half, and the
same roots, so that an erasure finds a person in telemetry. Both hold a key of their own that signs what they
log.

The vault pair is the HPKE (RFC 9180) hybrid of ML-KEM-768 and X25519: it stays closed unless both are broken.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.chunked_encryption import Buffer, SealBroken
from transforms.key_files import (
    DIGEST_KEY,
    EPOCH_ROOT,
    INGEST,
    JOIN_KEY,
    LOG_SIGNING,
    RELEASE,
    VAULT_PUBLIC,
    KeyDescription,
    StoredKey,
    StoredSide,
    new_secret,
    new_vault_pair,
    new_vault_reference,
    read_side,
    write_sides,
)
from transforms.key_providers import (
    VAULT_PURPOSES,
    VaultKey,
    vault_key,
    vault_public_key,
    vault_suite,
)


class IngestKeyProvider(Protocol):
    """What sealing needs; the key directory is one provider, a cloud key service can be another."""

    @property
    def vault_id(self) -> bytes:
        """Id (16 bytes) of the vault key that bundle keys are wrapped to."""

    def wrap_to_vault(self, key: Buffer, *, info: bytes) -> bytes:
        """Wrap a key so that only the vault's private half unwraps it, with the same ``info``."""


class ReleaseKeyProvider(Protocol):
    """What opening needs; the key directory is one provider, a cloud key service can be another."""

    def unwrap_from_vault(self, wrapped: Buffer, *, vault_id: bytes, info: bytes) -> bytes:
        """Unwrap a key; raises ``SealBroken`` where the key or ``info`` differs."""


@dataclass(frozen=True, eq=False, repr=False)
class _SideKeys:
    """What both sides have.

    Attributes:
        directory: Where the keys were loaded from.
        descriptions: What ``keys.json`` says of each key.
        vault_id: Id (16 bytes) of the current vault key.
        join_key: The root (32 bytes), for the store's lifetime, of pseudonyms in rosters and decisions.
        digest_key: The root (32 bytes) of the keys of duplicate digests and record sums.
        epoch_roots: Roots (32 bytes) of telemetry pseudonyms by id (16 bytes); the current one comes first. A
            release side that was made before it was given roots has none.
        log_signing_key: Signs what this side logs.
    """

    directory: Path
    descriptions: tuple[KeyDescription, ...]
    vault_id: bytes
    join_key: bytes
    digest_key: bytes
    epoch_roots: Mapping[bytes, bytes]
    log_signing_key: Ed25519PrivateKey
    _vault_public: bytes

    def wrap_to_vault(self, key: Buffer, *, info: bytes) -> bytes:
        """Wrap ``key`` to the vault's public half (about 1.2 kB); ``info`` is bound to it, not kept in it."""
        return vault_suite().encrypt(key, vault_public_key(self._vault_public), info)

    @property
    def epoch_id(self) -> bytes:
        """Id (16 bytes) of the pseudonym epoch that is written now."""
        return next(iter(self.epoch_roots))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of all keys of this side, in the order of its description."""
        return tuple(entry.key_id for entry in self.descriptions)

    def __repr__(self) -> str:
        ids = ", ".join(f"{entry.purpose} {entry.key_id}" for entry in self.descriptions)
        return f"<{type(self).__name__}: {ids}>"


@dataclass(frozen=True, eq=False, repr=False)
class IngestKeys(_SideKeys):
    """The keys of the writing side: they seal and pseudonymise, and open nothing."""

    @property
    def side(self) -> str:
        """Name of this side of the key directory."""
        return INGEST

    def __reduce__(self) -> tuple[Callable[[str, tuple[str, ...]], IngestKeys], tuple[str, tuple[str, ...]]]:
        """Travel to a worker as a path only; the worker loads the keys itself."""
        return _worker_ingest_keys, (str(self.directory), self.key_ids)


@dataclass(frozen=True, eq=False, repr=False)
class ReleaseKeys(_SideKeys):
    """The keys of the reading side, with the private halves of the vault's key pairs."""

    _vaults: Mapping[bytes, VaultKey]

    @property
    def side(self) -> str:
        """Name of this side of the key directory."""
        return RELEASE

    @property
    def older_vaults(self) -> tuple[bytes, ...]:
        """Ids (16 bytes) of the vault keys that open and are written to no more."""
        return tuple(vault_id for vault_id in self._vaults if vault_id != self.vault_id)

    def unwrap_from_vault(self, wrapped: Buffer, *, vault_id: bytes, info: bytes) -> bytes:
        """Unwrap a key that was wrapped to the vault key ``vault_id``.

        Raises:
            SealBroken: The vault key is not in this directory (``SEAL_KEY_MISSING``), or the wrapped key or
                ``info`` is not what was wrapped (``SEAL_KEY_BROKEN``).
            InfrastructureFault: The key service that holds it cannot be asked.
        """
        private = self._vaults.get(vault_id)
        if private is None:
            raise SealBroken("SEAL_KEY_MISSING", f"vault key {vault_id.hex()} is not in this key directory")
        try:
            return private.unwrap(wrapped, info=info)
        except SealBroken as error:
            raise SealBroken(error.code, f"vault key {vault_id.hex()}: {error.message}") from None

    def vault(self, vault_id: bytes) -> VaultKey:
        """The private half of one vault key of this directory."""
        return self._vaults[vault_id]

    def __reduce__(self) -> tuple[Callable[[str, tuple[str, ...]], ReleaseKeys], tuple[str, tuple[str, ...]]]:
        """Travel to a worker as a path only; the worker loads the keys itself."""
        return _worker_release_keys, (str(self.directory), self.key_ids)


def load_ingest_keys(path: Path | str) -> IngestKeys:
    """Load the writing side's keys from ``DIR/ingest``.

    Raises:
        InfrastructureFault: A file is missing, open to others, a link or damaged (see ``read_side``).
    """
    side = read_side(Path(path), INGEST)
    vault_id, public = side.current(VAULT_PUBLIC)
    return IngestKeys(
        **_common(side),
        vault_id=vault_id,
        _vault_public=public,
    )


def load_release_keys(path: Path | str) -> ReleaseKeys:
    """Load the reading side's keys from ``DIR/release``.

    Raises:
        InfrastructureFault: A file is missing, open to others, a link or damaged (see ``read_side``), or a
            rotation has destroyed the vault key of this directory (``KEYS_RETIRED``).
    """
    side = read_side(Path(path), RELEASE)
    vaults = {
        bytes.fromhex(key.description.key_id): vault_key(key.description.purpose, key.material)
        for key in side.keys
        if key.description.purpose in VAULT_PURPOSES
    }
    common = _common(side)
    if not vaults:
        raise _retired(path)
    vault_id, current = next(iter(vaults.items()))
    return ReleaseKeys(**common, vault_id=vault_id, _vault_public=current.public_half, _vaults=vaults)


# Beam unpickles the same transform many times in one process; each would read and check the files again.
@lru_cache(maxsize=8)
def _worker_ingest_keys(path: str, key_ids: tuple[str, ...]) -> IngestKeys:
    return _meant(load_ingest_keys(path), key_ids)


@lru_cache(maxsize=8)
def _worker_release_keys(path: str, key_ids: tuple[str, ...]) -> ReleaseKeys:
    return _meant(load_release_keys(path), key_ids)


_Keys = TypeVar("_Keys", bound=_SideKeys)


def _meant(keys: _Keys, key_ids: tuple[str, ...]) -> _Keys:
    """The keys, if they are still those that the launching process loaded from the same place."""
    if keys.key_ids != key_ids:
        raise InfrastructureFault(
            "KEYS_CHANGED", f"{keys.directory} holds other keys than when the run began; run again"
        )
    return keys


def _common(side: StoredSide) -> dict[str, Any]:
    return {
        "directory": side.directory,
        "descriptions": tuple(key.description for key in side.keys),
        "join_key": side.current(JOIN_KEY)[1],
        "digest_key": side.current(DIGEST_KEY)[1],
        "epoch_roots": dict(side.all_of(EPOCH_ROOT, needed=side.side == INGEST)),
        "log_signing_key": Ed25519PrivateKey.from_private_bytes(side.current(LOG_SIGNING)[1]),
    }


@dataclass(frozen=True)
class ServiceKey:
    """A vault key that a key service holds: its public half (1184 + 32 bytes) and its name there."""

    public_half: bytes
    name: str


def create_key_directory(
    directory: Path, *, created: date, continues: Path | None = None, vault: ServiceKey | None = None
) -> None:
    """Make a key directory with an ``ingest`` and a ``release`` side, all at once or not at all.

    Args:
        directory: A path that does not exist yet, or an empty directory.
        created: The day that the new keys are described with.
        continues: An older key directory of the same store. Its join, digest and log keys are kept; the vault
            pair and the pseudonym epoch root are renewed, and the old ones stay readable until destroyed.
        vault: The vault key, where a key service holds it; None to make one here.

    Raises:
        ConfigurationError: Something is there already (``KEYS_EXIST``), keys are never overwritten; or the
            vault key is in the older directory, too (``KEYS_SAME_VAULT``).
        InfrastructureFault: The directory cannot be written (``KEYS_UNWRITABLE``), or the older one not read;
            or a rotation has destroyed the older one's vault key (``KEYS_RETIRED``).
    """
    if directory.is_symlink() or (directory.exists() and _occupied(directory)):
        raise _keys_exist(directory)
    sides = _first_sides(created, vault) if continues is None else _next_sides(continues, created, vault)
    draft = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_sides(draft, sides)
        draft.rename(directory)  # refuses a directory that was filled meanwhile, so two runs cannot mix
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if directory.exists() and _occupied(directory):
            raise _keys_exist(directory) from None
        raise InfrastructureFault(
            "KEYS_UNWRITABLE", f"cannot write {directory}; check that its parent directory is writable"
        ) from None


def _occupied(directory: Path) -> bool:
    return not directory.is_dir() or any(directory.iterdir())


def _keys_exist(directory: Path) -> ConfigurationError:
    return ConfigurationError(
        "KEYS_EXIST", f"{directory} is not empty and keys are never overwritten; name a new directory"
    )


def _first_sides(created: date, vault: ServiceKey | None) -> dict[str, list[StoredKey]]:
    public, private = _new_vault(vault, created, epoch=1)
    shared = [new_secret(JOIN_KEY, created=created), new_secret(DIGEST_KEY, created=created)]
    root = new_secret(EPOCH_ROOT, created=created)
    return {
        INGEST: [public, root, *shared, new_secret(LOG_SIGNING, created=created)],
        RELEASE: [private, root, *shared, new_secret(LOG_SIGNING, created=created)],
    }


def _next_sides(older: Path, created: date, vault: ServiceKey | None) -> dict[str, list[StoredKey]]:
    ingest, release = read_side(older / INGEST, INGEST), read_side(older / RELEASE, RELEASE)
    if release.keys and not any(key.description.purpose in VAULT_PURPOSES for key in release.keys):
        raise _retired(release.directory)
    public, private = _new_vault(vault, created, epoch=_next_epoch(release, *VAULT_PURPOSES))
    if any(key.description.key_id == private.description.key_id for key in release.keys):
        raise ConfigurationError(
            "KEYS_SAME_VAULT", "the older directory has this vault key already; make a new version of it"
        )
    root = new_secret(EPOCH_ROOT, created=created, epoch=_next_epoch(ingest, EPOCH_ROOT))
    sealing = [key for key in ingest.keys if key.description.purpose != VAULT_PUBLIC]
    roots = [root, *(key for key in sealing if key.description.purpose == EPOCH_ROOT)]
    opening = [key for key in release.keys if key.description.purpose != EPOCH_ROOT]
    return {INGEST: [public, root, *sealing], RELEASE: [private, *roots, *opening]}


def _retired(path: Path | str) -> InfrastructureFault:
    return InfrastructureFault(
        "KEYS_RETIRED", f"{path} holds no vault key any more; name the newest key directory of the store"
    )


def _new_vault(vault: ServiceKey | None, created: date, *, epoch: int) -> tuple[StoredKey, StoredKey]:
    if vault is None:
        return new_vault_pair(created=created, epoch=epoch)
    return new_vault_reference(vault.public_half, vault.name, created=created, epoch=epoch)


def _next_epoch(side: StoredSide, *purposes: str) -> int:
    epochs = (key.description.epoch for key in side.keys if key.description.purpose in purposes)
    return 1 + max(epochs, default=0)
