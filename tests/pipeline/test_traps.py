"""The traps of real meeting events, each decided by a test that is named for its number.

They are run through the real contracts and the real separator, or through a whole run. Platforms without a
contract have the same traps: their events end sealed whole, as unknown types or as rejects, and that is shown
for each of them too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.support import ingest, lines_file, opened, reasons, rejects_of, telemetry_rows
from tests.unit.transforms.separator_samples import Taken, bundled, take
from transforms.store import Store

Event = dict[str, Any]
UNKNOWN = ["UNKNOWN_TYPE"]


def zoom(event: str, participant: Event | None = None, **more: Any) -> Event:
    """A Zoom event about a meeting."""
    meeting = {"uuid": "mtg==", "id": "84417302256", **more}
    if participant is not None:
        meeting["participant"] = participant
    return {"event": event, "event_ts": 1767604800000, "payload": {"account_id": "acct", "object": meeting}}


def cloud(name: str, **data: Any) -> Event:
    """An event of Cofferdam's own family."""
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "urn:example:platform",
        "type": f"io.cofferdam.{name}.v1",
        "time": "2026-03-01T10:00:00Z",
        "data": {"tenant_id": "t-1", "meeting_id": "m-1", **data},
    }


def rtms(number: int | str, **content: Any) -> Event:
    """A Zoom RTMS message."""
    inner = {"user_id": 16778240, "user_name": "Ada Lindqvist", "timestamp": 1767604800000, **content}
    return {"msg_type": number, "meeting_uuid": "mtg==", "content": inner}


def only_sealed(made: Taken, kind: str, *values: str) -> None:
    """Values that are sealed under a kind and stand nowhere in clear."""
    inside = b"".join(raw for _, raw in made.sealed()[kind])
    for value in values:
        assert value.encode() in inside, value
        assert value not in made.in_clear(), value


def nowhere(made: Taken, *values: str) -> None:
    """Values that are neither in clear nor sealed: the contract drops them, and the drop is counted."""
    everything = made.in_clear() + repr(made.sealed())
    assert not [value for value in values if value in everything]
    assert sum(group.dropped.total() for group in made.groups) >= len(values)


def held_whole(record: Event | bytes | list[Any]) -> list[str]:
    """Reasons of a record that must be sealed whole, with no value in clear."""
    line = record if isinstance(record, bytes) else json.dumps(record).encode()
    made = take(line)
    assert made.groups == []
    assert "Lindqvist" not in made.in_clear()
    return made.held


# 1. Titles are everywhere.


@pytest.mark.parametrize(
    "event",
    [
        zoom("meeting.started", topic="Project Lindqvist"),
        zoom("meeting.summary_completed", meeting_topic="Project Lindqvist"),
        {
            **zoom("meeting.updated"),
            "payload": {"account_id": "a", "old_object": {"topic": "Project Lindqvist"}},
        },
        zoom("chat_message.sent", channel_name="Project Lindqvist"),
        zoom("recording.completed", topic="Project Lindqvist"),
        cloud("meeting.started", title="Project Lindqvist"),
    ],
)
def test_trap_01_titles_are_sealed_wherever_they_stand(event: Event) -> None:
    made = take(event)
    assert made.held == []
    only_sealed(made, "meeting_title", "Project Lindqvist")


@pytest.mark.parametrize(
    "event",
    [
        {"eventType": "ROOM_CREATED", "fqn": "vpaas-magic/ProjectLindqvist", "sessionId": "s"},
        {
            "event_name": "muc-room-created",
            "room_jid": "project.lindqvist@conference.example",
            "room_name": "Lindqvist",
        },
        {
            "type": "meeting.started",
            "id": "1",
            "payload": {"room": "Lindqvist"},
            "event_ts": 1.5,
            "version": "1",
        },
        {
            "resource": "meetings",
            "event": "started",
            "name": "Room Lindqvist",
            "filter": "",
            "data": {"id": "1"},
        },
        {
            "event": "room_started",
            "id": "EV_1",
            "room": {"name": "Lindqvist", "sid": "RM_1"},
            "createdAt": "1",
        },
    ],
)
def test_trap_01_titles_of_other_platforms_are_sealed_with_their_events(event: Event) -> None:
    assert held_whole(event) == UNKNOWN


