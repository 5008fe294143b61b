"""Rules on single fields of a contract: what a kept value must look like, and what its column is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.classification import CONTENT_KINDS, UNCLASSIFIED_KIND, Protection
from schemas.contract import ITEMS, Cut, Field, KindBy, as_mapping
from schemas.contract_patterns import SAID_TO_BE_AN_ID, pattern_faults
from schemas.tables import CHILD_POSITION, telemetry_columns

MAX_KEPT_STRING = 64
"""Longest string that may be kept where a pattern, not a closed set, bounds it (characters)."""

QUOTE_IT: Final = "YAML reads yes, no, on and off as true or false, and ~ as nothing: quote it"

_TEXT_FORMS = ("number_with_unit", "numeric_string")
_KEPT_TYPES = ("string", "number", "integer", "boolean", "timestamp")
_STANDARD_ROLES = ("id", "time", "tenant", "meeting", "participant")

RESERVED_COLUMNS = frozenset([entry.name for entry in telemetry_columns()] + [CHILD_POSITION])
"""Columns that every telemetry table has; a field of the same name takes the name around it too."""

Fault = tuple[str, str]
"""Code and message."""

Report = Callable[[str, str], None]
"""Takes the code of a problem and what to do."""


def field_faults(entry: Field, *, never_kept: bool, opaque: bool) -> Iterator[Fault]:
    """What is wrong with a field.

    Args:
        entry: The field.
        never_kept: Its value is never written as it is (the event type, the event id).
        opaque: The contract says that the string names a thing and may be long and unreadable.
    """
    if entry.text_form is not None and entry.text_form not in _TEXT_FORMS:
        yield "BAD_TEXT_FORM", f"textForm must be one of {', '.join(_TEXT_FORMS)}"
    if entry.text_form == "number_with_unit" and not entry.unit:
        yield "UNIT_MISSING", "a number with a unit names its unit"
    if entry.cut and entry.protection is not Protection.SEAL:
        yield "BAD_CUT", "the text a fragment is cut from must be sealed itself"
    if entry.protection is Protection.KEEP and not never_kept:
        yield from _kept_faults(entry, opaque)


def _kept_faults(entry: Field, opaque: bool) -> Iterator[Fault]:
    if has_misread(entry.values or ()):
        yield "BAD_VALUES", QUOTE_IT
    if entry.logical_type not in _KEPT_TYPES:
        yield "BAD_TYPE", f"a kept value is one of {', '.join(_KEPT_TYPES)}"
    elif entry.logical_type in ("number", "integer") and entry.values is None:
        if entry.minimum is None or entry.maximum is None:
            yield "UNBOUNDED", "a kept number needs a minimum and a maximum"
    elif entry.logical_type == "string" and entry.values is None:
        yield from _text_faults(entry, opaque)


def _text_faults(entry: Field, opaque: bool) -> Iterator[Fault]:
    if entry.pattern is None or entry.max_length is None:
        yield "FREE_TEXT", "a kept string needs a closed set (values), or a pattern and a maxLength"
        return
    if entry.max_length > MAX_KEPT_STRING:
        yield "FREE_TEXT", f"a kept string may have at most {MAX_KEPT_STRING} characters"
    for code, message in pattern_faults(entry.pattern, min(entry.max_length, MAX_KEPT_STRING)):
        if code not in SAID_TO_BE_AN_ID or not opaque:
            yield code, message


def read_kind_by(value: object, report: Report) -> KindBy | None:
    """The sibling that decides the kind of content, and what each of its values stands for."""
    if value is None:
        return None
    entry = as_mapping(value)
    if has_misread(_keys_of(entry.get("map"))):
        report("BAD_KIND_BY", QUOTE_IT)
    kinds = {key: str(kind) for key, kind in as_mapping(entry.get("map")).items()}
    otherwise = str(entry.get("otherwise", UNCLASSIFIED_KIND))
    for kind in (*kinds.values(), otherwise):
        if kind not in CONTENT_KINDS and kind != UNCLASSIFIED_KIND:
            report("UNKNOWN_KIND", f"kindBy names {kind}, which is no kind of content")
    return KindBy(str(entry.get("field", "")), kinds, otherwise)


def has_misread(words: Iterable[object]) -> bool:
    """Whether YAML has read one of some words as something else than whoever wrote it meant."""
    return any(word is None or isinstance(word, bool) for word in words)


def _keys_of(value: object) -> list[object]:
    return list(value) if isinstance(value, Mapping) else []


def read_cut(value: object, report: Report) -> Cut | None:
    """The closed fragment of a sealed text that may be kept."""
    if value is None:
        return None
    entry = as_mapping(value)
    values = entry.get("values")
    listed = tuple(map(str, values)) if isinstance(values, (list, tuple)) else ()
    if isinstance(values, (list, tuple)) and has_misread(values):
        report("BAD_CUT", QUOTE_IT)
    cut = Cut(str(entry.get("after", "")), listed)
    if not cut.after or not cut.values:
        report("BAD_CUT", "needs the text it follows (after) and a closed list (values)")
    return cut


def element_depth(path: tuple[str, ...]) -> int:
    """How many steps of a path lead to the innermost array element (0 outside arrays)."""
    return len(path) - path[::-1].index(ITEMS) if ITEMS in path else 0


@dataclass(frozen=True)
class Naming:
    """Names of columns: the path after the prefix; envelope roles have columns of their own."""

    prefix: tuple[str, ...]
    envelope: Mapping[str, tuple[str, ...]]
    type_at: tuple[str, ...]

    def is_never_kept(self, path: tuple[str, ...]) -> bool:
        """The event type (a closed set by itself) and the id (stored as a keyed digest only)."""
        return path in (self.type_at, self.envelope.get("id"), self.envelope.get("source"))

    def also_accepted(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """A type that routes an event as a number and as its text must be read as both, or would be lost."""
        return ("integer", "string") if path == self.type_at else ()

    def column(self, path: tuple[str, ...], protection: Protection, is_cut: bool) -> str | None:
        """Name of a field's column, None where nothing of it gets one of its own."""
        kept = protection in (Protection.KEEP, Protection.PSEUDONYM, Protection.TRUNCATE_IP) or is_cut
        standard = {self.envelope[role] for role in _STANDARD_ROLES if role in self.envelope}
        if not kept or path in standard or self.is_never_kept(path):
            return None
        whole, depth = path, element_depth(path)
        if depth:
            path = path[depth:]
        elif path[: len(self.prefix)] == self.prefix:
            path = path[len(self.prefix) :]
        name = _column_name(path)
        if name in RESERVED_COLUMNS:
            around = [step for step in whole[: len(whole) - len(path)] if step != ITEMS]
            name = _column_name((*around[-1:], *path))
        return name


def _column_name(path: tuple[str, ...]) -> str:
    return re.sub(r"[^a-z0-9]+", "_", "_".join(path).lower()).strip("_")
