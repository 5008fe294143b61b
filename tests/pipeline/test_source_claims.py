"""What sources say of deletions, rooms, recordings and lineage, from the event to the decision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import CONSENT_RECORDS, DECISION_TELEMETRY, QUARANTINE_ITEMS, SIGNALS
from tests.pipeline.release_world import TENANT, Event, World, chat, event, meeting
from tests.pipeline.test_release_telemetry import export_of
from transforms.consent_intake import record_pointer
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.telemetry_export import export_telemetry

PEOPLE = ("ann", "ben")


def ms(time: str) -> int:
    """A time of day on 2 March 2026, in ms since 1970."""
    return int(datetime.fromisoformat(f"2026-03-02T{time}:00").replace(tzinfo=UTC).timestamp() * 1000)


def zoom(name: str, time: str, payload: dict[str, Any] | None = None, **about: Any) -> Event:
    known = {"object": {"uuid": "zm", **about}} if payload is None else payload
    return {"event": name, "event_ts": ms(time), "payload": {"account_id": TENANT, **known}}


def visitor(person: str, visit: str) -> dict[str, Any]:
    return {"participant": {"participant_user_id": f"u-{person}", "user_id": visit}}


def zoom_meeting() -> list[Event]:
    """Two people from ten to eleven, and what one of them writes."""
    events = [zoom("meeting.started", "10:00"), zoom("meeting.ended", "11:00")]
    for person in PEOPLE:
        events.append(zoom("meeting.participant_joined", "10:00", **visitor(person, f"v-{person}")))
        events.append(zoom("meeting.participant_left", "11:00", **visitor(person, f"v-{person}")))
    message = {"sender_email": "ann@example.org", "message_id": "m-1", "message_content": "saying"}
    return [*events, zoom("meeting.chat_message_sent", "10:30", chat_message=message)]


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Two people who are known by both platforms' ids and have agreed to everything."""
    made = World(tmp_path, keys)
    made.people(
        {
            name: {
                "region": "eu",
                "age": "adult",
                "relation": "guest",
                "identifiers": [
                    {"type": "zoom.user_id", "value": f"u-{name}"},
                    {"type": "email", "value": f"{name}@example.org"},
                ],
            }
            for name in PEOPLE
        }
    )
    for name in PEOPLE:
        made.say(name, kinds=["*"], scope="tenant:t1")
    return made


def decided(world: World) -> list[tuple[str, str, str]]:
    """Kind, decision and reasons of every class of the last release."""
    world.release()
    last = max(row["run_id"] for row in world.classes())
    rows = world.classes(last)
    return sorted((row["kind"], row["decision"], ",".join(row["reasons"])) for row in rows)


HELD = [("chat", "QUARANTINE", "DISPUTED_WITHDRAWAL")]
GOES = [("chat", "RELEASE", "")]


def test_what_nobody_deleted_may_go_and_entering_a_room_hides_nobody(world: World) -> None:
    rooms = [
        zoom("meeting.participant_joined_breakout_room", "10:10", **visitor("ann", "v-room")),
        zoom("meeting.participant_left_breakout_room", "10:20", **visitor("ann", "v-room")),
        zoom("recording.recovered", "12:00"),
        zoom("user.deleted", "12:00", {"object": {"id": "u-zoe"}}),
    ]
    world.ingest([*zoom_meeting(), *rooms])
    assert decided(world) == GOES
    assert {row["roster_complete"] for row in world.classes()} == {True}


@pytest.mark.parametrize(
    "deletion",
    [
        zoom("recording.trashed", "12:00"),
        zoom("recording.batch_deleted", "12:00", {"object": {"meeting_uuids": ["zm"]}}),
        zoom("meeting.rtms_stopped", "12:00", {"meeting_uuid": "zm", "stop_reason": 8}),
        zoom("user.deactivated", "09:00", {"object": {"id": "u-ben"}}),
    ],
    ids=lambda one: str(one["event"]),
)
def test_what_a_source_deleted_is_held(deletion: Event, world: World) -> None:
    world.ingest([deletion, *zoom_meeting()])
    assert decided(world) == (HELD if "user" not in deletion["event"] else decided_of_one(HELD))
    assert world.released() == []


