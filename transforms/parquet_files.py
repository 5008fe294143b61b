"""Writing the Parquet files of a table from a worker: streamed, partitioned, and unseen until a commit.

Every file gets a unique final name at once; nothing is renamed and nothing lies in a temporary folder. A file
that no manifest names does not exist for any reader, so a worker may die at any point.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.classification import Lane
from schemas.errors import PromiseBroken
from schemas.tables import OPAQUE, REPEATING, fact, holds_identifier, inherited, lane_of_column, leaves
from transforms.manifests import FileRecord, check_run_id, check_table_name
from transforms.membership_filter import FilterBuilder
from transforms.partitioning import Partitioning
from transforms.store_files import NewFile, StoreFiles

ROW_GROUP_ROWS = 1 << 17  # readers skip by row group; below 64k rows dictionaries and zstd lose much
ROW_GROUP_BYTES = 24 << 20  # sealed blobs are large: few of them make a row group
BUFFERED_BYTES = 64 << 20  # rows of all tables of a bundle that wait for a full row group
FILE_ROWS = 1 << 20  # erasing one person rewrites the whole files that hold them
FILE_BYTES = 256 << 20
OPEN_FILES = 64  # each holds its writer's buffers
ZSTD_LEVEL = 1


def schema_digest(schema: pa.Schema) -> str:
    """Digest of a schema with its words; equal for files of the same columns."""
    return hashlib.sha256(schema.serialize().to_pybytes()).hexdigest()[:16]


class WriteBudget:
    """What the writers of one worker may hold together: rows that wait, and open files.

    When it is spent, the largest waiting rows become a row group early, and the file that was used least
    recently is finished.

    Args:
        buffered_bytes: Bytes of rows that may wait.
        open_files: Files that may be open.
    """

    def __init__(self, buffered_bytes: int = BUFFERED_BYTES, open_files: int = OPEN_FILES) -> None:
        self._buffered_bytes, self._open_files = buffered_bytes, open_files
        self._parts: dict[_Part, None] = {}

    def used(self, part: _Part) -> None:
        """A part of a writer was used; it stands last now."""
        self._parts.pop(part, None)
        self._parts[part] = None

    def forget(self, part: _Part) -> None:
        """A part was finished."""
        self._parts.pop(part, None)

    def keep(self) -> None:
        """Write and finish what is over the budget."""
        while sum([part.bytes for part in self._parts]) > self._buffered_bytes:
            max(self._parts, key=lambda part: part.bytes).flush()
        opened = [part for part in self._parts if part.file]
        for part in opened[: max(0, len(opened) - self._open_files)]:
            part.finish()


class TableWriter:
    """Writes one table's rows of one worker to new files of a store.

    Use it as a context manager: leaving it by an exception deletes what was written. ``close`` hands
    back what a commit needs.

    Args:
        files: The store's files.
        run_id: Run that the files belong to; it is a part of their names.
        table: Table's name, which is its folder in the store.
        schema: The table's schema, made of ``schemas.tables.column``. Columns and nested fields classified as
            pseudonyms go into each file's filter.
        partitioning: How rows fall into folders; None for one folder.
        budget: Shared by the writers of one worker; None for one of its own.
    """

    def __init__(
        self,
        files: StoreFiles,
        run_id: str,
        table: str,
        schema: pa.Schema,
        partitioning: Partitioning | None = None,
        budget: WriteBudget | None = None,
    ) -> None:
        check_run_id(run_id)
        check_table_name(table)
        self._files, self._run_id, self._table, self._schema = files, run_id, table, schema
        self._partitioning = partitioning or Partitioning()
        self._budget = budget or WriteBudget()
        self._parts: dict[str, _Part] = {}
        self._records: list[FileRecord] = []

    def append(self, rows: pa.Table, members: Iterable[str | bytes] = ()) -> None:
        """Take rows in; they reach the disk in row groups.

        Args:
            rows: A table with the schema's columns, in any order.
            members: Further pseudonyms that these rows are about and no column of theirs holds.

        Raises:
            PromiseBroken: The rows do not have the table's columns (``STORE_SCHEMA``), or a partition column
                holds a value outside its closed set (``STORE_PATH_VALUE``).
            InfrastructureFault: The rows cannot be written (``STORE_DISK_FULL``, ``STORE_FILE_FAILED``).
        """
        extra = list(members)
        for folder, part_rows in self._partitioning.split(conformed(rows, self._schema)):
            part = self._parts.get(folder)
            if part is None:
                part = self._parts[folder] = _Part(self, folder)
            part.add(part_rows, extra)
            self._budget.used(part)
            if part.is_full_group():
                part.flush()
        self._budget.keep()

    def close(self) -> list[FileRecord]:
        """Finish all files and say what they are; they are durable then, and the caller's."""
        for part in list(self._parts.values()):
            part.finish()
        records, self._records = self._records, []
        return records

    def abandon(self) -> None:
        """Delete what was written so far; not what ``close`` handed over, which may be committed already."""
        for part in self._parts.values():
            self._budget.forget(part)
            if part.file:
                part.file.abandon()
        for record in self._records:
            self._files.delete(record.path)
        self._parts, self._records = {}, []

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()

    def begin_file(self, folder: str) -> _OpenFile:
        """A new file of this table, under a name that no other has."""
        name = f"{self._run_id}-{secrets.token_hex(8)}.parquet"
        path = "/".join(filter(None, (self._table, folder, name)))
        return _OpenFile(self._files, path, self._table, self._schema)

    def take(self, part: _Part, record: FileRecord) -> None:
        """Take the record of a part that has finished."""
        self._records.append(record)
        self._parts.pop(part.folder, None)
        self._budget.forget(part)


