"""Signed consent records: one compact JWS (RFC 7515) a line, EdDSA over Ed25519 (RFC 8037), pinned keys.

The algorithm is fixed, and the key comes from the registry alone: a header that names another algorithm,
brings its own key (``jwk``, ``jku``, ``x5c``) or asks for anything else (``crit``, ``b64``) makes the record
untrusted. The payload is the record's canonical JSON.

Verifying never raises and never drops a line. A record that is not signed well, not strict JSON, or no JSON
at all comes back with what is legible and ``sig_ok`` false: an untrusted yes cannot release anything, and an
untrusted no must still hold the item.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry
from joserfc.registry import JWS_HEADER_REGISTRY

from schemas.consent_record import canonical_bytes
from schemas.consent_rows import Identifier, ReadRecord, is_negative, read_record, read_time
from schemas.strict_json import RecordFault, parse_strict

ALGORITHM: Final = "EdDSA"
CURVE: Final = "Ed25519"
RECORD_TYPE: Final = "consent+jws"
MAX_LINE: Final = 262_144
MAX_DEPTH: Final = 32
_REMEMBERED: Final = 100_000

_HEADER_NAMES: Final = ("alg", "kid", "typ")


class _OnlyEdDSA(JWSRegistry):
    """The one algorithm there is, and the header members that a record may have."""

    default_header_registry = {name: JWS_HEADER_REGISTRY[name] for name in _HEADER_NAMES}  # noqa: RUF012

    def get_alg(self, name: str) -> Any:
        if name != ALGORITHM:
            raise JoseError("another algorithm")
        return self.algorithms[ALGORITHM]


_JOSE: Final = _OnlyEdDSA(algorithms=[ALGORITHM])


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A registered public key.

    Attributes:
        kid: Its id.
        x: The public key, 32 bytes in base64url (RFC 8037).
        valid_from: First instant at which it may sign.
        revoked_from: Instant from which nothing under it is trusted, as it stands in the registry.
        is_test: Whether it is for trying things out only.
        may_import: Whether it may attest records of another system.
        may_attest: Whether it may sign for the registry.
        valid_until: Instant from which it signs nothing more; what it signed before stays good.
    """

    kid: str
    x: str
    valid_from: datetime
    revoked_from: str | None
    is_test: bool
    may_import: bool
    may_attest: bool = False
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """One line of a consent file, as far as it can be read and trusted.

    Attributes:
        line: Number of the line, from 1.
        row: The flat row of the decision rules without its subject; ``kid`` and ``sig_ok`` come from the
            signature, never from what the record says.
        subject: The person's raw identifier, None where that cannot be read.
        fault: Why the line is not trusted, None if it is: UNSIGNED, NOT_A_JWS, HEADER_REFUSED, KEY_UNKNOWN,
            TEST_KEY, SIGNATURE_WRONG, KEY_NOT_YET_VALID, KEY_EXPIRED, UNKNOWN_MEMBERS, or a code of
            `RecordFault`.
        jws: The line itself, None if it holds no JWS.
    """

    line: int
    row: dict[str, Any] = field(repr=False)
    subject: Identifier | None = field(repr=False)
    fault: str | None
    jws: str | None = field(repr=False)

    def decision_row(self, subject: str | None) -> dict[str, Any]:
        """The flat row about a person.

        Args:
            subject: What stands for the person in decisions (a pseudonym), None if that cannot be told.
        """
        return self.row if subject is None else {**self.row, "subject": subject}


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """Verified lines in order, and which test keys signed some of them (allowed or not)."""

    records: Sequence[VerifiedRecord] = field(repr=False)
    test_keys: frozenset[str]

    @property
    def untrusted(self) -> int:
        """How many lines are not trusted."""
        return sum(record.fault is not None for record in self.records)


def sign_record(record: object, private_key: OKPKey, kid: str) -> str:
    """A record as a compact JWS over its canonical JSON.

    Args:
        record: The record as JSON.
        private_key: An Ed25519 key with its private half.
        kid: Id under which the registry has the public half.

    Raises:
        ValueError: The record cannot be written as JSON.
    """
    return sign_payload(canonical_bytes(record), private_key, kid, RECORD_TYPE)


