"""Unclassified fields of past events taken apart again, under contracts that know more of them by now.

What was sealed of an event as unclassified is decoded, separated and protected as it would be today: a value
that is kept completes the event's row of telemetry, content becomes an item of its kind, claims and presence
complete the rows that tell of them. Whatever still fits nothing stays sealed; where anything about an event
is in doubt, all of it stays as it was.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import msgspec

from schemas.careful import CarefulDecoder
from schemas.cells import Level, Path
from schemas.classification import UNCLASSIFIED_KIND, Protection
from schemas.contract import ITEMS, ContractSet, EventShape, Field
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault
from transforms.keys import ReleaseKeys
from transforms.reprocess_effects import Effects, effects_of
from transforms.reprocess_epochs import Epochs, Linked
from transforms.reprocess_lookup import FoundRow, StoreLookup, day_folder
from transforms.reprocess_parts import (
    Part,
    PartialEvent,
    Place,
    holds_nothing,
    known_paths,
    place_of,
    unknown_key,
    value_of,
)
from transforms.reprocess_told import (
    DOES_NOT_FIT,
    EMPTY,
    ENVELOPE_FIELD,
    ERASED,
    NESTED_ARRAY,
    NO_EFFECT,
    PLACE_UNCLEAR,
    REPEATED,
    STAYS,
    STILL_UNKNOWN,
    UNKNOWN_TYPE,
    Told,
    becomes,
)
from transforms.shape_columns import ShapeColumns

FIXED_ROLES: Final = ("id", "source", "time", "tenant", "meeting", "participant")
"""Roles of an envelope: who, where and when an event is about is told by all its rows, and sealed to them."""


@dataclass(frozen=True)
class SealedFields:
    """What was sealed of one event as unclassified.

    Attributes:
        row: Its row of the items table.
        parts: Its parts.
        received: The day on which it was sealed.
    """

    row: Mapping[str, Any] = field(repr=False)
    parts: list[Part] = field(repr=False)
    received: date

    @property
    def event_id(self) -> str:
        """The event (32 hexadecimal digits)."""
        return str(self.row["event_id"])

    @property
    def folder(self) -> str:
        """The folder by day of its event's rows."""
        return day_folder(self.row["event_time"])


@dataclass
class Taken:
    """What becomes of one event's unclassified fields.

    Attributes:
        fields: What was opened.
        moves: Whether anything of it moves; what does not stays exactly as it is.
        moved: Number of parts that move.
        left: Parts that stay sealed as unclassified.
        found: Number of those that nobody saw before: inside of a part that moved, a field is not known.
        effects: What the others become.
        told: What is told of it.
    """

    fields: SealedFields
    moves: bool = False
    moved: int = 0
    left: list[Part] = field(default_factory=list, repr=False)
    found: int = 0
    effects: Effects = field(default_factory=Effects, repr=False)
    told: Counter[Told] = field(default_factory=Counter)


@dataclass
class _Judged:
    """A part looked at alone: where it stands, which fields it reaches, and why it has to stay."""

    part: Part
    place: Place | None = None
    touched: tuple[Field, ...] = ()
    reason: str = ""


