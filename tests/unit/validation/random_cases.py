"""Random cases in the form of test vectors: from all closed sets, with some values that are in none."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

REGISTRY: dict[str, Any] = {
    "keys": {
        "k1": {},
        "k2": {"revoked_from": "2026-02-01T00:00:00Z"},
        "k3": {"revoked_from": None},
        "k4": {"revoked_from": "2026-03-05T00:00:00Z"},
    },
    "terms": {
        "t-new": {"from": "2026-01-15T00:00:00Z", "status": "active", "hash": "h26"},
        "t-old": {"from": "2025-06-01T00:00:00Z", "status": "superseded_compatible", "hash": "h25"},
        "t-dead": {"from": "2023-03-31T00:00:00Z", "status": "superseded_material", "hash": "h23"},
        "t-odd": {"from": "2025-06-01T00:00:00Z", "status": "odd", "hash": "h25"},
        "t-none": {"from": None, "status": "active"},
    },
}
JUNK: list[Any] = [None, "odd", "", 7, 0, -1.5, [], {}, [None], True, False, ["odd"], {"id": "x"}, "true"]
TIMES = [
    "2026-03-02T09:58:00Z",
    "2026-03-02T10:45:00Z",
    "2026-03-02T12:45:00.000001+02:00",
    "2026-03-05T00:00:00Z",
    "2026-03-09T23:59:59Z",
    "2026-03-10T00:00:00Z",
    "2026-03-10T01:00:00+01:00",
    "2026-03-10T00:05:00Z",
    "2026-03-10T00:05:00.001Z",
    "2026-03-17T00:00:00Z",
    "2026-01-20T00:00:00Z",
    "2025-12-01T00:00:00Z",
    "2025-03-10T00:00:00Z",
    "2025-03-09T23:59:59Z",
    "2024-03-10T00:00:00Z",
    "2023-05-01T00:00:00Z",
    "2026-03-02",
    "2026-03-02T09:58:00",
    "2026-03-02 09:58:00Z",
    "2026-02-30T00:00:00Z",
]
REGIONS = [
    "eu",
    "eu-de",
    "uk",
    "us-default",
    "us-ca",
    "us-il",
    "us-tx",
    "br",
    "ca-qc",
    "in",
    "strictest",
    "jp",
    "unknown",
    "us-allparty",
]
KINDS = [
    "audio",
    "video",
    "chat",
    "transcript",
    "caption",
    "summary",
    "meeting_title",
    "voicemail",
    "embedding",
    "voiceprint",
    "face_template",
    "sentiment",
    "keyframe",
    "spectrogram",
    "keyword_counts",
    "join_leave",
    "call_detail",
    "talk_time",
    "system_metric",
    "crash_report",
    "feature_usage",
    "quality_stat",
    "network_diag",
]
PURPOSES = [
    "ai_training",
    "ai_evaluation",
    "service_improvement",
    "marketing",
    "biometric_identification",
    "emotion_inference",
    "transcription",
    "captioning",
    "meeting_summary",
    "service_delivery",
    "recording_storage",
    "legal_disclosure",
    "abuse_investigation",
    "support_case",
]
MECHANISMS = [
    "express_affirmative",
    "explicit_statement",
    "written_release",
    "oral_recorded",
    "notice_acknowledged",
    "implied_continuation",
    "preticked",
    "opt_out_not_exercised",
    "tos_acceptance",
]
FLAGS = [True, False]
SUBJECT_IDS = ["a", "b", "c"]


def some(random: Random, values: list[Any]) -> list[Any]:
    return [value for value in values if random.random() < 0.4]


ITEM_FIELDS: dict[str, Any] = {
    "kind": [*KINDS, "odd"],
    "lane": ["service", "content"],
    "purpose": PURPOSES,
    "recorded_end": TIMES[:8],
    "recipient": ["first_party", "processor", "third_party"],
    "retention_until": TIMES,
    "aggregate_k": [3, 9, 10, 50],
    "capture": ["all_prior", "some", "none"],
    "diag": ["required", "optional"],
    "export_to": ["xx"],
    "transfer_mechanism": ["clauses"],
    "unknown_fields": [["f"], []],
    "roots": lambda random: some(random, KINDS[:20:3]) or [random.choice(KINDS)],
    "regions": lambda random: [random.choice(REGIONS)],
    "case": lambda random: {
        "id": random.choice(["c1", ""]),
        "approvers": some(random, ["x", "y", "y", None]),
    },
    **dict.fromkeys(
        [
            "legal_hold",
            "erasure_requested",
            "content_hit",
            "opaque",
            "lineage_ok",
            "e2ee",
            "phi",
            "hipaa_authorization",
            "edu",
            "ferpa_consent",
            "third_party_mention",
            "redacted",
            "special",
            "tenant_ok",
            "roster_complete",
        ],
        FLAGS,
    ),
    "controller": ["acme", "other"],
    "tenant": ["t1", "t2"],
    "meeting": ["m1", "m2"],
}
SUBJECT_FIELDS: dict[str, Any] = {
    "id": SUBJECT_IDS,
    "region": REGIONS,
    "age": ["adult", "minor", "unknown_minor_context"],
    "relation": ["guest", "employee", "student", "patient"],
    "channel": ["app", "web", "dial_in", "room_device", "bot"],
    **dict.fromkeys(("identified", "featured", "is_host", "view_only", "opt_out"), FLAGS),
}
RECORD_FIELDS: dict[str, Any] = {
    "id": ["r1", "r2"],
    "subject": SUBJECT_IDS,
    "status": ["given", "renewed", "requested", "deferred", "refused", "withdrawn", "revoked", "invalidated"],
    "grantor": ["subject", "guardian", "host", "admin"],
    "mechanism": MECHANISMS,
    "purposes": lambda random: some(random, [*PURPOSES[:3], "meeting_summary", "*"]),
    "kinds": lambda random: some(random, [*KINDS[::2], "voiceprint", "*"]),
    "scope": ["global", "tenant:t1", "tenant:t2", "meeting:m1", "meeting:m2", "tenant:", "meeting"],
    "recipients": lambda random: some(random, ["first_party", "processor", "third_party"]),
    "terms": [*REGISTRY["terms"], "t-unknown"],
    "event_time": TIMES,
    "ingested_at": TIMES,
    "valid_from": TIMES,
    "valid_until": TIMES,
    "controller": ["acme", "other"],
    "kid": [*REGISTRY["keys"], "k9"],
    "notice_hash": ["h26", "h25", "h23"],
    "retention_policy": ["rp"],
    **dict.fromkeys(
        ["sig_ok", "bundled", "conditional", "retroactive", "separate", "no_detriment", "import_attested"],
        FLAGS,
    ),
}


def change(random: Random, holder: dict[str, Any], fields: dict[str, Any], junk: float) -> None:
    """Set one field to a value of its closed set, or to junk, or leave it out."""
    name = random.choice(list(fields))
    chance = random.random()
    if chance < junk / 2:
        holder.pop(name, None)
    elif chance < junk:
        holder[name] = copy.deepcopy(random.choice(JUNK))
    else:
        values = fields[name]
        holder[name] = values(random) if callable(values) else random.choice(values)


def base_record(random: Random, number: int, subject: str, purpose: str, kind: str) -> dict[str, Any]:
    return {
        "id": f"n{number}",
        "subject": subject,
        "status": "given",
        "grantor": "subject",
        "mechanism": random.choice(MECHANISMS[:3]),
        "purposes": [purpose],
        "kinds": ["audio", "video", kind],
        "scope": random.choice(["meeting:m1", "tenant:t1", "global"]),
        "recipients": ["first_party"],
        "terms": "t-new",
        "event_time": "2026-03-02T09:58:00Z",
        "controller": "acme",
        "kid": "k1",
        "sig_ok": True,
    }


def make_case(random: Random, *, junk: float = 0.25) -> dict[str, Any]:
    """A case near a release, with a few changes."""
    service = random.random() < 0.35
    kind = random.choice(KINDS[15:] if service else KINDS)
    purpose = random.choice(PURPOSES[:3] if random.random() < 0.5 else PURPOSES)
    regions = random.sample(REGIONS, random.choice([1, 1, 1, 2]))
    people = SUBJECT_IDS[: random.choice([1, 1, 2, 3])] if random.random() < 0.96 else []
    item: dict[str, Any] = {
        "kind": kind,
        "lane": "service" if service else "content",
        "purpose": purpose,
        "subjects": [{"id": one, "region": random.choice(regions)} for one in people],
        "recorded_end": "2026-03-02T10:45:00Z",
        "controller": "acme",
        "tenant": "t1",
        "meeting": "m1",
        "recipient": "first_party",
    }
    records: list[Any] = [base_record(random, at, one, purpose, kind) for at, one in enumerate(people)]
    for _ in range(random.choice([0, 0, 1, 2, 3])):
        if records:
            records.append(dict(random.choice(records), id=f"m{len(records)}"))
            if random.random() < 0.5:
                records[-1]["status"] = random.choice(RECORD_FIELDS["status"])
                records[-1]["event_time"] = random.choice(TIMES)
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        change(random, item, ITEM_FIELDS, junk)
    for subject in item["subjects"] if isinstance(item.get("subjects"), list) else []:
        if random.random() < 0.3:
            change(random, subject, SUBJECT_FIELDS, junk)
    for record in records:
        for _ in range(random.choice([0, 0, 1, 1, 2])):
            change(random, record, RECORD_FIELDS, junk)
    if random.random() < junk / 8:
        records.append(copy.deepcopy(random.choice(JUNK)))
    if random.random() < junk / 8 and isinstance(item.get("subjects"), list):
        item["subjects"].append(copy.deepcopy(random.choice(JUNK)))
    if random.random() < 0.15 and records:
        records.append(copy.deepcopy(random.choice(records)))
        if isinstance(records[-1], dict) and random.random() < 0.5:
            change(random, records[-1], RECORD_FIELDS, junk)
    random.shuffle(records)
    as_of = random.choice(["2026-03-10T00:00:00Z"] * 6 + ["2026-03-08T00:00:00Z", "2027-03-02T09:58:00Z"])
    return {"as_of": as_of, "item": item, "records": records}
