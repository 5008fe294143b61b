"""Rosters: who came and went, under join pseudonyms, and nothing that names them."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.tables import FIXED_TABLES, ROSTER
from tests.unit.transforms.feature_contract import TABLE, event, features
from tests.unit.transforms.separator_samples import spaces, take, text_column


def roster(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return take(*events, contracts=features()).roster()


def joined(kind: str, value: str) -> str:
    return str(spaces().join(kind, text_column(value))[0].as_py())


def subject(kind: str, value: str) -> dict[str, str]:
    return {"type": kind, "pseudonym": joined(kind, value)}


def test_only_events_of_presence_are_in_a_roster() -> None:
    made = take(event(1), event(2, "visit.noted"), event(3, "visit.went"), contracts=features())
    ids = [row["event_id"] for row in made.rows(TABLE)]
    assert [(row["event"], row["event_id"]) for row in made.roster()] == [("join", ids[0]), ("leave", ids[2])]
    (group,) = made.groups
    assert group.roster is not None
    assert group.roster.schema == FIXED_TABLES[ROSTER]


def test_events_that_say_nothing_of_presence_make_no_roster() -> None:
    assert [group.roster for group in take(event(1, "visit.noted"), contracts=features()).groups] == [None]
    chat = {"specversion": "1.0", "id": "1", "source": "s", "type": "io.cofferdam.chat.message.sent.v1"}
    assert [group.roster for group in take(chat).groups] == [None]


def test_a_row_is_of_its_own_meeting_person_and_moment() -> None:
    late = {**event(3, room="m-2", tenant_id="t-2", who={"user_id": "u-2"}), "time": "2026-03-01T11:00:00Z"}
    first, second = roster(event(1), event(2, "visit.noted"), late)
    assert (first["tenant_join"], second["tenant_join"]) == (joined("tenant", "t-1"), joined("tenant", "t-2"))
    assert (first["meeting_join"], second["meeting_join"]) == (
        joined("meeting", "m-1"),
        joined("meeting", "m-2"),
    )
    assert [row["subjects"] for row in (first, second)] == [
        [subject("cofferdam.user_id", "u-1")],
        [subject("cofferdam.user_id", "u-2")],
    ]
    assert [row["event_time"].hour for row in (first, second)] == [10, 11]
    assert first["source"] == "cofferdam"


def test_a_person_stands_under_every_identifier_that_the_event_gives() -> None:
    who = {"user_id": "u-1", "email": "Anna@Example.org", "join_id": "j-1", "name": "Anna"}
    (row,) = roster(event(who=who))
    assert row["subjects"] == [subject("cofferdam.user_id", "u-1"), subject("email", "Anna@Example.org")]
    assert row["join_pseudonym"] == joined("cofferdam.join_id", "j-1")
    assert not any(value in repr(row) for value in ("Anna", "u-1", "j-1", "m-1", "t-1"))


@pytest.mark.parametrize("who", [{}, {"name": "Anna"}, {"user_id": "", "email": ""}, {"user_id": True}])
def test_a_visit_alone_identifies_nobody(who: dict[str, Any]) -> None:
    (row,) = roster(event(who={**who, "join_id": "j-1"}))
    assert row["subjects"] == []
    assert row["join_pseudonym"] == joined("cofferdam.join_id", "j-1")


def test_without_a_visit_there_is_no_visit() -> None:
    assert roster(event())[0]["join_pseudonym"] is None


def test_what_is_known_of_a_person_is_judged_first() -> None:
    fits, odd = roster(
        event(1, region="eu", who={"channel": "phone", "is_host": True}),
        event(2, region="mars", who={"channel": "pigeon", "is_host": False}),
    )
    assert (fits["region"], fits["channel"], fits["is_host"]) == ("eu", "phone", True)
    assert (odd["region"], odd["channel"], odd["is_host"]) == (None, None, False)
    assert (fits["role"], fits["view_only"]) == (None, None)


def test_identifiers_of_others_in_the_event_are_no_subjects() -> None:
    (row,) = roster(event(friends=["u-7"], files=[{"owner": "u-8"}]))
    assert row["subjects"] == [subject("cofferdam.user_id", "u-1")]


def test_one_person_under_two_fields_of_one_type_is_one_subject() -> None:
    zoom = {
        "event": "meeting.participant_joined",
        "event_ts": 1772359200000,
        "payload": {
            "account_id": "a-1",
            "object": {
                "uuid": "x",
                "participant": {"user_id": "16", "id": "u-1", "participant_user_id": "u-1"},
            },
        },
    }
    (row,) = take(zoom).roster()
    assert row["event"] == "join"
    assert len(row["subjects"]) == len({entry["pseudonym"] for entry in row["subjects"]}) == 1
    assert row["join_pseudonym"] is not None
