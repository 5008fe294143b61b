from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import consent_signing
from schemas.consent_record import STATE_OF_STATUS, canonical_bytes
from schemas.consent_signing import VerifiedRecord, sign_record, verify_records
from schemas.strict_json import RecordFault, parse_strict
from tests.unit.schemas.consent_samples import (
    CANARY,
    KEY,
    KEYS,
    OTHER_KEY,
    RECORD,
    record,
    signing_key,
)

TOKEN = sign_record(RECORD, KEY, "k1")


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(header: object, payload: bytes) -> str:
    """A JWS with any header and payload, signed well."""
    told = f"{encode(json.dumps(header).encode())}.{encode(payload)}"
    private = KEY.private_key
    assert private is not None
    return f"{told}.{encode(private.sign(told.encode()))}"  # type: ignore[union-attr]


def verify(line: bytes | str, **options: Any) -> VerifiedRecord:
    return verify_records([line], options.pop("keys", KEYS), **options).records[0]


def test_a_signed_record_is_trusted_and_comes_back() -> None:
    found = verify(TOKEN)
    assert (found.fault, found.row["kid"], found.row["sig_ok"]) == (None, "k1", True)
    assert found.row["purposes"] == ["ai_training"]
    assert found.decision_row("p1") == {**found.row, "subject": "p1"}
    assert found.subject is not None
    assert found.subject.value == CANARY


def test_another_implementation_verifies_the_signature() -> None:
    told, _, signature = TOKEN.rpartition(".")
    public = Ed25519PublicKey.from_public_bytes(decode(KEYS["k1"].x))
    public.verify(decode(signature), told.encode())
    assert decode(told.split(".")[1]) == canonical_bytes(RECORD)


@pytest.mark.parametrize(
    "line", [TOKEN, TOKEN.encode(), json.dumps(TOKEN), json.dumps({"jws": TOKEN}), f" {TOKEN}\r"]
)
def test_every_spelling_of_a_line_is_read(line: bytes | str) -> None:
    assert verify(line).fault is None


@given(st.data())
@settings(max_examples=300)
def test_no_changed_bit_is_trusted(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(TOKEN) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(TOKEN.encode())
    changed[position] ^= 1 << bit
    for found in verify_records([bytes(changed)], KEYS).records:
        assert found.fault is not None
        assert found.row["sig_ok"] is False


def test_no_changed_bit_of_the_signature_is_trusted() -> None:
    head, _, signature = TOKEN.rpartition(".")
    for position in range(len(signature)):
        for bit in range(7):
            changed = bytearray(signature.encode())
            changed[position] ^= 1 << bit
            line = head.encode() + b"." + bytes(changed)
            assert verify(line).fault is not None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "k1"},
        {"alg": "HS256", "kid": "k1"},
        {"alg": "Ed448", "kid": "k1"},
        {"alg": "eddsa", "kid": "k1"},
        {"kid": "k1"},
        {"alg": "EdDSA"},
        {"alg": "EdDSA", "kid": ["k1"]},
        {"alg": "EdDSA", "kid": "k1", "jwk": KEY.as_dict(private=False)},
        {"alg": "EdDSA", "kid": "k1", "jku": "https://example.org/keys"},
        {"alg": "EdDSA", "kid": "k1", "x5c": ["AA=="]},
        {"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": False},
        {"alg": "EdDSA", "kid": "k1", "typ": "JWT"},
        ["EdDSA"],
    ],
)
def test_a_header_that_says_anything_else_is_refused(header: object) -> None:
    found = verify(signed(header, canonical_bytes(RECORD)))
    assert found.fault == "HEADER_REFUSED"
    assert found.row["sig_ok"] is False


def test_a_header_that_names_a_key_twice_is_refused() -> None:
    header = encode(b'{"alg":"EdDSA","kid":"k9","kid":"k1"}')
    assert verify(f"{header}.{TOKEN.split('.', 1)[1]}").fault == "HEADER_REFUSED"


def test_the_public_key_is_no_shared_secret() -> None:
    import hashlib
    import hmac

    told = f"{encode(json.dumps({'alg': 'HS256', 'kid': 'k1'}).encode())}.{encode(canonical_bytes(RECORD))}"
    tag = hmac.digest(decode(KEYS["k1"].x), told.encode(), hashlib.sha256)
    assert verify(f"{told}.{encode(tag)}").fault == "HEADER_REFUSED"