# 2. Free text under names of telemetry.


def test_trap_02_only_a_listed_reason_leaves_a_sentence_with_a_name() -> None:
    reason = "Ada Lindqvist left the meeting.<br>Reason: Host ended the meeting."
    made = take(zoom("meeting.participant_left", {"user_id": "1", "leave_reason": reason}))
    (row,) = made.rows("zoom_participant")
    assert row["participant_leave_reason"] == "Host ended the meeting."
    only_sealed(made, "identity", reason)
    assert "Lindqvist" not in made.in_clear()


@pytest.mark.parametrize(
    "reason",
    [
        "Ada Lindqvist left.<br>Reason: Ada Lindqvist was removed.",
        "Lindqvist",
        "<br>Reason: ",
        "Host ended the meeting.",
    ],
)
def test_trap_02_what_is_not_listed_stays_sealed(reason: str) -> None:
    made = take(zoom("meeting.participant_left", {"user_id": "1", "leave_reason": reason}))
    (row,) = made.rows("zoom_participant")
    assert row["participant_leave_reason"] is None
    only_sealed(made, "identity", reason)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "recording.error", "id": "1", "payload": {"error_msg": "Lindqvist's disk is full"}},
        {"type": "peer.leave.success", "id": "1", "data": {"message": "Lindqvist removed due to misconduct"}},
        {"@odata.type": "#callRecord", "sessions": [{"failureInfo": {"reason": "Lindqvist hung up"}}]},
    ],
)
def test_trap_02_free_text_of_other_platforms_is_sealed_with_their_events(event: Event) -> None:
    assert held_whole(event) == UNKNOWN


# 3. Secrets outside the payload, in addresses, and in events of usage.


def test_trap_03_secrets_beside_the_payload_are_dropped() -> None:
    event = {
        **zoom("recording.completed", password="pw-8841", recording_play_passcode="pc-77"),
        "download_token": "jwt-1",
    }
    made = take(event)
    assert made.held == []
    nowhere(made, "pw-8841", "pc-77", "jwt-1")


def test_trap_03_addresses_that_open_something_are_sealed_or_dropped() -> None:
    made = take(
        zoom(
            "recording.completed",
            share_url="https://zoom.example/rec/s3cret-1",
            recording_files=[
                {"id": "f", "file_type": "MP4", "download_url": "https://zoom.example/s3cret-2?token=x"}
            ],
        )
    )
    assert "s3cret" not in made.in_clear()
    assert b"s3cret-1" in b"".join(raw for parts in made.sealed().values() for _, raw in parts)


@pytest.mark.parametrize(
    ("event", "secret"),
    [
        (
            zoom("meeting.created", join_url="https://zoom.example/j/1?pwd=s3cret", password="s3cret"),
            "s3cret",
        ),
        (
            zoom(
                "meeting.live_streaming_started",
                live_streaming={"custom_live_streaming_settings": {"stream_key": "s3cret"}},
            ),
            "s3cret",
        ),
        ({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "s3cret"}}, "s3cret"),
    ],
)
def test_trap_03_secrets_in_events_of_usage_are_dropped(event: Event, secret: str) -> None:
    made = take(event)
    assert made.held == []
    nowhere(made, secret)


def test_trap_03_a_passcode_of_our_own_family_is_sealed() -> None:
    only_sealed(take(cloud("meeting.started", passcode="s3cret")), "secret", "s3cret")


@pytest.mark.parametrize(
    "event",
    [
        {"event": "room_started", "room": {"turnPassword": "Lindqvist"}, "id": "EV_1"},
        {"data": {"id": "meeting-created", "attributes": {"meeting": {"moderator-pass": "Lindqvist"}}}},
    ],
)
def test_trap_03_secrets_of_other_platforms_are_sealed_with_their_events(event: Event) -> None:
    assert held_whole(event) == UNKNOWN


# 4. Ids that decode to people.


