"""Patterns of kept strings: what a whole language can carry."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract_patterns import pattern_faults
from schemas.pattern_automaton import PatternRefused, read_pattern


def codes(pattern: str, longest: int = 64) -> list[str]:
    return [code for code, _ in pattern_faults(pattern, longest)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"[0-9]{1,4}(\.[0-9]{1,5}){1,3}",
        r"[a-z]{2}-[A-Z]{2}",
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"Mac OS X [0-9.]{1,10}",
        r"(?:Windows|Mac OS) [0-9]{1,2}",
        r"\d+(\s?x\s?\d+)?",
        r"^[A-Z]{3}$",
    ],
)
def test_patterns_that_carry_only_codes_are_taken(pattern: str) -> None:
    assert codes(pattern, 36 if "f" in pattern else 31) == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"[A-Za-z ]+",
        r"[A-Z][a-z]+ [A-Z][a-z]+",
        r"\w+(\s\w+)*",
        r"v[0-9]+|[a-z]+, [a-z]+",
        r"(?:ab )+",
        r"[a-z]+[0-9. ]+[a-z]",
    ],
)
def test_two_chosen_words_are_prose(pattern: str) -> None:
    assert "FREE_TEXT" in codes(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z_]{1,30}",
        r"[A-Z][a-z]{3,9}-[A-Z][a-z]{3,9}",
        r"\w{1,20}",
        r"[a-z]+(\.[a-z]+)*",
        r"[A-Za-z]+/[A-Za-z_]+",
        r"[a-z]+[0-9]?,[a-z]+",
        r"(v1:)?[g-z]{4}_x[g-z]{4}",
    ],
)
def test_two_chosen_words_with_a_sign_between_them_are_prose(pattern: str) -> None:
    assert codes(pattern, 30) == ["JOINED_WORDS"]


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?",
        r"[A-Za-z]{1,16}",
        r"(ready|not_ready)-[a-z]{3}",
        r"meeting_started_[a-z]{8}",
        r"[a-z]{8}[0-9]{3}[a-z]{8}",
        r"[0-9a-f]{4}_[0-9a-f]{4}",
    ],
)
def test_codes_with_signs_in_them_are_no_words(pattern: str) -> None:
    assert codes(pattern, 30) == []


def test_words_that_do_not_fit_the_length_are_no_prose() -> None:
    pattern = "[A-Z][a-z]{4} [A-Z][a-z]{4}"
    assert codes(pattern, 10) == []
    assert codes(pattern, 11) == ["FREE_TEXT"]


@pytest.mark.parametrize("pattern", [r"[a-z]+@[a-z.]+", r"[a-z:/.]{1,20}", r"https?://[a-z]{1,9}"])
def test_addresses_are_refused(pattern: str) -> None:
    assert "ADDRESS" in codes(pattern, 30)


@pytest.mark.parametrize("pattern", [r"[A-Za-z0-9+/=]+", r"[0-9a-f]{32,64}", r"\d{32}", r"[a-z_.-]{1,64}"])
def test_long_runs_are_opaque(pattern: str) -> None:
    assert "OPAQUE" in codes(pattern)
    assert "OPAQUE" not in codes(pattern, 31)


@pytest.mark.parametrize(
    "pattern",
    [
        ".+",
        "[^a]+",
        "(?i)a",
        "é",
        "a++",
        r"\p{L}",
        "(?=a)",
        "(a",
        "a)",
        "[a",
        "a{x}",
        "[b-a]",
        r"\b",
        "a^b",
        "[[:alpha:]]",
    ],
)
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    assert codes(pattern) == ["PATTERN_UNCHECKED"]


def test_a_pattern_that_grows_too_large_is_refused() -> None:
    with pytest.raises(PatternRefused):
        read_pattern("(((a{50}){50}){50})")


def _matches(pattern: str, text: str) -> bool:
    automaton = read_pattern(pattern)
    states = automaton.closure(frozenset({0}))
    for character in text:
        targets = {s.target for state in states for s in automaton.steps[state] if character in s.characters}
        states = automaton.closure(frozenset(targets))
    return automaton.end in states


PIECES = st.sampled_from(
    ["a", "b", "[ab]", "(a|b)", "(?:ab)?", "a*", "[a-c]{1,2}", "b+", r"\d", "(a|b*)+", "|"]
)


@given(st.lists(PIECES, min_size=1, max_size=5).map("".join), st.text("abc1", max_size=6))
def test_the_automaton_accepts_what_the_pattern_matches(pattern: str, text: str) -> None:
    assert _matches(pattern, text) == bool(re.fullmatch(pattern, text))


@given(
    st.lists(st.sampled_from(["[a-z]", "x", " ", "[a-z ]{1,3}", "( a)*", "[0-9]"]), max_size=5).map("".join)
)
def test_no_matching_text_of_a_clean_pattern_holds_two_words(pattern: str) -> None:
    samples = ("a b", "xx b", "a  b", " a b", "a1 b", "ab cd")
    if "FREE_TEXT" not in codes(pattern):
        literal = "x" in pattern
        assert literal or not any(re.fullmatch(pattern, text) for text in samples)
