"""What is taken in again, cut into tasks: data keys whose blobs lie together, with the files to look into.

A task names keys and files and holds no row; whoever does it reads the rows. Keys are taken in the order in
which their ciphertext was committed, so that of an event that came twice the first one is the one that moves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa

from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_ITEMS, QUARANTINE_KEYS, QUARANTINE_REJECTED
from transforms.erase_reach import Mask, is_in
from transforms.manifests import FileRecord
from transforms.ordered_opening import Within
from transforms.reprocess_records import destroyed_among
from transforms.reprocess_selection import Choice, InFiles, SealedRows
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA
from transforms.store import Store
from transforms.tombstones import destroyed_items

ROWS_A_TASK: Final = 20_000
"""Rows after which no further file is added to a task."""


@dataclass(frozen=True)
class Task:
    """Data keys that one worker opens and takes in.

    Attributes:
        number: Its place among all tasks.
        of_rejects: Whether they are keys of rejects; else of items.
        keys: The data keys.
        rows: Paths of the files that tell of what is under them.
        blobs: Paths of the files of their ciphertext.
        wrapped: Paths of the files of their wrapped keys, and of those that wrap them.
        chosen: Number of rows of what is under them.
        seen: Events (32 hexadecimal digits) that an earlier task has fields of.
        destroyed: Rejects among them that were destroyed (32 hexadecimal digits).
    """

    number: int
    of_rejects: bool
    keys: tuple[bytes, ...] = field(repr=False)
    rows: tuple[str, ...]
    blobs: tuple[str, ...]
    wrapped: tuple[str, ...]
    chosen: int
    seen: frozenset[str] = frozenset()
    destroyed: frozenset[str] = frozenset()

    def sealed_rows(self, store: Store) -> SealedRows:
        """The rows of what is under its keys."""
        own, none = InFiles(self.keys, _records(store, self.rows)), InFiles((), ())
        return SealedRows(store, none, own) if self.of_rejects else SealedRows(store, own, none)

    def within(self, store: Store) -> Within:
        """The files to open from."""
        return Within(_records(store, self.blobs), _records(store, self.wrapped))


class _Found(NamedTuple):
    """Where rows of some keys are: files and number of rows by key, and values of a column by key."""

    files: dict[bytes, list[str]]
    rows: Counter[bytes]
    names: dict[bytes, list[str]]

    def named(self, keys: Iterable[bytes]) -> frozenset[str]:
        """The values under some keys."""
        return frozenset(name for key in keys for name in self.names.get(key, ()))

    def count(self, keys: Iterable[bytes]) -> int:
        """The number of rows under some keys."""
        return sum(self.rows[key] for key in keys)


def tasks_of(store: Store, choice: Choice, rows_a_task: int = ROWS_A_TASK) -> list[Task]:
    """Everything that was chosen, cut into tasks."""
    chosen = {**choice.items, **choice.rejects}
    blobs = _located(store, QUARANTINE_BLOBS, store.files(QUARANTINE_BLOBS), chosen)
    wrapped = _wrapping_files(store, chosen)
    items = _located(store, QUARANTINE_ITEMS, choice.item_files, choice.items, "event_id")
    rejects = _located(store, QUARANTINE_REJECTED, choice.reject_files, choice.rejects, "reject_id")
    order = [record.path for record in store.files(QUARANTINE_BLOBS)]
    destroyed = _destroyed(store, rejects.named(choice.rejects))
    tasks: list[Task] = []
    seen: set[str] = set()
    for keys in _grouped(choice.items, blobs, items.rows, order, rows_a_task):
        rows, sealed, under = (_paths(each, keys) for each in (items.files, blobs.files, wrapped))
        events = items.named(keys)
        tasks.append(
            Task(len(tasks), False, keys, rows, sealed, under, items.count(keys), seen=events & seen)
        )
        seen |= events
    for keys in _grouped(choice.rejects, blobs, rejects.rows, order, rows_a_task):
        rows, sealed, under = (_paths(each, keys) for each in (rejects.files, blobs.files, wrapped))
        gone = destroyed & rejects.named(keys)
        tasks.append(Task(len(tasks), True, keys, rows, sealed, under, rejects.count(keys), destroyed=gone))
    return tasks


def _destroyed(store: Store, rejects: frozenset[str]) -> frozenset[str]:
    return destroyed_among(destroyed_items(store), rejects) if rejects else frozenset()


def _grouped(
    keys: Iterable[bytes], blobs: _Found, rows: Counter[bytes], order: Sequence[str], most: int
) -> Iterator[tuple[bytes, ...]]:
    """Keys by the last file that has a blob of theirs; no file is read for two tasks that need not be."""
    by_file: dict[str, list[bytes]] = defaultdict(list)
    for key in keys:
        by_file[blobs.files[key][-1] if key in blobs.files else ""].append(key)
    waiting: list[bytes] = []
    size = 0
    for path in ["", *order]:
        waiting += by_file[path]
        size += sum(rows[key] for key in by_file[path])
        if size >= most:
            yield tuple(waiting)
            waiting, size = [], 0
    if waiting:
        yield tuple(waiting)


def _located(
    store: Store, table: str, files: Iterable[FileRecord], keys: Collection[bytes], column: str | None = None
) -> _Found:
    """Where rows of keys are, in the order of the files."""
    found = _Found(defaultdict(list), Counter(), defaultdict(list))
    for record in files if keys else ():
        for batch in store.scan(table, ["key_id", *([column] if column else [])], records=[record]):
            rows = batch.filter(_mask(is_in(batch.column("key_id"), keys)))
            names = rows.column("key_id").to_pylist()
            for key in names:
                if record.path not in found.files[key][-1:]:
                    found.files[key].append(record.path)
            found.rows.update(names)
            if column:
                for key, name in zip(names, rows.column(column).to_pylist(), strict=True):
                    found.names[key].append(name)
    return found


def _wrapping_files(store: Store, keys: Collection[bytes]) -> dict[bytes, list[str]]:
    """The files of the rows of data keys, and of the bundle keys that wrap them."""
    columns = ["key_id", "covers", "wrapping_key_id"]
    found: dict[bytes, list[str]] = defaultdict(list)
    wrapping: dict[bytes, dict[bytes, None]] = defaultdict(dict)
    bundles: dict[bytes, list[str]] = defaultdict(list)
    for record in store.files(QUARANTINE_KEYS):
        for batch in store.scan(QUARANTINE_KEYS, columns, records=[record]):
            covers = batch.column("covers")
            data = batch.filter(_mask(is_in(covers, [COVERS_DATA]) & is_in(batch.column("key_id"), keys)))
            named = (data.column(name).to_pylist() for name in ("key_id", "wrapping_key_id"))
            for key, over in zip(*named, strict=True):
                found[key].append(record.path)
                wrapping[key][over] = None
            for key in batch.filter(_mask(is_in(covers, [COVERS_BUNDLE]))).column("key_id").to_pylist():
                bundles[key].append(record.path)
    for key, over in wrapping.items():
        found[key] += [path for each in over for path in bundles[each]]
    return found


def _paths(files: Mapping[bytes, Iterable[str]], keys: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for key in keys for path in files.get(key, ())))


def _records(store: Store, paths: Iterable[str]) -> list[FileRecord]:
    return [store.snapshot.live[path] for path in paths]


def _mask(values: Mask) -> pa.Array:
    return pa.array(values)


__all__ = ["ROWS_A_TASK", "Task", "tasks_of"]