def test_trap_04_ids_that_name_people_are_pseudonyms_or_sealed() -> None:
    person = {
        "user_id": "16778240",
        "participant_user_id": "QWRhIExpbmRxdmlzdA==",
        "customer_key": "ada.lindqvist",
        "phone_number": 4915115550142,
    }
    made = take(zoom("meeting.participant_joined", person))
    assert made.held == []
    for value in ("QWRhIExpbmRxdmlzdA", "ada.lindqvist", "4915115550142", "mtg==", "84417302256", "16778240"):
        assert value not in made.in_clear()
    only_sealed(made, "identity", "ada.lindqvist", "4915115550142")
    assert len(made.row("zoom_participant")["participant"]) == 32


@pytest.mark.parametrize(
    "event",
    [
        {"eventType": "USAGE", "data": [{"deviceId": "+4915115550142", "email": "lindqvist@example.org"}]},
        {
            "type": "m.call.invite",
            "sender": "@lindqvist:example.org",
            "room_id": "!a:example.org",
            "content": {},
        },
        {"event": "connectionCreated", "sessionId": "1_MX40NX4", "connection": {"data": "name=Lindqvist"}},
    ],
)
def test_trap_04_ids_of_other_platforms_are_sealed_with_their_events(event: Event) -> None:
    assert held_whole(event) == UNKNOWN


# 5. Hardware and places in events of quality.


def test_trap_05_hardware_and_places_are_sealed() -> None:
    facts = {
        "mac_addr": "5c:cf:7f:a6:aa:aa",
        "harddisk_id": "WD-8841",
        "pc_name": "Adas-Laptop",
        "domain": "lindqvist.example",
        "location": "Bergen (NO)",
        "signaling_ip_address": "203.0.113.99",
        "network_type": "Wifi",
    }
    made = take(zoom("meeting.participant_data", {"participant_user_id": "u", "data": [facts]}))
    assert made.held == []
    named = [value for key, value in facts.items() if key not in ("network_type", "signaling_ip_address")]
    only_sealed(made, "identity", *named)
    assert "203.0.113.99" not in made.in_clear()
    assert [row["network_type"] for row in made.rows("zoom_participant_data__participant_data")] == ["Wifi"]


def test_trap_05_an_address_is_cut_to_its_network_or_sealed() -> None:
    made = take(cloud("meeting.quality", network={"ip": "203.0.113.99", "wifi_name": "Lindqvist Home"}))
    assert made.held == []
    assert "203.0.113.99" not in made.in_clear()
    assert "Lindqvist" not in made.in_clear()


# 6. Labels of devices are free text.


def test_trap_06_device_labels_are_sealed() -> None:
    labels = {"microphone": "Ada's AirPods", "speaker": "Lindqvist's speaker", "camera": "Ada's iPhone"}
    made = take(zoom("meeting.participant_data", {"participant_user_id": "u", "data": [labels]}))
    only_sealed(made, "identity", *labels.values())
    client = take(
        cloud("meeting.participant.joined", client={"platform": "macos", "device_label": "Ada's AirPods"})
    )
    assert client.held == []
    assert "AirPods" not in client.in_clear()
    assert client.row("cofferdam_participant")["client_platform"] == "macos"


# 7. Telemetry that is computed from content.


def test_trap_07_what_is_computed_from_sound_is_sealed_as_sound() -> None:
    made = take(cloud("meeting.quality", dominant_speaker="u-ada", audio_level=-18.25, round_trip_time=38.5))
    assert made.held == []
    only_sealed(made, "audio", "u-ada", "-18.25")
    assert made.row("cofferdam_quality")["round_trip_time"] == 38.5
    left = take(cloud("meeting.participant.left", talk_time=1234.5))
    only_sealed(left, "audio", "1234.5")


def test_trap_07_who_speaks_is_sealed_as_sound() -> None:
    made = take(
        {"msg_type": 6, "event": {"event_type": 2, "user_name": "Ada Lindqvist"}, "timestamp": 1767604800000}
    )
    assert made.held == []
    only_sealed(made, "audio", "Ada Lindqvist")


