"""The linter's rules for single fields: what a reviewer would refuse although the file can be loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.classification import Lane
from schemas.contract_fields import MAX_KEPT_STRING, QUOTE_IT, has_misread
from schemas.contract_marks import MarkedField, custom
from schemas.contract_patterns import SAID_TO_BE_AN_ID, pattern_faults

CONTRACT_WORDS: Mapping[str, str] = {
    "source": "who sends the events: zoom, zoom_rtms or cofferdam",
    "family": "name of the event family",
    "typeAt": "dotted path of the key that names the event type",
    "shapes": "files beside this one whose schema objects may be referred to by `shape`",
    "role": "`shapes` for a file that holds shared shapes and no events",
}
TABLE_WORDS: Mapping[str, str] = {
    "events": "event types with this shape",
    "prefix": "path that is cut from column names",
    "envelope": "role to dotted path: id, time, tenant, meeting, participant and others",
    "roster": "event type to start, end, join, leave or enter (a room of the meeting)",
    "deletionSignal": "event types by which the platform says that something was deleted or withdrawn",
    "deletionSignalWhen": "the field and its values with which such an event is a deletion",
    "deletionNames": "what such an event is about: meeting, piece or person",
    "deletionMeetings": "fields with meetings that it is about besides the envelope's",
    "madeFrom": "kind of content to the kinds that it is made from, whatever the event says",
    "spans": "arrays whose elements say when they were recorded: array, start, end",
}
FIELD_WORDS: Mapping[str, str] = {
    "protection": "keep, pseudonym, seal, drop or truncate_ip, where the default does not fit",
    "unit": "unit of a number or timestamp",
    "textForm": "number_with_unit or numeric_string, for a number that arrives as a JSON string",
    "accepts": "further JSON types of the value: integer, string, boolean",
    "values": "closed set of the values that may be kept",
    "identifies": "identifier type, where the value identifies a person",
    "kindBy": "the sibling field that decides the kind of content",
    "cut": "a closed fragment of a sealed text that may be kept",
    "aliases": "other spellings of the key",
    "shape": "name of the shared shape whose fields stand here",
    "derivedFrom": "fields that the value is computed from (as ODCS's transformSourceObjects)",
    "notDerived": "why a kept field is no derived signal although its name is that of one",
    "notPersonal": "why a kept field says nothing about a person although its name sounds like it",
    "opaque": "`id` for a kept string that names a thing, and may so be long and unreadable",
}

LARGEST_COUNT = 10**8
"""From here on a number without a unit is more likely an id or a phone number than a count."""

LONGEST_CODE = 3
"""Items of this length (countries, currencies) may stand in a kept list that has no closed set."""

_DERIVED = (
    "audio level|audio energy|voice level|voice activity|vad|speech|speaking|spoken|talk|talking|talk time"
    "|loudness|silence|dominant speaker|active speaker|current speaker|speaker time|speaker stats|sentiment"
    "|emotion|emotions|mood|embedding|embeddings|voiceprint|voice print|face|faces|facial|gaze|attentiveness"
    "|attention score|attention level|spectrogram|keyword|keywords|keyframe|keyframes"
)
_DERIVED_TEXT = "transcript|transcripts|transcription|caption|captions|summary|translation|ocr"
_PERSONAL = (
    "email|mail|phone|phone number|mobile|user name|username|display name|first name|last name|full name"
    "|nickname|nick name|participant name|pc name|computer name|host name|hostname|password|passwd|passcode"
    "|pin|token|secret|api key|credential|cookie|ip|ip address|mac|mac addr|mac address|address|ssn|birthday"
    "|url|uri|link|ssid|bssid|device label|device name"
)
_OPTIONS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"pattern", "maxLength"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset({"minimum", "maximum"}),
}


@dataclass(frozen=True)
class Finding:
    """A rule that a field breaks: its code and what to do."""

    code: str
    message: str


@dataclass(frozen=True)
class Surroundings:
    """What a rule may need beyond the field itself.

    Attributes:
        prefix: Path that column names leave out.
        plumbing: Paths that are never kept as columns (event type, id, source).
        lanes: Strictest lane at or below each dotted path, with and without the table's name.
    """

    prefix: tuple[str, ...]
    plumbing: frozenset[tuple[str, ...]]
    lanes: Mapping[str, Lane]


Rule = Callable[[MarkedField, Surroundings], Iterator[Finding]]


def source_lane(classification: str) -> Lane:
    """The lightest lane that something derived from a field may travel in."""
    if classification.startswith("content.") or classification == "secret":
        return Lane.CONTENT
    return Lane.SERVICE if classification.startswith("service.") else Lane.METADATA


def strictest(first: Lane, second: Lane) -> Lane:
    """The heavier of two lanes."""
    return max(first, second, key=list(Lane).index)


def words_of(steps: tuple[str, ...]) -> str:
    """The words that a path is made of, in lower case: (`audioLevel`,) gives ` audio level `."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", " ", " ".join(steps))
    return f" {' '.join(split.lower().split())} "


