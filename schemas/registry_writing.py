"""Write registries: pins after a change, and a starter to try things out with.

The starter's signing key is marked test, and its private half lies beside it, so that nobody can take it for
a real one: whoever decides must allow test keys, and every report says that they were allowed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from schemas.consent_signing import CURVE
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.registry_attestation import ATTESTATION_FILE, attest
from schemas.registry_files import (
    PARTS,
    POLICIES,
    REGISTRY_FILE,
    FileError,
    Pin,
    Pins,
    pinned_json,
    read_bytes,
    read_pins,
    sha256_hex,
)

STARTER_FOLDER: Final = Path(__file__).parent / "consent"
TEST_KEY_FOLDER: Final = "test-keys"
KEYS_FILE: Final = "jwks.json"
DEFAULT_FILES: Final = {
    "keys": KEYS_FILE,
    "terms": "terms.json",
    "purposes": "purposes.json",
    "tenants": "tenants.json",
    "subjects": "subjects.jsonl",
}
_POLICIES_FILE: Final = "policies.json"
_LARGEST_KEY: Final = 65_536


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private signing key with the id under which the registry has its public half."""

    kid: str
    key: OKPKey

    def __repr__(self) -> str:
        return f"<PrivateKey {self.kid}>"


@dataclass(frozen=True, slots=True)
class PinChange:
    """How a file's hash relates to its pin: new, changed or same."""

    part: str
    path: str
    change: str


def compare_pins(directory: Path) -> tuple[list[PinChange], bytes]:
    """What pinning anew would change, and the bytes of ``registry.json`` that say so.

    A folder without ``registry.json`` is taken to have its files under their usual names.

    Raises:
        ConfigurationError: ``registry.json`` is not of its form.
        InfrastructureFault: A file is missing or cannot be read.
    """
    try:
        pins = read_pins(directory)[0] if (directory / REGISTRY_FILE).exists() else _usual_pins(directory)
        hashes = {part: sha256_hex(read_bytes(directory, pin.path)) for part, pin in pins.files.items()}
    except FileError as error:
        raise error.problem.as_error() from None
    changes = [
        PinChange(part, pin.path, _change(pin.sha256, hashes[part])) for part, pin in pins.files.items()
    ]
    return changes, pinned_json({part: pin.path for part, pin in pins.files.items()}, hashes)


def _change(pinned: str, found: str) -> str:
    if not pinned:
        return "new"
    return "same" if pinned == found else "changed"


def _usual_pins(directory: Path) -> Pins:
    names = {part: DEFAULT_FILES[part] for part in PARTS}
    if (directory / _POLICIES_FILE).exists():
        names[POLICIES] = _POLICIES_FILE
    return Pins(1, {part: Pin(name, "") for part, name in names.items()})


def write_pins(directory: Path, content: bytes, signer: PrivateKey | None = None) -> PrivateKey:
    """Replace ``registry.json`` and the signature over it.

    Whoever reads between the two finds a signature that does not fit, and takes neither.

    Args:
        directory: The registry.
        content: The bytes of ``registry.json``.
        signer: Signs for it; None takes the registry's own test key.

    Returns:
        The key that signed.

    Raises:
        ConfigurationError: ``SIGNING_KEY_NEEDED``: there is no such test key, or there are several.
        InfrastructureFault: ``REGISTRY_UNWRITABLE``.
    """
    signer = signer or own_test_key(directory)
    files = {ATTESTATION_FILE: attest(content, signer.key, signer.kid), REGISTRY_FILE: content}
    try:
        for name, data in files.items():
            draft = directory / f".{name}.new"
            draft.write_bytes(data)
            draft.replace(directory / name)
    except OSError:
        raise _unwritable(directory) from None
    return signer


def own_test_key(directory: Path) -> PrivateKey:
    """The private key that lies in a registry to try things out with.

    Raises:
        ConfigurationError: ``SIGNING_KEY_NEEDED``.
    """
    found = sorted((directory / TEST_KEY_FOLDER).glob("*.json"))
    if (directory / KEYS_FILE).exists():
        registered = (directory / KEYS_FILE).read_text(encoding="utf-8", errors="replace")
        found = [path for path in found if json.dumps(path.stem) in registered]
    if len(found) != 1:
        message = "name the private key that signs for the registry with --signing-key"
        raise ConfigurationError("SIGNING_KEY_NEEDED", message)
    return read_private_key(found[0])