@pytest.mark.parametrize(
    ("vector_of", "kind"),
    [
        ("text", "embedding"),
        ("voice", "voiceprint"),
        ("face", "face_template"),
        ("soul", "unclassified"),
        (None, "unclassified"),
    ],
)
def test_trap_07_vectors_are_sealed_as_what_they_were_made_of(vector_of: str | None, kind: str) -> None:
    more: Event = {} if vector_of is None else {"vector_of": vector_of}
    made = take(cloud("embedding.computed", vector=[0.125, -0.875], **more))
    assert made.held == []
    only_sealed(made, kind, "0.125, -0.875")


# 8. One name, several classes.


@pytest.mark.parametrize(
    ("number", "kind"), [(14, "audio"), (15, "video"), (16, "screen_share"), (17, "transcript"), (18, "chat")]
)
def test_trap_08_the_same_field_has_the_kind_of_its_message(number: int, kind: str) -> None:
    made = take(rtms(number, data="d0FuZGVycg=="))
    assert made.held == []
    only_sealed(made, kind, "d0FuZGVycg==")
    only_sealed(made, "identity", "Ada Lindqvist")


def test_trap_08_a_recording_file_has_the_kind_of_its_type() -> None:
    types = {
        "MP4": "video",
        "M4A": "audio",
        "TRANSCRIPT": "transcript",
        "CHAT": "chat",
        "SUMMARY": "summary",
        "HOLOGRAM": "unclassified",
    }
    files = [{"id": name, "file_type": name, "file_name": f"name of {name}"} for name in types]
    made = take(zoom("recording.completed", recording_files=files))
    assert made.held == []
    for name, kind in types.items():
        only_sealed(made, kind, f"name of {name}")


# 9. Content inside strings.


def test_trap_09_content_inside_a_string_stays_one_sealed_string() -> None:
    hidden = json.dumps({"user_name": "Lindqvist", "nested": json.dumps({"deeper": "<b>Lindqvist</b>"})})
    made = take(zoom("meeting.chat_message_sent", chat_message={"message_content": hidden}))
    assert made.held == []
    ((_, raw),) = made.sealed()["chat"]
    assert json.loads(raw) == hidden
    assert "Lindqvist" not in made.in_clear()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"domain=example.org&event=%5B%7B%22Lindqvist%22%3A1%7D%5D&timestamp=1", "NOT_JSON"),
        (
            {"type": "session.close.success", "id": "1", "data": {"user_data": '{"name":"Lindqvist"}'}},
            "UNKNOWN_TYPE",
        ),
        (
            {"message": {"data": "TGluZHF2aXN0", "attributes": {"ce-type": "google.workspace.meet"}}},
            "UNKNOWN_TYPE",
        ),
        (
            ["getUserMedia", None, {"sdp": "o=Lindqvist 1 2 IN IP4 203.0.113.9"}, 1767604800000],
            "NOT_AN_EVENT",
        ),
    ],
)
def test_trap_09_content_in_other_platforms_wrappings_is_sealed_whole(record: Any, reason: str) -> None:
    assert held_whole(record) == [reason]


# 10. People as keys.


def test_trap_10_people_as_keys_are_sealed_with_their_values() -> None:
    made = take(zoom("meeting.started", {"ada.lindqvist@example.org": {"talked": 7}}, **{"Ada Lindqvist": 1}))
    assert made.held == []
    assert "indqvist" not in made.in_clear()
    keys = [set(json.loads(raw)) for _, raw in made.sealed()["unclassified"]]
    assert {"Ada Lindqvist"} in keys
    assert b"ada.lindqvist@example.org" in b"".join(raw for _, raw in made.sealed()["unclassified"])


def test_trap_10_the_report_of_drift_names_no_key(tmp_path: Path, keys: Path) -> None:
    path = lines_file(tmp_path / "in.jsonl", [zoom("meeting.started", None, **{"Ada Lindqvist": 1})])
    ledger = ingest(path, tmp_path / "S", keys)
    ((drift),) = ledger["drift"]
    assert (drift["parent"], drift["json_type"], drift["values"]) == ("payload.object", "number", 1)
    assert "Lindqvist" not in json.dumps(ledger)
    assert b"Lindqvist" in opened(tmp_path / "S", keys).everything()


