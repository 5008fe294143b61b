r"""Which strings a contract's pattern can let through, decided for the whole language, not by samples.

A kept string leaves the sealed side, so its pattern must not be able to carry prose, addresses or opaque
data. Trying a few sentences against it proves nothing. Here the pattern is read into an automaton and walked
together with an automaton of each forbidden property, up to the field's longest length: when no walk reaches
both ends, no string has the property.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from functools import lru_cache

from schemas.pattern_automaton import ASCII, LETTERS, SPACES, Automaton, PatternRefused, read_pattern

OPAQUE_RUN = 32
"""A run of this many letters and digits can hold a key, a vector or a hash (32 base64 digits: 192 bits)."""

_BASE64 = frozenset(string.ascii_letters + string.digits + "+/=")

SAID_TO_BE_AN_ID = frozenset({"JOINED_WORDS", "OPAQUE"})
"""What a pattern may let through where the contract says `opaque: id`."""

_HEXADECIMAL = frozenset("abcdefABCDEF")

Watch = Callable[[int, str, bool], int]
"""A property's automaton: its state, the next character and whether it is free; FOUND is for good."""

FOUND = -1

_WORD = 4
"""Letters in a row that make a word: codes of languages and regions have fewer beside each other."""


def _two_words(state: int, character: str, is_free: bool) -> int:
    """Two letters that the sender chooses, with white space somewhere between them."""
    if character in SPACES:
        return 2 if state else 0
    if character in LETTERS and is_free:
        return FOUND if state == 2 else 1
    return state


def _joined_words(state: int, character: str, is_free: bool) -> int:
    """Two runs of letters that the sender chooses, each long enough for a word, with a sign between them.

    Letters of hexadecimal digits spell no words. States up to `_WORD` count the letters of a run before any
    word was found; those after it, the letters of a run that follows a word.
    """
    if character in LETTERS:
        if not is_free or character in _HEXADECIMAL or state == _WORD:
            return state
        return FOUND if state == 2 * _WORD else state + 1
    if state == _WORD and (character in string.digits or character in SPACES):
        return state
    return _WORD + 1 if state >= _WORD else 0


def _address(state: int, character: str, is_free: bool) -> int:
    """An at sign, or the `://` of a link."""
    if character == "@":
        return FOUND
    if character == ":":
        return 1
    if character == "/" and state:
        return FOUND if state == 2 else 2
    return 0


def _opaque(state: int, character: str, is_free: bool) -> int:
    """An unbroken run of base64 digits long enough for a key, a hash or a vector."""
    if character not in _BASE64:
        return 0
    return FOUND if state + 1 >= OPAQUE_RUN else state + 1


_REPRESENTATIVES = ("A", "Z", "0", " ", "@", ":", "/", "-")
"""One character of each kind that a watch tells apart: a walk need not try the others."""
_KINDS = (
    _HEXADECIMAL,
    LETTERS - _HEXADECIMAL,
    frozenset(string.digits + "+="),
    SPACES,
    frozenset("@"),
    frozenset(":"),
    frozenset("/"),
    ASCII - LETTERS - SPACES - frozenset(string.digits + "+=@:/"),
)


def _kinds(characters: frozenset[str]) -> Iterator[str]:
    for representative, kind in zip(_REPRESENTATIVES, _KINDS, strict=True):
        if characters & kind:
            yield representative


def _can_show(automaton: Automaton, watch: Watch, longest: int) -> bool:
    """Whether a string of at most `longest` characters matches and has the watched property."""
    now = {(state, 0) for state in automaton.closure(frozenset({0}))}
    seen = set(now)
    for _ in range(longest):
        reached = set()
        for state, watched in now:
            for step in automaton.steps[state]:
                ends = automaton.closure(frozenset({step.target}))
                for character in _kinds(step.characters):
                    after = FOUND if watched == FOUND else watch(watched, character, step.is_free)
                    reached |= {(end, after) for end in ends}
        # A pair met before was met after fewer characters: it can only have had more left to go.
        now = reached - seen
        seen |= now
    return (automaton.end, FOUND) in seen


@lru_cache(maxsize=4096)
def pattern_faults(pattern: str, longest: int) -> tuple[tuple[str, str], ...]:
    r"""What a pattern could let through: (code, what to do) for each fault, none if it is safe to keep.

    Args:
        pattern: A pattern that values must match as a whole.
        longest: Longest value in characters.

    >>> pattern_faults(r"[0-9]{1,3}(\.[0-9]{1,5}){1,3}", 24)
    ()
    >>> [code for code, _ in pattern_faults("[A-Za-z ]+", 20)]
    ['FREE_TEXT']
    """
    try:
        automaton = read_pattern(pattern)
    except PatternRefused as refusal:
        return (("PATTERN_UNCHECKED", f"the pattern {refusal}"),)
    watches: tuple[tuple[Watch, str, str], ...] = (
        (_two_words, "FREE_TEXT", "the pattern takes words with spaces between them: prose, or a name"),
        (
            _joined_words,
            "JOINED_WORDS",
            "the pattern takes words with signs between them, in which prose and names can be written: list"
            " the values, or say `opaque: id` if it names a thing",
        ),
        (_address, "ADDRESS", "the pattern takes an e-mail address or a link: leave out @ and ://"),
        (
            _opaque,
            "OPAQUE",
            f"the pattern takes {OPAQUE_RUN} letters and digits in a row, room for a key or a vector: shorten"
            " it, give it the separators that the values have, or say `opaque: id` if it names a thing",
        ),
    )
    return tuple((code, advice) for watch, code, advice in watches if _can_show(automaton, watch, longest))
