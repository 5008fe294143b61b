r"""A contract's pattern as an automaton: all strings that it takes, not samples of them.

The patterns are the part of RE2 that names its characters: literals, classes, `\d`, `\w`, `\s`, groups,
alternatives, and repetitions. A dot and negated classes are left out on purpose: they take any character.
What the reader does not know is refused, never guessed.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

MOST_STATES = 5_000
"""Largest automaton that is built; a pattern that needs more is refused."""

MOST_REPEATS = 1_000
"""Highest count in a repetition (RE2's own limit)."""

ASCII = frozenset(chr(code) for code in range(128))
LETTERS = frozenset(string.ascii_letters)
SPACES = frozenset(" \t\n\r\f\v")
_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_letters + string.digits + "_"),
    "s": SPACES,
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_SPECIAL = frozenset("()[]{}*+?|.^$\\")


class PatternRefused(ValueError):  # noqa: N818 - the name states the finding
    """The pattern cannot be checked; the text says why, and holds nothing but the contract's own words."""


class Step(NamedTuple):
    """One character: which ones, and whether the sender chooses it (a class, or anything repeated)."""

    characters: frozenset[str]
    is_free: bool
    target: int


@dataclass
class Automaton:
    """An automaton by Thompson's construction: steps and silent moves by state, from 0 to `end`."""

    steps: list[list[Step]] = field(default_factory=lambda: [[]])
    silent: list[list[int]] = field(default_factory=lambda: [[]])
    end: int = 0

    def new_state(self) -> int:
        """Add a state.

        Raises:
            PatternRefused: The automaton would be too large to walk.
        """
        if len(self.steps) >= MOST_STATES:
            raise PatternRefused("repeats too much to be checked: use smaller repetitions and a maxLength")
        self.steps.append([])
        self.silent.append([])
        return len(self.steps) - 1

    def closure(self, states: frozenset[int]) -> frozenset[int]:
        """The states and all that silent moves reach from them."""
        found = set(states)
        waiting = list(states)
        while waiting:
            for target in self.silent[waiting.pop()]:
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return frozenset(found)


Part = Callable[[Automaton, int, bool], int]
"""Adds a part of a pattern behind a state (True: inside a repetition) and returns the state it ends in."""