def test_trap_10_keys_of_other_platforms_are_sealed_with_their_events() -> None:
    stats = {"stats": {"lindqvist@conference.example/abc": {"dominantSpeakerTime": 7}}}
    assert held_whole({"eventType": "SPEAKER_STATS", "data": {"speakerStats": stats}}) == UNKNOWN


# 11. Case and spelling.


def test_trap_11_known_misspellings_are_known_and_others_are_sealed() -> None:
    event = zoom("whiteboard.shared")
    event["payload"]["object"]["meeting_ uuid"] = "misspelt-uuid"
    made = take(event)
    assert made.held == []
    assert "misspelt-uuid" not in made.in_clear()
    assert "misspelt" not in repr(made.sealed())
    both = take(zoom("meeting.participant_data", {"data": [{"location": "Bergen", "Location": "Oslo"}]}))
    only_sealed(both, "identity", "Bergen")
    only_sealed(both, "unclassified", "Oslo")
    only_sealed(take(zoom("meeting.participant_data", {"data": [{"Location": "Oslo"}]})), "identity", "Oslo")


@pytest.mark.parametrize("key", ["Duration", "duration ", "DURATION", "dur\u0430tion"])
def test_trap_11_a_spelling_that_no_contract_names_is_sealed(key: str) -> None:
    made = take(zoom("meeting.started", None, **{key: 45}))
    assert made.held == []
    (raw,) = [raw for _, raw in made.sealed()["unclassified"]]
    assert json.loads(raw) == {key: 45}
    assert 45 not in made.row("zoom_meeting").values()


def test_trap_11_both_spellings_of_graph_are_unknown() -> None:
    for key in ("encryptedContent", "EncryptedContent"):
        assert held_whole({"value": [{"subscriptionId": "1", key: {"data": "Lindqvist"}}]}) == UNKNOWN


# 12. Types wobble.


def test_trap_12_an_id_is_the_same_as_number_and_as_text() -> None:
    number, text = (
        take(zoom("meeting.started", id=value, host_id="h")).row("zoom_meeting")
        for value in (84417302256, "84417302256")
    )
    assert {**number, "event_id": ""} == {**text, "event_id": ""}


def test_trap_12_a_value_of_another_type_is_sealed_and_the_rest_goes_on() -> None:
    made = take(zoom("meeting.started", duration="Ada said 45", type=2, timezone=["Europe/Berlin"]))
    assert made.held == []
    row = made.row("zoom_meeting")
    assert (row["duration"], row["type"], row["timezone"]) == (None, 2, None)
    only_sealed(made, "unclassified", "Ada said 45", "Europe/Berlin")


def test_trap_12_an_object_where_a_list_belongs_is_sealed() -> None:
    made = take(zoom("meeting.participant_qos", {"qos": {"type": "audio_input", "said": "Lindqvist"}}))
    assert made.held == []
    only_sealed(made, "unclassified", "Lindqvist")


@pytest.mark.parametrize(
    ("text", "number"),
    [("63 kbps", 63.0), ("0 kbps", 0.0), ("", None), ("fast, says Ada", None), ("63 ms", None), ("63", None)],
)
def test_trap_12_numbers_with_units_are_numbers_or_sealed(text: str, number: float | None) -> None:
    quality = {"type": "audio_input", "details": {"bitrate": text}}
    made = take(zoom("meeting.participant_qos", {"participant_id": "1", "qos": [quality]}))
    (row,) = made.rows("zoom_participant_qos__participant_qos")
    assert row["details_bitrate"] == number
    sealed = b"".join(raw for _, raw in made.sealed().get("unclassified", []))
    assert (json.dumps(text).encode() in sealed) is (number is None and text != "")


# 13. Delta compression.


@pytest.mark.parametrize(
    "entry",
    [
        ["getstats", "PC_0", {"a": {"type": "inbound-rtp", "audioLevel": 0.5}}, 1767604800000],
        ["getstats", "PC_0", {"a": {"audioLevel": 0.25}}, 1767604810000],
        ["identity", None, {"displayName": "Lindqvist"}, 1767604800000],
    ],
)
def test_trap_13_deltas_are_no_events_and_are_never_guessed_at(entry: list[Any]) -> None:
    assert held_whole(json.dumps(entry).encode()) == ["NOT_AN_EVENT"]


