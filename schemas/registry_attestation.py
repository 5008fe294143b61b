"""Who stands behind a registry: a signature over ``registry.json``, and thereby over every file it pins.

A pin shows that a file changed; it does not show who changed it. ``registry.jws`` does: a compact JWS (RFC
7515) by one of the registry's own keys that may attest. Its type is not that of a consent record, so that
neither can pass for the other. Which key it must be can be named from outside, by its thumbprint (RFC 7638).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from joserfc.jwk import OKPKey

from schemas.consent_record import canonical_bytes
from schemas.consent_signing import SigningKey, import_public_key, read_token, sign_payload
from schemas.errors import ConfigurationError
from schemas.places import Place
from schemas.registry_files import REGISTRY_FILE, FileError, RegistryProblem, read_bytes, sha256_hex

ATTESTATION_FILE: Final = "registry.jws"
ATTESTATION_TYPE: Final = "registry+jws"

UNSIGNED: Final = "REGISTRY_UNSIGNED"
SIGNATURE_WRONG: Final = "REGISTRY_SIGNATURE_WRONG"
SIGNER_REFUSED: Final = "REGISTRY_SIGNER_REFUSED"
SIGNER_IS_TEST: Final = "REGISTRY_SIGNED_FOR_TESTS"

_SIGN: Final = "sign it with `cofferdam consent pin --signing-key FILE`"


@dataclass(frozen=True, slots=True)
class Attestation:
    """The key that signed for a registry.

    Attributes:
        kid: Its id in the registry.
        thumbprint: Its thumbprint (RFC 7638), for others to name it by.
        is_test: Whether it is for trying things out only.
    """

    kid: str
    thumbprint: str
    is_test: bool


def attest(content: bytes, key: OKPKey, kid: str) -> bytes:
    """The bytes of ``registry.jws``.

    Args:
        content: The bytes of ``registry.json``.
        key: A private key.
        kid: Id under which the registry has its public half.
    """
    return sign_payload(_payload(content), key, kid, ATTESTATION_TYPE).encode() + b"\n"


def check_attestation(
    directory: Place, content: bytes, keys: Mapping[str, SigningKey]
) -> tuple[Attestation | None, list[RegistryProblem]]:
    """Who signed for a registry, and what is wrong with that; no attestation where something is.

    Args:
        directory: The registry.
        content: The bytes of ``registry.json``.
        keys: The registry's keys.
    """
    try:
        token = read_bytes(directory, ATTESTATION_FILE).strip().decode("ascii", "replace")
    except FileError as error:
        if (directory / ATTESTATION_FILE).exists():
            return None, [error.problem]
        return None, [
            _problem(UNSIGNED, f"nobody has signed {REGISTRY_FILE}; look at what it holds, and {_SIGN}")
        ]
    header = read_token(token, ATTESTATION_TYPE)
    key = keys.get(header.kid) if header is not None else None
    if header is None or key is None or not header.is_signed_by(import_public_key(key.x), _payload(content)):
        message = f"is no signature of {REGISTRY_FILE} as it is now; look at what changed, and {_SIGN}"
        return None, [_problem(SIGNATURE_WRONG, message)]
    if not key.may_attest or key.revoked_from is not None:
        message = "its key may not attest registries, or was revoked; sign with one that has `may_attest`"
        return None, [_problem(SIGNER_REFUSED, message)]
    found = Attestation(key.kid, import_public_key(key.x).thumbprint(), key.is_test)
    if not key.is_test:
        return found, []
    advice = "signed with a key marked test: nothing is released with it unless test keys are allowed"
    return found, [_problem(SIGNER_IS_TEST, advice, is_advice=True)]


def require_signer(found: Attestation | None, thumbprint: str | None, *, allow_test_keys: bool) -> None:
    """Refuse a registry that another key than the one meant has signed, or a test key where none may.

    Args:
        found: Who signed.
        thumbprint: Thumbprint of the key that is meant; None for any that may attest.
        allow_test_keys: Whether keys marked test are keys.

    Raises:
        ConfigurationError: ``REGISTRY_SIGNER_REFUSED`` or ``REGISTRY_SIGNED_FOR_TESTS``.
    """
    if found is None or (thumbprint is not None and found.thumbprint != thumbprint):
        message = "the registry is not signed by the key that --registry-signer names; ask who changed it"
        raise ConfigurationError(SIGNER_REFUSED, message)
    if found.is_test and not allow_test_keys:
        message = (
            "the registry is signed with a test key; sign it with a real one, or try with --allow-test-keys"
        )
        raise ConfigurationError(SIGNER_IS_TEST, message)


def _payload(content: bytes) -> bytes:
    return canonical_bytes({"registry_sha256": sha256_hex(content)})


def _problem(code: str, message: str, *, is_advice: bool = False) -> RegistryProblem:
    return RegistryProblem(ATTESTATION_FILE, 0, "", code, message, is_advice)


__all__ = [
    "ATTESTATION_FILE",
    "SIGNATURE_WRONG",
    "SIGNER_IS_TEST",
    "SIGNER_REFUSED",
    "UNSIGNED",
    "Attestation",
    "attest",
    "check_attestation",
    "require_signer",
]
