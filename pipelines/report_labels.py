"""Words of closed sets as people say them, and figures as people read them."""

from __future__ import annotations

import re
from typing import Final

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
    "QUARANTINE": "held (QUARANTINE)",
    "ERASE": "held, and copies are deleted (ERASE)",
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
NOTHING: Final = "-"
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


def begun(name: str) -> str:
    """A word of a closed set as it begins a sentence."""
    told = plain(name)
    return told[:1].upper() + told[1:]


def number(value: int | None) -> str:
    """A number with its thousands apart."""
    return NOTHING if value is None else f"{value:,}"


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
