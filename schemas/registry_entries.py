"""What each registry file may say: signing keys, terms, purposes and tenants, read with all their problems.

Each reader takes a file that was parsed, and gives what it understood together with every problem that it
found; a registry with a problem that is not mere advice is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins
from msgspec import field as field_of

from schemas.consent_record import HASH_PATTERN, ID_PATTERN, Id, Instant, Party, Text, Texts
from schemas.consent_rows import read_time
from schemas.consent_sets import CAPTURES, TERMS_STATUSES
from schemas.consent_signing import SigningKey, import_public_key
from schemas.registry_files import FileError, JsonFile, RegistryProblem, sha256_hex

PRIVATE_KEY: Final = "REGISTRY_PRIVATE_KEY"
REPEATED: Final = "REGISTRY_REPEATED"
NOTICE_CHANGED: Final = "REGISTRY_NOTICE_CHANGED"
UNKNOWN_REFERENCE: Final = "REGISTRY_UNKNOWN_REFERENCE"
TEST_KEY: Final = "REGISTRY_TEST_KEY"
INTERVAL_EMPTY: Final = "REGISTRY_INTERVAL_EMPTY"

if TYPE_CHECKING:
    TermsStatus: TypeAlias = str
    Capture: TypeAlias = str
else:
    TermsStatus = Literal[TERMS_STATUSES]
    Capture = Literal[CAPTURES]

Problems = list[RegistryProblem]
ReadText = Callable[[str], bytes]
"""Reads another file of the registry by name."""


class _KeyEntry(Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON Web Key (RFC 7517, 8037) with its validity."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")]
    kid: Annotated[str, Meta(pattern=ID_PATTERN)]
    valid_from: Instant
    valid_until: Instant | UnsetType = UNSET
    revoked_from: Instant | UnsetType = UNSET
    use: Literal["sig"] | UnsetType = UNSET
    alg: Literal["EdDSA"] | UnsetType = UNSET
    test: bool = False
    may_import: bool = False
    may_attest: bool = False


def read_keys(file: JsonFile) -> tuple[dict[str, SigningKey], Problems]:
    """The signing keys of a JWKS file, by id."""
    keys: dict[str, SigningKey] = {}
    problems: Problems = list(file.unknown_members(("keys",)))
    entries = file.value.get("keys")
    if not isinstance(entries, list) or not entries:
        return keys, [*problems, file.problem(("keys",), "must list at least one key")]
    for number, entry in enumerate(entries):
        path = ("keys", number)
        try:
            key = _read_key(file, path, entry)
        except FileError as error:
            problems.append(error.problem)
            continue
        if key.kid in keys:
            problems.append(file.problem(path, "an earlier key has the same kid; give it another", REPEATED))
        keys[key.kid] = key
        if key.is_test:
            advice = "marked test: its records count only with --allow-test-keys"
            problems.append(file.problem(path, advice, TEST_KEY, is_advice=True))
    return keys, problems


def _read_key(file: JsonFile, path: tuple[str | int, ...], entry: object) -> SigningKey:
    if isinstance(entry, dict) and "d" in entry:
        message = "holds a private key; remove `d`, and revoke the key: whoever read this file can sign"
        raise FileError(file.problem((*path, "d"), message, PRIVATE_KEY))
    key = file.typed(path, entry, _KeyEntry)
    try:
        import_public_key(key.x)
    except ValueError:
        raise FileError(file.problem((*path, "x"), "is no Ed25519 public key in base64url")) from None
    revoked = None if key.revoked_from is UNSET else key.revoked_from
    valid_from = _instant(file, (*path, "valid_from"), key.valid_from)
    until = None if key.valid_until is UNSET else _instant(file, (*path, "valid_until"), key.valid_until)
    if until is not None and until <= valid_from:
        raise FileError(file.problem((*path, "valid_until"), "ends before it begins", INTERVAL_EMPTY))
    if revoked is not None:
        _instant(file, (*path, "revoked_from"), revoked)
    return SigningKey(key.kid, key.x, valid_from, revoked, key.test, key.may_import, key.may_attest, until)


def _instant(file: JsonFile, path: tuple[str | int, ...], text: str) -> datetime:
    instant = read_time(text)
    if instant is None:
        raise FileError(file.problem(path, "is no instant: RFC 3339 with an offset, on a day that exists"))
    return instant


class TermsEntry(Struct, forbid_unknown_fields=True, kw_only=True, rename={"start": "from"}):
    """A version of terms with the notice that was shown.

    Attributes:
        start: First instant at which it could be agreed to.
        status: Whether a later version replaced it, and whether that matters to what was agreed.
        hash: SHA-256 (hex) of the text that was shown.
        notice: Where the text is kept.
        language: BCP 47 tag of the text.
        jurisdiction: Whose law the text names.
        storage_locations: Where it says that data is kept.
        withdrawal_method: How it says that a yes can be taken back.
        text: File of the registry with the text; its SHA-256 must be ``hash``.
    """

    start: Instant
    status: TermsStatus
    hash: Annotated[str, Meta(pattern=HASH_PATTERN)]
    notice: Text
    language: Text
    jurisdiction: Text
    storage_locations: Texts
    withdrawal_method: Text
    text: str | UnsetType = UNSET

    def for_decisions(self) -> dict[str, str]:
        """The version as the decision rules read it."""
        return {"from": self.start, "status": self.status, "hash": self.hash}


@dataclass(frozen=True)
class Contract:
    """The terms that one tenant agreed with the controller.

    Attributes:
        general: Whether the general terms apply beside them.
        versions: The tenant's own versions; one with a general version's name replaces it.
    """

    general: bool
    versions: Mapping[str, TermsEntry]


@dataclass(frozen=True)
class TermsRegister:
    """All versions of terms, general and by contract."""

    versions: Mapping[str, TermsEntry] = field(default_factory=dict)
    contracts: Mapping[str, Contract] = field(default_factory=dict)

    def of_tenant(self, tenant: str | None) -> Mapping[str, TermsEntry]:
        """The versions that records of a tenant's meetings may cite."""
        contract = self.contracts.get(tenant) if tenant is not None else None
        if contract is None:
            return self.versions
        return {**(self.versions if contract.general else {}), **contract.versions}


