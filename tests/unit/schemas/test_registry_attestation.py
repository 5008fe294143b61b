"""Nothing is done with a registry for which nobody who may has signed, as it is now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from schemas.consent_signing import sign_payload, sign_record, verify_records
from schemas.errors import ConfigurationError
from schemas.registry import load_registry, read_registry
from schemas.registry_attestation import ATTESTATION_FILE, ATTESTATION_TYPE, attest, require_signer
from schemas.registry_files import REGISTRY_FILE
from schemas.registry_writing import PrivateKey, compare_pins, public_entry, write_keys, write_pins
from tests.unit.schemas.consent_samples import KEY, KEYS, RECORD, change_json, make_registry, repin

START = "2026-01-01T00:00:00Z"
OTHER = OKPKey.generate_key("Ed25519")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_registry(tmp_path / "registry")


def refused(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_registry(folder)
    return caught.value.code


def write_signature(folder: Path, token: str | bytes) -> None:
    (folder / ATTESTATION_FILE).write_bytes(token.encode() if isinstance(token, str) else token)


def test_a_signed_registry_says_who_signed(folder: Path) -> None:
    found = load_registry(folder).attestation
    assert found is not None
    assert (found.kid, found.thumbprint, found.is_test) == ("k1", KEY.thumbprint(), False)


def test_an_unsigned_registry_is_refused(folder: Path) -> None:
    (folder / ATTESTATION_FILE).unlink()
    assert refused(folder) == "REGISTRY_UNSIGNED"


@pytest.mark.parametrize(
    "name", ["subjects.jsonl", "tenants.json", "terms.json", "purposes.json", "jwks.json"]
)
def test_files_that_were_changed_and_pinned_anew_are_refused_without_a_signature(
    folder: Path, name: str
) -> None:
    """Whoever can write the folder can pin; only who has the key can sign."""
    with (folder / name).open("a") as file:
        file.write("\n")
    (folder / REGISTRY_FILE).write_bytes(compare_pins(folder)[1])
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"
    repin(folder)
    assert load_registry(folder).attestation is not None


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"\xff\xfe",
        b"a.b.c",
        b"..",
        "eyJhbGciOiJub25lIn0.e30.",
    ],
)
def test_what_is_no_signature_is_refused(folder: Path, token: str | bytes) -> None:
    write_signature(folder, token)
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"


def test_another_key_under_the_same_name_is_refused(folder: Path) -> None:
    write_signature(folder, attest((folder / REGISTRY_FILE).read_bytes(), OTHER, "k1"))
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"


def test_a_key_that_is_not_registered_is_refused(folder: Path) -> None:
    write_signature(folder, attest((folder / REGISTRY_FILE).read_bytes(), OTHER, "k9"))
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"


def test_the_signature_of_an_earlier_registry_is_refused(folder: Path) -> None:
    earlier = (folder / ATTESTATION_FILE).read_bytes()
    change_json(folder, "purposes.json", "title", "Ours")
    write_signature(folder, earlier)
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"


@pytest.mark.parametrize(("name", "value"), [("may_attest", False), ("revoked_from", "2026-05-01T00:00:00Z")])
def test_a_key_that_may_not_attest_is_refused(folder: Path, name: str, value: object) -> None:
    change_json(folder, "jwks.json", f"keys.0.{name}", value)
    assert refused(folder) == "REGISTRY_SIGNER_REFUSED"


def test_a_record_cannot_pass_for_a_signature_nor_a_signature_for_a_record(folder: Path) -> None:
    payload = json.dumps({"registry_sha256": "0" * 64}).encode()
    write_signature(folder, sign_payload(payload, KEY, "k1", "consent+jws"))
    assert refused(folder) == "REGISTRY_SIGNATURE_WRONG"
    as_record = sign_payload(json.dumps(RECORD).encode(), KEY, "k1", ATTESTATION_TYPE)
    assert verify_records([as_record], KEYS).records[0].fault == "HEADER_REFUSED"
    assert verify_records([sign_record(RECORD, KEY, "k1")], KEYS).records[0].fault is None


def test_a_test_key_signs_for_tests_only(folder: Path) -> None:
    write_keys(folder / "jwks.json", [public_entry(KEY, "k1", valid_from=START, test=True)])
    repin(folder)
    registry, problems = read_registry(folder)
    assert registry is not None
    assert [problem.code for problem in problems if not problem.is_advice] == []
    require_signer(registry.attestation, None, allow_test_keys=True)
    with pytest.raises(ConfigurationError, match="REGISTRY_SIGNED_FOR_TESTS"):
        require_signer(registry.attestation, None, allow_test_keys=False)


def test_the_signer_can_be_named_from_outside(folder: Path) -> None:
    """Whoever can write the folder could register a key of their own, and sign with it."""
    found = load_registry(folder).attestation
    require_signer(found, KEY.thumbprint(), allow_test_keys=False)
    keys = ((KEY, "k1"), (OTHER, "k2"))
    write_keys(folder / "jwks.json", [public_entry(key, kid, valid_from=START) for key, kid in keys])
    write_pins(folder, compare_pins(folder)[1], PrivateKey("k2", OTHER))
    found = load_registry(folder).attestation
    require_signer(found, None, allow_test_keys=False)
    with pytest.raises(ConfigurationError, match="REGISTRY_SIGNER_REFUSED"):
        require_signer(found, KEY.thumbprint(), allow_test_keys=False)
    with pytest.raises(ConfigurationError, match="REGISTRY_SIGNER_REFUSED"):
        require_signer(None, None, allow_test_keys=True)
