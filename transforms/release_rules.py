"""What every worker of a release needs to know: settings, and the registry without its people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from schemas.consent_rows import read_time
from schemas.consent_signing import SigningKey
from schemas.errors import ConfigurationError
from schemas.registry import Registry
from schemas.registry_attestation import Attestation, require_signer
from transforms.consent_intake import MEETING_TYPE
from transforms.pseudonyms import TENANT_TYPE, Pseudonymiser
from validation.cases import Registry as RulesRegistry
from validation.decisions import Decider
from validation.gate import Gate
from validation.item_rules import CONTENT
from validation.policy import Policies
from validation.reading import SECOND, read_instant

DECIDE, SINK = "decide", "sink"
UNREGISTERED_CONTROLLER: Final = "unregistered"
"""Stands for the controller of a tenant that the registry does not have: no record is of it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ABSENT: Final = {"legal_hold": False, "erasure_requested": False}
"""The registry is the register of holds and requests: what is not in it is not there."""


@dataclass(frozen=True)
class TenantView:
    """What decisions need of a tenant, meetings under their pseudonyms."""

    controller: str
    authorised: frozenset[str]
    registry: RulesRegistry = field(repr=False)
    declared: Mapping[str, Any] = field(default_factory=dict)
    meetings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def attested_of(self, meeting: str | None) -> dict[str, Any]:
        """What the tenant attests of a meeting."""
        return {**_ABSENT, **self.declared, **self.meetings.get(meeting or "", {})}


