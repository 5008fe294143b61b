"""A separator over the bundled contracts or a small one, under real keys, and what it makes of records."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from schemas.contract import ContractSet, load_contracts
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from transforms.cut_out import CutOut
from transforms.keys import IngestKeys, create_key_directory, load_ingest_keys, load_release_keys
from transforms.opening import VaultOpener
from transforms.pseudonym_spaces import PseudonymSpaces
from transforms.record_digests import RecordDigester
from transforms.sealed_format import BlobRow, KeyRow, split_prefixed, unframe_parts
from transforms.separate import Held, Separated, Separator
from transforms.store import Store

DAY = date(2026, 3, 2)
Part = tuple[str, bytes]


@cache
def key_folder() -> Path:
    """A key directory with both sides, the same for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="test-keys-")) / "K"
    create_key_directory(folder, created=DAY)
    return folder


@cache
def ingest_keys() -> IngestKeys:
    return load_ingest_keys(key_folder() / "ingest")


@cache
def bundled() -> ContractSet:
    return load_contracts()


def digester() -> RecordDigester:
    return RecordDigester(ingest_keys().digest_key)


@cache
def spaces() -> PseudonymSpaces:
    return PseudonymSpaces(ingest_keys())


def line(record: Mapping[str, Any] | bytes) -> bytes:
    """A record as it stands in a file."""
    return record if isinstance(record, bytes) else json.dumps(record, ensure_ascii=False).encode()


@dataclass
class Taken:
    """What became of records that went in together.

    Attributes:
        groups: What was separated, one entry a shape.
        unknown: Records that no contract claims.
    """

    groups: list[Separated]
    unknown: list[Held]

    @property
    def held(self) -> list[str]:
        """Reason codes of the records that are sealed whole."""
        return [entry.code for entry in self.unknown] + [held.code for g in self.groups for held in g.held]

    def rows(self, table: str = "") -> list[dict[str, Any]]:
        """Rows of a telemetry table (without `telemetry/`), or of all of them."""
        return [
            row
            for group in self.groups
            for name, rows in group.telemetry.items()
            if name == f"telemetry/{table}" or not table
            for row in rows.to_pylist()
        ]

    def row(self, table: str) -> dict[str, Any]:
        """The only row of a telemetry table."""
        (found,) = self.rows(table)
        return found

    def roster(self) -> list[dict[str, Any]]:
        return [row for g in self.groups if g.roster is not None for row in g.roster.to_pylist()]

    def cuts(self) -> list[CutOut]:
        return [cut for group in self.groups for cut in group.content]

    def sealed(self) -> dict[str, list[Part]]:
        """Parts of all items by kind."""
        found: dict[str, list[Part]] = {}
        for cut in self.cuts():
            for item in cut.framed.to_pylist():
                (framed,) = split_prefixed(item)
                found.setdefault(cut.kind, []).extend(unframe_parts(framed))
        return found

    def in_clear(self) -> str:
        """All that leaves separation unsealed, as one text."""
        tables = [rows for group in self.groups for rows in group.telemetry.values()]
        tables += [group.roster for group in self.groups if group.roster is not None]
        tables += [cut.rows for cut in self.cuts() if cut.rows is not None]
        counts = [(g.separated, g.dropped, g.misfits, g.drift, g.held) for g in self.groups]
        return repr([table.to_pylist() for table in tables]) + repr(counts) + repr(self.unknown)


def separator(contracts: ContractSet | None = None, source: str = "auto") -> Separator:
    return Separator(contracts or bundled(), source, spaces(), digester())


def take(
    *records: Mapping[str, Any] | bytes, contracts: ContractSet | None = None, source: str = "auto"
) -> Taken:
    """Separate records that stand in one block."""
    worker = separator(contracts, source)
    lines = [line(record) for record in records]
    groups, unknown = worker.route(lines)
    made = [worker.separate(shape, [lines[index] for index in indexes]) for shape, indexes in groups]
    return Taken(made, unknown)


def opened_items(keys: Iterable[KeyRow], blobs: Iterable[BlobRow]) -> dict[bytes, bytes]:
    """Framed bytes of every sealed item by its id; every blob must open."""
    opener = VaultOpener(load_release_keys(key_folder() / "release"), keys)
    found: dict[bytes, bytes] = {}
    for blob in blobs:
        for item in opener.open_blob(blob):
            assert item.item_id not in found
            found[item.item_id] = item.framed
    return found


def table_rows(store: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a store's table, none where it has no such table."""
    state = Store.open(str(store))
    return state.read_table(name).to_pylist() if name in state.tables() else []


def opened_store(store: Path) -> dict[bytes, bytes]:
    """All that a store keeps sealed, by item id."""
    keys = [KeyRow(**row) for row in table_rows(store, QUARANTINE_KEYS)]
    return opened_items(keys, [BlobRow(**row) for row in table_rows(store, QUARANTINE_BLOBS)])


def text_column(*cells: str | None) -> pa.Array:
    return pa.array(cells, pa.string())
