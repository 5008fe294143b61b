"""What a reprocessing that was killed left behind, told by the names of its files.

Before its commit it leaves new files that no manifest names, sealed content and wrapped keys among them;
after it, files that were replaced. Both go when the next run begins, and before an erasure looks for keys: a
copy of an item that nobody knows of would outlive the item.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from schemas.tables import AREAS
from transforms.erase_commit import delete_replaced
from transforms.store import Store, new_run_id

KIND: Final = "reprocess"
_SUFFIX: Final = "-reprocess"
_OWN_FILE: Final = re.compile(rf"[a-z0-9-]+{_SUFFIX}-[0-9a-f]{{16}}\.parquet")


def reprocess_run_id(now: datetime) -> str:
    """A run id that tells what the run was, so that its files are known whatever becomes of it."""
    return f"{new_run_id(now)}{_SUFFIX}"


def finish_interrupted(store: Store) -> None:
    """Delete what reprocessings left behind that were killed, before or behind their commit.

    Args:
        store: The store, its lock held: no other run is writing.
    """
    delete_leftovers(store)
    for manifest in store.snapshot.manifests:
        if manifest.facts.get("kind") == KIND:
            delete_replaced(store.files_of_store, manifest.removes)


def delete_leftovers(store: Store) -> None:
    """Delete files of reprocessings that no manifest names.

    Args:
        store: The store, its lock held.
    """
    for area in AREAS:
        for found in store.files_of_store.find(area):
            name = found.path.rpartition("/")[2]
            if found.path not in store.snapshot.live and _OWN_FILE.fullmatch(name):
                store.files_of_store.delete(found.path)