def test_a_payload_with_a_repeated_key_is_refused_and_keeps_what_is_legible() -> None:
    text = canonical_bytes(RECORD).replace(b'"record_id":"r-1"', b'"record_id":"r-1","record_id":"r-2"')
    found = verify(signed({"alg": "EdDSA", "kid": "k1"}, text))
    assert (found.fault, found.row["sig_ok"]) == ("DUPLICATE_KEY", False)
    assert "id" not in found.row
    assert found.row["status"] == "given"
    assert found.subject is not None


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", "NOT_JSON"),
        (b"\xff", "INVALID_UTF8"),
        (b"[" * 40 + b"]" * 40, "TOO_DEEP"),
        (b'{"a":', "NOT_JSON"),
    ],
)
def test_a_payload_that_is_no_strict_json_is_refused(payload: bytes, fault: str) -> None:
    found = verify(signed({"alg": "EdDSA", "kid": "k1"}, payload))
    assert (found.fault, found.row["sig_ok"], found.subject) == (fault, False, None)


def test_a_signed_value_that_is_no_record_is_no_yes() -> None:
    found = verify(signed({"alg": "EdDSA", "kid": "k1"}, b"[1]"))
    assert (found.fault, found.row["sig_ok"]) == ("KEY_NOT_YET_VALID", False)


def test_an_unknown_key_is_named_and_not_trusted() -> None:
    found = verify(sign_record(RECORD, KEY, "k9"))
    assert (found.fault, found.row["kid"], found.row["sig_ok"]) == ("KEY_UNKNOWN", "k9", False)


def test_a_signature_of_another_key_under_a_known_id_is_wrong() -> None:
    assert verify(sign_record(RECORD, OTHER_KEY, "k1")).fault == "SIGNATURE_WRONG"


def test_a_test_key_counts_only_where_it_is_allowed() -> None:
    keys = {"k1": signing_key(is_test=True)}
    refused = verify_records([TOKEN], keys)
    allowed = verify_records([TOKEN], keys, allow_test_keys=True)
    assert (refused.records[0].fault, refused.test_keys) == ("TEST_KEY", frozenset({"k1"}))
    assert (allowed.records[0].fault, allowed.test_keys) == (None, frozenset({"k1"}))
    assert verify_records([TOKEN], KEYS).test_keys == frozenset()
    forged = verify_records([sign_record(RECORD, OTHER_KEY, "k1")], keys, allow_test_keys=True)
    assert (forged.records[0].fault, forged.test_keys) == ("SIGNATURE_WRONG", frozenset())


@pytest.mark.parametrize(
    ("until", "fault"), [("2026-02-01T00:00:01Z", None), ("2026-02-01T00:00:00Z", "KEY_EXPIRED")]
)
def test_a_key_signs_nothing_more_after_its_validity(until: str, fault: str | None) -> None:
    times = {"event__event_time": "2026-01-31T23:59:59Z", "x_meeting__ingested_at": "2026-02-01T00:00:00Z"}
    token = sign_record(record(**times), KEY, "k1")
    keys = {"k1": signing_key(valid_until=datetime.fromisoformat(until))}
    assert verify_records([token], keys).records[0].fault == fault


@pytest.mark.parametrize(
    ("event", "arrival", "fault"),
    [
        ("2025-12-31T23:59:59Z", "2025-12-31T23:59:59Z", "KEY_NOT_YET_VALID"),
        ("2025-06-01T00:00:00Z", "2026-01-01T00:00:00Z", None),
        ("2026-01-01T00:00:00Z", "2025-12-01T00:00:00Z", None),
    ],
)
def test_a_key_signs_nothing_before_its_time(event: str, arrival: str, fault: str | None) -> None:
    given_record = record(event__event_time=event, x_meeting__ingested_at=arrival)
    assert verify(sign_record(given_record, KEY, "k1")).fault == fault


@pytest.mark.parametrize(
    ("state", "fault"), [("ConsentGiven", "UNKNOWN_MEMBERS"), ("ConsentWithdrawn", None)]
)
def test_what_the_form_does_not_know_weakens_a_yes_only(state: str, fault: str | None) -> None:
    extended = record(event__event_state=state, x_meeting__except_kinds=["video"])
    assert verify(sign_record(extended, KEY, "k1")).fault == fault


def test_a_record_cannot_vouch_for_itself() -> None:
    forged = {**RECORD, "sig_ok": True, "kid": "k1", "import_attested": True}
    found = verify(json.dumps(forged))
    assert found.fault == "UNSIGNED"
    assert (found.row["sig_ok"], found.row["import_attested"], "kid" in found.row) == (False, False, False)


def attested(kid: str) -> dict[str, Any]:
    attestation = {
        "source_system": "old",
        "source_file_sha256": "0" * 64,
        "source_line": 1,
        "attester_kid": kid,
    }
    return record(x_meeting__import_attestation=attestation)