def read_terms(file: JsonFile, read_text: ReadText) -> tuple[TermsRegister, Problems]:
    """The register of terms; notice texts that it names are held to their hashes."""
    problems: Problems = list(file.unknown_members(("versions", "contracts")))
    versions = _versions(file, ("versions",), read_text, problems)
    contracts = {}
    for path, tenant, entry in file.entries("contracts") if "contracts" in file.value else ():
        general = entry.get("general") if isinstance(entry, dict) else None
        if not isinstance(general, bool) or set(entry) != {"general", "versions"}:
            message = "needs `general` (whether the general terms apply besides) and `versions`"
            problems.append(file.problem(path, message))
            continue
        own = _versions(file, ("contracts", tenant, "versions"), read_text, problems)
        contracts[tenant] = Contract(general, own)
    return TermsRegister(versions, contracts), problems


def _versions(
    file: JsonFile, place: tuple[str, ...], read_text: ReadText, problems: Problems
) -> dict[str, TermsEntry]:
    found = {}
    for path, name, entry in file.entries(*place):
        try:
            file.typed(path, name, Id)
            terms = file.typed(path, entry, TermsEntry)
            _instant(file, (*path, "from"), terms.start)
            if terms.text is not UNSET and sha256_hex(read_text(terms.text)) != terms.hash:
                message = "is not the SHA-256 of the text that it names; a changed text is a new version"
                raise FileError(file.problem((*path, "hash"), message, NOTICE_CHANGED))
        except FileError as error:
            problems.append(error.problem)
            continue
        found[name] = terms
    return found


class PurposeEntry(Struct, forbid_unknown_fields=True, kw_only=True):
    """A purpose; that its basis has no gap is checked together with the policies.

    Attributes:
        title: What is done, in plain words.
        basis: Lawful basis by region; a profile without an entry takes its parent's.
        retention: How long what was released for it is kept: days, months or years in ISO 8601 form.
        dpia: Reference of the impact assessment, None where there is none.
    """

    title: Text
    basis: dict[str, str]
    retention: Annotated[str, Meta(pattern=r"^P[1-9][0-9]{0,4}[DMY]$(?!\n)")]
    dpia: Text | None


def read_purposes(file: JsonFile) -> tuple[dict[str, PurposeEntry], Problems]:
    """The purposes of the register, by name."""
    problems: Problems = list(file.unknown_members(("title", "about", "purposes", "articles")))
    purposes = {}
    list(file.entries("articles"))
    for path, name, entry in file.entries("purposes"):
        try:
            purposes[name] = file.typed(path, entry, PurposeEntry)
        except FileError as error:
            problems.append(error.problem)
    return purposes, problems


class Authorisation(Struct, forbid_unknown_fields=True, kw_only=True, rename={"start": "from"}):
    """A tenant's yes to a purpose: the second lock, beside the people's own.

    Attributes:
        purpose: A registered purpose.
        start: First instant at which it holds.
        until: Instant at which it ends; open where it is not set.
        reference: The contract or letter that it stands in.
    """

    purpose: str
    start: Instant
    reference: Text
    until: Instant | UnsetType = UNSET


