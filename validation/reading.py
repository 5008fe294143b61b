"""Read values that may be absent, null, of the wrong type or outside their closed set.

Every reader takes what it is to answer when it cannot tell: the restrictive reading is chosen by the rule
that reads, and stands in the call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import Enum
from functools import lru_cache
from typing import Any, Final

Instant = int
"""Nanoseconds since the year 1 (UTC): exact, ordered, and never out of range."""

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND


class Unreadable(Enum):
    """A value that is present and cannot be read."""

    UNREADABLE = "unreadable"


UNREADABLE: Final = Unreadable.UNREADABLE

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def read_instant(value: object) -> Instant | None:
    """The instant of an RFC 3339 timestamp with its offset, or None if it is none.

    >>> read_instant("2026-03-02T11:58:00+02:00") == read_instant("2026-03-02T09:58:00Z")
    True
    >>> read_instant("2026-03-02T09:58:00") is None
    True
    """
    return _parse_instant(value) if isinstance(value, str) else None


@lru_cache(maxsize=4096)
def _parse_instant(text: str) -> Instant | None:
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    offset_hours, offset_minutes = int(match[10] or 0), int(match[11] or 0)
    if hour > 23 or minute > 59 or second > 59 or offset_hours > 23 or offset_minutes > 59:
        return None
    try:
        days = date(year, month, day).toordinal()
    except ValueError:
        return None
    offset = (offset_hours * 60 + offset_minutes) * (-1 if match[9] == "-" else 1)
    seconds = (hour * 60 + minute - offset) * 60 + second
    return days * DAY + seconds * SECOND + int((match[7] or "").ljust(9, "0"))


def read_optional_instant(holder: Mapping[str, Any], name: str) -> Instant | Unreadable | None:
    """An instant that may be absent: None if it is, `UNREADABLE` if it is there and is none."""
    if name not in holder:
        return None
    instant = read_instant(holder[name])
    return UNREADABLE if instant is None else instant


def read_flag(holder: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    """A boolean, or the restrictive one if it is absent or anything else."""
    value = holder.get(name)
    return value if isinstance(value, bool) else otherwise


def read_word(holder: Mapping[str, Any], name: str) -> str | None:
    """A text that is not empty, or None."""
    value = holder.get(name)
    return value if isinstance(value, str) and value else None


def read_words(value: object) -> frozenset[str]:
    """The texts in a list; whatever else it holds names nothing."""
    words = value if isinstance(value, list) else []
    return frozenset(word for word in words if isinstance(word, str))


def as_object(value: object) -> dict[str, Any] | None:
    """A JSON object, or None."""
    return value if isinstance(value, dict) else None
