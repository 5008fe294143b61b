"""What may be taken in again: chosen from what stands in clear, so that nothing else is opened.

A reject is chosen if a contract can take its reason away, an unclassified item if a contract knows the type
of its event. What an erasure has touched, and what is due to be erased by its age, is left alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import UNCLASSIFIED_KIND
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, QUARANTINE_KEYS, QUARANTINE_REJECTED
from transforms.erase_reach import is_in
from transforms.manifests import FileRecord
from transforms.reprocess_records import destroyed_among
from transforms.reprocess_told import ERASED, NOT_MENDABLE, STAYS, TIME_TO_LIVE_OVER, UNKNOWN_TYPE, Told
from transforms.sealed_format import COVERS_DATA, HOLDS_REJECTED
from transforms.store import Store
from transforms.tombstones import destroyed_items, erased_events

_OF_UNCLASSIFIED = f"{QUARANTINE_ITEMS}/kind={UNCLASSIFIED_KIND}/"


class InFiles(NamedTuple):
    """Data keys, and files of a table that all rows of theirs are in."""

    keys: Collection[bytes]
    files: Sequence[FileRecord]


class SealedRows:
    """The rows of what is sealed under some data keys.

    Args:
        store: The store.
        items: Data keys of items, and the files that their rows are in.
        rejects: Data keys of rejects, and the files that theirs are in.
    """

    def __init__(self, store: Store, items: InFiles, rejects: InFiles) -> None:
        self._items = _rows(store, QUARANTINE_ITEMS, items)
        self._rejects = _rows(store, QUARANTINE_REJECTED, rejects)
        self._item_rows, self._reject_rows = _by_key(self._items), _by_key(self._rejects)

    @property
    def rejects(self) -> Mapping[bytes, list[int]]:
        """Data keys of rejects."""
        return self._reject_rows

    @property
    def wanted(self) -> dict[bytes, set[int]]:
        """All data keys, with the blobs that each has."""
        found: dict[bytes, set[int]] = defaultdict(set)
        for table in (self._items, self._rejects):
            keys, parts = (table.column(name).to_pylist() for name in ("key_id", "blob_part"))
            for key_id, part in zip(keys, parts, strict=True):
                found[key_id].add(part)
        return found

    def rows_of_items(self, key_id: bytes) -> dict[str, dict[str, Any]]:
        """The rows of the items under a key, by their ids."""
        rows = self._items.take(self._item_rows[key_id]).to_pylist()
        return {row["item_id"]: row for row in rows}

    def rows_of_rejects(self, key_id: bytes) -> dict[str, dict[int, dict[str, Any]]]:
        """The rows of the pieces of rejects under a key, by their ids and numbers."""
        found: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for row in self._rejects.take(self._reject_rows[key_id]).to_pylist():
            found[row["reject_id"]][row["piece"]] = row
        return found

    def rows_under(self, keys: Iterable[bytes]) -> tuple[int, int]:
        """Rows of items and of rejects under some keys."""
        keys = list(keys)
        return (
            sum(len(self._item_rows.get(key, ())) for key in keys),
            sum(len(self._reject_rows.get(key, ())) for key in keys),
        )


class Choice:
    """Data keys to be opened, in the order in which their rows stand.

    Args:
        store: The store.
        types: Source and event type of the items to be chosen; None for any.
        reasons: Reasons of the rejects to be chosen.
        first_item: First day whose items still live.
        first_reject: First day whose rejects still live.

    Attributes:
        items: Data keys of items.
        rejects: Data keys of rejects.
        told: What is told of everything else.
        erased: Events of which an erasure took something (32 hexadecimal digits).
    """

    def __init__(
        self,
        store: Store,
        types: Collection[tuple[str, str]] | None,
        reasons: Collection[str],
        first_item: date,
        first_reject: date,
    ) -> None:
        self._store, self._types, self._reasons = store, types, reasons
        self.told: Counter[Told] = Counter()
        self.erased = erased_in(store)
        aged = self._aged(first_item, first_reject)
        self.item_files = tuple(filter(is_unclassified, store.files(QUARANTINE_ITEMS)))
        self.reject_files = tuple(store.files(QUARANTINE_REJECTED))
        self.items = self._chosen_items(self.item_files, aged)
        self.rejects = self._chosen_rejects(self.reject_files, aged)

    def _aged(self, first_item: date, first_reject: date) -> frozenset[bytes]:
        """Data keys whose time to live is over: what is due to be erased is not opened any more."""
        found: set[bytes] = set()
        columns = ["key_id", "covers", "holds", "created"]
        records = self._store.checked(self._store.files(QUARANTINE_KEYS))  # no cipher binds a key to its day
        for batch in self._store.scan(QUARANTINE_KEYS, columns, records=records):
            first = pc.if_else(
                pc.equal(batch.column("holds"), HOLDS_REJECTED),
                pa.scalar(first_reject, pa.date32()),
                pa.scalar(first_item, pa.date32()),
            )
            is_data = pc.equal(batch.column("covers"), COVERS_DATA)
            old = pc.and_(is_data, pc.less(batch.column("created"), first))
            found.update(batch.column("key_id").filter(old).to_pylist())
        return frozenset(found)

    def _chosen_items(self, records: Sequence[FileRecord], aged: frozenset[bytes]) -> dict[bytes, None]:
        """Data keys of items some of which a contract may know by now."""
        columns = ["key_id", "source", "event_type", "event_id"]
        chosen: dict[bytes, None] = {}
        others: list[tuple[bytes, Told]] = []
        for key, source, event_type, event in self._values(QUARANTINE_ITEMS, columns, records):
            if self._types is not None and (source, event_type) not in self._types:
                reason = UNKNOWN_TYPE
            elif event in self.erased:
                reason = ERASED
            elif key in aged:
                reason = TIME_TO_LIVE_OVER
            else:
                chosen[key] = None
                continue
            others.append((key, _stays(source, event_type, UNCLASSIFIED_KIND, reason)))
        self._tell(others, chosen)
        return chosen

    def _chosen_rejects(self, records: Sequence[FileRecord], aged: frozenset[bytes]) -> dict[bytes, None]:
        """Data keys of records some of which a contract may know by now."""
        columns = ["key_id", "source", "reason", "last"]
        chosen: dict[bytes, None] = {}
        others: list[tuple[bytes, Told]] = []
        for key, source, reason, last in self._values(QUARANTINE_REJECTED, columns, records):
            if reason in self._reasons and key not in aged:
                chosen[key] = None
            elif last:
                why = TIME_TO_LIVE_OVER if reason in self._reasons else NOT_MENDABLE
                others.append((key, _stays(source, None, reason, why)))
        self._tell(others, chosen)
        return chosen

    def _tell(self, others: Iterable[tuple[bytes, Told]], chosen: Collection[bytes]) -> None:
        """Tell of what is not opened; what shares a key with something that is will be told of then."""
        self.told.update(told for key, told in others if key not in chosen)

    def _values(
        self, table: str, columns: list[str], records: Sequence[FileRecord]
    ) -> Iterator[tuple[Any, ...]]:
        for batch in self._store.scan(table, columns, records=records) if records else ():
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


class Selection(SealedRows):
    """Data keys to be opened, and the rows of what is sealed under them.

    Args:
        store: The store.
        choice: The keys.

    Attributes:
        erased: Events of which an erasure took something (32 hexadecimal digits).
        destroyed: Rejects among the chosen that were destroyed (32 hexadecimal digits).
    """

    def __init__(self, store: Store, choice: Choice) -> None:
        items, rejects = (
            InFiles(choice.items, choice.item_files),
            InFiles(choice.rejects, choice.reject_files),
        )
        super().__init__(store, items, rejects)
        self.erased = choice.erased
        ids = frozenset(self._rejects.column("reject_id").to_pylist())
        self.destroyed = destroyed_among(destroyed_items(store), ids) if len(ids) else frozenset()


def erased_in(store: Store) -> frozenset[str]:
    """Events of which an erasure took something (32 hexadecimal digits)."""
    return frozenset(
        each.hex() for table in erased_events(store) for each in table.column("id_digest").to_pylist()
    )


def is_unclassified(record: FileRecord) -> bool:
    """Whether a file of the items table holds unclassified ones."""
    return record.path.startswith(_OF_UNCLASSIFIED)


def _stays(source: str | None, event_type: str | None, held_as: str, reason: str) -> Told:
    return Told(source or "-", event_type or "-", held_as, "-", STAYS, "content", reason)


def _by_key(rows: pa.Table) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = defaultdict(list)
    for place, key in enumerate(rows.column("key_id").to_pylist()):
        found[key].append(place)
    return dict(found)


def _rows(store: Store, table: str, chosen: InFiles) -> pa.Table:
    schema = FIXED_TABLES[table]
    records = chosen.files if chosen.keys else ()
    if table == QUARANTINE_REJECTED:  # no cipher binds a record to its day, and to why it was held
        records = store.checked(records)
    batches = store.scan(table, schema.names, records=records) if records else ()
    found = [
        batch.filter(pa.array(is_in(batch.column("key_id"), chosen.keys))).cast(schema) for batch in batches
    ]
    return pa.Table.from_batches(found, schema)
