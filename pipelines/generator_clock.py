"""The time of generated records: nothing here reads a clock."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_DAY = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
"""When the first generated meeting can begin."""

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
"""Instant for which decisions are expected; after the events, unless a hundred million are made."""


def clock(moment: datetime) -> str:
    """A moment as RFC 3339 text to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_at(milliseconds: int) -> str:
    """A moment in ms since 1970 UTC as RFC 3339 text to the second."""
    return clock(datetime.fromtimestamp(milliseconds // 1000, UTC))
