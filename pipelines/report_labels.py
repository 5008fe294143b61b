"""Words of closed sets as people say them, and figures as people read them."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

from validation.reasons import CATALOGUE
from validation.reject_reasons import REJECT_REASONS

CHECKS: Final = {
    "ROW_IS_NO_RELEASE": "the row is no decision to release, or has reasons against it",
    "NO_SUCH_DECISION": "there is no such decision to release",
    "DECIDED_OTHERWISE": "the decision was for another purpose, recipient, kind or number of records",
    "ITEM_NOT_DECIDED": "the item was not decided by it",
    "NOT_CONFIRMED_AT_SINK": "the second look before writing denied it",
    "SOMEBODY_DOES_NOT_AGREE": "somebody whose records it read does not agree",
    "NO_RECORD_NAMED": "the purpose asks people, and no record is named",
    "RECORD_UNKNOWN": "a record is named that no release has read",
    "RECORD_IS_NO_YES": "a record is named that is no trusted yes",
    "NOT_JUDGED": "no suite has judged what was written",
}
LOGGED: Final = {
    "run": "a commit of the store",
    "policy": "contracts, policies or a registry that a commit was the first to use",
    "canaries": "the canaries that a run planted, and how many were found",
    "decisions": "a table of decisions (content and telemetry have one each): one entry for all that a "
    "commit wrote into it",
    "opening": "the table of openings: one entry for all that a commit wrote into it",
    "release": "that a release began; or the table of what releases gave out, one entry for each commit",
    "export": "the table of telemetry that was taken out: one entry for each commit",
    "access": "what was opened to tell a person what is held",
    "erasure": "that an erasure began, or has ended; or the table of what was destroyed",
    "key": "a key that a side has, when the log first sees it, or sees it no more; or that a vault key was "
    "exchanged or retired",
    "reprocess": "that sealed records were opened to be taken apart anew",
    "drift": "that names of new fields and types were opened to be looked at",
    "report": "a report that was kept, by its SHA-256",
    "merge": "that a side has taken entries up in the log, with the keys that it had",
}
"""What the entries of the audit log tell of, by type."""
RULES: Final = {
    "consent_all": "everybody present agrees",
    "one_party_notice": "everybody was told",
    "authorised_case": "single cases with two approvers",
    "necessary": "needed for the service; nobody is asked",
    "opt_out": "unless somebody objects",
    "prohibited": "forbidden",
}
DECISIONS: Final = {
    "RELEASE": "released, or may be (RELEASE)",
    "QUARANTINE": "held for now (QUARANTINE)",
    "ERASE": "held; any copies are to go (ERASE)",
    "REJECT": "held for good (REJECT)",
}
GRANTORS: Final = {
    "subject": "the person",
    "guardian": "a guardian",
    "host": "the host",
    "admin": "an administrator",
    "unreadable": "not legible",
}
OUTCOMES: Final = {
    "separated": "taken apart, field by field",
    "rejected": "not legible; sealed whole",
    "unknown": "of a type that no contract names; sealed whole",
    "duplicate": "had come before; dropped",
}
STATUSES: Final = {
    "given": "yes",
    "renewed": "yes, renewed",
    "requested": "asked, not answered",
    "deferred": "put off",
    "refused": "no",
    "withdrawn": "a yes taken back",
    "revoked": "a yes revoked by somebody else",
    "invalidated": "a yes declared invalid",
    "not noted": "not noted by an older version",
    "unreadable": "not legible",
}
FOUND: Final = {
    "unknown": "no contract names it: sealed",
    "misfit": "its value does not fit its contract: sealed",
    "dropped": "dropped, as its contract says",
}
AREAS: Final = {
    "telemetry": "telemetry",
    "quarantine": "what lies sealed (the folder `quarantine`), with its wrapped keys",
    "roster": "rosters: who was in which meeting, under pseudonyms",
    "released": "released copies, and whether each can be traced to its decision",
    "evidence": "evidence: decisions, records of consent, openings, erasures",
    "conservation": "conservation: whether what runs state and what lies there add up",
}
PIECES: Final = {
    "items": "items of content",
    "identity": "names, addresses and numbers of people",
    "secret": "passwords and other secrets",
    "rejected": "records that were sealed whole",
}
DESTROYED: Final = {
    "ERASURE_REQUESTED": "The person has asked for it.",
    "DECLARED_DUE": "The registry says that the meeting or the customer is to be erased, or that its "
    "retention is over.",
    "TIME_TO_LIVE_OVER": "It had been sealed for as long as sealed items may lie.",
    "NO_PURPOSE_LEFT": "People have said no, and no registered purpose could still use it.",
    "WITHDRAWN": "People have said no to the purpose; the copies go, the sealed item stays.",
    "PURPOSE_RETENTION_OVER": "The purpose has had its copies for as long as it may keep them.",
}
"""Why an erasure destroys items, or has copies deleted."""

_EVERYTHING: Final = "the sealed items, their copies, and telemetry and rosters of these meetings"
GOES: Final = {
    "ERASURE_REQUESTED": _EVERYTHING,
    "RETENTION_EXCEEDED": _EVERYTHING,
}
"""What is to go for a reason that lost an item to a purpose; copies alone for all others."""

_SIGN: Final = "Sign it with a registered key, as docs/consent.md describes, and send it again."
RECORD_FAULTS: Final = {
    "UNSIGNED": ("The record is not signed.", _SIGN),
    "NOT_A_JWS": ("The record is not in the form in which signed records come (a compact JWS).", _SIGN),
    "HEADER_REFUSED": ("The record's header names another algorithm, or says more than it may.", _SIGN),
    "KEY_UNKNOWN": (
        "The record is signed under a key that the registry does not have.",
        "If the key is genuine, enter it in the registry.",
    ),
    "TEST_KEY": ("The record is signed with a key for trying things out, which did not count.", _SIGN),
    "SIGNATURE_WRONG": (
        "The signature does not fit: the record was changed, or another key signed it.",
        "Send the record again as it was signed.",
    ),
    "KEY_NOT_YET_VALID": ("The record is older than its key may sign for.", _SIGN),
    "KEY_EXPIRED": ("The record is from after its key's validity.", _SIGN),
    "UNKNOWN_MEMBERS": (
        "The record says something that this version does not know, and that may narrow the yes.",
        "Leave it out and sign anew, or use a version that knows it.",
    ),
}
"""Why a record of consent is not trusted, and what would help."""

NOTHING: Final = "-"
_CODE: Final = re.compile("`([^`]+)`")
_PERIOD: Final = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_SPANS: Final = ("year", "month", "week", "day")
_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def word(name: str, words: dict[str, str]) -> str:
    """A word of a closed set as people say it; codes, and what is not known, stay as they are."""
    return words.get(name) or " ".join(map(_unless_code, name.split(" ")))


def _unless_code(part: str) -> str:
    return plain(part) if part.islower() else part


def plain(name: str) -> str:
    """A word of a closed set without underscores."""
    return " ".join("AI" if part == "ai" else part for part in name.split("_"))


def coded(text: str) -> Markup:
    """A sentence of ours in HTML, escaped, with what stands between backticks as code.

    >>> str(coded("A < b: `cofferdam run`."))
    'A &lt; b: <code>cofferdam run</code>.'
    """
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def begun(name: str) -> str:
    """A word of a closed set as it begins a sentence."""
    told = plain(name)
    return told[:1].upper() + told[1:]


def number(value: int | None) -> str:
    """A number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def explained(code: str) -> tuple[str, str]:
    """What a reason's code says, and what would help; nothing for what is no code of the catalogues."""
    if code in RECORD_FAULTS:
        return RECORD_FAULTS[code]
    refused = REJECT_REASONS.get(code)
    if refused is not None:
        return refused.sentence, refused.cure
    known = CATALOGUE.get(code)
    if known is not None:
        return known.sentence, known.cure
    return ("Nothing stood against it.", NOTHING) if code == "OK" else (NOTHING, NOTHING)


