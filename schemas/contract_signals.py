"""What contracts say of whole events: which are deletions, what content is made from, when it was recorded.

These words stand on a table, not on a field. Each is read together with everything that is wrong with it;
a word that is misspelt or that names no field would silently leave a deletion unheard, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.classification import CONTENT_KINDS
from schemas.contract import DELETION_NAMES, ITEMS, Deletions, EventShape, Field, Span, as_mapping
from schemas.contract_fields import QUOTE_IT, Report, has_misread

WORDS: Final = (
    "deletionSignal",
    "deletionSignalWhen",
    "deletionNames",
    "deletionMeetings",
    "madeFrom",
    "spans",
)
"""The custom properties of a table that are read here."""

_TEST_KEYS: Final = frozenset({"field", "values", "absent"})
_SPAN_KEYS: Final = frozenset({"array", "start", "end"})


def path_of(text: object) -> tuple[str, ...]:
    """The keys of a dotted path; `[]` stands for the elements of an array.

    >>> path_of("payload.files[].id")
    ('payload', 'files', '[]', 'id')
    """
    return tuple(step for step in str(text).replace(ITEMS, f".{ITEMS}").split(".") if step)


def read_deletions(given: Mapping[str, Any], report: Report) -> Deletions:
    """By which events something is said to be deleted.

    Args:
        given: The custom properties of `WORDS`; absent ones are None.
        report: Is told every problem.
    """
    test = as_mapping(given["deletionSignalWhen"])
    if given["deletionSignalWhen"] is not None and not (
        test.get("field") and isinstance(test.get("values"), list) and set(test) <= _TEST_KEYS
    ):
        report("BAD_DELETION_SIGNAL", "deletionSignalWhen needs a field (or several) and a list of values")
    values = test.get("values")
    if isinstance(values, list) and has_misread(values) and not all(isinstance(v, bool) for v in values):
        report("BAD_DELETION_SIGNAL", QUOTE_IT)  # a boolean field is told apart by true or false alone
    names = given["deletionNames"] or DELETION_NAMES[0]
    if names not in DELETION_NAMES:
        report("BAD_DELETION_SIGNAL", f"deletionNames must be one of {', '.join(DELETION_NAMES)}")
    events = _texts(given["deletionSignal"])
    if not events and any(given[word] is not None for word in WORDS[1:4]):
        report("BAD_DELETION_SIGNAL", "says what a deletion is like, but deletionSignal names no event")
    return Deletions(
        events,
        tuple(path_of(each) for each in _one_or_more(test.get("field"))),
        tuple(test["values"]) if isinstance(test.get("values"), list) else (),
        test.get("absent") is True,
        str(names),
        tuple(path_of(each) for each in _texts(given["deletionMeetings"])),
    )


def read_made_from(given: Mapping[str, Any], report: Report) -> dict[str, tuple[str, ...]]:
    """Kind of content to the kinds that it is made from; arguments as `read_deletions`."""
    found = {kind: _texts(kinds) for kind, kinds in as_mapping(given["madeFrom"]).items()}
    if given["madeFrom"] is not None and not found:
        report("BAD_LINEAGE", "madeFrom maps a kind of content to the kinds that it is made from")
    for kind, kinds in found.items():
        if not kinds or any(each not in CONTENT_KINDS for each in (kind, *kinds)):
            report("BAD_LINEAGE", f"madeFrom says of {kind} what is no list of kinds of content")
    return found


def read_spans(given: Mapping[str, Any], report: Report) -> tuple[Span, ...]:
    """Where the elements of arrays say when they were recorded; arguments as `read_deletions`."""
    found = []
    for entry in given["spans"] or ():
        words = as_mapping(entry)
        if set(words) != _SPAN_KEYS:
            report("BAD_SPAN", "each of spans has array, start and end")
            continue
        found.append(Span(path_of(words["array"]), str(words["start"]), str(words["end"])))
    return tuple(found)


def signal_faults(shape: EventShape) -> Iterable[tuple[str, str]]:
    """What is wrong between these words and the fields of their table, as code and message."""
    fields = {entry.path: entry for entry in shape.fields}
    deletions = shape.deletions
    if unknown := [event for event in deletions.events if event not in shape.events]:
        yield "BAD_DELETION_SIGNAL", f"deletionSignal names {', '.join(unknown)}, no event of this table"
    for path in (*deletions.fields, *deletions.meetings):
        if path not in fields:
            yield "BAD_DELETION_SIGNAL", f"{'.'.join(path)} is no field of this table"
    role = {"piece": "piece", "person": "participant"}.get(deletions.names, "meeting")
    if deletions.events and role not in shape.envelope and not deletions.meetings:
        yield "BAD_DELETION_SIGNAL", f"what is deleted is named by the envelope's {role}, which is missing"
    lineage = fields.get(shape.envelope.get("derived_from", ()))
    if lineage is not None and not _names_kinds(lineage):
        yield "BAD_LINEAGE", "envelope.derived_from must be a list of texts with a closed set of kinds"
    for span in shape.spans:
        for name in (span.start, span.end):
            if (*span.array, name) not in fields:
                yield "BAD_SPAN", f"{'.'.join((*span.array, name))} is no field of this table"


def _names_kinds(entry: Field) -> bool:
    return entry.is_list and entry.logical_type == "string" and set(entry.values or ()) <= set(CONTENT_KINDS)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _one_or_more(value: Any) -> tuple[str, ...]:
    return _texts(value) if isinstance(value, list) else (str(value),) if value else ()