class _Shape:
    """What is known of a shape before any event."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.plan = ShapeColumns(shape)
        self.known = known_paths(shape)
        self.fixed = {shape.envelope[role] for role in FIXED_ROLES if role in shape.envelope}
        self.fixed.add(shape.type_at)

    def decoded(self, lines: Sequence[bytes]) -> Level:
        """Events as columns.

        Raises:
            RecordFault: One is refused.
        """
        decoder = CarefulDecoder(self.shape, Learned())
        for line in lines:
            decoder.read(line)
        return decoder.level()


class FieldTaker:
    """Takes unclassified fields of past events apart.

    Args:
        lookup: The store.
        contracts: The mended contracts.
        keys: The release side's keys.
        epochs: Epochs and tenants of past events.
        erased: Events of which an erasure took something (32 hexadecimal digits).
    """

    def __init__(
        self,
        lookup: StoreLookup,
        contracts: ContractSet,
        keys: ReleaseKeys,
        epochs: Epochs,
        erased: frozenset[str],
    ) -> None:
        self._lookup, self._contracts, self._keys = lookup, contracts, keys
        self._epochs, self._erased = epochs, erased
        self._shapes: dict[str, _Shape] = {}
        self._seen: set[str] = set()

    def take(self, batch: Sequence[SealedFields]) -> list[Taken]:
        """What becomes of the unclassified fields of some events."""
        found: list[Taken] = []
        groups: dict[str, list[SealedFields]] = defaultdict(list)
        for fields in batch:
            reason = self._refused(fields)
            self._seen.add(fields.event_id)
            if reason:
                found.append(_stayed(fields, reason))
                continue
            shape = self._contracts.by_event[fields.row["source"], fields.row["event_type"]]
            self._shapes.setdefault(shape.table, _Shape(shape))
            groups[shape.table].append(fields)
        for table, events in groups.items():
            found += self._take_shape(self._shapes[table], events)
        return found

    def _refused(self, fields: SealedFields) -> str:
        if (fields.row["source"], fields.row["event_type"]) not in self._contracts.by_event:
            return UNKNOWN_TYPE
        if fields.event_id in self._erased:
            return ERASED
        return REPEATED if fields.event_id in self._seen else ""

    def _take_shape(self, shape: _Shape, events: Sequence[SealedFields]) -> Iterator[Taken]:
        rows = self._lookup.main_rows(
            shape.plan.tables[()].name, {each.event_id: each.folder for each in events}
        )
        groups: dict[Linked | None, list[_Prepared]] = defaultdict(list)
        for fields in events:
            own = rows.get(fields.event_id, [])
            if len(own) > 1:
                yield _stayed(fields, REPEATED)
                continue
            prepared = self._prepare(shape, fields, own[0] if own else None)
            if prepared.moving:
                groups[prepared.linked].append(prepared)
            else:
                yield _stayed(fields, "", prepared.judged)
        for linked, group in groups.items():
            yield from self._take_group(shape, linked, group)

    # --- each part alone ----------------------------------------------------------------------------------

    def _prepare(self, shape: _Shape, fields: SealedFields, row: FoundRow | None) -> _Prepared:
        linked = self._epochs.of_row(None if row is None else row.values["tenant"], fields.received)
        judged = [self._judge(shape, fields, part, linked) for part in fields.parts]
        event = PartialEvent(shape.shape, fields.row["event_type"])
        for each in judged:
            if not each.reason and (each.place is None or not event.add(each.place, each.part)):
                each.reason = PLACE_UNCLEAR
        moving = [each for each in judged if not each.reason]
        for place, raw in self._siblings(shape, fields, row, moving):
            event.add_value(place, raw)
        needs = any(entry.protection is Protection.PSEUDONYM for each in moving for entry in each.touched)
        return _Prepared(
            fields, row, judged, moving, event, linked if needs and isinstance(linked, Linked) else None
        )

    def _judge(self, shape: _Shape, fields: SealedFields, part: Part, linked: Linked | str) -> _Judged:
        place = place_of(part, shape.known)
        event = PartialEvent(shape.shape, fields.row["event_type"])
        if place is None or not event.add(place, part):
            return _Judged(part, place, reason=PLACE_UNCLEAR)
        try:
            level = shape.decoded([event.encoded()])
        except RecordFault as fault:
            return _Judged(part, place, reason=fault.code)
        touched = tuple(shape.plan.fields[path] for path in _touched(level) if path != shape.shape.type_at)
        return _Judged(part, place, touched, _why_it_stays(shape, part, touched, level, linked))

    def _siblings(
        self, shape: _Shape, fields: SealedFields, row: FoundRow | None, moving: Sequence[_Judged]
    ) -> Iterator[tuple[Place, bytes]]:
        """Values that telemetry holds and that the kind of some content depends on."""
        for each in moving:
            for entry in each.touched:
                if entry.kind_by is None or each.place is None or entry.path.count(ITEMS) > 1:
                    continue
                path = (*entry.path[:-1], entry.kind_by.sibling)
                value = self._kept_value(shape, fields, row, path, each.place.places)
                if value is not None:
                    yield Place(path, each.place.places), value

    def _kept_value(
        self, shape: _Shape, fields: SealedFields, row: FoundRow | None, path: Path, places: tuple[int, ...]
    ) -> bytes | None:
        entry = shape.plan.fields.get(path)
        if entry is None or entry.column is None or entry.protection is not Protection.KEEP:
            return None
        if places:
            table = shape.plan.tables.get(path[: path.index(ITEMS)])
            here = (
                {} if table is None else self._lookup.child_rows(table.name, {fields.event_id: fields.folder})
            )
            row = here.get((fields.event_id, places[0]))
        value = None if row is None else row.values.get(entry.column)
        return msgspec.json.encode(value) if isinstance(value, str | int) else None

    # --- all of an event together -------------------------------------------------------------------------

    def _take_group(self, shape: _Shape, linked: Linked | None, group: list[_Prepared]) -> Iterator[Taken]:
        level, kept = self._decode_together(shape, group)
        for each in group:
            if each not in kept:
                yield _stayed(each.fields, PLACE_UNCLEAR)
        if not kept:
            return
        touched = [{entry.path for part in each.moving for entry in part.touched} for each in kept]
        found = effects_of(
            shape.plan,
            level,
            [(each.fields, each.row) for each in kept],
            touched,
            self._lookup,
            self._keys,
            linked,
        )
        for each, effects in zip(kept, found, strict=True):
            yield _taken(each, effects)

    @staticmethod
    def _decode_together(shape: _Shape, group: list[_Prepared]) -> tuple[Level, list[_Prepared]]:
        try:
            return shape.decoded([each.event.encoded() for each in group]), group
        except RecordFault:
            kept = [each for each in group if _is_read(shape, each.event.encoded())]
            return shape.decoded([each.event.encoded() for each in kept]), kept


@dataclass(eq=False)
class _Prepared:
    """An event that is made again from its parts."""

    fields: SealedFields
    row: FoundRow | None
    judged: list[_Judged]
    moving: list[_Judged]
    event: PartialEvent
    linked: Linked | None


def _is_read(shape: _Shape, line: bytes) -> bool:
    try:
        shape.decoded([line])
    except RecordFault:
        return False
    return True


def _touched(level: Level) -> Iterator[Path]:
    """The fields that a level and its arrays have values of."""
    for path, cells in level.cells.items():
        if cells.null_count < len(cells):
            yield path
    for below in level.arrays.values():
        yield from _touched(below)


def _has_unknown(level: Level) -> bool:
    return bool(level.unknown) or any(map(_has_unknown, level.arrays.values()))


def _why_it_stays(
    shape: _Shape, part: Part, touched: Sequence[Field], level: Level, linked: Linked | str
) -> str:
    """Why a part stays sealed, whatever the others of its event become; empty where nothing says so."""
    if not touched:
        if _has_unknown(level):
            return STILL_UNKNOWN if unknown_key(part) is not None else DOES_NOT_FIT
        return "" if holds_nothing(value_of(part)) else NO_EFFECT
    if any(entry.path in shape.fixed for entry in touched):
        return ENVELOPE_FIELD
    if any(entry.column is not None and entry.path.count(ITEMS) > 1 for entry in touched):
        return NESTED_ARRAY
    needs = any(entry.protection is Protection.PSEUDONYM for entry in touched)
    return linked if needs and isinstance(linked, str) else ""


def _taken(prepared: _Prepared, effects: Effects) -> Taken:
    """What becomes of an event: its parts that stay, and its effects, if all of them can be had."""
    if effects.refused:
        return _stayed(prepared.fields, effects.refused)
    left = Counter(effects.left)
    moved = []
    for each in prepared.moving:
        if left[each.part]:
            left[each.part] -= 1
            each.reason = DOES_NOT_FIT
        else:
            moved.append(each)
    if not moved:
        return _stayed(prepared.fields, "", prepared.judged)
    stays = [each.part for each in prepared.judged if each.reason]
    found = list((+left).elements())
    taken = Taken(prepared.fields, True, len(moved), [*stays, *found], len(found), effects)
    for each in prepared.judged:
        taken.told.update(_told_part(prepared.fields, each))
    for part in found:
        taken.told.update(_told_part(prepared.fields, _Judged(part, reason=STILL_UNKNOWN)))
    return taken


def _stayed(fields: SealedFields, reason: str, judged: Sequence[_Judged] = ()) -> Taken:
    """An event of which everything stays as it is."""
    taken = Taken(fields, left=list(fields.parts))
    for each in judged or [_Judged(part) for part in fields.parts]:
        taken.told.update(_told_part(fields, replace(each, reason=reason or each.reason or NO_EFFECT)))
    return taken


def _told_part(fields: SealedFields, judged: _Judged) -> Iterator[Told]:
    about = (fields.row["source"] or "-", fields.row["event_type"] or "-", UNCLASSIFIED_KIND)
    where = ".".join(judged.place.path).replace(f".{ITEMS}", ITEMS) if judged.place else "-"
    if judged.reason:
        yield Told(*about, where, STAYS, "content", judged.reason)
    elif not judged.touched:
        yield Told(*about, where, EMPTY)
    for entry in judged.touched if not judged.reason else ():
        yield Told(*about, entry.dotted, *becomes(entry))
