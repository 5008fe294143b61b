"""Digests on their way from the steps that make them to those that compare them: files by shard.

A runner that works in memory would hold what it shuffles several times over, and digests are the one thing
that every record adds to. So they wait in the store, in files that no manifest names, and only the names of
these files travel. When the run has committed, they are deleted; those of a run that failed are garbage like
whatever else it wrote (`cofferdam gc`). Digests are keyed: in these files they say no more than in the
digests table.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import pyarrow as pa

from schemas.errors import CofferdamError
from schemas.tables import DIGESTS
from transforms.arrow_coder import ArrowTableCoder
from transforms.duplicates import shards_of
from transforms.store_files import NewFile, StoreFiles, open_files

ROWS_AT_ONCE = 1 << 16
_LENGTH_BYTES = 8

_coder = ArrowTableCoder()


class ShardFiles:
    """Writes the digests of one bundle to a file for each shard.

    Use it as a context manager, or close or abandon it: leaving it by an exception deletes what was written.

    Args:
        files: The store's files.
        run_id: Run that the files belong to; it is a part of their names.
    """

    def __init__(self, files: StoreFiles, run_id: str) -> None:
        self._files, self._run_id = files, run_id
        self._open: dict[int, tuple[str, NewFile]] = {}
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, tables: Iterable[pa.Table]) -> None:
        """Take digests in (``DIGEST_SCHEMA``); few of them wait in memory."""
        for table in tables:
            self._waiting.append(table)
            self._rows += table.num_rows
            if self._rows >= ROWS_AT_ONCE:
                self._flush()

    def close(self) -> list[tuple[int, str]]:
        """Finish the files: shard and path of each."""
        self._flush()
        written = []
        for shard, (path, file) in sorted(self._open.items()):
            file.close()
            written.append((shard, path))
        self._open.clear()
        return written

    def abandon(self) -> None:
        """Delete what was written."""
        for _, file in self._open.values():
            file.abandon()
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()

    def _flush(self) -> None:
        if self._rows:
            for shard, part in shards_of(pa.concat_tables(self._waiting)):
                encoded = _coder.encode(part)
                file = self._file_of(shard)
                file.write(len(encoded).to_bytes(_LENGTH_BYTES, "big"))
                file.write(encoded)
        self._waiting, self._rows = [], 0

    def _file_of(self, shard: int) -> NewFile:
        if shard not in self._open:
            path = f"{DIGESTS}/{self._run_id}-{secrets.token_hex(8)}.arrows"
            self._open[shard] = (path, self._files.open_new(path))
        return self._open[shard][1]


def read_shard(store: str, paths: Iterable[str]) -> Iterator[pa.Table]:
    """The digests in files of one shard.

    Raises:
        InfrastructureFault: A file cannot be read.
    """
    files = open_files(store)
    for path in paths:
        content = memoryview(files.read(path))
        at = 0
        while at < len(content):
            start = at + _LENGTH_BYTES
            at = start + int.from_bytes(content[start - _LENGTH_BYTES : start], "big")
            yield _coder.decode(bytes(content[start:at]))


def remove_shards(store: str, paths: Iterable[str]) -> None:
    """Delete files of shards; what cannot be deleted now is left to ``cofferdam gc``."""
    files = open_files(store)
    for path in paths:
        try:
            files.delete(path)
        except CofferdamError:
            return
