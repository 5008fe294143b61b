"""One meeting with people, records and items, in few words, and a plain way to decide about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from tests.unit.transforms.presence_samples import MEETING, TENANT, Row, item_table, roster_table
from tests.unit.validation.judging import PlainGate, shipped_policies
from transforms.consent_intake import NOTHING_ATTESTED, Attested, Link, encode_row
from transforms.decide_meetings import (
    AMBIGUOUS,
    DecisionLabels,
    MeetingInput,
    decide_meetings,
)
from transforms.decision_ids import instant_text
from transforms.decision_tables import MeetingDecisions
from transforms.people_outcomes import Present
from transforms.presence import ItemClass, MeetingClasses, meeting_classes
from transforms.release_rules import ReleaseRequest, ReleaseRules, TenantView
from validation.cases import Case, Registry
from validation.decisions import Decider, Decision

AS_OF = "1970-01-02T00:00:00Z"
TRAINING, ASSIST, DELIVERY = "ai_training", "meeting_summary", "service_delivery"
LABELS = DecisionLabels("run-000001", "decide", "0:0")
REGISTRY = Registry.from_json(
    {
        "keys": {"k1": {}},
        "terms": {"t1": {"from": "1969-01-01T00:00:00Z", "status": "active", "hash": "h"}},
    }
)
ATTESTED = Attested("eu", "adult", "guest")
DECLARED = {
    "e2ee": False,
    "capture": "all_prior",
    "special": False,
    "phi": False,
    "edu": False,
    "third_party_mention": False,
}
PLAIN = Decider(shipped_policies(), PlainGate())


def plain_decider(_: object) -> Decider:
    """Judges without Great Expectations, so that many cases are quick."""
    return PLAIN


def when(milliseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)).isoformat()


def grant(record_id: str, at: int = -1000, **fields: Any) -> Row:
    """A row of a record; everything is in order unless it is changed."""
    return {
        "id": record_id,
        "status": "given",
        "grantor": "subject",
        "mechanism": "explicit_statement",
        "purposes": [TRAINING, ASSIST],
        "kinds": ["*"],
        "scope": f"meeting:{MEETING}",
        "recipients": ["first_party"],
        "terms": "t1",
        "notice_hash": "h",
        "event_time": when(at),
        "ingested_at": when(at),
        "controller": "acme",
        "bundled": False,
        "conditional": False,
        "retroactive": False,
        "kid": "k1",
        "sig_ok": True,
        "import_attested": False,
        **fields,
    }


def rules(*purposes: str, tenants: Mapping[str, TenantView] | None = None, **request: Any) -> ReleaseRules:
    view = TenantView("acme", frozenset({TRAINING, ASSIST}), REGISTRY, dict(DECLARED))
    asked = ReleaseRequest(purposes or (TRAINING,), request.pop("recipient", "first_party"), AS_OF, **request)
    known = {TENANT: view} if tenants is None else tenants
    return ReleaseRules(asked, shipped_policies(), known, REGISTRY, {}, True, "registry")


def links(people: Mapping[str, Attested | None]) -> list[Link]:
    """People whose identifiers are registered under their own names; None for somebody who is not."""
    return [
        Link(
            name,
            name if attested is None else f"p-{name}",
            attested or NOTHING_ATTESTED,
            attested is not None,
        )
        for name, attested in people.items()
    ]


def given_meeting(
    items: Sequence[Row],
    roster: Sequence[Row],
    people: Mapping[str, Attested | None],
    records: Mapping[str, Sequence[Row]],
    ownerless: Sequence[Row] = (),
) -> MeetingInput:
    table = item_table(items)
    marks = pa.array([one.get("ambiguous", False) for one in items], pa.bool_())
    known = {link.pseudonym: link for link in links(people)}
    rows = {
        known[name].person or "": tuple(map(encode_row, own))
        for name, own in records.items()
        if name in known
    }
    return MeetingInput(
        MEETING,
        table.append_column("ambiguous", marks),
        roster_table(roster),
        list(known.values()),
        rows,
        list(map(encode_row, ownerless)),
    )


def decide(given: MeetingInput, how: ReleaseRules) -> MeetingDecisions:
    return decide_meetings([given], how, LABELS)[0]


def by_item(decided: MeetingDecisions) -> dict[tuple[str, str], Row]:
    """The row of the class of each item and purpose."""
    classes = {row["decision_id"]: row for row in decided.classes.to_pylist()}
    return {
        (row["item_id"], row["purpose"]): classes[row["decision_id"]] for row in decided.items.to_pylist()
    }


def naive(given: MeetingInput, how: ReleaseRules) -> dict[tuple[str, str], Decision]:
    """Every item and purpose as a case of its own, with everybody in it."""
    persons = {link.pseudonym: link.person for link in given.links if link.registered}
    found = meeting_classes(given.items, given.roster, persons)
    ids = given.items.column("item_id").to_pylist()
    doubtful = given.items.column("ambiguous").to_pylist()
    decided = {}
    for place, item_id in enumerate(ids):
        one = found.classes[found.class_of[place]]
        for purpose in how.request.purposes:
            case = _case(given, found, one, purpose, how, bool(doubtful[place]))
            decided[item_id, purpose] = PLAIN.decide(case)
    return decided


def _case(
    given: MeetingInput,
    found: MeetingClasses,
    one: ItemClass,
    purpose: str,
    how: ReleaseRules,
    doubtful: bool,
) -> Case:
    from transforms.consent_intake import decode_row

    attested = {link.person: link.attested for link in given.links}
    people = [found.people[at] for at in found.people_of(one)]
    subjects = []
    records: list[Row] = [decode_row(row) for row in given.ownerless]
    for person in people:
        known = [
            attested[key] for key in person.keys if attested.get(key, NOTHING_ATTESTED) != NOTHING_ATTESTED
        ]
        about = known[0] if len(known) == 1 else NOTHING_ATTESTED
        subjects.append(Present(person.key, person.identified, person.keys, about).as_subject())
        own = [decode_row(row) for key in person.keys for row in given.rows.get(key, ())]
        records += [{**row, "subject": person.key} for row in own]
    if one.objection is not None:
        no = {"status": "refused", "purposes": list(one.objection.purposes), "scope": f"meeting:{MEETING}"}
        keys = [found.people[at].key for at in one.objection.people]
        records += [{**no, "subject": key} for key in keys] or [no]
    kind = one.kind if one.lineage_known and not doubtful else AMBIGUOUS
    fields = how.item_fields(one.tenant, given.meeting, kind, purpose)
    fields |= {"roster_complete": one.roster_complete, "roots": list(one.roots), "subjects": subjects}
    fields["regions"] = [*fields.get("regions", ()), *one.regions, *(() if people else (None,))]
    if one.recorded_end is not None:
        fields["recorded_end"] = instant_text(one.recorded_end)
    return Case(fields, records, how.registry_of(one.tenant), how.request.as_of)
