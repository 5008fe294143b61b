"""Build whole consent records from the few things that differ between them, for commands and imports."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

from schemas.consent_record import (
    SCHEMA_VERSION,
    STATE_OF_STATUS,
    UNTIL_WITHDRAWN,
    ConsentRecord,
    RecordFormError,
    as_json,
    check_form,
)
from schemas.consent_rows import Identifier
from schemas.consent_sets import ALL_KINDS, NEGATIVE_STATUSES
from schemas.errors import ConfigurationError
from schemas.registry import Registry

EVENT_TYPE_OF_MECHANISM: Final = {
    "explicit_statement": "ExplicitlyExpressedConsent",
    "written_release": "ExplicitlyExpressedConsent",
    "express_affirmative": "ExpressedConsent",
    "oral_recorded": "ExpressedConsent",
    "implied_continuation": "ImpliedConsent",
    "notice_acknowledged": "InformedConsent",
}
"""DPV consent type of a mechanism; whatever is not here leaves people uninformed."""

_FLAGS: Final = ("bundled", "conditional", "retroactive", "separate")
_HINTS: Final = {
    "scope": "meeting:ID, tenant:ID or global",
    "content_kinds": f"* or one of {', '.join(sorted(ALL_KINDS))}",
    "_time": "an RFC 3339 instant with its offset, such as 2026-03-02T09:58:00Z",
    "valid_": "an RFC 3339 instant with its offset, such as 2026-03-02T09:58:00Z",
    "ingested_at": "an RFC 3339 instant with its offset, such as 2026-03-02T09:58:00Z",
    "record_id": "letters, digits, dots, dashes and underscores that say nothing about the person",
}
"""What to say of fields that people write themselves."""

_OPTIONAL: Final = ("retention_policy", "valid_from", "valid_until", "import_attestation")
BUILDING_FIELDS: Final = (
    *("id", "subject", "status", "grantor", "mechanism", "purposes", "kinds", "scope", "recipients", "terms"),
    *("notice_hash", "event_time", "ingested_at", "controller", "no_detriment", "validity_duration"),
    *(*_FLAGS, *_OPTIONAL),
)
"""What `build_record` reads, under the names of the flat row."""


def build_record(
    fields: Mapping[str, Any], registry: Registry, *, tenant: str | None = None
) -> dict[str, Any]:
    """A whole record in its published form.

    Args:
        fields: Values under the names in ``BUILDING_FIELDS``. Required: subject (an `Identifier`), status,
            purposes, kinds, scope, terms, event_time, ingested_at, controller. The notice, its hash, the
            parties and the retention are taken from the registry.
        registry: Where terms, purposes and controllers are looked up.
        tenant: Whose contract decides which terms there are.

    Raises:
        ConfigurationError: ``CONSENT_UNREGISTERED`` (terms, purpose or controller), ``CONSENT_FORM`` (a value
            that the form does not allow; names the field).
    """
    unknown = sorted(set(fields) - set(BUILDING_FIELDS))
    if unknown:
        raise ConfigurationError("CONSENT_FORM", f"no such fields: {', '.join(unknown)}")
    record = {
        "schema_version": SCHEMA_VERSION,
        "record_id": fields.get("id") or str(uuid.uuid4()),
        "pii_principal_id": _principal(fields.get("subject")),
        "processing": _processing(fields, registry, tenant),
        "party_identification": [_party(fields, registry)],
        "event": _event(fields),
        "x-meeting": _meeting(fields, registry, tenant),
    }
    return as_json(_checked(record))


def _checked(record: Mapping[str, Any]) -> ConsentRecord:
    try:
        return check_form(record)
    except RecordFormError as error:
        raise ConfigurationError("CONSENT_FORM", _form_message(error.where)) from None


def _form_message(where: str) -> str:
    hint = next((hint for name, hint in _HINTS.items() if name in where), "")
    message = f"{where or 'the record'} is not of the form in docs/consent-record.schema.json"
    return f"{message}: {hint}" if hint else message


def _principal(subject: object) -> dict[str, Any]:
    if not isinstance(subject, Identifier):
        raise ConfigurationError("CONSENT_FORM", "the subject must be an identifier with its type")
    return {"type": subject.type, "value": subject.value}


def _processing(fields: Mapping[str, Any], registry: Registry, tenant: str | None) -> dict[str, Any]:
    terms = _registered(registry.terms.of_tenant(tenant), fields.get("terms"), "terms version")
    purposes, kinds = fields.get("purposes"), fields.get("kinds")
    if not isinstance(purposes, list) or not isinstance(kinds, list):
        raise ConfigurationError("CONSENT_FORM", "purposes and kinds must be lists")
    named = [each for each in purposes if not _is_any(each, fields)]
    retentions = {_registered(registry.purposes, each, "purpose").retention for each in named}
    return {
        "privacy_notice": terms.notice,
        "language": terms.language,
        "purpose": purposes,
        "pii_information": [{"pii_type": kind} for kind in kinds or ["*"]],
        "pii_controllers": [fields.get("controller")],
        "storage_locations": terms.storage_locations,
        "retention_period": " ".join(sorted(retentions)) or "none",
        "jurisdiction": terms.jurisdiction,
        "recipient_third_parties": ["third_party"] if "third_party" in fields.get("recipients", ()) else [],
        "withdrawal_method": terms.withdrawal_method,
    }


def _is_any(purpose: object, fields: Mapping[str, Any]) -> bool:
    return purpose == "*" and fields.get("status") in NEGATIVE_STATUSES


def _party(fields: Mapping[str, Any], registry: Registry) -> Any:
    return _registered(registry.controllers, fields.get("controller"), "controller")


def _event(fields: Mapping[str, Any]) -> dict[str, Any]:
    status, mechanism = fields.get("status"), fields.get("mechanism")
    known = isinstance(status, str) and status in STATE_OF_STATUS
    return {
        "event_time": fields.get("event_time"),
        "validity_duration": fields.get("validity_duration", UNTIL_WITHDRAWN),
        "entity_id": fields.get("controller"),
        "event_type": EVENT_TYPE_OF_MECHANISM.get(str(mechanism), "UninformedConsent"),
        "event_state": STATE_OF_STATUS[str(status)] if known else None,
    }


def _meeting(fields: Mapping[str, Any], registry: Registry, tenant: str | None) -> dict[str, Any]:
    terms = _registered(registry.terms.of_tenant(tenant), fields.get("terms"), "terms version")
    return {
        "scope": fields.get("scope"),
        "content_kinds": fields.get("kinds"),
        "grantor_role": fields.get("grantor", "subject"),
        "mechanism": fields.get("mechanism"),
        "recipients": fields.get("recipients", []),
        "terms_version": fields.get("terms"),
        "notice_hash": fields.get("notice_hash", terms.hash),
        "ingested_at": fields.get("ingested_at"),
        **{name: fields.get(name, False) for name in _FLAGS},
        "no_detriment_attested": fields.get("no_detriment", False),
        **{name: fields[name] for name in _OPTIONAL if name in fields},
    }


def _registered(known: Mapping[str, Any], name: object, what: str) -> Any:
    if not isinstance(name, str) or name not in known:
        message = f"a {what} that the registry does not have; it has: {', '.join(sorted(known)) or 'none'}"
        raise ConfigurationError("CONSENT_UNREGISTERED", message)
    return known[name]
