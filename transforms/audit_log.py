"""The audit log of a store: merging what happened into one tree, and signing it.

    STORE/log/checkpoint       the log's last signed checkpoint
    STORE/log/tile/…           hashes and entries (``audit_tiles``)
    STORE/log/verifiers        the public keys that have signed, one a line
    STORE/log/signers/<id>     what vouches for each of them (``manifest_seal``): the sides believe no other
    STORE/log/signed/<id>      the last checkpoint that each key has signed
    STORE/log/pending/…        entries that wait (``audit_entries``)
    STORE/log/merging          while a merge is under way: the sizes that it leads from and to

Both sides of a key directory have a signing key of their own, and both sign the one log, under its name: who
merges signs. A side signs only what continues what it signed before, so neither can rewrite, unseen, what the
other has put its name under.

A merge writes tiles that are in nobody's way, then swaps the checkpoint, then clears up. Killed anywhere, it
leaves the log as it was or as it should be, and the next one undoes or finishes the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.errors import ConfigurationError, PromiseBroken
from transforms.audit_entries import (
    KEY,
    MERGE,
    Entry,
    commit_entries,
    decode,
    digests_of,
    encode,
    pending_entries,
    pending_path,
)
from transforms.audit_note import (
    Checkpoint,
    VerifierKey,
    read_checkpoint,
    sign,
    verifier_of,
)
from transforms.audit_tiles import LOG, WIDTH, Tile, TileReader, broken, gained, grown, outgrown
from transforms.audit_tree import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    range_hash,
)
from transforms.key_files import KeyDescription
from transforms.manifest_seal import seal_of
from transforms.manifests import Snapshot
from transforms.store import Store
from transforms.store_files import StoreFiles

CHECKPOINT = f"{LOG}/checkpoint"
VERIFIERS = f"{LOG}/verifiers"
SIGNED = f"{LOG}/signed"
SIGNERS = f"{LOG}/signers"
MERGING = f"{LOG}/merging"
_LARGEST_MERGE = 1 << 24
"""Entries of one merge; what names more is no file of ours."""


class LogKeys(Protocol):
    """One side's keys, as far as the log needs them."""

    @property
    def side(self) -> str:
        """Name of the side."""

    @property
    def join_key(self) -> bytes:
        """The root (32 bytes) that both sides share."""

    @property
    def log_signing_key(self) -> Ed25519PrivateKey:
        """Signs what this side logs."""

    @property
    def descriptions(self) -> tuple[KeyDescription, ...]:
        """What may be said of the keys."""


def origin_of(snapshot: Snapshot) -> str:
    """The log's name: made from the first manifest, so that no two stores share one.

    Raises:
        ConfigurationError: Nothing was committed to the store yet (``AUDIT_NO_LOG``).
    """
    digests = digests_of(snapshot)
    if not digests:
        raise no_log()
    return f"cofferdam/log/{digests[0][:32]}"


def no_log() -> ConfigurationError:
    """The error for a store without a log."""
    return ConfigurationError(
        "AUDIT_NO_LOG", "the store has no audit log yet; `cofferdam run` begins it, `audit merge` makes up"
    )


def current_checkpoint(files: StoreFiles) -> bytes | None:
    """The signed checkpoint of the log, None if there is none; nothing is checked."""
    return None if files.size(CHECKPOINT) is None else files.read(CHECKPOINT)


def stated_verifiers(files: StoreFiles) -> list[VerifierKey]:
    """The public keys that the store itself names; who may write to the store may have changed them."""
    if files.size(VERIFIERS) is None:
        return []
    content = files.read(VERIFIERS)
    with suppress(UnicodeDecodeError, ConfigurationError):
        keys = [VerifierKey.parse(line) for line in content.decode("ascii").splitlines()]
        if _verifier_lines(keys) == content:
            return keys
    raise PromiseBroken(
        "AUDIT_VERIFIERS_BROKEN", f"{VERIFIERS} is damaged; restore it from a backup of the log"
    )


def _verifier_lines(keys: Sequence[VerifierKey]) -> bytes:
    return "".join(f"{key}\n" for key in keys).encode()


def merge(store: Store, keys: LogKeys, now: datetime, *, may_begin: bool = True) -> bytes | None:
    """Add to the log whatever is not in it yet, and sign it; nothing is written if it holds everything.

    Args:
        store: The store; its lock, or its log's, is held.
        keys: The side that signs.
        now: The time, for the log's own entry about the merge.
        may_begin: Whether a store of several commits that has no log gets one. Whoever can write to the store
            could else delete its log, change its manifests, and have them signed anew.

    Returns:
        The signed checkpoint; None for a store to which nothing was ever committed.

    Raises:
        PromiseBroken: The log is not what this side signed before, or not what the manifests say
            (``AUDIT_…``), or a manifest is not of these keys (``STORE_MANIFEST_SEAL``); nothing was added.
    """
    store = Store.of(store.files_of_store, seal_of(keys))
    if not store.snapshot.manifests:
        return None
    with store.files_of_store.lock(f"{keys.side}-audit", LOG):
        return _Merge(store, keys, now, may_begin).run()


