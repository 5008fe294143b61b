"""Every reason of the catalogue is met end to end: in a release, or by the command where none gets so far."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.cli import cli
from schemas.consent_files import append_lines
from schemas.consent_signing import read_payload, sign_record
from schemas.tables import DECISION_TELEMETRY
from tests.pipeline.release_world import (
    TENANT,
    TRAINING,
    Event,
    World,
    bounds,
    chat,
    event,
    meeting,
    presence,
)
from validation.reasons import ADVISORY, CATALOGUE

STOPPED_BEFORE: dict[str, dict[str, Any]] = {
    "FIELD_NOT_ALLOWLISTED": {"unknown_fields": ["x"]},
    "LINEAGE_UNKNOWN": {"opaque": True},
    "DERIVED_FROM_CONTENT": {"roots": ["audio"]},
    "PURPOSE_UNKNOWN": {"purpose": "nobody_registered_this"},
}
"""What no release meets, as contracts seal what they do not know and the command refuses such a purpose."""

ADULT = {"region": "eu", "age": "adult", "relation": "guest"}
LATER = {"event_time": "2026-03-03T00:00:00Z", "ingested_at": "2026-03-03T00:00:01Z"}
EARLY = {"event_time": "2026-01-20T00:00:00Z", "ingested_at": "2026-01-20T00:00:01Z"}

GRANTS: dict[str, dict[str, Any]] = {
    "PURPOSE_MISMATCH": {"purposes": ["ai_evaluation"]},
    "KIND_MISMATCH": {"kinds": ["video"]},
    "SCOPE_MISMATCH": {"scope": "meeting:elsewhere"},
    "PURPOSE_NOT_SPECIFIC": {"purposes": ["service_improvement"]},
    "RECIPIENT_MISMATCH": {"recipients": ["processor"]},
    "HOST_ON_BEHALF": {"grantor": "host"},
    "ADMIN_ON_BEHALF": {"grantor": "admin"},
    "NOTICE_ONLY": {"mechanism": "notice_acknowledged"},
    "PRETICKED": {"mechanism": "preticked"},
    "IMPLIED_ONLY": {"mechanism": "implied_continuation"},
    "OPT_OUT_ONLY": {"mechanism": "opt_out_not_exercised"},
    "TOS_ONLY": {"mechanism": "tos_acceptance"},
    "BUNDLED": {"bundled": True},
    "CONDITIONAL_SERVICE": {"conditional": True},
    "TERMS_VERSION_SUPERSEDED": {"terms": "t-2023"},
    "TERMS_COMPATIBLE_UPDATE": {"terms": "t-2025"},
    "TERMS_VERSION_NOT_IN_FORCE": {
        "event_time": "2025-12-01T00:00:00Z",
        "ingested_at": "2025-12-01T00:00:01Z",
    },
    "NOTICE_HASH_MISMATCH": {"notice_hash": "0" * 64},
    "NOT_YET_VALID": {"valid_from": "2027-01-01T00:00:00Z"},
    "EXPIRED": {"valid_until": "2026-03-05T00:00:00Z"},
    "STALE": {"terms": "t-2023", "event_time": "2024-01-01T00:00:00Z", "ingested_at": "2024-01-01T00:00:01Z"},
    "RETROACTIVE_NOT_COVERED": LATER,
    "FUTURE_DATED": {"event_time": "2026-05-01T00:00:00Z", "ingested_at": "2026-05-01T00:00:01Z"},
    "CLOCK_SKEW_TOLERATED": {
        "event_time": "2026-03-10T00:01:00Z",
        "ingested_at": "2026-03-10T00:01:01Z",
        "retroactive": True,
    },
    "BACKDATED": {"ingested_at": "2026-03-09T23:00:00Z", "event_time": "2026-02-20T00:00:00Z"},
    "WRONG_CONTROLLER": {"controller": "another-controller"},
    "KEY_REVOKED": {"key": "revoked"},
    "SIGNATURE_KEY_UNKNOWN": {"key": "unknown"},
    "SIGNATURE_INVALID": {"key": "broken"},
    "TERMS_VERSION_UNKNOWN": {"forged_terms": "t-1999"},
    "PENDING": {"status": "requested"},
    "REFUSED": {"status": "refused"},
    "WITHDRAWN": {"status": "withdrawn"},
    "CONSENT_INVALIDATED": {"status": "invalidated"},
    "DISPUTED_WITHDRAWAL": {"status": "withdrawn", "key": "unknown"},
}
"""What is wrong with Bob's record, by the reason that follows."""

PEOPLE: dict[str, dict[str, Any]] = {
    "MINOR": {**ADULT, "age": "minor"},
    "POWER_IMBALANCE": {**ADULT, "relation": "employee"},
    "JURISDICTION_ASSUMED_STRICTEST": {"age": "adult", "relation": "guest"},
}
"""What the registry says of Bob, by what follows."""

