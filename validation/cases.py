"""What a decision is made from: an item, the records of its people, the registry and one instant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from validation.reading import (
    Instant,
    Unreadable,
    as_object,
    read_instant,
    read_optional_instant,
    read_word,
)

ITEM_SHORTHAND: Final[dict[str, object]] = {
    "tenant_ok": True,
    "roster_complete": True,
    "capture": "all_prior",
    "diag": "required",
    "unknown_fields": [],
    **dict.fromkeys(
        (
            "legal_hold",
            "erasure_requested",
            "content_hit",
            "opaque",
            "lineage_ok",
            "e2ee",
            "phi",
            "hipaa_authorization",
            "edu",
            "ferpa_consent",
            "third_party_mention",
            "redacted",
            "special",
        ),
        False,
    ),
}
SUBJECT_SHORTHAND: Final[dict[str, object]] = {
    "identified": True,
    "featured": True,
    "age": "adult",
    "relation": "guest",
    "is_host": False,
    "view_only": False,
    "opt_out": False,
}
RECORD_SHORTHAND: Final[dict[str, object]] = {
    "bundled": False,
    "conditional": False,
    "retroactive": False,
    "separate": False,
    "no_detriment": False,
    "import_attested": False,
    "sig_ok": False,
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A registered key: from when it is revoked, if it is."""

    revoked_from: Instant | Unreadable | None


@dataclass(frozen=True, slots=True)
class Terms:
    """A registered version of terms; what cannot be read is None."""

    start: Instant | None
    status: str | None
    notice_hash: str | None


@dataclass(frozen=True)
class Registry:
    """The signing keys and the terms versions that records may cite.

    What is not registered here does not exist: a record under an unknown key is not trusted.
    """

    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    terms: Mapping[str, Terms] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Registry:
        """Read ``{"keys": {kid: {...}}, "terms": {version: {...}}}``; no other entries count."""
        given = as_object(value) or {}
        keys = as_object(given.get("keys")) or {}
        terms = as_object(given.get("terms")) or {}
        return cls(
            {kid: _read_key(entry) for kid, entry in keys.items() if isinstance(entry, dict)},
            {name: _read_terms(entry) for name, entry in terms.items() if isinstance(entry, dict)},
        )


def _read_key(entry: dict[str, Any]) -> SigningKey:
    return SigningKey(read_optional_instant(entry, "revoked_from"))


def _read_terms(entry: dict[str, Any]) -> Terms:
    return Terms(read_instant(entry.get("from")), read_word(entry, "status"), read_word(entry, "hash"))


@dataclass(frozen=True, eq=False)
class Case:
    """One question: may this item go to its purpose and recipient?

    Attributes:
        item: The item as a JSON object, its subjects included; anything else is a shape error.
        records: Consent records as JSON objects, in any order, or a `RecordBook` shared by many cases.
        registry: Keys and terms.
        as_of: The instant of the decision, RFC 3339.
        shorthand: Whether absent values mean what they mean in files of test vectors. A pipeline sets every
            value from evidence and leaves this off: there, an absent value takes the restrictive reading.
    """

    item: object = field(repr=False)
    records: object = field(repr=False)
    registry: Registry = field(repr=False)
    as_of: object
    shorthand: bool = False

    def item_fields(self) -> dict[str, Any] | None:
        """The item's fields, shorthand filled in; None if it is no object."""
        given = as_object(self.item)
        return {**ITEM_SHORTHAND, **given} if given is not None and self.shorthand else given

    def subject_fields(self, subject: object) -> dict[str, Any]:
        """A subject's fields, shorthand filled in; empty if it is no object."""
        given = as_object(subject)
        if given is None:
            return {}
        return {**SUBJECT_SHORTHAND, **given} if self.shorthand else given


def record_fields(raw: dict[str, Any], registry: Registry, *, shorthand: bool) -> dict[str, Any]:
    """A record's fields; with shorthand, an absent notice hash is that of the terms it cites."""
    if not shorthand:
        return raw
    terms = registry.terms.get(read_word(raw, "terms") or "")
    notice = {} if terms is None else {"notice_hash": terms.notice_hash}
    return {**RECORD_SHORTHAND, **notice, **raw}


def as_sequence(records: object) -> Sequence[object]:
    """Records as a sequence; something that is no list counts as one record that cannot be read."""
    return records if isinstance(records, list | tuple) else [records]
