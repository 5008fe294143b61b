"""Find people in a store: files by the manifests' filters, visits in rosters, names in telemetry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import ContractSet
from schemas.tables import FILTERS, RELEASED, ROSTER, TELEMETRY
from schemas.telemetry import all_telemetry_tables
from transforms import store_reading
from transforms.erase_reach import Mask, Reach, Space, is_in
from transforms.erase_rows import names_somebody
from transforms.manifests import FileRecord
from transforms.membership_filter import Wanted, is_empty, is_of_earlier_kind
from transforms.roster import JOIN_ID_SUFFIX
from transforms.store import Store

IDS_AT_ONCE: Final = 10_000
"""Ids that filters are asked about; with more of them, all files of a table are read."""


class StoreSearch:
    """One state of a store with its filters, read once.

    Args:
        store: The store.
        earlier: A search of an earlier state; files of filters that are still there are not read again.
    """

    def __init__(self, store: Store, earlier: StoreSearch | None = None) -> None:
        self.store = store
        self._read: dict[str, dict[str, bytes]] = {}
        self._filters: dict[str, bytes] = {}
        self._filters_in: dict[str, str] = {}
        known = {} if earlier is None else earlier._read
        for record in store.files(FILTERS):
            found = known.get(record.path) or store_reading.filters(store.files_of_store, [record])
            self._read[record.path] = found
            self._filters |= found
            self._filters_in |= dict.fromkeys(found, record.path)

    def holding(self, table: str, values: Iterable[str | bytes]) -> list[FileRecord]:
        """Files of a table, or of all tables below a folder, that may hold one of some values."""
        chosen = set(values)
        wanted = Wanted(chosen)
        return [
            record
            for record in self.store.snapshot.live.values()
            if chosen
            and (record.table == table or record.table.startswith(f"{table}/"))
            and (record.path not in self._filters or wanted.may_be_in(self._filters[record.path]))
        ]

    def copies_of(self, items: Collection[str]) -> list[FileRecord]:
        """Files that may hold released copies of some items."""
        if len(items) > IDS_AT_ONCE:
            return self.store.files(RELEASED)
        wanted = Wanted(items)
        return [
            record
            for record in (self.store.files(RELEASED) if items else ())
            if is_of_earlier_kind(known := self._filters.get(record.path, b"")) or wanted.may_be_in(known)
        ]

    def filters_in(self, record: FileRecord) -> str:
        """The path of the file that a file's filter lies in, empty where it has none."""
        return self._filters_in.get(record.path, "")

    def is_silent(self, record: FileRecord) -> bool:
        """Whether a file's filter names nothing at all, so that it tells nothing of what the file holds."""
        return record.path not in self._filters or is_empty(self._filters[record.path])

    def rows(self, record: FileRecord, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of a file, in pieces."""
        for batch in self.store.scan(record.table, list(columns), records=[record]):
            yield pa.Table.from_batches([batch])

    def schema(self, record: FileRecord) -> pa.Schema:
        """The columns of a file."""
        return store_reading.schema_of(self.store.files_of_store, record.table, [record])


def values_where(column: pa.ChunkedArray, mask: Mask) -> list[Any]:
    """Distinct values of a column in some rows, without null."""
    found: list[Any] = pc.unique(column.filter(pa.array(mask))).drop_null().to_pylist()
    return found


def folder_of(record: FileRecord) -> str:
    """The folder of a file below its table's, such as ``date=2026-01-02``."""
    return record.path[len(record.table) + 1 :].rpartition("/")[0]


# --- rosters ----------------------------------------------------------------------------------------------


def with_visits(search: StoreSearch, join: Space) -> Space:
    """The visits of the people, but for those under which others are named, too."""
    columns = ["subjects", "join_pseudonym"]
    visits: set[str] = set()
    for record in search.holding(ROSTER, join.people):
        for rows in search.rows(record, columns):
            mask = names_somebody(rows, join.people)
            visits.update(values_where(rows.column("join_pseudonym"), mask))
    shared: set[str] = set()
    for record in search.holding(ROSTER, visits):
        for rows in search.rows(record, columns):
            others = is_in(rows.column("join_pseudonym"), visits) & ~names_somebody(rows, join.people)
            named = pc.fill_null(pc.list_value_length(rows.column("subjects")), 0)
            others &= named.to_numpy() > 0
            shared.update(values_where(rows.column("join_pseudonym"), others))
    return join.with_people(visits=visits - shared)


@dataclass(frozen=True)
class RosterEvent:
    """An event that put a person on the roster.

    Attributes:
        alone: Whether it names nobody else.
        visit: Whether its visit is the person's.
        day: Folder (date) that its rows lie in.
    """

    alone: bool
    visit: bool
    day: str


def roster_events(search: StoreSearch, join: Space) -> dict[str, RosterEvent]:
    """The events that put people on the roster, by their ids."""
    found: dict[str, RosterEvent] = {}
    for record in search.holding(ROSTER, join.people | join.visits):
        for rows in search.rows(record, ["subjects", "join_pseudonym", "event_id"]):
            theirs = names_somebody(rows, join.people) | is_in(rows.column("join_pseudonym"), join.visits)
            for row in rows.filter(pa.array(theirs)).to_pylist():
                if row["event_id"] is not None:
                    found[row["event_id"]] = _roster_event(row, join, folder_of(record))
    return found


def _roster_event(row: Mapping[str, Any], join: Space, day: str) -> RosterEvent:
    named = {each["pseudonym"] for each in row["subjects"] or ()}
    return RosterEvent(bool(named) and named <= join.people, row["join_pseudonym"] in join.visits, day)


# --- telemetry --------------------------------------------------------------------------------------------


def visit_columns(contracts: ContractSet) -> dict[str, tuple[str, ...]]:
    """Columns of each telemetry table that hold per-join ids."""
    return {
        name: tuple(
            entry.column
            for entry in table.columns
            if entry.column is not None and (entry.identifies or "").endswith(JOIN_ID_SUFFIX)
        )
        for name, table in all_telemetry_tables(contracts).items()
    }


class TelemetryNames:
    """What telemetry calls people and their visits, learned from the events that put them on the roster.

    Per-join ids are registered nowhere, and a tenant that is not registered has pseudonyms of its own. The
    roster's events are in both spaces, and tell.

    Args:
        search: The store.
        contracts: Contracts, for the tables that rosters are made from, and their columns of per-join ids.
    """

    def __init__(self, search: StoreSearch, contracts: ContractSet) -> None:
        self._search = search
        self._visit_columns = visit_columns(contracts)
        self._tables = {f"{TELEMETRY}/{shape.table}" for shape in contracts.shapes if shape.roster}

    def learn(self, reach: Reach) -> Space:
        """The people in telemetry, with every name that was found."""
        events = roster_events(self._search, reach.join)
        space, missing = reach.telemetry, set(events)
        for record in self._search.holding(TELEMETRY, space.people):
            space = self._learn_from(record, missing, events, space)
        days = {events[each].day for each in missing}
        for record in self._search.store.snapshot.live.values() if missing else ():
            if folder_of(record) in days:
                space = self._learn_from(record, missing, events, space)
        return space

    def _learn_from(
        self, record: FileRecord, missing: set[str], events: Mapping[str, RosterEvent], space: Space
    ) -> Space:
        if record.table not in self._tables:
            return space
        names = self._search.schema(record).names
        columns = [name for name in self._visit_columns.get(record.table, ()) if name in names]
        people, visits = set[str](), set[str]()
        for rows in self._search.rows(record, ["event_id", "participant", *columns]):
            mask = is_in(rows.column("event_id"), list(events))
            for row in rows.filter(pa.array(mask)).to_pylist():
                missing.discard(row["event_id"])
                known = events[row["event_id"]]
                if known.alone and row["participant"] is not None:
                    people.add(row["participant"])
                if known.visit:
                    visits.update(row[name] for name in columns if row[name] is not None)
        return space.with_people(people, visits)
