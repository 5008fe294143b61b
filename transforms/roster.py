"""Rosters: who was in a meeting, when, from where, taken from lifecycle events under join pseudonyms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level
from schemas.contract import ITEMS, EventShape, Field
from schemas.tables import FIXED_TABLES, ROSTER
from transforms.shape_columns import Columns, PseudonymMaker, identifier_type, plain_texts

JOIN_ID_SUFFIX = ".join_id"
"""Identifier types with this ending name one visit of a meeting and identify nobody."""

_COLUMN_ROLES = ("channel", "role", "region", "view_only", "is_host")


def roster_rows(
    shape: EventShape, level: Level, columns: Columns, pseudonyms: PseudonymMaker
) -> pa.Table | None:
    """The roster rows of a group of events, or None where its events say nothing of presence."""
    if not shape.roster:
        return None
    words = pa.array([shape.roster.get(event) for event in columns.event_types.to_pylist()], pa.string())
    at = pa.array(np.flatnonzero(words.is_valid().to_numpy(zero_copy_only=False)))
    if not len(at):
        return None
    schema = FIXED_TABLES[ROSTER]
    made: dict[str, pa.Array] = {
        "tenant_join": pc.take(columns.join["tenant"], at),
        "meeting_join": pc.take(columns.join["meeting"], at),
        "event": words.take(at),
        "subjects": subject_lists(shape, level, at, pseudonyms).cast(schema.field("subjects").type),
        "join_pseudonym": _visits(shape, level, at, pseudonyms),
        "event_time": pc.take(columns.event_time, at),
        "event_id": columns.event_ids.take(at),
        "source": pa.repeat(pa.scalar(shape.source), len(at)),
    }
    for role in _COLUMN_ROLES:
        judged = columns.judged.get(shape.envelope.get(role, ()))
        kind = schema.field(role).type
        made[role] = pa.nulls(len(at), kind) if judged is None else pc.take(judged, at).cast(kind)
    return pa.Table.from_arrays([made[name] for name in schema.names], schema=schema)


def _identifying(shape: EventShape, level: Level, visits: bool) -> list[Field]:
    """Fields of the event itself that identify the participant, or that name the visit."""
    role = shape.envelope.get("participant", ())
    return [
        entry
        for entry in shape.fields
        if entry.identifies is not None
        and ITEMS not in entry.path
        and entry.path[:-1] == role[:-1]
        and entry.identifies.endswith(JOIN_ID_SUFFIX) is visits
        and entry.path in level.cells
    ]


def subject_lists(shape: EventShape, level: Level, at: pa.Array, pseudonyms: PseudonymMaker) -> pa.Array:
    """The participant of some events under each identifier that they give, as lists of type and pseudonym."""
    found: list[list[dict[str, Any]]] = [[] for _ in range(len(at))]
    for entry in _identifying(shape, level, visits=False):
        values = plain_texts(level.cells[entry.path].take(at))
        made = pseudonyms.join(identifier_type(entry), values).to_pylist()
        for place, pseudonym in enumerate(made):
            subject = {"type": identifier_type(entry), "pseudonym": pseudonym}
            if pseudonym is not None and subject not in found[place]:
                found[place].append(subject)
    member = pa.struct([("type", pa.string()), ("pseudonym", pa.string())])
    return pa.array(found, pa.list_(pa.field("element", member)))


def _visits(shape: EventShape, level: Level, at: pa.Array, pseudonyms: PseudonymMaker) -> pa.Array:
    made = pa.nulls(len(at), pa.string())
    for entry in _identifying(shape, level, visits=True):
        values = plain_texts(level.cells[entry.path].take(at))
        made = pc.coalesce(made, pseudonyms.join(identifier_type(entry), values))
    return made
