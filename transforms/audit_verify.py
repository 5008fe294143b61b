"""Verify a store's audit log: its tree, its signatures, and what its entries say of the store.

Nothing here is believed: every hash is computed again from the entries, every tile is compared with what it
must hold, every commit is looked for in the log and every entry among the commits. What does not hold is a
finding; only what cannot be read at all is an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from schemas.errors import InfrastructureFault, PromiseBroken
from transforms import store_reading
from transforms.audit_entries import RUN, Entry, decode, digests_of, pending_entries
from transforms.audit_facts import Evidence, find_evidence
from transforms.audit_log import (
    CHECKPOINT,
    SIGNED,
    continues,
    current_checkpoint,
    no_log,
    origin_of,
    stated_verifiers,
)
from transforms.audit_note import Checkpoint, VerifierKey, read_checkpoint
from transforms.audit_tile_check import check_tiles
from transforms.audit_tiles import TileReader
from transforms.audit_tree import range_hash
from transforms.manifests import FileRecord, Snapshot
from transforms.store import Store
from transforms.store_files import StoreFiles, open_files

_MOST_FINDINGS = 100
_ATTEMPTS = 4


@dataclass
class Findings:
    """What does not hold: a code and a sentence each, the first hundred of them."""

    listed: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0

    def add(self, code: str, message: str) -> None:
        """Note something that does not hold."""
        self.count += 1
        if len(self.listed) < _MOST_FINDINGS:
            self.listed.append((code, message))

    def attempt(self, step: Callable[[], object]) -> None:
        """Run a check; a promise that it finds broken is a finding."""
        try:
            step()
        except PromiseBroken as error:
            self.add(error.code, error.message)


@dataclass
class Verification:
    """What was verified.

    Attributes:
        findings: What does not hold.
        origin: Name of the log.
        checkpoint: The log's checkpoint, None if it has none that can be read.
        own_word: Whether the keys that signatures were checked with are those that the store itself names.
        signers: The keys that signatures were checked with.
        entries: Entries by type.
        commits: Commits of the store.
        files: Files whose digests are those of their manifests.
        earlier: Sizes of the earlier checkpoints that the log continues.
        waiting: Entries that wait for the next merge.
        rooted: Entries that stand for rows of a table, with their places in the log.
        evidence: Rows that were asked for, with the proofs that they are in the log.
    """

    findings: Findings = field(default_factory=Findings)
    origin: str = ""
    checkpoint: Checkpoint | None = None
    own_word: bool = False
    signers: tuple[VerifierKey, ...] = ()
    entries: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    files: int = 0
    earlier: list[int] = field(default_factory=list)
    waiting: int = 0
    rooted: list[tuple[int, Entry]] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return self.findings.count == 0


def verify_log(
    root: str,
    verifiers: Sequence[VerifierKey] = (),
    earlier: Iterable[bytes] = (),
    wanted: Iterable[str] = (),
) -> Verification:
    """Verify the audit log of a store, and the store against it.

    Args:
        root: The store's folder.
        verifiers: The keys that may sign; empty to take the store's own word for them.
        earlier: Signed checkpoints of this log that somebody has kept.
        wanted: Ids of decisions, tombstones and other rows of evidence that the log must hold.

    Raises:
        ConfigurationError: There is no store, or nothing was ever committed to it.
        InfrastructureFault: The disk cannot be read.
    """
    files = open_files(root)
    kept = list(earlier)
    for _ in range(_ATTEMPTS):
        before = current_checkpoint(files)
        result = _Verifier(files, verifiers).run(kept)
        if result.holds or current_checkpoint(files) == before:
            break  # else a run ended while this one looked: what it saw was half of each
    for name in wanted:
        _find(files, result, name)
    return result


def _find(files: StoreFiles, result: Verification, name: str) -> None:
    """Add the proofs for an id to what was verified; that there is none is a finding."""
    found: list[Evidence] = []
    checkpoint = result.checkpoint
    if checkpoint is not None and result.holds:
        tree = TileReader(files.read, checkpoint.size)
        found = list(find_evidence(Store.of(files), tree, checkpoint.root, result.rooted, name))
        result.evidence += found
    if not found:
        result.findings.add("AUDIT_NOT_FOUND", "an id that was asked for could not be shown to be in the log")


class _Verifier:
    """One verification on its way."""

    def __init__(self, files: StoreFiles, verifiers: Sequence[VerifierKey]) -> None:
        self._files = files
        self._result = Verification(own_word=not verifiers, signers=tuple(verifiers))
        self._findings = self._result.findings
        self._runs: dict[int, list[Entry]] = defaultdict(list)
        self._parts: dict[int, list[tuple[int, object]]] = defaultdict(list)

    def run(self, earlier: list[bytes]) -> Verification:
        result = self._result
        snapshot = self._snapshot()
        result.waiting = len(pending_entries(self._files))
        content = current_checkpoint(self._files)
        if content is None:
            self._without_log(snapshot, earlier)
        else:
            self._log(content, snapshot, earlier)
        if snapshot is not None:
            result.commits = len(snapshot.manifests)
            self._check_files(snapshot)
        return result

    def _snapshot(self) -> Snapshot | None:
        """The store's manifests; None if they do not go together, which is a finding."""
        try:
            return Store.of(self._files).snapshot
        except InfrastructureFault as fault:
            if not fault.code.startswith("STORE_MANIFEST"):
                raise
            self._findings.add(fault.code, fault.message)
            return None

    def _without_log(self, snapshot: Snapshot | None, earlier: list[bytes]) -> None:
        if snapshot is not None and not snapshot.manifests and not earlier:
            raise no_log()
        self._findings.add("AUDIT_LOG_MISSING", f"{CHECKPOINT} is not there; restore the log from a backup")

    # --- the log itself -------------------------------------------------------------------------------------

    def _log(self, content: bytes, snapshot: Snapshot | None, earlier: list[bytes]) -> None:
        result = self._result
        if result.own_word:
            self._findings.attempt(self._take_stated)
        try:
            checkpoint = read_checkpoint(content, result.signers)
        except PromiseBroken as error:
            self._findings.add(error.code, error.message)
            return  # nobody known has signed a size: there is no tree to look at
        result.checkpoint, result.origin = checkpoint, checkpoint.origin
        if snapshot is not None and snapshot.manifests and origin_of(snapshot) != checkpoint.origin:
            self._findings.add("AUDIT_OTHER_LOG", f"{CHECKPOINT} is that of another store's log")
        tree = TileReader(self._files.read, checkpoint.size)
        check_tiles(self._files, tree, self._findings.add, self._take_entry)
        self._findings.attempt(partial(self._check_root, tree, checkpoint))
        for kept in earlier:
            self._findings.attempt(partial(self._check_earlier, tree, checkpoint, kept))
        self._check_signed(tree, checkpoint)
        if snapshot is not None:
            self._check_commits(snapshot)

    def _take_stated(self) -> None:
        self._result.signers = tuple(stated_verifiers(self._files))

    def _check_root(self, tree: TileReader, checkpoint: Checkpoint) -> None:
        if range_hash(tree, 0, tree.size) != checkpoint.root:
            raise PromiseBroken("AUDIT_ROOT_DIFFERS", "the log's tiles do not lead to its checkpoint")

    def _check_earlier(self, tree: TileReader, checkpoint: Checkpoint, kept: bytes) -> None:
        before = read_checkpoint(kept, self._result.signers)
        if not continues(tree, before, checkpoint):
            raise PromiseBroken(
                "AUDIT_HISTORY_CHANGED",
                f"the log of {checkpoint.size} entries does not continue the checkpoint of {before.size} "
                "entries that was kept: entries were changed, removed or never belonged to it",
            )
        self._result.earlier.append(before.size)

    def _check_signed(self, tree: TileReader, checkpoint: Checkpoint) -> None:
        """The last checkpoints of each side; who names one key alone is not told of the others."""
        known = {f"{SIGNED}/{key.key_id.hex()}" for key in self._result.signers}
        for found in self._files.find(SIGNED):
            if found.path not in known and not self._result.own_word:
                continue
            kept = self._files.read(found.path)
            self._findings.attempt(partial(self._check_earlier, tree, checkpoint, kept))

    # --- entries and commits --------------------------------------------------------------------------------

    def _take_entry(self, index: int, content: bytes) -> None:
        entry = decode(content)
        if entry is None:
            self._findings.add("AUDIT_ENTRY_UNREADABLE", f"entry {index} is none that this software writes")
            return
        self._result.entries[str(entry.get("type"))] += 1
        number = entry.get("manifest")
        if isinstance(number, int) and isinstance(entry.get("part"), int):
            self._parts[number].append((entry["part"], entry.get("of")))
            if entry.get("type") == RUN:
                self._runs[number].append(entry)
        if "root" in entry and "table" in entry:
            self._result.rooted.append((index, entry))

    def _check_commits(self, snapshot: Snapshot) -> None:
        """Every commit has its entries, once, and every entry its commit."""
        digests = dict(enumerate(digests_of(snapshot), start=1))
        for manifest in snapshot.manifests:
            self._check_commit(manifest.number, digests[manifest.number], manifest.run_id)
        for number in sorted(set(self._parts) - set(digests)):
            self._findings.add(
                "AUDIT_COMMIT_MISSING", f"manifest {number} is in the log and not in the store; restore it"
            )

    def _check_commit(self, number: int, digest: str, run_id: str) -> None:
        runs, parts = self._runs.get(number, []), self._parts.get(number, [])
        if not runs:
            self._findings.add(
                "AUDIT_COMMIT_UNLOGGED",
                f"manifest {number} (run {run_id}) is not in the log: its run was interrupted, or it is not "
                "ours; `cofferdam audit merge`, or the next run, makes up for an interruption",
            )
        elif any((run.get("sha256"), run.get("run_id")) != (digest, run_id) for run in runs):
            self._findings.add(
                "AUDIT_MANIFESTS_DIFFER", f"manifest {number} is not the one that the log holds; restore it"
            )
        elif len(runs) > 1 or sorted(parts, key=str) != sorted(_all_parts(runs[0]), key=str):
            self._findings.add("AUDIT_ENTRIES_DIFFER", f"entries of manifest {number} are missing or double")

    # --- files ----------------------------------------------------------------------------------------------

    def _check_files(self, snapshot: Snapshot) -> None:
        for record in snapshot.live.values():
            if self._digest(record) == record.sha256:
                self._result.files += 1
            else:
                self._findings.add(
                    "AUDIT_FILE_DIFFERS",
                    f"{record.path} is missing or was changed after its commit; restore it from a backup",
                )

    def _digest(self, record: FileRecord) -> str | None:
        if self._files.size(record.path) is None:
            return None
        return store_reading.digest_of(self._files, record)


def _all_parts(run: Entry) -> list[tuple[int, object]]:
    """The parts that a commit's entries must have, as the first of them tells their number."""
    of = run.get("of")
    return [(part, of) for part in range(of)] if isinstance(of, int) and 0 < of < 1 << 20 else []


def summary_of(result: Verification) -> dict[str, Any]:
    """What was verified, as JSON can hold it."""
    checkpoint = result.checkpoint
    return {
        "holds": result.holds,
        "origin": result.origin,
        "entries": checkpoint.size if checkpoint else 0,
        "root": checkpoint.root_text if checkpoint else None,
        "by_type": dict(sorted(result.entries.items())),
        "commits": result.commits,
        "files": result.files,
        "earlier": result.earlier,
        "waiting": result.waiting,
        "evidence": [
            {
                "table": each.table,
                "run_id": each.run_id,
                "row": each.row.decode(),
                "in_entry": each.in_entry.as_json(),
                "in_log": each.in_log.as_json(),
            }
            for each in result.evidence
        ],
        "verifiers": [str(key) for key in result.signers],
        "verifiers_from": "the store itself" if result.own_word else "outside",
        "findings": [{"code": code, "message": message} for code, message in result.findings.listed],
        "findings_in_all": result.findings.count,
    }
