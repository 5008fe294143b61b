"""Rotation: give every bundle of a store a new bundle key under the newest vault key. No content is opened.

Afterwards nothing that is live needs an older vault key. When that one is destroyed, a copy of the keys table
from before opens nothing: neither what was erased since nor anything else. Only files that hold a key under
an older vault key are written anew, a few by each commit. A rotation that was killed is finished by the next
one: what it committed is done, what it left lying is deleted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from schemas.errors import InfrastructureFault
from schemas.tables import QUARANTINE_KEYS
from transforms.audit_entries import KEY, stated
from transforms.chunked_encryption import SealBroken
from transforms.key_rotation_plan import (
    KeyFile,
    RotationPlan,
    bundle_rows,
    key_table,
    plan_rotation,
    read_key_rows,
)
from transforms.key_wrapping import KeyRewrapper, KeyUnwrapper
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord, Snapshot
from transforms.parquet_files import TableWriter
from transforms.sealed_format import COVERS_BUNDLE, KeyRow
from transforms.store import Store, new_run_id

KIND: Final = "keys"
"""Kind of a commit that moves keys or retires a vault key."""

RETIRED: Final = "retired_vaults"
"""Fact of such a commit: vault keys that are destroyed after it."""

COMMIT_KEYS: Final = 200_000
"""Data keys that one commit moves, or a few more; a rotation that is killed does that much again."""

COMMIT_FILES: Final = 500


@dataclass
class Rotation:
    """What a rotation of one store did.

    Attributes:
        files: Files that were written anew.
        bundles: New bundle keys.
        data_keys: Data keys that were wrapped anew.
        commits: Commits that it took.
        broken: Code of each data key that does not unwrap, by its id; its row stays as it is.
        needed: Vault keys without which the broken ones could not be saved, were their rows restored.
    """

    files: int = 0
    bundles: int = 0
    data_keys: int = 0
    commits: int = 0
    broken: dict[bytes, str] = field(default_factory=dict)
    needed: set[bytes] = field(default_factory=set)


def rotate_store(
    store: Store, keys: ReleaseKeys, progress: Callable[[Rotation], object] = lambda _: None
) -> Rotation:
    """Move all keys of a store to the newest vault key.

    Args:
        store: The store, its lock held.
        keys: The release side's keys: the newest vault key and the older ones.
        progress: Called after every commit.

    Returns:
        What was done; nothing, if nothing was left to do.

    Raises:
        InfrastructureFault: The store cannot be read or written, or the vault not reached; what was committed
            is done.
    """
    done = Rotation()
    while True:
        delete_leftovers(store)
        moved = _Pass(store, keys, plan_rotation(store, keys.vault_id), done, progress).run()
        if moved is None:
            return done
        store = moved


def delete_leftovers(store: Store) -> None:
    """Delete key files that no manifest names: wrapped keys that outlive their row would undo an erasure.

    Args:
        store: The store, its lock held: no other run is writing.
    """
    for found in store.files_of_store.find(QUARANTINE_KEYS):
        if found.path not in store.snapshot.live:
            store.files_of_store.delete(found.path)


class _Pass:
    """One pass over the files of a plan; the next drops bundle keys that files of this one still shared."""

    def __init__(
        self,
        store: Store,
        keys: ReleaseKeys,
        plan: RotationPlan,
        done: Rotation,
        progress: Callable[[Rotation], object],
    ) -> None:
        self._store, self._keys, self._plan, self._done = store, keys, plan, done
        self._progress = progress
        self._users: dict[bytes, set[str]] = defaultdict(set)
        for file in plan.files:
            for bundle in file.wraps:
                self._users[bundle].add(file.record.path)
        self._begin_commit()

    def _begin_commit(self) -> None:
        self._run_id = new_run_id(datetime.now(UTC))
        self._change = Rotation()
        self._adds: list[FileRecord] = []
        self._removes: list[str] = []

    def run(self) -> Store | None:
        """Write what must be written anew; gives the store as it is then, None if nothing had to be."""
        before = self._store
        for key_id in self._plan.lost:
            self._note(key_id, "SEAL_KEY_MISSING", self._keys.older_vaults)
        # Bundle keys that other files need come last: the file that holds them is then written only once.
        for file in sorted(self._plan.moving, key=self._is_shared):
            self._move(file)
            if self._change.data_keys >= COMMIT_KEYS or self._change.files >= COMMIT_FILES:
                self._commit()
        if self._change.files:
            self._commit()
        return None if self._store is before else self._store

    def _is_shared(self, file: KeyFile) -> bool:
        return any(self._users[bundle] - {file.record.path} for bundle in file.bundles)

    def _move(self, file: KeyFile) -> None:
        rewrapper = KeyRewrapper(KeyUnwrapper(self._keys, bundle_rows(self._store, file)), self._keys)
        with self._store.writer(self._run_id, QUARANTINE_KEYS) as writer:
            old_bundles = self._move_data_keys(file, rewrapper, writer)
            fresh = rewrapper.bundle_rows()
            kept = [row for row in old_bundles if not self._is_over(row)]
            if not fresh and len(kept) == len(old_bundles):
                writer.abandon()
                return
            _append(writer, [*kept, *fresh])
            self._adds += writer.close()
        self._removes.append(file.record.path)
        self._change.files += 1
        self._change.bundles += len(fresh)

    def _move_data_keys(self, file: KeyFile, rewrapper: KeyRewrapper, writer: TableWriter) -> list[KeyRow]:
        """Write a file's data keys anew; gives the rows of its old bundle keys."""
        old_bundles: list[KeyRow] = []
        needed: set[bytes] = set()
        for rows in read_key_rows(self._store, [file.record]):
            moved = []
            for row in rows:
                if row.covers == COVERS_BUNDLE:
                    old_bundles.append(row)
                elif row.wrapping_key_id not in file.wraps:
                    moved.append(row)
                elif (fresh := self._rewrapped(row, rewrapper)) is not None:
                    moved.append(fresh)
                else:
                    moved.append(row)
                    needed.add(row.wrapping_key_id)
            _append(writer, moved)
        for bundle in set(file.wraps) - needed:
            self._users[bundle].discard(file.record.path)
        return old_bundles

    def _rewrapped(self, row: KeyRow, rewrapper: KeyRewrapper) -> KeyRow | None:
        try:
            fresh = rewrapper.rewrap(row)
        except SealBroken as error:
            self._note(row.key_id, error.code, self._plan.vaults[row.wrapping_key_id])
            return None
        self._change.data_keys += 1
        return fresh

    def _note(self, key_id: bytes, code: str, vaults: Iterable[bytes]) -> None:
        self._done.broken[key_id] = code
        self._done.needed.update(vaults)

    def _is_over(self, row: KeyRow) -> bool:
        """Whether a bundle key is an old one that no data key is under any more."""
        return row.wrapping_key_id != self._plan.vault_id and not self._users[row.key_id]

    def _commit(self) -> None:
        change, vault = self._change, self._plan.vault_id.hex()
        counts = {"files": change.files, "bundles": change.bundles, "data_keys": change.data_keys}
        said: dict[str, Any] = {"type": KEY, "what": "rotated", "vault": vault, **counts}
        rotation: dict[str, Any] = {"vault": vault, **counts}
        facts = {"kind": KIND, "rotation": rotation, **stated(said)}
        self._store = self._store.commit(self._run_id, self._adds, facts, self._removes)
        delete_leftovers(self._store)
        self._done.commits += 1
        self._done.files += change.files
        self._done.bundles += change.bundles
        self._done.data_keys += change.data_keys
        self._begin_commit()
        self._progress(self._done)


