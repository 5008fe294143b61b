"""Manifests: the numbered, chained statements of which files a store consists of.

``manifests/0000000007.json`` is the seventh change of a store. It names the files that the change adds and
those that it takes away; the live files are what all manifests together leave. A manifest is made whole and
only if its number is free, so of two writers that saw the same store one wins and the other changes nothing.
Each holds the SHA-256 of the one before, so a missing or altered manifest is found when the store is opened.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import AREAS, NEVER_REPLACED, STORE_FORMAT_VERSION
from transforms.store_files import StoreFiles, is_safe_path

FOLDER = "manifests"
MOST_DECODED = 4096
"""Manifests that are kept decoded; a larger store decodes them again each time that it is opened."""

_NAME = re.compile(r"manifests/(\d{10})\.json")
_TABLE = re.compile(r"[a-z0-9_]+(/[a-z0-9_=-]+)*")
_RUN_ID = re.compile(r"[a-z0-9][a-z0-9-]{5,63}")


class FileRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a manifest says of one file.

    Attributes:
        path: Path relative to the store.
        table: Table that the file is a part of, such as ``quarantine/items``.
        rows: Rows in it.
        size: Its size in bytes.
        sha256: Digest of its bytes, hexadecimal.
        schema: Digest of its Arrow schema; files of equal digest have the same columns.
        filter: Filter of the pseudonyms in it (``membership_filter``), on its way from the worker to the
            commit, which keeps filters in a file of their own; None where nobody knows what the file holds.
    """

    path: str
    table: str
    rows: int
    size: int
    sha256: str
    schema: str = ""
    filter: bytes | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change of a store.

    Attributes:
        format: Store format version that the change was written in.
        number: Place in the sequence, from 1.
        previous: SHA-256 of the manifest before, empty for the first.
        run_id: Run that made the change; a run makes one.
        adds: Files that exist from here on.
        removes: Paths of files that no longer exist from here on.
        facts: What the run states about itself (totals, contract versions, key ids, as_of, …).
        seal: That somebody with the store's keys wrote all of this (``manifest_seal``), hexadecimal.
    """

    format: int
    number: int
    previous: str
    run_id: str
    adds: tuple[FileRecord, ...]
    removes: tuple[str, ...]
    facts: dict[str, Any]
    seal: str = ""

    @property
    def path(self) -> str:
        """Where the manifest lies in the store."""
        return f"{FOLDER}/{self.number:010d}.json"

    def encoded(self) -> bytes:
        """The manifest as JSON that people can read; equal manifests have equal bytes."""
        text = msgspec.json.encode(self, order="deterministic")
        return msgspec.json.format(text, indent=1) + b"\n"


@dataclass(frozen=True)
class Snapshot:
    """A store as its manifests leave it.

    Attributes:
        manifests: All changes, in order.
        live: Files that exist, by path, in the order in which they came.
        removed: Paths that existed once.
        last_digest: SHA-256 of the last manifest, empty where there is none.
    """

    manifests: tuple[Manifest, ...]
    live: Mapping[str, FileRecord]
    removed: frozenset[str]
    last_digest: str

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each manifest, in order: every one states that of the one before."""
        return (*(manifest.previous for manifest in self.manifests[1:]), self.last_digest)[
            : len(self.manifests)
        ]

    def of_run(self, run_id: str) -> Manifest | None:
        """The change that a run made."""
        return next((manifest for manifest in self.manifests if manifest.run_id == run_id), None)