def decided_of_one(rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """As rows, where one of several people does not agree."""
    return [(kind, decision, f"{reasons},NOT_ALL_PARTICIPANTS") for kind, decision, reasons in rows]


def test_a_deletion_decides_alike_whenever_it_comes(world: World) -> None:
    deletion = zoom("recording.trashed", "09:00")
    world.ingest([deletion], "early.jsonl")
    world.ingest(zoom_meeting())
    assert decided(world) == HELD
    world.ingest([zoom("recording.recovered", "13:00"), deletion], "late.jsonl")
    assert decided(world) == HELD
    assert len(world.rows(SIGNALS)) == 1


def test_a_late_deletion_stops_the_next_release_and_destroys_nothing(world: World) -> None:
    world.ingest(zoom_meeting())
    assert decided(world) == GOES
    before = world.rows(QUARANTINE_ITEMS), world.released()
    world.ingest([zoom("recording.deleted", "09:00")], "late.jsonl")
    assert decided(world) == HELD
    assert (world.rows(QUARANTINE_ITEMS), world.released()) == before


def telemetry(world: World) -> set[tuple[str, str, str]]:
    """Table, decision and reasons of what the last release decided about telemetry."""
    world.release()
    rows = world.rows(DECISION_TELEMETRY)
    last = max(row["run_id"] for row in rows)
    return {
        (row["table"].removeprefix("telemetry/zoom_"), row["decision"], ",".join(row["reasons"]))
        for row in rows
        if row["run_id"] == last
    }


@pytest.mark.parametrize(
    ("deletion", "held"),
    [
        (zoom("recording.trashed", "12:00"), "LEGAL_HOLD"),
        (zoom("user.deleted", "12:00", {"object": {"id": "u-ben"}}), "TRAFFIC_DATA_NO_CONSENT"),
    ],
    ids=["of the meeting", "of a person"],
)
def test_a_deletion_holds_telemetry_at_once(deletion: Event, held: str, world: World, tmp_path: Path) -> None:
    people = (world.registry / "subjects.jsonl").read_text().replace('"region"', '"opt_out": false, "region"')
    (world.registry / "subjects.jsonl").write_text(people)
    world.pin()
    world.ingest(zoom_meeting())
    agreed = {table for table, decision, _ in telemetry(world) if decision == "RELEASE"}
    assert len(agreed) >= 2
    world.ingest([deletion], "late.jsonl")
    with pytest.raises(InfrastructureFault, match="TELEMETRY_DECISION_STALE"):
        export_telemetry(export_of(world), tmp_path / "out")
    found = telemetry(world)
    assert {decision for _, decision, _ in found} == {"QUARANTINE"}
    assert agreed <= {table for table, _, reasons in found if held in reasons.split(",")}
    assert export_telemetry(export_of(world), tmp_path / "out")["rows"] == 0


def test_a_recording_is_dated_by_its_files(world: World) -> None:
    files = [
        {
            "file_type": "M4A",
            "recording_start": "2026-03-02T10:01:00Z",
            "recording_end": end,
            "download_url": "https://meet.example/rec/1",
        }
        for end in ("2026-03-02T10:40:00Z", "2026-03-02T10:59:00Z")
    ]
    world.ingest(
        [
            *zoom_meeting(),
            zoom("recording.completed", "11:30", start_time="2026-03-02T10:00:00Z", recording_files=files),
        ]
    )
    assert decided(world) == [("audio", "RELEASE", ""), *GOES]


def test_a_flag_points_at_records_and_lineage_that_nobody_can_read_holds(world: World) -> None:
    world.adults(*PEOPLE)
    pointing = {"record_ids": ["r00001", "elsewhere"], "status": "given", "refuses": False}
    words: dict[str, Any] = {"text": "so", "participant": {"user_id": "ann"}}
    odd = event("transcript.segment", "s-1", "10:30", derived_from=["rumour"], **words)
    plain = event("transcript.segment", "s-2", "10:31", derived_from=["audio"], **words)
    flagged = chat("c-1", "ann", consent=pointing)
    refusing = chat("c-2", "ann", "10:40", consent={"refuses": "yes"})
    world.ingest([*meeting(PEOPLE, items=0), flagged, refusing, odd, plain])
    assert decided(world) == [
        ("chat", "QUARANTINE", "DISPUTED_WITHDRAWAL,NOT_ALL_PARTICIPANTS"),
        ("chat", "RELEASE", ""),
        ("transcript", "QUARANTINE", "CLASS_UNKNOWN"),
        ("transcript", "RELEASE", ""),
        ("unclassified", "QUARANTINE", "CLASS_UNKNOWN"),
        ("unclassified", "QUARANTINE", "CLASS_UNKNOWN"),
    ]
    pseudonyms = join_pseudonyms(load_release_keys(world.keys / "release"))
    known = [record_pointer(each, pseudonyms) for each in ("r00001", "elsewhere")]
    flags = [row["consent_flag"] for row in world.rows(QUARANTINE_ITEMS) if row["consent_flag"]]
    assert known in [flag["record_ids"] for flag in flags]


def test_the_store_keeps_when_it_first_saw_a_record(world: World) -> None:
    world.ingest(zoom_meeting())
    assert world.release(as_of="2026-03-05T00:00:00Z")["records"]["new"] == 2
    again = world.release(as_of="2026-03-06T00:00:00Z")["records"]
    assert (again["read"], again["new"], again["new_claiming_earlier"]) == (2, 0, 0)
    world.say("ann", "withdrawn", scope="tenant:t1", event_time="2026-03-07T00:00:00Z")
    world.say("ben", kinds=["*"], ingested_at="2026-03-08T00:00:00Z")
    late = world.release(as_of="2026-03-09T00:00:00Z")["records"]
    assert (late["new"], late["new_claiming_earlier"]) == (2, 1)
    rows = sorted(world.rows(CONSENT_RECORDS), key=lambda row: (row["first_seen"], row["ingested_at"]))
    assert [row["first_seen"].day for row in rows] == [5, 5, 9, 9]
    assert [row["unseen_by"] and row["unseen_by"].day for row in rows] == [None, None, 6, 6]
    pseudonyms = join_pseudonyms(load_release_keys(world.keys / "release"))
    assert rows[2]["record_join"] == record_pointer("r00003", pseudonyms)
    said = [(row["status"], row["grantor"], row["fault"]) for row in rows]
    assert said == [("given", "subject", None)] * 2 + [
        ("withdrawn", "subject", None),
        ("given", "subject", None),
    ]
