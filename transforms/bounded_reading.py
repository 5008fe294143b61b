"""Read Parquet files in small batches, row group by row group: memory does not grow with a file.

Left to itself Arrow fetches all row groups of a file ahead, and a dataset decodes whole row groups of several
files at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import InfrastructureFault
from transforms import store_reading
from transforms.manifests import FileRecord
from transforms.store_files import StoreFiles


def row_batches(file: pq.ParquetFile, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """Rows of an open file.

    Args:
        file: The file.
        columns: Columns to read.
        rows: Rows of a batch at most.
    """
    for group in range(file.metadata.num_row_groups):
        # One thread: each of several would keep memory of its own.
        batches = file.iter_batches(
            batch_size=rows, row_groups=[group], columns=list(columns), use_threads=False
        )
        for batch in batches:
            yield pa.Table.from_batches([batch])


def release_memory() -> None:
    """Give back what is not used any more."""
    pa.default_memory_pool().release_unused()


def scan_rows(
    files: StoreFiles, table: str, record: FileRecord, schema: pa.Schema, rows: int
) -> Iterator[pa.Table]:
    """Rows of a file of a store, as some columns; those that the file does not have are null.

    Args:
        files: The store's files.
        table: The table.
        record: The file; it is checked as `Store.scan` checks it.
        schema: Columns to read, with the types that they shall have.
        rows: Rows of a batch at most.

    Raises:
        InfrastructureFault: The file is not the one that was committed, or cannot be read.
    """
    if table in store_reading.BELIEVED:
        store_reading.check_content(files, record)
    else:
        store_reading.check_size(files, record)
    try:
        with pq.ParquetFile(record.path, filesystem=files.arrow()) as file:
            there = set(file.schema_arrow.names)
            known = [name for name in schema.names if name in there]
            for batch in row_batches(file, known, rows):
                yield _as(batch, schema)
    except (pa.ArrowException, OSError):
        raise InfrastructureFault(
            "STORE_FILE_BROKEN",
            f"a file of {table} cannot be read; `cofferdam inspect --verify` names it",
        ) from None


def _as(batch: pa.Table, schema: pa.Schema) -> pa.Table:
    there = set(batch.column_names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in there
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
