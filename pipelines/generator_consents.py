"""The consent records of generated people, signed with test keys that follow from the seed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey

from pipelines.generator_clock import FIRST_DAY, clock
from pipelines.generator_meetings import OBJECTION, Meeting
from pipelines.generator_people import Cast, Person
from pipelines.generator_stories import (
    AFTERWARDS,
    AGREES,
    ALL_AND_VOICE,
    BEFORE_TERMS,
    CONTROLLER,
    EARLIER_TERMS,
    JUST_BEFORE,
    LISTED_KINDS,
    LONG_AGO,
    MORE_KINDS,
    PURPOSE,
    RECIPIENT,
    REVOKED_KEY,
    STORIES,
    TERMS,
    TEST_KEY,
    UNREGISTERED_KEY,
    WITHDRAWN,
)
from schemas.consent_building import build_record
from schemas.consent_rows import Identifier
from schemas.consent_signing import CURVE, sign_record
from schemas.registry import Registry

_ASSIST: Final = {
    "suffix": "-a",
    "purposes": ("transcription", "captioning", "meeting_summary"),
    "mechanism": "notice_acknowledged",
}
_CHANGED_MIND: Final = (
    {"suffix": "-e", "event_time": LONG_AGO, "terms": EARLIER_TERMS},
    {**WITHDRAWN, "event_time": BEFORE_TERMS},
)
_RENEWED: Final = {"suffix": "-r", "status": "renewed", "event_time": JUST_BEFORE}
_AGAIN: Final = {"late": timedelta(hours=1)}
_BEFORE: Final[Mapping[int, tuple[Mapping[str, Any], ...]]] = {
    2: _CHANGED_MIND,
    4: (_RENEWED,),
    6: (_AGAIN,),
}
"""What some who agree did besides, by their number modulo 14."""
_USUALLY_LATE: Final = timedelta(minutes=2)
_OURS: Final = ("suffix", "signed", "forged", "late", "cites")
"""What a story says of a record besides the record's own fields."""


def grant_of(person: Person) -> dict[str, Any]:
    """The fields of a person's grant for `PURPOSE` as the story changes them, but for id and subject."""
    changes = STORIES[person.story].records
    return {
        "status": "given",
        "grantor": "subject",
        "mechanism": "explicit_statement",
        "purposes": (PURPOSE,),
        "kinds": LISTED_KINDS,
        "recipients": (RECIPIENT,),
        "terms": TERMS,
        "event_time": clock(FIRST_DAY - timedelta(days=20, minutes=person.number)),
        "controller": CONTROLLER,
        "no_detriment": person.relation == "employee",
        **(_wide_or_narrow(person) if person.agrees else changes[0] if changes else {}),
    }


def _wide_or_narrow(person: Person) -> dict[str, Any]:
    """Who agrees does not agree to equally much."""
    if person.number % 8 == 0:
        return {"kinds": ALL_AND_VOICE, "mechanism": "written_release", "retention_policy": "voice-1"}
    if person.number % 8 == 4:
        return {"kinds": ALL_AND_VOICE, "mechanism": "express_affirmative"}
    return {"kinds": MORE_KINDS} if person.number % 8 == 2 else {}


def _changes(person: Person) -> tuple[Mapping[str, Any], ...]:
    """What each record of a person changes in the grant.

    Some who agree withdrew a former grant before, some renewed theirs, some have one record twice.
    """
    records = STORIES[person.story].records
    if person.story != AGREES:
        return records
    return (*_BEFORE.get(person.number % 14, ()), *records, _ASSIST)


@dataclass(frozen=True)
class Draft:
    """A record before it is built and signed.

    Attributes:
        fields: As `schemas.consent_building.build_record` takes them.
        cites: Terms that it claims although the registry does not have them.
        signed: Whose key signs it.
        is_forged: Whether its signature is spoilt.
    """

    fields: Mapping[str, Any]
    cites: str | None = None
    signed: str = TEST_KEY
    is_forged: bool = False


def drafts_of(person: Person) -> Iterator[Draft]:
    """The records that a person left on both platforms, oldest first."""
    grant = grant_of(person)
    for letter, identifier, account in person.accounts:
        for changes in _changes(person):
            yield _draft(
                {
                    "scope": f"tenant:{account}",
                    **grant,
                    **changes,
                    "id": f"r-{letter}{person.number:06d}{changes.get('suffix', '')}",
                    "subject": Identifier(*identifier),
                }
            )


def _draft(given: Mapping[str, Any]) -> Draft:
    fields = {name: value for name, value in given.items() if name not in _OURS}
    for name in ("purposes", "kinds", "recipients"):
        fields[name] = list(fields[name])
    late = given.get("late", _USUALLY_LATE)
    fields["ingested_at"] = clock(datetime.fromisoformat(fields["event_time"]) + late)
    return Draft(fields, given.get("cites"), given.get("signed", TEST_KEY), bool(given.get("forged")))


def objector_of(meeting: Meeting) -> Person | None:
    """Who withdraws for a meeting alone, if anybody."""
    return meeting.came[-1].person if meeting.plan.sort == OBJECTION else None


def objection_of(meeting: Meeting) -> Draft | None:
    """The record of somebody who withdraws for a meeting alone, if anybody does."""
    person = objector_of(meeting)
    if person is None:
        return None
    identifier = next(each for _, each, account in person.accounts if account == meeting.account)
    withdrawal = {
        **grant_of(person),
        "status": "withdrawn",
        "id": f"r-m{meeting.plan.key}",
        "subject": Identifier(*identifier),
        "scope": f"meeting:{meeting.label}",
        "event_time": AFTERWARDS,
    }
    return _draft(withdrawal)


def consent_records(cast: Cast) -> Iterator[Draft]:
    """The consent records of everybody.

    Those who agree have a grant for AI training that is in order and, under another id, one for the assist
    purposes. Each of the others has a story of `generator_stories`: some never said anything, some refused or
    withdrew, and most have a record that is no consent.
    """
    for person in cast.people:
        yield from drafts_of(person)


class SigningKeys:
    """The keys of generated records: everybody who knows the seed can make them.

    Args:
        seed: Where they come from.
    """

    def __init__(self, seed: int) -> None:
        self.keys = {name: _make_key(seed, name) for name in (TEST_KEY, REVOKED_KEY, UNREGISTERED_KEY)}
        self.kids = {name: f"{name}-{key.thumbprint()[:12]}" for name, key in self.keys.items()}

    def sign(self, draft: Draft, registry: Registry) -> str:
        """A record, built and signed, as a compact JWS.

        Args:
            draft: The record.
            registry: Where its terms, purposes and controller stand.
        """
        record = build_record(draft.fields, registry)
        if draft.cites is not None:
            record["x-meeting"]["terms_version"] = draft.cites
        token = sign_record(record, self.keys[draft.signed], self.kids[draft.signed])
        return _spoilt(token) if draft.is_forged else token

    def line(self, draft: Draft, registry: Registry) -> str:
        """The same as a line of a file of records."""
        return json.dumps(self.sign(draft, registry)) + "\n"


def _make_key(seed: int, name: str) -> OKPKey:
    private = hashlib.sha256(f"cofferdam generator test key/{seed}/{name}".encode()).digest()
    public = Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return OKPKey.import_key({"kty": "OKP", "crv": CURVE, "x": _base64url(public), "d": _base64url(private)})


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _spoilt(token: str) -> str:
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
