"""What the audit log says, as far as a report tells of it, and whether it verifies."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.errors import PromiseBroken
from schemas.tables import DECISION_EXPORTS
from transforms.audit_entries import KEY, POLICY, RELEASE, RUN, Entry, decode
from transforms.audit_log import current_checkpoint
from transforms.audit_note import unverified_checkpoint
from transforms.audit_tiles import TileReader
from transforms.audit_verify import verify_log
from transforms.report_view import StoreView
from validation.report_controls import Change

CHANGES: Final = 30
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,80}")


@dataclass
class LogRead:
    """What the log says.

    Attributes:
        note: The signed checkpoint, empty where the store has no log.
        entries: Entries that the checkpoint is of.
        root: Root of the tree over them.
        types: Entries by type.
        runs: Index of the entry of each commit, by manifest number.
        exports: Index of the entry that states the rows of exports, by manifest number.
        changes: The latest changes of policies, registry, contracts and keys.
        changed: How many there are.
        files: Files whose digests are those of their manifests.
        findings: Codes of what did not verify.
        verifiers: Public keys.
    """

    note: str = ""
    entries: int = 0
    root: str = ""
    types: Counter[str] = field(default_factory=Counter)
    runs: dict[int, int] = field(default_factory=dict)
    exports: dict[int, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    changed: int = 0
    files: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    verifiers: list[str] = field(default_factory=list)


def read_log(view: StoreView, note: str | None = None) -> LogRead:
    """Verify the log and read its entries.

    Args:
        view: The store.
        note: The checkpoint up to which it is read, as an earlier report has it; None for the present one.

    Raises:
        ConfigurationError: Nothing was ever committed.
        InfrastructureFault: The disk cannot be read.
    """
    files = view.store.files_of_store
    found = LogRead()
    earlier = [] if note is None else [note.encode()]
    result = verify_log(view.store.root, earlier=earlier if note else ())
    found.findings.update(code for code, _ in result.findings.listed)
    found.findings["MORE_FINDINGS"] += result.findings.count - len(result.findings.listed)
    found.files = len(view.store.snapshot.live) if result.holds else result.files
    present = current_checkpoint(files)
    if present is None or (note is not None and not note):
        return found
    found.note = present.decode() if note is None else note
    try:
        checkpoint = unverified_checkpoint(found.note.encode())[0]
    except PromiseBroken as error:
        found.findings[error.code] += 1
        return found
    found.entries, found.root = checkpoint.size, checkpoint.root_text
    found.verifiers = sorted(map(str, result.signers))
    size = unverified_checkpoint(present)[0].size
    tree = TileReader(files.read, size)
    _read_entries(found, view, (decode(entry) for entry in tree.entries(0, min(checkpoint.size, size))))
    return found


def _read_entries(found: LogRead, view: StoreView, entries: Iterator[Entry | None]) -> None:
    known = {run.number for run in view.store.snapshot.manifests}
    for index, decoded in enumerate(entries):
        entry = decoded or {"type": "unreadable"}
        kind, number = str(entry["type"]), entry.get("manifest")
        found.types[_word(kind)] += 1
        if kind == RUN and number in known and entry.get("sha256") == view.digests[number]:
            found.runs[number] = index
        elif kind == RELEASE and entry.get("table") == DECISION_EXPORTS and number in known:
            found.exports[number] = index
        elif kind in (POLICY, KEY):
            found.changed += 1
            found.changes = [*found.changes, _change(index, entry)][-CHANGES:]


def _change(index: int, entry: Entry) -> Change:
    if entry["type"] == KEY:
        what = f"{_word(entry.get('side'))} {_word(entry.get('purpose'))}"
        change, now = _word(entry.get("change")), _word(entry.get("key_id"))
        return Change(log_entry=index, what=what, change=change, now=now)
    said: Any = entry.get("now")
    now = f"{len(said)} contracts" if isinstance(said, list) else _word(said)
    change = "new" if entry.get("before") is None else "changed"
    return Change(log_entry=index, what=_word(entry.get("what")), change=change, now=now)


def _word(value: object) -> str:
    """An id or a word of an entry; whoever can write to the store could have left anything there."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "unreadable"
