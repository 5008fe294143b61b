"""What unclassified fields become once their contract knows them: rows that are completed, items of a kind.

Nothing is overwritten: a value completes a row where the row has none. Where it has another one, or where the
row is not there, the event is refused as a whole and stays sealed.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from schemas.cells import Level, Path
from schemas.classification import KIND_NUMBER, UNCLASSIFIED_KIND
from schemas.contract import EventShape
from schemas.tables import CHILD_POSITION, TIME, UNREADABLE, telemetry_columns
from schemas.telemetry import TelemetryTable
from transforms.chunked_encryption import length_prefixed
from transforms.cut_out import NEVER_RELEASED, CutGroup, cut_out
from transforms.item_rows import event_claims
from transforms.keys import ReleaseKeys
from transforms.reprocess_epochs import Linked, PartPseudonyms
from transforms.reprocess_lookup import FoundRow, StoreLookup
from transforms.reprocess_parts import Part, parts_of
from transforms.roster import JOIN_ID_SUFFIX, roster_rows
from transforms.sealed_format import size_class, unframe_parts
from transforms.shape_columns import Columns, ShapeColumns, take_columns
from transforms.signals import signal_rows

ROW_MISSING: Final = "ROW_MISSING"
"""Telemetry has no row of the event that the value could complete."""

VALUE_CONFLICT: Final = "VALUE_CONFLICT"
"""Telemetry has another value in that place."""

TABLE_CHANGED: Final = "TABLE_CHANGED"
"""The table's column is of another type than the contract's."""

_COMPLEMENT: Final = b"cofferdam complementary item v1"
_ROSTER_COLUMNS: Final = ("join_pseudonym", "channel", "role", "region", "view_only", "is_host")
_STANDARD: Final = tuple(entry.name for entry in telemetry_columns())


class SealedEvent(Protocol):
    """What is known of an event whose fields are taken apart."""

    @property
    def row(self) -> Mapping[str, Any]:
        """The row of its unclassified item."""

    @property
    def event_id(self) -> str:
        """The event."""

    @property
    def folder(self) -> str:
        """The folder by day of its rows."""


class NewItem(NamedTuple):
    """An item that parts have become.

    Attributes:
        item_id: Its id (16 bytes).
        kind: Its kind.
        contract: The contract that names it.
        framed: Its framed parts.
        row: Its row of the items table but for what sealing adds; None for kinds that are never released.
    """

    item_id: bytes
    kind: str
    contract: str
    framed: bytes
    row: dict[str, Any] | None

    def __repr__(self) -> str:
        return f"<NewItem {self.item_id.hex()}>"


@dataclass
class Effects:
    """What the parts of one event become.

    Attributes:
        refused: Why nothing of it can be; empty where everything can.
        left: Parts that no field takes.
        items: New items.
        completes: Values by table of telemetry: event, place in its array, columns.
        adds: New rows of tables of arrays.
        roster: What completes the event's row of the roster.
        signals: Deletions that it reports.
        claims: Columns that complete the rows of all its items.
    """

    refused: str = ""
    left: list[Part] = field(default_factory=list)
    items: list[NewItem] = field(default_factory=list)
    completes: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list), repr=False)
    adds: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list), repr=False)
    roster: dict[str, Any] = field(default_factory=dict, repr=False)
    signals: list[dict[str, Any]] = field(default_factory=list, repr=False)
    claims: dict[str, Any] = field(default_factory=dict, repr=False)


class Sighted(NamedTuple):
    """An event, its row of telemetry, and where its parts stand and the fields that they have values of."""

    event: SealedEvent
    row: FoundRow | None
    reached: frozenset[Path]

    def __repr__(self) -> str:
        return f"<Sighted {self.event.event_id}>"

    def reaches(self, paths: Iterable[Path | None]) -> bool:
        """Whether a part stands at, in or around one of some fields."""
        wanted = [path for path in paths if path is not None]
        return any(one[: len(other)] == other[: len(one)] for one in self.reached for other in wanted)


def effects_of(
    plan: ShapeColumns,
    level: Level,
    whole: Level,
    events: Sequence[Sighted],
    lookup: StoreLookup,
    keys: ReleaseKeys,
    linked: Linked | None,
) -> list[Effects]:
    """What the parts of some events of one shape become.

    Args:
        plan: The shape's plan.
        level: The events made again from the parts that move, decoded.
        whole: The events made again from all parts of which it can be told where they stood.
        events: The same events.
        lookup: The store.
        keys: The release side's keys.
        linked: Epoch and tenant of all of them, where pseudonyms for telemetry are to be made.
    """
    return _Group(plan, level, whole, events, lookup, keys, linked).effects()


class _Group:
    """Events of one shape, epoch and tenant."""

    def __init__(
        self,
        plan: ShapeColumns,
        level: Level,
        whole: Level,
        events: Sequence[Sighted],
        lookup: StoreLookup,
        keys: ReleaseKeys,
        linked: Linked | None,
    ) -> None:
        self._plan, self._level, self._lookup, self._keys = plan, level, lookup, keys
        self._whole, self._sighted = whole, events
        self._events = [each.event for each in events]
        self._rows = [each.row for each in events]
        self._pseudonyms = PartPseudonyms(keys, linked)
        self._at = {event.event_id: place for place, event in enumerate(self._events)}
        self._by_start = {event_id[:-2]: place for event_id, place in self._at.items()}
        self._found = [Effects() for _ in events]
        ids = np.frombuffer(bytes.fromhex("".join(self._at)), np.uint8).reshape(-1, 16)
        self._columns = take_columns(plan, level, ids, self._pseudonyms)
        self._set_known(self._columns)
        self._whole_columns = take_columns(plan, whole, ids, self._pseudonyms)
        self._set_known(self._whole_columns)

    def effects(self) -> list[Effects]:
        shape = self._plan.shape
        self._take_telemetry()
        self._take_claims()
        self._take_cuts(cut_out(self._plan, self._level, self._columns, self._pseudonyms))
        roster = roster_rows(shape, self._level, self._columns, self._pseudonyms)
        self._take_roster([] if roster is None else roster.to_pylist())
        self._take_signals()
        return self._found

    def _set_known(self, columns: Columns) -> None:
        """Who, where and when the events are about is not among their parts; the rows of items tell."""
        rows = [event.row for event in self._events]
        for role, name in (("tenant", "tenant"), ("meeting", "meeting"), ("participant", "sender")):
            columns.join[role] = pa.array([row[f"{name}_join"] for row in rows], pa.string())
        columns.event_time = pa.array([row["event_time"] for row in rows], TIME)

    # --- telemetry ----------------------------------------------------------------------------------------

    def _take_telemetry(self) -> None:
        for array, table in self._plan.tables.items():
            made = self._columns.tables.get(table.name)
            own = [entry.column for entry in table.columns if entry.column]
            if made is None or not own:
                continue
            named = ["event_id", *([CHILD_POSITION] if array else []), *own]
            rows = [_without_nulls(row) for row in made.select(named).to_pylist()]
            if array:
                self._complete_children(table, rows)
                continue
            for row in filter(_has_values, rows):
                self._complete(table, row, self._rows[self._at[row["event_id"]]])

    def _complete(self, table: TelemetryTable, values: dict[str, Any], row: FoundRow | None) -> None:
        """Complete a row of telemetry by values that it does not have."""
        effects = self._found[self._at[values["event_id"]]]
        if row is None:
            effects.refused = ROW_MISSING
            return
        for name in values.keys() - {"event_id", CHILD_POSITION}:
            kind = table.schema.field(name).type
            if name in row.schema.names and row.schema.field(name).type != kind:
                effects.refused = TABLE_CHANGED
            elif row.values.get(name) not in (None, values[name]):
                effects.refused = VALUE_CONFLICT
        effects.completes[table.name].append(values)

    def _complete_children(self, table: TelemetryTable, rows: Sequence[dict[str, Any]]) -> None:
        """Rows of an array's elements: completed where they are, added where the event has none of them."""
        events = {row["event_id"]: self._events[self._at[row["event_id"]]].folder for row in rows}
        there = self._lookup.child_rows(table.name, events)
        known = {event for event, _ in there}
        for row in rows:
            if row["event_id"] in known and not _has_values(row):
                continue
            place = self._at[row["event_id"]]
            found, parent = there.get((row["event_id"], row[CHILD_POSITION])), self._rows[place]
            if found is not None:
                self._complete(table, row, found)
            elif parent is None:
                self._found[place].refused = ROW_MISSING
            else:
                standard = {name: parent.values[name] for name in _STANDARD}
                label = {"contract": self._plan.shape.contract_label}
                self._found[place].adds[table.name].append({**standard, **label, **row})

    # --- content ------------------------------------------------------------------------------------------

    def _take_cuts(self, group: CutGroup) -> None:
        for cut in group.cuts:
            ids = [each.tobytes() for each in cut.item_ids]
            there = self._there(cut.kind, ids)
            for item_id, framed in zip(ids, cut.framed.to_pylist(), strict=True):
                parts = framed[4:]
                place = self._place_of_item(item_id)
                if cut.kind == UNCLASSIFIED_KIND:
                    self._found[place].left += parts_of(unframe_parts(parts))
                    continue
                own = item_id
                if cut.kind in NEVER_RELEASED or item_id.hex() in there:
                    own = self._complementary_id(place, cut.kind, parts)
                row = None if cut.kind in NEVER_RELEASED else self._item_row(place, cut.kind, own, parts)
                self._found[place].items.append(NewItem(own, cut.kind, cut.contract, parts, row))

    def _there(self, kind: str, ids: Sequence[bytes]) -> set[str]:
        if kind in NEVER_RELEASED or kind == UNCLASSIFIED_KIND:
            return set()
        folders = {self._events[self._place_of_item(each)].folder for each in ids}
        return self._lookup.items_there(kind, folders, [each.hex() for each in ids])

    def _place_of_item(self, item_id: bytes) -> int:
        return self._by_start[item_id.hex()[:-2]]

    def _complementary_id(self, place: int, kind: str, framed: bytes) -> bytes:
        """The id of an item beside another one of its event and kind: the same content has the same id."""
        event = bytes.fromhex(self._events[place].event_id)
        digest = hmac.digest(
            self._keys.digest_key, length_prefixed(_COMPLEMENT, event, kind.encode(), framed), "sha256"
        )
        return digest[:15] + bytes((KIND_NUMBER[kind],))

    def _item_row(self, place: int, kind: str, item_id: bytes, framed: bytes) -> dict[str, Any]:
        """The row of a new item: that of the unclassified one, but for what is the item's own."""
        shape = self._plan.shape
        row = {**self._events[place].row, **self._found[place].claims}
        made_from = sorted({*(row["derived_from"] or ()), *shape.made_from.get(kind, ())})
        return {
            **row,
            "item_id": item_id.hex(),
            "kind": kind,
            "size_class": size_class(len(framed)),
            "contract": shape.contract_label,
            "derived_from": made_from if made_from else row["derived_from"],
        }

    # --- claims, presence, deletions ----------------------------------------------------------------------

    def _take_claims(self) -> None:
        """What events say about all of their content; whatever made it stricter stays."""
        claims = event_claims(self._plan, self._whole, self._whole_columns, self._pseudonyms)
        said = {name: column.to_pylist() for name, column in vars(claims).items()}
        for place, event in enumerate(self._events):
            old, own = event.row, {name: values[place] for name, values in said.items()}
            united = {
                "recorded_start": old["recorded_start"] or own["started"],
                "recorded_end": old["recorded_end"] or own["ended"],
                "region": old["region"] or own["region"],
                "derived_from": _united(old["derived_from"], own["derived_from"]),
                "piece_join": self._piece(place, own["piece"]),
                "consent_flag": merged_flag(old["consent_flag"], own["consent"]),
            }
            changed = {name: value for name, value in united.items() if value != old[name]}
            self._found[place].claims = _without_nulls(changed)

    def _piece(self, place: int, piece: str | None) -> str | None:
        """The message that it is, where it could not be read before; unreadable, if it cannot be read now."""
        known: str | None = self._events[place].row["piece_join"]
        if known not in (None, UNREADABLE):
            return known
        if not self._sighted[place].reaches([self._plan.shape.envelope.get("piece")]):
            return known
        return known if piece is None or (known and piece == UNREADABLE) else piece

    def _take_roster(self, rows: Sequence[dict[str, Any]]) -> None:
        """What completes the rows of the roster that events have; a part of an event makes nobody present."""
        told = {row["event_id"]: row for row in rows}
        events = {event: self._events[self._at[event]].folder for event in told}
        for event in self._lookup.roster_of(events) if events else ():
            row = told[event]
            found = _without_nulls({name: row[name] for name in _ROSTER_COLUMNS})
            if row["subjects"]:
                found["subjects"] = row["subjects"]
            self._found[self._at[event]].roster = found

    def _take_signals(self) -> None:
        """Deletions that events report by one of their parts, and have not reported before."""
        paths = list(_paths_of_deletion(self._plan.shape))
        events = {each.event.event_id: each.event.folder for each in self._sighted if each.reaches(paths)}
        if not events or not self._plan.shape.deletions.events:
            return
        known = self._lookup.signals_of(events)
        made = signal_rows(self._plan, self._whole, self._whole_columns, self._pseudonyms)
        for row in [] if made is None else made.to_pylist():
            if row["event_id"] in events and row["event_id"] not in known:
                self._found[self._at[row["event_id"]]].signals.append(row)


