"""The store: what a run commits at once, what readers see, and what may be deleted.

    STORE/format.json            the store's format version
    STORE/manifests/…            which files exist (see ``manifests``)
    STORE/<table>/…              Parquet files, in folders named by closed values and days

A ``Store`` is one state of it: it sees the files that the manifests named when it was opened, whatever is
written meanwhile. Changing a store gives a new ``Store``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import FILTERS, FIXED_TABLES, NEVER_REPLACED, STORE_FORMAT_VERSION
from transforms import store_reading
from transforms.manifest_seal import ManifestSeal
from transforms.manifests import (
    FileRecord,
    Manifest,
    Snapshot,
    check_run_id,
    fold,
    load_snapshot,
    too_new,
)
from transforms.membership_filter import may_hold
from transforms.parquet_files import TableWriter, WriteBudget
from transforms.partitioning import Partitioning
from transforms.store_files import StoreFiles, open_files

FORMAT_FILE = "format.json"


def new_run_id(now: datetime) -> str:
    """A run id that sorts by time and that no other run has, such as ``20260102t030405z-1f0c…``."""
    return f"{now.astimezone(UTC):%Y%m%dt%H%M%Sz}-{secrets.token_hex(6)}"


class Store:
    """One state of a store.

    Attributes:
        files_of_store: The file operations, for ``TableWriter`` and ``gc``.
        snapshot: The manifests that this state is made of.
        seal: Checks that the store's keys wrote the manifests, and seals what is committed; None to read
            without the keys, believing the manifests.
    """

    def __init__(self, files: StoreFiles, seal: ManifestSeal | None = None) -> None:
        self.files_of_store = files
        self.snapshot: Snapshot = load_snapshot(files)
        self.seal = seal
        if seal is not None:
            seal.check(self.snapshot)

    # --- opening ------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, root: str | Path, seal: ManifestSeal | None = None) -> Store:
        """Open a store.

        Args:
            root: Its folder.
            seal: The seal of its manifests; whatever decides, opens, destroys or commits needs it.

        Raises:
            ConfigurationError: There is no store (``STORE_NOT_FOUND``), or it is newer than this software
                (``STORE_TOO_NEW``).
            InfrastructureFault: The store is damaged; the message names the file.
            PromiseBroken: A manifest was not written with the store's keys (``STORE_MANIFEST_SEAL``).
        """
        return cls.of(open_files(root), seal)

    @classmethod
    def of(cls, files: StoreFiles, seal: ManifestSeal | None = None) -> Store:
        """Open the store that these files are."""
        _check_format(files)
        return cls(files, seal)

    @classmethod
    def at(cls, root: str | Path, base: str) -> Store:
        """Open a store in the state that a run began with, which the launching process has checked.

        Args:
            root: Its folder.
            base: SHA-256 of its last manifest; by it, of all of them.

        Raises:
            InfrastructureFault: The store is damaged, or has changed since (``STORE_CHANGED``).
        """
        store = cls.open(root)
        if store.snapshot.last_digest != base:
            raise _changed()
        return store

    @classmethod
    def open_or_create(cls, root: str | Path, seal: ManifestSeal | None = None) -> Store:
        """Open a store, or make one in a folder that is not there or empty.

        Raises:
            ConfigurationError: As ``open``; or the folder holds other things (``STORE_NOT_EMPTY``).
        """
        files = open_files(root)
        if files.size(FORMAT_FILE) is None:
            _refuse_occupied(files)
            files.create(FORMAT_FILE, json.dumps({"version": STORE_FORMAT_VERSION}).encode() + b"\n")
        return cls.of(files, seal)

    @property
    def root(self) -> str:
        """Where the store is, as it was named."""
        return self.files_of_store.root

    @property
    def version(self) -> int:
        """Number of the last manifest; 0 for a store in which nothing was committed."""
        return len(self.snapshot.manifests)

    def refreshed(self) -> Store:
        """The store as it is now."""
        return Store.of(self.files_of_store, self.seal)

    # --- writing ------------------------------------------------------------------------------------------

    @contextmanager
    def writing(self, run_id: str) -> Iterator[Store]:
        """Keep other writers out while a run works; gives the store as it was when the lock was taken.

        Raises:
            InfrastructureFault: Another writer is at work (``STORE_LOCKED``).
        """
        check_run_id(run_id)
        with self.files_of_store.lock(run_id):
            yield self.refreshed()

    def writer(
        self,
        run_id: str,
        table: str,
        schema: pa.Schema | None = None,
        partitioning: Partitioning | None = None,
        budget: WriteBudget | None = None,
    ) -> TableWriter:
        """A writer of one table; the schema of a fixed table need not be named."""
        chosen = schema or FIXED_TABLES[table]
        return TableWriter(self.files_of_store, run_id, table, chosen, partitioning, budget)

    def commit(
        self,
        run_id: str,
        adds: Iterable[FileRecord],
        facts: Mapping[str, Any],
        removes: Iterable[str] = (),
    ) -> Store:
        """Make a run's files exist, and others exist no longer, all at once.

        Running it again for the same run and the same change returns the store without changing it.

        Args:
            run_id: The run; it commits once.
            adds: Files that were written, as their writers described them.
            facts: What the run states about itself, as JSON can hold it; no value from an event.
            removes: Paths of files that are replaced. They are deleted by ``gc``, not here.

        Returns:
            The store after the commit.

        Raises:
            InfrastructureFault: A file is missing or has another size (``STORE_FILE_MISSING``,
                ``STORE_FILE_SIZE``); another writer committed since this state was read (``STORE_CHANGED``);
                the run committed something else before (``STORE_RUN_EXISTS``); or the store is sealed and was
                opened without its seal (``STORE_SEAL_NEEDED``).
        """
        change = self._change(run_id, adds, facts, removes)
        now = self.refreshed()
        if (earlier := now.snapshot.of_run(run_id)) is not None:
            _check_same(earlier, change)
            return now
        if now.snapshot.last_digest != self.snapshot.last_digest:
            raise _changed()
        self._check_change(change)
        manifest = self._with_filters(change)
        if self.seal is not None:
            manifest = self.seal.of(manifest)
        if not self.files_of_store.create(manifest.path, manifest.encoded()):
            raise _changed()
        return self.refreshed()

    def _change(
        self, run_id: str, adds: Iterable[FileRecord], facts: Mapping[str, Any], removes: Iterable[str]
    ) -> Manifest:
        check_run_id(run_id)
        return Manifest(
            format=STORE_FORMAT_VERSION,
            number=self.version + 1,
            previous=self.snapshot.last_digest,
            run_id=run_id,
            adds=tuple(sorted(adds, key=lambda record: record.path)),
            removes=tuple(sorted(removes)),
            facts=dict(facts),
        )

    def _check_change(self, change: Manifest) -> None:
        if self.seal is None and any(manifest.seal for manifest in self.snapshot.manifests):
            raise InfrastructureFault(
                "STORE_SEAL_NEEDED", "the store's manifests are sealed; who commits to it needs its keys"
            )
        for path in change.removes:
            record = self.snapshot.live.get(path)
            if record is None or record.table.split("/")[0] in NEVER_REPLACED:
                raise InfrastructureFault("STORE_NOT_REMOVABLE", f"{path} is not a file that can be replaced")
        fold([*self.snapshot.manifests, change])
        for record in change.adds:
            store_reading.check_size(self.files_of_store, record)

    def _with_filters(self, change: Manifest) -> Manifest:
        """The change as its manifest names it, with filters in a file of their own, as they are large."""
        filters = [(record.path, record.filter) for record in change.adds if record.filter is not None]
        if not filters:
            return change
        paths, values = zip(*filters, strict=True)
        with self.writer(change.run_id, FILTERS) as writer:
            writer.append(pa.table({"path": paths, "filter": pa.array(values, pa.binary())}))
            own = writer.close()
        return msgspec.structs.replace(change, adds=tuple(map(_without_filter, (*change.adds, *own))))

    # --- reading ------------------------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of the tables that have files, sorted."""
        return sorted({record.table for record in self.snapshot.live.values()} - {FILTERS})

    def files(self, table: str) -> list[FileRecord]:
        """The files of a table, in the order in which they were committed."""
        return [record for record in self.snapshot.live.values() if record.table == table]

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table, of all its files together, with their words.

        Raises:
            ConfigurationError: There is no such table (``STORE_NO_TABLE``), or its files' columns cannot be
                read as one (``STORE_SCHEMAS_DIFFER``).
        """
        return store_reading.schema_of(self.files_of_store, table, self.files(table))

    def read_table(
        self, table: str, columns: list[str] | None = None, limit: int | None = None, where: Any = None
    ) -> pa.Table:
        """Rows of a table.

        Args:
            table: Its name, such as ``telemetry/zoom_participant``.
            columns: Columns to read; None for all.
            limit: At most so many rows.
            where: Which rows, as a ``pyarrow.compute`` expression.

        Raises:
            ConfigurationError: As ``schema``.
            InfrastructureFault: A file is missing (``STORE_FILE_MISSING``), has another size
                (``STORE_FILE_SIZE``), cannot be read (``STORE_FILE_BROKEN``) or, of the tables that decide
                about releases, is not the one that was committed (``STORE_FILE_DIGEST``).
        """
        records = self.files(table)
        return store_reading.read(self.files_of_store, table, records, columns, limit, where)

    def scan(
        self,
        table: str,
        columns: list[str] | None = None,
        where: Any = None,
        records: Iterable[FileRecord] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows of a table in batches; as ``read_table``, for tables that do not fit into memory.

        Args:
            table: Its name.
            columns: Columns to read; None for all.
            where: Which rows.
            records: Only these of the table's files.
        """
        chosen = self.files(table) if records is None else list(records)
        return store_reading.scan(self.files_of_store, table, chosen, columns, where)

    def checked(self, records: Iterable[FileRecord]) -> list[FileRecord]:
        """Some files, each with the bytes that its manifest states.

        Whoever decides by what stands in clear beside ciphertext asks for it: of such tables, reading alone
        compares the size.

        Raises:
            InfrastructureFault: A file is missing or was changed (``STORE_FILE_MISSING``,
                ``STORE_FILE_SIZE``, ``STORE_FILE_DIGEST``).
        """
        chosen = list(records)
        for record in chosen:
            store_reading.check_content(self.files_of_store, record)
        return chosen

    def files_holding(
        self, values: Iterable[str | bytes], tables: Iterable[str] | None = None
    ) -> list[FileRecord]:
        """Files that may hold one of some pseudonyms: all that do, and a few per thousand that do not.

        Args:
            values: Pseudonyms as the tables hold them, as text or as bytes.
            tables: Only files of these tables.
        """
        wanted = set(values)
        chosen = set(self.tables() if tables is None else tables)
        filters = store_reading.filters(self.files_of_store, self.files(FILTERS))
        return [
            record
            for record in self.snapshot.live.values()
            if record.table in chosen
            and (record.path not in filters or may_hold(filters[record.path], wanted))
        ]

    def check(self, digests: bool = False) -> None:
        """Check that every file is there with its size, and if asked, with its digest.

        Raises:
            InfrastructureFault: As ``read_table``; or a digest differs (``STORE_FILE_DIGEST``).
        """
        for record in self.snapshot.live.values():
            store_reading.check_size(self.files_of_store, record)
            if digests and hashlib.sha256(self.files_of_store.read(record.path)).hexdigest() != record.sha256:
                raise InfrastructureFault(
                    "STORE_FILE_DIGEST", f"{record.path} was changed after it was committed; restore it"
                )


