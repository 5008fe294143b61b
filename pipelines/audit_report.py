"""The audit log in words: the checkpoint that every report ends with, entries, and what was verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from transforms.audit_entries import Entry, decode
from transforms.audit_log import current_checkpoint, no_log
from transforms.audit_note import unverified_checkpoint
from transforms.audit_tiles import TileReader
from transforms.audit_verify import Verification
from transforms.store import Store
from transforms.store_files import open_files

_FIRST = ("type", "run_id", "kind", "what", "change", "state")
_UNTOLD = ("format", "part", "of")
_LONGEST = 48


def checkpoint_of(store: str) -> dict[str, Any] | None:
    """The log's checkpoint as a report's JSON holds it, None where there is no log."""
    content = current_checkpoint(open_files(store))
    if content is None:
        return None
    checkpoint, _ = unverified_checkpoint(content)
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root_text,
        "note": content.decode(),
    }


def checkpoint_text(store: str) -> str:
    """The log's checkpoint as a report's last lines hold it: the signed note itself, to be kept."""
    said = checkpoint_of(store)
    if said is None:
        return "The store has no audit log."
    return (
        f"Audit log: {said['size']:,} entries. Keep this checkpoint where the store's keepers cannot change "
        f"it; `cofferdam audit verify --checkpoint FILE` shows later whether the log continues it.\n\n"
        f"{said['note']}"
    )


def entries_of_log(store: str) -> Iterator[tuple[int, Entry]]:
    """The log's entries with their places; nothing is verified.

    Raises:
        ConfigurationError: There is no log (``AUDIT_NO_LOG``).
        PromiseBroken: A bundle of entries is missing or damaged.
    """
    files = Store.open(store).files_of_store
    content = current_checkpoint(files)
    if content is None:
        raise no_log()
    size = unverified_checkpoint(content)[0].size
    for place, entry in enumerate(TileReader(files.read, size).entries(0, size)):
        yield place, decode(entry) or {"type": "unreadable"}


def entry_line(place: int, entry: Entry) -> str:
    """An entry on one line: what it is first, then all else that it holds."""
    first = [str(entry[name]) for name in _FIRST if entry.get(name)]
    rest = [f"{name}={_short(value)}" for name, value in entry.items() if name not in (*_FIRST, *_UNTOLD)]
    return f"{place:>7}  {'  '.join([*first, *rest])}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def verification_text(result: Verification) -> str:
    """What was verified, and what does not hold."""
    return "\n".join(_verification_lines(result))


def _verification_lines(result: Verification) -> Iterator[str]:
    if result.checkpoint is not None:
        yield f"log      {result.origin}: {result.checkpoint.size:,} entries"
        yield f"root     {result.checkpoint.root_text}"
        yield f"entries  {', '.join(f'{number:,} {kind}' for kind, number in sorted(result.entries.items()))}"
    yield f"store    {result.commits:,} commits, {result.files:,} files as their manifests say"
    if result.waiting:
        yield f"waiting  {result.waiting:,} entries for the next run"
    for each in result.evidence:
        yield (
            f"found    in {each.table}, run {each.run_id}, row {each.in_entry.index + 1} of "
            f"{each.in_entry.size}, entry {each.in_log.index} of the log"
        )
    if result.own_word:
        yield "keys     the store's own word: name those you know with --verifier-key or --keys"
    for code, message in result.findings.listed:
        yield f"BROKEN   {code}: {message}"
    if result.findings.count > len(result.findings.listed):
        yield f"BROKEN   and {result.findings.count - len(result.findings.listed):,} more"
    if result.holds:
        yield "Everything holds."
