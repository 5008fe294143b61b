"""A vault key whose private half stays in Google Cloud KMS.

The key has purpose KEY_ENCAPSULATION and algorithm KEM_XWING. X-Wing is the same KEM, ML-KEM-768 with X25519,
that HPKE wraps bundle keys with here (code point 0x647a), so ingest seals with the public half and never
talks to the service, and the sealed format is the same. The service decapsulates the shared secret; the rest
of HPKE (RFC 9180, base mode, one message) is done here.

Every answer is checked as the service asks: CRC32C of what was sent and of what came back, and the key's
name.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.chunked_encryption import Buffer, SealBroken
from transforms.key_files import VAULT_PUBLIC_BYTES
from transforms.key_providers import Destruction, no_more, not_unwrapped

SCHEME: Final = "gcp-kms://"
ENCAPSULATED_BYTES: Final = 1120
SECRET_BYTES: Final = 32

_NAME: Final = re.compile(
    r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,40}/keyRings/[A-Za-z0-9_-]{1,63}"
    r"/cryptoKeys/[A-Za-z0-9_-]{1,63}/cryptoKeyVersions/[0-9]{1,10}"
)
# Numbers of the service's interface (google.cloud.kms.v1), which need not be installed to read this.
_KEM_XWING: Final = 63
_XWING_RAW_BYTES: Final = 4
_DESTROYED: Final = 3
_DESTROY_SCHEDULED: Final = 4
_TRIES: Final = 3


def connect() -> Any:
    """A client of the service, with the credentials of the environment.

    Raises:
        ConfigurationError: The client library is not installed (``KEYS_NO_KMS``).
        InfrastructureFault: There are no credentials (``KMS_UNAVAILABLE``).
    """
    try:
        from google.cloud import kms
    except ImportError:
        raise ConfigurationError(
            "KEYS_NO_KMS", "the client of Cloud KMS is not installed; run `pip install 'cofferdam[kms]'`"
        ) from None
    try:
        return kms.KeyManagementServiceClient()
    except Exception as error:  # the library's errors have no common base
        raise InfrastructureFault(
            "KMS_UNAVAILABLE",
            f"no connection to Cloud KMS ({type(error).__name__}); check the credentials, then run again",
        ) from None


def key_name(location: str) -> str:
    """The service's name of the key version at ``gcp-kms://projects/…/cryptoKeyVersions/N``.

    Raises:
        ConfigurationError: It is no such address (``KEYS_KMS_NAME``).
    """
    name = location.removeprefix(SCHEME)
    if not location.startswith(SCHEME) or not _NAME.fullmatch(name):
        raise ConfigurationError(
            "KEYS_KMS_NAME",
            f"a vault key in Cloud KMS is named {SCHEME}projects/P/locations/L/keyRings/R/cryptoKeys/K"
            "/cryptoKeyVersions/N",
        )
    return name


def fetch_public_half(name: str) -> bytes:
    """The public half (1184 + 32 bytes) of a key version.

    Raises:
        ConfigurationError: There is no such key, or it is of another algorithm (``KEYS_KMS_KEY``).
        InfrastructureFault: The service cannot be asked, or its answer was damaged on its way.
    """
    request = {"name": name, "public_key_format": _XWING_RAW_BYTES}
    for _ in range(_TRIES):
        try:
            answer = _asked(lambda client: client.get_public_key(request=request))
        except SealBroken:
            raise _no_such_key() from None
        if int(answer.algorithm) != _KEM_XWING:
            raise _no_such_key()
        public_half = bytes(answer.public_key.data)
        sound = int(answer.public_key.crc32c_checksum or 0) == crc32c(public_half)
        if answer.name == name and sound and len(public_half) == VAULT_PUBLIC_BYTES:
            return public_half
    raise _damaged()


class CloudKmsVaultKey:
    """A private half in Cloud KMS (implements ``VaultKey``).

    Args:
        name: The service's name of the key version.
        public_half: Its public half (1184 + 32 bytes).
    """

    def __init__(self, name: str, public_half: bytes) -> None:
        self._name, self._public_half = name, public_half

    @classmethod
    def of_reference(cls, material: bytes) -> CloudKmsVaultKey:
        """The key that a file of the key directory refers to: public half, then name."""
        name = material[VAULT_PUBLIC_BYTES:].decode("ascii", "replace")
        return cls(key_name(f"{SCHEME}{name}"), material[:VAULT_PUBLIC_BYTES])

    @property
    def public_half(self) -> bytes:
        """ML-KEM-768 and X25519 public keys (1184 + 32 bytes)."""
        return self._public_half

    def __repr__(self) -> str:
        return f"<CloudKmsVaultKey {self._name}>"

    def unwrap(self, wrapped: Buffer, *, info: bytes) -> bytes:
        """Unwrap a key; as ``VaultKey.unwrap``."""
        encapsulated, sealed = bytes(wrapped[:ENCAPSULATED_BYTES]), bytes(wrapped[ENCAPSULATED_BYTES:])
        if len(encapsulated) != ENCAPSULATED_BYTES:
            raise not_unwrapped()
        key, nonce = hpke_key_and_nonce(self._decapsulated(encapsulated), info)
        try:
            return AESGCM(key).decrypt(nonce, sealed, b"")
        except (InvalidTag, ValueError):
            raise not_unwrapped() from None

    def _decapsulated(self, encapsulated: bytes) -> bytes:
        checksum = crc32c(encapsulated)
        request = {"name": self._name, "ciphertext": encapsulated, "ciphertext_crc32c": checksum}
        for _ in range(_TRIES):
            answer = _asked(lambda client: client.decapsulate(request=request))
            secret = bytes(answer.shared_secret)
            arrived = answer.verified_ciphertext_crc32c and answer.shared_secret_crc32c == crc32c(secret)
            if arrived and answer.name == self._name and len(secret) == SECRET_BYTES:
                return secret
        raise _damaged()

    def destroy(self) -> Destruction:
        """Schedule the destruction of the key version; the service waits as long as the key says."""
        request = {"name": self._name}
        answer = _asked(lambda client: client.get_crypto_key_version(request=request))
        if int(answer.state) not in (_DESTROYED, _DESTROY_SCHEDULED):
            answer = _asked(lambda client: client.destroy_crypto_key_version(request=request))
        if int(answer.state) == _DESTROYED:
            return Destruction(done=True)
        if int(answer.state) != _DESTROY_SCHEDULED:
            raise InfrastructureFault(
                "KMS_NOT_DESTROYED", "the key version is not to be destroyed; destroy it in Cloud KMS"
            )
        return Destruction(done=False, due=answer.destroy_time.isoformat())


_client: Any = None


def _asked(ask: Callable[[Any], Any]) -> Any:
    """Ask the service, and turn its errors, whose text may hold anything, into ours."""
    global _client
    if _client is None:
        _client = connect()
    try:
        return ask(_client)
    except Exception as error:  # the library's errors have no common base
        code = getattr(getattr(error, "grpc_status_code", None), "name", "")
        raise _ERRORS.get(code, _unavailable)() from None


def _unavailable() -> Exception:
    return InfrastructureFault("KMS_UNAVAILABLE", "Cloud KMS cannot be asked now; run again later")


def _no_such_key() -> ConfigurationError:
    return ConfigurationError(
        "KEYS_KMS_KEY",
        "Cloud KMS has no enabled key version of this name with purpose key-encapsulation and algorithm "
        "kem-xwing; make one",
    )


def _denied() -> Exception:
    return InfrastructureFault(
        "KMS_DENIED",
        "Cloud KMS refused; the release side needs the rights to decapsulate and to view the public key, and "
        "to retire a key, the right to destroy key versions",
    )


def _damaged() -> InfrastructureFault:
    return InfrastructureFault(
        "KMS_INTEGRITY", "answers of Cloud KMS were damaged on their way, three times; run again"
    )


_ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    "INVALID_ARGUMENT": not_unwrapped,
    "NOT_FOUND": lambda: no_more("the vault key is not in Cloud KMS; it was destroyed, or never there"),
    "FAILED_PRECONDITION": lambda: no_more("the vault key is disabled or destroyed in Cloud KMS"),
    "PERMISSION_DENIED": _denied,
    "UNAUTHENTICATED": _denied,
}


# --- the rest of HPKE ---------------------------------------------------------------------------------------

_SUITE_ID: Final = b"HPKE" + b"\x64\x7a" + b"\x00\x01" + b"\x00\x02"
"""KEM MLKEM768-X25519 (0x647a), HKDF-SHA256 (1), AES-256-GCM (2)."""


def hpke_key_and_nonce(shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of the first message in base mode (RFC 9180, 5.1), from the KEM's shared secret."""
    context = b"\x00" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared_secret, b"secret", b"")
    return _expand(secret, b"key", context, 32), _expand(secret, b"base_nonce", context, 12)


def _extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + _SUITE_ID + label + material, "sha256")


def _expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """One block of HKDF-Expand with HPKE's labels; nothing here needs more than the hash's 32 bytes."""
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + _SUITE_ID + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:length]


# --- CRC32C -------------------------------------------------------------------------------------------------


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32c(content: bytes) -> int:
    """CRC32C (Castagnoli, RFC 3720 appendix B.4) of some bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in content:
        value = (value >> 8) ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