@dataclass(frozen=True)
class ReleaseRequest:
    """What is asked: may items go to these purposes and this recipient, at this instant?

    Attributes:
        purposes: Registered purposes.
        recipient: first_party, processor or third_party.
        as_of: Instant of the decision (RFC 3339); no decision reads a clock.
        case_id: The case that a purpose of single cases is for.
        approvers: Who approved it.
        export_to: Where the content is to be taken, if anywhere else.
        transfer_mechanism: What covers that.
        registry_signer: Thumbprint (RFC 7638) of the key that must have signed for the registry, if named.
    """

    purposes: tuple[str, ...]
    recipient: str
    as_of: str
    case_id: str | None = None
    approvers: tuple[str, ...] = ()
    export_to: str | None = None
    transfer_mechanism: str | None = None
    registry_signer: str | None = None

    @property
    def as_of_time(self) -> datetime:
        """The instant, to the millisecond, as tables hold it.

        Raises:
            ConfigurationError: ``AS_OF_INVALID``.
        """
        nanoseconds, found = read_instant(self.as_of), read_time(self.as_of)
        if nanoseconds is None or found is None or found < _EPOCH:
            message = "--as-of is an instant such as 2026-06-01T00:00:00Z (RFC 3339), from 1970 on"
            raise ConfigurationError("AS_OF_INVALID", message)
        days = _EPOCH.toordinal() * 86_400 * SECOND
        return _EPOCH + timedelta(milliseconds=(nanoseconds - days) // 1_000_000)

    def as_fields(self) -> dict[str, Any]:
        """The fields of an item that every item of the request has."""
        fields: dict[str, Any] = {"recipient": self.recipient}
        if self.case_id is not None:
            fields["case"] = {"id": self.case_id, "approvers": list(self.approvers)}
        if self.export_to is not None:
            fields["export_to"] = self.export_to
        if self.transfer_mechanism is not None:
            fields["transfer_mechanism"] = self.transfer_mechanism
        return fields


@dataclass(frozen=True)
class ReleaseRules:
    """Policies and registry as decisions need them; nothing in here grows with the number of people.

    Attributes:
        request: What is asked.
        policies: The policies.
        tenants: Tenants by join pseudonym.
        general: Keys and terms where no tenant's contract applies.
        signing_keys: Registered signing keys.
        allow_test_keys: Whether keys marked test are keys.
        registry_hash: SHA-256 of the registry.
        attestation: Who signed for it.
        policy_hash: SHA-256 of the policies.
    """

    request: ReleaseRequest
    policies: Policies = field(repr=False)
    tenants: Mapping[str, TenantView] = field(repr=False)
    general: RulesRegistry = field(repr=False)
    signing_keys: Mapping[str, SigningKey] = field(repr=False)
    allow_test_keys: bool
    registry_hash: str
    attestation: Attestation | None = None
    policy_hash: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy_hash", self.policies.policy_hash)

    def item_fields(self, tenant: str | None, meeting: str | None, kind: str, purpose: str) -> dict[str, Any]:
        """What is known of items of a kind in a meeting before anybody's presence and records.

        Args:
            tenant: Join pseudonym, or None.
            meeting: Join pseudonym, or None.
            kind: Kind of content.
            purpose: The purpose that is asked for.
        """
        view = self.tenants.get(tenant or "")
        fields = {**self.request.as_fields(), "kind": kind, "lane": CONTENT, "purpose": purpose}
        fields |= {"tenant": tenant, "meeting": meeting}
        if view is None:
            # Whatever is not attested holds here anyway; only what would accuse somebody is left out.
            fields |= {**_ABSENT, "e2ee": False, "controller": UNREGISTERED_CONTROLLER, "tenant_ok": False}
            fields.pop("case", None)
            if any(profile.rules[purpose] == "necessary" for profile in self.policies.profiles.values()):
                del fields["recipient"]  # what needs nobody's consent still needs a tenant that is known
            return fields
        attested = view.attested_of(meeting)
        regions = [attested.pop("storage_region")] if "storage_region" in attested else []
        fields |= {**attested, "controller": view.controller, "tenant_ok": purpose in view.authorised}
        return {**fields, "regions": regions}

    def asks_nobody(self, purpose: str) -> bool:
        """Whether items may go to a purpose somewhere without the consent of those whom they concern."""
        rules = (profile.rules.get(purpose) for profile in self.policies.profiles.values())
        return any(rule in ("necessary", "authorised_case") for rule in rules)

    def is_to_be_erased(self, fields: Mapping[str, Any]) -> bool:
        """Whether the registry itself says that an item with these fields is to be erased."""
        until, as_of = read_instant(fields.get("retention_until")), read_instant(self.request.as_of)
        is_over = until is not None and as_of is not None and until <= as_of
        return fields["erasure_requested"] is True or is_over

    def registry_of(self, tenant: str | None) -> RulesRegistry:
        """Keys and terms that records of a tenant's meetings are judged by."""
        view = self.tenants.get(tenant or "")
        return self.general if view is None else view.registry


def make_rules(
    request: ReleaseRequest,
    registry: Registry,
    policies: Policies,
    pseudonyms: Pseudonymiser,
    *,
    allow_test_keys: bool,
) -> ReleaseRules:
    """The rules of a release.

    Raises:
        ConfigurationError: ``AS_OF_INVALID``, a purpose is not registered (``PURPOSE_NOT_REGISTERED``), or
            the registry is not signed by whom it must be (`schemas.registry_attestation.require_signer`).
    """
    require_signer(registry.attestation, request.registry_signer, allow_test_keys=allow_test_keys)
    as_of = request.as_of_time
    unknown = sorted(set(request.purposes) - set(registry.purposes))
    if unknown:
        known = ", ".join(sorted(registry.purposes))
        message = f"{', '.join(unknown)} is not a purpose of the registry, which has: {known}"
        raise ConfigurationError("PURPOSE_NOT_REGISTERED", message)

    def view(tenant: str) -> TenantView:
        entry = registry.tenants[tenant]
        return TenantView(
            entry.controller,
            frozenset(p for p in request.purposes if entry.authorises(p, as_of)),
            _rules_registry(registry, tenant, allow_test_keys),
            entry.declared.as_dict(),
            {
                pseudonyms.pseudonym(meeting, identifier_type=MEETING_TYPE): declared.as_dict()
                for meeting, declared in entry.meetings.items()
            },
        )

    return ReleaseRules(
        request,
        policies,
        {pseudonyms.pseudonym(t, identifier_type=TENANT_TYPE): view(t) for t in registry.tenants},
        _rules_registry(registry, None, allow_test_keys),
        dict(registry.keys),
        allow_test_keys,
        registry.registry_hash,
        registry.attestation,
    )


def _rules_registry(registry: Registry, tenant: str | None, allow_test_keys: bool) -> RulesRegistry:
    return RulesRegistry.from_json(registry.for_decisions(tenant, allow_test_keys=allow_test_keys))


@lru_cache(maxsize=4)
def _decider(policy_hash: str, holder: _PoliciesHolder) -> Decider:
    return Decider(holder.policies, Gate())


class _PoliciesHolder:
    """Policies as the key of a cache that looks at their hash only."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PoliciesHolder)


def decider_of(policies: Policies) -> Decider:
    """The decider of some policies, one a worker process: it remembers verdicts.

    Raises:
        PromiseBroken: The policies or their suites are not those that were pinned.
    """
    return _decider(f"{policies.policy_hash} {policies.pins!r}", _PoliciesHolder(policies))
