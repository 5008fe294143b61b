"""What stands in the audit log: ids, codes, counts and digests of what was done, never a value from an event.

An entry is one JSON object in one spelling (sorted keys, no spaces, ASCII). Three things become entries:

- every commit: what its manifest says follows from the manifest alone (``entries_of``), so an entry that a
  killed run did not come to write is found again, once;
- what a commit states about itself under ``audit`` in its facts (``stated``);
- what happens without a commit, such as the beginning of an opening: a file in ``log/pending`` that any
  worker leaves without asking anybody (``leave_entry``), and that the next merge takes up.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.errors import InfrastructureFault
from schemas.tables import FILTERS
from transforms.audit_tiles import LARGEST_ENTRY, LOG
from transforms.audit_tree import leaf_hash, root_of
from transforms.manifests import Manifest, Snapshot
from transforms.store_files import StoreFiles

Entry = dict[str, Any]

RUN: Final = "run"
DECISIONS: Final = "decisions"
RELEASE: Final = "release"
OPENING: Final = "opening"
ACCESS: Final = "access"
EXPORT: Final = "export"
ERASURE: Final = "erasure"
KEY: Final = "key"
POLICY: Final = "policy"
MERGE: Final = "merge"

AUDIT: Final = "audit"
"""Key of a manifest's facts under which a commit states its own entries."""

PENDING: Final = f"{LOG}/pending"

_FORMAT: Final = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{5,95}")
_KIND = re.compile(r"[a-z][a-z_]{1,31}")
_KEYWORD = re.compile(r"[A-Za-z0-9_.:/=-]{1,128}")
_WORD = re.compile(r"[A-Za-z0-9_.:/=+-]{0,256}(@[0-9][0-9.]{0,31})?")
"""No spaces, so no prose; an @ only before a version, so no address."""
_DEPTH = 4
_POLICIES = ("policy_hash", "registry_hash", "contracts")
"""What a ledger says of the rules that applied; each change of one is an entry."""


def encode(entry: Entry) -> bytes:
    """An entry as it stands in the log; equal entries have equal bytes."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def decode(content: bytes) -> Entry | None:
    """An entry of the log as an object, None for bytes that none of ours could be."""
    try:
        entry = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and encode(entry) == content else None


def stated(*entries: Mapping[str, Any]) -> dict[str, list[Entry]]:
    """The part of a commit's facts that says which entries it adds to the log.

    Args:
        entries: Each with a ``type`` and whatever ids, codes, counts and digests tell what was done.

    Raises:
        InfrastructureFault: An entry holds what could be text (``AUDIT_ENTRY``).
    """
    return {AUDIT: [checked(entry) for entry in entries]}


def checked(entry: Mapping[str, Any]) -> Entry:
    """An entry, if it can hold nothing but ids, codes, counts and digests and is short enough.

    Raises:
        InfrastructureFault: It is no such entry (``AUDIT_ENTRY``).
    """
    if not _is_entry(dict(entry)):
        raise InfrastructureFault(
            "AUDIT_ENTRY",
            f"an entry for the audit log holds ids, codes, counts and digests only, in {_LARGEST_BODY} bytes",
        )
    return dict(entry)


_LARGEST_BODY = LARGEST_ENTRY - 1024
"""Room is left for what the merge adds: where the entry was found."""


def _is_entry(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and _KIND.fullmatch(str(entry.get("type"))) is not None
        and _is_plain(entry, _DEPTH)
        and len(encode(entry)) <= _LARGEST_BODY
    )


def _is_plain(value: object, depth: int) -> bool:
    """Whether a value is made of words without spaces, whole numbers, yes and no, to a limited depth."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 1 << 53
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if depth and isinstance(value, dict):
        named = all(isinstance(name, str) and _KEYWORD.fullmatch(name) for name in value)
        return named and all(_is_plain(each, depth - 1) for each in value.values())
    return bool(depth) and isinstance(value, list) and all(_is_plain(each, depth - 1) for each in value)


# --- from commits -------------------------------------------------------------------------------------------


def digests_of(snapshot: Snapshot) -> list[str]:
    """SHA-256 of each manifest: every one holds that of the one before."""
    if not snapshot.manifests:
        return []
    return [*(manifest.previous for manifest in snapshot.manifests[1:]), snapshot.last_digest]


def commit_entries(snapshot: Snapshot, after: int) -> Iterator[Entry]:
    """The entries of all commits after the one with this number."""
    rules: dict[tuple[str, str], Any] = {}
    for manifest, digest in zip(snapshot.manifests, digests_of(snapshot), strict=True):
        changes = list(_rule_changes(manifest, rules))
        if manifest.number > after:
            yield from entries_of(manifest, digest, changes)


def entries_of(manifest: Manifest, digest: str, changes: Sequence[Entry] = ()) -> Iterator[Entry]:
    """The entries of one commit: that it was made, which rules are new, and what it states itself."""
    found = [run_entry(manifest, digest), *changes, *_own_entries(manifest)]
    for part, entry in enumerate(found):
        yield {**entry, "format": _FORMAT, "manifest": manifest.number, "part": part, "of": len(found)}


