"""A stand-in for the client of Google Cloud KMS, with real cryptography and the service's rules.

It takes the requests and gives the answers that ``google.cloud.kms.KeyManagementServiceClient`` does (checked
against version 3.18 of the library, whose own message classes are used where it is installed), refuses keys
that are disabled or destroyed, checks the CRC32C of a request, and can damage what it answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import grpc
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from transforms.key_provider_gcp import crc32c

try:
    from google.api_core import exceptions as real_errors
    from google.cloud import kms as real_kms
except ImportError:
    real_kms = None

ENABLED, DISABLED, DESTROYED, DESTROY_SCHEDULED = 1, 2, 3, 4
KEM_XWING, ML_KEM_768 = 63, 47
XWING_LABEL = b"\\.//^\\"
DUE = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)


def name_of(version: int, key: str = "vault") -> str:
    return f"projects/p-1/locations/europe-west1/keyRings/ring/cryptoKeys/{key}/cryptoKeyVersions/{version}"


class StatusError(Exception):
    """An error of the service where its library is not installed; the text quotes the request."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.grpc_status_code = code


def service_error(code: str, text: str) -> Exception:
    if real_kms is not None:
        return real_errors.from_grpc_status(getattr(grpc.StatusCode, code), text)
    return StatusError(getattr(grpc.StatusCode, code), text)


def message(name: str, fields: Mapping[str, Any]) -> Any:
    """A message of the service: of the real class where there is one, which refuses unknown fields."""
    if real_kms is not None:
        return getattr(real_kms, name)(dict(fields))
    return SimpleNamespace(**fields)


@dataclass
class Version:
    """One key version."""

    mlkem: MLKEM768PrivateKey = field(default_factory=MLKEM768PrivateKey.generate)
    x25519: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    state: int = ENABLED
    algorithm: int = KEM_XWING

    @property
    def public_half(self) -> bytes:
        return self.mlkem.public_key().public_bytes_raw() + self.x25519.public_key().public_bytes_raw()

    def decapsulate(self, encapsulated: bytes) -> bytes:
        """X-Wing (draft-connolly-cfrg-xwing-kem), 5.5, of components."""
        ours = self.x25519.public_key().public_bytes_raw()
        ephemeral = encapsulated[1088:]
        first = self.mlkem.decapsulate(encapsulated[:1088])
        second = self.x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        return hashlib.sha3_256(first + second + ephemeral + ours + XWING_LABEL).digest()


@dataclass
class FakeKms:
    """The service. ``damage`` changes answers, by the name of a field; ``failing`` makes every call fail."""

    versions: dict[str, Version] = field(default_factory=dict)
    damage: dict[str, Any] = field(default_factory=dict)
    damaged_answers: int = 1_000
    failing: str = ""
    calls: list[str] = field(default_factory=list)

    def get_public_key(self, request: dict[str, Any]) -> Any:
        asked, version = self._asked("GetPublicKeyRequest", request)
        if asked.public_key_format != 4:
            raise service_error("INVALID_ARGUMENT", "a format is needed")
        public = version.public_half
        data = {"data": public, "crc32c_checksum": crc32c(public)}
        if "public_data" in self.damage:
            data["data"] = self.damage["public_data"]
        return self._answer(
            "PublicKey",
            name=asked.name,
            algorithm=version.algorithm,
            public_key=data if real_kms is not None else SimpleNamespace(**data),
        )

    def decapsulate(self, request: dict[str, Any]) -> Any:
        asked, version = self._asked("DecapsulateRequest", request)
        if len(asked.ciphertext) != 1120 or int(asked.ciphertext_crc32c) != crc32c(asked.ciphertext):
            raise service_error("INVALID_ARGUMENT", f"bad ciphertext {asked.ciphertext!r}")
        secret = version.decapsulate(asked.ciphertext)
        return self._answer(
            "DecapsulateResponse",
            name=asked.name,
            shared_secret=secret,
            shared_secret_crc32c=crc32c(secret),
            verified_ciphertext_crc32c=True,
        )

    def get_crypto_key_version(self, request: dict[str, Any]) -> Any:
        asked, version = self._asked("GetCryptoKeyVersionRequest", request, alive=False)
        return self._version(asked.name, version)

    def destroy_crypto_key_version(self, request: dict[str, Any]) -> Any:
        asked, version = self._asked("DestroyCryptoKeyVersionRequest", request, alive=False)
        if version.state in (DESTROYED, DESTROY_SCHEDULED):
            raise service_error("FAILED_PRECONDITION", "destroyed already")
        version.state = DESTROY_SCHEDULED
        return self._version(asked.name, version)

    def _asked(self, kind: str, request: dict[str, Any], alive: bool = True) -> tuple[Any, Version]:
        self.calls.append(kind)
        if self.failing:
            raise service_error(self.failing, f"the request was {request}")
        asked = message(kind, request)
        version = self.versions.get(asked.name)
        if version is None:
            raise service_error("NOT_FOUND", f"no {asked.name}")
        if alive and version.state != ENABLED:
            raise service_error("FAILED_PRECONDITION", f"{asked.name} is not enabled")
        return asked, version

    def _version(self, name: str, version: Version) -> Any:
        scheduled = version.state == DESTROY_SCHEDULED
        return self._answer(
            "CryptoKeyVersion", name=name, state=version.state, destroy_time=DUE if scheduled else None
        )

    def _answer(self, kind: str, **fields: Any) -> Any:
        changed = {name: value for name, value in self.damage.items() if name in fields}
        if changed and self.damaged_answers:
            self.damaged_answers -= 1
            fields |= changed
        return message(kind, fields)