class _Part:
    """The rows of one partition that wait, and the file that they will go to."""

    def __init__(self, writer: TableWriter, folder: str) -> None:
        self.folder = folder
        self.file: _OpenFile | None = None
        self.rows = self.bytes = 0
        self._writer = writer
        self._tables: list[pa.Table] = []
        self._members: set[str | bytes] = set()

    def add(self, rows: pa.Table, members: Iterable[str | bytes]) -> None:
        self._tables.append(rows)
        self._members.update(members)
        self.rows += rows.num_rows
        self.bytes += rows.nbytes

    def is_full_group(self) -> bool:
        return self.rows >= ROW_GROUP_ROWS or self.bytes >= ROW_GROUP_BYTES

    def flush(self) -> None:
        """Write what waits as one row group; a file that has become large is finished."""
        if self.file is None:
            self.file = self._writer.begin_file(self.folder)
        waiting, members = pa.concat_tables(self._tables), self._members
        self._tables, self._members, self.rows, self.bytes = [], set(), 0, 0
        self.file.write(waiting, members)
        if self.file.is_large():
            self.finish()

    def finish(self) -> None:
        """Write what waits and hand the file's record to the writer."""
        if self.rows:
            self.flush()
        if self.file is not None:
            record = self.file.close()
            self.file = None
            self._writer.take(self, record)


class _OpenFile:
    """A Parquet file that is being written, with its digest and its filter."""

    def __init__(self, files: StoreFiles, path: str, table: str, schema: pa.Schema) -> None:
        self._path, self._table, self._schema = path, table, schema
        self._sink = _HashingSink(files.open_new(path))
        self._filter = FilterBuilder()
        self._rows = 0
        try:
            self._writer = pq.ParquetWriter(self._sink, schema, **storage_options(schema))
        except BaseException:
            self._sink.abandon()
            raise

    def write(self, rows: pa.Table, members: Iterable[str | bytes]) -> None:
        self._writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
        self._rows += rows.num_rows
        self._filter.add(members)
        for values in _identifiers(rows):
            self._filter.add_column(values)

    def is_large(self) -> bool:
        return self._rows >= FILE_ROWS or self._sink.tell() >= FILE_BYTES

    def close(self) -> FileRecord:
        self._writer.close()
        self._sink.finish()
        return FileRecord(
            path=self._path,
            table=self._table,
            rows=self._rows,
            size=self._sink.tell(),
            sha256=self._sink.hexdigest(),
            schema=schema_digest(self._schema),
            filter=self._filter.build(),
        )

    def abandon(self) -> None:
        self._sink.abandon()
        self._writer.is_open = False  # else it would write its footer when it is collected


class _HashingSink:
    """What Arrow writes a file to: it counts and digests the bytes on their way to the disk."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._written = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        if self.closed:
            return len(data)
        self._file.write(data)
        self._digest.update(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Arrow asks for it after every row group; only the end must be durable."""

    def close(self) -> None:
        self.closed = True

    def finish(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self.closed = True
        self._file.abandon()

    def hexdigest(self) -> str:
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with exactly a schema's columns, types and words.

    Raises:
        PromiseBroken: They do not have these columns or cannot take these types (``STORE_SCHEMA``).
    """
    if sorted(rows.column_names) != sorted(schema.names):
        raise _schema_differs()
    rows = rows.select(schema.names)
    if rows.schema.equals(schema, check_metadata=True):
        return rows
    try:
        return rows.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        raise _schema_differs() from None  # Arrow's text quotes the value that does not fit


def _schema_differs() -> PromiseBroken:
    return PromiseBroken(
        "STORE_SCHEMA", "rows do not fit the schema of their table; none of them was written"
    )


def storage_options(schema: pa.Schema) -> dict[str, object]:
    """How each leaf column is stored: options of ``pyarrow.parquet.ParquetWriter``.

    Sealed bytes get neither dictionary, compression nor statistics: they do not repeat, do not shrink, and a
    footer must not hold any of them. The least and largest pseudonym or measurement of a row group would
    spare no reader a row group either, and finding them costs a fifth of writing.
    """
    columns = dict(leaves(schema))
    kinds = {path: fact(field, "storage") for path, field in columns.items()}
    repeating = [path for path, kind in kinds.items() if kind == REPEATING]
    return {
        "compression": {path: "none" if kind == OPAQUE else "zstd" for path, kind in kinds.items()},
        "compression_level": {path: ZSTD_LEVEL for path, kind in kinds.items() if kind != OPAQUE},
        "use_dictionary": repeating,
        "write_statistics": [path for path in repeating if _tells_groups_apart(columns[path])],
    }


def _tells_groups_apart(field: pa.Field) -> bool:
    return not holds_identifier(field) and lane_of_column(field) != Lane.SERVICE


def _identifiers(rows: pa.Table) -> Iterator[pa.Array | pa.ChunkedArray]:
    """Each column, and each field inside a column, that holds pseudonyms."""
    for field, values in zip(rows.schema, rows.columns, strict=True):
        if not pa.types.is_nested(field.type):
            if holds_identifier(field):
                yield values
            continue
        for chunk in values.chunks:
            yield from _identifiers_in(field, chunk)


def _identifiers_in(field: pa.Field, values: pa.Array) -> Iterator[pa.Array]:
    for child, inner in _inside(field, values):
        if pa.types.is_nested(child.type):
            yield from _identifiers_in(child, inner)
        elif holds_identifier(child):
            yield inner


def _inside(field: pa.Field, values: pa.Array) -> Iterator[tuple[pa.Field, pa.Array]]:
    """The fields right inside a nested one, with their values."""
    if pa.types.is_struct(field.type):
        for child, inner in zip(field.type, values.flatten(), strict=True):
            yield inherited(child, field), inner
    else:
        yield inherited(field.type.value_field, field), values.flatten()
