"""Destroying keys of a directory, so that an interruption is made good by the next command."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from schemas.errors import InfrastructureFault
from transforms.key_files import (
    DESCRIPTION_FILE,
    StoredSide,
    describe_keys,
    description_json,
    read_side,
    write_private,
)

_KEY_FILE: Final = re.compile(r"[a-z_]+-[0-9a-f]{32}\.key")
_DRAFT: Final = re.compile(rf"{re.escape(DESCRIPTION_FILE)}\.[0-9a-f]{{16}}")


def destroy_key(path: Path, side: str, key_id: str) -> None:
    """Destroy a retired key of one side: forget it in ``keys.json``, then overwrite and remove its file.

    A destruction that is interrupted is finished by ``finish_destruction``.

    Raises:
        InfrastructureFault: The key is not there or is the current one of its purpose (``KEYS_NOT_RETIRED``),
            or the directory cannot be written (``KEYS_UNWRITABLE``).
    """
    stored = read_side(path, side)
    going = [key for key in stored.keys if key.description.key_id == key_id]
    if not going or _current_id(stored, going[0].description.purpose) == key_id:
        raise InfrastructureFault(
            "KEYS_NOT_RETIRED", f"{path} holds no retired key {key_id}; nothing was changed"
        )
    _destroy(path, side, {key_id})


def destroy_copies(path: Path, side: str, key_ids: Collection[str]) -> list[str]:
    """Destroy keys in an older directory of the same store, current or not; gives the ids that it held.

    Raises:
        InfrastructureFault: The directory cannot be read (``read_side``) or written (``KEYS_UNWRITABLE``).
    """
    finish_destruction(path, side)
    held = [entry.key_id for entry in describe_keys(path, side) if entry.key_id in key_ids]
    if held:
        _destroy(path, side, set(held))
    return held


def finish_destruction(path: Path, side: str) -> None:
    """Remove what an interrupted destruction left: key files that ``keys.json`` no longer names, and drafts.

    Raises:
        InfrastructureFault: The directory cannot be read (``read_side``) or written (``KEYS_UNWRITABLE``).
    """
    known = {entry.file_name for entry in describe_keys(path, side)}
    with _writing(path):
        for file in sorted(path.iterdir()):
            if _KEY_FILE.fullmatch(file.name) and file.name not in known:
                _overwrite(file)
                file.unlink()
            elif _DRAFT.fullmatch(file.name):
                file.unlink()


def _destroy(path: Path, side: str, key_ids: Collection[str]) -> None:
    entries = describe_keys(path, side)
    going = [entry for entry in entries if entry.key_id in key_ids]
    left = [entry for entry in entries if entry.key_id not in key_ids]
    with _writing(path):
        draft = path / f"{DESCRIPTION_FILE}.{secrets.token_hex(8)}"
        write_private(draft, description_json(side, left))
        draft.replace(path / DESCRIPTION_FILE)
        _sync(path)
        for entry in going:
            file = path / entry.file_name
            if file.exists():
                _overwrite(file)
                file.unlink()
        _sync(path)


def _current_id(stored: StoredSide, purpose: str) -> str:
    return next(key.description.key_id for key in stored.keys if key.description.purpose == purpose)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise InfrastructureFault(
            "KEYS_UNWRITABLE", f"cannot write {path}; run as its owner, then run the command again"
        ) from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _overwrite(file: Path) -> None:
    # Journals and flash cells may keep the old bytes all the same; the caller's promise is about live copies.
    descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.write(descriptor, bytes(os.fstat(descriptor).st_size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