DECLARED: dict[str, dict[str, Any]] = {
    "E2EE_CLAIM_VIOLATION": {"e2ee": True},
    "LEGAL_HOLD": {"legal_hold": True},
    "ERASURE_REQUESTED": {"erasure_requested": True},
    "RETENTION_EXCEEDED": {"retention_until": "2026-03-05T00:00:00Z"},
    "THIRD_PARTY_UNREDACTED": {"third_party_mention": True},
    "SECTOR_HIPAA": {"phi": True, "storage_region": "us-default"},
    "SECTOR_FERPA": {"edu": True, "storage_region": "us-default"},
    "SPECIAL_CATEGORY": {"special": True},
}
"""What the tenant declares of the meeting, by what follows."""


class ReasonWorld:
    """A world with one meeting for every reason; Bob is another person in each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.events: list[Event] = []
        self.known: dict[str, dict[str, Any]] = {"ada": ADULT}
        self.signed: list[str] = []
        self.declared: dict[str, dict[str, Any]] = {}
        self._register()

    def _register(self) -> None:
        """More keys, terms and a controller."""
        from joserfc.jwk import OKPKey

        from schemas.registry_writing import public_entry

        folder = self.world.registry
        self.revoked, self.unknown = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
        keys = json.loads((folder / "jwks.json").read_text())
        start, end = "2020-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
        keys["keys"].append(public_entry(self.revoked, "revoked", valid_from=start, revoked_from=end))
        (folder / "jwks.json").write_text(json.dumps(keys))
        terms = json.loads((folder / "terms.json").read_text())
        plain = {
            name: value for name, value in terms["versions"]["example-2026-01"].items() if name != "text"
        }
        for name, status in (("t-2025", "superseded_compatible"), ("t-2023", "superseded_material")):
            terms["versions"][name] = {**plain, "from": "2023-01-01T00:00:00Z", "status": status}
        (folder / "terms.json").write_text(json.dumps(terms))
        controllers = self.world.tenants["controllers"]
        controllers["another-controller"] = dict(controllers["example-controller"])
        self.world.write_tenants()

    def scene(self, name: str, bob: dict[str, Any] | None = None, **declared: Any) -> str:
        """A meeting of Ada and somebody; Ada agrees."""
        self.known[f"bob-{name}"] = ADULT if bob is None else bob
        self.events += meeting(["ada", f"bob-{name}"], name)
        self.say("ada", name)
        if declared:
            self.declared[name] = declared
        return f"bob-{name}"

    def say(self, person: str, name: str, **changes: Any) -> None:
        key, terms = changes.pop("key", None), changes.pop("forged_terms", None)
        fields = {"scope": f"meeting:{name}", **changes}
        status = fields.pop("status", "given")
        token = self.world.record(person, status, **fields)
        payload, _ = read_payload(token)
        if terms is not None:
            payload["x-meeting"]["terms_version"] = terms
            token = sign_record(payload, self.world.signer.key, self.world.signer.kid)
        if key == "revoked":
            token = sign_record(payload, self.revoked, "revoked")
        elif key == "unknown":
            token = sign_record(payload, self.unknown, "nobody-knows")
        elif key == "broken":
            token = sign_record(payload, self.unknown, self.world.signer.kid)
        self.signed.append(token)

    def build(self) -> None:
        world = self.world
        world.tenants["tenants"][TENANT]["meetings"] = self.declared
        world.write_tenants()
        world.people(self.known)
        append_lines(world.consents, self.signed)
        world.ingest(self.events)


def _scenes(made: ReasonWorld) -> None:
    for name, changes in GRANTS.items():
        made.say(made.scene(name), name, **changes)
    for name, bob in PEOPLE.items():
        made.say(made.scene(name, bob), name)
    for name, declared in DECLARED.items():
        made.say(made.scene(name, **declared), name, mechanism="express_affirmative")
    made.say(made.scene("EMPLOYEE", {**ADULT, "relation": "employee"}), "EMPLOYEE", no_detriment=True)
    made.scene("NO_CONSENT")
    made.say(made.scene("SIGNATURE"), "SIGNATURE")
    _scenes_of_records(made)
    _scenes_of_meetings(made)


def _scenes_of_records(made: ReasonWorld) -> None:
    bob = made.scene("CONFLICTING_RECORDS")
    made.say(bob, "CONFLICTING_RECORDS")
    made.say(bob, "CONFLICTING_RECORDS", status="withdrawn")
    bob = made.scene("RECORD_ID_COLLISION")
    for kinds in (["chat"], ["chat", "audio"]):
        made.say(bob, "RECORD_ID_COLLISION", id="twice", kinds=kinds)
    bob = made.scene("DUPLICATE_IGNORED")
    made.say(bob, "DUPLICATE_IGNORED")
    made.signed.append(made.signed[-1])
    bob = made.scene("UNTRUSTED_RECORD_IGNORED")
    made.say(bob, "UNTRUSTED_RECORD_IGNORED")
    made.say(bob, "UNTRUSTED_RECORD_IGNORED", key="unknown", **EARLY)


def _scenes_of_meetings(made: ReasonWorld) -> None:
    made.events += [*bounds("NO_SUBJECTS"), chat("nobody", None, meeting="NO_SUBJECTS")]
    made.events += [
        *bounds("ROSTER"),
        *presence("ada", "10:00", None, "ROSTER"),
        chat("open", "ada", meeting="ROSTER"),
    ]
    anonymous = [event("meeting.participant.joined", "anon-1", "10:00", "ANON", participant={"join_id": "x"})]
    anonymous += [event("meeting.participant.left", "anon-2", "11:00", "ANON", participant={"join_id": "x"})]
    made.events += [*bounds("ANON"), *anonymous, chat("anonymous", None, meeting="ANON")]
    unknown = chat("unknown-field", "ada", meeting="UNCLASSIFIED")
    unknown["data"]["nobody_knows"] = "what this is"
    made.events += [*meeting(["ada"], "UNCLASSIFIED", items=0), unknown]
    made.events.append(chat("no-meeting", "ada"))
    del made.events[-1]["data"]["meeting_id"]
    made.say(made.scene("CAPTURE", {**ADULT, "region": "eu-de"}, capture="some"), "CAPTURE")
    times = {"started_at": "2026-03-02T10:20:00Z", "ended_at": "2026-03-02T10:21:00Z"}
    who = {"participant": {"user_id": "ada"}}
    made.events.append(event("audio.chunk", "sound", "10:21", "CAPTURE", data="c291bmQ=", **times, **who))
    made.say(made.scene("TEMPLATE"), "TEMPLATE", kinds=["voiceprint"], mechanism="express_affirmative")
    vector = {"vector": [0.25, 0.5], "vector_of": "voice"}
    made.events.append(event("embedding.computed", "voice", "10:30", "TEMPLATE", **vector, **times, **who))
    other = chat("other-tenant", "ada", meeting="TENANT")
    other["data"]["tenant_id"] = "nobody-knows"
    made.events.append(other)
    in_us = {"region": "us-default", "age": "adult", "relation": "guest", "opt_out": True}
    made.known["carl"], made.declared["OPT_OUT"] = in_us, {"storage_region": "us-default"}
    made.events += meeting(["carl"], "OPT_OUT")
    made.events.append(
        event("meeting.quality", "quality", "10:30", "NO_CONSENT", participant={"user_id": "ada"})
    )


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> dict[str, set[str]]:
    """What was decided where each code stands, over all requests that are made of one store."""
    world = World(tmp_path_factory.mktemp("reasons"), keys)
    made = ReasonWorld(world)
    _scenes(made)
    made.build()
    requests: list[dict[str, Any]] = [
        {"purposes": (TRAINING, "service_improvement", "emotion_inference")},
        {"purposes": ("support_case", "service_delivery"), "recipient": "third_party"},
        {"purposes": (TRAINING,), "export_to": "elsewhere"},
    ]
    for request in requests:
        world.release(**request)
    codes: dict[str, set[str]] = defaultdict(set)
    for row in (*world.classes(), *world.rows(DECISION_TELEMETRY)):
        for code in (*row["reasons"], *row["advisories"]):
            codes[code].add(row["decision"])
    return codes


def by_command(code: str, folder: Path) -> dict[str, Any]:
    """What `cofferdam policy test` decides about telemetry with one thing wrong."""
    named = {"kind": "quality_stat", "lane": "service", "purpose": TRAINING, "recipient": "first_party"}
    whose = {"controller": "acme", "tenant": "t", "meeting": "m", "recorded_end": "2026-03-02T10:45:00Z"}
    subjects = [{"id": "a", "region": "eu", "identified": True}]
    item = {
        **named,
        **whose,
        "subjects": subjects,
        "unknown_fields": [],
        "opaque": False,
        **STOPPED_BEFORE[code],
    }
    vector = {"id": code, "as_of": "2026-03-10T00:00:00Z", "item": item, "records": [], "expect": {}}
    (folder / "vectors.json").write_text(
        json.dumps({"registry": {"keys": {}, "terms": {}}, "vectors": [vector]})
    )
    shown = CliRunner().invoke(cli, ["policy", "test", str(folder / "vectors.json"), "--json"])
    assert shown.exit_code == 0, shown.output
    decided: dict[str, Any] = json.loads(shown.stdout)[code]
    return decided


@pytest.mark.parametrize("code", sorted(STOPPED_BEFORE))
def test_reasons_that_no_release_meets_are_met_by_the_command(code: str, tmp_path: Path) -> None:
    decided = by_command(code, tmp_path)
    assert code in (*decided["reasons"], *decided["advisories"])
    assert decided["decision"] != "RELEASE"


@pytest.mark.slow
@pytest.mark.parametrize("code", sorted(set(CATALOGUE) - set(STOPPED_BEFORE)))
def test_every_reason_occurs(met: dict[str, set[str]], code: str) -> None:
    assert code in met
    reason = CATALOGUE[code]
    if reason.action != ADVISORY:
        assert "RELEASE" not in met[code]