def run_entry(manifest: Manifest, digest: str) -> Entry:
    """The entry that every commit has: its manifest's digest, and its counts."""
    ledger = manifest.facts.get("ledger")
    said = ledger if isinstance(ledger, Mapping) else {}
    outcomes = said.get("outcomes")
    files = [record for record in manifest.adds if record.table != FILTERS]
    counts = {"outcomes": outcomes} if isinstance(outcomes, Mapping) and _is_plain(outcomes, 1) else {}
    return {
        "type": RUN,
        "run_id": manifest.run_id,
        "kind": _word(manifest.facts.get("kind")),
        "sha256": digest,
        "files": len(files),
        "rows": sum(record.rows for record in files),
        "removed": len(manifest.removes),
        "version": _word(said.get("version")),
        **counts,
    }


def _word(value: object) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _rule_changes(manifest: Manifest, rules: dict[tuple[str, str], Any]) -> Iterator[Entry]:
    """Policies, registry and contracts that differ from those of the last run of this kind."""
    ledger, kind = manifest.facts.get("ledger"), _word(manifest.facts.get("kind"))
    if not isinstance(ledger, Mapping):
        return
    for name in _POLICIES:
        value = ledger.get(name)
        if value is None or rules.get((kind, name)) == value:
            continue
        entry = {"type": POLICY, "what": name, "kind": kind, "now": value, "before": rules.get((kind, name))}
        rules[kind, name] = value
        yield entry if _is_entry(entry) else _digested(entry, POLICY)


def _own_entries(manifest: Manifest) -> Iterator[Entry]:
    found = manifest.facts.get(AUDIT, [])
    for entry in found if isinstance(found, list) else [found]:
        yield dict(entry) if _is_entry(entry) else _digested(entry, "unreadable")


def _digested(entry: object, kind: str) -> Entry:
    """What stands in the log for an entry that may not: one bad entry must not end the log."""
    content = json.dumps(entry, sort_keys=True, default=repr).encode()
    return {"type": kind, "digest": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


# --- without a commit ---------------------------------------------------------------------------------------


def leave_entry(files: StoreFiles, name: str, entry: Mapping[str, Any]) -> None:
    """Leave an entry for the next merge; takes no lock, and doing it again under this name changes nothing.

    Args:
        files: The store's files.
        name: What no other entry is called, such as the run's id and what it is about (6 to 96 of a-z, 0-9
            and -). Entries are merged in the order of their names.
        entry: Its ``type`` and what was done.

    Raises:
        InfrastructureFault: The entry may not stand in the log (``AUDIT_ENTRY``), or cannot be written.
    """
    path = pending_path(name)
    if path is None:
        raise InfrastructureFault("AUDIT_ENTRY", "an entry's name is 6 to 96 of a-z, 0-9 and -")
    files.create(path, encode(checked(entry)))


@dataclass(frozen=True)
class Pending:
    """An entry that waits for a merge: its name, its file and what it says."""

    name: str
    path: str
    entry: Entry

    def logged(self) -> Entry:
        """The entry as it stands in the log."""
        return {**self.entry, "format": _FORMAT, "pending": self.name}


def pending_entries(files: StoreFiles) -> list[Pending]:
    """The entries that wait, in the order in which they are merged; what cannot be one is passed over."""
    found = []
    for file in files.find(PENDING):
        name = file.path.removeprefix(f"{PENDING}/").removesuffix(".json")
        if file.path == pending_path(name):
            found.append(Pending(name, file.path, _left_entry(files.read(file.path))))
    return sorted(found, key=lambda pending: pending.name)


def pending_path(name: object) -> str | None:
    """Where the entry of this name waits, None for what is no entry's name."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return f"{PENDING}/{name}.json"
    return None


def _left_entry(content: bytes) -> Entry:
    entry = decode(content)
    if entry is not None and _is_entry(entry):
        return entry
    return {"type": "unreadable", "digest": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


# --- trees of rows ------------------------------------------------------------------------------------------


def row_bytes(row: Mapping[str, Any]) -> bytes:
    """A table's row in one spelling: JSON as in an entry, times in ISO 8601, bytes as hexadecimal digits."""
    return json.dumps(row, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError


def row_leaves(rows: Iterable[Mapping[str, Any]]) -> list[bytes]:
    """The leaf hashes of rows, sorted: the tree over them does not depend on the rows' order."""
    return sorted(leaf_hash(row_bytes(row)) for row in rows)


def rooted(kind: str, table: str, key: str, rows: Iterable[Mapping[str, Any]]) -> Entry:
    """An entry that stands for rows of a table: their number and the root of the tree over them.

    Args:
        kind: The entry's type.
        table: The table.
        key: The column whose value names a row, for who asks for the proof of one.
        rows: All rows that the commit adds to the table, with all columns, as Python objects.
    """
    leaves = row_leaves(rows)
    return {"type": kind, "table": table, "key": key, "rows": len(leaves), "root": root_of(leaves).hex()}
