"""Which keys may sign a store's audit log: those that a user names, or those of a key directory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.audit_log import LogKeys, origin_of
from transforms.audit_note import VerifierKey, verifier_of
from transforms.key_files import INGEST, RELEASE
from transforms.keys import load_ingest_keys, load_release_keys
from transforms.store import Store


def log_keys(directory: Path) -> list[LogKeys]:
    """The keys of one side, or of each side that is in a key directory.

    Raises:
        InfrastructureFault: A file is missing, open to others or damaged.
    """
    inside = [directory / side for side in (INGEST, RELEASE) if (directory / side).is_dir()]
    return [_load(path) for path in inside or [directory]]


def _load(path: Path) -> LogKeys:
    try:
        return load_ingest_keys(path)
    except InfrastructureFault as fault:
        if fault.code != "KEYS_WRONG_SIDE":
            raise
    return load_release_keys(path)


def named_verifiers(store: str, texts: Iterable[str], directories: Iterable[Path]) -> list[VerifierKey]:
    """Verifier keys that a user names: as text, as a file of them, or as key directories.

    Raises:
        ConfigurationError: A text is no verifier key (``AUDIT_VERIFIER_KEY``), or the store has no log yet.
        InfrastructureFault: Keys or the store cannot be read.
    """
    found = [VerifierKey.parse(line) for text in texts for line in _lines(text)]
    for directory in directories:
        origin = origin_of(Store.open(store).snapshot)
        found += [verifier_of(origin, keys.log_signing_key) for keys in log_keys(directory)]
    return found


def _lines(text: str) -> list[str]:
    if "+" in text:
        return [text]
    return [line for line in read_kept(Path(text)).decode("utf-8", "replace").splitlines() if line.strip()]


def read_kept(path: Path) -> bytes:
    """A file that a user has kept.

    Raises:
        ConfigurationError: It cannot be read (``AUDIT_FILE_UNREADABLE``).
    """
    try:
        return path.read_bytes()
    except OSError:
        raise ConfigurationError("AUDIT_FILE_UNREADABLE", f"{path} cannot be read; name a file") from None
