"""Reading the files that a store's manifests name, as one table whatever versions their columns are of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import (
    FILTERS,
    FIXED_TABLES,
    QUARANTINE_BLOBS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
)
from transforms.manifests import FileRecord
from transforms.store_files import StoreFiles

_BATCH_ROWS = 1 << 16
_AHEAD = {"batch_readahead": 1, "fragment_readahead": 1}
"""Arrow reads 16 batches of 4 files ahead unless it is told otherwise, which can be a whole table."""

_PIECE_BYTES = 1 << 20

_SEALED = (QUARANTINE_BLOBS, QUARANTINE_KEYS, QUARANTINE_REJECTED)
"""Tables of ciphertext, which authenticates itself, but no days and reasons beside it (`Store.checked`)."""

BELIEVED = frozenset(FIXED_TABLES) - {*_SEALED, RELEASED, FILTERS}
"""Tables that decide what is released and what is destroyed, and that nothing but their digest protects."""


def check_size(files: StoreFiles, record: FileRecord) -> None:
    """Check that a file is there with the size that its manifest states.

    Raises:
        InfrastructureFault: With code ``STORE_FILE_MISSING`` or ``STORE_FILE_SIZE``.
    """
    size = files.size(record.path)
    if size is None:
        raise InfrastructureFault(
            "STORE_FILE_MISSING",
            f"{record.path} is not there, but a manifest names it; restore it from a backup",
        )
    if size != record.size:
        raise InfrastructureFault(
            "STORE_FILE_SIZE", f"{record.path} has {size} bytes instead of {record.size}; restore it"
        )


def check_content(files: StoreFiles, record: FileRecord) -> None:
    """Check that a file has the bytes that its manifest states.

    Raises:
        InfrastructureFault: With code ``STORE_FILE_DIGEST``, or as ``check_size``.
    """
    check_size(files, record)
    if digest_of(files, record) != record.sha256:
        raise _changed(record)


def digest_of(files: StoreFiles, record: FileRecord) -> str:
    """SHA-256 (hex) of a file that is there, read piece by piece.

    Raises:
        InfrastructureFault: It cannot be read (``STORE_FILE_BROKEN``).
    """
    digest = hashlib.sha256()
    with _faults(record.table), files.arrow().open_input_stream(record.path) as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def schema_of(files: StoreFiles, table: str, records: list[FileRecord]) -> pa.Schema:
    """The columns of all files together; the newest file's words and order lead.

    Raises:
        ConfigurationError: No file and no fixed schema (``STORE_NO_TABLE``), or types that do not go together
            (``STORE_SCHEMAS_DIFFER``).
    """
    distinct = {record.schema or record.path: record for record in records}
    found = [_footer_schema(files, record) for record in reversed(distinct.values())]
    if not found:
        if table in FIXED_TABLES:
            return FIXED_TABLES[table]
        raise ConfigurationError("STORE_NO_TABLE", "there is no such table; `cofferdam tables` lists them")
    try:
        return pa.unify_schemas(found, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise ConfigurationError(
            "STORE_SCHEMAS_DIFFER",
            f"files of {table} have columns of one name and types that do not go together; read them by file",
        ) from None


def read(
    files: StoreFiles,
    table: str,
    records: list[FileRecord],
    columns: list[str] | None,
    limit: int | None,
    where: Any,
) -> pa.Table:
    """Rows of some files as one table."""
    # A look at a few rows decides nothing, and need not read the whole table.
    schema, dataset = _dataset(files, table, records, decides=limit is None)
    wanted = _chosen(schema, columns)
    with _faults(table):
        if limit is None:
            rows = dataset.to_table(columns=wanted.names, filter=where)
        else:
            rows = dataset.head(limit, columns=wanted.names, filter=where)
        return rows.cast(wanted)


def scan(
    files: StoreFiles, table: str, records: list[FileRecord], columns: list[str] | None, where: Any
) -> Iterator[pa.RecordBatch]:
    """Rows of some files in batches."""
    schema, dataset = _dataset(files, table, records)
    wanted = _chosen(schema, columns)
    with _faults(table):
        batches = dataset.to_batches(columns=wanted.names, filter=where, batch_size=_BATCH_ROWS, **_AHEAD)
        for batch in batches:
            if batch.num_rows:
                yield batch.cast(wanted)


def filters(files: StoreFiles, records: Iterable[FileRecord]) -> dict[str, bytes]:
    """The filter of each file that has one, by path.

    Raises:
        InfrastructureFault: A file of filters was changed (``STORE_FILE_DIGEST``): a filter that misses a
            person would let their rows outlive an erasure.
    """
    found: dict[str, bytes] = {}
    for record in records:
        check_size(files, record)
        content = files.read(record.path)
        if hashlib.sha256(content).hexdigest() != record.sha256:
            raise _changed(record)
        with _faults(record.table):
            rows = pq.read_table(pa.BufferReader(content))
        found.update(zip(rows["path"].to_pylist(), rows["filter"].to_pylist(), strict=True))
    return found


def _changed(record: FileRecord) -> InfrastructureFault:
    return InfrastructureFault(
        "STORE_FILE_DIGEST", f"{record.path} was changed after its commit; restore it from a backup"
    )


def _dataset(
    files: StoreFiles, table: str, records: list[FileRecord], *, decides: bool = True
) -> tuple[pa.Schema, pads.Dataset]:
    check = check_content if decides and table in BELIEVED else check_size
    for record in records:
        check(files, record)
    schema = schema_of(files, table, records)
    if not records:
        return schema, pads.dataset(schema.empty_table())
    paths = [record.path for record in records]
    return schema, pads.dataset(paths, schema=schema, format="parquet", filesystem=files.arrow())


def _chosen(schema: pa.Schema, columns: list[str] | None) -> pa.Schema:
    if columns is None:
        return schema
    if unknown := [name for name in columns if name not in schema.names]:
        raise ConfigurationError("STORE_NO_COLUMN", f"there is no column {', '.join(unknown)} in this table")
    return pa.schema([schema.field(name) for name in columns])


def _footer_schema(files: StoreFiles, record: FileRecord) -> pa.Schema:
    check_size(files, record)
    with _faults(record.path):
        return pq.read_schema(record.path, filesystem=files.arrow())


@contextmanager
def _faults(what: str) -> Iterator[None]:
    """Turn Arrow's errors, whose text may quote a value, into ours."""
    try:
        yield
    except (pa.ArrowException, OSError):
        raise InfrastructureFault(
            "STORE_FILE_BROKEN",
            f"a file of {what} cannot be read; `cofferdam inspect --verify` names it",
        ) from None
