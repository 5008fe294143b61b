"""What events claim about their content: kept where it can be read, noted where it cannot, never granting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.consent_sets import CONTENT_LIKE
from schemas.tables import UNREADABLE
from tests.unit.transforms.separator_samples import key_folder, take
from transforms.consent_intake import RECORD_TYPE
from transforms.item_rows import RECORDS_POINTED_AT
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms

Row = dict[str, Any]


def cloud(kind: str, **data: Any) -> Row:
    about = {"tenant_id": "t", "meeting_id": "m"}
    event = {"specversion": "1.0", "id": "e", "source": "s", "time": "2026-03-02T10:00:00Z"}
    return {**event, "type": f"io.cofferdam.{kind}.v1", "data": {**about, **data}}


def zoom(event: str, **about: Any) -> Row:
    return {"event": event, "event_ts": 1772445600000, "payload": {"account_id": "a", "object": about}}


def rows(*events: Row) -> dict[str, list[Row]]:
    """Rows of items by kind."""
    cuts = take(*events).cuts()
    return {cut.kind: cut.rows.to_pylist() for cut in cuts if cut.rows is not None}


def row(event: Row, kind: str) -> Row:
    (found,) = rows(event)[kind]
    return found


def pointed(record_id: str) -> str:
    keys = load_release_keys(key_folder() / "release")
    return join_pseudonyms(keys).pseudonym(record_id, identifier_type=RECORD_TYPE)


# Lineage.


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (["audio"], ["audio"]),
        (["chat", "voiceprint"], ["chat", "voiceprint"]),
        ([], []),
        (None, None),
        (["audio", "rumour"], [UNREADABLE]),
        (["audio", None], [UNREADABLE]),
        (["audio", 7], [UNREADABLE]),
        ("audio", [UNREADABLE]),
        ({"of": "audio"}, [UNREADABLE]),
    ],
)
def test_what_content_was_made_from_is_kept_or_noted_as_unreadable(stated: Any, kept: Any) -> None:
    made = row(cloud("transcript.segment", text="x", derived_from=stated), "transcript")
    assert made["derived_from"] == kept


def test_an_unreadable_lineage_does_not_touch_the_event_beside_it() -> None:
    made = rows(
        cloud("transcript.segment", text="x", derived_from=["rumour"]),
        {**cloud("transcript.segment", text="y", derived_from=["audio"]), "id": "e-2"},
    )
    assert [one["derived_from"] for one in made["transcript"]] == [[UNREADABLE], ["audio"]]


def test_what_the_contract_knows_of_a_kind_is_added() -> None:
    made = rows(cloud("transcript.segment", text="x", sentiment={"mood": 1}, derived_from=["chat"]))
    assert made["transcript"][0]["derived_from"] == ["chat"]
    assert made["sentiment"][0]["derived_from"] == ["chat", "transcript"]
    summary = row(zoom("meeting.summary_completed", uuid="m", summary_content="x"), "summary")
    assert summary["derived_from"] == ["transcript"]


def test_a_lineage_that_nobody_states_is_none() -> None:
    assert row(cloud("chat.message.sent", text="x"), "chat")["derived_from"] is None


# Times.


def recording(*files: Row, **about: Any) -> Row:
    listed = [{"file_type": "M4A", "download_url": "https://x.example/1", **file} for file in files]
    return row(zoom("recording.completed", uuid="m", recording_files=listed, **about), "audio")


def span(start: str, end: str | None) -> Row:
    times = {"recording_start": start, "recording_end": end}
    return {name: f"2026-03-02T{time}:00Z" for name, time in times.items() if time}


def hours(made: Row) -> tuple[str | None, str | None]:
    start, end = made["recorded_start"], made["recorded_end"]
    return (start and f"{start:%H:%M}", end and f"{end:%H:%M}")


def test_a_recording_lasts_from_its_first_file_to_its_last() -> None:
    made = recording(span("10:05", "10:30"), span("10:40", "10:50"), start_time="2026-03-02T10:00:00Z")
    assert hours(made) == ("10:00", "10:50")
    assert hours(recording(span("10:05", "10:30"), start_time="2026-03-02T10:20:00Z")) == ("10:05", "10:30")


def test_a_recording_with_a_file_of_no_known_end_has_no_known_end() -> None:
    assert hours(recording(span("10:05", "10:30"), span("10:40", None))) == ("10:05", None)
    odd = {**span("10:05", "10:30"), "recording_end": "soon"}
    assert hours(recording(odd, span("10:05", "10:30"))) == ("10:05", None)
    assert hours(recording({}, start_time="2026-03-02T10:00:00Z")) == ("10:00", None)


def test_files_that_cannot_be_read_leave_the_end_unknown() -> None:
    about = {"uuid": "m", "topic": "t", "recording_files": [span("10:05", "10:30"), "file"]}
    assert hours(row(zoom("recording.completed", **about), "meeting_title"))[1] is None


def test_the_files_of_one_event_say_nothing_of_another() -> None:
    first = zoom("recording.completed", uuid="m", topic="t", recording_files=[span("10:05", "10:30")])
    second = zoom("recording.completed", uuid="n", topic="t")
    made = rows(first, second)["meeting_title"]
    assert [hours(one) for one in made] == [("10:05", "10:30"), (None, None)]


# Messages and documents.


def test_a_message_is_known_by_its_id() -> None:
    first, same, other, nameless, odd = rows(
        zoom("chat_message.sent", session_id="c", id="1", message="a"),
        zoom("chat_message.updated", session_id="c", id="1", message="b"),
        zoom("chat_message.sent", session_id="c", id="2", message="c"),
        zoom("chat_message.sent", session_id="c", message="d"),
        zoom("chat_message.sent", session_id="c", id=["1"], message="e"),
    )["chat"]
    assert first["piece_join"] == same["piece_join"] != other["piece_join"]
    assert nameless["piece_join"] == odd["piece_join"] == UNREADABLE
    assert row(cloud("chat.message.sent", text="x"), "chat")["piece_join"] is None


# Claims about consent.


def flag(consent: Any) -> Row | None:
    found: Row | None = row(cloud("chat.message.sent", text="x", consent=consent), "chat")["consent_flag"]
    return found


def test_a_flag_points_at_records_under_the_join_key() -> None:
    found = flag({"record_ids": ["r-1", "anna@example.org"], "status": "given"})
    assert found == {
        "record_ids": [pointed("r-1"), pointed("anna@example.org")],
        "purposes": None,
        "refuses": None,
    }


def test_a_flag_points_at_so_many_records_and_no_more() -> None:
    found = flag({"record_ids": [f"r-{number}" for number in range(500)]})
    assert found is not None
    assert found["record_ids"] == [pointed(f"r-{number}") for number in range(RECORDS_POINTED_AT)]


@pytest.mark.parametrize(
    ("consent", "refuses", "purposes"),
    [
        ({"refuses": True}, True, None),
        ({"refuses": True, "purposes": ["ai_training"]}, True, ["ai_training"]),
        ({"refuses": False, "purposes": ["ai_training"]}, False, ["ai_training"]),
        ({"status": "withdrawn", "purposes": ["ai_training"]}, True, ["ai_training"]),
        ({"status": "refused", "refuses": False}, True, None),
        ({"status": "given", "refuses": True}, True, None),
        ({"refuses": "true", "purposes": ["ai_training"]}, True, None),
        ({"refuses": 1}, True, None),
        ({"status": "gone", "purposes": ["ai_training"]}, True, None),
        ({"status": ["given"]}, True, None),
        ({"declines": "no", "purposes": ["ai_training"]}, True, None),
        ({"refuses": True, "purposes": ["something"]}, True, None),
        ("yes", True, None),
        ([True], True, None),
    ],
)
def test_whatever_may_be_a_no_is_one(consent: Any, refuses: bool, purposes: Any) -> None:
    found = flag(consent)
    assert found is not None
    assert (found["refuses"], found["purposes"]) == (refuses, purposes)


@pytest.mark.parametrize(
    "consent", [None, {}, {"status": "given"}, {"status": "unknown"}, {"mechanism": "x"}]
)
def test_what_says_neither_no_nor_where_to_look_is_no_flag(consent: Any) -> None:
    assert flag(consent) is None


# Claims touch nothing else.

WORDS = st.sampled_from(
    ["given", "refused", "ai_training", "r-1", "audio", "voiceprint", "refuses", "status", "purposes", "yes"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(claims=st.fixed_dictionaries({}, optional={"consent": JSON, "derived_from": JSON}))
def test_no_claim_changes_anything_else_that_a_decision_reads(claims: Row) -> None:
    plain = row(cloud("transcript.segment", text="x"), "transcript")
    claimed = row(cloud("transcript.segment", text="x", **claims), "transcript")
    assert {name for name in plain if plain[name] != claimed[name]} <= {
        "consent_flag",
        "derived_from",
        "event_id",
        "item_id",
    }
    assert set(claimed["derived_from"] or ()) <= {*CONTENT_LIKE, UNREADABLE}


@settings(max_examples=150, deadline=None)
@given(consent=JSON, word=st.sampled_from(["refuses", "status", "something"]))
def test_nothing_beside_a_no_takes_it_back(consent: Any, word: str) -> None:
    no = {"refuses": True, "status": "withdrawn", "something": 1}[word]
    around = consent if isinstance(consent, dict) else {}
    found = flag({**around, word: no})
    assert found is not None
    assert found["refuses"] is True
