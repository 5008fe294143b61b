"""What deletions that a source reports come to when a release is decided: everything they name is held.

A signal is an event like any other: nobody has signed it. So it can hold and never destroy, and no later
event takes it back. A signal about a person is a withdrawal that cannot be verified; one about content is
an objection of which nobody can tell whose it is. Neither depends on when it arrived, or in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import FIXED_TABLES, SIGNALS, UNREADABLE
from transforms.consent_intake import encode_row
from transforms.roster import JOIN_ID_SUFFIX
from transforms.signals import PERSON, PIECE, TENANT

NO_SIGNALS: Final = FIXED_TABLES[SIGNALS].empty_table()

PIECES: Final = "pieces"
"""Column of scopes of telemetry: the messages and documents that their rows lie beside."""

REPORTED: Final = "reported"
"""Member of a row of records that no record is behind, only the report of a person's deletion."""


def about_meetings(signals: pa.Table) -> pa.Table:
    """The signals that are about one meeting, or a message or document in it."""
    return signals.filter(pc.and_(_is_about_content(signals), pc.is_valid(signals.column("meeting_join"))))


def about_anything(signals: pa.Table) -> pa.Table:
    """The signals about content of which nobody can tell in which meeting it is."""
    return signals.filter(pc.and_(_is_about_content(signals), pc.is_null(signals.column("meeting_join"))))


def _is_about_content(signals: pa.Table) -> pa.ChunkedArray:
    return pc.fill_null(pc.not_equal(signals.column("names"), PERSON), True)


def person_rows(signals: pa.Table) -> Iterator[tuple[str, bytes]]:
    """The signals about people as rows of records (`transforms.consent_intake.encode_row`).

    Gives the pseudonym of each identifier with a withdrawal that nobody signed, so that it disputes whatever
    the person has agreed to in meetings of the account, or anywhere where the account is not known.
    """
    about = signals.filter(pc.fill_null(pc.equal(signals.column("names"), PERSON), False))
    found = set()
    for row in about.select(["tenant_join", "subjects"]).to_pylist():
        tenant = row["tenant_join"]
        scope = "global" if tenant is None else f"tenant:{tenant}"
        for subject in row["subjects"] or ():
            if subject["pseudonym"] and not str(subject["type"]).endswith(JOIN_ID_SUFFIX):
                found.add((subject["pseudonym"], scope))
    for pseudonym, scope in sorted(found):
        yield pseudonym, encode_row(_unsigned_no(scope))


def _unsigned_no(scope: str) -> dict[str, Any]:
    return {"status": "withdrawn", "purposes": ["*"], "scope": scope, "sig_ok": False, REPORTED: True}


def reported_people(rows: Mapping[str, Iterable[Mapping[str, Any]]], tenants: Iterable[str]) -> set[str]:
    """Keys of people of whom a source reports a deletion, in some accounts or in one that is not known.

    Args:
        rows: Rows of records by person key.
        tenants: Join pseudonyms of the accounts.
    """
    scopes = {"global", *(f"tenant:{tenant}" for tenant in tenants)}
    return {
        person
        for person, own in rows.items()
        if any(row.get(REPORTED) is True and row.get("scope") in scopes for row in own)
    }


def held_by(items: pa.Table, signals: Iterable[pa.Table]) -> npt.NDArray[np.bool_]:
    """Which items of a meeting are named by a signal.

    Args:
        items: Rows of the items table, all of one meeting or of none; or scopes of telemetry as such rows.
        signals: Rows of the table of signals: those about the meeting, and those about anything.
    """
    held = np.zeros(items.num_rows, dtype=bool)
    for table in signals:
        names = set(table.column("names").to_pylist())
        if not names <= {PIECE, TENANT}:  # a word that nobody knows is about everything too
            return np.ones(items.num_rows, dtype=bool)
        if names:
            held |= _named(items, "piece_join", table, PIECE) | _named(items, "tenant_join", table, TENANT)
            if PIECES in items.column_names:
                held |= _beside(items.column(PIECES), table)
    return held


def _beside(pieces: pa.ChunkedArray, signals: pa.Table) -> npt.NDArray[np.bool_]:
    """Which scopes lie beside a message that is named, or beside one that cannot be read."""
    whole = pieces.combine_chunks()
    named = pa.table({"piece_join": whole.flatten()})
    held = np.zeros(len(whole), dtype=bool)
    held[pc.list_parent_indices(whole).to_numpy()[_named(named, "piece_join", signals, PIECE)]] = True
    return held


def _named(items: pa.Table, column: str, signals: pa.Table, word: str) -> npt.NDArray[np.bool_]:
    """Items whose value is among those of the signals of a word, or cannot be read."""
    chosen = signals.filter(pc.equal(signals.column("names"), word)).column(column)
    values = items.column(column)
    if not len(chosen):
        return np.zeros(items.num_rows, dtype=bool)
    known = pa.array({*chosen.to_pylist(), UNREADABLE} - {None}, pa.string())
    found = pc.is_in(values, value_set=known)
    if word == TENANT:
        found = pc.or_(found, pc.is_null(values))
    mask: npt.NDArray[np.bool_] = np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
    return mask


__all__ = [
    "NO_SIGNALS",
    "PIECES",
    "about_anything",
    "about_meetings",
    "held_by",
    "person_rows",
    "reported_people",
]
