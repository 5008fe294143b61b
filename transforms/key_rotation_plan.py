"""What a rotation has to move: the files that hold keys under an older vault key. Reads ids only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, QUARANTINE_KEYS
from transforms.manifests import FileRecord
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA, KeyRow
from transforms.store import Store

_PLACES: Final = ["key_id", "covers", "wrapping_key_id"]


@dataclass(frozen=True)
class KeyFile:
    """What a file of the keys table holds of older vault keys.

    Attributes:
        record: The file.
        bundles: Its own bundle keys under an older vault key.
        wraps: Number of data keys in it by their bundle key, of bundle keys under an older vault key.
        lost: Data keys in it whose bundle key has no row; nothing can be done for them.
    """

    record: FileRecord
    bundles: frozenset[bytes]
    wraps: Mapping[bytes, int]
    lost: tuple[bytes, ...]


@dataclass(frozen=True)
class RotationPlan:
    """What is to be moved.

    Attributes:
        vault_id: The vault key that everything is moved to.
        files: Files that hold something of older vault keys, or something lost.
        vaults: Vault keys of each bundle key that is under an older one.
    """

    vault_id: bytes
    files: tuple[KeyFile, ...]
    vaults: Mapping[bytes, frozenset[bytes]]

    @property
    def data_keys(self) -> int:
        """Data keys to be wrapped anew."""
        return sum(sum(file.wraps.values()) for file in self.files)

    @property
    def moving(self) -> tuple[KeyFile, ...]:
        """Files that are to be written anew."""
        return tuple(file for file in self.files if file.wraps or file.bundles)

    @property
    def lost(self) -> tuple[bytes, ...]:
        """Data keys whose bundle key has no row."""
        return tuple(key_id for file in self.files for key_id in file.lost)


def plan_rotation(store: Store, vault_id: bytes) -> RotationPlan:
    """Find what is under another vault key than this one.

    Args:
        store: The store.
        vault_id: Id (16 bytes) of the newest vault key.
    """
    records = store.files(QUARANTINE_KEYS)
    vaults: dict[bytes, set[bytes]] = defaultdict(set)
    for record in records:
        for key_id, wrapping in _bundles(_places(store, record, pc.field("covers") == COVERS_BUNDLE)):
            vaults[key_id].add(wrapping)
    older = {key_id: frozenset(found) for key_id, found in vaults.items() if found != {vault_id}}
    # One file's ids at a time: those of a large store together would not fit into memory.
    files = (_key_file(record, _places(store, record), vault_id, vaults, older) for record in records)
    return RotationPlan(vault_id, tuple(file for file in files if file is not None), older)


def _places(store: Store, record: FileRecord, where: pc.Expression | None = None) -> pa.Table:
    schema = pa.schema([FIXED_TABLES[QUARANTINE_KEYS].field(name) for name in _PLACES])
    batches = store.scan(QUARANTINE_KEYS, _PLACES, where, [record])
    return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _bundles(rows: pa.Table) -> Iterator[tuple[bytes, bytes]]:
    """Bundle keys with the vault key that each is under."""
    chosen = rows.filter(pc.equal(rows.column("covers"), COVERS_BUNDLE))
    names = ("key_id", "wrapping_key_id")
    return zip(*(chosen.column(name).to_pylist() for name in names), strict=True)


def _wraps(rows: pa.Table) -> dict[bytes, int]:
    """Bundle keys with the number of data keys under each."""
    chosen = rows.filter(pc.equal(rows.column("covers"), COVERS_DATA))
    counts = pc.value_counts(chosen.column("wrapping_key_id").cast(pa.binary()))
    return {entry["values"]: entry["counts"] for entry in counts.to_pylist()}


def _key_file(
    record: FileRecord,
    rows: pa.Table,
    vault_id: bytes,
    known: Mapping[bytes, object],
    older: Mapping[bytes, object],
) -> KeyFile | None:
    bundles = {key_id for key_id, wrapping in _bundles(rows) if wrapping != vault_id}
    wraps = _wraps(rows)
    unknown = [bundle for bundle in wraps if bundle not in known]
    lost = pc.is_in(rows.column("wrapping_key_id").cast(pa.binary()), pa.array(unknown, pa.binary()))
    is_data = pc.equal(rows.column("covers"), COVERS_DATA)
    named = rows.filter(pc.and_(lost, is_data)).column("key_id").to_pylist() if unknown else []
    moving = {bundle: number for bundle, number in wraps.items() if bundle in older}
    if not (bundles or moving or named):
        return None
    return KeyFile(record, frozenset(bundles), moving, tuple(named))


def key_file_of(store: Store, record: FileRecord) -> KeyFile:
    """A file with all bundle keys that its data keys are under, whatever vault key those are under."""
    rows = _places(store, record)
    return KeyFile(record, frozenset(key_id for key_id, _ in _bundles(rows)), _wraps(rows), ())


# --- rows ---------------------------------------------------------------------------------------------------


def read_key_rows(
    store: Store, records: Iterable[FileRecord], where: pc.Expression | None = None
) -> Iterator[list[KeyRow]]:
    """Rows of some files of the keys table, in batches."""
    for batch in store.scan(QUARANTINE_KEYS, where=where, records=records):
        yield [KeyRow(**row) for row in batch.to_pylist()]


def bundle_rows(store: Store, file: KeyFile) -> list[KeyRow]:
    """Rows of the bundle keys that the data keys of a file are under; most lie in the file itself."""
    found = _bundle_rows(store, [file.record], set(file.wraps))
    if elsewhere := set(file.wraps) - {row.key_id for row in found}:
        found += _bundle_rows(store, store.files(QUARANTINE_KEYS), elsewhere)
    return found


def _bundle_rows(store: Store, records: Iterable[FileRecord], wanted: set[bytes]) -> list[KeyRow]:
    ids = pa.array(sorted(wanted), FIXED_TABLES[QUARANTINE_KEYS].field("key_id").type)
    where = pc.field("key_id").isin(ids) & (pc.field("covers") == COVERS_BUNDLE)
    return [row for rows in read_key_rows(store, records, where) for row in rows]


def key_table(rows: Iterable[KeyRow]) -> pa.Table:
    """Rows as the keys table has them."""
    return pa.Table.from_pylist([row._asdict() for row in rows], FIXED_TABLES[QUARANTINE_KEYS])
