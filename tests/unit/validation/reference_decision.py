"""A second, naive implementation of the decision rules, as a test oracle.

It is written from the text of the rules alone, clause by clause, as one long procedure over plain dicts: no
facts, no suites, no shared helpers. It reads the policy file itself and merges profiles in its own way. Where
it and the product differ, one of them has misread a rule.
"""

# ruff: noqa: C419, SIM102, SIM105 - each clause stands as the text has it, one after the other

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

CONTENT = [
    "audio",
    "video",
    "screen_share",
    "chat",
    "file",
    "whiteboard",
    "poll",
    "reaction",
    "transcript",
    "caption",
    "summary",
    "translation",
    "meeting_title",
    "voicemail",
]
DERIVED = [
    "embedding",
    "voiceprint",
    "face_template",
    "sentiment",
    "keyframe",
    "spectrogram",
    "keyword_counts",
]
META = ["join_leave", "call_detail", "message_metadata", "talk_time"]
SERVICE = ["system_metric", "crash_report", "feature_usage", "quality_stat", "network_diag"]
TEMPLATES = ["voiceprint", "face_template"]
POS, WAIT = ["given", "renewed"], ["requested", "deferred"]
NEG = {
    "refused": "REFUSED",
    "withdrawn": "WITHDRAWN",
    "revoked": "WITHDRAWN",
    "invalidated": "CONSENT_INVALIDATED",
}
ASSIST = ["transcription", "captioning", "meeting_summary"]
WEAK = {
    "notice_acknowledged": "NOTICE_ONLY",
    "preticked": "PRETICKED",
    "implied_continuation": "IMPLIED_ONLY",
    "opt_out_not_exercised": "OPT_OUT_ONLY",
    "tos_acceptance": "TOS_ONLY",
}
RANKS = {
    10: "CAPTURE_NOT_CONSENTED E2EE_CLAIM_VIOLATION PURPOSE_PROHIBITED SCHEMA_INVALID",
    20: "LEGAL_HOLD",
    30: "ERASURE_REQUESTED RETENTION_EXCEEDED",
    40: "REFUSED WITHDRAWN",
    45: "CONFLICTING_RECORDS CONSENT_INVALIDATED DISPUTED_WITHDRAWAL RECORD_ID_COLLISION",
    50: "CLASS_UNKNOWN FIELD_NOT_ALLOWLISTED LINEAGE_UNKNOWN PURPOSE_UNKNOWN",
    55: "CASE_NOT_AUTHORISED SECTOR_FERPA SECTOR_HIPAA TENANT_NOT_AUTHORISED THIRD_PARTY_UNREDACTED "
    "TRANSFER_NOT_COVERED",
    58: "MINOR POWER_IMBALANCE",
    60: "NO_SUBJECTS PARTICIPANT_UNIDENTIFIED ROSTER_INCOMPLETE",
    65: "OPTED_OUT SECONDARY_USE_NO_CONSENT TERMINAL_ACCESS_NO_CONSENT TRAFFIC_DATA_NO_CONSENT",
    70: "NOT_ALL_PARTICIPANTS",
    80: "BACKDATED FUTURE_DATED KEY_REVOKED NOTICE_HASH_MISMATCH SIGNATURE_INVALID SIGNATURE_KEY_UNKNOWN "
    "WRONG_CONTROLLER",
    82: "ADMIN_ON_BEHALF HOST_ON_BEHALF",
    84: "BUNDLED CONDITIONAL_SERVICE IMPLIED_ONLY NOTICE_ONLY OPT_OUT_ONLY PRETICKED TOS_ONLY",
    86: "KIND_MISMATCH PURPOSE_MISMATCH PURPOSE_NOT_SPECIFIC RECIPIENT_MISMATCH SCOPE_MISMATCH",
    87: "TERMS_VERSION_NOT_IN_FORCE TERMS_VERSION_SUPERSEDED TERMS_VERSION_UNKNOWN",
    88: "EXPIRED NOT_YET_VALID RETROACTIVE_NOT_COVERED STALE",
    90: "BIOMETRIC_RELEASE_REQUIRED SPECIAL_CATEGORY",
    94: "PENDING",
    96: "NO_CONSENT",
}
RANK = {code: rank for rank, codes in RANKS.items() for code in codes.split()}


