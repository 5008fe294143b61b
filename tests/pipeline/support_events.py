"""Small events of both families that several whole-pipeline tests feed in."""

from __future__ import annotations

from typing import Any

Event = dict[str, Any]
CHAT = "io.cofferdam.chat.message.sent.v1"


def chat(identity: str, text: str, *, tenant: str = "t-1", source: str = "urn:example:platform") -> Event:
    """A chat message as a CloudEvent: id, source and tenant make it the same event when it comes again."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": CHAT,
        "time": "2026-03-01T10:00:00Z",
        "data": {"tenant_id": tenant, "meeting_id": "m-1", "message_id": f"message-{identity}", "text": text},
    }


def joined(number: int, name: str = "Ada Example") -> Event:
    """A participant who joins, as Zoom tells it; it has no id of its own."""
    participant = {
        "user_id": "16778240",
        "user_name": name,
        "email": f"{number}@example.com",
        "participant_user_id": f"user-{number}",
        "join_time": "2026-03-01T10:00:00Z",
    }
    meeting = {"id": "1234567890", "uuid": f"uuid-{number % 7}", "topic": f"Topic {number % 7}"}
    return {
        "event": "meeting.participant_joined",
        "event_ts": 1772359200000 + number,
        "payload": {"account_id": "account-1", "object": {**meeting, "participant": participant}},
    }
