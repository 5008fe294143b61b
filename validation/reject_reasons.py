"""Why a record is sealed whole, in a sentence each, and what would help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SENDER = "Have the sender write the record anew and take that in; nothing mends the one that is sealed."
_FILE = "Send the file again, whole, and run again; what had been read of it counts as duplicates."
_SOURCE = "Have the sender leave it off."


@dataclass(frozen=True)
class RejectReason:
    """Why a record is sealed whole.

    Attributes:
        sentence: When it happens.
        cure: What would help.
    """

    sentence: str
    cure: str


REJECT_REASONS: Final[Mapping[str, RejectReason]] = {
    "NOT_JSON": RejectReason("The bytes are not one JSON document.", _SENDER),
    "INVALID_UTF8": RejectReason("A sequence of bytes is not UTF-8.", _SENDER),
    "DUPLICATE_KEY": RejectReason(
        "An object has a key twice, so that nobody can tell which counts.", _SENDER
    ),
    "TOO_DEEP": RejectReason("Objects and arrays are nested deeper than 32 levels.", _SENDER),
    "NOT_AN_EVENT": RejectReason(
        "It is JSON and no object, or no event of the form that its contract describes.",
        "A contract that describes the form; then `cofferdam reprocess`.",
    ),
    "UNKNOWN_TYPE": RejectReason(
        "No contract names its event type.",
        "A contract that does (`cofferdam drift show` tells the types, `cofferdam contracts draft` begins "
        "one), given with --contracts beside all others that apply; then `cofferdam reprocess`.",
    ),
    "ID_COLLISION": RejectReason(
        "Another record with the same source, tenant and id has another body.",
        "Have the sender give each event an id of its own.",
    ),
    "RESERVED_TENANT": RejectReason("It claims the tenant that is reserved for canaries.", _SOURCE),
    "RECORD_TOO_LARGE": RejectReason(
        "It is longer than --record-cap allows.", "Run again with a larger --record-cap, if it is genuine."
    ),
    "UNTERMINATED_ARRAY": RejectReason("The file ends before the bracket that closes its array.", _FILE),
    "BYTE_ORDER_MARK": RejectReason("The file starts with a byte order mark.", _SOURCE),
    "TRUNCATED_STREAM": RejectReason("A compressed file ends before its end mark.", _FILE),
    "CORRUPT_STREAM": RejectReason("A compressed file is damaged, or its checksum does not match.", _FILE),
    "TRAILING_GARBAGE": RejectReason("Bytes that are not compressed follow what is compressed.", _FILE),
    "DECOMPRESSION_LIMIT": RejectReason(
        "The content is larger than may be unpacked: 64 GiB, or 200 times what is stored.",
        "Send the file in parts, if it is genuine.",
    ),
}
