"""The closed sets of consent: every word that a record, an item or a subject may use.

A value outside its set is never guessed; each rule that reads it takes the restrictive reading. The words
follow ISO/IEC TS 27560 and the W3C Data Privacy Vocabulary where those have one.
"""

from __future__ import annotations

from typing import Final

LANES: Final = ("service", "content")

CONTENT_KINDS: Final = (
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
)
TEMPLATE_KINDS: Final = ("voiceprint", "face_template")
"""Biometric templates: a grant covers one only by naming it."""
DERIVED_KINDS: Final = (
    "embedding",
    *TEMPLATE_KINDS,
    "sentiment",
    "keyframe",
    "spectrogram",
    "keyword_counts",
)
METADATA_KINDS: Final = ("join_leave", "call_detail", "message_metadata", "talk_time")
SERVICE_KINDS: Final = ("system_metric", "crash_report", "feature_usage", "quality_stat", "network_diag")

CONTENT_LIKE: Final = frozenset(CONTENT_KINDS + DERIVED_KINDS)
"""Kinds that are content whatever lane an event claims for them."""
ALL_KINDS: Final = CONTENT_LIKE | frozenset(METADATA_KINDS + SERVICE_KINDS)

ROOTS_BY_KIND: Final = {
    "transcript": "audio",
    "caption": "audio",
    "voiceprint": "audio",
    "spectrogram": "audio",
    "face_template": "video",
    "keyframe": "video",
}
"""What a kind comes from when the item names no roots; every other kind is its own root."""

POSITIVE_STATUSES: Final = ("given", "renewed")
WAITING_STATUSES: Final = ("requested", "deferred")
NEGATIVE_STATUSES: Final = ("refused", "withdrawn", "revoked", "invalidated")
STATUSES: Final = POSITIVE_STATUSES + WAITING_STATUSES + NEGATIVE_STATUSES

GRANTORS: Final = ("subject", "guardian", "host", "admin")
RECIPIENTS: Final = ("first_party", "processor", "third_party")
INSIDE_RECIPIENTS: Final = ("first_party", "processor")
AGES: Final = ("adult", "minor", "unknown_minor_context")
RELATIONS: Final = ("guest", "employee", "student", "patient")
CHANNELS: Final = ("app", "web", "dial_in", "room_device", "bot")
CAPTURES: Final = ("all_prior", "some", "none")
DIAGNOSTICS: Final = ("required", "optional")
TERMS_STATUSES: Final = ("active", "superseded_compatible", "superseded_material")

WEAK_MECHANISMS: Final = (
    "notice_acknowledged",
    "implied_continuation",
    "preticked",
    "opt_out_not_exercised",
    "tos_acceptance",
)
"""Ways of recording a choice that are never an express one; the express ones are named by the policies."""

ASSIST_PURPOSES: Final = ("transcription", "captioning", "meeting_summary")
"""Purposes that serve the people in the meeting themselves."""

DECISIONS: Final = ("RELEASE", "QUARANTINE", "ERASE", "REJECT")
"""Outcomes, mildest first."""
