"""The closed vocabulary of classifications, lanes, content kinds and protections.

Every list here is closed: a word that is not in it is refused when a contract is loaded, never guessed.
"""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """Where a value may travel."""

    SERVICE = "service"
    METADATA = "metadata"
    CONTENT = "content"


class Protection(StrEnum):
    """What happens to a field's value on its way into the store."""

    KEEP = "keep"
    PSEUDONYM = "pseudonym"
    SEAL = "seal"
    DROP = "drop"
    TRUNCATE_IP = "truncate_ip"


CONTENT_KINDS: tuple[str, ...] = (
    "audio",
    "video",
    "screen_share",
    "chat",
    "file",
    "whiteboard",
    "poll",
    "reaction",
    "transcript",
    "caption",
    "summary",
    "translation",
    "meeting_title",
    "voicemail",
    "embedding",
    "voiceprint",
    "face_template",
    "sentiment",
    "keyframe",
    "spectrogram",
    "keyword_counts",
)
"""Kinds of content and of what derives from it (a lane label never moves them out of content)."""

IDENTITY_KIND = "identity"
SECRET_KIND = "secret"  # noqa: S105 - the name of a kind of item
UNCLASSIFIED_KIND = "unclassified"
REJECTED_KIND = "rejected"
UNKNOWN_KIND = "unknown"

SEALED_KINDS: tuple[str, ...] = (
    *CONTENT_KINDS,
    IDENTITY_KIND,
    SECRET_KIND,
    UNCLASSIFIED_KIND,
    REJECTED_KIND,
    UNKNOWN_KIND,
)
"""Every kind that a sealed item may have; its position is the kind's number in item ids (append only)."""

KIND_NUMBER: dict[str, int] = {kind: number for number, kind in enumerate(SEALED_KINDS)}

SERVICE_CLASSES = ("service.telemetry", "service.diagnostics", "service.usage")
KEPT_CLASSES = (*SERVICE_CLASSES, "metadata", "envelope")
PSEUDONYM_CLASSES = ("identifier.pseudonymous", "identifier.meeting", "identifier.tenant")

CLASSIFICATIONS: tuple[str, ...] = (
    *KEPT_CLASSES,
    *PSEUDONYM_CLASSES,
    "identifier.direct",
    "secret",
    *(f"content.{kind}" for kind in (*CONTENT_KINDS, UNCLASSIFIED_KIND)),
)

_ALLOWED: dict[str, tuple[Protection, ...]] = {
    **dict.fromkeys(KEPT_CLASSES, (Protection.KEEP, Protection.SEAL, Protection.DROP)),
    **dict.fromkeys(PSEUDONYM_CLASSES, (Protection.PSEUDONYM, Protection.SEAL, Protection.DROP)),
    "identifier.direct": (
        Protection.SEAL,
        Protection.PSEUDONYM,
        Protection.TRUNCATE_IP,
        Protection.DROP,
    ),
    "secret": (Protection.SEAL, Protection.DROP),
}


def allowed_protections(classification: str) -> tuple[Protection, ...]:
    """Protections that a classification permits; the first one is its default (a secret has none)."""
    return _ALLOWED.get(classification, (Protection.SEAL, Protection.DROP))


def default_protection(classification: str) -> Protection | None:
    """The protection where a contract states none, or None where it must be stated (secrets)."""
    return None if classification == "secret" else allowed_protections(classification)[0]


def lane_of(classification: str) -> Lane:
    """The lane a classification belongs to; whatever is not known to be lighter is content."""
    if classification in SERVICE_CLASSES:
        return Lane.SERVICE
    if classification in ("metadata", "envelope", *PSEUDONYM_CLASSES):
        return Lane.METADATA
    return Lane.CONTENT


def sealed_kind(classification: str) -> str:
    """The kind under which a value of this classification is sealed."""
    if classification.startswith("content."):
        return classification.removeprefix("content.")
    if classification == "secret":
        return SECRET_KIND
    if classification.startswith("identifier."):
        return IDENTITY_KIND
    return UNCLASSIFIED_KIND
