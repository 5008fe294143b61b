"""What the senders of events can write into kept texts of the contracts that come with Cofferdam."""

from __future__ import annotations

import re

import pytest

from schemas.classification import Protection
from schemas.contract import Field, bundled_contract_files, load_contracts

LONGEST_WORD = 2
_LETTER_CLASS = re.compile(r"(\[[^\]]*[A-Za-z]-[A-Za-z][^\]]*\]|\\w)(\{(?:\d+,)?(\d*)\}|[*+?])?")


def kept_texts() -> dict[str, Field]:
    return {
        f"{shape.table}: {entry.dotted}": entry
        for shape in load_contracts(bundled_contract_files()).shapes
        for entry in shape.fields
        if (entry.pattern or entry.values) and entry.protection is Protection.KEEP
    }


def chosen_letters(pattern: str) -> int:
    """The most letters in a row that a sender chooses one by one."""
    longest, row, end = 0, 0, -1
    for match in _LETTER_CLASS.finditer(pattern):
        count = {None: 1, "?": 1, "*": 99, "+": 99}.get(match[2]) or int(match[3] or 99)
        row = count + (row if match.start() == end else 0)
        longest, end = max(longest, row), match.end()
    return longest


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("[A-Z]{2}", 2),
        ("[A-Z][a-z0-9]{2,20}Error", 21),
        ("x[a-z]+", 99),
        ("(one|two)-[0-9]{4}", 0),
        (r"\w", 1),
    ],
)
def test_letters_are_counted(pattern: str, letters: int) -> None:
    assert chosen_letters(pattern) == letters


def test_no_sender_writes_a_word_of_their_own_into_telemetry() -> None:
    words = {name: chosen_letters(entry.pattern or "") for name, entry in kept_texts().items()}
    assert len(words) > 100
    assert {name: letters for name, letters in words.items() if letters > LONGEST_WORD} == {}


@pytest.mark.parametrize(
    ("field", "taken", "refused"),
    [
        ("dataschema", "urn:cofferdam:event:chat.message:v1", "urn:cofferdam:event:anna_is_ill.ask_ben:v1"),
        ("dataschema", "urn:cofferdam:event:meeting.participant.joined:v12", "urn:cofferdam:event:anna:v1"),
        ("data.exception_class", "RenderThreadError", "AnnaTellsBenOfMergerError"),
        ("data.exception_class", "NullPointerException", "AnnaError"),
        ("data.code", "NET-204", "ANNA-1"),
        ("payload.object.whiteboard_file.file_type", "application/pdf", "text/anna.is.ill.ask.ben"),
        ("payload.object.whiteboard_file.file_type", "image/png", "image/pngs"),
    ],
)
def test_names_and_prose_do_not_fit(field: str, taken: str, refused: str) -> None:
    found = [entry for name, entry in kept_texts().items() if name.endswith(f": {field}")]
    assert found
    for entry in found:
        assert fits(entry, taken)
        assert not fits(entry, refused)


def fits(entry: Field, text: str) -> bool:
    return text in entry.values if entry.values else bool(re.fullmatch(entry.pattern or "", text))
