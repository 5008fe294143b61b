"""Names that anybody can choose do nothing to a terminal."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drift_report import LONGEST_NAME, as_document, print_drift, shown_name
from transforms.drift_names import Revealed, UnknownField, UnknownType

LEDGER = {"decision_id": "d-1", "opened": {"items": 2, "broken": {}}}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mood", "mood"),
        ("Stimmung für Zürich", "Stimmung für Zürich"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202etxt", "\\u202etxt"),
        ("back\\slash", "back\\\\slash"),
        ("\u200b", "\\u200b"),
        ("x" * 500, "x" * LONGEST_NAME + "…"),
    ],
)
def test_what_does_not_print_is_escaped(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@given(st.text())
def test_nothing_that_does_not_print_is_shown(name: str) -> None:
    assert shown_name(name).isprintable()


def test_markup_in_a_name_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    field = UnknownField("zoom", "e", "data", "[red]bold[/red]", "string", "00")
    print_drift(LEDGER, Revealed(Counter({field: 3}), Counter({UnknownType("zoom", "[b]x"): 1}), 4, 5))
    shown = capsys.readouterr().out
    assert "[red]bold[/red]" in shown
    assert "[b]x" in shown
    assert (
        "4 more values and records under further names; 5 records without the name of an event type" in shown
    )


def test_no_name_is_in_what_python_shows_of_it() -> None:
    field = UnknownField("zoom", "e", "data", "canary", "string", "00")
    found = Revealed(Counter({field: 1}), Counter({UnknownType("zoom", "canary"): 1}))
    assert "canary" not in repr(found) + repr(field) + repr(UnknownType("zoom", "canary"))
    assert as_document(LEDGER, found)["unknown_fields"][0]["name"] == "canary"