def instant(value: Any) -> Any:
    if not isinstance(value, str) or len(value) < 20 or value[10] not in "Tt" or value[16] != ":":
        return None
    try:
        time = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


class Law:
    """The policy file, read once."""

    def __init__(self, policies: dict[str, Any]) -> None:
        self.order = policies["order"]
        self.floor = policies["floor"]
        self.base = policies["base_purposes"]
        self.profiles = {name: self._flat(policies["profiles"], name) for name in policies["profiles"]}

    def _flat(self, profiles: dict[str, Any], name: str) -> dict[str, Any]:
        own = profiles[name]
        parent = self._flat(profiles, own["extends"]) if "extends" in own else {"purposes": {}}
        return {**parent, **own, "purposes": {**parent["purposes"], **own.get("purposes", {})}}

    def merge(self, names: set[str]) -> dict[str, Any]:
        chosen = [self.profiles[name] for name in names]
        out: dict[str, Any] = {"rule": {}}
        for purpose, base in self.base.items():
            rules = [p["purposes"].get(purpose, base) for p in chosen]
            out["rule"][purpose] = next(rule for rule in self.order["rule"] if rule in rules)
        for name, order in self.order.items():
            if name == "rule" or name.startswith("_"):
                continue
            values = [p[name] for p in chosen if name in p]
            if isinstance(order, list):
                out[name] = next((v for v in order if v in values), order[-1])
            elif order == "min":
                out[name] = min(values, default=None)
            elif order == "union" and name != "prohibited_if":
                out[name] = {word for value in values for word in value}
            elif order == "intersection":
                everything = [*self.floor["express"], *WEAK]
                out[name] = {m for m in everything if all(m in value for value in values)}
        out["prohibited_if"] = {
            purpose: {r for p in chosen for r in p.get("prohibited_if", {}).get(purpose, [])}
            for purpose in self.base
        }
        return out


class Stop(Exception):  # noqa: N818 - not an error
    pass