def test_trap_13_dumps_of_reports_are_unknown() -> None:
    assert held_whole({"type": "inbound-rtp", "audioLevel": 0.5, "displayName": "Lindqvist"}) == UNKNOWN


# 14. Duplicates, late and under several subscriptions.


def test_trap_14_an_event_that_comes_again_is_one_event(tmp_path: Path, keys: Path) -> None:
    event = zoom("meeting.started", topic="Budget")
    first = ingest(lines_file(tmp_path / "1.jsonl", [event, event]), tmp_path / "S", keys)
    assert first["outcomes"] == {"duplicate": 1, "separated": 1}
    later = ingest(lines_file(tmp_path / "2.jsonl", [event, zoom("meeting.ended")]), tmp_path / "S", keys)
    assert later["outcomes"] == {"duplicate": 1, "separated": 1}
    assert telemetry_rows(tmp_path / "S") == 2


def test_trap_14_a_new_version_under_the_same_id_is_sealed_and_not_dropped(
    tmp_path: Path, keys: Path
) -> None:
    events = [cloud("chat.message.sent", text="version 1"), cloud("chat.message.sent", text="version 2")]
    ledger = ingest(lines_file(tmp_path / "in.jsonl", events), tmp_path / "S", keys)
    assert reasons(ledger) == {"ID_COLLISION": 1}
    (reject,) = rejects_of(tmp_path / "S", keys)
    assert b"version 2" in reject.raw


# 15. Times: sent, happened, relayed, and years off.


def test_trap_15_the_time_of_sending_and_of_the_event_are_two_columns() -> None:
    made = take(
        zoom("meeting.participant_joined", {"user_id": "1", "join_time": "2026-01-05T10:20:05+01:00"})
    )
    row = made.row("zoom_participant")
    assert row["event_time"].isoformat() == "2026-01-05T09:20:00+00:00"
    assert row["participant_join_time"].isoformat() == "2026-01-05T09:20:05+00:00"


@pytest.mark.parametrize(
    "moment", [0, 946684799999, 4102444800000, -1, "1767604800000", 1767604800.5, "soon", True]
)
def test_trap_15_a_time_that_cannot_be_is_sealed_and_dates_nothing(moment: Any) -> None:
    made = take({**zoom("meeting.started"), "event_ts": moment})
    assert made.held == []
    assert made.row("zoom_meeting")["event_time"] is None
    only = [raw for path, raw in made.sealed()["unclassified"] if path == "event_ts"]
    assert [json.loads(raw) for raw in only] == [moment]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-05T09:20:00Z", "2026-01-05T09:20:00+00:00"),
        ("2026-01-05T09:20:00.1234567Z", "2026-01-05T09:20:00.123000+00:00"),
        ("2026-01-05T09:20:00.123456789+00:00", "2026-01-05T09:20:00.123000+00:00"),
        ("Tue Oct 31 13:52:37 BRT 2023", None),
        ("1767604800", None),
    ],
)
def test_trap_15_the_shapes_of_times(text: str, moment: str | None) -> None:
    found = take({**cloud("meeting.started"), "time": text}).row("cofferdam_meeting")["event_time"]
    assert (found and found.isoformat()) == moment


def test_trap_15_no_path_holds_a_time_outside_the_window(tmp_path: Path, keys: Path) -> None:
    events = [{**zoom("meeting.started"), "event_ts": moment} for moment in (0, 4102444800000)]
    ingest(lines_file(tmp_path / "in.jsonl", events), tmp_path / "S", keys)
    files = Store.open(str(tmp_path / "S")).files("telemetry/zoom_meeting")
    assert files
    assert all("date=unknown" in file.path for file in files)


# 16. People outside the tenant.