@pytest.mark.parametrize(
    ("attester", "may_import", "expected"), [("k1", True, True), ("k2", True, False), ("k1", False, False)]
)
def test_an_import_is_attested_by_the_signing_key_if_it_may(
    attester: str, may_import: bool, expected: bool
) -> None:
    found = verify(
        sign_record(attested(attester), KEY, "k1"), keys={"k1": signing_key(may_import=may_import)}
    )
    assert (found.fault, found.row["import_attested"]) == (None, expected)


@pytest.mark.parametrize(
    "line", [b"garbage", b"null", b"[1]", b'{"a"', b"a.b.c", b"\xff\xfe", b"x" * 300_000]
)
def test_a_line_that_is_nothing_is_a_row_without_anything_legible(line: bytes) -> None:
    found = verify(line)
    assert found.fault is not None
    assert found.row["sig_ok"] is False
    assert not {"id", "status", "event_time"} & set(found.row)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_line_raises(line: bytes | str) -> None:
    assert verify_records([line], KEYS).untrusted == len(verify_records([line], KEYS).records)


def test_lines_keep_their_numbers_and_blank_ones_are_none() -> None:
    found = verify_records([TOKEN, "", TOKEN, "x"], KEYS).records
    assert [(each.line, each.fault) for each in found] == [(1, None), (3, None), (4, "NOT_A_JWS")]


def test_equal_records_are_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    original = consent_signing.read_payload

    def counted(token: str) -> tuple[Any, str | None]:
        calls.append(token)
        return original(token)

    monkeypatch.setattr(consent_signing, "read_payload", counted)
    verify_records([TOKEN] * 5, KEYS)
    assert len(calls) == 1


def test_no_repr_shows_the_person() -> None:
    batch = verify_records([TOKEN, json.dumps(RECORD)], KEYS)
    assert CANARY not in repr(batch) + "".join(map(repr, batch.records))
    assert TOKEN not in repr(batch.records)


IN_RECORD = {
    "id": "record_id",
    "purposes": "processing__purpose",
    "event_time": "event__event_time",
    "grantor": "x_meeting__grantor_role",
    "kinds": "x_meeting__content_kinds",
    "terms": "x_meeting__terms_version",
    "no_detriment": "x_meeting__no_detriment_attested",
}
SIGNATURE_FIELDS = ("kid", "sig_ok", "import_attested", "subject", "status", "controller")


def as_signed(row: dict[str, Any]) -> str:
    """A flat row of the vectors as the signed record that it stands for."""
    changes = {
        IN_RECORD.get(name, f"x_meeting__{name}"): value
        for name, value in row.items()
        if name not in SIGNATURE_FIELDS
    }
    changes["event__event_state"] = STATE_OF_STATUS[row["status"]]
    changes["processing__pii_controllers"] = [row["controller"]]
    changes["pii_principal_id"] = {"type": "email", "value": row["subject"]}
    if row.get("import_attested"):
        changes["x_meeting__import_attestation"] = {"attester_kid": row["kid"]}
    return sign_record(record(**changes), KEY if row["sig_ok"] else OTHER_KEY, row["kid"])


def test_every_row_of_the_vectors_survives_being_signed_and_read(shared_folder: Path) -> None:
    vectors = json.loads((shared_folder / "consent" / "vectors.json").read_text())["vectors"]
    keys = {kid: signing_key(kid, valid_from=datetime(2020, 1, 1, tzinfo=UTC)) for kid in ("k1", "k2", "k9")}
    rows = [row for vector in vectors for row in vector["records"]]
    found = verify_records(map(as_signed, rows), keys).records
    assert len(rows) > 100
    for row, each in zip(rows, found, strict=True):
        read = each.decision_row(row["subject"])
        assert {name: read[name] for name in row} == row
        assert each.subject is not None
        assert each.subject.value == row["subject"]


@given(st.data())
def test_reading_is_strict_however_a_value_is_written(data: st.DataObject) -> None:
    pieces = st.sampled_from(
        [b'"a":1', b'"b":[]', b'"\\u0061":2', b'"c":{"d":1,"d":2}', b'"e":1e400', b'"f":"\xff"']
    )
    text = b"{" + b",".join(data.draw(st.lists(pieces, max_size=4))) + b"}"
    try:
        parse_strict(text)
        strict = True
    except RecordFault:
        strict = False
    fault = consent_signing.read_legible(text)[1]
    # A number out of range is JSON and nothing that Python could hold.
    assert fault in (None, "NOT_JSON") if strict else fault is not None


def test_nesting_is_bounded_however_it_is_written() -> None:
    for opener, closer in ((b"[", b"]"), (b'{"a":', b"}")):
        for depth, fault in ((32, None), (33, "TOO_DEEP")):
            text = opener * depth + (b"" if opener == b"[" else b"1") + closer * depth
            assert consent_signing.read_legible(text)[1] == fault
