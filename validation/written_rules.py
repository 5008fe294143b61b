"""Rules about what was written: what must hold of a column of the store's files, as plain data.

A rule does not judge rows. A column is first reduced to what the rule reads of it (its distinct values, their
shape, whether they are there), each with the number of rows that it stands for; the rule then judges these
few. Equal rules of different columns are judged together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, TypeAlias

from validation.suites import IN_SET, NOT_NULL

MATCHES: Final = "expect_column_values_to_match_regex"
BETWEEN: Final = "expect_column_values_to_be_between"

Value: TypeAlias = str | int | float | None

PRESENT: Final = "present"
PSEUDONYM_SHAPE: Final = "#/32"
"""Shape of 32 hexadecimal digits: a place for them, and the length of the text."""

FINITE: Final = "finite"
EVEN: Final = "even"
FOREIGN: Final = "no value of any closed set\0"


class Reading(StrEnum):
    """What a rule reads of a column's values."""

    VALUE = "value"
    """The value itself."""
    PRESENCE = "presence"
    """Whether there is one."""
    SHAPE = "shape"
    """The text, with 32 hexadecimal digits collapsed into one sign, and its length."""
    LENGTH = "length"
    """Length in characters or bytes."""
    FINITENESS = "finiteness"
    """Whether a number is finite."""
    SPREAD = "spread"
    """Whether bytes are spread as evenly as those of a ciphertext are."""


@dataclass(frozen=True)
class Rule:
    """One thing that must hold of a column.

    Attributes:
        code: What is wrong with values that do not meet it (closed set, see docs/validation.md).
        type: Name of the expectation in Great Expectations.
        reading: What it reads of the column.
        allowed: Closed set, for ``IN_SET``.
        pattern: Regular expression that the whole text matches, for ``MATCHES``.
        least: Lowest number, for ``BETWEEN``.
        most: Highest number.
    """

    code: str
    type: str
    reading: Reading
    allowed: tuple[str | int, ...] | None = None
    pattern: str | None = None
    least: float = 0
    most: float = 0

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Arguments of the expectation, but for its column."""
        if self.type == IN_SET:
            return {"value_set": list(self.allowed or ())}
        if self.type == MATCHES:
            return {"regex": rf"\A(?:{ascii_only(self.pattern or '')})\Z"}
        return {"min_value": self.least, "max_value": self.most} if self.type == BETWEEN else {}

    @cached_property
    def wrong(self) -> Value:
        """A value that does not meet the rule."""
        if self.type == BETWEEN:
            return self.most + max(1, abs(self.most))
        return None if self.type == NOT_NULL else FOREIGN

    def is_met_by(self, value: Value) -> bool:
        """Whether a value meets the rule, worked out without Great Expectations."""
        if self.type == NOT_NULL or value is None:
            return value is not None
        if self.type == IN_SET:
            return value in self._words
        if self.type == BETWEEN:
            return isinstance(value, int | float) and self.least <= value <= self.most
        return isinstance(value, str) and self._matches(value)

    @cached_property
    def _words(self) -> frozenset[str | int]:
        return frozenset(self.allowed or ())

    def _matches(self, text: str) -> bool:
        return re.fullmatch(self.pattern or "", text, re.ASCII) is not None

    def as_json(self) -> dict[str, Any]:
        """Everything that makes it this rule."""
        return {"code": self.code, "type": self.type, "reading": self.reading, **self.settings}


_ASCII: Final = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_PIECE: Final = re.compile(r"\\(.)|\[|\]|[^\\\[\]]+", re.DOTALL)


def ascii_only(pattern: str) -> str:
    r"""A pattern with its classes of digits, words and spaces written out, as they were meant.

    Whether ``\d`` is a digit of ASCII or of any script differs between engines of regular expressions, and
    pandas chooses between two.

    >>> ascii_only(r"\d{1,3}[\d.]")
    '[0-9]{1,3}[0-9.]'
    """
    written, inside = [], False
    for piece in _PIECE.finditer(pattern):
        text, escaped = piece[0], piece[1]
        if escaped in _ASCII:
            text = _ASCII[escaped] if inside else f"[{_ASCII[escaped]}]"
        elif escaped is None and text in "[]":
            inside = text == "["
        written.append(text)
    return "".join(written)


def in_sets(rules: Sequence[Rule]) -> Rule:
    """One rule that says of a number and a value together what the rule of that number says of the value."""
    words = (numbered(at, word) for at, rule in enumerate(rules) for word in rule.allowed or ())
    return in_set(*words, code="OUTSIDE_SETS")


def numbered(at: int, value: Value) -> str:
    """A value as a word that says which rule it is judged by; equal numbers are equal words."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{at}:{'text' if isinstance(value, str) else 'number'}:{value}"


def not_null() -> Rule:
    """Every row has a value."""
    return Rule("VALUE_MISSING", NOT_NULL, Reading.PRESENCE)


def in_set(*words: str | int, code: str = "OUTSIDE_SET", reading: Reading = Reading.VALUE) -> Rule:
    """Every value is one of a closed set."""
    return Rule(code, IN_SET, reading, allowed=tuple(dict.fromkeys(words)))


def pseudonym() -> Rule:
    """Every value has the shape of a pseudonym or of a keyed digest."""
    return in_set(PSEUDONYM_SHAPE, code="NOT_A_PSEUDONYM", reading=Reading.SHAPE)


def matches(pattern: str, code: str = "PATTERN") -> Rule:
    """Every text matches a pattern as a whole."""
    return Rule(code, MATCHES, Reading.VALUE, pattern=pattern)


def between(least: float, most: float) -> Rule:
    """Every number lies in a range, its ends included."""
    return Rule("OUT_OF_RANGE", BETWEEN, Reading.VALUE, least=least, most=most)


def length(least: int, most: int) -> Rule:
    """Every text or byte string has a length in a range."""
    return Rule("LENGTH", BETWEEN, Reading.LENGTH, least=least, most=most)


def finite() -> Rule:
    """Every number is one, and finite."""
    return in_set(FINITE, code="NOT_FINITE", reading=Reading.FINITENESS)


def even() -> Rule:
    """Bytes look like those of a ciphertext."""
    return in_set(EVEN, code="NOT_CIPHERTEXT", reading=Reading.SPREAD)