def sign_payload(payload: bytes, private_key: OKPKey, kid: str, type_: str) -> str:
    """Some bytes as a compact JWS of a type."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": type_}
    return jws.serialize_compact(header, payload, private_key, registry=_JOSE)


@dataclass(frozen=True, slots=True)
class TypedToken:
    """A compact JWS of a type whose header says nothing else, before its signature is looked at."""

    kid: str
    _token: str = field(repr=False)

    def is_signed_by(self, key: OKPKey, payload: bytes) -> bool:
        """Whether the key signed exactly this payload."""
        segment = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
        return self._token.split(".")[1] == segment and _is_signed_by(self._token, key)


def read_token(token: str, type_: str) -> TypedToken | None:
    """A token with its key id, None if it is no JWS of the type."""
    if token.count(".") != 2:
        return None
    value, fault = _segment(token.partition(".")[0])
    if fault is not None or not isinstance(value, dict) or set(value) != set(_HEADER_NAMES):
        return None
    kid = value["kid"]
    well = value["alg"] == ALGORITHM and value["typ"] == type_
    return TypedToken(kid, token) if well and isinstance(kid, str) else None


def verify_records(
    lines: Iterable[bytes | str],
    keys: Mapping[str, SigningKey],
    *,
    allow_test_keys: bool = False,
    first_line: int = 1,
) -> VerifiedBatch:
    """Verify the lines of a consent file; every line that is not blank gives one record, trusted or not.

    Args:
        lines: Compact JWS, or JSON: a string or ``{"jws": "..."}`` that holds one, or an unsigned record.
        keys: Registered keys by id.
        allow_test_keys: Whether keys marked test are taken for keys.
        first_line: Number of the first line.
    """
    verifier = RecordVerifier(keys, allow_test_keys=allow_test_keys)
    records = [
        verifier.verify(line, number) for number, line in enumerate(lines, first_line) if not _is_blank(line)
    ]
    return VerifiedBatch(records, frozenset(verifier.test_keys))


def _is_blank(line: bytes | str) -> bool:
    return not line.strip()


class RecordVerifier:
    """Verifies records one by one, each distinct one once.

    Args:
        keys: Registered keys by id.
        allow_test_keys: Whether keys marked test are taken for keys.
    """

    def __init__(self, keys: Mapping[str, SigningKey], *, allow_test_keys: bool = False) -> None:
        self._keys = keys
        self._imported = {kid: import_public_key(key.x) for kid, key in keys.items()}
        self._allow_test_keys = allow_test_keys
        self._known: dict[str, tuple[ReadRecord, dict[str, Any], str | None]] = {}
        self._kids: dict[str, str | None] = {}
        self.test_keys: set[str] = set()

    def verify(self, line: bytes | str, number: int) -> VerifiedRecord:
        """Verify one line; never raises."""
        token, unsigned, fault = _take_line(line)
        if token is None:
            read = read_record(unsigned)
            return VerifiedRecord(number, {**read.row, **_untrusted(None)}, read.subject, fault, None)
        if token not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[token] = self._verified(token)
        read, trust, fault = self._known[token]
        return VerifiedRecord(number, {**read.row, **trust}, read.subject, fault, token)

    def _verified(self, token: str) -> tuple[ReadRecord, dict[str, Any], str | None]:
        header = token.partition(".")[0]
        record, fault = read_payload(token)
        kid = self._kid_of(header)
        read = read_record(record)
        fault = fault or self._distrust(token, kid, read)
        trust = _untrusted(kid)
        if fault is None:
            trust |= {"sig_ok": True, "import_attested": self._attests_import(record, kid)}
        return read, trust, fault

    def _distrust(self, token: str, kid: str | None, read: ReadRecord) -> str | None:
        if kid is None:
            return "HEADER_REFUSED"
        key = self._keys.get(kid)
        if key is None:
            return "KEY_UNKNOWN"
        if not _is_signed_by(token, self._imported[kid]):
            return "SIGNATURE_WRONG"
        if key.is_test:
            self.test_keys.add(kid)
            if not self._allow_test_keys:
                return "TEST_KEY"
        if (fault := _outside_validity(key, read.row)) is not None:
            return fault
        # What else the record says may narrow a yes, and cannot weaken a no.
        return "UNKNOWN_MEMBERS" if read.extended and not is_negative(read.row) else None

    def _kid_of(self, header: str) -> str | None:
        if header not in self._kids:
            self._kids[header] = _read_kid(header)
        return self._kids[header]

    def _attests_import(self, record: object, kid: str | None) -> bool:
        meeting = record.get("x-meeting") if isinstance(record, dict) else None
        attestation = meeting.get("import_attestation") if isinstance(meeting, dict) else None
        attester = attestation.get("attester_kid") if isinstance(attestation, dict) else None
        return kid is not None and attester == kid and self._keys[kid].may_import


def _untrusted(kid: str | None) -> dict[str, Any]:
    named = {} if kid is None else {"kid": kid}
    return {**named, "sig_ok": False, "import_attested": False}


def _take_line(line: bytes | str) -> tuple[str | None, object, str | None]:
    """The JWS of a line, or the unsigned value that it holds instead with the fault."""
    data = line.encode("utf-8", "replace") if isinstance(line, str) else line
    data = data.strip()
    if len(data) > MAX_LINE:
        return None, None, "NOT_A_JWS"
    if data[:1] not in (b"{", b'"'):
        return _as_token(data)
    value, fault = read_legible(data)
    if fault is None and isinstance(value, dict) and set(value) == {"jws"}:
        value = value["jws"]
    if fault is None and isinstance(value, str):
        return _as_token(value.encode("utf-8", "replace"))
    return None, value, fault or "UNSIGNED"


def _as_token(data: bytes) -> tuple[str | None, object, str | None]:
    if data.count(b".") != 2 or not data.isascii():
        return None, None, "NOT_A_JWS"
    return data.decode("ascii"), None, None


def read_legible(data: bytes) -> tuple[Any, str | None]:
    """A JSON value that is strict, or what is legible of one that is not, with the code of its fault.

    Members whose key occurs twice in one object are not legible: nobody can say which of them was meant.
    """
    try:
        if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
            # What reading and writing again leaves as it was names no key twice; this is twice as fast.
            value = msgspec.json.decode(data)
            if canonical_bytes(value) == data:
                return value, None
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # the strict reader says what is wrong
    try:
        parse_strict(data, max_depth=MAX_DEPTH, keep_below=0)
        return msgspec.json.decode(data), None
    except RecordFault as error:
        fault = error.code
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None, "NOT_JSON"
    if fault != "DUPLICATE_KEY":
        return None, fault
    try:
        return json.loads(data, object_pairs_hook=_without_ambiguous), fault
    except (ValueError, RecursionError):
        return None, fault


def _without_ambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    return {name: value for name, value in pairs if names.count(name) == 1}


def read_payload(token: str) -> tuple[Any, str | None]:
    """What is legible of a JWS's payload, signed well or not, with the code of its fault."""
    return _segment(token.split(".")[1])


