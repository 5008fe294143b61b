"""Every clause of the decision rules as a small case: what differs from a plain release, and what follows.

The outcome is written as decision, reasons in their order, and after a bar the advisories. The plain case is
an adult guest in the Union who gave an explicit, specific consent before the meeting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class _Absent:
    """Stands for a field that is not there; says so in the names of tests, the same in every process."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: object = _Absent()
"""Leaves a field out."""

REGISTRY: dict[str, Any] = {
    "keys": {
        "k1": {},
        "k-feb": {"revoked_from": "2026-02-01T00:00:00Z"},
        "k-late": {"revoked_from": "2026-03-05T00:00:00Z"},
        "k-odd": {"revoked_from": "soon"},
    },
    "terms": {
        "t1": {"from": "2026-01-15T00:00:00Z", "status": "active", "hash": "h1"},
        "t0": {"from": "2025-06-01T00:00:00Z", "status": "superseded_compatible", "hash": "h0"},
        "t-dead": {"from": "2023-03-31T00:00:00Z", "status": "superseded_material", "hash": "hd"},
        "t-odd": {"from": "2023-03-31T00:00:00Z", "status": "odd", "hash": "ho"},
        "t-blank": {"status": "active", "hash": "hb"},
    },
}
AS_OF = "2026-03-10T00:00:00Z"
ITEM: dict[str, Any] = {
    "kind": "audio",
    "lane": "content",
    "purpose": "ai_training",
    "recorded_end": "2026-03-02T10:45:00Z",
    "controller": "acme",
    "tenant": "t1",
    "meeting": "m1",
    "recipient": "first_party",
}
RECORD: dict[str, Any] = {
    "id": "r1",
    "subject": "a",
    "status": "given",
    "grantor": "subject",
    "mechanism": "explicit_statement",
    "purposes": ["ai_training"],
    "kinds": ["audio", "video", "chat"],
    "scope": "meeting:m1",
    "recipients": ["first_party"],
    "terms": "t1",
    "event_time": "2026-03-02T09:58:00Z",
    "controller": "acme",
    "kid": "k1",
    "sig_ok": True,
}
DECISIONS = {"R": "RELEASE", "Q": "QUARANTINE", "E": "ERASE", "X": "REJECT"}


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not ABSENT}


def record(**changes: Any) -> dict[str, Any]:
    return changed(RECORD, changes)


def subject(**changes: Any) -> dict[str, Any]:
    return changed({"id": "a", "region": "eu"}, changes)


def negative(status: Any = "withdrawn", **changes: Any) -> dict[str, Any]:
    return record(**{"id": "n1", "status": status, "event_time": "2026-03-05T00:00:00Z", **changes})


@dataclass(frozen=True)
class Clause:
    """A case in the form of a test vector, with what it must come to."""

    name: str
    vector: dict[str, Any]
    expect: dict[str, Any] = field(repr=False)


def clause(
    name: str,
    outcome: str,
    *,
    subjects: Any = None,
    records: Any = None,
    as_of: Any = AS_OF,
    **item: Any,
) -> Clause:
    reasons, _, advisories = outcome.partition("|")
    letter, *codes = reasons.split()
    people = [subject()] if subjects is None else subjects
    rows = [record()] if records is None else records
    vector = {"as_of": as_of, "item": changed({**ITEM, "subjects": people}, item), "records": rows}
    expect = {
        "decision": DECISIONS[letter],
        "primary": codes[0] if codes else "OK",
        "reasons": codes,
        "advisories": advisories.split(),
    }
    return Clause(name, vector, expect)


ASSIST = {"purpose": "meeting_summary"}
US = [subject(region="us-default")]
NO_RECORDS: list[Any] = []


def service(kind: str = "quality_stat", **item: Any) -> dict[str, Any]:
    return {"kind": kind, "lane": "service", **item}