def _append(writer: TableWriter, rows: Sequence[KeyRow]) -> None:
    """Write rows; files of keys are found by the ids of their keys."""
    writer.append(key_table(rows), [row.key_id for row in rows])


# --- retiring the old vault key -----------------------------------------------------------------------------


def retire_vaults(store: Store, vault_ids: Sequence[bytes]) -> Store:
    """State in a store that vault keys are gone, before they are destroyed; saying it again changes nothing.

    Args:
        store: The store, its lock held.
        vault_ids: Ids (16 bytes) of vault keys that nothing in the store is under.
    """
    named = sorted(vault_id.hex() for vault_id in set(vault_ids) - retired_vaults(store.snapshot))
    if not named:
        return store
    said = ({"type": KEY, "what": "retired", "vault": vault} for vault in named)
    facts: dict[str, Any] = {"kind": KIND, RETIRED: named, **stated(*said)}
    return store.commit(new_run_id(datetime.now(UTC)), [], facts)


def retired_vaults(snapshot: Snapshot) -> set[bytes]:
    """Vault keys that a store says are gone."""
    named = (vault for manifest in snapshot.manifests for vault in manifest.facts.get(RETIRED, ()))
    return {bytes.fromhex(vault) for vault in named}


def refuse_retired(snapshot: Snapshot, vault_id: bytes) -> None:
    """Refuse to seal to a vault key that is gone: nobody could ever open it.

    Raises:
        InfrastructureFault: With code ``KEYS_RETIRED``.
    """
    if vault_id in retired_vaults(snapshot):
        raise InfrastructureFault(
            "KEYS_RETIRED",
            f"vault key {vault_id.hex()} was retired by a rotation and what is sealed to it could never be "
            "opened; give the `ingest` side of the newest key directory",
        )
