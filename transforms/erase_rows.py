"""What an erasure does to the rows of each table: rows go, or lose the person whom they name.

Each function takes rows in and gives the rows that stay. The same functions count what would go, on the few
columns that it depends on, and rewrite files, so that a plan and its execution cannot differ.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import (
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
    ROSTER,
    SIGNALS,
    TELEMETRY,
    fact,
    holds_identifier,
    inherited,
)
from transforms.erase_reach import Mask, Space, is_in

PERSON_CLASS: Final = "identifier.pseudonymous"
_PARTICIPANT: Final = "participant"
_FORGOTTEN: Final = ("channel", "role", "view_only", "is_host", "event_id")
"""Columns of a roster row that say something of the person and that decisions can do without."""

_DIGEST_BYTES: Final = 16
_ABOUT_PERSON: Final = "person"


class Edited(NamedTuple):
    """Rows after an erasure.

    Attributes:
        rows: What stays, changed where it must.
        gone: Number of rows that went.
        changed: Number of rows that stay and do not name the person any more.
        events: Ids of the events of both.
    """

    rows: pa.Table
    gone: int
    changed: int
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edit:
    """What is to be done to one file; it travels to the worker that rewrites it.

    Attributes:
        path: The file.
        table: Its table.
        space: People, meetings and holds, for telemetry and rosters.
        keys: Data keys (16 bytes) whose rows go, for the quarantine.
        released: ``item|purpose`` of copies that go, for what was released.
        secret: Makes the names of nameless visits; nobody keeps it.
        filters: Path of the file that the file's filter lies in, empty where it has none.
        gone: Rows that go, as they were counted.
        changed: Rows that change, likewise.
    """

    path: str
    table: str
    space: Space = field(default=Space(), repr=False)
    keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    released: frozenset[str] = field(default=frozenset(), repr=False)
    secret: bytes = field(default=b"", repr=False)
    filters: str = ""
    gone: int = 0
    changed: int = 0

    @property
    def folder(self) -> str:
        """The file's folder below its table's; the new file lies there, too."""
        return self.path[len(self.table) + 1 :].rpartition("/")[0]


def edited(edit: Edit, rows: pa.Table) -> Edited:
    """Rows of a file after its edit."""
    if edit.table == ROSTER:
        return edit_roster(rows, edit.space, edit.secret)
    if edit.table == SIGNALS:
        return edit_signals(rows, edit.space)
    if edit.table.startswith(f"{TELEMETRY}/"):
        return edit_telemetry(rows, edit.space)
    return _DROPPED_BY[edit.table](rows, edit)


def needed_columns(table: str, schema: pa.Schema) -> list[str]:
    """The columns that an edit depends on; none of them holds ciphertext or content."""
    if table.startswith(f"{TELEMETRY}/"):
        return ["event_id", *(field.name for field in schema if any(_identifier_leaves(field)))]
    return list(_NEEDED[table])


_NEEDED: Final = {
    ROSTER: ("tenant_join", "meeting_join", "subjects", "join_pseudonym", "event_id"),
    SIGNALS: ("tenant_join", "meeting_join", "names", "subjects", "event_id"),
    QUARANTINE_ITEMS: ("key_id", "event_id"),
    QUARANTINE_BLOBS: ("key_id",),
    QUARANTINE_KEYS: ("key_id",),
    QUARANTINE_REJECTED: ("key_id",),
    RELEASED: ("item_id", "purpose", "event_id"),
}


# --- the quarantine and what was released -----------------------------------------------------------------


def _drop(rows: pa.Table, mask: Mask) -> Edited:
    gone = int(mask.sum())
    if not gone:
        return Edited(rows, 0, 0)
    return Edited(rows.filter(pa.array(~mask)), gone, 0, _events(rows, mask))


def _drop_keys(rows: pa.Table, edit: Edit) -> Edited:
    return _drop(rows, is_in(rows.column("key_id"), edit.keys))


def _drop_released(rows: pa.Table, edit: Edit) -> Edited:
    names = pc.binary_join_element_wise(rows.column("item_id"), rows.column("purpose"), "|")
    # Deleting a copy forgets nothing of the event: the sealed item may stay, and is told by its own rows.
    return _drop(rows, is_in(names, edit.released))._replace(events=())


_DROPPED_BY: Final[dict[str, Callable[[pa.Table, Edit], Edited]]] = {
    QUARANTINE_ITEMS: _drop_keys,
    QUARANTINE_BLOBS: _drop_keys,
    QUARANTINE_KEYS: _drop_keys,
    QUARANTINE_REJECTED: _drop_keys,
    RELEASED: _drop_released,
}


def _events(rows: pa.Table, mask: Mask) -> tuple[str, ...]:
    if "event_id" not in rows.column_names:
        return ()
    found = pc.unique(rows.column("event_id").filter(pa.array(mask))).drop_null()
    return tuple(found.to_pylist())


# --- telemetry --------------------------------------------------------------------------------------------


def edit_telemetry(rows: pa.Table, space: Space) -> Edited:
    """Telemetry without some people and meetings.

    A row about the person, or about a visit of theirs, goes. Where another row names the person (as the host
    of somebody else's meeting, or among many), only the name goes.
    """
    free = ~space.held.mask(rows.column("tenant"), rows.column("meeting"))
    gone = is_in(rows.column(_PARTICIPANT), space.people | space.visits)
    gone |= space.gone.mask(rows.column("tenant"), rows.column("meeting"))
    columns = [_rows_naming(field, rows, space.visits) for field in _scalars(rows.schema)]
    for mask in columns:
        gone |= mask
    gone &= free
    changed = np.zeros(rows.num_rows, dtype=bool)
    kept = rows
    for place, column in enumerate(rows.schema):
        blanked, mask = _blanked(column, rows.column(place), space.people | space.visits, free & ~gone)
        if mask.any():
            kept = kept.set_column(place, column, blanked)
            changed |= mask
    touched = gone | changed
    return Edited(kept.filter(pa.array(~gone)), int(gone.sum()), int(changed.sum()), _events(rows, touched))


def _scalars(schema: pa.Schema) -> Iterator[pa.Field]:
    return (field for field in schema if pa.types.is_string(field.type) and _names_person(field))


def _names_person(field: pa.Field) -> bool:
    return fact(field, "classification") == PERSON_CLASS


def _rows_naming(field: pa.Field, rows: pa.Table, values: frozenset[str]) -> Mask:
    return is_in(rows.column(field.name), values)


def _blanked(
    field: pa.Field, values: pa.ChunkedArray, names: frozenset[str], where: Mask
) -> tuple[pa.ChunkedArray, Mask]:
    """A column without some names, and the rows that it changed in."""
    nothing = np.zeros(len(values), dtype=bool)
    if pa.types.is_string(field.type) and _names_person(field):
        mask = is_in(values, names) & where
        return pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), values), mask
    if not _is_list_of_names(field):
        return values, nothing
    mask, start = nothing.copy(), 0
    for chunk in values.chunks:
        mask[start + _parents(chunk, names)] = True
        start += len(chunk)
    mask &= where
    if not mask.any():
        return values, mask
    lists = [
        [each for each in cell if each not in names] if here and cell is not None else cell
        for cell, here in zip(values.to_pylist(), mask.tolist(), strict=True)
    ]
    return pa.chunked_array([pa.array(lists, field.type)]), mask


def _parents(chunk: pa.Array, names: frozenset[str]) -> Any:
    flat, parents = pc.list_flatten(chunk), pc.list_parent_indices(chunk).to_numpy()
    return np.unique(parents[is_in(flat, names)])


def _is_list_of_names(field: pa.Field) -> bool:
    if not pa.types.is_list(field.type) or not pa.types.is_string(field.type.value_type):
        return False
    return _names_person(inherited(field.type.value_field, field))


def _identifier_leaves(field: pa.Field) -> Iterator[pa.Field]:
    if pa.types.is_list(field.type):
        yield from _identifier_leaves(inherited(field.type.value_field, field))
    elif holds_identifier(field):
        yield field


def is_reached_in_telemetry(field: pa.Field) -> bool:
    """Whether an erasure finds people in a column of telemetry: text, or lists of text."""
    return pa.types.is_string(field.type) or _is_list_of_names(field)


# --- rosters ----------------------------------------------------------------------------------------------


def names_somebody(rows: pa.Table, people: frozenset[str]) -> Mask:
    """Which roster rows name one of some people."""
    column = rows.column("subjects").combine_chunks()
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    mask = np.zeros(rows.num_rows, dtype=bool)
    start = 0
    for chunk in chunks:
        parents = pc.list_parent_indices(chunk).to_numpy()
        names = pc.struct_field(pc.list_flatten(chunk), "pseudonym")
        mask[start + np.unique(parents[is_in(names, people)])] = True
        start += len(chunk)
    return mask


def edit_roster(rows: pa.Table, space: Space, secret: bytes) -> Edited:
    """Rosters in which somebody nameless takes the place of an erased person.

    The person stays in scope and can never agree, so that nobody's absence releases what the others said.
    Joins and leaves of one visit keep belonging together, under a name that nobody can make again.
    """
    tenant, meeting = rows.column("tenant_join"), rows.column("meeting_join")
    free = ~space.held.mask(tenant, meeting)
    gone = space.gone.mask(tenant, meeting) & free
    theirs = names_somebody(rows, space.people) | is_in(rows.column("join_pseudonym"), space.visits)
    nameless = theirs & free & ~gone
    events = _events(rows, gone | nameless)
    others = rows.filter(pa.array(~gone & ~nameless))
    if not nameless.any():
        return Edited(others, int(gone.sum()), 0, events)
    made = [_nameless(row, secret) for row in rows.filter(pa.array(nameless)).to_pylist()]
    kept = pa.concat_tables([others, pa.Table.from_pylist(made, schema=rows.schema)])
    return Edited(kept, int(gone.sum()), len(made), events)


def _nameless(row: dict[str, Any], secret: bytes) -> dict[str, Any]:
    place = f"{row['meeting_join']}|{row['join_pseudonym']}".encode()
    visit = hmac.digest(secret, place, "sha256")[:_DIGEST_BYTES].hex()
    kept = {name: value for name, value in row.items() if name not in _FORGOTTEN}
    return {**kept, "subjects": [], "join_pseudonym": visit}


# --- signals of deletion ----------------------------------------------------------------------------------


def edit_signals(rows: pa.Table, space: Space) -> Edited:
    """Signals of deletion without the people: one that is about the person goes, others lose the name.

    A signal holds what it is about; of an erased person nothing is left to be held.
    """
    tenant, meeting = rows.column("tenant_join"), rows.column("meeting_join")
    free = ~space.held.mask(tenant, meeting)
    theirs = names_somebody(rows, space.people) & free
    about = theirs & is_in(rows.column("names"), [_ABOUT_PERSON])
    gone = (space.gone.mask(tenant, meeting) & free) | about
    changed = theirs & ~gone
    kept = rows.filter(pa.array(~gone & ~changed))
    made = [_without(row, space.people) for row in rows.filter(pa.array(changed)).to_pylist()]
    if made:
        kept = pa.concat_tables([kept, pa.Table.from_pylist(made, schema=rows.schema)])
    return Edited(kept, int(gone.sum()), len(made), _events(rows, gone | changed))


def _without(row: dict[str, Any], people: frozenset[str]) -> dict[str, Any]:
    return {**row, "subjects": [each for each in row["subjects"] if each["pseudonym"] not in people]}
