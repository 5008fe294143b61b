"""Let the witness look at what a meeting's decisions let go, item by item."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import pyarrow as pa

from transforms.consent_intake import decode_row
from transforms.decide_meetings import MeetingDecisions, MeetingInput
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


def witness_releases(given: MeetingInput, decisions: MeetingDecisions, rules: ReleaseRules) -> pa.Table:
    """What the witness says of every item that may go.

    Args:
        given: What the decisions were made from.
        decisions: The decisions.
        rules: Policies and registry.

    Returns:
        A table as `WITNESSED_SCHEMA` has it.
    """
    going = _items_by_class(decisions)
    found = []
    if going:
        classes, items = decisions.classes, _plain(given.items, _ITEM_COLUMNS)
        ids = given.items.column("item_id").to_pylist()
        witness = _witness(given)
        for at, places in going.items():
            row = classes.slice(at, 1).to_pylist()[0]
            words = [COVERED] * len(places)
            if rules.policies.base_purposes.get(row["purpose"]) not in _UNASKED:
                words = witness.judge([items[place] for place in places], _ask(row, rules), row["record_ids"])
            found += [(ids[place], row["purpose"], word) for place, word in zip(places, words, strict=True)]
    columns = zip(*found, strict=True) if found else ((), (), ())
    return pa.table([list(column) for column in columns], schema=WITNESSED_SCHEMA)


def _items_by_class(decisions: MeetingDecisions) -> dict[int, list[int]]:
    go = [decision == RELEASE for decision in decisions.classes.column("decision").to_pylist()]
    going: dict[int, list[int]] = defaultdict(list)
    for item, row in decisions.places:
        if go[row]:
            going[row].append(item)
    return going


def _witness(given: MeetingInput) -> Witness:
    persons = {link.pseudonym: link.person for link in given.links}
    rows = {person: [decode_row(row) for row in rows] for person, rows in given.rows.items()}
    return Witness(_plain(given.roster, _ROSTER_COLUMNS), persons, rows)


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