def _segment(segment: str) -> tuple[Any, str | None]:
    try:
        data = base64.b64decode(segment + "=" * (-len(segment) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None, "NOT_A_JWS"
    return read_legible(data)


def _read_kid(header: str) -> str | None:
    """The key id of a header that says nothing but what a record's header may say."""
    value, fault = _segment(header)
    if fault is not None or not isinstance(value, dict) or not value.keys() <= set(_HEADER_NAMES):
        return None
    kid = value.get("kid")
    well = value.get("alg") == ALGORITHM and value.get("typ", RECORD_TYPE) == RECORD_TYPE
    return kid if well and isinstance(kid, str) else None


def import_public_key(x: str) -> OKPKey:
    """An Ed25519 public key.

    Raises:
        ValueError: It is not 32 bytes in base64url.
    """
    try:
        return OKPKey.import_key({"kty": "OKP", "crv": CURVE, "x": x})
    except (JoseError, ValueError, TypeError):
        raise ValueError("not an Ed25519 public key") from None


def _is_signed_by(token: str, key: OKPKey) -> bool:
    # The library also refuses base64 that is not canonical, so no second spelling of a JWS is taken.
    try:
        jws.deserialize_compact(token, key, registry=_JOSE)
    except (JoseError, ValueError, TypeError):
        return False
    return True


def _outside_validity(key: SigningKey, row: Mapping[str, Any]) -> str | None:
    """Why the key could not sign at the later of the record's two times, as for revocation."""
    times = [time for name in ("event_time", "ingested_at") if (time := read_time(row.get(name)))]
    if not times or max(times) < key.valid_from:
        return "KEY_NOT_YET_VALID"
    return "KEY_EXPIRED" if key.valid_until is not None and max(times) >= key.valid_until else None


__all__ = [
    "RecordVerifier",
    "SigningKey",
    "TypedToken",
    "VerifiedBatch",
    "VerifiedRecord",
    "import_public_key",
    "read_legible",
    "read_payload",
    "read_token",
    "sign_payload",
    "sign_record",
    "verify_records",
]
