"""The ids of decisions, and how instants stand in what decisions are made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

_ID_DIGITS: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_IN_ID: Final = ("run_id", "stage", "items", "records_seen")
"""What tells runs apart, and not decisions."""


@lru_cache(maxsize=4096)
def instant_text(nanoseconds: int) -> str:
    """An instant in nanoseconds since 1970 as RFC 3339."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def decision_id(row: Mapping[str, Any]) -> str:
    """The id of a decision: everything that went into it and came out, without the run that made it."""
    content = {name: value for name, value in row.items() if name not in _NOT_IN_ID}
    return _digest({**content, "as_of": row["as_of"].isoformat()})


def _digest(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
