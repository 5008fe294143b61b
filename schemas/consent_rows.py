"""From a consent record to the flat row that the decision rules read, whatever state the record is in.

Reading never raises. A value is handed on as it stands, and the rule that reads it takes the restrictive
reading of what it cannot read; what is absent here is absent there. Only what a rule could not tell apart is
decided here: a state that is not in DPV's list, several controllers, a duration that cannot be added.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec

from schemas.consent_record import (
    ID_PATTERN,
    IDENTIFIER_TYPE_PATTERN,
    SCHEMA_VERSION,
    STATES,
    UNTIL_WITHDRAWN,
    ConsentRecord,
    Event,
    ImportAttestation,
    Meeting,
    Party,
    PiiInformation,
    Processing,
    canonical_bytes,
)
from schemas.consent_sets import NEGATIVE_STATUSES

_DIRECT: Final = {
    "purposes": ("processing", "purpose"),
    "event_time": ("event", "event_time"),
    "grantor": ("x-meeting", "grantor_role"),
    "kinds": ("x-meeting", "content_kinds"),
    "no_detriment": ("x-meeting", "no_detriment_attested"),
    "terms": ("x-meeting", "terms_version"),
    **{
        name: ("x-meeting", name)
        for name in (
            "mechanism",
            "scope",
            "recipients",
            "notice_hash",
            "bundled",
            "conditional",
            "retroactive",
            "separate",
            "retention_policy",
            "valid_from",
        )
    },
}
"""Name in the flat row to the record's part and field; handed on as they stand."""

FLAT_FIELDS: Final = (
    *("id", "subject", "status", *_DIRECT, "controller", "ingested_at", "valid_until"),
    *("kid", "sig_ok", "import_attested", "body_hash"),
)
"""Every name that a flat row may have."""

_KNOWN_MEMBERS: Final = {
    path: frozenset(each.encode_name for each in msgspec.structs.fields(part))
    for path, part in (
        ((), ConsentRecord),
        (("processing",), Processing),
        (("processing", "pii_information"), PiiInformation),
        (("party_identification",), Party),
        (("event",), Event),
        (("x-meeting",), Meeting),
        (("x-meeting", "import_attestation"), ImportAttestation),
    )
}

_ID: Final = re.compile(ID_PATTERN)
_IDENTIFIER_TYPE: Final = re.compile(IDENTIFIER_TYPE_PATTERN)
_DURATION: Final = re.compile(r"P([0-9]{1,5})D")
_AWARE = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Identifier:
    """A typed identifier of a person, as it stands in a record.

    Attributes:
        type: Such as ``zoom.user_id`` or ``email``.
        value: The raw identifier; it never shows in a repr.
    """

    type: str
    value: str | int = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """What could be read of one record.

    Attributes:
        row: The flat row without subject, key and signature.
        subject: The person, None where that cannot be read.
        extended: Whether the record says something that the form has no place for (an unknown member or
            another schema version), so that its meaning may be narrower than what was read.
    """

    row: dict[str, Any] = field(repr=False)
    subject: Identifier | None = field(repr=False)
    extended: bool


def read_record(record: object) -> ReadRecord:
    """Read one record into the flat form of the decision rules; never raises.

    Args:
        record: The record as JSON; anything else than an object leaves nothing legible.
    """
    given = _part(record)
    parts = {name: _part(given.get(name)) for name in ("processing", "event", "x-meeting")}
    row = {name: parts[part][member] for name, (part, member) in _DIRECT.items() if member in parts[part]}
    row |= _identity(given, parts)
    row |= _validity(parts)
    # Without a time of arrival nobody could tell a late record from a timely one: null is illegible.
    row["ingested_at"] = parts["x-meeting"].get("ingested_at")
    row["body_hash"] = body_hash(record)
    return ReadRecord(row, read_identifier(given.get("pii_principal_id")), _is_extended(given))


def read_identifier(value: object) -> Identifier | None:
    """A typed identifier, or None if it cannot be read.

    >>> read_identifier({"type": "email", "value": ""}) is None
    True
    """
    given = _part(value)
    kind, name = given.get("type"), given.get("value")
    if not isinstance(kind, str) or not _IDENTIFIER_TYPE.search(kind) or set(given) != {"type", "value"}:
        return None
    if isinstance(name, str) and 0 < len(name) <= 320:
        return Identifier(kind, name)
    return Identifier(kind, name) if type(name) is int else None


def body_hash(record: object) -> str | None:
    """SHA-256 (hex) of the whole record but its time of arrival; None if it cannot be written.

    The flat row leaves out what no rule reads (languages, addresses). Two records with one id that differ
    only there are still two different records, and this tells them apart.
    """
    body = record
    if isinstance(record, dict) and isinstance(meeting := record.get("x-meeting"), dict):
        stripped = {name: value for name, value in meeting.items() if name != "ingested_at"}
        body = {**record, "x-meeting": stripped}
    try:
        return hashlib.sha256(canonical_bytes(body)).hexdigest()
    except ValueError:
        return None


def _part(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _identity(given: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    record_id, state = given.get("record_id"), parts["event"].get("event_state")
    if isinstance(record_id, str) and _ID.search(record_id):
        found["id"] = record_id
    if isinstance(state, str) and state in STATES:
        found["status"] = STATES[state]
    controllers = parts["processing"].get("pii_controllers")
    if isinstance(controllers, list) and len(controllers) == 1 and isinstance(controllers[0], str):
        found["controller"] = controllers[0]
    return found


def _validity(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The end of validity: the earlier of the one stated and the one that the duration gives."""
    meeting, event = parts["x-meeting"], parts["event"]
    ends = []
    if "valid_until" in meeting:
        ends.append(meeting["valid_until"])
    if event.get("validity_duration", UNTIL_WITHDRAWN) != UNTIL_WITHDRAWN:
        ends.append(_end_of(event.get("event_time"), event["validity_duration"]))
    if not ends:
        return {}
    return {"valid_until": ends[0] if len(ends) == 1 else _earlier(*ends)}


def _end_of(start: object, duration: object) -> str | None:
    matched = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    begun = read_time(start)
    if matched is None or begun is None:
        return None
    try:
        return (begun + timedelta(days=int(matched[1]))).isoformat()
    except OverflowError:
        return None


def _earlier(one: object, other: object) -> object:
    first, second = read_time(one), read_time(other)
    if first is None or second is None:
        return None
    return one if first <= second else other


def read_time(value: object) -> datetime | None:
    """An RFC 3339 timestamp with its offset, to the microsecond; None if it is none.

    One outside the years 1 to 9999 in UTC is none: no table can hold it.
    """
    if not isinstance(value, str):
        return None
    try:
        found: datetime = msgspec.convert(value, _AWARE)
        found.astimezone(UTC)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return None
    return found


def is_negative(row: Mapping[str, Any]) -> bool:
    """Whether a flat row legibly says no."""
    return row.get("status") in NEGATIVE_STATUSES


def _is_extended(given: Mapping[str, Any]) -> bool:
    if given.get("schema_version") != SCHEMA_VERSION:
        return True
    return any(
        isinstance(found, dict) and not found.keys() <= known
        for path, known in _KNOWN_MEMBERS.items()
        for found in _at(given, path)
    )


def _at(given: Mapping[str, Any], path: tuple[str, ...]) -> list[Any]:
    """The object at a path, or the objects in the list there."""
    found: Any = given
    for name in path:
        found = _part(found).get(name)
    return found if isinstance(found, list) else [found]
