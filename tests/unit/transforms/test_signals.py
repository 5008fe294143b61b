"""Deletions that a source reports: heard whatever shape they have, and about more where they say less."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.tables import FIXED_TABLES, SIGNALS
from tests.unit.transforms.separator_samples import spaces, take, text_column

Row = dict[str, Any]


def zoom(event: str, object_: Any = None, **payload: Any) -> Row:
    more = {} if object_ is None else {"object": object_}
    return {"event": event, "event_ts": 1772445600000, "payload": {"account_id": "a", **payload, **more}}


def signals(*events: Row) -> list[Row]:
    tables = [group.signals for group in take(*events).groups if group.signals is not None]
    assert all(table.schema == FIXED_TABLES[SIGNALS] for table in tables)
    return [row for table in tables for row in table.to_pylist()]


def joined(kind: str, value: str) -> str:
    return str(spaces().join(kind, text_column(value))[0].as_py())


def named(*events: Row) -> list[str]:
    return [row["names"] for row in signals(*events)]


def test_a_deleted_recording_is_about_its_meeting() -> None:
    (row,) = signals(zoom("recording.trashed", {"uuid": "m"}))
    assert (row["names"], row["meeting_join"]) == ("meeting", joined("meeting", "m"))
    assert (row["tenant_join"], row["event_type"]) == (joined("tenant", "a"), "recording.trashed")
    assert (row["source"], row["event_time"].hour) == ("zoom", 10)


@pytest.mark.parametrize(
    "event",
    [
        zoom("recording.completed", {"uuid": "m"}),
        zoom("recording.recovered", {"uuid": "m"}),
        zoom("chat_message.sent", {"id": "1", "session_id": "c"}),
        zoom("user.updated", {"id": "u"}),
    ],
)
def test_other_events_of_the_same_tables_are_no_signals(event: Row) -> None:
    assert signals(event) == []


def test_only_the_deletions_among_events_are_signals() -> None:
    events = [zoom(f"recording.{word}", {"uuid": word}) for word in ("completed", "deleted", "recovered")]
    assert [row["meeting_join"] for row in signals(*events)] == [joined("meeting", "deleted")]


def test_many_recordings_are_a_signal_each() -> None:
    meetings = [{"meeting_uuid": "m", "recording_file_ids": ["f"]}, {"meeting_uuid": "n"}]
    rows = signals(
        zoom("recording.batch_deleted", {"meetings": meetings}),
        zoom("recording.batch_trashed", {"meeting_uuids": ["o", "p", "o"]}),
        zoom("recording.batch_recovered", {"meeting_uuids": ["q"]}),
    )
    assert [row["meeting_join"] for row in rows] == [joined("meeting", each) for each in "mnop"]
    assert {row["names"] for row in rows} == {"meeting"}


@pytest.mark.parametrize(
    "about",
    [
        {"meetings": [{"meeting_uuid": "m"}, {"recording_file_ids": ["f"]}]},
        {"meetings": [{"meeting_uuid": "m"}, {"meeting_uuid": ["n"]}]},
        {"meetings": [{"meeting_uuid": "m"}, "n"]},
        {"meetings": [{"meeting_uuid": "m"}], "meeting_uuids": "n"},
        {"meetings": [{"meeting_uuid": "m"}], "meeting_uuids": ["n", {}]},
    ],
)
def test_one_recording_among_many_that_cannot_be_read_may_be_any(about: Row) -> None:
    rows = signals(zoom("recording.batch_deleted", about))
    assert {(row["names"], row["meeting_join"]) for row in rows} == {
        ("meeting", joined("meeting", "m")),
        ("tenant", None),
    }


def test_a_deleted_message_is_about_itself() -> None:
    sent = zoom("chat_message.sent", {"id": "1", "session_id": "c", "message": "x"})
    (row,) = signals(zoom("chat_message.deleted", {"id": "1", "session_id": "c"}))
    (cut,) = [cut for cut in take(sent).cuts() if cut.kind == "chat"]
    assert cut.rows is not None
    (item,) = cut.rows.to_pylist()
    assert (row["names"], row["piece_join"]) == ("piece", item["piece_join"])
    assert row["meeting_join"] == item["meeting_join"] == joined("meeting", "c")


def test_a_removed_user_is_a_person_under_every_identifier() -> None:
    (row,) = signals(zoom("user.deleted", {"id": "u", "email": "Anna@Example.org"}))
    assert row["names"] == "person"
    assert row["subjects"] == [
        {"type": "zoom.user_id", "pseudonym": joined("zoom.user_id", "u")},
        {"type": "email", "pseudonym": joined("email", "Anna@Example.org")},
    ]
    assert named(zoom("user.deactivated", {"id": "u"}), zoom("user.disassociated", {"id": "u"})) == [
        "person",
        "person",
    ]
    (gone,) = signals({"event": "app_deauthorized", "payload": {"account_id": "a", "user_id": "u"}})
    assert (gone["names"], gone["subjects"][0]["pseudonym"]) == ("person", joined("zoom.user_id", "u"))


@pytest.mark.parametrize(
    ("event", "names"),
    [
        (zoom("chat_message.deleted", {"session_id": "c"}), "meeting"),
        (zoom("chat_message.deleted", {"id": ["1"], "session_id": "c"}), "meeting"),
        (zoom("chat_message.deleted", {}), "tenant"),
        (zoom("whiteboard.deleted", {"whiteboard_id": "w"}), "piece"),
        (zoom("recording.deleted", {"uuid": None}), "tenant"),
        (zoom("recording.deleted", "gone"), "tenant"),
        (zoom("recording.batch_deleted", {"meetings": []}, operation="trash_account_recordings"), "tenant"),
        (zoom("user.deleted", {"first_name": "Anna"}), "tenant"),
        ({"event": "user.deleted", "event_ts": 1, "payload": {"object": {}}}, "everything"),
        ({"event": "recording.deleted", "event_ts": 1, "payload": {"account_id": {}}}, "everything"),
    ],
)
def test_a_deletion_that_cannot_be_read_is_about_what_contains_it(event: Row, names: str) -> None:
    assert named(event) == [names]


@pytest.mark.parametrize(
    ("payload", "count"),
    [
        ({"stop_reason": 8}, 1),
        ({"stop_reason": 1}, 0),
        ({"stop_reason": 99}, 1),
        ({"stop_reason": "revoked"}, 1),
        ({}, 1),
        ({"stop_reason": 1, "object": {"stop_reason": 8}}, 1),
        ({"object": {"stop_reason": 2}}, 0),
    ],
)
def test_a_stopped_stream_is_a_deletion_if_its_consent_may_have_been_revoked(
    payload: Row, count: int
) -> None:
    event = {"event": "meeting.rtms_stopped", "event_ts": 1, "payload": {"meeting_uuid": "m", **payload}}
    assert named(event) == ["meeting"] * count


@pytest.mark.parametrize(
    ("fields", "count"),
    [({"reason": 8}, 1), ({"stop_reason": 8}, 1), ({"reason": 3}, 0), ({}, 0), ({"reason": "revoked"}, 1)],
)
def test_a_socket_says_that_consent_was_revoked(fields: Row, count: int) -> None:
    for kind in (8, 9):
        message = {"msg_type": kind, "meeting_uuid": "m", "account_id": "a", "timestamp": 1772445600000}
        made = take({**message, **fields}, source="zoom_rtms").groups
        found = [row for g in made if g.signals is not None for row in g.signals.to_pylist()]
        assert [row["names"] for row in found] == ["meeting"] * count


def test_what_a_signal_keeps_is_pseudonyms() -> None:
    about = {"id": "user-7", "email": "anna@example.org", "first_name": "Anna", "dept": "Sales"}
    text = repr(signals(zoom("user.deleted", about, operator="bob@example.org")))
    assert not [word for word in ("user-7", "anna", "Anna", "bob", "Sales") if word in text]