@dataclass(frozen=True)
class LogState:
    """What the last entry of a log says: every merge ends with one that the next can go on from.

    Attributes:
        manifest: Number of the last commit that is in the log.
        head: SHA-256 of its manifest.
        keys: Ids of the keys of each side, as they were when it last merged.
    """

    manifest: int
    head: str
    keys: dict[str, list[str]]

    @classmethod
    def of(cls, tree: TileReader, root: bytes) -> LogState:
        """Read the state of a log, which must be empty or end as a merge leaves it."""
        if not tree.size:
            return cls(0, "", {})
        last = tree.size - 1
        (content,) = tree.entries(last, tree.size)
        entry = decode(content) or {}
        proof = inclusion_proof(tree, last, tree.size)
        if entry.get("type") != MERGE or not proves_inclusion(
            leaf_hash(content), last, tree.size, proof, root
        ):
            raise broken(Tile(None, last // WIDTH, tree.width(None, last // WIDTH)).path)
        return cls(entry["manifest"], entry["head"], entry["keys"])


class _Merge:
    """One merge on its way."""

    def __init__(self, store: Store, keys: LogKeys, now: datetime, may_begin: bool) -> None:
        self._files, self._snapshot = store.files_of_store, store.snapshot
        # The first commit of all comes before the log; a run that is killed between them leaves it so.
        self._may_begin = may_begin or len(store.snapshot.manifests) == 1
        self._keys, self._now = keys, now
        self._origin = origin_of(store.snapshot)
        self._own = verifier_of(self._origin, keys.log_signing_key)
        self._seal = seal_of(keys)

    def run(self) -> bytes:
        content = current_checkpoint(self._files)
        checkpoint = self._checked(content)
        tree = TileReader(self._files.read, checkpoint.size)
        self._check_tree(tree, checkpoint)
        state = LogState.of(tree, checkpoint.root)
        self._recover(tree, content)
        self._check_manifests(state)
        entries = self._entries(state)
        if content is not None and not entries:
            return content
        return self._append(tree, [*entries, self._last_entry(state)])

    # --- checking -------------------------------------------------------------------------------------------

    def _checked(self, content: bytes | None) -> Checkpoint:
        if content is None:
            if any(True for _ in self._files.find(SIGNED)):
                raise PromiseBroken(
                    "AUDIT_CHECKPOINT_MISSING", f"{CHECKPOINT} is gone; restore it from a backup of the log"
                )
            if not self._may_begin:
                raise PromiseBroken(
                    "AUDIT_LOG_MISSING",
                    f"the store has {len(self._snapshot.manifests)} commits and no log; restore {LOG}/ from "
                    "a backup; only if it never had one, begin it with `cofferdam audit merge`",
                )
            return Checkpoint(self._origin, 0, EMPTY_ROOT)
        checkpoint = read_checkpoint(content, [self._own, *filter(self._is_vouched, self._stated())])
        if checkpoint.origin != self._origin:
            raise PromiseBroken("AUDIT_OTHER_LOG", f"{CHECKPOINT} is that of another store's log")
        return checkpoint

    def _check_tree(self, tree: TileReader, checkpoint: Checkpoint) -> None:
        """The tiles lead to the checkpoint, and it continues what this side signed last."""
        if range_hash(tree, 0, tree.size) != checkpoint.root:
            raise PromiseBroken("AUDIT_ROOT_DIFFERS", "the log's tiles do not lead to its checkpoint")
        path = f"{SIGNED}/{self._own.key_id.hex()}"
        if self._files.size(path) is None:
            return
        signed = read_checkpoint(self._files.read(path), [self._own])
        if not continues(tree, signed, checkpoint):
            raise PromiseBroken(
                "AUDIT_HISTORY_CHANGED", f"the log does not continue {path}, which this side has signed"
            )

    def _check_manifests(self, state: LogState) -> None:
        digests = digests_of(self._snapshot)
        if state.manifest and (state.manifest > len(digests) or digests[state.manifest - 1] != state.head):
            raise PromiseBroken(
                "AUDIT_MANIFESTS_DIFFER", f"manifest {state.manifest} is not the one that the log holds"
            )

    # --- adding ---------------------------------------------------------------------------------------------

    def _entries(self, state: LogState) -> list[Entry]:
        commits = commit_entries(self._snapshot, state.manifest)
        waiting = (pending.logged() for pending in pending_entries(self._files))
        done = [*commits, *waiting]
        # New keys by themselves are no reason to write: a command that is refused must leave no trace.
        return [*done, *self._key_changes(state)] if done else []

    def _key_changes(self, state: LogState) -> Iterator[Entry]:
        """Keys of this side that came or went since it last merged."""
        side, known = self._keys.side, set(state.keys.get(self._keys.side, []))
        about: dict[str, Any] = {"type": KEY, "format": 1, "side": side}
        for key in self._keys.descriptions:
            if key.key_id not in known:
                more = {"verifier": str(self._own)} if key.purpose == "log_signing" else {}
                what = {"key_id": key.key_id, "purpose": key.purpose, "epoch": key.epoch}
                yield {**about, "change": "new", **what, "created": key.created, **more}
        for key_id in sorted(known - set(self._key_ids())):
            yield {**about, "change": "gone", "key_id": key_id}

    def _key_ids(self) -> list[str]:
        return sorted(key.key_id for key in self._keys.descriptions)

    def _last_entry(self, state: LogState) -> Entry:
        return {
            "type": MERGE,
            "format": 1,
            "side": self._keys.side,
            "at": self._now.isoformat(timespec="seconds"),
            "manifest": self._snapshot.manifests[-1].number,
            "head": self._snapshot.last_digest,
            "keys": {**state.keys, self._keys.side: self._key_ids()},
        }

    def _append(self, tree: TileReader, entries: Sequence[Entry]) -> bytes:
        encoded = [encode(entry) for entry in entries]
        size = tree.size + len(encoded)
        self._name_signer()
        self._files.replace(MERGING, json.dumps({"from": tree.size, "to": size}).encode())
        made = {tile.path: content for tile, content in grown(tree, encoded)}
        for path, content in made.items():
            self._files.replace(path, content)
        larger = TileReader(lambda path: made[path] if path in made else self._files.read(path), size)
        checkpoint = Checkpoint(self._origin, size, range_hash(larger, 0, size))
        content = sign(checkpoint.text, self._origin, self._keys.log_signing_key)
        self._files.replace(CHECKPOINT, content)
        self._finish(tree.size, larger, content)
        return content

    def _stated(self) -> list[VerifierKey]:
        return stated_verifiers(self._files)

    def _is_vouched(self, verifier: VerifierKey) -> bool:
        """Whether somebody with the store's keys has put a public key among the log's."""
        path = _signer_path(verifier)
        expected = self._seal.signer(str(verifier)).encode()
        return self._files.size(path) == len(expected) and compare_digest(self._files.read(path), expected)

    def _name_signer(self) -> None:
        known = self._stated()
        if not self._is_vouched(self._own):
            self._files.replace(_signer_path(self._own), self._seal.signer(str(self._own)).encode())
        if self._own not in known:
            self._files.replace(VERIFIERS, _verifier_lines([*known, self._own]))

    # --- clearing up ----------------------------------------------------------------------------------------

    def _recover(self, tree: TileReader, content: bytes | None) -> None:
        """Undo or finish what a merge that was killed has left."""
        old, new = merging_sizes(self._files)
        if content is not None and tree.size == new:
            self._finish(old, tree, content)
        elif new and tree.size == old:
            for tile in gained(old, new):
                self._files.delete(tile.path)
            self._files.delete(MERGING)
        elif new:
            raise PromiseBroken("AUDIT_MERGING_BROKEN", f"{MERGING} does not fit the log; restore the log")

    def _finish(self, old: int, tree: TileReader, content: bytes) -> None:
        """Clear up behind a merge whose checkpoint is in its place."""
        if is_signed_by(content, self._own):  # not, if the other side was killed before it got here
            self._files.replace(f"{SIGNED}/{self._own.key_id.hex()}", content)
        for entry in map(decode, tree.entries(old, tree.size)):
            if entry is not None and (path := pending_path(entry.get("pending"))):
                self._files.delete(path)
        for tile in outgrown(old, tree.size):
            for found in list(self._files.find(tile.partials)):
                self._files.delete(found.path)
        self._files.delete(MERGING)


def _signer_path(verifier: VerifierKey) -> str:
    return f"{SIGNERS}/{verifier.key_id.hex()}"


def is_signed_by(content: bytes, verifier: VerifierKey) -> bool:
    """Whether a checkpoint carries this key's signature."""
    try:
        read_checkpoint(content, [verifier])
    except PromiseBroken:
        return False
    return True


def merging_sizes(files: StoreFiles) -> tuple[int, int]:
    """Sizes that a merge under way leads from and to; (0, 0) where nobody merges.

    Raises:
        PromiseBroken: The file cannot be read as one (``AUDIT_MERGING_BROKEN``).
    """
    if files.size(MERGING) is None:
        return 0, 0
    try:
        said = json.loads(files.read(MERGING))
        old, new = said["from"], said["to"]
        if type(old) is int and type(new) is int and 0 <= old < new <= old + _LARGEST_MERGE:
            return old, new
    except (ValueError, KeyError, TypeError):
        pass
    raise PromiseBroken("AUDIT_MERGING_BROKEN", f"{MERGING} is damaged; restore the log from a backup")


def continues(tree: TileReader, earlier: Checkpoint, now: Checkpoint) -> bool:
    """Whether a log begins with all that it held at an earlier checkpoint."""
    if earlier.origin != now.origin or earlier.size > now.size:
        return False
    if not earlier.size:
        return earlier.root == EMPTY_ROOT
    proof = consistency_proof(tree, earlier.size, now.size)
    return proves_consistency(earlier.size, now.size, proof, earlier.root, now.root)
