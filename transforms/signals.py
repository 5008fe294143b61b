"""Signals: rows that say that the source has deleted or withdrawn something.

Nothing proves who sent such an event, so it destroys nothing; whatever it names is held. An event that may be
a deletion is one, and where it cannot be read what it is about, it is about everything that contains it: the
meeting of a message, the customer account of a meeting or a person, and at last all there is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.cells import Level, Path
from schemas.contract import ITEMS, Deletions
from schemas.tables import FIXED_TABLES, SIGNALS
from transforms.item_rows import piece_pseudonyms
from transforms.roster import subject_lists
from transforms.shape_columns import (
    MEETING,
    Columns,
    PseudonymMaker,
    ShapeColumns,
    plain_texts,
)

PIECE: Final = "piece"
ABOUT_MEETING: Final = "meeting"
PERSON: Final = "person"
TENANT: Final = "tenant"
EVERYTHING: Final = "everything"
"""What a signal can be about."""

_SCHEMA: Final = FIXED_TABLES[SIGNALS]


def signal_rows(
    plan: ShapeColumns, level: Level, columns: Columns, pseudonyms: PseudonymMaker
) -> pa.Table | None:
    """The deletions that a group of events reports, or None where it reports none.

    Args:
        plan: The shape's plan.
        level: The decoded events.
        columns: Their judged columns.
        pseudonyms: Makes the pseudonyms.
    """
    deletions = plan.shape.deletions
    if not deletions.events:
        return None
    named = pc.is_in(columns.event_types, value_set=pa.array(deletions.events, pa.string()))
    chosen = named.to_numpy(zero_copy_only=False) & _is_deletion(deletions, level, columns)
    if not chosen.any():
        return None
    rows = _Rows(plan, level, columns, pseudonyms).of(np.flatnonzero(chosen).tolist())
    return pa.Table.from_pylist(rows, schema=_SCHEMA)


def _is_deletion(deletions: Deletions, level: Level, columns: Columns) -> np.ndarray:
    """Which events are deletions if their type can be one."""
    if not deletions.fields:
        return np.ones(level.size, dtype=bool)
    found, absent = np.zeros(level.size, dtype=bool), np.ones(level.size, dtype=bool)
    for path in deletions.fields:
        cells = columns.judged.get(path)
        if cells is not None:
            values = pa.array(list(deletions.values), cells.type)
            found |= pc.is_in(cells, value_set=values).to_numpy(zero_copy_only=False)
            absent &= cells.is_null().to_numpy(zero_copy_only=False)
    for value in (*level.unknown, *columns.misfits.get((), ())):
        if value.key is None and value.path is not None and _is_around(value.path, deletions.fields):
            found[value.row] = True
    return found | absent if deletions.when_absent else found


def _is_around(path: Path, fields: tuple[Path, ...]) -> bool:
    return any(field[: len(path)] == path for field in fields)


class _Rows:
    """The rows of one group of events."""

    def __init__(
        self, plan: ShapeColumns, level: Level, columns: Columns, pseudonyms: PseudonymMaker
    ) -> None:
        self._plan, self._level, self._columns = plan, level, columns
        self._pseudonyms = pseudonyms
        self._deletions = plan.shape.deletions

    def of(self, events: list[int]) -> list[dict[str, Any]]:
        """The rows of some events, one for each meeting that an event names."""
        at = pa.array(events)
        pieces = piece_pseudonyms(self._plan, self._level, self._pseudonyms).take(at).to_pylist()
        subjects = subject_lists(self._plan.shape, self._level, at, self._pseudonyms).to_pylist()
        meetings = self._meetings(at)
        standard = self._standard(at)
        rows = []
        for place, event in enumerate(events):
            for meeting in meetings[event]:
                known = {"meeting_join": meeting, "piece_join": pieces[place], "subjects": subjects[place]}
                row = {name: column[place] for name, column in standard.items()} | known
                rows.append({**row, "names": self._names(row)})
        return rows

    def _standard(self, at: pa.Array) -> dict[str, list[Any]]:
        columns = self._columns
        return {
            "tenant_join": columns.join["tenant"].take(at).to_pylist(),
            "event_type": columns.event_types.take(at).to_pylist(),
            "event_time": columns.event_time.take(at).to_pylist(),
            "event_id": columns.event_ids.take(at).to_pylist(),
            "source": [self._plan.shape.source] * len(at),
        }

    def _names(self, row: dict[str, Any]) -> str:
        """What a row is about: what its contract says, or what contains that if it cannot be read."""
        wanted = self._deletions.names
        if wanted == PIECE and row["piece_join"] is not None:
            return PIECE
        if wanted == PERSON and row["subjects"]:
            return PERSON
        if wanted != PERSON and row["meeting_join"] is not None:
            return ABOUT_MEETING
        return TENANT if row["tenant_join"] is not None else EVERYTHING

    def _meetings(self, at: pa.Array) -> dict[int, list[str | None]]:
        """The meetings that each event names, under the join key; None for one that cannot be read."""
        own = self._columns.join["meeting"].to_pylist()
        found: dict[int, list[str | None]] = {
            event: [] if own[event] is None else [own[event]] for event in at.to_pylist()
        }
        pairs = [pair for path in self._deletions.meetings for pair in self._named_meetings(path)]
        for value in (*self._level.unknown, *self._columns.misfits.get((), ())):
            if value.key is None and value.path and _is_around(value.path, self._deletions.meetings):
                pairs.append((value.row, None))
        for event, meeting in pairs:
            if event in found and meeting not in found[event]:
                found[event].append(meeting)
        return {event: named or [None] for event, named in found.items()}

    def _named_meetings(self, path: Path) -> list[tuple[int, str | None]]:
        level = self._level
        if ITEMS in path:
            array = path[: path.index(ITEMS)]
            below = level.arrays.get(array)
            if below is None:
                return []
            level, events = below, below.parent_rows
        else:
            events = np.arange(level.size)
        cells = level.cells.get(path)
        if cells is None:
            return []
        if pa.types.is_list(cells.type):
            events = events[pc.list_parent_indices(cells).to_numpy()]
            cells = cells.flatten()
        made = self._pseudonyms.join(MEETING, plain_texts(cells)).to_pylist()
        return list(zip(events.tolist(), made, strict=True))