def _paths_of_deletion(shape: EventShape) -> Iterator[Path | None]:
    """Fields that tell that something was deleted, and what."""
    yield from (*shape.deletions.fields, *shape.deletions.meetings, shape.envelope.get("piece"))
    for entry in shape.fields:
        if entry.identifies is not None and not entry.identifies.endswith(JOIN_ID_SUFFIX):
            yield entry.path


def merged_flag(old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    """What two readings of a claim about consent say together: every no, and all records pointed at."""
    if old is None or new is None:
        return old or new
    purposes = None
    if old["purposes"] is not None and new["purposes"] is not None:
        purposes = _united(old["purposes"], new["purposes"])
    refuses = [each["refuses"] for each in (old, new)]
    return {
        "record_ids": _united(old["record_ids"], new["record_ids"]),
        "purposes": purposes,
        "refuses": True if True in refuses else next((each for each in refuses if each is not None), None),
    }


def _united(old: list[str] | None, new: list[str] | None) -> list[str] | None:
    if old is None or new is None:
        return new if old is None else old
    return sorted({*old, *new})


def _has_values(row: Mapping[str, Any]) -> bool:
    return bool(row.keys() - {"event_id", CHILD_POSITION})


def _without_nulls(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


__all__ = ["Effects", "NewItem", "Sighted", "effects_of", "merged_flag"]