def write_starter(directory: Path, *, valid_from: str) -> Path:
    """Write a registry to try things out with, and the test key that signs for it.

    Args:
        directory: A folder that does not exist, or is empty.
        valid_from: First instant at which the test key may sign (RFC 3339).

    Returns:
        The file of the private test key.

    Raises:
        ConfigurationError: ``REGISTRY_EXISTS``.
        InfrastructureFault: ``REGISTRY_UNWRITABLE``.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            message = f"{directory} is not empty; name a new folder, registries are never overwritten"
            raise ConfigurationError("REGISTRY_EXISTS", message)
        for source in sorted(STARTER_FOLDER.iterdir()):
            (directory / source.name).write_bytes(source.read_bytes())
        key = OKPKey.generate_key(CURVE)
        kid = f"test-{key.thumbprint()[:12]}"
        write_keys(directory / KEYS_FILE, [public_entry(key, kid, valid_from=valid_from, test=True)])
        private = write_private_key(directory / TEST_KEY_FOLDER / f"{kid}.json", key, kid)
    except OSError:
        raise _unwritable(directory) from None
    write_pins(directory, compare_pins(directory)[1])
    return private


def public_entry(
    key: OKPKey,
    kid: str,
    *,
    valid_from: str,
    revoked_from: str | None = None,
    test: bool = False,
    may_import: bool = True,
    may_attest: bool = True,
) -> dict[str, Any]:
    """The entry of a public key in the registry's JWKS."""
    entry: dict[str, Any] = {
        **key.as_dict(private=False),
        "kid": kid,
        "use": "sig",
        "alg": "EdDSA",
        "valid_from": valid_from,
        "test": test,
        "may_import": may_import,
        "may_attest": may_attest,
    }
    return entry if revoked_from is None else {**entry, "revoked_from": revoked_from}


def write_keys(path: Path, entries: list[Mapping[str, Any]]) -> None:
    """Write a JWKS file."""
    path.write_text(json.dumps({"keys": entries}, indent=2) + "\n", encoding="utf-8")


def write_private_key(path: Path, key: OKPKey, kid: str) -> Path:
    """Write a private key as a JWK that only its owner can read, in a folder of its own."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    document = {**key.as_dict(private=True), "kid": kid}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    return path


def read_private_key(path: Path) -> PrivateKey:
    """Read a private signing key.

    Raises:
        InfrastructureFault: ``SIGNING_KEY_MISSING`` or ``SIGNING_KEY_PERMISSIONS`` (others could read it).
        ConfigurationError: ``SIGNING_KEY_INVALID``: it is no Ed25519 JWK with a kid and a private half.
    """
    content = _read_guarded(path)
    try:
        document = json.loads(content)
        kid = document["kid"]
        key = OKPKey.import_key({name: document[name] for name in ("kty", "crv", "x", "d")})
        if key.curve_name != CURVE or key.private_key is None or not isinstance(kid, str) or not kid:
            raise ValueError("another kind of key")
        if OKPKey.import_key(key.private_key.public_key()).as_dict()["x"] != document["x"]:
            raise ValueError("halves of two keys")
    except (JoseError, KeyError, TypeError, ValueError):
        message = f"{path} is no Ed25519 key in JWK form with kid and private half (RFC 8037)"
        raise ConfigurationError("SIGNING_KEY_INVALID", message) from None
    return PrivateKey(kid, key)


def _read_guarded(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        message = f"{path} cannot be opened as a file; name the private key's JWK itself, not a link"
        raise InfrastructureFault("SIGNING_KEY_MISSING", message) from None
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            message = f"{path} is open to other users; run `chmod 600` on it, and if they read it, revoke it"
            raise InfrastructureFault("SIGNING_KEY_PERMISSIONS", message)
        return file.read(_LARGEST_KEY)


def _unwritable(directory: Path) -> InfrastructureFault:
    return InfrastructureFault(
        "REGISTRY_UNWRITABLE", f"{directory} cannot be written; check that its parent exists and permissions"
    )
