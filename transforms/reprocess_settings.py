"""What every step of a reprocessing needs to know; small, and without a key or anybody's name."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from transforms.keys import ReleaseKeys
from transforms.opening_warrants import Ground
from transforms.reprocess_lookup import StoreLookup
from transforms.reprocess_selection import erased_in
from transforms.reprocess_tasks import ROWS_A_TASK
from transforms.store import Store

_LABEL: Final = b"cofferdam reprocessing's tenants v1"
_NONCE_BYTES: Final = 12


@dataclass(frozen=True)
class ReprocessSettings:
    """What a run needs to know besides contracts and keys.

    Attributes:
        store: The store's root.
        base: SHA-256 of the store's last manifest when the run began.
        ground: What sealed data is opened for.
        order: What was ordered, as the audit log holds it.
        as_of: Instant of the order (RFC 3339).
        today: Its day.
        live_days: Time to live of sealed items: what is older is due to be erased, and is not opened.
        rejected_days: The same of rejects.
        source: Source of the records, or "auto".
        tenants: Raw ids of tenants, for pseudonyms of telemetry, enciphered by ``sealed_tenants``.
        dry_run: Whether only to look.
        contracts: Labels of the contracts.
        version: Version of the software.
        rows_a_task: Rows of what is sealed after which a worker's task is large enough.
    """

    store: str
    base: str
    ground: Ground
    order: Mapping[str, Any]
    as_of: str
    today: date
    live_days: int
    rejected_days: int
    source: str = "auto"
    tenants: bytes = field(default=b"", repr=False)
    dry_run: bool = False
    contracts: tuple[str, ...] = ()
    version: str = ""
    rows_a_task: int = ROWS_A_TASK

    @property
    def run_id(self) -> str:
        """The run."""
        return self.ground.run_id

    @property
    def first_item(self) -> date:
        """First day whose items still live."""
        return self.today - timedelta(days=self.live_days)

    @property
    def first_reject(self) -> date:
        """First day whose rejects still live."""
        return self.today - timedelta(days=self.rejected_days)

    def opened(self) -> Store:
        """The store as the launching process has found and checked it, read once a worker.

        Raises:
            InfrastructureFault: It is damaged, or another one by now (``STORE_CHANGED``).
        """
        return _opened(self.store, self.base)

    def lookup(self) -> StoreLookup:
        """The same store, to look events up in."""
        return _lookup(self.store, self.base)

    def erased(self) -> frozenset[str]:
        """Events of which an erasure took something (32 hexadecimal digits), read once a worker."""
        return _erased(self.store, self.base)


@lru_cache(maxsize=1)
def _opened(root: str, base: str) -> Store:
    return Store.at(root, base)


@lru_cache(maxsize=1)
def _lookup(root: str, base: str) -> StoreLookup:
    return StoreLookup(_opened(root, base))


@lru_cache(maxsize=1)
def _erased(root: str, base: str) -> frozenset[str]:
    return erased_in(_opened(root, base))


def sealed_tenants(keys: ReleaseKeys, run_id: str, tenants: Sequence[str]) -> bytes:
    """Raw ids of tenants as they travel to workers: no engine keeps them in clear.

    Args:
        keys: The release side's keys.
        run_id: The run that they are for.
        tenants: The ids.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(keys).encrypt(nonce, json.dumps(list(tenants)).encode(), run_id.encode())


def opened_tenants(keys: ReleaseKeys, settings: ReprocessSettings) -> tuple[str, ...]:
    """What ``sealed_tenants`` was given."""
    if not settings.tenants:
        return ()
    nonce, sealed = settings.tenants[:_NONCE_BYTES], settings.tenants[_NONCE_BYTES:]
    return tuple(json.loads(_cipher(keys).decrypt(nonce, sealed, settings.run_id.encode())))


def _cipher(keys: ReleaseKeys) -> AESGCM:
    key = HKDF(hashes.SHA256(), length=32, salt=None, info=_LABEL).derive(keys.join_key)
    return AESGCM(key)


__all__ = ["ReprocessSettings", "opened_tenants", "sealed_tenants"]