class Declaration(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a tenant attests of its meetings; whatever it leaves out is taken the restrictive way.

    Attributes:
        e2ee: Whether end-to-end encryption was promised.
        capture: Who had agreed before sound and picture were recorded.
        special: Whether content is of a special category.
        phi: Whether it is health information under HIPAA.
        hipaa_authorization: Whether its use is authorised under HIPAA.
        edu: Whether it is an education record under FERPA.
        ferpa_consent: Whether there is the consent that FERPA asks for.
        third_party_mention: Whether it speaks of people who were not there.
        redacted: Whether they were taken out.
        storage_region: Where it is kept.
        legal_hold: Whether it is kept for a legal claim.
        erasure_requested: Whether somebody has asked that it be erased.
        retention_until: End of the time for which it may be kept.
    """

    e2ee: bool | UnsetType = UNSET
    capture: Capture | UnsetType = UNSET
    special: bool | UnsetType = UNSET
    phi: bool | UnsetType = UNSET
    hipaa_authorization: bool | UnsetType = UNSET
    edu: bool | UnsetType = UNSET
    ferpa_consent: bool | UnsetType = UNSET
    third_party_mention: bool | UnsetType = UNSET
    redacted: bool | UnsetType = UNSET
    storage_region: str | UnsetType = UNSET
    legal_hold: bool | UnsetType = UNSET
    erasure_requested: bool | UnsetType = UNSET
    retention_until: Instant | UnsetType = UNSET

    def as_dict(self) -> dict[str, Any]:
        """What is attested, by name."""
        given: dict[str, Any] = to_builtins(self)
        return given


class _TenantEntry(Struct, forbid_unknown_fields=True):
    controller: str
    authorised: list[Authorisation]
    declared: Declaration = field_of(default_factory=Declaration)
    meetings: dict[str, Declaration] = field_of(default_factory=dict)


@dataclass(frozen=True)
class Tenant:
    """A customer account: its controller, what it has authorised and what it attests.

    Attributes:
        controller: Party id of the controller of its meetings.
        authorised: Its authorisations with the instants at which each begins and ends.
        declared: What it attests of all its meetings.
        meetings: What it attests of single meetings, by id; that comes before what it says of all.
    """

    controller: str
    authorised: tuple[tuple[Authorisation, datetime, datetime | None], ...]
    declared: Declaration = field(default_factory=Declaration)
    meetings: Mapping[str, Declaration] = field(default_factory=dict, repr=False)

    def authorises(self, purpose: str, as_of: datetime) -> bool:
        """Whether the tenant has authorised a purpose at an instant (from inclusive, until exclusive)."""
        return any(
            entry.purpose == purpose and start <= as_of and (end is None or as_of < end)
            for entry, start, end in self.authorised
        )


def read_tenants(
    file: JsonFile, purposes: Mapping[str, Any]
) -> tuple[dict[str, Tenant], dict[str, Party], Problems]:
    """Tenants and controllers by id.

    Args:
        file: The file of tenants.
        purposes: Registered purposes; an authorisation of any other is a problem.
    """
    problems: Problems = list(file.unknown_members(("controllers", "tenants")))
    controllers: dict[str, Party] = {}
    for path, name, entry in file.entries("controllers"):
        try:
            party = {"party_id": name, **entry} if isinstance(entry, dict) else entry
            controllers[name] = file.typed(path, party, Party)
        except FileError as error:
            problems.append(error.problem)
    tenants = {}
    for path, name, entry in file.entries("tenants"):
        try:
            tenants[name] = _read_tenant(file, path, entry, controllers, purposes)
        except FileError as error:
            problems.append(error.problem)
    return tenants, controllers, problems


def _read_tenant(
    file: JsonFile,
    path: tuple[str | int, ...],
    entry: object,
    controllers: Mapping[str, Party],
    purposes: Mapping[str, Any],
) -> Tenant:
    given = file.typed(path, entry, _TenantEntry)
    if given.controller not in controllers:
        message = "names a controller that is not among `controllers`"
        raise FileError(file.problem((*path, "controller"), message, UNKNOWN_REFERENCE))
    read = []
    for number, each in enumerate(given.authorised):
        place = (*path, "authorised", number)
        if each.purpose not in purposes:
            message = "names a purpose that is not registered in the file of purposes"
            raise FileError(file.problem((*place, "purpose"), message, UNKNOWN_REFERENCE))
        start = _instant(file, (*place, "from"), each.start)
        end = None if each.until is UNSET else _instant(file, (*place, "until"), each.until)
        if end is not None and end <= start:
            raise FileError(file.problem((*place, "until"), "ends before it begins", INTERVAL_EMPTY))
        read.append((each, start, end))
    return Tenant(given.controller, tuple(read), given.declared, given.meetings)