def check_run_id(run_id: str) -> None:
    """Refuse a run id that could not be a part of a file name.

    Raises:
        ConfigurationError: With code ``STORE_RUN_ID``.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ConfigurationError(
            "STORE_RUN_ID", "a run id is 6 to 64 of a-z, 0-9 and -, and does not begin with -"
        )


def check_table_name(table: str) -> None:
    """Refuse a table that no area of a store may hold.

    Raises:
        ConfigurationError: With code ``STORE_TABLE_NAME``.
    """
    inside = any(table == area or table.startswith(f"{area}/") for area in AREAS)
    if not inside or not _TABLE.fullmatch(table):
        raise ConfigurationError("STORE_TABLE_NAME", f"a table lies in one of {', '.join(AREAS)}")


def load_snapshot(files: StoreFiles) -> Snapshot:
    """Read and check all manifests of a store.

    Raises:
        InfrastructureFault: A manifest is missing (``STORE_MANIFEST_MISSING``) or cannot follow those before
            it (``STORE_MANIFEST_BROKEN``).
        ConfigurationError: A manifest was written by newer software (``STORE_TOO_NEW``).
    """
    numbers = sorted(int(match[1]) for found in files.find(FOLDER) if (match := _NAME.fullmatch(found.path)))
    manifests: list[Manifest] = []
    digest = ""
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise InfrastructureFault(
                "STORE_MANIFEST_MISSING",
                f"{FOLDER}/{expected:010d}.json is not there, later ones are; restore it from a backup",
            )
        content = files.read(f"{FOLDER}/{number:010d}.json")
        previous, digest = digest, hashlib.sha256(content).hexdigest()
        manifests.append(_DECODED.get(content, number, previous, digest))
    live, removed = fold(manifests)
    return Snapshot(tuple(manifests), live, removed, digest)


def fold(manifests: Iterable[Manifest]) -> tuple[dict[str, FileRecord], frozenset[str]]:
    """Live files and removed paths after some changes.

    Raises:
        InfrastructureFault: A change adds a path that was named before, or removes one that is not live, or
            one of a table that is never replaced (``STORE_MANIFEST_BROKEN``).
    """
    live: dict[str, FileRecord] = {}
    removed: set[str] = set()
    for manifest in manifests:
        for path in manifest.removes:
            record = live.pop(path, None)
            if record is None or record.table.split("/")[0] in NEVER_REPLACED:
                raise _broken(manifest.path)
            removed.add(path)
        for record in manifest.adds:
            if record.path in live or record.path in removed:
                raise _broken(manifest.path)
            live[record.path] = record
    return live, frozenset(removed)


class _Decoded:
    """Manifests that this process has decoded, by the SHA-256 of their bytes and their place in the sequence.

    One command opens its store many times over, and what a manifest says of files does not change. What the
    run states about itself is read again each time: whoever asks for it may keep it and add to it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], Manifest] = {}

    def get(self, content: bytes, number: int, previous: str, digest: str) -> Manifest:
        place = (digest, number, previous)
        found = self._known.get(place)
        if found is None:
            found = _decoded(content, number, previous)
            if len(self._known) >= MOST_DECODED:
                self._known.clear()
            self._known[place] = found
        return msgspec.structs.replace(found, facts=_decode_facts(content).facts)


_DECODED = _Decoded()


def _decoded(content: bytes, number: int, previous: str) -> Manifest:
    path = f"{FOLDER}/{number:010d}.json"
    try:
        if (version := _FormatOnly.of(content)) > STORE_FORMAT_VERSION:
            raise too_new(version)
        manifest = _READERS[version](content)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        raise _broken(path) from None
    if (manifest.number, manifest.previous) != (number, previous) or not all(map(_is_sound, manifest.adds)):
        raise _broken(path)
    return manifest


def _is_sound(record: FileRecord) -> bool:
    """Whether a record names a place inside its table's folder and possible figures."""
    return (
        is_safe_path(record.path)
        and record.path.startswith(f"{record.table}/")
        and _TABLE.fullmatch(record.table) is not None
        and record.rows >= 0
        and record.size >= 0
    )


class _FormatOnly(msgspec.Struct):
    format: int

    @classmethod
    def of(cls, content: bytes) -> int:
        return msgspec.json.decode(content, type=cls).format


class _FactsOnly(msgspec.Struct):
    facts: dict[str, Any]


_decode_facts = msgspec.json.Decoder(_FactsOnly).decode

_READERS = {1: msgspec.json.Decoder(Manifest).decode}


def too_new(version: int) -> ConfigurationError:
    """The error for a store that newer software wrote."""
    return ConfigurationError(
        "STORE_TOO_NEW",
        f"the store has format {version}, this software knows {STORE_FORMAT_VERSION}; upgrade cofferdam",
    )


def _broken(path: str) -> InfrastructureFault:
    return InfrastructureFault(
        "STORE_MANIFEST_BROKEN",
        f"{path} is damaged or out of its sequence; restore it from a backup",
    )
