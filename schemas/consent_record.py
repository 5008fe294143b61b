"""The consent record: one event of one person, as ISO/IEC TS 27560 structures it, with what meetings need.

A record states what happened (asked, given, refused, withdrawn, …), to which processing it applies, who the
parties are, and, in the extension ``x-meeting``, which meeting and which kinds of content. Records are
events: they are added and never changed, and states such as *expired* are worked out, never stored. Names of
states and types follow the W3C Data Privacy Vocabulary (DPV).

The types below are the one description of the form: the published JSON Schema is made from them, and what is
written or imported is checked against them. What is *decided* from a record reads leniently and restrictively
instead (``schemas.consent_rows``), so that no malformed record can stop a run.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.consent_sets import ALL_KINDS, GRANTORS, RECIPIENTS

SCHEMA_VERSION: Final = "cofferdam-consent/1.0"
SCHEMA_ID: Final = "urn:cofferdam:schema:consent-record:1.0"

STATES: Final = {
    "ConsentGiven": "given",
    "RenewedConsentGiven": "renewed",
    "ConsentRequested": "requested",
    "ConsentRequestDeferred": "deferred",
    "ConsentRefused": "refused",
    "ConsentWithdrawn": "withdrawn",
    "ConsentRevoked": "revoked",
    "ConsentInvalidated": "invalidated",
}
"""DPV consent status to the status that the rules read. Expired and unknown are states, not events."""
STATE_OF_STATUS: Final = {status: state for state, status in STATES.items()}

EVENT_TYPES: Final = (
    "UninformedConsent",
    "InformedConsent",
    "ImpliedConsent",
    "ExpressedConsent",
    "ExplicitlyExpressedConsent",
)
"""DPV consent types."""

UNTIL_WITHDRAWN: Final = "until_withdrawn"

# A dollar sign alone would let Python, unlike ECMA 262, pass one line feed behind the text.
_END: Final = r"$(?!\n)"
RFC3339_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
    + _END
)
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}" + _END
IDENTIFIER_TYPE_PATTERN: Final = r"^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31})*" + _END
WORD_PATTERN: Final = r"^[a-z][a-z0-9_]{0,63}" + _END
SCOPE_PATTERN: Final = r"^(global|(tenant|meeting):[^\x00-\x1f]{1,256})" + _END
DURATION_PATTERN: Final = rf"^(P[0-9]{{1,5}}D|{UNTIL_WITHDRAWN})" + _END
HASH_PATTERN: Final = r"^[0-9a-f]{64}" + _END

Text = Annotated[str, Meta(min_length=1, max_length=2000)]
Instant = Annotated[
    str,
    Meta(
        pattern=RFC3339_PATTERN,
        description="RFC 3339 with its offset",
        extra_json_schema={"format": "date-time"},
    ),
]
Id = Annotated[str, Meta(pattern=ID_PATTERN, description="An id that says nothing about a person")]
Texts = Annotated[list[Text], Meta(min_length=1, max_length=100)]
AnyTexts = Annotated[list[Text], Meta(max_length=100)]
if TYPE_CHECKING:
    Kind: TypeAlias = str
    Recipient: TypeAlias = str
    Grantor: TypeAlias = str
    EventType: TypeAlias = str
    EventState: TypeAlias = str
else:
    Kind = Literal[(*sorted(ALL_KINDS), "*")]
    Recipient = Literal[RECIPIENTS]
    Grantor = Literal[GRANTORS]
    EventType = Literal[EVENT_TYPES]
    EventState = Literal[tuple(STATES)]


class _Part(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An object of the record; it has no members but those named."""

    def __repr__(self) -> str:
        # A record is about a person; nothing of it may reach a log by way of a repr.
        return f"<{type(self).__name__}>"


class Principal(_Part, rename={"identifier_type": "type"}):
    """The person, under an identifier of a stated type."""

    identifier_type: Annotated[
        str, Meta(pattern=IDENTIFIER_TYPE_PATTERN, description="Such as zoom.user_id or email")
    ]
    value: Annotated[str, Meta(min_length=1, max_length=320)] | int


class PiiInformation(_Part):
    """A category of data that the processing uses."""

    pii_type: Text
    pii_attribute_id: Text | UnsetType = UNSET
    pii_optional: bool | UnsetType = UNSET
    sensitive_pii_category: bool | UnsetType = UNSET
    special_pii_category: bool | UnsetType = UNSET


class Processing(_Part):
    """What the consent is about: the notice that was shown, the purposes and the terms of processing."""

    privacy_notice: Annotated[str, Meta(min_length=1, max_length=2000, description="Where it is kept")]
    language: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*" + _END, description="BCP 47 tag of it"),
    ]
    purpose: Annotated[
        list[Annotated[str, Meta(pattern=r"^([a-z][a-z0-9_]{0,63}|\*)" + _END)]],
        Meta(min_length=1, max_length=100, description="Registered purposes; only a no may say * for all"),
    ]
    pii_information: Annotated[list[PiiInformation], Meta(min_length=1, max_length=100)]
    pii_controllers: Annotated[
        list[Id], Meta(min_length=1, max_length=1, description="The controller: the party id of one party")
    ]
    storage_locations: Texts
    retention_period: Text
    jurisdiction: Text
    recipient_third_parties: AnyTexts
    withdrawal_method: Text
    purpose_type: Text | UnsetType = UNSET
    lawful_basis: Text | UnsetType = UNSET
    collection_method: Text | UnsetType = UNSET
    processing_method: Text | UnsetType = UNSET
    processing_locations: AnyTexts | UnsetType = UNSET
    geographic_restrictions: AnyTexts | UnsetType = UNSET
    service: Text | UnsetType = UNSET
    privacy_rights: AnyTexts | UnsetType = UNSET
    codes_of_conduct: AnyTexts | UnsetType = UNSET
    impact_assessment: Text | UnsetType = UNSET
    authority_party: Text | UnsetType = UNSET


