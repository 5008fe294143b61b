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
from typing import Any

import msgspec

from schemas.cells import Level, Path
from schemas.classification import UNCLASSIFIED_KIND, Protection
from schemas.contract import ITEMS, ContractSet, Field
from schemas.strict_json import RecordFault
from schemas.telemetry import array_of
from transforms.keys import ReleaseKeys
from transforms.reprocess_effects import Effects, Sighted, effects_of
from transforms.reprocess_epochs import Epochs, Linked
from transforms.reprocess_judging import LEFT_OVER, Judged, KnownShape, touched_by, why_it_stays
from transforms.reprocess_lookup import FoundRow, StoreLookup, day_folder
from transforms.reprocess_parts import (
    Part,
    PartialEvent,
    Place,
    place_of,
    spelt,
    unknown_key,
)
from transforms.reprocess_told import (
    AS_CLASSIFIED,
    DOES_NOT_FIT,
    EMPTY,
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


class FieldTaker:
    """Takes unclassified fields of past events apart.

    Args:
        lookup: The store.
        contracts: The mended contracts.
        keys: The release side's keys.
        epochs: Epochs and tenants of past events.
        erased: Events of which an erasure took something (32 hexadecimal digits).
        seen: Events that somebody else takes apart, likewise.
    """

    def __init__(
        self,
        lookup: StoreLookup,
        contracts: ContractSet,
        keys: ReleaseKeys,
        epochs: Epochs,
        erased: frozenset[str],
        seen: frozenset[str] = frozenset(),
    ) -> None:
        self._lookup, self._contracts, self._keys = lookup, contracts, keys
        self._epochs, self._erased = epochs, erased
        self._shapes: dict[str, KnownShape] = {}
        self._seen = set(seen)

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
            if shape.table not in self._shapes:
                self._shapes[shape.table] = KnownShape(shape)
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

    def _take_shape(self, shape: KnownShape, events: Sequence[SealedFields]) -> Iterator[Taken]:
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
            groups[prepared.linked].append(prepared)
        for linked, group in groups.items():
            yield from self._take_group(shape, linked, group)

    # --- each part alone ----------------------------------------------------------------------------------

    def _prepare(self, shape: KnownShape, fields: SealedFields, row: FoundRow | None) -> _Prepared:
        linked = self._epochs.of_row(None if row is None else row.values["tenant"], fields.received)
        judged = [self._judge(shape, fields, part, linked) for part in fields.parts]
        event, whole = (PartialEvent(shape.shape, fields.row["event_type"]) for _ in range(2))
        for each in judged:
            # What holds nothing needs no place: it says nothing, and might stand in the way.
            if each.touched and not each.reason:
                fits = [made.add_part(each.place, each.part) for made in (event, whole)]
                each.reason = "" if all(fits) else PLACE_UNCLEAR
        for each in judged:
            if each.reason in LEFT_OVER:
                whole.add_part(each.place, each.part)
        moving = [each for each in judged if not each.reason]
        for place, raw in self._siblings(shape, fields, row, moving):
            event.add_value(place, raw)
        needs = any(entry.protection is Protection.PSEUDONYM for each in moving for entry in each.touched)
        used = linked if needs and isinstance(linked, Linked) else None
        return _Prepared(fields, row, judged, moving, event, whole, used)

    def _judge(self, shape: KnownShape, fields: SealedFields, part: Part, linked: Linked | str) -> Judged:
        place = place_of(part, shape.known)
        event = PartialEvent(shape.shape, fields.row["event_type"])
        if not event.add_part(place, part):
            return Judged(part, place, reason=PLACE_UNCLEAR)
        try:
            level = shape.decoded([event.encoded()])
        except RecordFault as fault:
            return Judged(part, place, reason=fault.code)
        touched = tuple(shape.plan.fields[path] for path in touched_by(level) if path != shape.shape.type_at)
        judged = Judged(part, place, touched)
        judged.reason = why_it_stays(shape, judged, level, linked)
        if not judged.reason and self._is_crowded(shape, fields, touched):
            judged.reason = NESTED_ARRAY
        return judged

    def _is_crowded(self, shape: KnownShape, fields: SealedFields, touched: Sequence[Field]) -> bool:
        """Whether a row in an array inside of another one is meant, and the event has such rows already."""
        inner = {array_of(each.path) for each in touched if each.column and each.path.count(ITEMS) > 1}
        names = [shape.plan.tables[array].name for array in inner]
        event = {fields.event_id: fields.folder}
        return any(self._lookup.events_there(name, event) for name in names)

    def _siblings(
        self, shape: KnownShape, fields: SealedFields, row: FoundRow | None, moving: Sequence[Judged]
    ) -> Iterator[tuple[Place, bytes]]:
        """Values that telemetry holds and that the kind of some content depends on."""
        for each in moving:
            for entry in each.touched:
                if entry.kind_by is None or each.place is None or entry.path.count(ITEMS) > 1:
                    continue
                path = (*entry.path[:-1], entry.kind_by.sibling)
                place = Place(path, each.place.places)
                value = self._kept_value(shape, fields, row, place)
                if value is not None:
                    yield place, value

    def _kept_value(
        self, shape: KnownShape, fields: SealedFields, row: FoundRow | None, place: Place
    ) -> bytes | None:
        path, places = place
        entry = shape.plan.fields.get(path)
        if entry is None or entry.column is None or entry.protection is not Protection.KEEP:
            return None
        if places:
            table = shape.plan.tables.get(path[: path.index(ITEMS)])
            event = {fields.event_id: fields.folder}
            here = {} if table is None else self._lookup.child_rows(table.name, event)
            row = here.get((fields.event_id, places[0]))
        value = None if row is None else row.values.get(entry.column)
        return msgspec.json.encode(value) if isinstance(value, str | int) else None

    # --- all of an event together -------------------------------------------------------------------------

    def _take_group(
        self, shape: KnownShape, linked: Linked | None, group: list[_Prepared]
    ) -> Iterator[Taken]:
        kept, levels = _decoded(shape, group)
        read = set(map(id, kept))
        for each in group:
            if id(each) not in read:
                yield _stayed(each.fields, PLACE_UNCLEAR, each.judged)
        if not kept:
            return
        found = effects_of(
            shape.plan,
            *levels,
            [Sighted(each.fields, each.row, each.reached) for each in kept],
            self._lookup,
            self._keys,
            linked,
        )
        for each, effects in zip(kept, found, strict=True):
            yield _taken(shape, each, effects)


@dataclass(eq=False)
class _Prepared:
    """An event that is made again from its parts."""

    fields: SealedFields
    row: FoundRow | None
    judged: list[Judged]
    moving: list[Judged]
    event: PartialEvent
    whole: PartialEvent
    linked: Linked | None

    @property
    def reached(self) -> frozenset[Path]:
        """Where its parts stand, and the fields that they have values of."""
        here = (each for each in self.judged if each.reason in ("", *LEFT_OVER))
        return frozenset(path for each in here for path in each.reached())


def _decoded(shape: KnownShape, group: list[_Prepared]) -> tuple[list[_Prepared], tuple[Level, Level]]:
    """Events made again from their parts, decoded twice; those that do not read are left out."""
    try:
        return group, _levels(shape, group)
    except RecordFault:
        kept = [each for each in group if _is_read(shape, each)]
        return kept, _levels(shape, kept)


def _levels(shape: KnownShape, group: Sequence[_Prepared]) -> tuple[Level, Level]:
    moving = shape.decoded([each.event.encoded() for each in group])
    return moving, shape.decoded([each.whole.encoded() for each in group])


def _is_read(shape: KnownShape, prepared: _Prepared) -> bool:
    try:
        _levels(shape, [prepared])
    except RecordFault:
        return False
    return True


def _taken(shape: KnownShape, prepared: _Prepared, effects: Effects) -> Taken:
    """What becomes of an event: its parts that stay, and its effects, if all of them can be had."""
    if effects.refused:
        return _stayed(prepared.fields, effects.refused)
    left = list(effects.left)
    for each in prepared.moving:
        misfits = _left_of(each, left)
        if misfits and len(misfits) >= len(each.touched):
            each.reason = AS_CLASSIFIED if all(map(_is_unclassified, each.touched)) else DOES_NOT_FIT
            for part in dict.fromkeys(misfits):
                left.remove(part)
    moved = [each for each in prepared.moving if not each.reason]
    if not moved:
        stayed = _stayed(prepared.fields, "", prepared.judged)
        stayed.effects.claims, stayed.effects.signals = effects.claims, effects.signals
        return stayed
    stays = [each.part for each in prepared.judged if each.reason]
    taken = Taken(prepared.fields, True, len(moved), [*stays, *left], len(left), effects)
    taken.told.update(told for each in prepared.judged for told in _told_part(prepared.fields, each))
    for part in left:
        reason = DOES_NOT_FIT if unknown_key(part) is None else STILL_UNKNOWN
        found = Judged(part, place_of(part, shape.known), reason=reason)
        taken.told.update(_told_part(prepared.fields, found))
    return taken


def _is_unclassified(entry: Field) -> bool:
    return entry.protection is Protection.SEAL and entry.kind == UNCLASSIFIED_KIND and entry.kind_by is None


def _left_of(judged: Judged, left: Sequence[Part]) -> list[Part]:
    """What of some parts that are left is a whole part, in the form that it came in or under known paths."""
    if judged.part in left:
        return [judged.part] * max(1, len(judged.touched))
    named = {part.path for part in judged.misfits()}
    return [part for part in left if part.path in named]


def _stayed(fields: SealedFields, reason: str, judged: Sequence[Judged] = ()) -> Taken:
    """An event of which everything stays as it is."""
    taken = Taken(fields, left=list(fields.parts))
    for each in judged or [Judged(part) for part in fields.parts]:
        taken.told.update(_told_part(fields, replace(each, reason=reason or each.reason or NO_EFFECT)))
    return taken


def _told_part(fields: SealedFields, judged: Judged) -> Iterator[Told]:
    about = (fields.row["source"] or "-", fields.row["event_type"] or "-", UNCLASSIFIED_KIND)
    where = spelt(judged.place.path if judged.place else ()) or "-"
    if judged.reason:
        yield Told(*about, where, STAYS, "content", judged.reason)
    elif not judged.touched:
        yield Told(*about, where, EMPTY)
    for entry in judged.touched if not judged.reason else ():
        yield Told(*about, entry.dotted, *becomes(entry))
