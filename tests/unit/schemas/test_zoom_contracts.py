"""The bundled Zoom contracts: what they cover, and what they decide about the fields that mislead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from schemas.careful import CarefulDecoder
from schemas.classification import Protection
from schemas.contract import (
    ArrayNode,
    Contract,
    ContractSet,
    EventShape,
    Field,
    Node,
    ObjectNode,
    bundled_contract_files,
)
from schemas.contract_reading import read_contracts
from schemas.decoder import FastDecoder
from schemas.decoder_plan import Learned

FILES = [path for path in bundled_contract_files() if path.name.startswith("zoom")]
SAMPLE_FOLDERS = ("zoom_webhooks", "zoom_rtms_and_plugin")
CONTRACTS, PROBLEMS = read_contracts(FILES)
SET = ContractSet(tuple(CONTRACTS))
SHAPES = SET.shapes
DROP, SEAL, KEEP, PSEUDONYM = Protection.DROP, Protection.SEAL, Protection.KEEP, Protection.PSEUDONYM


def shape_of(event: str, source: str = "zoom") -> EventShape:
    return SET.by_event[source, event]


def find(node: Node | None, keys: list[str]) -> Node | None:
    """The contract's node at a path of an event, by the contract's spelling or by another one it knows."""
    for key in keys:
        inner = node.items if isinstance(node, ArrayNode) else node
        if not isinstance(inner, ObjectNode):
            return None
        node = inner.children.get(inner.aliases.get(key, key))
    return node


def field_of(event: str, path: str, source: str = "zoom") -> Field:
    found = find(shape_of(event, source).root, path.split("."))
    assert isinstance(found, Field), path
    return found


def leaf_paths(value: Any, keys: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all leaves of a JSON value; the elements of an array share one path."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from leaf_paths(member, (*keys, key))
    elif isinstance(value, list) and value:
        for item in value:
            yield from leaf_paths(item, keys)
    else:
        yield keys


def sample_events(shared_folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for folder in SAMPLE_FOLDERS:
        for path in sorted((shared_folder / "sources" / "samples" / folder).glob("*.json")):
            try:
                event = json.loads(path.read_bytes())
            except ValueError:
                continue
            if isinstance(event, dict) and ("event" in event or "msg_type" in event):
                yield path, event


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_a_contract_of_the_open_standard(path: Path) -> None:
    assert OpenDataContractStandard.model_validate(yaml.safe_load(path.read_bytes())).schema_


def test_the_loader_has_nothing_to_object() -> None:
    assert [str(problem) for problem in PROBLEMS] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_line_can_be_read_on_one_screen(path: Path) -> None:
    assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 200


def test_every_sample_event_type_is_known(shared_folder: Path) -> None:
    types = {event["event"] for _, event in sample_events(shared_folder) if "event" in event}
    assert len(types) > 150
    assert types - {event for source, event in SET.by_event if source == "zoom"} == set()


def test_every_sample_field_is_named_and_classified(shared_folder: Path) -> None:
    unnamed = {
        (event["event"], ".".join(keys))
        for _, event in sample_events(shared_folder)
        for keys in leaf_paths(event)
        if not isinstance(find(shape_of(event["event"]).root, list(keys)), Field)
    }
    assert unnamed == set()


def test_every_sample_is_decoded_without_a_rest(shared_folder: Path) -> None:
    left = []
    for path, event in sample_events(shared_folder):
        shape = shape_of(event["event"])
        line = json.dumps(event).encode()
        learned = Learned()
        careful = CarefulDecoder(shape, learned)
        careful.read(line)
        _, level, odd = FastDecoder(shape, learned).decode([line])
        if odd or level.unknown or careful.level().unknown:
            left.append(path.name)
    assert left == []


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.table)
def test_what_is_kept_cannot_carry_prose(shape: EventShape) -> None:
    for entry in shape.fields:
        if entry.protection is not KEEP or entry.path == shape.type_at:
            continue
        if entry.logical_type == "string" and entry.text_form is None:
            assert entry.values is not None or (entry.pattern and entry.max_length), entry.dotted
        elif entry.logical_type in ("integer", "number"):
            assert entry.values is not None or None not in (entry.minimum, entry.maximum), entry.dotted
        else:
            assert entry.logical_type in ("boolean", "timestamp"), entry.dotted


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.table)
def test_the_participant_is_under_an_identifier_type(shape: EventShape) -> None:
    path = shape.envelope.get("participant")
    if path is not None:
        assert next(entry for entry in shape.fields if entry.path == path).identifies


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.table)
def test_names_and_addresses_of_people_have_no_column(shape: EventShape) -> None:
    for entry in shape.fields:
        if entry.classification == "identifier.direct" and entry.column is not None:
            is_sender = entry.path[-1] == "sender_email" and entry.protection is PSEUDONYM
            assert is_sender or entry.cut or entry.protection is Protection.TRUNCATE_IP, entry.dotted


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.table)
def test_a_credential_never_stands_in_a_column(shape: EventShape) -> None:
    for entry in shape.fields:
        if entry.classification == "secret":
            assert entry.protection in (DROP, SEAL), entry.dotted
            assert entry.column is None, entry.dotted


@pytest.mark.parametrize(
    ("event", "path", "classification", "protection"),
    [
        ("meeting.started", "payload.object.topic", "content.meeting_title", SEAL),
        ("meeting.summary_completed", "payload.object.meeting_topic", "content.meeting_title", SEAL),
        ("meeting.updated", "payload.old_object.topic", "content.meeting_title", SEAL),
        ("webinar.updated", "payload.object.agenda", "content.meeting_title", SEAL),
        ("chat_message.sent", "payload.object.channel_name", "content.meeting_title", SEAL),
        ("recording.completed", "download_token", "secret", DROP),
        ("recording.completed", "payload.object.recording_play_passcode", "secret", DROP),
        ("recording.completed", "payload.object.share_url", "secret", SEAL),
        ("meeting.created", "payload.object.join_url", "secret", DROP),
        ("meeting.created", "payload.object.password", "secret", DROP),
        ("meeting.registration_approved", "payload.object.registrant.participant_pin_code", "secret", DROP),
        ("endpoint.url_validation", "payload.plainToken", "secret", DROP),
        ("meeting.rtms_started", "payload.server_urls", "secret", DROP),
        ("user.tsp_created", "payload.object.tsp_credentials.leader_pin", "secret", DROP),
        ("meeting.created", "payload.operator", "identifier.direct", SEAL),
        ("meeting.created", "payload.object.settings.alternative_hosts", "identifier.direct", SEAL),
        ("meeting.participant_joined", "payload.object.participant.customer_key", "identifier.direct", SEAL),
        ("meeting.participant_joined", "payload.object.participant.phone_number", "identifier.direct", SEAL),
        ("meeting.risk_alert", "payload.object.armn_details.post_user", "identifier.direct", SEAL),
        ("meeting.participant_data", "payload.object.participant.data.mac_addr", "identifier.direct", SEAL),
        (
            "meeting.participant_data",
            "payload.object.participant.data.harddisk_id",
            "identifier.direct",
            SEAL,
        ),
        ("meeting.participant_data", "payload.object.participant.data.microphone", "identifier.direct", SEAL),
        ("meeting.participant_data", "payload.object.participant.data.location", "identifier.direct", SEAL),
        ("meeting.participant_data", "payload.object.participant.data.Location", "identifier.direct", SEAL),
        (
            "meeting.participant_feedback",
            "payload.object.participant.feedback.comments",
            "content.chat",
            SEAL,
        ),
        (
            "meeting.registration_created",
            "payload.object.registrant.custom_questions.value",
            "content.poll",
            SEAL,
        ),
        ("meeting.summary_completed", "payload.object.summary_content", "content.summary", SEAL),
        ("meeting.chat_message_sent", "payload.object.chat_message.message_content", "content.chat", SEAL),
        (
            "meeting.chat_message_sent",
            "payload.object.chat_message.message_id",
            "identifier.pseudonymous",
            PSEUDONYM,
        ),
        (
            "meeting.chat_message_sent",
            "payload.object.chat_message.sender_context",
            "identifier.direct",
            SEAL,
        ),
        ("team_chat.dm_reaction_added", "payload.object.emoji", "content.reaction", SEAL),
        ("team_chat.dm_message_posted", "payload.object.contact_account_id ", "identifier.tenant", PSEUDONYM),
        ("whiteboard.shared", "payload.object.meeting_ uuid", "identifier.meeting", PSEUDONYM),
        ("whiteboard.created", "payload.object.whiteboard_name", "content.whiteboard", SEAL),
        ("user.presence_status_updated", "payload.object.date-time", "metadata", KEEP),
        ("user.personal_notes_updated", "payload.old_object.personal_notes", "content.chat", SEAL),
        ("bot_notification", "payload.cmd", "content.chat", SEAL),
    ],
)
def test_fields_that_mislead(event: str, path: str, classification: str, protection: Protection) -> None:
    entry = field_of(event, path)
    assert (entry.classification, entry.protection) == (classification, protection)


def test_only_a_listed_reason_is_cut_out_of_a_sentence_with_a_name() -> None:
    entry = field_of("meeting.participant_left", "payload.object.participant.leave_reason")
    assert entry.protection is SEAL
    assert entry.cut is not None
    assert entry.cut.after == "<br>Reason: "
    assert "Host ended the meeting." in entry.cut.values


@pytest.mark.parametrize(
    ("name", "unit"),
    [("bitrate", "kbps"), ("max_latency", "ms"), ("avg_loss", "percent"), ("avg_frame_rate", "fps")],
)
def test_quality_numbers_are_read_with_their_unit(name: str, unit: str) -> None:
    entry = field_of("webinar.participant_qos", f"payload.object.participant.qos.details.{name}")
    assert (entry.classification, entry.text_form, entry.unit) == (
        "service.telemetry",
        "number_with_unit",
        unit,
    )


@pytest.mark.parametrize("pointer", ["download_url", "file_name"])
def test_a_recording_file_belongs_to_the_kind_of_its_type(pointer: str) -> None:
    entry = field_of("recording.completed", f"payload.object.recording_files.{pointer}")
    assert entry.kind == "unclassified"
    assert entry.kind_by is not None
    assert entry.kind_by.sibling == "file_type"
    assert entry.kind_by.otherwise == "unclassified"
    expected = {
        "MP4": "video",
        "M4A": "audio",
        "TRANSCRIPT": "transcript",
        "CHAT": "chat",
        "SUMMARY": "summary",
    }
    assert expected.items() <= dict(entry.kind_by.kinds).items()


def test_each_media_message_gives_the_same_field_its_own_kind() -> None:
    kinds = {number: field_of(number, "content.data", "zoom_rtms").kind for number in map(str, range(14, 19))}
    assert kinds == {"14": "audio", "15": "video", "16": "screen_share", "17": "transcript", "18": "chat"}


def test_who_speaks_is_sealed_like_speech() -> None:
    entry = field_of("6", "event", "zoom_rtms")
    assert (entry.kind, entry.protection, entry.column) == ("audio", SEAL, None)


@pytest.mark.parametrize("name", ["start_time", "end_time", "language"])
def test_when_words_were_spoken_is_sealed_with_the_words(name: str) -> None:
    entry = field_of("17", f"content.{name}", "zoom_rtms")
    assert (entry.kind, entry.column) == ("transcript", None)


def test_a_visit_identifies_nobody_and_a_user_id_does() -> None:
    base = "payload.object.participant"
    found = {
        name: field_of("meeting.participant_joined", f"{base}.{name}").identifies
        for name in (
            "user_id",
            "parent_user_id",
            "participant_uuid",
            "id",
            "participant_user_id",
            "registrant_id",
        )
    }
    assert found == {
        "user_id": "zoom.join_id",
        "parent_user_id": "zoom.join_id",
        "participant_uuid": None,
        "id": "zoom.user_id",
        "participant_user_id": "zoom.user_id",
        "registrant_id": "zoom.registrant_id",
    }


def test_only_presence_is_on_the_roster() -> None:
    said = {event: word for shape in SHAPES for event, word in shape.roster.items()}
    assert said == {
        "meeting.started": "start",
        "webinar.started": "start",
        "meeting.ended": "end",
        "webinar.ended": "end",
        "meeting.participant_joined": "join",
        "webinar.participant_joined": "join",
        "meeting.participant_joined_breakout_room": "enter",
        "meeting.participant_left": "leave",
        "webinar.participant_left": "leave",
    }


def test_deletions_at_the_source_are_signals() -> None:
    signals = {event for shape in SHAPES for event in shape.deletion_signals}
    assert signals >= {
        "recording.deleted",
        "recording.trashed",
        "recording.batch_deleted",
        "meeting.permanently_deleted",
        "meeting.summary_deleted",
        "meeting.ai_companion_assets_deleted",
        "meeting.rtms_stopped",
        "chat_message.deleted",
        "user.deleted",
        "user.deactivated",
        "whiteboard.deleted",
        "app_deauthorized",
        "8",
    }
    assert all(event in shape.events for shape in SHAPES for event in shape.deletion_signals)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.id)
def test_a_contract_says_what_its_tables_are(contract: Contract) -> None:
    assert contract.source in ("zoom", "zoom_rtms")
    assert all(shape.description and shape.table.startswith("zoom_") for shape in contract.shapes)
