"""The rows that describe items: what may be known of a piece of content without opening it.

Besides who, where and when, that is what its event claims: what it was made from, which message or document
it is, and what is said about consent. Claims can only add strictness, so whatever of them cannot be read is
noted as unreadable and never left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level, Path
from schemas.consent_sets import NEGATIVE_STATUSES
from schemas.contract import Span
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS, TIME, UNREADABLE
from transforms.consent_intake import RECORD_TYPE
from transforms.protect import keep, listed_like
from transforms.sealed_format import size_class
from transforms.shape_columns import (
    Columns,
    PseudonymMaker,
    ShapeColumns,
    hex_column,
    identifier_type,
    plain_texts,
)

RECORDS_POINTED_AT: Final = 100
"""Records that one flag can point at; whatever it names beyond is not kept."""

_SEALED_LATER: Final = ("key_id", "blob_part")
_SCHEMA: Final = FIXED_TABLES[QUARANTINE_ITEMS]
_NEVER: Final = np.iinfo(np.int64).min


@dataclass
class EventClaims:
    """What events say about their content: columns as long as the events.

    Attributes:
        started: Start of what was recorded.
        ended: End of what was recorded.
        region: Region that the event claims for itself.
        derived_from: Kinds of content that it says it was made from; null where it says nothing.
        piece: Message or document that it is, under the join key; null where its contract knows of none.
        consent: What it claims about consent.
    """

    started: pa.Array = field(repr=False)
    ended: pa.Array = field(repr=False)
    region: pa.Array = field(repr=False)
    derived_from: pa.Array = field(repr=False)
    piece: pa.Array = field(repr=False)
    consent: pa.Array = field(repr=False)


def event_claims(
    plan: ShapeColumns, level: Level, columns: Columns, pseudonyms: PseudonymMaker
) -> EventClaims:
    """What events say about their content.

    Args:
        plan: The shape's plan.
        level: The decoded events.
        columns: Their judged columns.
        pseudonyms: Makes the pseudonyms.
    """
    reader = _ClaimReader(plan, level, columns)
    started, ended = reader.times()
    return EventClaims(
        started,
        ended,
        reader.judged("region", pa.string()),
        reader.lineage(),
        reader.piece(pseudonyms),
        reader.consent(pseudonyms),
    )


def item_rows(
    plan: ShapeColumns,
    kind: str,
    item_ids: np.ndarray,
    lengths: np.ndarray,
    columns: Columns,
    claims: EventClaims,
    at: pa.Array,
) -> pa.Table:
    """Rows of the items table but for the columns that sealing adds.

    Args:
        plan: The shape's plan.
        kind: Kind of the items.
        item_ids: Their ids, shape (items, 16), uint8.
        lengths: Bytes of each.
        columns: Judged columns of all events.
        claims: What all events say.
        at: Rows of the events that the items are of.
    """
    size = len(at)
    sizes, which = np.unique(lengths, return_inverse=True)
    classes = np.array([size_class(length) for length in sizes.tolist()], dtype=np.int32)
    made: dict[str, pa.Array] = {
        "item_id": hex_column(item_ids),
        "event_id": columns.event_ids.take(at),
        "source": pa.repeat(pa.scalar(plan.shape.source), size),
        "event_type": columns.event_types.take(at),
        "kind": pa.repeat(pa.scalar(kind), size),
        "tenant_join": columns.join["tenant"].take(at),
        "meeting_join": columns.join["meeting"].take(at),
        "sender_join": columns.join["participant"].take(at),
        "event_time": columns.event_time.take(at),
        "recorded_start": claims.started.take(at),
        "recorded_end": claims.ended.take(at),
        "region": claims.region.take(at),
        "size_class": pa.array(classes[which]),
        "contract": pa.repeat(pa.scalar(plan.shape.contract_label), size),
        "derived_from": _with_contract(claims.derived_from.take(at), plan.shape.made_from.get(kind, ())),
        "piece_join": claims.piece.take(at),
        "consent_flag": claims.consent.take(at),
    }
    fields = [_SCHEMA.field(name) for name in _SCHEMA.names if name not in _SEALED_LATER]
    return pa.Table.from_arrays([made[entry.name] for entry in fields], schema=pa.schema(fields))


def _with_contract(stated: pa.Array, made_from: tuple[str, ...]) -> pa.Array:
    """What events say that an item was made from, and what the contract says of its kind."""
    if not made_from:
        return stated
    encoded = [tuple(sorted({*(kinds or ()), *made_from})) for kinds in stated.to_pylist()]
    return pa.array(encoded, stated.type)


class _ClaimReader:
    """Reads the claims of one group of events."""

    def __init__(self, plan: ShapeColumns, level: Level, columns: Columns) -> None:
        self._plan, self._level, self._columns = plan, level, columns
        self._left_over = [*level.unknown, *columns.misfits.get((), ())]

    def judged(self, role: str, kind: pa.DataType) -> pa.Array:
        """The kept column of a role; nulls where the shape has none."""
        entry = self._plan.roles.get(role)
        found = None if entry is None else self._columns.judged.get(entry.path)
        return pa.nulls(self._level.size, kind) if found is None else found

    def _unreadable(self, path: Path) -> np.ndarray:
        """Which events hold something at a path, or around it, that does not fit."""
        found = np.zeros(self._level.size, dtype=bool)
        for value in self._left_over:
            if value.key is None and value.path is not None and path[: len(value.path)] == value.path:
                found[value.row] = True
        return found

    def times(self) -> tuple[pa.Array, pa.Array]:
        """Start and end of what was recorded, from the event or from the files that it points at."""
        started, ended = self.judged("started", TIME), self.judged("ended", TIME)
        if not self._plan.shape.spans:
            return started, ended
        first, last = self._files("start"), self._files("end")
        is_earlier = pc.fill_null(pc.less(first, started), False)
        return pc.if_else(is_earlier, first, pc.coalesce(started, first)), pc.coalesce(ended, last)

    def _files(self, which: str) -> pa.Array:
        """First start or last end of all files of each event; null where one of them does not say it."""
        sign = -1 if which == "start" else 1
        best = np.full(self._level.size, _NEVER)
        unknown = np.zeros(self._level.size, dtype=bool)
        for span in self._plan.shape.spans:
            unknown |= self._unreadable(span.array[:-1])
            parents, times = self._file_times(span, span.start if which == "start" else span.end)
            known = times.is_valid().to_numpy(zero_copy_only=False)
            unknown[parents[~known]] = True
            values = times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            np.maximum.at(best, parents[known], sign * values[known])
        unknown |= best == _NEVER
        return pa.array(np.where(unknown, 0, sign * best), mask=unknown).cast(TIME)

    def _file_times(self, span: Span, name: str) -> tuple[np.ndarray, pa.Array]:
        """For each element of an array its event, and one of its times."""
        below = self._level.arrays.get(span.array[:-1])
        if below is None:
            return np.zeros(0, dtype=np.int64), pa.nulls(0, TIME)
        path = (*span.array, name)
        cells = below.cells.get(path)
        times = pa.nulls(below.size, TIME) if cells is None else keep(self._plan.fields[path], cells).array
        return below.parent_rows, times

    def lineage(self) -> pa.Array:
        """Kinds of content that events say theirs was made from."""
        kind = _SCHEMA.field("derived_from").type
        stated = self.judged("derived_from", kind).cast(kind)
        entry = self._plan.roles.get("derived_from")
        unreadable = np.zeros(0, dtype=bool) if entry is None else self._unreadable(entry.path)
        if not unreadable.any():
            return stated
        return pc.if_else(pa.array(unreadable), pa.scalar([UNREADABLE], kind), stated)

    def piece(self, pseudonyms: PseudonymMaker) -> pa.Array:
        """The message or document that the content of an event is."""
        entry = self._plan.roles.get("piece")
        if entry is None:
            return pa.nulls(self._level.size, pa.string())
        return pc.fill_null(piece_pseudonyms(self._plan, self._level, pseudonyms), UNREADABLE)

    def consent(self, pseudonyms: PseudonymMaker) -> pa.Array:
        """What events claim about consent; null without a claim."""
        kind = _SCHEMA.field("consent_flag").type
        path = self._plan.shape.envelope.get("consent")
        if path is None:
            return pa.nulls(self._level.size, kind)
        purposes = kind.field("purposes").type
        illegible = self._illegible_consent(path)
        named = self._columns.judged.get((*path, "purposes"), pa.nulls(self._level.size, purposes))
        # A no that cannot be read may be about any purpose.
        named = pc.if_else(pa.array(illegible), pa.scalar(None, purposes), named.cast(purposes))
        refuses = self._refusals(path, illegible)
        arrays = [self._record_ids(path, pseudonyms), named, refuses]
        absent = pc.and_(pc.and_(arrays[0].is_null(), arrays[1].is_null()), arrays[2].is_null())
        return pa.StructArray.from_arrays(arrays, fields=list(kind), mask=absent)

    def _illegible_consent(self, path: Path) -> np.ndarray:
        """Where a claim may say no in a way that cannot be read: a wrong type, or a word nobody knows."""
        found = self._unreadable((*path, "refuses")) | self._unreadable((*path, "status"))
        for value in self._left_over:
            if value.key is not None and value.parent == path:
                found[value.row] = True
        return found

    def _refusals(self, path: Path, illegible: np.ndarray) -> pa.Array:
        refuses = self._columns.judged.get((*path, "refuses"), pa.nulls(self._level.size, pa.bool_()))
        status = self._columns.judged.get((*path, "status"))
        says_no = pa.array(illegible)
        if status is not None:
            says_no = pc.or_(says_no, pc.is_in(status, value_set=pa.array(NEGATIVE_STATUSES)))
        return pc.if_else(says_no, pa.scalar(True), refuses)

    def _record_ids(self, path: Path, pseudonyms: PseudonymMaker) -> pa.Array:
        """The records that a claim points at, under the join key: an id may say more than it should."""
        kind = _SCHEMA.field("consent_flag").type.field("record_ids").type
        cells = self._level.cells.get((*path, "record_ids"))
        if cells is None or not pa.types.is_list(cells.type):
            return pa.nulls(self._level.size, kind)
        some = pc.list_slice(cells, 0, RECORDS_POINTED_AT).cast(cells.type)
        made = pseudonyms.join(RECORD_TYPE, plain_texts(some.flatten()))
        return listed_like(some, made, kind)


def piece_pseudonyms(plan: ShapeColumns, level: Level, pseudonyms: PseudonymMaker) -> pa.Array:
    """The message or document that each event is about, under the join key; null where it cannot be told."""
    entry = plan.roles.get("piece")
    cells = None if entry is None else level.cells.get(entry.path)
    if entry is None or cells is None:
        return pa.nulls(level.size, pa.string())
    return pseudonyms.join(identifier_type(entry), plain_texts(cells))


__all__ = [
    "RECORDS_POINTED_AT",
    "EventClaims",
    "event_claims",
    "item_rows",
    "piece_pseudonyms",
]
