"""What decisions about generated content should come to, worked out from how people and meetings were made.

This is plain code about the generated world alone: it reads no event, no record and no registry, and it calls
nothing of what decides in a run. It knows who was there, what each of them did about consent and what the
tenant attests, and reads off what the rules say to that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pipelines.generator_clock import AS_OF, clock
from pipelines.generator_consents import grant_of, objector_of
from pipelines.generator_expected import COFFERDAM, UNCLASSIFIED, Batch
from pipelines.generator_meetings import Content, Meeting, Visit
from pipelines.generator_people import Person
from pipelines.generator_registry import is_authorised, storage_region
from pipelines.generator_stories import AFTERWARDS, LONG_AGO, PURPOSE, RECIPIENT, STORIES

RELEASE, QUARANTINE, ERASE, REJECT = "RELEASE", "QUARANTINE", "ERASE", "REJECT"
OK = "OK"

_RANKED: Final = (
    (REJECT, ("CAPTURE_NOT_CONSENTED", "E2EE_CLAIM_VIOLATION", "SCHEMA_INVALID")),
    (QUARANTINE, ("LEGAL_HOLD",)),
    (ERASE, ("ERASURE_REQUESTED", "RETENTION_EXCEEDED")),
    (ERASE, ("REFUSED", "WITHDRAWN")),
    (
        QUARANTINE,
        ("CONFLICTING_RECORDS", "CONSENT_INVALIDATED", "DISPUTED_WITHDRAWAL", "RECORD_ID_COLLISION"),
    ),
    (QUARANTINE, ("CLASS_UNKNOWN",)),
    (QUARANTINE, ("SECTOR_FERPA", "SECTOR_HIPAA", "TENANT_NOT_AUTHORISED", "THIRD_PARTY_UNREDACTED")),
    (QUARANTINE, ("MINOR", "POWER_IMBALANCE")),
    (QUARANTINE, ("NO_SUBJECTS", "PARTICIPANT_UNIDENTIFIED", "ROSTER_INCOMPLETE")),
    (QUARANTINE, ("NOT_ALL_PARTICIPANTS",)),
    (
        QUARANTINE,
        (
            *("BACKDATED", "FUTURE_DATED", "KEY_REVOKED", "NOTICE_HASH_MISMATCH", "SIGNATURE_INVALID"),
            *("SIGNATURE_KEY_UNKNOWN", "WRONG_CONTROLLER"),
        ),
    ),
    (QUARANTINE, ("ADMIN_ON_BEHALF", "HOST_ON_BEHALF")),
    (
        QUARANTINE,
        (
            *("BUNDLED", "CONDITIONAL_SERVICE", "IMPLIED_ONLY", "NOTICE_ONLY", "OPT_OUT_ONLY", "PRETICKED"),
            "TOS_ONLY",
        ),
    ),
    (QUARANTINE, ("KIND_MISMATCH", "PURPOSE_MISMATCH", "RECIPIENT_MISMATCH", "SCOPE_MISMATCH")),
    (
        QUARANTINE,
        ("TERMS_VERSION_NOT_IN_FORCE", "TERMS_VERSION_SUPERSEDED", "TERMS_VERSION_UNKNOWN"),
    ),
    (QUARANTINE, ("EXPIRED", "NOT_YET_VALID", "RETROACTIVE_NOT_COVERED", "STALE")),
    (QUARANTINE, ("BIOMETRIC_RELEASE_REQUIRED", "SPECIAL_CATEGORY")),
    (QUARANTINE, ("PENDING",)),
    (QUARANTINE, ("NO_CONSENT",)),
)
"""Codes with what they lead to, the leading ones first; within a line they are ordered by name."""

_PLACE: Final = MappingProxyType({code: place for place, (_, codes) in enumerate(_RANKED) for code in codes})
_ACTIONS: Final = (RELEASE, QUARANTINE, ERASE, REJECT)

_FROM_AUDIO: Final = ("audio", "transcript", "caption", "voiceprint")
_RECORDED: Final = (*_FROM_AUDIO, "video", "embedding", "translation", "summary")
"""Sound, pictures, and what these platforms say is made of them; who agrees to the first agrees to less."""

_AMERICAN: Final = ("us-default", "us-ca", "us-il")
_ALL_PARTY: Final = ("eu-de", "us-ca", "us-il")
_KNOWN: Final = (*_AMERICAN, "eu-de", "eu", "uk", "br", "in", "ca-qc")

_DEADLINES: Final = MappingProxyType(
    {
        "legal_hold": "LEGAL_HOLD",
        "erasure_requested": "ERASURE_REQUESTED",
        "retention_until": "RETENTION_EXCEEDED",
    }
)
_ANYBODY: Final = -1
_AFTERWARDS_MS: Final = int(datetime.fromisoformat(AFTERWARDS).timestamp() * 1000)

Key = tuple[str, str, str]
"""Kind, decision and leading reason."""


@dataclass(frozen=True)
class Law:
    """What the regions of an item ask together.

    Attributes:
        asks_more: Somewhere outside the United States: employers attest, minors are left out, consent ages
            within a year, sensitive content needs an explicit form, people spoken of are taken out.
        asks_before_capture: Everybody must have agreed before sound and picture are recorded.
        has_sectors: Health and education have laws of their own.
        asks_release: Voice templates need a written release and a retention policy.
    """

    asks_more: bool
    asks_before_capture: bool
    has_sectors: bool
    asks_release: bool


def law_of(regions: Iterable[str | None]) -> Law:
    """What some regions ask together; a region without a profile, or none, asks the most."""
    named = set(regions)
    unknown = not named <= set(_KNOWN)
    return Law(
        asks_more=not named <= set(_AMERICAN),
        asks_before_capture=unknown or not named.isdisjoint(_ALL_PARTY),
        has_sectors=unknown or not named.isdisjoint(_AMERICAN),
        asks_release=unknown or "us-il" in named,
    )


class Decisions:
    """Adds up what decisions about content should come to."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def add_meeting(self, meeting: Meeting) -> None:
        """Decide about everything in a meeting that is over."""
        self._counts.update(_Judge(meeting).verdicts())

    def add_alone(self, batch: Batch) -> None:
        """Decide about records that belong to no meeting, or to one of which nothing else is known."""
        codes = {"SCHEMA_INVALID" if batch.source == COFFERDAM else "CLASS_UNKNOWN"}
        for kind in batch.expect.content:
            self._counts[(kind, *settle(codes))] += len(batch.lines)

    def as_dict(self) -> dict[str, Any]:
        """The sums, ready for JSON."""
        kinds, decisions, primaries = Counter[str](), dict.fromkeys(_ACTIONS, 0), Counter[str]()
        for (kind, decision, primary), items in self._counts.items():
            kinds[kind] += items
            decisions[decision] += items
            primaries[primary] += items
        return {
            "purpose": PURPOSE,
            "recipient": RECIPIENT,
            "as_of": clock(AS_OF),
            "items": self._counts.total(),
            "decisions": decisions,
            "primary": dict(sorted(primaries.items())),
            "kinds": dict(sorted(kinds.items())),
            "classes": [
                {"kind": kind, "decision": decision, "primary": primary, "items": items}
                for (kind, decision, primary), items in sorted(self._counts.items())
            ],
        }


