"""``gc``: delete what no manifest names, and nothing else.

Files that a manifest took away are deleted at once: whatever they held was meant to go. Files that were
never named may belong to a run on another machine that has not committed yet, so they must be older than a
grace period. While a writer holds the store's lock, nothing is deleted at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.tables import AREAS
from transforms.audit_entries import PENDING
from transforms.manifests import FOLDER
from transforms.store import Store
from transforms.store_files import DRAFT_PREFIX, FoundFile

GRACE_SECONDS = 24 * 3600
_DRAFTS = (DRAFT_PREFIX, f"{FOLDER}/{DRAFT_PREFIX}", f"{PENDING}/{DRAFT_PREFIX}")
_TABLES = tuple(f"{area}/" for area in AREAS)


@dataclass(frozen=True)
class Garbage:
    """What a collection deleted, or would delete.

    Attributes:
        replaced: Files that a manifest took away.
        unnamed: Files that no manifest ever named, and drafts of manifests.
        spared: Files that no manifest names and that are younger than the grace period.
    """

    replaced: tuple[FoundFile, ...]
    unnamed: tuple[FoundFile, ...]
    spared: tuple[FoundFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all that goes."""
        return sum(found.size for found in (*self.replaced, *self.unnamed))


def collect_garbage(
    store: Store, *, now: float, older_than: float = GRACE_SECONDS, dry_run: bool = False
) -> Garbage:
    """Delete the files that no manifest names.

    Args:
        store: The store.
        now: The time (s since 1970, UTC).
        older_than: Grace period (s) of files that were never named.
        dry_run: Only say what would go.

    Raises:
        InfrastructureFault: A writer is at work (``STORE_LOCKED``), or a file cannot be deleted.
    """
    with store.writing("gc-000000") as locked:
        found = sort_out(locked, now=now, older_than=older_than)
        if not dry_run:
            for file in (*found.replaced, *found.unnamed):
                locked.files_of_store.delete(file.path)
    return found


def sort_out(store: Store, *, now: float, older_than: float) -> Garbage:
    """Say of every file that no manifest names whether it goes."""
    replaced, unnamed, spared = [], [], []
    for found in unnamed_files(store):
        if found.path in store.snapshot.removed:
            replaced.append(found)
        elif now - found.modified > older_than:
            unnamed.append(found)
        else:
            spared.append(found)
    return Garbage(tuple(replaced), tuple(unnamed), tuple(spared))


def unnamed_files(store: Store) -> Iterator[FoundFile]:
    """Files of tables that are not live, and drafts; what else lies in the folder is not ours."""
    for found in store.files_of_store.find(""):
        is_unnamed = found.path.startswith(_TABLES) and found.path not in store.snapshot.live
        if is_unnamed or found.path.startswith(_DRAFTS):
            yield found
