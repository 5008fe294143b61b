"""Deletions, lineage and spans: the words on a table that say what whole events mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.contract import Deletions, EventShape, Span, load_contracts
from schemas.contract_reading import read_contracts
from schemas.contract_signals import path_of
from tests.unit.schemas.contract_samples import HEADER, prop, written

LINEAGE = """
      - name: made_of
        logicalType: array
        items: {logicalType: string, classification: metadata, customProperties: [%s]}
"""


def with_words(*words: str) -> str:
    """The sample contract with more custom properties on its table."""
    lines = "".join(f"      - {word}\n" for word in words)
    assert HEADER.count("      - {property: events") == 1
    return HEADER.replace("      - {property: events", f"{lines}      - {{property: events")


def shape_of(folder: Path, *words: str) -> EventShape:
    (shape,) = load_contracts([written(folder, with_words(*words))]).shapes
    return shape


def codes(folder: Path, text: str) -> set[str]:
    return {problem.code for problem in read_contracts([written(folder, text)])[1]}


def test_a_path_leads_through_arrays() -> None:
    assert path_of("a.b[].c") == ("a", "b", "[]", "c")
    assert path_of("a[]") == ("a", "[]")


def test_without_words_nothing_is_a_deletion(tmp_path: Path) -> None:
    shape = shape_of(tmp_path)
    assert (shape.deletions, shape.made_from, shape.spans) == (Deletions(), {}, ())


def test_a_deletion_is_read_with_its_test_and_what_it_names(tmp_path: Path) -> None:
    shape = shape_of(
        tmp_path,
        prop("deletionSignal", "[call.quality]"),
        prop("deletionSignalWhen", "{field: codec, values: [opus], absent: true}"),
        prop("deletionNames", "person"),
        prop("deletionMeetings", "[call]"),
        prop("madeFrom", "{summary: [audio, chat]}"),
    )
    when = (("codec",),)
    assert shape.deletions == Deletions(("call.quality",), when, ("opus",), True, "person", (("call",),))
    assert shape.deletion_signals == ("call.quality",)
    assert shape.made_from == {"summary": ("audio", "chat")}


@pytest.mark.parametrize(
    "words",
    [
        ("deletionSignal", "[call.unknown]"),
        ("deletionSignalWhen", "{field: codec, values: [opus]}"),
        ("deletionNames", "person"),
        ("madeFrom", "{summary: [rumour]}"),
        ("madeFrom", "{rumour: [audio]}"),
        ("madeFrom", "[audio]"),
        ("spans", "[{array: 'calls[]', start: a, end: b}]"),
        ("spans", "[{array: 'calls[]'}]"),
    ],
)
def test_a_word_that_nothing_answers_to_is_refused(words: tuple[str, str], tmp_path: Path) -> None:
    found = codes(tmp_path, with_words(prop(*words)))
    assert len(found) == 1
    assert found < {"BAD_DELETION_SIGNAL", "BAD_LINEAGE", "BAD_SPAN"}


@pytest.mark.parametrize(
    "words",
    [
        ("deletionSignalWhen", "{field: codec}"),
        ("deletionSignalWhen", "{field: nowhere, values: [1]}"),
        ("deletionSignalWhen", "{field: codec, values: [1], absnt: true}"),
        ("deletionNames", "meetings"),
        ("deletionNames", "piece"),
        ("deletionMeetings", "[nowhere]"),
    ],
)
def test_a_deletion_that_could_not_be_heard_is_refused(words: tuple[str, str], tmp_path: Path) -> None:
    text = with_words(prop("deletionSignal", "[call.quality]"), prop(*words))
    assert codes(tmp_path, text) == {"BAD_DELETION_SIGNAL"}


@pytest.mark.parametrize(
    ("marks", "refused"),
    [("[audio, voiceprint]", False), ("[audio, rumour]", True)],
)
def test_lineage_is_a_list_of_kinds(marks: str, refused: bool, tmp_path: Path) -> None:
    text = HEADER.replace("meeting: call", "derived_from: made_of, meeting: call")
    text = text.rstrip() + LINEAGE % prop("values", marks)
    assert text != HEADER
    assert codes(tmp_path, text) == ({"BAD_LINEAGE"} if refused else set())


def test_the_bundled_contracts_name_what_a_deletion_is_about() -> None:
    by_event = load_contracts().by_event
    named = {
        event: by_event["zoom", event].deletions.names
        for event in ("recording.trashed", "chat_message.deleted", "whiteboard.deleted", "user.deleted")
    }
    assert list(named.values()) == ["meeting", "piece", "piece", "person"]
    assert by_event["zoom", "recording.batch_deleted"].deletions.meetings == (
        ("payload", "object", "meeting_uuids"),
        ("payload", "object", "meetings", "[]", "meeting_uuid"),
    )
    files = Span(("payload", "object", "recording_files", "[]"), "recording_start", "recording_end")
    assert files in by_event["zoom", "recording.completed"].spans
