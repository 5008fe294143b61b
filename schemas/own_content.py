"""Which sealed fields are one person's alone, so that they may be handed to that person (GDPR article 15).

What an event seals is often about several people: a recording, a summary, a shared screen, the title that
somebody else gave a meeting, the address of the host beside the name of a guest. Article 15(4) keeps the
rights of those others. So the list is closed and made by hand, by contract, table and field: a field that is
not in it, of whatever contract, is named to the person and never opened for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.classification import Protection
from schemas.contract import EventShape, Field


@dataclass(frozen=True)
class _Own:
    """Fields of one table's events that are the sender's alone.

    Attributes:
        fields: Dotted paths, as contracts name them.
        events: Only of these event types; empty for all of the table.
    """

    fields: tuple[str, ...]
    events: tuple[str, ...] = ()


def _below(parent: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{parent}.{name}" for name in names)


_SENDER: Final = _below("data.participant", "display_name", "email", "phone")
_CLIENT: Final = _below("data.client", "device_label", "host_name", "device_serial")
_WIFI: Final = ("data.network.wifi_name",)
_PARTICIPANT: Final = _below(
    "payload.object.participant", "user_name", "email", "phone_number", "customer_key"
)
_DEVICE: Final = _below(
    "payload.object.participant.data[]",
    *("device_detail", "location", "microphone", "speaker", "camera", "pc_name", "domain", "mac_addr"),
    *("harddisk_id", "signaling_ip_address", "signaling_internal_ip_address", "audio_internal_ip_address"),
    *("video_internal_ip_address", "as_internal_ip_address"),
)
_REGISTRANT: Final = _below(
    "payload.object.registrant",
    *("first_name", "last_name", "email", "address", "city", "zip", "state", "phone", "industry", "org"),
    *("job_title", "purchasing_time_frame", "role_in_purchase_process", "no_of_employees", "comments"),
    *("custom_questions[].title", "custom_questions[].value"),
)
_USER: Final = (
    *("email", "first_name", "last_name", "display_name", "dept", "job_title", "company", "location"),
    *("vanity_url", "pic_url", "phone_country", "phone_number", "pronouns", "employee_unique_id"),
)
_ACCOUNT: Final = (
    *_below("payload.object", *_USER),
    *_below("payload.old_object", *_USER),
)
_MESSAGES: Final = tuple(
    f"team_chat.{place}_message_{what}"
    for place in ("channel", "dm")
    for what in ("posted", "updated", "replied")
)

_OWN: Final[Mapping[tuple[str, str], tuple[_Own, ...]]] = {
    ("cofferdam-derived", "cofferdam_transcript"): (
        _Own((*_SENDER, *_below("data", "text", "words", "confidence", "language"))),
    ),
    ("cofferdam-derived", "cofferdam_caption"): (
        _Own((*_SENDER, *_below("data", "text", "translation", "language", "target_language"))),
    ),
    ("cofferdam-derived", "cofferdam_summary"): (_Own(_SENDER),),
    ("cofferdam-derived", "cofferdam_vector"): (_Own(_SENDER),),
    ("cofferdam-media", "cofferdam_audio"): (
        _Own((*_SENDER, *_below("data", "data", "audio_level", "voice_activity"))),
    ),
    ("cofferdam-media", "cofferdam_video"): (_Own((*_SENDER, "data.data")),),
    ("cofferdam-media", "cofferdam_screen_share"): (_Own(_SENDER),),
    ("cofferdam-meeting", "cofferdam_meeting"): (_Own(_SENDER),),
    ("cofferdam-meeting", "cofferdam_participant"): (_Own((*_SENDER, *_CLIENT, *_WIFI, "data.talk_time")),),
    ("cofferdam-messages", "cofferdam_chat"): (
        _Own((*_SENDER, *_below("data", "text", "html", "attachments", "language"))),
    ),
    ("cofferdam-messages", "cofferdam_reaction"): (_Own((*_SENDER, "data.reaction")),),
    ("cofferdam-messages", "cofferdam_file"): (
        _Own((*_SENDER, *_below("data", "name", "preview", "data", "sha256"))),
    ),
    ("cofferdam-messages", "cofferdam_poll"): (
        _Own(_SENDER),
        _Own(("data.answers",), ("io.cofferdam.poll.answered.v1",)),
    ),
    ("cofferdam-messages", "cofferdam_whiteboard"): (_Own(_SENDER),),
    ("cofferdam-service", "cofferdam_quality"): (_Own((*_SENDER, *_WIFI, "data.audio_level")),),
    ("cofferdam-service", "cofferdam_diagnostics"): (_Own((*_SENDER, *_CLIENT, *_WIFI)),),
    ("cofferdam-service", "cofferdam_crash"): (_Own((*_SENDER, *_CLIENT)),),
    ("cofferdam-service", "cofferdam_feature"): (_Own((*_SENDER, *_CLIENT, "data.search_text")),),
    ("zoom-chat-message", "zoom_meeting_chat"): (
        _Own(
            _below("payload.object.chat_message", "sender_name", "sender_context", "message_content"),
        ),
    ),
    ("zoom-chat-message", "zoom_meeting_chat_file"): (
        _Own(_below("payload.object.chat_message_file", "sender_name", "sender_context", "file_name")),
    ),
    ("zoom-chat-message", "zoom_meeting_chat_download"): (_Own(("payload.operator",)),),
    ("zoom-chat-message", "zoom_chat_message"): (
        _Own(("payload.operator",)),
        _Own(
            ("payload.object.message", "payload.object.files[].file_name"),
            ("chat_message.sent", "chat_message.replied", "chat_message.updated"),
        ),
    ),
    ("zoom-chat-message", "zoom_team_chat"): (
        _Own(("payload.operator",)),
        _Own(("payload.object.message", "payload.object.files[].file_name"), _MESSAGES),
        _Own(
            _below("payload.object", "emoji", "emoji_time"),
            ("team_chat.channel_reaction_added", "team_chat.dm_reaction_added"),
        ),
    ),
    **{
        ("zoom-participant", table): (_Own(_PARTICIPANT),)
        for table in (
            "zoom_participant_step",
            "zoom_participant_before_host",
            "zoom_sharing",
        )
    },
    ("zoom-participant", "zoom_participant"): (
        _Own((*_PARTICIPANT, "payload.object.participant.leave_reason")),
    ),
    ("zoom-participant", "zoom_feedback"): (
        _Own((*_PARTICIPANT, "payload.object.participant.feedback.comments")),
    ),
    ("zoom-quality", "zoom_participant_qos"): (_Own(_PARTICIPANT),),
    ("zoom-quality", "zoom_participant_qos_summary"): (_Own(_PARTICIPANT),),
    ("zoom-quality", "zoom_participant_data"): (_Own((*_PARTICIPANT, *_DEVICE)),),
    ("zoom-recording", "zoom_recording_batch"): (_Own(("payload.operator",)),),
    ("zoom-registration", "zoom_registration"): (_Own(_REGISTRANT),),
    **{
        ("zoom-rtms", f"zoom_rtms_{what}"): (_Own(("content.user_name", *fields)),)
        for what, fields in {
            "audio": ("content.data",),
            "video": ("content.data",),
            "share": (),
            "chat": ("content.data", "content.text"),
            "transcript": _below("content", "data", "text", "start_time", "end_time", "language"),
        }.items()
    },
    ("zoom-user", "zoom_user"): (_Own(_ACCOUNT),),
    ("zoom-user", "zoom_user_settings"): (_Own(("payload.object.email",)),),
    ("zoom-user", "zoom_user_activity"): (
        _Own(("payload.object.email",)),
        _Own(
            ("payload.object.personal_notes", "payload.old_object.personal_notes"),
            ("user.personal_notes_updated",),
        ),
    ),
    ("zoom-user", "zoom_user_telephony"): (_Own(("payload.object.email",)),),
    ("zoom-whiteboard", "zoom_whiteboard"): (_Own(("payload.operator", "payload.operator_name")),),
}


def own_fields(shape: EventShape, event_type: str) -> frozenset[str]:
    """Sealed fields of an event that are its sender's alone, as dotted paths.

    Args:
        shape: The shape of its table, as its contract has it.
        event_type: Its type.
    """
    listed = _OWN.get((shape.contract, shape.table), ())
    named = {field for own in listed if not own.events or event_type in own.events for field in own.fields}
    return frozenset(field.dotted for field in _sealed(shape) if field.dotted in named)


def _sealed(shape: EventShape) -> Iterator[Field]:
    return (field for field in shape.fields if field.protection is Protection.SEAL)


def listed_fields() -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Contract, table, field and event types (empty for all) of everything that is listed."""
    for (contract, table), listed in _OWN.items():
        for own in listed:
            yield from ((contract, table, name, own.events) for name in own.fields)
