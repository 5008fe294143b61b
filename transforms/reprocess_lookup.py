"""What a store already holds of the events that are taken in again: rows by event, found by their day.

Telemetry, items, rosters and signals lie in folders by the day of the event, and an event's rows all have its
time; so only files of that day are looked into, and of those only the ids first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.tables import CHILD_POSITION, DIGESTS, QUARANTINE_ITEMS, ROSTER, SIGNALS, TELEMETRY
from transforms import store_reading
from transforms.erase_reach import is_in
from transforms.erase_search import folder_of
from transforms.manifests import FileRecord
from transforms.partitioning import UNKNOWN_DATE, Partitioning
from transforms.store import Store

_WINDOW = Partitioning()
Row = dict[str, Any]


@dataclass(frozen=True)
class FoundRow:
    """A row with the file that it lies in, and that file's columns."""

    values: Mapping[str, Any] = field(repr=False)
    path: str
    schema: pa.Schema = field(repr=False)


def day_folder(time: datetime | None) -> str:
    """The folder of an event's rows."""
    if time is None or not _WINDOW.first_day <= time.date() <= _WINDOW.last_day:
        return UNKNOWN_DATE
    return f"date={time.date().isoformat()}"


class StoreLookup:
    """Looks events up in one state of a store.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._files: dict[tuple[str, str], list[FileRecord]] = defaultdict(list)
        self._schemas: dict[str, pa.Schema] = {}
        for record in store.snapshot.live.values():
            self._files[record.table, folder_of(record).rpartition("/")[2]].append(record)

    def files(self, table: str, folders: Iterable[str]) -> list[FileRecord]:
        """Files of a table in some folders by day, whatever other folders these lie in."""
        return [record for folder in sorted(set(folders)) for record in self._files.get((table, folder), ())]

    def schema(self, record: FileRecord) -> pa.Schema:
        """The columns of a file."""
        known = self._schemas.get(record.schema or record.path)
        if known is None:
            known = store_reading.schema_of(self.store.files_of_store, record.table, [record])
            self._schemas[record.schema or record.path] = known
        return known

    def holding(self, table: str, events: Mapping[str, str]) -> Iterator[tuple[FileRecord, set[str]]]:
        """Files of a table with rows of some events, and of which ones.

        Args:
            table: The table.
            events: Ids of events with the folder of each.
        """
        for record in self.files(table, events.values()):
            found = self._among([record], "event_id", events.keys())
            if found:
                yield record, found

    def rows(self, table: str, events: Mapping[str, str]) -> Iterator[FoundRow]:
        """The rows of some events.

        Args:
            table: The table.
            events: Ids of events (32 hexadecimal digits) with the folder of each.
        """
        for record in self.files(table, events.values()):
            if not self._holds(record, "event_id", events.keys()):
                continue
            schema = self.schema(record)
            for batch in self.store.scan(table, records=[record]):
                mask = is_in(batch.column("event_id"), events.keys())
                for row in batch.filter(pa.array(mask)).to_pylist():
                    yield FoundRow(row, record.path, schema)

    def main_rows(self, table: str, events: Mapping[str, str]) -> dict[str, list[FoundRow]]:
        """The rows of some events in a table with a row an event; more than one where it was taken twice."""
        found: dict[str, list[FoundRow]] = defaultdict(list)
        for row in self.rows(table, events):
            found[row.values["event_id"]].append(row)
        return found

    def child_rows(self, table: str, events: Mapping[str, str]) -> dict[tuple[str, int], FoundRow]:
        """The rows of some events in the table of an array, by event and place."""
        found = self.rows(table, events) if events else ()
        return {(row.values["event_id"], row.values[CHILD_POSITION]): row for row in found}

    def events_there(self, table: str, events: Mapping[str, str]) -> set[str]:
        """Which of some events have rows in a table."""
        return self._among(self.files(table, events.values()), "event_id", events.keys())

    def events_anywhere(self, events: Collection[str]) -> set[str]:
        """Which of some events have rows of telemetry, in whatever table and of whatever day."""
        tables = [name for name in self.store.tables() if name.startswith(f"{TELEMETRY}/")] if events else ()
        records = [record for table in tables for record in self.store.files(table)]
        return self._among(records, "event_id", events)

    def bodies_read(self, identities: Collection[bytes]) -> dict[bytes, Counter[bytes]]:
        """How often each body was read under some ids of events, but for copies that were dropped at once.

        Args:
            identities: Keyed digests (16 bytes); those that no run has read are not in the result.
        """
        found: dict[bytes, Counter[bytes]] = defaultdict(Counter)
        known = identities and DIGESTS in self.store.tables()
        for batch in self.store.scan(DIGESTS, ["id_digest", "body_digest"]) if known else ():
            mine = batch.filter(pa.array(is_in(batch.column("id_digest"), identities)))
            named = (mine.column(name).to_pylist() for name in ("id_digest", "body_digest"))
            for identity, body in zip(*named, strict=True):
                found[identity][body] += 1
        return found

    def items_there(self, kind: str, folders: Iterable[str], item_ids: Collection[str]) -> set[str]:
        """Which ids items of a kind have already."""
        inside = f"{QUARANTINE_ITEMS}/kind={kind}/"
        records = [each for each in self.files(QUARANTINE_ITEMS, folders) if each.path.startswith(inside)]
        return self._among(records, "item_id", item_ids)

    def roster_of(self, events: Mapping[str, str]) -> set[str]:
        """Which of some events have put somebody on a roster."""
        return self.events_there(ROSTER, events)

    def signals_of(self, events: Mapping[str, str]) -> set[str]:
        """Which of some events have reported a deletion."""
        return self.events_there(SIGNALS, events)

    def _holds(self, record: FileRecord, column: str, values: Collection[str]) -> bool:
        return bool(self._among([record], column, values))

    def _among(self, records: Iterable[FileRecord], column: str, values: Collection[str]) -> set[str]:
        found: set[str] = set()
        for record in records if values else ():
            for batch in self.store.scan(record.table, [column], records=[record]):
                cells = batch.column(column)
                found.update(cells.filter(pa.array(is_in(cells, values))).to_pylist())
        return found
