"""The clauses about records and grants, in the form of `tests.unit.validation.clauses`."""

from __future__ import annotations

from typing import Any

from tests.unit.validation.clauses import (
    ABSENT,
    AS_OF,
    ASSIST,
    US,
    Clause,
    clause,
    negative,
    record,
    subject,
)

UNREADABLE_ROWS: tuple[Any, ...] = (None, 7, "r", [], {})
LATER = "2026-03-06T00:00:00Z"
FORGED: dict[str, Any] = {"kid": "k9"}


def rows(name: str, outcome: str, *records: Any, **more: Any) -> Clause:
    return clause(name, outcome, records=list(records), **more)


REPETITIONS = [
    rows("delivered twice", "R | DUPLICATE_IGNORED", record(), record()),
    rows(
        "delivered twice, irrelevant",
        "R | DUPLICATE_IGNORED",
        record(),
        *[record(id="r2", purposes=["marketing"])] * 2,
    ),
    rows(
        "delivered twice at two times",
        "R | DUPLICATE_IGNORED",
        record(ingested_at="2026-03-02T10:00:00Z"),
        record(ingested_at="2026-03-03T10:00:00Z"),
    ),
    rows(
        "the latest arrival counts",
        "Q BACKDATED | DUPLICATE_IGNORED",
        record(ingested_at="2026-03-02T10:00:00Z"),
        record(ingested_at="2026-03-09T10:00:00Z"),
    ),
    rows(
        "the latest arrival, in the other order",
        "Q BACKDATED | DUPLICATE_IGNORED",
        record(ingested_at="2026-03-09T10:00:00Z"),
        record(),
    ),
    rows(
        "an unreadable arrival counts",
        "Q BACKDATED | DUPLICATE_IGNORED",
        record(ingested_at="soon"),
        record(ingested_at="2026-03-02T10:00:00Z"),
    ),
    rows("one id, two bodies", "Q RECORD_ID_COLLISION", record(), record(kinds=["*"])),
    rows(
        "one id, two bodies, and a good grant",
        "Q RECORD_ID_COLLISION",
        record(),
        record(kinds=["*"]),
        record(id="r2"),
    ),
    rows(
        "one id, two bodies, elsewhere",
        "Q RECORD_ID_COLLISION",
        record(),
        record(id="r2", scope="meeting:m9"),
        record(id="r2", scope="meeting:m8"),
    ),
    rows(
        "one id, two bodies, untrusted",
        "Q RECORD_ID_COLLISION",
        record(),
        record(id="r2", **FORGED),
        record(id="r2"),
    ),
    rows(
        "a field that is spelt out is another body", "Q RECORD_ID_COLLISION", record(), record(bundled=False)
    ),
    rows("true is not one", "Q RECORD_ID_COLLISION", record(bundled=1), record(bundled=True)),
    rows("one id of two people", "R", record(), record(subject="b")),
    rows("colliding rows take no part", "Q RECORD_ID_COLLISION", record(), negative(), negative(kinds=["*"])),
    rows("a collision beside a withdrawal", "E WITHDRAWN", record(), record(kinds=["*"]), negative()),
    rows(
        "a collision beside a dispute",
        "Q DISPUTED_WITHDRAWAL",
        record(),
        record(kinds=["*"]),
        negative(**FORGED),
    ),
]
TRUST = [
    rows("unknown key", "Q SIGNATURE_KEY_UNKNOWN", record(**FORGED)),
    *(
        rows(f"key is {kid!r}", "Q SIGNATURE_KEY_UNKNOWN", record(kid=kid))
        for kid in (ABSENT, None, 7, ["k1"])
    ),
    rows("unknown key before a bad signature", "Q SIGNATURE_KEY_UNKNOWN", record(kid="k9", sig_ok=False)),
    *(
        rows(f"signature is {ok!r}", "Q SIGNATURE_INVALID", record(sig_ok=ok))
        for ok in (False, ABSENT, None, "true", 1)
    ),
    rows("bad signature before a revoked key", "Q SIGNATURE_INVALID", record(kid="k-feb", sig_ok=False)),
    rows("revoked before", "Q KEY_REVOKED", record(kid="k-feb")),
    rows("revoked at the instant", "Q KEY_REVOKED", record(kid="k-feb", event_time="2026-02-01T00:00:00Z")),
    rows("revoked afterwards", "R", record(kid="k-late")),
    rows(
        "revoked before it arrived", "Q KEY_REVOKED", record(kid="k-late", ingested_at="2026-03-05T00:00:00Z")
    ),
    rows("revoked after it arrived", "R", record(kid="k-late", ingested_at="2026-03-04T23:59:59Z")),
    rows("revoked, arrival unreadable", "Q KEY_REVOKED", record(kid="k-late", ingested_at=None)),
    rows("revoked at an unreadable time", "Q KEY_REVOKED", record(kid="k-odd")),
    rows("revoked before another controller", "Q KEY_REVOKED", record(kid="k-feb", controller="other")),
    rows("another controller", "Q WRONG_CONTROLLER", record(controller="other")),
    rows("controller absent", "Q WRONG_CONTROLLER", record(controller=ABSENT)),
    rows(
        "a forged grant beside a good one",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        record(id="r2", **FORGED),
    ),
    rows(
        "a forged grant cannot narrow",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        record(id="r2", kinds=["chat"], event_time="2026-03-02T10:00:00Z", **FORGED),
    ),
    rows(
        "codes of several dropped rows",
        "Q SIGNATURE_INVALID SIGNATURE_KEY_UNKNOWN",
        record(**FORGED),
        record(id="r2", sig_ok=False),
    ),
    rows(
        "a dropped row beside a miss",
        "Q SIGNATURE_KEY_UNKNOWN BUNDLED",
        record(bundled=True),
        record(id="r2", **FORGED),
    ),
    rows("a dropped row beside a no", "E WITHDRAWN", negative(), record(id="r2", **FORGED)),
]
DISPUTES = [
    rows("a no under an unknown key", "Q DISPUTED_WITHDRAWAL", record(), negative(**FORGED)),
    rows("a no with a bad signature", "Q DISPUTED_WITHDRAWAL", record(), negative(sig_ok=False)),
    rows("a no under a revoked key", "Q DISPUTED_WITHDRAWAL", record(), negative(kid="k-feb")),
    rows("a no of unknown controller", "Q DISPUTED_WITHDRAWAL", record(), negative(controller=None)),
    rows(
        "an old no is disputed too",
        "Q DISPUTED_WITHDRAWAL",
        record(),
        negative(event_time="2020-01-01T00:00:00Z", **FORGED),
    ),
    rows(
        "a no to another controller", "R | UNTRUSTED_RECORD_IGNORED", record(), negative(controller="other")
    ),
    rows(
        "a forged no to another controller",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        negative(controller="other", **FORGED),
    ),
    rows(
        "a forged no elsewhere",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        negative(scope="meeting:m9", **FORGED),
    ),
    rows(
        "a forged no to another purpose",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        negative(purposes=["marketing"], **FORGED),
    ),
    rows("a forged no to everything", "Q DISPUTED_WITHDRAWAL", record(), negative(purposes=["*"], **FORGED)),
    rows(
        "a dispute ends alone",
        "Q DISPUTED_WITHDRAWAL",
        record(bundled=True),
        record(id="r2", **FORGED),
        negative(**FORGED),
    ),
    rows("a dispute beside a proven no", "E REFUSED", negative("refused"), negative(id="n2", **FORGED)),
    *(
        rows(f"{name} is {value!r} in a no", "Q DISPUTED_WITHDRAWAL", record(), negative(**{name: value}))
        for name in ("id", "status", "event_time")
        for value in (ABSENT, None, "", 7, [])
    ),
    rows("event_time without an offset", "Q SIGNATURE_INVALID", record(event_time="2026-03-02T09:58:00")),
    *(
        rows(f"{name} is {value!r} in a yes", "Q SIGNATURE_INVALID", record(**{name: value}))
        for name in ("id", "event_time")
        for value in (ABSENT, None, "", 7)
    ),
    rows("a status in no set is a no", "Q DISPUTED_WITHDRAWAL", record(), negative("maybe")),
    rows(
        "a malformed row to another controller",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        negative("maybe", controller="other"),
    ),
    rows("malformed counts before its key", "Q SIGNATURE_INVALID", record(id=None, **FORGED)),
    rows(
        "a malformed request",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        record(id="r2", status="requested", event_time=None),
    ),
    *(
        rows(f"a row that is {value!r}", "Q DISPUTED_WITHDRAWAL", record(), value)
        for value in UNREADABLE_ROWS
    ),
    *(
        rows(f"a no of {value!r}", "Q DISPUTED_WITHDRAWAL", record(), negative(subject=value))
        for value in (ABSENT, None, "", 7)
    ),
    rows("a yes of nobody", "R", record(), record(id="r2", subject=None)),
    rows("nobody's no elsewhere", "R", record(), negative(subject=None, scope="tenant:t9")),
    rows(
        "nobody's no in this tenant",
        "Q DISPUTED_WITHDRAWAL",
        record(),
        negative(subject=None, scope="tenant:t1"),
    ),
    rows(
        "nobody's no, scope unreadable",
        "Q DISPUTED_WITHDRAWAL",
        record(),
        negative(subject=None, scope="odd"),
    ),
    rows("nobody's no to another controller", "R", record(), negative(subject=None, controller="other")),
    rows(
        "nobody's no disputes everybody",
        "Q DISPUTED_WITHDRAWAL",
        record(),
        record(id="r2", subject="b"),
        None,
        subjects=[subject(), subject(id="b")],
    ),
    clause("records that are no list", "Q DISPUTED_WITHDRAWAL", records={"id": "r1"}),
]
TIMES = [
    rows(
        "ahead by the tolerated skew",
        "R | CLOCK_SKEW_TOLERATED",
        record(event_time="2026-03-10T00:05:00Z", retroactive=True),
    ),
    rows("ahead by more", "Q FUTURE_DATED", record(event_time="2026-03-10T00:05:00.000001Z")),
    rows("at the instant of decision", "R", record(event_time=AS_OF, retroactive=True)),
    rows(
        "a fast clock cannot outrank a no",
        "Q CONFLICTING_RECORDS | CLOCK_SKEW_TOLERATED",
        record(event_time="2026-03-10T00:04:00Z"),
        negative(event_time=AS_OF),
    ),
    rows("a no of tomorrow counts", "E WITHDRAWN", record(), negative(event_time="2026-03-11T00:00:00Z")),
    rows(
        "a request from the future",
        "Q FUTURE_DATED",
        record(status="requested", event_time="2026-03-11T00:00:00Z"),
    ),
    rows(
        "a request slightly ahead",
        "Q PENDING | CLOCK_SKEW_TOLERATED",
        record(status="requested", event_time="2026-03-10T00:01:00Z"),
    ),
    rows(
        "a future grant beside a good one",
        "R | UNTRUSTED_RECORD_IGNORED",
        record(),
        record(id="r2", event_time="2026-03-11T00:00:00Z"),
    ),
    rows("arrived a week later", "R", record(ingested_at="2026-03-09T09:58:00Z")),
    rows("arrived later than a week", "Q BACKDATED", record(ingested_at="2026-03-09T09:58:00.000001Z")),
    rows("arrived late, attested", "R", record(ingested_at="2026-03-09T23:00:00Z", import_attested=True)),
    rows(
        "arrived late, attested in words",
        "Q BACKDATED",
        record(ingested_at="2026-03-09T23:00:00Z", import_attested="yes"),
    ),
    rows("arrival unreadable", "Q BACKDATED", record(ingested_at=None)),
    rows("a late no counts", "E WITHDRAWN", record(), negative(ingested_at="2026-08-01T00:00:00Z")),
    rows("a late request", "Q BACKDATED", record(status="deferred", ingested_at="2026-08-01T00:00:00Z")),
]
STANDING = [
    rows("no records", "Q NO_CONSENT"),
    rows("records of somebody else", "Q NO_CONSENT", record(subject="zz")),
    *(
        rows(
            f"{status} after a grant",
            f"{'E' if code in ('REFUSED', 'WITHDRAWN') else 'Q'} {code}",
            record(),
            negative(status),
        )
        for status, code in (
            ("refused", "REFUSED"),
            ("withdrawn", "WITHDRAWN"),
            ("revoked", "WITHDRAWN"),
            ("invalidated", "CONSENT_INVALIDATED"),
        )
    ),
    rows(
        "several noes at one instant",
        "E REFUSED WITHDRAWN CONSENT_INVALIDATED",
        negative(),
        negative("refused", id="n2"),
        negative("invalidated", id="n3"),
    ),
    rows(
        "the newest no names the reason",
        "E REFUSED",
        negative(),
        negative("refused", id="n2", event_time=LATER),
    ),
    rows("a newer grant", "R", negative(event_time="2026-02-01T00:00:00Z"), record()),
    rows("renewed", "R", record(status="renewed")),
    rows(
        "a yes and a no at one instant",
        "Q CONFLICTING_RECORDS",
        record(),
        negative(event_time=record()["event_time"]),
    ),
    rows(
        "a conflict ends alone",
        "Q CONFLICTING_RECORDS",
        record(),
        record(id="r2", **FORGED),
        negative(event_time=record()["event_time"]),
    ),
    rows(
        "an instant in two writings",
        "Q CONFLICTING_RECORDS",
        record(),
        negative(event_time="2026-03-02T11:58:00+02:00"),
    ),
    rows(
        "an old grant stays dead",
        "Q RETROACTIVE_NOT_COVERED",
        record(),
        negative(),
        record(id="r2", event_time=LATER),
    ),
    rows(
        "an old grant of another scope stays dead",
        "Q RETROACTIVE_NOT_COVERED",
        record(scope="global"),
        negative(),
        record(id="r2", event_time=LATER),
    ),
    rows(
        "a later grant that covers the past",
        "R",
        record(),
        negative(),
        record(id="r2", event_time=LATER, retroactive=True),
    ),
    rows("a no to the whole tenant", "E WITHDRAWN", record(), negative(scope="tenant:t1")),
    rows("a no to everything everywhere", "E WITHDRAWN", record(), negative(scope="global", purposes=["*"])),
    rows("a no to another meeting", "R", record(), negative(scope="meeting:m9")),
    rows("a no to another tenant", "R", record(), negative(scope="tenant:m1")),
    rows("a no to another purpose", "R", record(), negative(purposes=["marketing"])),
    rows("a no to no purpose", "R", record(), negative(purposes=[])),
    *(
        rows(f"a no whose scope is {value!r}", "E WITHDRAWN", record(), negative(scope=value))
        for value in (ABSENT, None, 7, "", "odd", "meeting:", "room:m1")
    ),
    *(
        rows(f"a no whose purposes are {value!r}", "E WITHDRAWN", record(), negative(purposes=value))
        for value in (ABSENT, None, "marketing", {}, [None])
    ),
    rows(
        "a no to other kinds and recipients",
        "E WITHDRAWN",
        record(),
        negative(kinds=["chat"], recipients=["third_party"]),
    ),
    rows(
        "narrowed later",
        "Q KIND_MISMATCH",
        record(),
        record(id="r2", kinds=["chat"], event_time="2026-03-02T10:00:00Z"),
    ),
    rows(
        "narrowed in another scope",
        "R",
        record(),
        record(id="r2", kinds=["chat"], scope="global", event_time="2026-03-02T10:00:00Z"),
    ),
    rows(
        "another purpose does not narrow",
        "R",
        record(),
        record(id="r2", purposes=["marketing"], event_time="2026-03-02T10:00:00Z"),
    ),
    rows("widened later", "R", record(kinds=["chat"]), record(id="r2", event_time="2026-03-02T10:00:00Z")),
    rows("a tie that all pass", "R", record(), record(id="r2")),
    rows("a tie that one fails", "Q BUNDLED", record(), record(id="r2", bundled=True)),
    rows(
        "a tie broken by another scope",
        "R",
        record(),
        record(id="r2", bundled=True),
        record(id="r3", scope="tenant:t1"),
    ),
    rows("asked", "Q PENDING", record(status="requested")),
    rows(
        "asked about another purpose",
        "Q PENDING",
        record(status="deferred", purposes=["marketing"], scope="meeting:m9"),
    ),
    rows(
        "asked beside a miss of lower rank",
        "Q BUNDLED",
        record(bundled=True),
        record(id="r2", status="requested"),
    ),
    rows(
        "asked beside a miss of two",
        "Q PENDING",
        record(bundled=True, conditional=True),
        record(id="r2", status="requested"),
    ),
    rows("asked beside a grant", "R", record(), record(id="r2", status="requested", event_time=LATER)),
    rows("asked and untrusted", "Q SIGNATURE_KEY_UNKNOWN", record(status="requested", **FORGED)),
    rows(
        "nearest by number",
        "Q PURPOSE_MISMATCH",
        record(bundled=True, conditional=True),
        record(id="r2", purposes=["marketing"]),
    ),
    rows(
        "nearest by rank",
        "Q ADMIN_ON_BEHALF",
        record(grantor="admin"),
        record(id="r2", bundled=True, scope="global"),
    ),
    rows(
        "nearest by name",
        "Q BUNDLED",
        record(conditional=True),
        record(id="r2", bundled=True, scope="global"),
    ),
]
COVER = [
    rows("another purpose", "Q PURPOSE_MISMATCH", record(purposes=["ai_evaluation"])),
    *(
        rows(f"purposes are {value!r}", "Q PURPOSE_MISMATCH", record(purposes=value))
        for value in (ABSENT, None, [], ["*"], "ai_training", {"ai_training": 1})
    ),
    rows("one of several purposes", "R", record(purposes=["marketing", "ai_training", None])),
    rows(
        "a vague purpose",
        "Q PURPOSE_NOT_SPECIFIC",
        record(purposes=["service_improvement"]),
        purpose="service_improvement",
    ),
    rows("a vague purpose that is not named", "Q PURPOSE_MISMATCH", record(), purpose="service_improvement"),
    rows(
        "not vague elsewhere",
        "R",
        record(purposes=["service_improvement"]),
        purpose="service_improvement",
        subjects=US,
    ),
    rows("another kind", "Q KIND_MISMATCH", record(kinds=["chat"])),
    *(
        rows(f"kinds are {value!r}", "Q KIND_MISMATCH", record(kinds=value))
        for value in (ABSENT, None, [], "audio")
    ),
    rows("every kind", "R", record(kinds=["*"])),
    rows("a transcript by its root", "R", record(kinds=["audio"]), kind="transcript"),
    rows("a transcript by its name", "R", record(kinds=["transcript"]), kind="transcript"),
    rows("audio by its transcript", "Q KIND_MISMATCH", record(kinds=["transcript"])),
    rows("every root", "R", record(kinds=["audio", "chat"]), kind="summary", roots=["audio", "chat"]),
    rows(
        "not every root", "Q KIND_MISMATCH", record(kinds=["audio"]), kind="summary", roots=["audio", "chat"]
    ),
    rows(
        "named although a root is missing",
        "R",
        record(kinds=["summary"]),
        kind="summary",
        roots=["audio", "odd"],
    ),
    rows("no roots are the usual ones", "R", record(kinds=["video"]), kind="keyframe", roots=[]),
    *(
        rows(f"{kind} comes from {root}", "R", record(kinds=[root]), kind=kind)
        for kind, root in (("caption", "audio"), ("spectrogram", "audio"), ("keyframe", "video"))
    ),
    rows(
        "an embedding is its own root", "Q KIND_MISMATCH", record(kinds=["audio", "video"]), kind="embedding"
    ),
    rows("another meeting", "Q SCOPE_MISMATCH", record(scope="meeting:m9")),
    rows("another tenant", "Q SCOPE_MISMATCH", record(scope="tenant:t9")),
    rows("a meeting is no tenant", "Q SCOPE_MISMATCH", record(scope="tenant:m1")),
    *(
        rows(f"scope is {value!r}", "Q SCOPE_MISMATCH", record(scope=value))
        for value in (ABSENT, None, "odd", "meeting:", ["global"])
    ),
    rows("the tenant", "R", record(scope="tenant:t1")),
    rows("everywhere", "R", record(scope="global")),
    rows("another recipient", "Q RECIPIENT_MISMATCH", record(), recipient="third_party"),
    rows("a third party by name", "R", record(recipients=["third_party"]), recipient="third_party"),
    rows(
        "an unknown recipient by name",
        "Q RECIPIENT_MISMATCH",
        record(recipients=["odd", None]),
        recipient="odd",
    ),
    rows("no recipient", "Q RECIPIENT_MISMATCH", record(), recipient=ABSENT),
    rows("recipients unreadable", "Q RECIPIENT_MISMATCH", record(recipients="first_party")),
]
MINOR_US = [subject(region="us-default", age="minor")]
GIVER = [
    rows("the host for another", "Q HOST_ON_BEHALF", record(grantor="host")),
    rows("the host for himself", "R", record(grantor="host"), subjects=[subject(is_host=True)]),
    rows("host unreadable", "Q HOST_ON_BEHALF", record(grantor="host"), subjects=[subject(is_host="yes")]),
    rows("the administrator", "Q ADMIN_ON_BEHALF", record(grantor="admin")),
    rows("the administrator, one-party state", "Q ADMIN_ON_BEHALF", record(grantor="admin"), subjects=US),
    rows("a guardian of an adult", "Q ADMIN_ON_BEHALF", record(grantor="guardian")),
    *(
        rows(f"given by {value!r}", "Q ADMIN_ON_BEHALF", record(grantor=value))
        for value in (ABSENT, None, "odd", 7)
    ),
    rows("a minor", "Q MINOR", record(), subjects=[subject(age="minor")]),
    rows("perhaps a minor", "Q MINOR", record(), subjects=[subject(age="unknown_minor_context")]),
    rows("age unreadable", "Q MINOR", record(), subjects=[subject(age=None)]),
    rows(
        "a guardian, training, Union",
        "Q MINOR",
        record(grantor="guardian", separate=True),
        subjects=[subject(age="minor")],
    ),
    rows("a guardian, training, not separate", "Q MINOR", record(grantor="guardian"), subjects=MINOR_US),
    rows("a guardian, training, separate", "R", record(grantor="guardian", separate=True), subjects=MINOR_US),
    rows(
        "a guardian, training, separate in words",
        "Q MINOR",
        record(grantor="guardian", separate="yes"),
        subjects=MINOR_US,
    ),
    rows(
        "a guardian, evaluation, Union",
        "R",
        record(grantor="guardian", purposes=["ai_evaluation"]),
        purpose="ai_evaluation",
        subjects=[subject(age="minor")],
    ),
    rows(
        "the administrator for a minor",
        "Q MINOR ADMIN_ON_BEHALF",
        record(grantor="admin"),
        subjects=[subject(age="minor")],
    ),
]
WEAK = {
    "notice_acknowledged": "NOTICE_ONLY",
    "implied_continuation": "IMPLIED_ONLY",
    "preticked": "PRETICKED",
    "opt_out_not_exercised": "OPT_OUT_ONLY",
    "tos_acceptance": "TOS_ONLY",
}
SUMMARY_RECORD = {"purposes": ["meeting_summary"]}
FORM = [
    *(rows(mechanism, f"Q {code}", record(mechanism=mechanism)) for mechanism, code in WEAK.items()),
    *(
        rows(f"{mechanism}, one-party state", f"Q {code}", record(mechanism=mechanism), subjects=US)
        for mechanism, code in WEAK.items()
    ),
    *(
        rows(
            f"{mechanism}, summary, Union",
            f"Q {code}",
            record(mechanism=mechanism, **SUMMARY_RECORD),
            **ASSIST,
        )
        for mechanism, code in WEAK.items()
    ),
    *(
        rows(
            f"{mechanism}, summary, one-party state",
            f"Q {WEAK[mechanism]}",
            record(mechanism=mechanism, **SUMMARY_RECORD),
            **ASSIST,
            subjects=US,
        )
        for mechanism in ("preticked", "opt_out_not_exercised", "tos_acceptance")
    ),
    *(
        rows(f"{mechanism} suffices", "R", record(mechanism=mechanism))
        for mechanism in ("express_affirmative", "explicit_statement", "written_release", "oral_recorded")
    ),
    *(
        rows(f"mechanism is {value!r}", "Q NO_CONSENT", record(mechanism=value))
        for value in (ABSENT, None, "odd", 7)
    ),
    rows("mechanism unknown, summary", "Q NO_CONSENT", record(mechanism="odd", **SUMMARY_RECORD), **ASSIST),
    *(rows(f"bundled is {value!r}", "Q BUNDLED", record(bundled=value)) for value in (True, None, "no")),
    *(
        rows(f"conditional is {value!r}", "Q CONDITIONAL_SERVICE", record(conditional=value))
        for value in (True, None, 0)
    ),
]
TERMS = [
    *(
        rows(f"terms are {value!r}", "Q TERMS_VERSION_UNKNOWN", record(terms=value))
        for value in ("t9", ABSENT, None, 7, ["t1"])
    ),
    rows("older, compatible terms", "R | TERMS_COMPATIBLE_UPDATE", record(terms="t0")),
    rows("materially changed terms", "Q TERMS_VERSION_SUPERSEDED", record(terms="t-dead")),
    rows("terms of an unknown status", "Q TERMS_VERSION_SUPERSEDED", record(terms="t-odd")),
    rows("terms without a start", "Q TERMS_VERSION_NOT_IN_FORCE", record(terms="t-blank")),
    rows("before the terms", "Q TERMS_VERSION_NOT_IN_FORCE", record(event_time="2026-01-14T23:59:59Z")),
    rows("at the start of the terms", "R", record(event_time="2026-01-15T00:00:00Z")),
    rows("another notice", "Q NOTICE_HASH_MISMATCH", record(notice_hash="h0")),
    rows("the archived notice", "R", record(notice_hash="h1")),
    rows("notice unreadable", "Q NOTICE_HASH_MISMATCH", record(notice_hash=None)),
    rows(
        "all that is wrong with the terms",
        "Q NOTICE_HASH_MISMATCH TERMS_VERSION_NOT_IN_FORCE TERMS_VERSION_SUPERSEDED STALE",
        record(terms="t-dead", notice_hash="h1", event_time="2020-01-01T00:00:00Z"),
    ),
    rows(
        "the advisory of a failing grant",
        "Q BUNDLED | TERMS_COMPATIBLE_UPDATE",
        record(terms="t0", bundled=True),
    ),
    rows(
        "the advisory of an irrelevant grant",
        "R | TERMS_COMPATIBLE_UPDATE",
        record(),
        record(id="r2", terms="t0", purposes=["marketing"]),
    ),
]
YEAR = {"terms": "t0", "event_time": "2025-06-02T00:00:00Z"}
VALIDITY = [
    rows("begins later", "Q NOT_YET_VALID", record(valid_from="2026-03-10T00:00:00.000001Z")),
    rows("begins now", "R", record(valid_from=AS_OF)),
    rows("beginning unreadable", "Q NOT_YET_VALID", record(valid_from=None)),
    rows("ends now", "Q EXPIRED", record(valid_until=AS_OF)),
    rows("ends later", "R", record(valid_until="2026-03-10T00:00:00.000001Z")),
    rows("end unreadable", "Q EXPIRED", record(valid_until="never")),
    rows(
        "ended and old",
        "Q EXPIRED | TERMS_COMPATIBLE_UPDATE",
        record(**YEAR, valid_until=AS_OF),
        as_of="2026-07-01T00:00:00Z",
    ),
    rows("a year old", "R | TERMS_COMPATIBLE_UPDATE", record(**YEAR), as_of="2026-06-02T00:00:00Z"),
    rows(
        "older than a year",
        "Q STALE | TERMS_COMPATIBLE_UPDATE",
        record(**YEAR),
        as_of="2026-06-02T00:00:00.000001Z",
    ),
    rows(
        "old although it ends later",
        "Q STALE | TERMS_COMPATIBLE_UPDATE",
        record(**YEAR, valid_until="2030-01-01T00:00:00Z"),
        as_of="2026-06-03T00:00:00Z",
    ),
    rows(
        "two years old, one-party state",
        "R | TERMS_COMPATIBLE_UPDATE",
        record(**YEAR),
        as_of="2027-06-02T00:00:00Z",
        subjects=US,
    ),
    rows(
        "older than two years, one-party state",
        "Q STALE | TERMS_COMPATIBLE_UPDATE",
        record(**YEAR),
        as_of="2027-06-02T00:00:01Z",
        subjects=US,
    ),
    rows(
        "after the recording", "Q RETROACTIVE_NOT_COVERED", record(event_time="2026-03-02T10:45:00.000001Z")
    ),
    rows("at the end of the recording", "R", record(event_time="2026-03-02T10:45:00Z")),
    rows("after the recording, covering the past", "R", record(event_time=LATER, retroactive=True)),
    rows(
        "covering the past in words", "Q RETROACTIVE_NOT_COVERED", record(event_time=LATER, retroactive="yes")
    ),
]
VOICE = {"kind": "voiceprint", "purpose": "biometric_identification"}
VOICE_RECORD = {"purposes": ["biometric_identification"], "kinds": ["voiceprint"]}
EMPLOYEE = [subject(relation="employee")]
SENSITIVE = [
    rows("sensitive, explicit", "R", record(), special=True),
    rows("sensitive, written", "R", record(mechanism="written_release"), special=True),
    rows(
        "sensitive, merely express",
        "Q SPECIAL_CATEGORY",
        record(mechanism="express_affirmative"),
        special=True,
    ),
    rows("sensitive unreadable", "Q SPECIAL_CATEGORY", record(mechanism="oral_recorded"), special=None),
    rows(
        "sensitive, one-party state", "R", record(mechanism="express_affirmative"), special=True, subjects=US
    ),
    rows(
        "sensitive and not express",
        "Q NOTICE_ONLY",
        record(mechanism="notice_acknowledged"),
        special=True,
        subjects=US,
    ),
    rows("a voiceprint, explicit, Union", "R", record(**VOICE_RECORD), **VOICE),
    rows(
        "a voiceprint, express, Union",
        "Q BIOMETRIC_RELEASE_REQUIRED",
        record(**VOICE_RECORD, mechanism="express_affirmative"),
        **VOICE,
    ),
    rows(
        "a voiceprint, express, Texas",
        "R",
        record(**VOICE_RECORD, mechanism="express_affirmative"),
        **VOICE,
        subjects=[subject(region="us-tx")],
    ),
    rows(
        "a voiceprint, implied, Texas",
        "Q IMPLIED_ONLY BIOMETRIC_RELEASE_REQUIRED",
        record(**VOICE_RECORD, mechanism="implied_continuation"),
        **VOICE,
        subjects=[subject(region="us-tx")],
    ),
    rows(
        "a voiceprint, written, Illinois",
        "R",
        record(**VOICE_RECORD, mechanism="written_release", retention_policy="rp"),
        **VOICE,
        subjects=[subject(region="us-il")],
    ),
    rows(
        "a voiceprint, explicit, Illinois",
        "Q BIOMETRIC_RELEASE_REQUIRED",
        record(**VOICE_RECORD, retention_policy="rp"),
        **VOICE,
        subjects=[subject(region="us-il")],
    ),
    *(
        rows(
            f"a voiceprint, retention policy {value!r}, Illinois",
            "Q BIOMETRIC_RELEASE_REQUIRED",
            record(**VOICE_RECORD, mechanism="written_release", retention_policy=value),
            **VOICE,
            subjects=[subject(region="us-il")],
        )
        for value in (ABSENT, None, "", True)
    ),
    rows(
        "a template must be named",
        "Q KIND_MISMATCH",
        record(**{**VOICE_RECORD, "kinds": ["audio", "*"]}),
        **VOICE,
    ),
    rows(
        "a template as a root must be named",
        "Q KIND_MISMATCH",
        record(kinds=["embedding"]),
        kind="embedding",
        roots=["face_template"],
    ),
    rows(
        "a template as a root, named",
        "R",
        record(kinds=["face_template"]),
        kind="embedding",
        roots=["face_template"],
    ),
    rows(
        "a template as a root asks for its form",
        "Q BIOMETRIC_RELEASE_REQUIRED",
        record(kinds=["face_template"], mechanism="express_affirmative"),
        kind="embedding",
        roots=["face_template"],
    ),
    rows("an employee, Union", "Q POWER_IMBALANCE", record(), subjects=EMPLOYEE),
    rows("an employee, attested", "R | EMPLOYEE_CONSENT", record(no_detriment=True), subjects=EMPLOYEE),
    rows(
        "an employee, attested in words", "Q POWER_IMBALANCE", record(no_detriment="yes"), subjects=EMPLOYEE
    ),
    rows("relation unreadable", "Q POWER_IMBALANCE", record(), subjects=[subject(relation=None)]),
    rows(
        "an employee, one-party state",
        "R | EMPLOYEE_CONSENT",
        record(),
        subjects=[subject(relation="employee", region="us-default")],
    ),
    rows("an employee, summary", "R", record(**SUMMARY_RECORD), **ASSIST, subjects=EMPLOYEE),
    rows(
        "an employee's failing grant gives the advisory",
        "Q BUNDLED | EMPLOYEE_CONSENT",
        record(no_detriment=True, bundled=True),
        subjects=EMPLOYEE,
    ),
    rows("a student is no employee", "R", record(), subjects=[subject(relation="student")]),
]
