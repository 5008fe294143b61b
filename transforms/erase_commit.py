"""Carry an erasure out: rewrite the planned files, commit all of it at once, delete what was replaced.

    edits ──► rewrite ──► new files ──┐
    tombstones, recalls ──────────────┴──► commit ──► delete replaced files

Rewriting is spread over workers; until the commit nothing is changed, after it nothing of what went can be
reached. The commit adds up: exactly the rows that were planned to go have gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

import apache_beam as beam
import msgspec
import pyarrow as pa

from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import FILTERS, FIXED_TABLES, QUARANTINE_KEYS, RELEASED
from transforms import store_reading
from transforms.audit_facts import audited
from transforms.erase_rows import Edit, edited
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.manifest_seal import ManifestSeal, seal_of
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter
from transforms.partitioning import Partitioning
from transforms.store import Store
from transforms.store_files import StoreFiles
from transforms.store_gc import unnamed_files

_FOUND_BY: Final = {QUARANTINE_KEYS: "key_id", RELEASED: "item_id"}
"""Columns of tables whose files are found by the ids in them."""


@dataclass(frozen=True)
class ErasureSettings:
    """What every step of an erasure needs to know; small, and without a key.

    Attributes:
        store: The store's root.
        run_id: The run.
        base: SHA-256 of the store's last manifest when the plan was made.
    """

    store: str
    run_id: str
    base: str


class Rewritten(NamedTuple):
    """A file that was rewritten: its edit's path, what took its place, and the rows that went or changed.

    ``filters`` is the path of the file that its filter lies in.
    """

    path: str
    table: str
    records: tuple[FileRecord, ...]
    gone: int
    changed: int
    filters: str = ""


@dataclass(frozen=True)
class SameFolder(Partitioning):
    """All rows stay in the folder that they were read from."""

    folder: str = ""

    def split(self, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The rows, with that folder."""
        if rows.num_rows:
            yield self.folder, rows


def rewrite(store: Store, run_id: str, edit: Edit) -> Rewritten:
    """Write a file again without the rows that go.

    Raises:
        InfrastructureFault: The store cannot be read or written.
    """
    record = store.snapshot.live[edit.path]
    schema = store_reading.schema_of(store.files_of_store, record.table, [record])
    folder = SameFolder(folder=edit.folder)
    gone = changed = 0
    with TableWriter(store.files_of_store, run_id, record.table, schema, folder) as writer:
        for batch in store.scan(record.table, records=[record]):
            found = edited(edit, pa.Table.from_batches([batch]))
            gone, changed = gone + found.gone, changed + found.changed
            writer.append(found.rows, _members(edit.table, found.rows))
        records = tuple(writer.close())
    return Rewritten(edit.path, edit.table, records, gone, changed, edit.filters)


def _members(table: str, rows: pa.Table) -> list[str | bytes]:
    """Values that the rewritten file's filter names, beside the pseudonyms in its rows."""
    column = _FOUND_BY.get(table)
    return rows.column(column).to_pylist() if column else []


@dataclass
class RewriteFiles(beam.PTransform[Any, Any]):
    """Rewrite the planned files."""

    settings: ErasureSettings

    def expand(self, edits: Any) -> Any:
        """Edit -> Rewritten."""
        return edits | "Spread" >> beam.Reshuffle() | "Rewrite" >> beam.Map(_rewrite, self.settings)


def _rewrite(edit: Edit, settings: ErasureSettings) -> Rewritten:
    with value_free("rewrite"):
        return rewrite(_store_at(settings.store, settings.base), settings.run_id, edit)


@lru_cache(maxsize=1)
def _store_at(root: str, base: str) -> Store:
    """The store as it was planned on, read once a worker and not once a file."""
    return Store.at(root, base)


