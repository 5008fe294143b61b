"""Small stores with an audit log, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.transforms.store_samples import SEAL, SEAL_ROOT, store_with_runs
from transforms.audit_log import merge, origin_of
from transforms.audit_note import VerifierKey, verifier_of
from transforms.key_files import INGEST, LOG_SIGNING, RELEASE, KeyDescription
from transforms.store import Store

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)


@dataclass(frozen=True)
class SampleKeys:
    """One side's keys, with nothing in them but the log's."""

    side: str
    log_signing_key: Ed25519PrivateKey
    descriptions: tuple[KeyDescription, ...] = field(default=())
    join_key: bytes = SEAL_ROOT


def sample_keys(side: str, number: int, more: Sequence[str] = ()) -> SampleKeys:
    ids = [f"{number:032x}", *more]
    described = tuple(KeyDescription(each, LOG_SIGNING, "Ed25519", "2026-03-02", 1) for each in ids)
    return SampleKeys(side, Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big")), described)


SEALS = sample_keys(INGEST, 1)
OPENS = sample_keys(RELEASE, 2)


def run_ids(first: int, count: int) -> dict[str, list[int]]:
    return {f"run-{number:06d}": [number] for number in range(first, first + count)}


def logged_store(root: Path, runs: int = 3, keys: SampleKeys = SEALS) -> Store:
    """A store with so many runs, each merged by itself."""
    for number in range(runs):
        store = store_with_runs(root, run_ids(number, 1), SEAL)
        merge(store, keys, NOW)
    return Store.open(root, SEAL)


def verifiers(root: Path) -> list[VerifierKey]:
    origin = origin_of(Store.open(root).snapshot)
    return [verifier_of(origin, keys.log_signing_key) for keys in (SEALS, OPENS)]