class Party(_Part):
    """A party to the processing."""

    party_id: Id
    name: Text
    address: Text
    contact: Text
    type: Text
    email: Text | UnsetType = UNSET
    url: Text | UnsetType = UNSET
    phone: Text | UnsetType = UNSET
    role: Text | UnsetType = UNSET


class Event(_Part):
    """What happened, when, and by whom it was noted."""

    event_time: Instant
    validity_duration: Annotated[
        str,
        Meta(
            pattern=DURATION_PATTERN,
            description=f"Days from the event's time in ISO 8601 form (P365D), or {UNTIL_WITHDRAWN}",
        ),
    ]
    entity_id: Annotated[str, Meta(pattern=ID_PATTERN, description="The party that noted the event")]
    event_type: Annotated[EventType, Meta(description="DPV consent type")]
    event_state: Annotated[EventState, Meta(description="DPV consent status that the event led to")]


class ImportAttestation(_Part):
    """Where a record of another system came from; who signs the record attests it."""

    source_system: Id
    source_file_sha256: Annotated[str, Meta(pattern=HASH_PATTERN)]
    source_line: Annotated[int, Meta(ge=1)]
    attester_kid: Annotated[str, Meta(pattern=ID_PATTERN, description="The key that signs this record")]


class Meeting(_Part):
    """The extension for meetings: what the decision rules need and TS 27560 has no field for."""

    scope: Annotated[
        str,
        Meta(pattern=SCOPE_PATTERN, description="global, tenant:ID or meeting:ID"),
    ]
    content_kinds: Annotated[
        list[Kind],
        Meta(max_length=100, description="* is every kind but biometric templates, which must be named"),
    ]
    grantor_role: Grantor
    mechanism: Annotated[str, Meta(pattern=WORD_PATTERN, description="How the choice was expressed")]
    recipients: Annotated[list[Recipient], Meta(max_length=3)]
    terms_version: Id
    notice_hash: Annotated[str, Meta(pattern=HASH_PATTERN, description="SHA-256 of the text that was shown")]
    ingested_at: Instant
    bundled: Annotated[bool, Meta(description="One yes for several things that could not be told apart")]
    conditional: Annotated[bool, Meta(description="The service was refused without it")]
    retroactive: Annotated[bool, Meta(description="It says that it covers what was recorded before")]
    separate: Annotated[bool, Meta(description="Asked apart from everything else")] = False
    no_detriment_attested: Annotated[
        bool, Meta(description="The employer attests that a no has no ill effect")
    ] = False
    retention_policy: Annotated[str, Meta(pattern=ID_PATTERN)] | UnsetType = UNSET
    valid_from: Instant | UnsetType = UNSET
    valid_until: Instant | UnsetType = UNSET
    import_attestation: ImportAttestation | UnsetType = UNSET


class ConsentRecord(_Part, rename={"x_meeting": "x-meeting"}):
    """A consent record: one consent event of one person (ISO/IEC TS 27560 with the extension x-meeting)."""

    schema_version: Literal["cofferdam-consent/1.0"]
    record_id: Id
    pii_principal_id: Principal
    processing: Processing
    party_identification: Annotated[list[Party], Meta(min_length=1, max_length=20)]
    event: Event
    x_meeting: Meeting


_MISSING: Final = re.compile(r"^Object missing required field `([a-z0-9_-]+)`")
_PATH: Final = re.compile(r" - at `\$((?:\.[A-Za-z0-9_-]+|\[\.\.\.\]|\[[0-9]+\])*)`$")


class RecordFormError(Exception):
    """A record that is not of the published form; names the field, and nothing of the record itself.

    Args:
        where: Dotted path of the field, empty for the record as a whole.
    """

    def __init__(self, where: str) -> None:
        super().__init__(where or "the record as a whole")
        self.where = where


def check_form(record: object) -> ConsentRecord:
    """Hold a JSON value to the form of a consent record.

    Raises:
        RecordFormError: At the first field that does not fit.
    """
    try:
        return msgspec.convert(record, ConsentRecord)
    except msgspec.ValidationError as error:
        where = faulty_field(str(error))
    except (RecursionError, ValueError, TypeError):
        where = ""
    raise RecordFormError(where) from None


def faulty_field(text: str) -> str:
    """The dotted path in one of msgspec's messages; the rest of a message may quote values."""
    path, missing = _PATH.search(text), _MISSING.match(text)
    parts = (path[1].lstrip(".") if path else "", missing[1] if missing else "")
    return ".".join(filter(None, parts))


def as_json(record: ConsentRecord) -> dict[str, Any]:
    """A record as a JSON object; members that are not set are left out."""
    value: dict[str, Any] = msgspec.to_builtins(record)
    return value


def canonical_bytes(record: object) -> bytes:
    """The canonical JSON of a record: sorted keys, no white space, UTF-8 (RFC 8785 where no float occurs).

    Raises:
        ValueError: The value cannot be written as JSON; the text says no more.
    """
    try:
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("the record cannot be written as JSON") from None


def record_json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a consent record, made from the types."""
    (reference,), definitions = msgspec.json.schema_components([ConsentRecord], ref_template="#/$defs/{name}")
    body = definitions.pop("ConsentRecord")
    if reference != {"$ref": "#/$defs/ConsentRecord"}:
        raise AssertionError("the record is not the root of its schema")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID}
    return {**head, **body, "$defs": dict(sorted(definitions.items()))}
