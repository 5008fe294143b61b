"""What a commit states to the audit log about the evidence that it adds.

Tables that are evidence (decisions, openings, tombstones, …) are never replaced, and each has a column that
names its rows. For every such table a commit states the root of the tree over the rows it adds, so that one
row can be shown to be in the log without showing the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from schemas.tables import DECISION_CLASSES, DECISION_EXPORTS
from transforms.audit_entries import DECISIONS, ERASURE, OPENING, RELEASE, Entry, rooted, row_leaves, stated
from transforms.audit_tree import HashList, inclusion_proof, leaf_hash, root_of
from transforms.manifests import FileRecord
from transforms.store import Store

_EVIDENCE = {
    DECISION_CLASSES: (DECISIONS, "decision_id"),
    DECISION_EXPORTS: (RELEASE, "purpose"),
}
"""Type of a table's entry and the column that names its rows."""

_EVIDENCE_AREAS = {"openings": (OPENING, "decision_id"), "tombstones": (ERASURE, "item_id")}
"""The same for all tables of an area."""


def audit_facts(store: Store, adds: Iterable[FileRecord]) -> dict[str, list[Entry]]:
    """The part of a commit's facts that goes into the log: a root for each table of evidence it adds to.

    Args:
        store: The store; the files are written and need not be committed.
        adds: The files that will be committed.

    Raises:
        InfrastructureFault: A file cannot be read.
    """
    tables: dict[str, list[FileRecord]] = defaultdict(list)
    for record in adds:
        if evidence_of(record.table):
            tables[record.table].append(record)
    entries = []
    for table, records in sorted(tables.items()):
        kind, key = evidence_of(table) or ("", "")
        entries.append(rooted(kind, table, key, rows_of(store, table, records)))
    return stated(*entries)


def evidence_of(table: str) -> tuple[str, str] | None:
    """Type of a table's entry and the column that names its rows; None for a table that is no evidence."""
    return _EVIDENCE.get(table) or _EVIDENCE_AREAS.get(table.split("/")[0])


def rows_of(store: Store, table: str, records: Iterable[FileRecord]) -> Iterator[dict[str, Any]]:
    """All rows of some files of a table, with the columns that they were written with."""
    for record in records:
        for batch in store.scan(table, records=[record]):
            yield from batch.to_pylist()


def row_proof(
    store: Store, table: str, records: Iterable[FileRecord], row: dict[str, Any]
) -> tuple[bytes, int, list[bytes], bytes]:
    """The proof that a row is one of those that some files hold.

    Returns:
        The row's leaf hash, its place among the sorted leaves, the hashes that lead from it to the root, and
        the root.
    """
    leaves = row_leaves(rows_of(store, table, records))
    (leaf,) = row_leaves([row])
    place = leaves.index(leaf)
    return leaf, place, inclusion_proof(HashList(leaves), place, len(leaves)), root_of(leaves)


__all__ = ["audit_facts", "evidence_of", "leaf_hash", "row_proof", "rows_of"]
