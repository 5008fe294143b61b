"""What generated people did about consent: a story each, with its records and what these come to.

A story says both, side by side: which records a person left, and what the decision rules make of them. The
second is worked out by reading the rules, not by running them, so that a run can be held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from pipelines.generator_clock import AS_OF, FIRST_DAY, clock

PURPOSE, RECIPIENT = "ai_training", "first_party"
AGREES = "agrees"
"""The story of people with a grant for `PURPOSE` that is in order."""

CONTROLLER, OTHER_CONTROLLER = "example-controller", "other-controller"
TERMS, EARLIER_TERMS, REPLACED_TERMS, UNKNOWN_TERMS = "t-2026-01", "t-2024-11", "t-2023-03", "t-2027-01"
TEST_KEY, REVOKED_KEY, UNREGISTERED_KEY = "test", "test-revoked", "test-unregistered"
"""Whose signature a record bears; the ids of keys begin with these words."""
KEY_REVOKED_FROM: Final = datetime(2026, 1, 15, tzinfo=UTC)

LISTED_KINDS = ("audio", "video", "chat", "transcript", "screen_share", "caption", "summary", "file")
MORE_KINDS = (*LISTED_KINDS, "meeting_title", "reaction", "poll", "whiteboard", "translation")
ALL_AND_VOICE = ("*", "voiceprint")

LONG_AGO: Final = clock(datetime(2025, 3, 1, tzinfo=UTC))
BEFORE_TERMS: Final = clock(datetime(2025, 12, 20, tzinfo=UTC))
JUST_BEFORE: Final = clock(FIRST_DAY - timedelta(days=2))
AFTERWARDS: Final = clock(datetime(2026, 5, 20, tzinfo=UTC))
FUTURE: Final = clock(AS_OF + timedelta(days=3))
_BACKDATED: Final = timedelta(days=10)


@dataclass(frozen=True)
class Story:
    """What somebody did, and what it comes to for `PURPOSE` and `RECIPIENT`.

    Attributes:
        records: What each record changes in the person's grant, oldest first. `signed` is the key that signs
            it, `forged` whether the signature is spoilt, `late` how long after the event it arrived.
        settles: Codes that decide whatever the item is, if no grant of the person is alive.
        is_no: Whether they are a proven no, which no doubt replaces.
        flaws: Codes of the living grant, besides those that depend on the item.
    """

    records: tuple[Mapping[str, Any], ...] = field(default=({},))
    settles: tuple[str, ...] = ()
    is_no: bool = False
    flaws: tuple[str, ...] = ()


def _flawed(*codes: str, **changes: Any) -> Story:
    return Story((changes,), flaws=codes)


def _dropped(code: str, **changes: Any) -> Story:
    return Story((changes,), settles=(code,))


def _said_no(code: str, *records: Mapping[str, Any]) -> Story:
    return Story(records, settles=(code,), is_no=True)


WITHDRAWN: Final = {"suffix": "-w", "status": "withdrawn"}

STORIES: Mapping[str, Story] = MappingProxyType(
    {
        "refused": _said_no("REFUSED", {"status": "refused"}),
        "withdrew": _said_no("WITHDRAWN", {}, {**WITHDRAWN, "event_time": JUST_BEFORE}),
        "withdrew_afterwards": _said_no("WITHDRAWN", {}, {**WITHDRAWN, "event_time": AFTERWARDS}),
        "invalidated": _said_no(
            "CONSENT_INVALIDATED", {}, {"suffix": "-w", "status": "invalidated", "event_time": AFTERWARDS}
        ),
        "conflicting": _said_no("CONFLICTING_RECORDS", {}, {"suffix": "-w", "status": "refused"}),
        "forged_withdrawal": Story(
            ({}, {**WITHDRAWN, "event_time": JUST_BEFORE, "signed": UNREGISTERED_KEY}),
            settles=("DISPUTED_WITHDRAWAL",),
        ),
        "reused_id": Story(({}, {"kinds": ("audio",)}), settles=("RECORD_ID_COLLISION",)),
        "silent": Story((), settles=("NO_CONSENT",)),
        "asked": _dropped("PENDING", status="requested"),
        "backdated": _dropped("BACKDATED", late=_BACKDATED),
        "future": _dropped("FUTURE_DATED", event_time=FUTURE),
        "unknown_key": _dropped("SIGNATURE_KEY_UNKNOWN", signed=UNREGISTERED_KEY),
        "revoked_key": _dropped("KEY_REVOKED", signed=REVOKED_KEY),
        "forged": _dropped("SIGNATURE_INVALID", forged=True),
        "other_controller": _dropped("WRONG_CONTROLLER", controller=OTHER_CONTROLLER),
        "minor": _flawed(grantor="guardian", separate=True),
        "employee": _flawed(no_detriment=False),
        "by_admin": _flawed("ADMIN_ON_BEHALF", grantor="admin"),
        "by_host": _flawed("HOST_ON_BEHALF", grantor="host"),
        "bundled": _flawed("BUNDLED", bundled=True),
        "terms_of_service": _flawed("BUNDLED", "TOS_ONLY", mechanism="tos_acceptance", bundled=True),
        "conditional": _flawed("CONDITIONAL_SERVICE", conditional=True),
        "stayed": _flawed("IMPLIED_ONLY", mechanism="implied_continuation"),
        "told": _flawed("NOTICE_ONLY", mechanism="notice_acknowledged"),
        "did_not_opt_out": _flawed("OPT_OUT_ONLY", mechanism="opt_out_not_exercised"),
        "preticked": _flawed("PRETICKED", mechanism="preticked"),
        "picture_only": _flawed(kinds=("video",)),
        "other_purpose": _flawed("PURPOSE_MISMATCH", purposes=("marketing",)),
        "processor_only": _flawed("RECIPIENT_MISMATCH", recipients=("processor",)),
        "elsewhere": _flawed("SCOPE_MISMATCH", scope="meeting:another"),
        "other_notice": _flawed("NOTICE_HASH_MISMATCH", notice_hash="0" * 64),
        "replaced_terms": _flawed("TERMS_VERSION_SUPERSEDED", terms=REPLACED_TERMS),
        "unknown_terms": _flawed("TERMS_VERSION_UNKNOWN", cites=UNKNOWN_TERMS),
        "before_terms": _flawed("TERMS_VERSION_NOT_IN_FORCE", event_time=BEFORE_TERMS),
        "expired": _flawed("EXPIRED", valid_until=JUST_BEFORE),
        "not_yet": _flawed("NOT_YET_VALID", valid_from=FUTURE),
        "stale": _flawed(terms=EARLIER_TERMS, event_time=LONG_AGO),
        "afterwards": _flawed(event_time=AFTERWARDS),
        AGREES: Story(),
    }
)
"""What people did, by name; who agrees has a grant that suffices for what it names, and so may three others:
it depends on the region whether a guardian's grant, an employee's and an old one do."""
