"""The registry: everything that consent records are judged against, as files with a pinned hash each.

What is not registered does not exist: a record under an unknown key is not trusted, terms that are not here
are unknown, a tenant that is not here has authorised nothing. A registry with any problem is not used at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.consent_record import Party
from schemas.consent_signing import SigningKey
from schemas.places import Place
from schemas.registry_attestation import Attestation, check_attestation
from schemas.registry_entries import (
    PurposeEntry,
    Tenant,
    TermsRegister,
    read_keys,
    read_purposes,
    read_tenants,
    read_terms,
)
from schemas.registry_files import (
    POLICIES,
    FileError,
    JsonFile,
    Pins,
    RegistryProblem,
    check_pin,
    read_bytes,
    read_pins,
    sha256_hex,
)
from schemas.registry_subjects import CONFLICT, Attributes, Conflict, SubjectRegister, read_subjects

__all__ = ["CONFLICT", "Attributes", "Conflict", "Registry", "load_registry", "read_registry"]


@dataclass(frozen=True)
class Registry:
    """A registry that was read and checked.

    Attributes:
        registry_hash: SHA-256 of ``registry.json``, and thereby of every file that it pins.
        attestation: Who signed for it; None only where lint reads on behind a signature that is wrong.
        keys: Signing keys by id, test keys included.
        terms: Versions of terms and notices.
        purposes: Registered purposes by name.
        tenants: Customer accounts by id.
        controllers: Controllers as parties, by id.
        subjects: People with their identifiers and attributes.
        purposes_document: The file of purposes as JSON, for the policies to be checked with.
        policies_document: The file of policies as JSON; None where the shipped ones apply.
    """

    registry_hash: str
    attestation: Attestation | None = None
    keys: Mapping[str, SigningKey] = field(default_factory=dict, repr=False)
    terms: TermsRegister = field(default_factory=TermsRegister, repr=False)
    purposes: Mapping[str, PurposeEntry] = field(default_factory=dict, repr=False)
    tenants: Mapping[str, Tenant] = field(default_factory=dict, repr=False)
    controllers: Mapping[str, Party] = field(default_factory=dict, repr=False)
    subjects: SubjectRegister = field(default_factory=SubjectRegister, repr=False)
    purposes_document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    policies_document: Mapping[str, Any] | None = field(default=None, repr=False)

    def person_of(self, identifier_type: str, value: str | int) -> str | Conflict | None:
        """The person behind an identifier: an id, `CONFLICT` if several claim it, None if nobody does."""
        return self.subjects.person_of(identifier_type, value)

    def tenant_ok(self, tenant: str, purpose: str, as_of: datetime) -> bool:
        """Whether a tenant has authorised a purpose at an instant; one that is not registered has not."""
        registered = self.tenants.get(tenant)
        return registered is not None and registered.authorises(purpose, as_of)

    def controller_of(self, tenant: str) -> str | None:
        """Party id of the controller of a tenant's meetings."""
        registered = self.tenants.get(tenant)
        return None if registered is None else registered.controller

    def for_decisions(self, tenant: str | None = None, *, allow_test_keys: bool = False) -> dict[str, Any]:
        """Keys and terms in the form of ``registry`` in files of test vectors.

        Args:
            tenant: Whose contract decides which terms may be cited; None for the general ones.
            allow_test_keys: Whether keys marked test are keys.
        """
        keys = {
            kid: {} if key.revoked_from is None else {"revoked_from": key.revoked_from}
            for kid, key in self.keys.items()
            if allow_test_keys or not key.is_test
        }
        versions = self.terms.of_tenant(tenant)
        return {"keys": keys, "terms": {name: terms.for_decisions() for name, terms in versions.items()}}


def load_registry(directory: Place) -> Registry:
    """Read a registry, all of it or nothing.

    That every purpose has its lawful basis in every region is checked when the policies are built from
    ``purposes_document`` and ``policies_document``.

    Raises:
        ConfigurationError: A file is not the pinned one (``REGISTRY_PIN_MISMATCH``) or not of its form, or
            nobody who may has signed for it (``REGISTRY_UNSIGNED`` and others of
            `schemas.registry_attestation`); the message names file, line, field and what to do.
        InfrastructureFault: A file cannot be read (``REGISTRY_UNREADABLE``).
    """
    registry, problems = read_registry(directory)
    for problem in problems:
        if not problem.is_advice:
            raise problem.as_error()
    if registry is None:
        raise AssertionError("a registry without problems was not read")
    return registry


def read_registry(directory: Place) -> tuple[Registry | None, list[RegistryProblem]]:
    """Read a registry as far as possible, with every problem in it; what cannot be read stays empty."""
    try:
        pins, data = read_pins(directory)
    except FileError as error:
        return None, [error.problem]
    reading = _Reading(directory, pins)
    return reading.registry(data), reading.problems


class _Reading:
    """One pass over the files of a registry that collects problems."""

    def __init__(self, directory: Place, pins: Pins) -> None:
        self._directory = directory
        self._pins = pins
        self.problems: list[RegistryProblem] = []

    def registry(self, content: bytes) -> Registry:
        keys = self._json("keys", read_keys)
        attestation = None
        if keys:  # without keys nobody can tell, and the registry is not used anyway
            attestation, problems = check_attestation(self._directory, content, keys)
            self.problems.extend(problems)
        terms = self._json("terms", lambda file: read_terms(file, self._text))
        documents: dict[str, Any] = {}
        purposes = self._json("purposes", lambda file: read_purposes(_kept(file, "purposes", documents)))
        tenants = self._json("tenants", lambda file: _pair(read_tenants(file, purposes or {})))
        self._json(POLICIES, lambda file: (_kept(file, POLICIES, documents), []))
        return Registry(
            sha256_hex(content),
            attestation=attestation,
            keys=keys or {},
            terms=terms or TermsRegister(),
            purposes=purposes or {},
            tenants=tenants[0] if tenants else {},
            controllers=tenants[1] if tenants else {},
            subjects=self._subjects(),
            purposes_document=documents.get("purposes", {}),
            policies_document=documents.get(POLICIES),
        )

    def _subjects(self) -> SubjectRegister:
        data = self._pinned("subjects")
        if data is None:
            return SubjectRegister()
        subjects, problems = read_subjects(self._pins.files["subjects"].path, data)
        self.problems.extend(problems)
        return subjects

    def _json(self, part: str, read: Any) -> Any:
        data = self._pinned(part)
        if data is None:
            return None
        try:
            found, problems = read(JsonFile.parse(self._pins.files[part].path, data))
        except FileError as error:
            self.problems.append(error.problem)
            return None
        self.problems.extend(problems)
        return found

    def _pinned(self, part: str) -> bytes | None:
        """The bytes of a part, None where it has none; lint reads on behind a pin that does not match."""
        pin = self._pins.files.get(part)
        if pin is None:
            return None
        try:
            data = read_bytes(self._directory, pin.path)
        except FileError as error:
            self.problems.append(error.problem)
            return None
        mismatch = check_pin(part, pin, data)
        if mismatch is not None:
            self.problems.append(mismatch)
        return data

    def _text(self, name: str) -> bytes:
        """A notice's text; its pin is the hash in the register of terms."""
        return read_bytes(self._directory, name)


def _kept(file: JsonFile, part: str, documents: dict[str, Any]) -> JsonFile:
    documents[part] = file.value
    return file


def _pair(read: tuple[Any, Any, list[RegistryProblem]]) -> tuple[tuple[Any, Any], list[RegistryProblem]]:
    tenants, controllers, problems = read
    return (tenants, controllers), problems