def settle(codes: Set[str]) -> tuple[str, str]:
    """Decision and leading reason of all reasons that were found."""
    if not codes:
        return RELEASE, OK
    actions = {_RANKED[_PLACE[code]][0] for code in codes}
    decision = max(actions, key=_ACTIONS.index)
    if decision == ERASE and "LEGAL_HOLD" in codes:
        decision = QUARANTINE
    return decision, min(codes, key=lambda code: (_PLACE[code], code))


class _Question(NamedTuple):
    """What the answer about an item of a meeting depends on.

    Attributes:
        kind: Its kind.
        visits: Visits of the people whom it concerns, by place.
        is_inside: Whether it came about while the meeting ran.
        objector: Visit of the sender who objects, by place; -1 if nobody knows who does, None if nobody does.
        came_first: Whether it was recorded before late grants were given.
    """

    kind: str
    visits: tuple[int, ...]
    is_inside: bool
    objector: int | None
    came_first: bool


class _Judge:
    """One meeting that is over."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._came = meeting.came
        self._declared = meeting.plan.declared
        self._place = {visit.key: place for place, visit in enumerate(self._came)}
        self._is_complete = meeting.end_ms is not None and not any(map(_is_nobody, self._came))
        self._withdraws = objector_of(meeting)
        self._regions = [None if each.is_guest else each.person.home.region for each in self._came]
        self._answers: dict[object, list[frozenset[str]]] = {}
        self._known: dict[_Question, tuple[str, str]] = {}

    def verdicts(self) -> Counter[Key]:
        """How many items come to what."""
        counts = Counter[Key]()
        for content in self._meeting.content:
            for kind in content.kinds:
                question = self._question(kind, content)
                if question not in self._known:
                    self._known[question] = settle(self._reasons(question))
                counts[(kind, *self._known[question])] += 1
        return counts

    def _question(self, kind: str, content: Content) -> _Question:
        start = content.at if content.start is None else content.start
        end = content.at if content.end is None else content.end
        present = {
            place
            for place, visit in enumerate(self._came)
            if visit.joined_ms <= end and visit.left_ms >= start
        }
        sender = content.sender
        # Platforms name guests by their visit only, so that nobody can tell whose words these are.
        known = None if sender is None or sender.is_guest else self._place[sender.key]
        if known is not None:
            present.add(known)
        meeting_end = self._meeting.end_ms
        return _Question(
            kind,
            tuple(sorted(present)),
            start >= self._meeting.start_ms and (meeting_end is None or end <= meeting_end),
            (_ANYBODY if known is None else known) if content.is_objected else None,
            end < _AFTERWARDS_MS,
        )

    def _reasons(self, question: _Question) -> set[str]:
        reasons = {_DEADLINES[name] for name in self._declared if name in _DEADLINES}
        if question.kind == UNCLASSIFIED:
            return reasons | {"CLASS_UNKNOWN"}
        # Where nobody was there, nobody can say whose law holds.
        regions = {self._regions[place] for place in question.visits} or {None}
        law = law_of({storage_region(self._meeting.account), *regions})
        reasons |= self._of_the_meeting(question, law)
        if not question.visits:
            return reasons | {"NO_SUBJECTS"}
        everybody = self._answers_of(question, law)
        answers = {everybody[place] for place in question.visits}
        if any(answers) and not all(answers):
            reasons.add("NOT_ALL_PARTICIPANTS")
        return reasons.union(*answers)

    def _of_the_meeting(self, question: _Question, law: Law) -> set[str]:
        """What stands against the content whatever its people say."""
        declared = self._declared
        against = {
            "E2EE_CLAIM_VIOLATION": "e2ee" in declared,
            "CAPTURE_NOT_CONSENTED": (
                "capture" in declared and question.kind in _RECORDED and law.asks_before_capture
            ),
            "TENANT_NOT_AUTHORISED": not is_authorised(self._meeting.account),
            "SECTOR_HIPAA": "phi" in declared and law.has_sectors,
            "SECTOR_FERPA": "edu" in declared and law.has_sectors,
            "THIRD_PARTY_UNREDACTED": "third_party_mention" in declared and law.asks_more,
            "ROSTER_INCOMPLETE": not (self._is_complete and question.is_inside),
        }
        return {code for code, holds in against.items() if holds}

    def _answers_of(self, question: _Question, law: Law) -> list[frozenset[str]]:
        """Why each of those who came does not agree; empty for those who do."""
        asked = (question.kind, question.objector, question.came_first, law)
        if asked not in self._answers:
            self._answers[asked] = [frozenset(self._answer(each, question, law)) for each in self._came]
        return self._answers[asked]

    def _answer(self, visit: Visit, question: _Question, law: Law) -> Set[str]:
        if _is_nobody(visit):
            return {"PARTICIPANT_UNIDENTIFIED"}
        objector = question.objector
        is_disputed = objector == _ANYBODY or (
            objector is not None and self._came[objector].person is visit.person and not visit.is_guest
        )
        if visit.is_guest:
            return {"DISPUTED_WITHDRAWAL" if is_disputed else "NO_CONSENT"}
        if visit.person is self._withdraws:
            return {"WITHDRAWN"}
        story = STORIES[visit.person.story]
        if is_disputed and not story.is_no:
            return {"DISPUTED_WITHDRAWAL"}
        if story.settles:
            return set(story.settles)
        is_special = "special" in self._declared
        return flaws_of(visit.person, question.kind, law, question.came_first, is_special=is_special)


def _is_nobody(visit: Visit) -> bool:
    """Whether nothing lasting names the visitor; of guests, a phone number does."""
    return visit.is_guest and visit.channel != "dial_in"


def flaws_of(person: Person, kind: str, law: Law, came_first: bool, *, is_special: bool) -> set[str]:
    """What is missing in the grant of somebody who has one, for content of a kind.

    Args:
        person: Who it is.
        kind: Kind of the content.
        law: What its regions ask.
        came_first: Whether it was recorded before late grants were given.
        is_special: Whether it is of a special category.
    """
    grant = grant_of(person)
    mechanism, is_voice = grant["mechanism"], kind == "voiceprint"
    written, explicit = mechanism == "written_release", mechanism in ("explicit_statement", "written_release")
    enough = (written and "retention_policy" in grant) if law.asks_release else explicit or not law.asks_more
    more = {
        "KIND_MISMATCH": not _covers(grant["kinds"], kind),
        "MINOR": person.age == "minor" and law.asks_more,
        "POWER_IMBALANCE": person.relation == "employee" and law.asks_more and not grant["no_detriment"],
        "STALE": grant["event_time"] == LONG_AGO and law.asks_more,
        "RETROACTIVE_NOT_COVERED": grant["event_time"] == AFTERWARDS and came_first,
        "SPECIAL_CATEGORY": is_special and law.asks_more and not explicit,
        "BIOMETRIC_RELEASE_REQUIRED": is_voice and not enough,
    }
    return {*STORIES[person.story].flaws, *(code for code, holds in more.items() if holds)}


def _covers(kinds: Sequence[str], kind: str) -> bool:
    """Whether a grant names a kind, or audio for what is made of audio; a template must be named itself."""
    if kind == "voiceprint":
        return kind in kinds
    return "*" in kinds or kind in kinds or (kind in _FROM_AUDIO and "audio" in kinds)
