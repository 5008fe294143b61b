"""Let the witness look at what decisions about meetings let go, item by item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from transforms.decide_meetings import MeetingInput
from transforms.decision_tables import DecidedRows, DecidedTogether
from transforms.gather_meetings import meeting_of
from transforms.meeting_joins import HOME
from transforms.release_rules import ReleaseRules
from validation.decisions import RELEASE
from validation.witness import COVERED, Ask, Witness

WITNESSED_SCHEMA: Final = pa.schema(
    [("item_id", pa.string()), ("purpose", pa.string()), ("people", pa.string())]
)
"""An item and a purpose that it may go to, and whether everybody is covered."""

_UNASKED: Final = ("necessary", "authorised_case")
_ITEM_COLUMNS: Final = ("sender_join", "event_time", "recorded_start", "recorded_end", "consent_flag")
_ROSTER_COLUMNS: Final = ("event", "subjects", "join_pseudonym", "channel", "view_only", "event_time")


def witness_releases(
    given: Sequence[MeetingInput], decided: DecidedTogether, tasks: pa.Table, rules: ReleaseRules
) -> pa.Table:
    """What the witness says of every item that may go, in the meetings out of which something is to go.

    Args:
        given: What the decisions were made from.
        decided: The decisions.
        tasks: What is to be released, with a column `HOME`.
        rules: Policies and registry.

    Returns:
        A table as `WITNESSED_SCHEMA` has it.
    """
    going = {meeting_of(home) for home in pc.unique(tasks.column(HOME)).to_pylist()}
    asked = [at for at, one in enumerate(given) if one.meeting in going]
    items = _rows_of(decided.given, _ITEM_COLUMNS, asked, decided.items_before)
    ids = decided.given.column("item_id").to_pylist() if asked else []
    rosters = [given[at].roster for at in asked]
    roster_rows = _plain(pa.concat_tables(rosters), _ROSTER_COLUMNS) if asked else []
    found: list[tuple[str, str, str]] = []
    end = 0
    for at, roster in zip(asked, rosters, strict=True):
        start, end = end, end + roster.num_rows
        witness, before = _witness(given[at], roster_rows[start:end]), decided.items_before[at]
        for row, places, words in _judged(witness, decided.decided[at], items[at], rules):
            named = (ids[before + place] for place in places)
            found += [(item, row["purpose"], word) for item, word in zip(named, words, strict=True)]
    columns = zip(*found, strict=True) if found else ((), (), ())
    return pa.table([list(column) for column in columns], schema=WITNESSED_SCHEMA)


def _rows_of(
    table: pa.Table, columns: tuple[str, ...], meetings: Sequence[int], before: Sequence[int]
) -> dict[int, list[dict[str, Any]]]:
    """The rows of some meetings, of a table that holds those of all."""
    rows = _plain(table, columns) if meetings else []
    return {at: rows[before[at] : before[at + 1]] for at in meetings}


def _judged(
    witness: Witness, decided: DecidedRows, items: Sequence[dict[str, Any]], rules: ReleaseRules
) -> Iterator[tuple[dict[str, Any], list[int], list[str]]]:
    """The rows of decisions to release, with the places of their items and a word on each."""
    for at, row in enumerate(decided.rows):
        if row["decision"] != RELEASE:
            continue
        places = decided.item_at[decided.class_at == at].tolist()
        words = [COVERED] * len(places)
        if rules.policies.base_purposes.get(row["purpose"]) not in _UNASKED:
            words = witness.judge([items[place] for place in places], _ask(row, rules), row["record_ids"])
        yield row, places, words


def _witness(given: MeetingInput, roster: Sequence[dict[str, Any]]) -> Witness:
    persons = {link.pseudonym: link.person for link in given.links}
    rows = {person: [record.fields for record in own] for person, own in given.records.items()}
    return Witness(roster, persons, rows)


def _ask(row: dict[str, Any], rules: ReleaseRules) -> Ask:
    fields = rules.item_fields(row["tenant_join"], row["meeting_join"], row["kind"], row["purpose"])
    return Ask(
        purpose=row["purpose"],
        kind=row["kind"],
        recipient=row["recipient"],
        controller=fields["controller"],
        tenant=row["tenant_join"],
        meeting=row["meeting_join"],
        as_of=rules.request.as_of,
    )


def _plain(table: pa.Table, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows as Python values, times in milliseconds since 1970."""
    made = {}
    for name in columns:
        column = table.column(name)
        made[name] = column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
    rows: list[dict[str, Any]] = pa.table(made).to_pylist()
    return rows
