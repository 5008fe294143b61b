"""What a commit states to the audit log about the evidence that it adds.

Tables that are evidence (decisions, exports, openings, tombstones) are never replaced, and each has a column
that names its rows. For every such table a commit states the root of the tree over the rows it adds, so that
one row can be shown to be in the log without showing the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.tables import (
    DECISION_CLASSES,
    DECISION_EXPORTS,
    DECISION_TELEMETRY,
    ERASED_EVENTS,
    OPENINGS,
    RECALLS,
    TELEMETRY_EXPORTS,
    TOMBSTONES,
)
from transforms.audit_entries import (
    AUDIT,
    DECISIONS,
    ERASURE,
    EXPORT,
    OPENING,
    RELEASE,
    Entry,
    checked,
    rooted,
    row_bytes,
    row_leaves,
)
from transforms.audit_tiles import TileReader
from transforms.audit_tree import HashList, inclusion_proof, leaf_hash, root_of
from transforms.manifests import FileRecord
from transforms.store import Store

EVIDENCE = {
    DECISION_CLASSES: (DECISIONS, "decision_id"),
    DECISION_TELEMETRY: (DECISIONS, "decision_id"),
    DECISION_EXPORTS: (RELEASE, "run_id"),
    TELEMETRY_EXPORTS: (EXPORT, "run_id"),
    OPENINGS: (OPENING, "decision_id"),
    TOMBSTONES: (ERASURE, "item_id"),
    ERASED_EVENTS: (ERASURE, "id_digest"),
    RECALLS: (ERASURE, "export_run_id"),
}
"""Tables of evidence: the type of their entries, and the column that names their rows."""

_ROWS_AT_ONCE = 2048
"""Rows as Python objects take many times their size in memory."""


def audited(facts: Mapping[str, Any], store: Store, adds: Iterable[FileRecord]) -> dict[str, Any]:
    """A commit's facts with an entry for each table of evidence that it adds to.

    Args:
        facts: The facts; entries that they state themselves stay first.
        store: The store; the files are written and need not be committed.
        adds: The files that will be committed.

    Raises:
        InfrastructureFault: A file cannot be read.
    """
    tables: dict[str, list[FileRecord]] = defaultdict(list)
    for record in adds:
        if record.table in EVIDENCE:
            tables[record.table].append(record)
    entries = []
    for table, records in sorted(tables.items()):
        kind, key = EVIDENCE[table]
        entries.append(checked(rooted(kind, table, key, rows_of(store, table, records))))
    return {**facts, AUDIT: [*facts.get(AUDIT, []), *entries]}


def rows_of(store: Store, table: str, records: Iterable[FileRecord]) -> Iterator[dict[str, Any]]:
    """All rows of some files of a table, with the columns that they were written with."""
    for record in records:
        for batch in store.scan(table, records=[record]):
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield from batch.slice(start, _ROWS_AT_ONCE).to_pylist()


@dataclass(frozen=True)
class Proof:
    """The proof that a tree begins with, or holds, a leaf.

    Attributes:
        index: Place of the leaf.
        size: Leaves in the tree.
        leaf: Hash of the leaf (32 bytes).
        path: Hashes that lead to the root.
        root: The root.
    """

    index: int
    size: int
    leaf: bytes
    path: tuple[bytes, ...]
    root: bytes

    def as_json(self) -> dict[str, Any]:
        """The proof as JSON can hold it."""
        steps = [step.hex() for step in self.path]
        return {
            "index": self.index,
            "size": self.size,
            "leaf": self.leaf.hex(),
            "path": steps,
            "root": self.root.hex(),
        }


@dataclass(frozen=True)
class Evidence:
    """The proof that a row of a table is in the log.

    Attributes:
        table: The table.
        run_id: The run that wrote the row.
        row: The row in the spelling that is hashed.
        in_entry: From the row to the root that the entry states.
        in_log: From the entry to the root of the log.
    """

    table: str
    run_id: str
    row: bytes
    in_entry: Proof
    in_log: Proof


def find_evidence(
    store: Store, tree: TileReader, root: bytes, places: Iterable[tuple[int, Entry]], wanted: str
) -> Iterator[Evidence]:
    """Rows that a name stands for, with the proofs that they are in the log.

    Args:
        store: The store.
        tree: The log.
        root: Its root.
        places: Entries that state a root, and their places in the log.
        wanted: The id of a decision, of an item that was erased, …
    """
    commits = {manifest.number: manifest for manifest in store.snapshot.manifests}
    for place, entry in places:
        manifest, table, key = commits.get(entry.get("manifest", 0)), entry["table"], entry.get("key")
        if manifest is None or EVIDENCE.get(table, ("", ""))[1] != key:
            continue
        records = [record for record in manifest.adds if record.table == table]
        leaves = row_leaves(rows_of(store, table, records))
        if root_of(leaves).hex() != entry["root"]:
            continue
        for row in rows_of(store, table, records):
            if _name(row[key]) == wanted:
                found = _proof(leaves, leaves.index(leaf_hash(row_bytes(row))))
                yield Evidence(table, manifest.run_id, row_bytes(row), found, _log_proof(tree, root, place))


def _name(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _proof(leaves: list[bytes], index: int) -> Proof:
    path = inclusion_proof(HashList(leaves), index, len(leaves))
    return Proof(index, len(leaves), leaves[index], tuple(path), root_of(leaves))


def _log_proof(tree: TileReader, root: bytes, index: int) -> Proof:
    (entry,) = tree.entries(index, index + 1)
    path = inclusion_proof(tree, index, tree.size)
    return Proof(index, tree.size, leaf_hash(entry), tuple(path), root)
