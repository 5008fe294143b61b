"""Rosters: who was in a meeting, when, from where, taken from lifecycle events under join pseudonyms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import ITEMS, EventShape, Field
from schemas.decoder import Level
from schemas.tables import FIXED_TABLES, ROSTER
from transforms.shape_columns import Columns, PseudonymMaker, identifier_type, plain_text

JOIN_ID_SUFFIX = ".join_id"
"""Identifier types with this ending name one visit of a meeting and identify nobody."""

_COLUMN_ROLES = ("channel", "role", "region", "view_only", "is_host")


def roster_rows(
    shape: EventShape, level: Level, columns: Columns, pseudonyms: PseudonymMaker
) -> pa.Table | None:
    """The roster rows of a group of events, or None where its events say nothing of presence."""
    if not shape.roster:
        return None
    words = [shape.roster.get(event) for event in columns.event_types]
    rows = [row for row, word in enumerate(words) if word is not None]
    if not rows:
        return None
    schema = FIXED_TABLES[ROSTER]
    at = pa.array(rows, pa.int64())
    made: dict[str, pa.Array] = {
        "tenant_join": pc.take(columns.join["tenant"], at),
        "meeting_join": pc.take(columns.join["meeting"], at),
        "event": pa.array([words[row] for row in rows], pa.string()),
        "subjects": _subjects(shape, level, rows, pseudonyms).cast(schema.field("subjects").type),
        "join_pseudonym": _visits(shape, level, rows, pseudonyms),
        "event_time": pc.take(columns.event_time, at),
        "event_id": pc.take(pa.array(columns.event_ids, pa.string()), at),
        "source": pa.repeat(pa.scalar(shape.source), len(rows)),
    }
    for role in _COLUMN_ROLES:
        judged = columns.judged.get(shape.envelope.get(role, ()))
        kind = schema.field(role).type
        made[role] = pa.nulls(len(rows), kind) if judged is None else pc.take(judged, at).cast(kind)
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


def _subjects(shape: EventShape, level: Level, rows: list[int], pseudonyms: PseudonymMaker) -> pa.Array:
    found: list[list[dict[str, Any]]] = [[] for _ in rows]
    for entry in _identifying(shape, level, visits=False):
        cells = level.cells[entry.path]
        values = [plain_text(cells[row]) for row in rows]
        made = pseudonyms.join(identifier_type(entry), values).to_pylist()
        for place, pseudonym in enumerate(made):
            if pseudonym is not None:
                found[place].append({"type": identifier_type(entry), "pseudonym": pseudonym})
    member = pa.struct([("type", pa.string()), ("pseudonym", pa.string())])
    return pa.array(found, pa.list_(pa.field("element", member)))


def _visits(shape: EventShape, level: Level, rows: list[int], pseudonyms: PseudonymMaker) -> pa.Array:
    made = pa.nulls(len(rows), pa.string())
    for entry in _identifying(shape, level, visits=True):
        cells = level.cells[entry.path]
        found = pseudonyms.join(identifier_type(entry), [plain_text(cells[row]) for row in rows])
        made = pc.coalesce(made, found)
    return made


def meetings_of(table: pa.Table) -> np.ndarray:
    """Distinct meetings of a roster table."""
    return pc.unique(table.column("meeting_join")).to_numpy(zero_copy_only=False)