def _mentions(steps: tuple[str, ...], phrases: str) -> str | None:
    words = words_of(steps)
    return next((phrase for phrase in phrases.split("|") if f" {phrase} " in words), None)


def _ends_with(name: str, phrases: str) -> str | None:
    words = words_of((name,))
    return next((phrase for phrase in phrases.split("|") if words.endswith(f" {phrase} ")), None)


def _reason(given: Any) -> bool:
    return isinstance(given, str) and len(given.split()) >= 3


def _waived(field: MarkedField, word: str, is_needed: bool) -> Iterator[Finding | None]:
    """None for a waiver that is needed and explained, a finding for one that is not; nothing for none."""
    given = custom(field.entry, word)
    if given is not None and not is_needed:
        yield Finding("WAIVER_UNUSED", f"{word} waives nothing here: remove it")
    elif given is not None and not _reason(given):
        yield Finding("WAIVER_UNEXPLAINED", f"{word} must say why, in a few words")
    elif given is not None:
        yield None


def derived_by_name(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kept field may not have the name of a signal that is derived from content."""
    steps = (
        field.path[len(around.prefix) :] if field.path[: len(around.prefix)] == around.prefix else field.path
    )
    phrase = _mentions(steps, _DERIVED)
    if not phrase and not _is_closed(field) and field.entry.get("logicalType") != "timestamp":
        phrase = _mentions(steps[-1:], _DERIVED_TEXT)
    is_needed = bool(phrase) and field.is_kept
    waivers = list(_waived(field, "notDerived", is_needed))
    yield from (waiver for waiver in waivers if waiver)
    if is_needed and not waivers:
        yield Finding(
            "DERIVED_FROM_CONTENT",
            f"is kept, but its name says that it derives from what was said or shown ({phrase}): classify it"
            " as content, or say in notDerived why it does not",
        )


def _is_closed(field: MarkedField) -> bool:
    return isinstance(custom(field.entry, "values"), list) or field.entry.get("logicalType") == "boolean"


def derived_by_source(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A derived field takes the strictest lane of its sources, whatever its label."""
    stated = custom(field.entry, "derivedFrom")
    sources = [*_names(field.entry.get("transformSourceObjects")), *_names(stated)]
    for source in sources:
        lane = around.lanes.get(source.replace("[]", ""))
        if lane is None:
            yield Finding("UNKNOWN_SOURCE_FIELD", f"derives from {source}, which no field of the contract is")
        elif strictest(field.lane, lane) is not field.lane:
            yield Finding(
                "DERIVED_FROM_CONTENT" if lane is Lane.CONTENT else "DERIVED_FROM_STRICTER",
                f"derives from {source}, so it must be classified in the {lane} lane as that is",
            )


def _names(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []


def personal(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kept field may not have the name of an identifier, a secret or an address, nor the range of an id."""
    is_open = field.is_kept and field.path not in around.plumbing and not _is_closed(field)
    phrase = _ends_with(field.path[-1], _PERSONAL) if is_open and _may_name(field) else None
    is_id = is_open and _has_id_range(field)
    waivers = list(_waived(field, "notPersonal", bool(phrase) or is_id))
    yield from (waiver for waiver in waivers if waiver)
    if phrase and not waivers:
        yield Finding(
            "LOOKS_PERSONAL",
            f"is kept, but its name is that of an identifier or a secret ({phrase}): classify it so, give it"
            " a closed set, or say in notPersonal why it is neither",
        )
    elif is_id and not waivers:
        yield Finding(
            "LOOKS_PERSONAL",
            f"is a number up to {LARGEST_COUNT} or more without a unit, as ids and phone numbers are: lower"
            " the maximum, name the unit, classify it as an identifier, or say in notPersonal why it is none",
        )


def _may_name(field: MarkedField) -> bool:
    """Whether values have room for a name or a phone number."""
    if field.entry.get("logicalType") == "string":
        return True
    maximum = field.option("maximum")
    is_number = field.entry.get("logicalType") in ("integer", "number")
    return is_number and (not isinstance(maximum, (int, float)) or maximum >= 10**6)


def _has_id_range(field: MarkedField) -> bool:
    maximum = field.option("maximum")
    return (
        field.entry.get("logicalType") in ("integer", "number")
        and isinstance(maximum, (int, float))
        and maximum >= LARGEST_COUNT
        and custom(field.entry, "unit") is None
    )


def kept_numbers(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kept number has bounds that mean something."""
    low, high = field.option("minimum"), field.option("maximum")
    if not field.is_kept or not all(isinstance(bound, (int, float)) for bound in (low, high)):
        return
    if low > high or max(abs(low), abs(high)) > 2**63 - 1:
        yield Finding("BAD_BOUNDS", "minimum and maximum must be in order and fit 64 bits")


def kept_lists(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kept list is of a closed set: many small values together are a vector, or a sentence."""
    longest = field.option("maxLength")
    is_code = isinstance(longest, int) and longest <= LONGEST_CODE
    if (
        field.is_kept
        and field.is_list
        and not is_code
        and not isinstance(custom(field.entry, "values"), list)
    ):
        yield Finding(
            "OPEN_LIST",
            "is a kept list without a closed set: numbers in a row are a vector, words in a row are prose."
            " Give its items values, classify ids as identifiers, or the list as content",
        )


def kept_patterns(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kept string's pattern can carry no prose, no address and no opaque data."""
    opaque = custom(field.entry, "opaque")
    if opaque not in (None, "id"):
        yield Finding("BAD_OPAQUE", "opaque can only be id")
    pattern, longest = field.option("pattern"), field.option("maxLength")
    if not field.is_kept or field.path in around.plumbing or not isinstance(pattern, str):
        return
    length = longest if isinstance(longest, int) else MAX_KEPT_STRING
    for code, message in pattern_faults(pattern, min(length, MAX_KEPT_STRING)):
        if code not in SAID_TO_BE_AN_ID or opaque != "id":
            yield Finding(code, message)


def closed_sets(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A closed set lists distinct values of the field's own type."""
    values = custom(field.entry, "values")
    if values is None:
        return
    wanted = int if field.entry.get("logicalType") == "integer" else str
    if not isinstance(values, list) or not values:
        yield Finding("BAD_VALUES", "values must be a list with at least one value")
    elif has_misread(values):
        yield Finding("BAD_VALUES", QUOTE_IT)
    elif any(type(value) is not wanted for value in values):
        name = "integers" if wanted is int else "texts"
        yield Finding("BAD_VALUES", f"values must be {name}; YAML reads 1.0 otherwise: quote them")
    elif len(set(values)) < len(values):
        yield Finding("BAD_VALUES", "values names a value twice")
    elif wanted is str and any(len(value) > MAX_KEPT_STRING for value in values):
        yield Finding("BAD_VALUES", f"a value of a closed set has at most {MAX_KEPT_STRING} characters")


def known_options(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """Only options that the pipeline enforces may stand in a kept field."""
    options = field.entry.get("logicalTypeOptions")
    if field.is_kept and isinstance(options, dict):
        allowed = _OPTIONS.get(str(field.entry.get("logicalType")), frozenset())
        for name in sorted(set(options) - allowed):
            yield Finding("UNENFORCED_OPTION", f"{name} is not enforced for this type: remove it")


def kind_by_sibling(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """A kind is decided by a field of the same object, and only content has kinds."""
    given = custom(field.entry, "kindBy")
    if not isinstance(given, dict):
        return
    if str(given.get("field")) not in field.siblings:
        yield Finding("UNKNOWN_SIBLING", "kindBy names no field of the same object")
    if not field.classification.startswith("content."):
        yield Finding("BAD_KIND_BY", "kindBy decides the kind of content: classify the field as content")


def identifying(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """What identifies a person is an identifier, and names its type."""
    given = custom(field.entry, "identifies")
    if given is None:
        return
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?", str(given)):
        yield Finding("BAD_IDENTIFIER_TYPE", "identifies names a type such as email or zoom.user_id")
    if not field.classification.startswith("identifier."):
        yield Finding(
            "BAD_IDENTIFIER", "identifies a person: classify it as identifier.direct or .pseudonymous"
        )


def number_texts(field: MarkedField, around: Surroundings) -> Iterator[Finding]:
    """Only numbers arrive as numbers in a text."""
    if custom(field.entry, "textForm") and field.entry.get("logicalType") not in ("number", "integer"):
        yield Finding("BAD_TEXT_FORM", "textForm is for numbers: set logicalType to number or integer")


FIELD_RULES: tuple[Rule, ...] = (
    derived_by_name,
    derived_by_source,
    personal,
    kept_numbers,
    kept_lists,
    kept_patterns,
    closed_sets,
    known_options,
    kind_by_sibling,
    identifying,
    number_texts,
)
