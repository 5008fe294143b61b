"""The tenant that canaries belong to: records of it that come from outside are not taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.contract import EventShape

RESERVED_TENANT: Final = "urn:cofferdam:canary"
"""What the tenant of a canary begins with."""

RESERVED: Final = "RESERVED_TENANT"
"""Reason code of such a record."""

_NAME: Final = RESERVED_TENANT.encode()
_ESCAPE: Final = re.compile(rb"\\u00([2-7][0-9a-fA-F])")


def reserved_records(records: Sequence[bytes], shape: EventShape) -> list[int]:
    """Which records of a shape say that they are of the reserved tenant.

    A quick look decides for all that do not hold its name anywhere, however they write it; only the others
    are read.
    """
    path = shape.envelope.get("tenant")
    if path is None:
        return []
    suspects = [row for row, record in enumerate(records) if _NAME in record or _hides(record)]
    return [row for row in suspects if _tenant_of(records[row], path).startswith(RESERVED_TENANT)]


def _hides(record: bytes) -> bool:
    """Whether a record holds the name with characters written as escapes."""
    if b"\\" not in record:
        return False
    plain = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), record)
    return _NAME in plain


def _tenant_of(record: bytes, path: tuple[str, ...]) -> str:
    try:
        value: Any = msgspec.json.decode(record)
        for key in path:
            value = value[key]
    except (msgspec.MsgspecError, KeyError, TypeError, RecursionError, UnicodeDecodeError):
        return ""
    return value if isinstance(value, str) else ""