class _PatternParser:
    """Recursive descent over a pattern; makes parts that can be added to an automaton any number of times."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0

    def parse(self) -> Part:
        part = self._alternatives()
        if self._at < len(self._pattern):
            raise PatternRefused("has a closing bracket without an opening one")
        return part

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise PatternRefused("ends too early")
        self._at += 1
        return character

    def _accepts(self, text: str) -> bool:
        if self._pattern.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _alternatives(self) -> Part:
        branches = [self._sequence()]
        while self._accepts("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _either(branches)

    def _sequence(self) -> Part:
        parts = []
        while self._peek() not in ("", "|", ")"):
            if self._at == 0 and self._accepts("^"):
                continue
            if self._peek() == "$" and self._at == len(self._pattern) - 1:
                self._at += 1
                continue
            parts.append(self._repeated(self._atom()))
        return _in_turn(parts)

    def _atom(self) -> Part:
        if self._accepts("("):
            if self._peek() == "?" and not self._accepts("?:"):
                raise PatternRefused("uses a group other than (...) and (?:...)")
            inner = self._alternatives()
            if not self._accepts(")"):
                raise PatternRefused("leaves a group open")
            return inner
        if self._accepts("["):
            return _one_of(self._class())
        character = self._take()
        if character == "\\":
            return _one_of(self._escape())
        if character in _SPECIAL:
            raise PatternRefused(f"uses {character} where it takes any character, or none that can be named")
        return _one_of(_checked(character))

    def _escape(self) -> frozenset[str]:
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _ESCAPED:
            return frozenset(_ESCAPED[character])
        if character.isalnum():
            raise PatternRefused(f"uses \\{character}; only \\d, \\w and \\s are checked")
        return _checked(character)

    def _class(self) -> frozenset[str]:
        if self._peek() == "^":
            raise PatternRefused("uses a negated class, which takes any other character: name them instead")
        members: set[str] = set()
        while not self._accepts("]"):
            first = self._member()
            if len(first) == 1 and self._peek() == "-" and self._pattern[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                members |= _between(first, self._member())
            else:
                members |= first
        if not members:
            raise PatternRefused("has an empty class")
        return frozenset(members)

    def _member(self) -> frozenset[str]:
        character = self._take()
        if character == "[" and self._peek() == ":":
            raise PatternRefused("uses a class by name: write its characters instead")
        return self._escape() if character == "\\" else _checked(character)

    def _repeated(self, part: Part) -> Part:
        least, most = self._count()
        if (least, most) == (1, 1):
            return part
        is_lazy = self._accepts("?")
        if not is_lazy and self._peek() in ("*", "+", "{"):
            raise PatternRefused("repeats a repetition")
        return _repetition(part, least, most)

    def _count(self) -> tuple[int, int | None]:
        if self._accepts("?"):
            return 0, 1
        if self._accepts("*"):
            return 0, None
        if self._accepts("+"):
            return 1, None
        if not self._accepts("{"):
            return 1, 1
        inside, closed, rest = self._pattern[self._at :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not low.isdigit() or (high and not high.isdigit()):
            raise PatternRefused("has a repetition that is not {n}, {n,} or {n,m}")
        least, most = int(low), (None if comma and not high else int(high or low))
        if max(least, most or 0) > MOST_REPEATS or (most is not None and most < least):
            raise PatternRefused(f"repeats backwards, or more often than {MOST_REPEATS} times")
        self._at = len(self._pattern) - len(rest)
        return least, most


def _checked(character: str) -> frozenset[str]:
    if character not in ASCII or not (character.isprintable() or character in SPACES):
        raise PatternRefused("names a character beyond printable ASCII: use a closed set (values) for those")
    return frozenset(character)


def _between(first: frozenset[str], last: frozenset[str]) -> set[str]:
    (low,) = first
    if len(last) != 1 or (high := next(iter(last))) < low:
        raise PatternRefused("has a range that is no range")
    return {chr(code) for code in range(ord(low), ord(high) + 1)}


def _one_of(characters: frozenset[str]) -> Part:
    def add(automaton: Automaton, state: int, is_repeated: bool) -> int:
        target = automaton.new_state()
        is_free = is_repeated or len({character.lower() for character in characters}) > 1
        automaton.steps[state].append(Step(characters, is_free, target))
        return target

    return add


def _in_turn(parts: list[Part]) -> Part:
    def add(automaton: Automaton, state: int, is_repeated: bool) -> int:
        for part in parts:
            state = part(automaton, state, is_repeated)
        return state

    return add


def _either(branches: list[Part]) -> Part:
    def add(automaton: Automaton, state: int, is_repeated: bool) -> int:
        end = automaton.new_state()
        for branch in branches:
            automaton.silent[branch(automaton, state, is_repeated)].append(end)
        return end

    return add


def _repetition(part: Part, least: int, most: int | None) -> Part:
    def add(automaton: Automaton, state: int, is_repeated: bool) -> int:
        is_free = is_repeated or most is None or most > 1
        for _ in range(least):
            state = part(automaton, state, is_free)
        if most is None:
            start = automaton.new_state()
            automaton.silent[state].append(start)
            automaton.silent[part(automaton, start, is_free)].append(start)
            return start
        end = automaton.new_state()
        automaton.silent[state].append(end)
        for _ in range(most - least):
            state = part(automaton, state, is_free)
            automaton.silent[state].append(end)
        return end

    return add


def read_pattern(pattern: str) -> Automaton:
    """Read a pattern into an automaton.

    Raises:
        PatternRefused: The pattern is faulty, takes characters it does not name, or is too large.
    """
    automaton = Automaton()
    automaton.end = _PatternParser(pattern).parse()(automaton, 0, False)
    return automaton