def test_trap_16_third_parties_are_sealed() -> None:
    details = {
        "post_user": "Lindqvist",
        "social_link": "https://social.example/lindqvist",
        "meeting_url": "https://z.example/j/1",
    }
    made = take(zoom("meeting.risk_alert", armn_details=details))
    assert made.held == []
    assert "indqvist" not in made.in_clear()
    only_sealed(made, "identity", "Lindqvist")


def test_trap_16_registrants_and_callers_are_sealed() -> None:
    registrant = {
        "id": "r-1",
        "first_name": "Ada",
        "last_name": "Lindqvist",
        "email": "ada@lindqvist.example",
        "comments": "I am Ada",
    }
    made = take(zoom("meeting.registration_created", registrant=registrant))
    assert made.held == []
    only_sealed(made, "identity", "Lindqvist", "ada@lindqvist.example")
    only_sealed(made, "chat", "I am Ada")
    caller = take(
        zoom(
            "meeting.participant_joined",
            {"user_id": "1", "user_name": "4915115550142", "phone_number": "4915115550142"},
        )
    )
    assert "4915115550142" not in caller.in_clear()


# 17. Names that mislead.


def test_trap_17_fields_are_known_by_path_and_not_by_what_their_name_sounds_like() -> None:
    made = take(zoom("meeting.participant_data", {"data": [{"microphone": "USB", "network_type": "Wired"}]}))
    only_sealed(made, "identity", "USB")
    unknown = {
        "clientContext": "Ada said hello",
        "userDisplayName": "Ada Lindqvist",
        "bitrate": 5,
        "latency": 7,
    }
    drifted = take(zoom("meeting.started", None, **unknown))
    assert drifted.held == []
    sealed = [json.loads(raw) for _, raw in drifted.sealed()["unclassified"]]
    assert sorted(map(repr, sealed)) == sorted(repr({key: value}) for key, value in unknown.items())
    assert "Lindqvist" not in drifted.in_clear()


@pytest.mark.parametrize(
    "event", ["meeting.participant_quality", "meeting.started.v2", "MEETING.STARTED", ""]
)
def test_trap_17_an_event_type_that_sounds_known_is_unknown(event: str) -> None:
    assert held_whole({**zoom(event, {"user_name": "Lindqvist"})}) == UNKNOWN


# 18. Signals of deletion and withdrawal.


@pytest.mark.parametrize(
    "event",
    [
        "recording.deleted",
        "recording.trashed",
        "meeting.permanently_deleted",
        "meeting.summary_deleted",
        "meeting.ai_companion_assets_deleted",
        "meeting.rtms_stopped",
        "chat_message.deleted",
        "user.deleted",
        "app_deauthorized",
    ],
)
def test_trap_18_a_signal_of_deletion_is_an_event_that_can_be_found(event: str) -> None:
    shape = bundled().by_event["zoom", event]
    assert event in shape.deletion_signals
    made = take(zoom(event))
    assert made.held == []
    row = made.row(shape.table)
    assert row["event_type"] == event
    assert (row["event_time"] is None) is (event == "app_deauthorized")


def test_trap_18_a_revoked_stream_says_so() -> None:
    event = {"event": "meeting.rtms_stopped", "event_ts": 1767604800000}
    payload = {"meeting_uuid": "mtg==", "rtms_stream_id": "s-1", "stop_reason": 8}
    row = take({**event, "payload": payload}).row(bundled().by_event["zoom", "meeting.rtms_stopped"].table)
    assert row["stop_reason"] == 8
    assert row["meeting"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "m.room.redaction", "redacts": "$1", "sender": "@lindqvist:example.org"},
        {"value": [{"changeType": "deleted", "resource": "communications/Lindqvist"}]},
    ],
)
def test_trap_18_signals_of_other_platforms_are_sealed_and_not_lost(
    event: Event, tmp_path: Path, keys: Path
) -> None:
    ledger = ingest(lines_file(tmp_path / "in.jsonl", [event]), tmp_path / "S", keys)
    assert ledger["outcomes"] == {"unknown": 1}
    (reject,) = rejects_of(tmp_path / "S", keys)
    assert json.loads(reject.raw) == event
    assert telemetry_rows(tmp_path / "S") == 0
