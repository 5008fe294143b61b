"""Cofferdam's own CloudEvents family: what it covers, and what its contracts must never let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.classification import Lane, Protection
from schemas.consent_sets import CAPTURES, CHANNELS, CONTENT_LIKE, STATUSES
from schemas.contract import ContractSet, EventShape, Field, bundled_contract_files, load_contracts
from schemas.contract_lint import lint_contracts
from schemas.telemetry import telemetry_tables

FILES = [path for path in bundled_contract_files() if path.name.startswith("cofferdam")]
FAMILY = (
    "meeting.started",
    "meeting.ended",
    "meeting.participant.joined",
    "meeting.participant.left",
    "meeting.quality",
    "diagnostics.log",
    "diagnostics.crash",
    "usage.feature",
    "chat.message.sent",
    "reaction.sent",
    "file.shared",
    "poll.opened",
    "poll.answered",
    "poll.closed",
    "whiteboard.updated",
    "audio.chunk",
    "video.chunk",
    "screen_share.chunk",
    "transcript.segment",
    "caption.segment",
    "translation.segment",
    "summary.completed",
    "embedding.computed",
)
CONTEXT = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema")


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts(FILES)


def field_of(contracts: ContractSet, table: str, dotted: str) -> Field:
    shape = next(shape for shape in contracts.shapes if shape.table == table)
    return next(entry for entry in shape.fields if entry.dotted == dotted)


def all_fields(contracts: ContractSet) -> list[tuple[EventShape, Field]]:
    return [(shape, entry) for shape in contracts.shapes for entry in shape.fields]


def test_linter_has_nothing_to_say() -> None:
    assert lint_contracts(FILES) == []


def test_family_is_complete(contracts: ContractSet) -> None:
    events = {event for _, event in contracts.by_event}
    assert events == {f"io.cofferdam.{name}.v1" for name in FAMILY}


@pytest.mark.parametrize("name", CONTEXT)
def test_every_shape_describes_the_context(contracts: ContractSet, name: str) -> None:
    for shape in contracts.shapes:
        assert (name,) in {entry.path for entry in shape.fields}, shape.table


def test_every_shape_says_who_where_and_when(contracts: ContractSet) -> None:
    for shape in contracts.shapes:
        roles = {role: ".".join(path) for role, path in shape.envelope.items()}
        assert roles["id"] == "id"
        assert roles["time"] == "time"
        assert roles["tenant"] == "data.tenant_id"
        assert roles["meeting"] == "data.meeting_id"
        assert roles["participant"] == "data.participant.user_id"
        assert {"started", "ended", "region", "channel", "consent"} <= set(roles)


def test_roster_is_built_from_four_events(contracts: ContractSet) -> None:
    rosters = {event: word for shape in contracts.shapes for event, word in shape.roster.items()}
    assert sorted(rosters.values()) == ["end", "join", "leave", "start"]


def test_nothing_of_content_is_kept(contracts: ContractSet) -> None:
    for shape, entry in all_fields(contracts):
        if entry.lane is Lane.CONTENT and entry.protection is not Protection.SEAL:
            allowed = (Protection.DROP, Protection.TRUNCATE_IP)
            assert entry.protection in allowed, (shape.table, entry.dotted)


@pytest.mark.parametrize(
    ("table", "dotted", "kind"),
    [
        ("cofferdam_quality", "data.audio_level", "audio"),
        ("cofferdam_quality", "data.dominant_speaker", "audio"),
        ("cofferdam_participant", "data.talk_time", "audio"),
        ("cofferdam_audio", "data.voice_activity", "audio"),
        ("cofferdam_video", "data.faces", "face_template"),
        ("cofferdam_transcript", "data.confidence", "transcript"),
        ("cofferdam_diagnostics", "data.message", "unclassified"),
        ("cofferdam_crash", "data.minidump", "unclassified"),
        ("cofferdam_file", "data.sha256", "file"),
        ("cofferdam_meeting", "data.join_url", "secret"),
        ("cofferdam_participant", "data.client.device_label", "identity"),
    ],
)
def test_derived_and_free_values_are_sealed(
    contracts: ContractSet, table: str, dotted: str, kind: str
) -> None:
    entry = field_of(contracts, table, dotted)
    assert (entry.protection, entry.kind) == (Protection.SEAL, kind)


def test_biometric_vectors_are_told_apart(contracts: ContractSet) -> None:
    vector = field_of(contracts, "cofferdam_vector", "data.vector")
    siblings = field_of(contracts, "cofferdam_vector", "data.vector_of")
    assert vector.kind_by is not None
    assert vector.kind_by.kinds["voice"] == "voiceprint"
    assert vector.kind_by.kinds["face"] == "face_template"
    assert vector.kind_by.otherwise == "unclassified"
    assert set(vector.kind_by.kinds) == set(siblings.values or ())


def test_addresses_are_cut(contracts: ContractSet) -> None:
    address = field_of(contracts, "cofferdam_participant", "data.network.ip")
    assert address.protection is Protection.TRUNCATE_IP


def test_people_are_identified_by_type(contracts: ContractSet) -> None:
    types = {
        name: field_of(contracts, "cofferdam_participant", f"data.participant.{name}").identifies
        for name in ("user_id", "join_id", "email", "phone")
    }
    assert types == {
        "user_id": "cofferdam.user_id",
        "join_id": "cofferdam.join_id",
        "email": "email",
        "phone": "phone",
    }


def test_closed_sets_are_those_of_consent(contracts: ContractSet) -> None:
    def values(dotted: str) -> set[object]:
        return set(field_of(contracts, "cofferdam_transcript", dotted).values or ())

    assert values("data.participant.channel") == set(CHANNELS)
    assert values("data.consent.status") == {*STATUSES, "unknown"}
    assert values("data.consent.capture") == set(CAPTURES)
    assert values("data.derived_from") == CONTENT_LIKE


def test_what_is_derived_says_from_what(contracts: ContractSet) -> None:
    derived = {"transcript", "caption", "summary", "embedding"}
    for shape in contracts.shapes:
        kinds = {entry.kind for entry in shape.fields if entry.protection is Protection.SEAL}
        if shape.contract == "cofferdam-derived" and kinds & derived:
            assert ("data", "derived_from") in {entry.path for entry in shape.fields}, shape.table


def test_streams_have_a_table_of_their_own(contracts: ContractSet) -> None:
    quality = next(shape for shape in contracts.shapes if shape.table == "cofferdam_quality")
    names = [table.name for table in telemetry_tables(quality)]
    assert names == ["telemetry/cofferdam_quality", "telemetry/cofferdam_quality__streams"]


def test_no_contract_names_anything_but_its_own_source() -> None:
    assert {contract.source for contract in load_contracts(FILES).contracts} == {"cofferdam"}
    assert all(Path(path).name.startswith("cofferdam_") for path in FILES)