def _without_filter(record: FileRecord) -> FileRecord:
    return msgspec.structs.replace(record, filter=None)


def _check_same(earlier: Manifest, change: Manifest) -> None:
    """Refuse a second commit of a run that is not the first one again."""
    adds = [record for record in earlier.adds if record.table != FILTERS]
    again = list(map(_without_filter, change.adds))
    facts = msgspec.json.encode(change.facts, order="deterministic")
    same_facts = msgspec.json.encode(earlier.facts, order="deterministic") == facts
    if adds != again or earlier.removes != change.removes or not same_facts:
        raise InfrastructureFault(
            "STORE_RUN_EXISTS", f"run {change.run_id} has committed something else already"
        )


def _changed() -> InfrastructureFault:
    return InfrastructureFault(
        "STORE_CHANGED", "another run has committed since this one began; nothing was changed, run again"
    )


def _check_format(files: StoreFiles) -> None:
    if files.size(FORMAT_FILE) is None:
        raise ConfigurationError(
            "STORE_NOT_FOUND", f"{files.root} is not a store; name the folder that a run was given as --store"
        )
    try:
        version = json.loads(files.read(FORMAT_FILE))["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        version = None
    if not isinstance(version, int) or version < 1:
        raise InfrastructureFault(
            "STORE_FORMAT_BROKEN", f"{FORMAT_FILE} is damaged; restore it from a backup"
        )
    if version > STORE_FORMAT_VERSION:
        raise too_new(version)


def _refuse_occupied(files: StoreFiles) -> None:
    if files.is_occupied():
        raise ConfigurationError(
            "STORE_NOT_EMPTY", f"{files.root} holds other things; name a new or an empty folder as --store"
        )