SHAPE = [
    clause("plain release", "R"),
    *(
        clause(f"{name} is {value!r}", "X SCHEMA_INVALID", **{name: value})
        for name in ("kind", "lane", "purpose", "recorded_end", "controller", "tenant", "meeting")
        for value in (ABSENT, None, "", 7)
    ),
    *(
        clause(f"subjects are {value!r}", "X SCHEMA_INVALID", subjects=value)
        for value in (ABSENT, {}, "a", 0)
    ),
    clause("recorded_end without an offset", "X SCHEMA_INVALID", recorded_end="2026-03-02T10:45:00"),
    clause("an unreadable instant of decision", "X SCHEMA_INVALID", as_of="today"),
    clause("shape comes before every hold", "X SCHEMA_INVALID", kind=None, legal_hold=True),
]
DEADLINES = [
    clause("legal hold", "Q LEGAL_HOLD", legal_hold=True),
    clause("legal hold unreadable", "Q LEGAL_HOLD", legal_hold="no"),
    clause("erasure requested", "E ERASURE_REQUESTED", erasure_requested=True),
    clause("erasure unreadable holds", "Q LEGAL_HOLD", erasure_requested=None),
    clause("erasure as a text holds", "Q LEGAL_HOLD", erasure_requested="true"),
    clause("retention reached exactly", "E RETENTION_EXCEEDED", retention_until=AS_OF),
    clause("retention a microsecond away", "R", retention_until="2026-03-10T00:00:00.000001Z"),
    clause("retention unreadable holds", "Q LEGAL_HOLD", retention_until="soon"),
    clause("retention null holds", "Q LEGAL_HOLD", retention_until=None),
    clause(
        "legal hold over erasure and retention",
        "Q LEGAL_HOLD ERASURE_REQUESTED RETENTION_EXCEEDED",
        legal_hold=True,
        erasure_requested=True,
        retention_until=AS_OF,
    ),
    clause("legal hold over a withdrawal", "Q LEGAL_HOLD WITHDRAWN", legal_hold=True, records=[negative()]),
    clause("legal hold not over a reject", "X E2EE_CLAIM_VIOLATION LEGAL_HOLD", legal_hold=True, e2ee=True),
    clause(
        "the search goes on after a deadline",
        "E ERASURE_REQUESTED NO_CONSENT",
        erasure_requested=True,
        records=[],
    ),
    clause(
        "deadline before an unknown purpose", "Q LEGAL_HOLD PURPOSE_UNKNOWN", legal_hold=True, purpose="odd"
    ),
]
PURPOSE_AND_REGION = [
    clause(
        "purpose unknown stops",
        "Q PURPOSE_UNKNOWN",
        purpose="odd",
        e2ee=True,
        subjects=[subject(region="jp")],
    ),
    clause("region without a profile", "R | JURISDICTION_ASSUMED_STRICTEST", subjects=[subject(region="jp")]),
    clause("region absent", "R | JURISDICTION_ASSUMED_STRICTEST", subjects=[subject(region=ABSENT)]),
    clause("region null", "R | JURISDICTION_ASSUMED_STRICTEST", subjects=[subject(region=None)]),
    clause("region of a wrong type", "R | JURISDICTION_ASSUMED_STRICTEST", subjects=[subject(region=["eu"])]),
    clause("no region at all", "Q NO_SUBJECTS | JURISDICTION_ASSUMED_STRICTEST", subjects=[]),
    clause("the item's regions alone", "Q NO_SUBJECTS", subjects=[], regions=["eu"]),
    clause("the item's regions unreadable", "R | JURISDICTION_ASSUMED_STRICTEST", regions="eu"),
    clause("one of the item's regions unreadable", "R | JURISDICTION_ASSUMED_STRICTEST", regions=["eu", 5]),
    clause(
        "the item's region counts",
        "Q PURPOSE_NOT_SPECIFIC",
        subjects=US,
        regions=["eu"],
        purpose="service_improvement",
        records=[record(purposes=["service_improvement"])],
    ),
    clause(
        "a bot's region counts",
        "X CAPTURE_NOT_CONSENTED",
        capture="some",
        subjects=[subject(), subject(id="b", region="eu-de", channel="bot")],
    ),
    clause(
        "a viewer's region counts",
        "X CAPTURE_NOT_CONSENTED",
        capture="some",
        subjects=[subject(), subject(id="b", region="us-ca", view_only=True)],
    ),
    clause("strictest by name is no assumption", "R", subjects=[subject(region="strictest")]),
]
LANE = [
    clause("lane unknown stops", "Q CLASS_UNKNOWN", lane="odd", e2ee=True, tenant_ok=False),
    clause("content of an unknown kind stops", "Q CLASS_UNKNOWN", kind="odd", e2ee=True, tenant_ok=False),
    clause("service of an unknown kind", "Q CLASS_UNKNOWN", **service("odd"), subjects=US),
    clause(
        "service of an unknown kind does not stop",
        "Q CLASS_UNKNOWN TENANT_NOT_AUTHORISED",
        **service("odd"),
        subjects=US,
        tenant_ok=False,
    ),
    clause(
        "a service kind may be declared content",
        "R",
        kind="quality_stat",
        records=[record(kinds=["quality_stat"])],
    ),
    clause("field outside the list", "Q FIELD_NOT_ALLOWLISTED", **service(unknown_fields=["x"]), subjects=US),
    clause("field list unreadable", "Q FIELD_NOT_ALLOWLISTED", **service(unknown_fields=None), subjects=US),
    clause("no field outside the list", "R", **service(unknown_fields=[]), subjects=US),
    clause("unknown fields matter in service alone", "R", unknown_fields=["x"]),
    clause("moved by its kind", "R | DERIVED_FROM_CONTENT", **service("audio")),
    clause("moved by a derived kind", "Q KIND_MISMATCH | DERIVED_FROM_CONTENT", **service("sentiment")),
    clause(
        "moved by a root",
        "R | DERIVED_FROM_CONTENT",
        **service(roots=["audio", "join_leave"]),
        records=[record(kinds=["audio", "join_leave"])],
    ),
    clause("moved by an unknown root", "Q KIND_MISMATCH | DERIVED_FROM_CONTENT", **service(roots=["odd"])),
    clause(
        "an unknown root is not covered by its name",
        "Q KIND_MISMATCH | DERIVED_FROM_CONTENT",
        **service(roots=["odd"]),
        records=[record(kinds=["odd"])],
    ),
    clause("moved by unreadable roots", "Q KIND_MISMATCH | DERIVED_FROM_CONTENT", **service(roots="audio")),
    clause(
        "moved by a hit alone: nothing covers",
        "Q KIND_MISMATCH | DERIVED_FROM_CONTENT",
        **service(content_hit=True),
        records=[record(kinds=["*", "quality_stat"])],
    ),
    clause(
        "moved by an unreadable hit",
        "Q KIND_MISMATCH | DERIVED_FROM_CONTENT",
        **service(content_hit=None),
        records=[record(kinds=["*"])],
    ),
    clause(
        "a hit beside a content root is coverable",
        "R | DERIVED_FROM_CONTENT",
        **service("embedding", roots=["video"], content_hit=True),
    ),
    clause("a hit in lane content says nothing new", "R", content_hit=True),
    clause(
        "unknown field and moved",
        "Q FIELD_NOT_ALLOWLISTED | DERIVED_FROM_CONTENT",
        **service("audio", unknown_fields=["x"]),
    ),
    clause("opaque without lineage", "Q LINEAGE_UNKNOWN", **service(opaque=True), subjects=US),
    clause("opaque unreadable", "Q LINEAGE_UNKNOWN", **service(opaque="no"), subjects=US),
    clause("opaque with lineage", "R", **service(opaque=True, lineage_ok=True), subjects=US),
    clause("lineage unreadable", "Q LINEAGE_UNKNOWN", **service(opaque=True, lineage_ok="yes"), subjects=US),
    clause(
        "opaque comes before an unknown kind", "Q LINEAGE_UNKNOWN", **service("odd", opaque=True), subjects=US
    ),
    clause("opaque matters in service alone", "R", opaque=True),
    clause("opaque and moved", "R | DERIVED_FROM_CONTENT", **service("audio", opaque=True)),
    clause(
        "what is in no closed set is never released",
        "Q CLASS_UNKNOWN | DERIVED_FROM_CONTENT",
        **service("odd", roots=["audio"]),
    ),
    clause(
        "nor delivered",
        "Q CLASS_UNKNOWN | DERIVED_FROM_CONTENT",
        **service("odd", content_hit=True, purpose="service_delivery"),
    ),
]
TRANSFER_AND_CAPTURE = [
    clause("export without a mechanism", "Q TRANSFER_NOT_COVERED", export_to="xx"),
    clause("export with a mechanism", "R", export_to="xx", transfer_mechanism="clauses"),
    clause("export with an empty mechanism", "Q TRANSFER_NOT_COVERED", export_to="xx", transfer_mechanism=""),
    clause(
        "export with an unreadable mechanism", "Q TRANSFER_NOT_COVERED", export_to="xx", transfer_mechanism=7
    ),
    clause("export where no mechanism is asked for", "R", export_to="xx", subjects=US),
    clause("export unreadable", "Q TRANSFER_NOT_COVERED", export_to=None),
    clause("export in lane service", "Q TRANSFER_NOT_COVERED", **service(export_to="xx", aggregate_k=10)),
    clause("plaintext of an encrypted meeting", "X E2EE_CLAIM_VIOLATION", e2ee=True),
    clause("encryption unreadable", "X E2EE_CLAIM_VIOLATION", e2ee=None),
    clause(
        "encryption and moved content",
        "X E2EE_CLAIM_VIOLATION | DERIVED_FROM_CONTENT",
        **service("audio", e2ee=True),
    ),
    clause("encryption in lane service", "R", **service(e2ee=True), subjects=US),
    *(
        clause(
            f"captured with {value!r} agreeing, Germany",
            "X CAPTURE_NOT_CONSENTED",
            capture=value,
            subjects=[subject(region="eu-de")],
        )
        for value in ("some", "none", "odd", None)
    ),
    clause("captured with all agreeing, Germany", "R", subjects=[subject(region="eu-de")]),
    clause("capture in the rest of the Union", "R", capture="none"),
    clause(
        "capture of a chat, Germany", "R", kind="chat", capture="none", subjects=[subject(region="eu-de")]
    ),
    clause(
        "capture by the root of a transcript, Germany",
        "X CAPTURE_NOT_CONSENTED",
        kind="transcript",
        capture="none",
        subjects=[subject(region="eu-de")],
    ),
    clause(
        "capture by a named root, Germany",
        "X CAPTURE_NOT_CONSENTED",
        kind="summary",
        roots=["video"],
        capture="none",
        subjects=[subject(region="eu-de")],
    ),
    clause(
        "named roots replace the usual ones",
        "R",
        kind="transcript",
        roots=["chat"],
        capture="none",
        subjects=[subject(region="eu-de")],
    ),
]
EMOTION = {"purpose": "emotion_inference"}
EMOTION_RECORD = [record(purposes=["emotion_inference"], no_detriment=True)]
USE = [
    clause(
        "emotions of an employee", "X PURPOSE_PROHIBITED", **EMOTION, subjects=[subject(relation="employee")]
    ),
    clause(
        "emotions of a student", "X PURPOSE_PROHIBITED", **EMOTION, subjects=[subject(relation="student")]
    ),
    clause(
        "emotions of nobody knows whom", "X PURPOSE_PROHIBITED", **EMOTION, subjects=[subject(relation="odd")]
    ),
    clause("emotions of a guest", "R", **EMOTION, records=EMOTION_RECORD),
    clause(
        "emotions of a patient",
        "R",
        **EMOTION,
        records=EMOTION_RECORD,
        subjects=[subject(relation="patient")],
    ),
    clause(
        "emotions of an employee, United Kingdom",
        "R | EMPLOYEE_CONSENT",
        **EMOTION,
        records=EMOTION_RECORD,
        subjects=[subject(relation="employee", region="uk")],
    ),
    clause(
        "one employee among guests",
        "X PURPOSE_PROHIBITED",
        **EMOTION,
        subjects=[subject(), subject(id="b", relation="employee", channel="bot")],
    ),
    clause(
        "a forbidden use ends the search",
        "X PURPOSE_PROHIBITED",
        **EMOTION,
        tenant_ok=False,
        roster_complete=False,
        subjects=[subject(relation="employee")],
        records=[record(), record()],
    ),
    clause(
        "what came before stays",
        "X CAPTURE_NOT_CONSENTED PURPOSE_PROHIBITED",
        **EMOTION,
        capture="none",
        subjects=[subject(relation="employee", region="eu-de")],
    ),
    clause(
        "forbidden in lane service too",
        "X PURPOSE_PROHIBITED",
        **service("talk_time"),
        **EMOTION,
        subjects=[subject(relation="student")],
    ),
    clause(
        "an employee for another purpose",
        "R | EMPLOYEE_CONSENT",
        subjects=[subject(relation="employee")],
        records=[record(no_detriment=True)],
    ),
    clause("necessary", "R", purpose="service_delivery", records=[]),
    clause("necessary for a processor", "R", purpose="recording_storage", recipient="processor", records=[]),
    *(
        clause(
            f"necessary for {value!r}",
            "Q RECIPIENT_MISMATCH",
            purpose="service_delivery",
            recipient=value,
            records=[],
        )
        for value in ("third_party", "odd", None, ABSENT, ["first_party"])
    ),
    clause(
        "necessary stops",
        "R",
        purpose="service_delivery",
        tenant_ok=False,
        roster_complete=False,
        records=[negative()],
    ),
    clause("necessary in lane service", "R", **service("join_leave", purpose="service_delivery"), records=[]),
    clause(
        "a case with two approvers",
        "R",
        purpose="support_case",
        case={"id": "c", "approvers": ["x", "y"]},
        records=[],
    ),
    clause(
        "a case stops",
        "R",
        purpose="legal_disclosure",
        case={"id": "c", "approvers": ["x", "y"]},
        tenant_ok=False,
        recipient="third_party",
        records=[negative()],
    ),
    *(
        clause(
            f"a case of {value!r}",
            "Q CASE_NOT_AUTHORISED",
            purpose="abuse_investigation",
            case=value,
            records=[],
        )
        for value in (
            ABSENT,
            None,
            {},
            {"approvers": ["x", "y"]},
            {"id": "", "approvers": ["x", "y"]},
            {"id": "c"},
            {"id": "c", "approvers": "xy"},
            {"id": "c", "approvers": ["x", "x"]},
            {"id": "c", "approvers": ["x", None]},
            {"id": "c", "approvers": ["x", ""]},
            ["c"],
        )
    ),
    clause("the tenant's lock", "Q TENANT_NOT_AUTHORISED", tenant_ok=False),
    clause("the tenant's lock unreadable", "Q TENANT_NOT_AUTHORISED", tenant_ok="yes"),
    clause(
        "the tenant's lock for an assist purpose",
        "Q TENANT_NOT_AUTHORISED",
        **ASSIST,
        tenant_ok=False,
        records=[record(purposes=["meeting_summary"])],
    ),
    clause(
        "the tenant's lock in lane service",
        "Q TENANT_NOT_AUTHORISED",
        **service(tenant_ok=False),
        subjects=US,
    ),
    clause(
        "no such lock there for an assist purpose", "R", **service(tenant_ok=False, **ASSIST), subjects=US
    ),
]
COVERED_STAT = [record(kinds=["quality_stat"])]
COVERED_JOIN = [record(kinds=["join_leave"])]
SERVICE = [
    clause(
        "service data for a third party",
        "Q RECIPIENT_MISMATCH",
        **service(recipient="third_party"),
        subjects=US,
    ),
    clause(
        "service data for nobody knows whom", "Q RECIPIENT_MISMATCH", **service(recipient=ABSENT), subjects=US
    ),
    clause("diagnostics of a person", "Q SECONDARY_USE_NO_CONSENT", **service(), records=[]),
    clause("diagnostics of a person who agrees", "R", **service(), records=COVERED_STAT),
    clause("diagnostics of ten", "R", **service(aggregate_k=10), records=[]),
    *(
        clause(
            f"diagnostics of {value!r}",
            "Q SECONDARY_USE_NO_CONSENT",
            **service(aggregate_k=value),
            records=[],
        )
        for value in (9, True, "50", 50.0, None)
    ),
    clause("optional diagnostics", "Q TERMINAL_ACCESS_NO_CONSENT", **service(diag="optional"), records=[]),
    clause(
        "optional diagnostics of many",
        "Q TERMINAL_ACCESS_NO_CONSENT",
        **service(diag="optional", aggregate_k=50),
        records=[],
    ),
    clause(
        "diagnostics of an unknown sort",
        "Q TERMINAL_ACCESS_NO_CONSENT",
        **service(diag="odd", aggregate_k=50),
        records=[],
    ),
    clause("optional diagnostics with consent", "R", **service(diag="optional"), records=COVERED_STAT),
    clause("diagnostics in a one-party state", "R", **service(diag="optional"), records=[], subjects=US),
    clause("diagnostics of nobody", "Q NO_SUBJECTS", **service(), subjects=[], regions=["eu"]),
    clause("diagnostics of a bot", "Q NO_SUBJECTS", **service(), subjects=[subject(channel="bot")]),
    clause("diagnostics of nobody, aggregated", "R", **service(aggregate_k=10), subjects=[], regions=["eu"]),
    clause(
        "diagnostics of nobody in a one-party state", "R", **service(), subjects=[], regions=["us-default"]
    ),
    clause(
        "one of two does not agree",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=COVERED_STAT,
        subjects=[subject(), subject(id="b")],
    ),
    clause(
        "a viewer must agree in lane service",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=COVERED_STAT,
        subjects=[subject(), subject(id="b", view_only=True)],
    ),
    clause(
        "who is not featured must agree in lane service",
        "Q TRAFFIC_DATA_NO_CONSENT",
        **service("join_leave"),
        records=COVERED_JOIN,
        subjects=[subject(), subject(id="b", featured=False)],
    ),
    clause(
        "a bot need not agree",
        "R",
        **service(),
        records=COVERED_STAT,
        subjects=[subject(), subject(id="b", channel="bot")],
    ),
    clause(
        "who opted out never agrees, and is not read",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=COVERED_STAT * 2,
        subjects=[subject(opt_out=True)],
    ),
    clause(
        "an unreadable opt-out is one",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=COVERED_STAT,
        subjects=[subject(opt_out="no")],
    ),
    clause(
        "who is unidentified never agrees, and is not read",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=COVERED_STAT * 2,
        subjects=[subject(identified=False)],
    ),
    clause(
        "a withdrawal gives the lane's own code",
        "Q SECONDARY_USE_NO_CONSENT",
        **service(),
        records=[*COVERED_STAT, negative()],
    ),
    clause(
        "advisories of the tests are given", "R | DUPLICATE_IGNORED", **service(), records=COVERED_STAT * 2
    ),
    clause("metadata", "Q TRAFFIC_DATA_NO_CONSENT", **service("join_leave"), records=[]),
    clause("metadata with consent", "R", **service("join_leave"), records=COVERED_JOIN),
    clause(
        "metadata by its root",
        "Q TRAFFIC_DATA_NO_CONSENT",
        **service("quality_stat", roots=["call_detail"], aggregate_k=50),
        records=[],
    ),
    clause(
        "metadata and diagnostics",
        "Q SECONDARY_USE_NO_CONSENT TRAFFIC_DATA_NO_CONSENT",
        **service("quality_stat", roots=["call_detail"]),
        records=[],
    ),
    clause("metadata where one may opt out", "R", **service("join_leave"), records=[], subjects=US),
    clause(
        "metadata of one who opted out",
        "Q OPTED_OUT",
        **service("join_leave"),
        subjects=[subject(region="us-default", opt_out=True)],
    ),
    clause(
        "an opt-out is also a no where consent is asked for",
        "Q TRAFFIC_DATA_NO_CONSENT",
        **service("join_leave"),
        records=COVERED_JOIN,
        subjects=[subject(opt_out=True)],
    ),
    clause(
        "a bot's opt-out",
        "R",
        **service("join_leave"),
        subjects=[
            subject(region="us-default"),
            subject(id="b", region="us-default", channel="bot", opt_out=True),
        ],
    ),
    clause("metadata of nobody", "Q NO_SUBJECTS", **service("join_leave"), subjects=[], regions=["eu"]),
    clause(
        "metadata of nobody where one may opt out",
        "Q NO_SUBJECTS",
        **service("join_leave"),
        subjects=[],
        regions=["us-default"],
    ),
    clause(
        "an assist purpose asks for express consent here",
        "Q TRAFFIC_DATA_NO_CONSENT",
        **service("join_leave", **ASSIST),
        subjects=[subject(region="us-ca"), subject(id="b", region="eu")],
        records=[
            record(kinds=["join_leave"], purposes=["meeting_summary"], mechanism="implied_continuation"),
            record(id="r2", subject="b", kinds=["join_leave"], purposes=["meeting_summary"]),
        ],
    ),
    clause("an opt-out has no effect on content", "R", subjects=[subject(opt_out=True)]),
]
CONTENT = [
    clause("health information, strictest", "Q SECTOR_HIPAA", phi=True, subjects=US),
    clause("health information unreadable", "Q SECTOR_HIPAA", phi="no", subjects=US),
    clause("health information, authorised", "R", phi=True, hipaa_authorization=True, subjects=US),
    clause(
        "an authorisation in words is none",
        "Q SECTOR_HIPAA",
        phi=True,
        hipaa_authorization="true",
        subjects=US,
    ),
    clause("health information in the Union", "R", phi=True),
    clause(
        "health information in a summary",
        "R",
        **ASSIST,
        phi=True,
        subjects=US,
        records=[record(purposes=["meeting_summary"])],
    ),
    clause("education record", "Q SECTOR_FERPA", edu=True, subjects=US),
    clause("education record, consented", "R", edu=True, ferpa_consent=True, subjects=US),
    clause("education record in the Union", "R", edu=True),
    clause(
        "education record in a summary",
        "R",
        **ASSIST,
        edu=True,
        subjects=US,
        records=[record(purposes=["meeting_summary"])],
    ),
    clause("somebody absent is spoken of", "Q THIRD_PARTY_UNREDACTED", third_party_mention=True),
    clause("somebody absent, redacted", "R", third_party_mention=True, redacted=True),
    clause("somebody absent, one-party state", "R", third_party_mention=True, subjects=US),
    clause(
        "somebody absent, in a summary",
        "R",
        **ASSIST,
        third_party_mention=True,
        records=[record(purposes=["meeting_summary"])],
    ),
    clause("roster incomplete", "Q ROSTER_INCOMPLETE", roster_complete=False),
    clause("roster unreadable", "Q ROSTER_INCOMPLETE", roster_complete=None),
    clause(
        "roster incomplete, for a summary",
        "Q ROSTER_INCOMPLETE",
        **ASSIST,
        roster_complete=False,
        records=[record(purposes=["meeting_summary"])],
    ),
    clause(
        "nobody in scope", "Q NO_SUBJECTS", subjects=[subject(channel="bot"), subject(id="b", view_only=True)]
    ),
    clause(
        "nobody in scope, other locks stay",
        "Q TENANT_NOT_AUTHORISED NO_SUBJECTS ROSTER_INCOMPLETE",
        tenant_ok=False,
        roster_complete=False,
        subjects=[subject(channel="bot")],
    ),
    clause("a bot is no subject", "R", subjects=[subject(), subject(id="b", channel="bot")]),
    clause(
        "an unknown channel is a subject",
        "Q NOT_ALL_PARTICIPANTS NO_CONSENT",
        subjects=[subject(), subject(id="b", channel="robot")],
    ),
    clause("a viewer is no subject", "R", subjects=[subject(), subject(id="b", view_only=True)]),
    clause(
        "a viewer unreadable is one",
        "Q NOT_ALL_PARTICIPANTS NO_CONSENT",
        subjects=[subject(), subject(id="b", view_only="yes")],
    ),
    clause(
        "who is silent counts in the Union",
        "Q NOT_ALL_PARTICIPANTS NO_CONSENT",
        subjects=[subject(), subject(id="b", featured=False)],
    ),
    clause(
        "who is silent does not where the featured do",
        "R",
        subjects=[*US, subject(id="b", region="us-default", featured=False)],
    ),
    clause(
        "nobody featured means all",
        "Q NOT_ALL_PARTICIPANTS NO_CONSENT",
        subjects=[
            subject(region="us-default", featured=False),
            subject(id="b", region="us-default", featured=False),
        ],
    ),
    clause(
        "featured unreadable is in scope",
        "Q NOT_ALL_PARTICIPANTS NO_CONSENT",
        subjects=[*US, subject(id="b", region="us-default", featured=None)],
    ),
    clause(
        "unidentified",
        "Q PARTICIPANT_UNIDENTIFIED",
        subjects=[subject(identified=False)],
        records=[record(), record()],
    ),
    clause("identified unreadable", "Q PARTICIPANT_UNIDENTIFIED", subjects=[subject(identified="yes")]),
    *(
        clause(f"id is {value!r}", "Q PARTICIPANT_UNIDENTIFIED", subjects=[subject(id=value)])
        for value in (ABSENT, None, "", 7)
    ),
    clause(
        "a subject that is no object",
        "Q PARTICIPANT_UNIDENTIFIED NOT_ALL_PARTICIPANTS | JURISDICTION_ASSUMED_STRICTEST",
        subjects=[subject(), None],
    ),
    clause("all fail alike", "Q NO_CONSENT", subjects=[subject(), subject(id="b")], records=[]),
    clause(
        "all fail, each in his way",
        "E REFUSED NO_CONSENT",
        subjects=[subject(), subject(id="b")],
        records=[negative("refused")],
    ),
    clause(
        "some fail",
        "E WITHDRAWN NOT_ALL_PARTICIPANTS",
        subjects=[subject(), subject(id="b")],
        records=[negative(), record(id="r2", subject="b")],
    ),
    clause(
        "told and stayed, summary, one-party state",
        "R",
        **ASSIST,
        subjects=US,
        records=[record(purposes=["meeting_summary"], mechanism="notice_acknowledged")],
    ),
    clause(
        "told and stayed, summary, California",
        "R",
        **ASSIST,
        subjects=[subject(region="us-ca")],
        records=[record(purposes=["meeting_summary"], mechanism="implied_continuation")],
    ),
    clause(
        "told, summary, California",
        "Q NOTICE_ONLY",
        **ASSIST,
        subjects=[subject(region="us-ca")],
        records=[record(purposes=["meeting_summary"], mechanism="notice_acknowledged")],
    ),
    clause(
        "the intersection of what regions accept",
        "Q IMPLIED_ONLY",
        **ASSIST,
        subjects=[subject(region="us-ca"), subject(id="b")],
        records=[
            record(purposes=["meeting_summary"], mechanism="implied_continuation"),
            record(id="r2", subject="b", purposes=["meeting_summary"], mechanism="implied_continuation"),
        ],
    ),
]