@dataclass
class CommitErasure(beam.PTransform[Any, Any]):
    """Commit: the last step, on one worker, with everything that the others finished."""

    settings: ErasureSettings
    keys: ReleaseKeys = field(repr=False)
    evidence: tuple[FileRecord, ...]
    facts: Mapping[str, Any] = field(repr=False)
    planned: tuple[Edit, ...] = field(repr=False)
    rewritten: Any = field(repr=False)

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> nothing."""
        counts = tuple((edit.path, edit.gone, edit.changed) for edit in self.planned)
        return (
            pipeline
            | "Once" >> beam.Create([self.settings], reshuffle=False)
            | "Commit"
            >> beam.Map(
                _commit,
                self.keys,
                self.evidence,
                dict(self.facts),
                counts,
                beam.pvalue.AsList(self.rewritten),
            )
        )


def _commit(
    settings: ErasureSettings,
    keys: ReleaseKeys,
    evidence: Sequence[FileRecord],
    facts: dict[str, Any],
    planned: Sequence[tuple[str, int, int]],
    rewritten: Sequence[Rewritten],
) -> None:
    with value_free("commit"):
        commit_erasure(settings, seal_of(keys), evidence, facts, planned, rewritten)


def commit_erasure(
    settings: ErasureSettings,
    seal: ManifestSeal,
    evidence: Sequence[FileRecord],
    facts: Mapping[str, Any],
    planned: Sequence[tuple[str, int, int]],
    rewritten: Sequence[Rewritten],
) -> None:
    """Let the new files and the tombstones take the place of what goes, all at once.

    Args:
        settings: The run.
        seal: Seals the manifest.
        evidence: Files of tombstones, erased events and recalls.
        facts: What the run states about itself.
        planned: Path, rows that go and rows that change, of each edit.
        rewritten: The files that were rewritten.

    Raises:
        PromiseBroken: Other rows went than were planned to (``ERASURE_DOES_NOT_RECONCILE``); nothing was
            committed.
        InfrastructureFault: The store changed meanwhile, or the manifest cannot be written.
    """
    if Counter(planned) != Counter((each.path, each.gone, each.changed) for each in rewritten):
        message = "other rows went than were planned to go. Nothing was committed; run again"
        raise PromiseBroken("ERASURE_DOES_NOT_RECONCILE", message)
    store = Store.open(settings.store, seal)
    if store.snapshot.of_run(settings.run_id) is not None:
        return
    if store.snapshot.last_digest != settings.base:
        message = "another run committed to the store meanwhile; run again, nothing was changed"
        raise InfrastructureFault("STORE_CHANGED", message)
    copies = {
        record.path: each.path for each in rewritten if each.table == RELEASED for record in each.records
    }
    filters, old_filters = filters_without(
        store, settings.run_id, {each.path for each in rewritten}, {each.filters for each in rewritten}
    )
    adds = [*evidence, *filters, *(record for each in rewritten for record in each.records)]
    removes = [*old_filters, *(each.path for each in rewritten)]
    store.commit(settings.run_id, adds, audited({**facts, "copies": copies}, store, adds), removes)


def filters_without(
    store: Store, run_id: str, paths: set[str], among: Collection[str] | None = None
) -> tuple[list[FileRecord], list[str]]:
    """Write the filters anew that some files are found by, without those files.

    A filter that stayed would tell whoever has the person's pseudonym that they were once in that file.

    Args:
        store: The store.
        run_id: The run.
        paths: The files.
        among: Paths of the files that their filters lie in; None to look into all files of filters.

    Returns:
        The new files of filters, and the paths of those that they take the place of.

    Raises:
        InfrastructureFault: A file of filters was changed after its commit.
    """
    written: list[FileRecord] = []
    replaced: list[str] = []
    for record in store.files(FILTERS):
        found = _filters_of(store, record) if among is None or record.path in among else {}
        if not paths & found.keys():
            continue
        replaced.append(record.path)
        kept = {path: each for path, each in found.items() if path not in paths}
        rows = {"path": list(kept), "filter": list(kept.values())}
        with store.writer(run_id, FILTERS) as writer:
            writer.append(pa.table(rows, schema=FIXED_TABLES[FILTERS]))
            written += [msgspec.structs.replace(new, filter=None) for new in writer.close()]
    return written, replaced


def _filters_of(store: Store, record: FileRecord) -> dict[str, bytes]:
    return store_reading.filters(store.files_of_store, [record])


def delete_replaced(files: StoreFiles, removed: Sequence[str]) -> int:
    """Delete files that a manifest took away, keys first; gives the number that was still there."""
    present = [path for path in _keys_first(removed) if files.size(path) is not None]
    for path in present:
        files.delete(path)
    return len(present)


def delete_unnamed(store: Store, run_id: str = "") -> None:
    """Delete what runs have written and not lived to commit, keys first.

    No search finds anybody in such a file, and with its keys it would open: of a run or a release that was
    killed, or of a rotation, which has wrapped anew what is erased now. A run that nobody waits for holds no
    lock and may be about to commit its files: behind a commit it cannot any more, before one they are its.

    Args:
        store: The store, its lock held.
        run_id: Only what this run has written, as long as it has not committed; all, if empty.
    """
    found = (each.path for each in unnamed_files(store))
    for path in _keys_first(path for path in found if path.rpartition("/")[2].startswith(run_id)):
        store.files_of_store.delete(path)


def _keys_first(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (not path.startswith(f"{QUARANTINE_KEYS}/"), path))