def law(code: str) -> str:
    """What a reason rests on; nothing for what is no code of the catalogue."""
    known = CATALOGUE.get(code)
    return NOTHING if known is None else known.hook


def counted(value: int, one: str, many: str = "") -> str:
    """A number of things."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def duration(seconds: int | None) -> str:
    """A time in its two largest units."""
    if seconds is None:
        return NOTHING
    parts: list[str] = []
    for size, unit in _UNITS:
        if seconds >= size and len(parts) < 2:
            parts.append(counted(seconds // size, unit))
            seconds %= size
    return " ".join(parts) or "0 seconds"


def period(text: str) -> str:
    """A period of ISO 8601 in words; what is none stays as it is.

    >>> period("P1Y6M")
    '1 year 6 months'
    """
    found = _PERIOD.fullmatch(text)
    if found is None or text == "P":
        return text
    return " ".join(counted(int(one), unit) for one, unit in zip(found.groups(), _SPANS, strict=True) if one)


def size(value: int) -> str:
    """A number of bytes in the largest unit that leaves a whole."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= factor:
            return f"{value / factor:,.1f} {unit}"
    return f"{value:,} bytes"


def share(part: int | None, whole: int | None) -> str:
    """A share of a whole."""
    return NOTHING if part is None or not whole else f"{100 * part / whole:.1f} %"
