"""Lint files of consent records: what is wrong with each line, and what the rules will make of it.

Nothing here decides anything, and no message names a person or quotes a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from schemas.consent_record import RecordFormError, check_form
from schemas.consent_rows import is_negative, read_time
from schemas.consent_signing import RecordVerifier, VerifiedRecord, read_payload
from schemas.registry import Registry
from schemas.registry_files import RegistryProblem

_FAULTS: Final = {
    "UNSIGNED": "is not signed; sign it as a compact JWS with a registered key",
    "NOT_A_JWS": "is no compact JWS (three base64url parts with dots between them)",
    "HEADER_REFUSED": "its header must be exactly alg EdDSA, a kid, and optionally typ consent+jws",
    "KEY_UNKNOWN": "is signed under a key that the registry does not have",
    "TEST_KEY": "is signed under a key marked test; it counts only with --allow-test-keys",
    "SIGNATURE_WRONG": "its signature does not fit; it was changed, or signed with another key",
    "KEY_NOT_YET_VALID": "is older than the validity of its key",
    "KEY_EXPIRED": "is from after the validity of its key; sign it with a key that is valid",
    "UNKNOWN_MEMBERS": "says something that this version of the form does not know, which may narrow the yes",
    "DUPLICATE_KEY": "names a key twice, so nobody can tell what was meant",
    "NOT_JSON": "its payload is not JSON",
    "INVALID_UTF8": "its payload is not UTF-8",
    "TOO_DEEP": "its payload is nested too deep",
    "NOT_AN_EVENT": "its payload is no JSON object",
}
"""What to say of each fault of a line."""


def lint_records(
    name: str, lines: Iterable[bytes], registry: Registry, *, allow_test_keys: bool = False
) -> Iterator[RegistryProblem]:
    """Every problem of a file of records, in the order of its lines.

    Args:
        name: The file's name as messages give it.
        lines: Its lines, blank ones included.
        registry: What the records are held against.
        allow_test_keys: Whether keys marked test are keys.
    """
    verifier = RecordVerifier(registry.keys, allow_test_keys=allow_test_keys)
    bodies: dict[str, tuple[str | None, int]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = verifier.verify(line, number)
        for where, code, message in _findings(record, registry):
            yield RegistryProblem(name, number, where, code, message)
        yield from _repetition(name, record, bodies)


def _findings(record: VerifiedRecord, registry: Registry) -> Iterator[tuple[str, str, str]]:
    if record.fault is not None:
        what = _effect(record)
        yield "", record.fault, f"{_FAULTS[record.fault]}; {what}"
    form = _form_fault(record)
    if form is not None:
        yield form, "FORM", "missing, unknown here or not of the form in docs/consent-record.schema.json"
    if "status" in record.row:
        yield from _references(record.row, registry)


def _effect(record: VerifiedRecord) -> str:
    if is_negative(record.row) or "status" not in record.row:
        return "as it may be a no, it holds what it is about until it is cleared up"
    return "it grants nothing"


def _form_fault(record: VerifiedRecord) -> str | None:
    if record.jws is None:
        return None
    value, fault = read_payload(record.jws)
    if fault is not None:
        return None
    try:
        check_form(value)
    except RecordFormError as error:
        return error.where or "the record as a whole"
    return None


def _references(row: Mapping[str, Any], registry: Registry) -> Iterator[tuple[str, str, str]]:
    purposes = row.get("purposes")
    if isinstance(purposes, list):
        named = {each for each in purposes if isinstance(each, str) and each != "*"}
        if "*" in purposes and not is_negative(row):
            yield "processing.purpose", "PURPOSE_ANY", "a yes that names every purpose names none; name each"
        if not named <= registry.purposes.keys():
            yield "processing.purpose", "PURPOSE_UNKNOWN", "names a purpose that is not registered"
    controller = row.get("controller", "")
    if "controller" in row and not (isinstance(controller, str) and controller in registry.controllers):
        yield "processing.pii_controllers", "CONTROLLER_UNKNOWN", "names a controller that is not registered"
    if not is_negative(row):
        yield from _terms_references(row, registry)


def _terms_references(row: Mapping[str, Any], registry: Registry) -> Iterator[tuple[str, str, str]]:
    every = [registry.terms.versions, *(each.versions for each in registry.terms.contracts.values())]
    version = row.get("terms")
    cited = [terms[version] for terms in every if isinstance(version, str) and version in terms]
    if not cited:
        yield "x-meeting.terms_version", "TERMS_UNKNOWN", "cites terms that are not registered"
        return
    if row.get("notice_hash") not in [terms.hash for terms in cited]:
        yield "x-meeting.notice_hash", "NOTICE_UNKNOWN", "is not the hash of the notice that was archived"
    given = read_time(row.get("event_time"))
    starts = [start for terms in cited if (start := read_time(terms.start))]
    if given is not None and _before_all(given, starts):
        yield "event.event_time", "TERMS_LATER", "lies before the terms that it cites were in force"


def _before_all(given: datetime, starts: list[datetime]) -> bool:
    return all(given < start for start in starts)


def _repetition(
    name: str, record: VerifiedRecord, bodies: dict[str, tuple[str | None, int]]
) -> Iterator[RegistryProblem]:
    record_id = record.row.get("id")
    if not isinstance(record_id, str):
        return
    body = record.row.get("body_hash")
    known, line = bodies.setdefault(record_id, (body, record.line))
    if known != body or (body is None and line != record.line):
        message = f"has the id of line {line} and says something else; neither of them counts"
        yield RegistryProblem(name, record.line, "record_id", "ID_COLLISION", message)