class Oracle:
    def __init__(self, law: Law, registry: dict[str, Any], vector: dict[str, Any]) -> None:
        self.law, self.registry = law, registry
        self.now: Any = instant(vector["as_of"])
        self.item: Any = vector["item"]
        self.records = vector["records"] if isinstance(vector["records"], list) else [vector["records"]]
        self.reasons: set[str] = set()
        self.advisories: set[str] = set()

    def result(self) -> dict[str, Any]:
        try:
            self.run()
        except Stop:
            pass
        # Not in the text, but its law: what is in no closed set is never released.
        if not self.reasons and self.item["kind"] not in CONTENT + DERIVED + META + SERVICE:
            self.reasons.add("CLASS_UNKNOWN")
        ranks = {RANK[r] for r in self.reasons}
        decision = "QUARANTINE" if ranks else "RELEASE"
        if 10 in ranks:
            decision = "REJECT"
        elif ranks & {30, 40} and "LEGAL_HOLD" not in self.reasons:
            decision = "ERASE"
        ordered = sorted(self.reasons, key=lambda r: (RANK[r], r))
        return {
            "decision": decision,
            "primary": ordered[0] if ordered else "OK",
            "reasons": ordered,
            "advisories": sorted(self.advisories),
        }

    def flag(self, holder: dict[str, Any], name: str, restrictive: bool, absent: bool = False) -> bool:
        value = holder.get(name, absent)
        return value if isinstance(value, bool) else restrictive

    def run(self) -> None:
        item = self.item
        # 1
        if self.now is None or not isinstance(item, dict):
            self.stop("SCHEMA_INVALID")
        for name in ("kind", "lane", "purpose", "controller", "tenant", "meeting"):
            if not text(item.get(name)):
                self.stop("SCHEMA_INVALID")
        self.recorded_end = instant(item.get("recorded_end"))
        if self.recorded_end is None or not isinstance(item.get("subjects"), list):
            self.stop("SCHEMA_INVALID")
        self.subjects = [
            s if isinstance(s, dict) else {"identified": None, "relation": None} for s in item["subjects"]
        ]
        # 2
        if self.flag(item, "legal_hold", True):
            self.reasons.add("LEGAL_HOLD")
        erasure = item.get("erasure_requested", False)
        if erasure is True:
            self.reasons.add("ERASURE_REQUESTED")
        elif erasure is not False:
            self.reasons.add("LEGAL_HOLD")
        if "retention_until" in item:
            until = instant(item["retention_until"])
            if until is None:
                self.reasons.add("LEGAL_HOLD")
            elif until <= self.now:
                self.reasons.add("RETENTION_EXCEEDED")
        # 3
        self.purpose = item["purpose"]
        if self.purpose not in self.law.base:
            self.stop("PURPOSE_UNKNOWN")
        # 4
        regions = [s.get("region") for s in self.subjects]
        more = item.get("regions", [])
        regions += more if isinstance(more, list) else [None]
        names = {r for r in regions if isinstance(r, str) and r in self.law.profiles}
        if not regions or [r for r in regions if not (isinstance(r, str) and r in names)]:
            names.add("strictest")
            self.advisories.add("JURISDICTION_ASSUMED_STRICTEST")
        self.p = self.law.merge(names)
        # 5
        self.kind, self.lane = item["kind"], item["lane"]
        self.roots = self.find_roots()
        self.hit_alone = False
        self.find_lane()
        # 6
        mechanism = item.get("transfer_mechanism")
        if (
            "export_to" in item
            and not (text(mechanism) or mechanism is True)
            and self.p["transfer"] == "mechanism"
        ):
            self.reasons.add("TRANSFER_NOT_COVERED")
        # 7
        if self.lane == "content":
            if self.flag(item, "e2ee", True):
                self.reasons.add("E2EE_CLAIM_VIOLATION")
            heard = {self.kind, *self.roots} & {"audio", "video"}
            if self.p["capture_prior_all"] and heard and item.get("capture", "all_prior") != "all_prior":
                self.reasons.add("CAPTURE_NOT_CONSENTED")
        # 8
        rule = self.p["rule"][self.purpose]
        banned = self.p["prohibited_if"][self.purpose]
        for subject in self.subjects:
            relation = subject.get("relation", "guest")
            known = (
                relation in ("guest", "employee", "student", "patient")
                if isinstance(relation, str)
                else False
            )
            if banned and (not known or relation in banned):
                self.stop("PURPOSE_PROHIBITED")
        if rule == "prohibited":
            self.stop("PURPOSE_PROHIBITED")
        inside = item.get("recipient") in ("first_party", "processor")
        if rule == "necessary":
            if not inside:
                self.reasons.add("RECIPIENT_MISMATCH")
            raise Stop
        if rule == "authorised_case":
            case = item.get("case")
            ok = isinstance(case, dict) and text(case.get("id")) and isinstance(case.get("approvers"), list)
            if not ok or len({a for a in case["approvers"] if text(a)}) < 2:
                self.reasons.add("CASE_NOT_AUTHORISED")
            raise Stop
        # 9
        if self.lane == "content" or self.purpose in self.law.floor["consent_all_purposes"]:
            if not self.flag(item, "tenant_ok", False, absent=True):
                self.reasons.add("TENANT_NOT_AUTHORISED")
        if self.lane == "service":
            self.service_lane(inside)
        else:
            self.content_lane()

    def stop(self, code: str) -> None:
        self.reasons.add(code)
        raise Stop

    def find_roots(self) -> list[Any]:
        if "roots" in self.item and not isinstance(self.item["roots"], list):
            return ["?"]
        named = self.item.get("roots", [])
        if named:
            known = CONTENT + DERIVED + META + SERVICE
            return [r if isinstance(r, str) and r in known else "?" for r in named]
        if self.kind in ("transcript", "caption", "voiceprint", "spectrogram"):
            return ["audio"]
        if self.kind in ("face_template", "keyframe"):
            return ["video"]
        return [self.kind]

    def find_lane(self) -> None:
        item = self.item
        if self.lane not in ("service", "content"):
            self.stop("CLASS_UNKNOWN")
        if self.lane == "content":
            if self.kind not in CONTENT + DERIVED + META + SERVICE:
                self.stop("CLASS_UNKNOWN")
            return
        if item.get("unknown_fields", []) != []:
            self.reasons.add("FIELD_NOT_ALLOWLISTED")
        by_nature = self.kind in CONTENT + DERIVED or any(r in [*CONTENT, *DERIVED, "?"] for r in self.roots)
        hit = self.flag(item, "content_hit", True)
        if by_nature or hit:
            self.lane = "content"
            self.advisories.add("DERIVED_FROM_CONTENT")
            self.hit_alone = not by_nature
        elif self.flag(item, "opaque", True) and not self.flag(item, "lineage_ok", False):
            self.reasons.add("LINEAGE_UNKNOWN")
        elif self.kind not in META + SERVICE:
            self.reasons.add("CLASS_UNKNOWN")

    def service_lane(self, inside: bool) -> None:
        item = self.item
        people = [s for s in self.subjects if s.get("channel") != "bot"]
        if not inside:
            self.reasons.add("RECIPIENT_MISMATCH")
        answers: list[bool] | None = None
        if self.kind in SERVICE and self.p["terminal_rule"] == "consent":
            optional = item.get("diag", "required") != "required"
            k = item.get("aggregate_k")
            aggregated = type(k) is int and k >= self.law.floor["min_aggregate_k"]
            if optional or not aggregated:
                answers = [self.agrees_in_service(s) for s in people]
                if not people:
                    self.reasons.add("NO_SUBJECTS")
                if not all(answers):
                    code = "TERMINAL_ACCESS_NO_CONSENT" if optional else "SECONDARY_USE_NO_CONSENT"
                    self.reasons.add(code)
        if self.kind in META or any(r in META for r in self.roots):
            if not people:
                self.reasons.add("NO_SUBJECTS")
            if self.p["traffic_rule"] == "consent_all":
                if not all([self.agrees_in_service(s) for s in people]):
                    self.reasons.add("TRAFFIC_DATA_NO_CONSENT")
            elif any(self.flag(s, "opt_out", True) for s in people):
                self.reasons.add("OPTED_OUT")

    def agrees_in_service(self, subject: dict[str, Any]) -> bool:
        if self.flag(subject, "opt_out", True) or not self.identified(subject):
            return False
        return not self.person(subject, set(self.law.floor["express"]))

    def identified(self, subject: dict[str, Any]) -> bool:
        return text(subject.get("id")) and self.flag(subject, "identified", False, absent=True)

    def content_lane(self) -> None:
        item, assist = self.item, self.purpose in ASSIST
        if not assist:
            if self.flag(item, "phi", True) and "hipaa" in self.p["sector"]:
                if not self.flag(item, "hipaa_authorization", False):
                    self.reasons.add("SECTOR_HIPAA")
            if self.flag(item, "edu", True) and "ferpa" in self.p["sector"]:
                if not self.flag(item, "ferpa_consent", False):
                    self.reasons.add("SECTOR_FERPA")
            if self.flag(item, "third_party_mention", True) and self.p["third_party_mention"] == "redact":
                if not self.flag(item, "redacted", False):
                    self.reasons.add("THIRD_PARTY_UNREDACTED")
        if not self.flag(item, "roster_complete", False, absent=True):
            self.reasons.add("ROSTER_INCOMPLETE")
        scope = [
            s for s in self.subjects if s.get("channel") != "bot" and not self.flag(s, "view_only", False)
        ]
        if self.p["party_scope"] == "featured":
            if any(s.get("featured", True) is True for s in scope):
                scope = [s for s in scope if s.get("featured", True) is not False]
        if not scope:
            self.stop("NO_SUBJECTS")
        allowed = set(self.p["assist_mechanisms"] if assist else self.law.floor["express"])
        outcomes = [
            self.person(s, allowed) if self.identified(s) else {"PARTICIPANT_UNIDENTIFIED"} for s in scope
        ]
        for failed in outcomes:
            self.reasons |= failed
        if any(outcomes) and not all(outcomes):
            self.reasons.add("NOT_ALL_PARTICIPANTS")

    def person(self, subject: dict[str, Any], allowed: set[str]) -> set[str]:
        """Reasons why a person does not agree; none if the person does."""
        mine = [r for r in self.records if isinstance(r, dict) and r.get("subject") == subject["id"]]
        nobodys = [r for r in self.records if not (isinstance(r, dict) and text(r.get("subject")))]
        # 1
        collision, rows = False, []
        for one in mine:
            if not text(one.get("id")):
                rows.append(dict(one))
                continue
            same = [r for r in mine if r.get("id") == one["id"]]
            bodies = {self.body(r) for r in same}
            if len(bodies) > 1:
                collision = True
            elif one is same[0]:
                if len(same) > 1:
                    self.advisories.add("DUPLICATE_IGNORED")
                merged = dict(one)
                arrivals = [r["ingested_at"] for r in same if "ingested_at" in r]
                if arrivals:
                    bad = [a for a in arrivals if instant(a) is None]
                    merged["ingested_at"] = (
                        bad[0] if bad else max(arrivals, key=lambda a: instant(a) or self.now)
                    )
                rows.append(merged)
        # 2
        kept: set[str] = set()
        disputed = any(self.sign(r) == "-" and self.ours(r) and self.relevant(r, True) for r in nobodys)
        trusted = []
        for r in rows:
            why = self.distrust(r)
            if why is None:
                trusted.append(r)
            elif self.sign(r) == "-" and self.ours(r) and self.relevant(r, True):
                disputed = True
            else:
                kept.add(why)
        # 3
        live: list[dict[str, Any]] = []
        for r in trusted:
            r["t"] = instant(r["event_time"])
            if self.sign(r) == "-":
                live.append(r)
                continue
            if r["t"] > self.now + timedelta(seconds=self.law.floor["skew_seconds"]):
                kept.add("FUTURE_DATED")
                continue
            if r["t"] > self.now:
                r["t"] = self.now
                self.advisories.add("CLOCK_SKEW_TOLERATED")
            if "ingested_at" in r and r.get("import_attested") is not True:
                arrived = instant(r["ingested_at"])
                if arrived is None or arrived > r["t"] + timedelta(days=self.law.floor["max_backdate_days"]):
                    kept.add("BACKDATED")
                    continue
            live.append(r)
        # 4, 5
        about = [r for r in live if self.sign(r) != "?" and self.relevant(r, self.sign(r) == "-")]
        if about:
            newest = max(r["t"] for r in about)
            top = [r for r in about if r["t"] == newest]
            signs = {self.sign(r) for r in top}
            if len(signs) == 2:
                return {"CONFLICTING_RECORDS"}
            if signs == {"-"}:
                return {NEG[r["status"]] for r in top}
        # 6
        if disputed:
            return {"DISPUTED_WITHDRAWAL"}
        if collision:
            return {"RECORD_ID_COLLISION"}
        noes = [r["t"] for r in about if self.sign(r) == "-"]
        grants = [r for r in about if self.sign(r) == "+" and (not noes or r["t"] > max(noes))]
        groups: list[list[dict[str, Any]]] = []
        for scope in {r["scope"] for r in grants}:
            of_scope = [r for r in grants if r["scope"] == scope]
            groups.append([r for r in of_scope if r["t"] == max(g["t"] for g in of_scope)])
        others = [r for r in live if self.sign(r) == "+" and not any(r is a for a in about)]
        groups += [[r] for r in others]
        waiting = [r for r in live if self.sign(r) == "?"]
        if not groups and not waiting:
            return kept or {"NO_CONSENT"}
        # 7
        misses: list[set[str]] = [{"PENDING"} for _ in waiting]
        agrees = False
        for group in groups:
            failures = [self.test(r, subject, allowed) for r in group]
            agrees = agrees or not any(failures)
            misses += [f for f in failures if f]
        if agrees:
            if kept:
                self.advisories.add("UNTRUSTED_RECORD_IGNORED")
            return set()
        nearest = min(misses, key=lambda f: (len(f), min(RANK[c] for c in f), sorted(f)))
        return nearest | kept

    def body(self, record: dict[str, Any]) -> str:
        return json.dumps({k: v for k, v in record.items() if k != "ingested_at"}, sort_keys=True)

    def sign(self, record: Any) -> str:
        status = record.get("status") if isinstance(record, dict) else None
        return "+" if status in POS else "?" if status in WAIT else "-"

    def ours(self, record: Any) -> bool:
        controller = record.get("controller") if isinstance(record, dict) else None
        return not text(controller) or controller == self.item["controller"]

    def distrust(self, r: dict[str, Any]) -> str | None:
        status = r.get("status")
        legible = isinstance(status, str) and status in [*POS, *WAIT, *NEG]
        if not text(r.get("id")) or not legible or instant(r.get("event_time")) is None:
            return "SIGNATURE_INVALID"
        kid = r.get("kid")
        if not text(kid) or kid not in self.registry["keys"]:
            return "SIGNATURE_KEY_UNKNOWN"
        if r.get("sig_ok") is not True:
            return "SIGNATURE_INVALID"
        key = self.registry["keys"][kid]
        if "revoked_from" in key:
            times = [instant(r["event_time"])]
            if "ingested_at" in r:
                times.append(instant(r["ingested_at"]))
            revoked = instant(key["revoked_from"])
            if revoked is None or None in times or revoked <= max(t for t in times if t):
                return "KEY_REVOKED"
        if r.get("controller") != self.item["controller"]:
            return "WRONG_CONTROLLER"
        return None

    def relevant(self, record: Any, negative: bool) -> bool:
        r = record if isinstance(record, dict) else {}
        purposes = r.get("purposes")
        if isinstance(purposes, list) and all(isinstance(p, str) for p in purposes):
            named = self.purpose in purposes or (negative and "*" in purposes)
        else:
            named = negative or (isinstance(purposes, list) and self.purpose in purposes)
        return named and self.covers(r.get("scope"), negative)

    def covers(self, scope: Any, illegible: bool) -> bool:
        if scope == "global":
            return True
        for prefix, mine in (("tenant:", self.item["tenant"]), ("meeting:", self.item["meeting"])):
            if isinstance(scope, str) and scope.startswith(prefix) and scope != prefix:
                return scope == prefix + mine
        return illegible

    def test(self, r: dict[str, Any], subject: dict[str, Any], allowed: set[str]) -> set[str]:
        item, fails = self.item, set()
        assist = self.purpose in ASSIST

        def words(name: str) -> list[str]:
            value = r.get(name)
            return [w for w in value if isinstance(w, str)] if isinstance(value, list) else []

        if self.purpose not in words("purposes"):
            fails.add("PURPOSE_MISMATCH")
        elif self.purpose in self.p["vague_purposes"]:
            fails.add("PURPOSE_NOT_SPECIFIC")
        kinds = words("kinds")
        covered = (
            self.kind in kinds or "*" in kinds or all(root in kinds and root != "?" for root in self.roots)
        )
        templates = [k for k in [self.kind, *self.roots] if k in TEMPLATES]
        if not covered or any(k not in kinds for k in templates) or self.hit_alone:
            fails.add("KIND_MISMATCH")
        if not self.covers(r.get("scope"), False):
            fails.add("SCOPE_MISMATCH")
        recipient = item.get("recipient")
        if recipient not in ("first_party", "processor", "third_party") or recipient not in words(
            "recipients"
        ):
            fails.add("RECIPIENT_MISMATCH")
        grantor, minor = r.get("grantor"), subject.get("age", "adult") != "adult"
        if grantor == "host":
            if not self.flag(subject, "is_host", False):
                fails.add("HOST_ON_BEHALF")
        elif grantor != "subject" and not (grantor == "guardian" and minor):
            fails.add("ADMIN_ON_BEHALF")
        if minor and grantor != "guardian":
            fails.add("MINOR")
        elif minor and self.purpose == "ai_training":
            if self.p["minor_ai_training"] == "block" or r.get("separate") is not True:
                fails.add("MINOR")
        mechanism = r.get("mechanism") if isinstance(r.get("mechanism"), str) else None
        if mechanism not in allowed:
            fails.add(WEAK.get(mechanism or "", "NO_CONSENT"))
        if self.flag(r, "bundled", True):
            fails.add("BUNDLED")
        if self.flag(r, "conditional", True):
            fails.add("CONDITIONAL_SERVICE")
        version = r.get("terms")
        terms = self.registry["terms"].get(version) if text(version) else None
        if terms is None:
            fails.add("TERMS_VERSION_UNKNOWN")
        else:
            start = instant(terms.get("from"))
            if start is None or r["t"] < start:
                fails.add("TERMS_VERSION_NOT_IN_FORCE")
            if not text(r.get("notice_hash", terms.get("hash"))) or r.get(
                "notice_hash", terms.get("hash")
            ) != terms.get("hash"):
                fails.add("NOTICE_HASH_MISMATCH")
            if terms.get("status") == "superseded_compatible":
                self.advisories.add("TERMS_COMPATIBLE_UPDATE")
            elif terms.get("status") != "active":
                fails.add("TERMS_VERSION_SUPERSEDED")
        if "valid_from" in r:
            begins = instant(r["valid_from"])
            if begins is None or begins > self.now:
                fails.add("NOT_YET_VALID")
        ends = instant(r["valid_until"]) if "valid_until" in r else None
        if "valid_until" in r and (ends is None or ends <= self.now):
            fails.add("EXPIRED")
        elif self.p["max_age_days"] is not None and self.now - r["t"] > timedelta(
            days=self.p["max_age_days"]
        ):
            fails.add("STALE")
        if r["t"] > self.recorded_end and r.get("retroactive") is not True:
            fails.add("RETROACTIVE_NOT_COVERED")
        strong = {
            "explicit": ["explicit_statement", "written_release"],
            "written_release": ["written_release"],
        }
        if self.flag(item, "special", True) and self.p["special"] != "express":
            if mechanism not in strong[self.p["special"]]:
                fails.add("SPECIAL_CATEGORY")
        if templates:
            if mechanism not in strong.get(self.p["biometric"], self.law.floor["express"]):
                fails.add("BIOMETRIC_RELEASE_REQUIRED")
            if self.p["biometric_retention_policy"] and not text(r.get("retention_policy")):
                fails.add("BIOMETRIC_RELEASE_REQUIRED")
        relation = subject.get("relation", "guest")
        employee = relation not in ("guest", "student", "patient") if isinstance(relation, str) else True
        if employee and not assist:
            if self.p["employee"] == "attest" and r.get("no_detriment") is not True:
                fails.add("POWER_IMBALANCE")
            else:
                self.advisories.add("EMPLOYEE_CONSENT")
        return fails


def decide(law: Law, registry: dict[str, Any], vector: dict[str, Any]) -> dict[str, Any]:
    """The decision on one vector, in the form of its ``expect``."""
    return Oracle(law, registry, vector).result()
