"""Findings about one grant: what it names, who gave it and how, and how it relates to the item in time.

Each finding is one word of `validation.facts`; whether it suffices is for the suites to say. A value that
cannot be read takes the restrictive word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from schemas.consent_sets import RECIPIENTS
from validation.cases import Terms
from validation.facts import (
    BEYOND,
    ENDING_COLUMNS,
    KEPT_COLUMNS,
    UNKNOWN,
    UNREAD,
    FactTable,
    age_word,
)
from validation.reading import (
    DAY,
    UNREADABLE,
    Instant,
    read_flag,
    read_optional_instant,
    read_word,
    read_words,
)
from validation.record_rules import WAITING, Candidate, ConsentRow, Request, Standing, covers_scope

TRAINING: Final = "ai_training"
_OWN_NAMES: Final = frozenset(("id", "subject", "scope", "event_time", "ingested_at", "body_hash"))
"""Fields of a record that tell it from others that say the same; no word of a row is read from them alone."""

_TERMS_WORDS: Final = {"active": "active", "superseded_compatible": "compatible"}


@dataclass(frozen=True, slots=True)
class Use:
    """The item's side of every grant's test.

    Attributes:
        request: Purpose, place and instant.
        kind: The item's kind.
        roots: Kinds that it comes from; None stands for one that cannot be read.
        templates: Those of kind and roots that are biometric templates.
        coverable: Whether any grant can cover it at all.
        recipient: Who is to receive it, or None if that cannot be read.
        assist: Whether the purpose serves the people in the meeting.
        assist_mechanisms_apply: Whether the profile's mechanisms for such purposes are accepted.
        special: Whether the content is sensitive.
        recorded_end: End of the recording.
        age_limits: Ages in days that the policies tell apart, rising.
    """

    request: Request
    kind: str
    roots: frozenset[str | None]
    templates: frozenset[str]
    coverable: bool
    recipient: str | None
    assist: bool
    assist_mechanisms_apply: bool
    special: bool
    recorded_end: Instant
    express: tuple[str, ...]
    mechanisms: frozenset[str]
    age_limits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Person:
    """What the roster says of somebody, read restrictively."""

    is_host: bool
    is_minor: bool
    is_employee: bool


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A fact row of a person, and what it was found from.

    Attributes:
        facts: The fact row.
        grant: The grant that it is about, or None.
        tie: Relevant grants with equal ties must all pass.
        advisories: What to know about the grant.
    """

    facts: tuple[str, ...]
    grant: ConsentRow | None = field(default=None, repr=False)
    tie: tuple[object, ...] = ()
    advisories: frozenset[str] = frozenset()
    employee: bool = False


Remembered = dict[tuple[object, ...], PersonRow]
"""Rows that were found before, for one table, one `Person` and uses that differ in nothing but their meeting
and the end of the recording."""


def person_rows(
    table: FactTable, standing: Standing, person: Person, use: Use, remembered: Remembered | None = None
) -> list[PersonRow]:
    """The fact rows of one identified person: one a candidate, or a single one if there is none.

    Args:
        table: Columns of a person's row.
        standing: What the person's records come to.
        person: The person.
        use: What the item is to be used for.
        remembered: Rows that were found before; new ones are added.
    """
    if standing.ended_by:
        ended = {ENDING_COLUMNS[code]: "yes" for code in standing.ended_by}
        return [PersonRow(table.row({"candidate": UNREAD, **ended}))]
    if standing.candidates:
        known = {} if remembered is None else remembered
        return [_candidate_row(table, candidate, person, use, known) for candidate in standing.candidates]
    if standing.kept:
        dropped = {KEPT_COLUMNS[code]: "yes" for code in standing.kept}
        return [PersonRow(table.row({"candidate": "dropped", **dropped}))]
    return [PersonRow(table.row({"candidate": "absent"}))]


def unidentified_row(table: FactTable) -> PersonRow:
    """The fact row of somebody whose records cannot be told."""
    return PersonRow(table.row({"identity": "unidentified", "candidate": UNREAD}))


def _candidate_row(
    table: FactTable, candidate: Candidate, person: Person, use: Use, remembered: Remembered
) -> PersonRow:
    row = candidate.row
    if row.sign == WAITING:
        return PersonRow(table.row({"candidate": "waiting"}))
    terms = use.request.registry.terms.get(read_word(row.fields, "terms") or "")
    key = (*_statement(row.fields), *_place_and_time(row, use, terms))
    if key not in remembered:
        remembered[key] = _found_row(table, row, terms, person, use)
    found = remembered[key]
    return PersonRow(found.facts, row, candidate.tie, found.advisories, found.employee)


def _statement(fields: Mapping[str, Any]) -> tuple[object, ...]:
    """What a record says apart from whom, where and when it is about: equal for equal words."""
    names = tuple(fields)
    said = _said_names(names)
    return said, repr([fields[name] for name in said])


@lru_cache(maxsize=1024)
def _said_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - _OWN_NAMES))


def _place_and_time(row: ConsentRow, use: Use, terms: Terms | None) -> tuple[object, ...]:
    """All that the words of `_found_row` depend on besides a record's statement."""
    return (
        covers_scope(row, use.request) is True,
        _has_started(row, terms),
        _age(use.request.as_of - row.instant, use.age_limits),
        row.instant <= use.recorded_end,
    )


def _found_row(table: FactTable, row: ConsentRow, terms: Terms | None, person: Person, use: Use) -> PersonRow:
    findings = {
        **_coverage(row, use),
        **_giver(row.fields, person, use),
        **_form(row.fields, use),
        **_terms(row, terms),
        **_times(row, use),
        **_sensitive(row.fields, use),
    }
    concerned = person.is_employee and not use.assist
    if concerned:
        attested = read_flag(row.fields, "no_detriment", otherwise=False)
        findings["employment"] = "attested" if attested else "unattested"
    compatible = findings["terms"] == "compatible"
    advisories = frozenset({"TERMS_COMPATIBLE_UPDATE"} if compatible else ())
    return PersonRow(table.row(findings), advisories=advisories, employee=concerned)


def _coverage(row: ConsentRow, use: Use) -> dict[str, str]:
    purpose = use.request.purpose
    purposes = read_words(row.fields.get("purposes"))
    recipients = read_words(row.fields.get("recipients"))
    known_recipient = use.recipient in RECIPIENTS and use.recipient in recipients
    return {
        "named_purpose": purpose if purpose in purposes else "another",
        "kind_cover": _covered(_covers_kind(read_words(row.fields.get("kinds")), use)),
        "scope_cover": _covered(covers_scope(row, use.request) is True),
        "recipient_cover": _covered(known_recipient),
    }


def _covers_kind(kinds: frozenset[str], use: Use) -> bool:
    named = use.kind in kinds or "*" in kinds or all(root in kinds for root in use.roots)
    return use.coverable and named and use.templates <= kinds


def _covered(yes: bool) -> str:
    return "covered" if yes else "uncovered"


def _giver(fields: Mapping[str, Any], person: Person, use: Use) -> dict[str, str]:
    grantor = read_word(fields, "grantor")
    word = "other"
    if grantor == "subject":
        word = "self"
    elif grantor == "host":
        word = "host_self" if person.is_host else "host_for_another"
    elif grantor == "guardian" and person.is_minor:
        word = "guardian"
    return {"grantor": word, "minority": _minority(fields, grantor, person, use)}


def _minority(fields: Mapping[str, Any], grantor: str | None, person: Person, use: Use) -> str:
    if not person.is_minor:
        return "adult"
    if grantor != "guardian":
        return "unguarded"
    if use.request.purpose != TRAINING:
        return "guarded"
    separate = read_flag(fields, "separate", otherwise=False)
    return "guarded_training_separate" if separate else "guarded_training_joint"


def _form(fields: Mapping[str, Any], use: Use) -> dict[str, str]:
    mechanism = _mechanism(fields, use)
    column = "assist_mechanism" if use.assist_mechanisms_apply else "own_mechanism"
    return {
        column: mechanism,
        "bundled": _yes(read_flag(fields, "bundled", otherwise=True)),
        "conditional": _yes(read_flag(fields, "conditional", otherwise=True)),
    }


def _mechanism(fields: Mapping[str, Any], use: Use) -> str:
    mechanism = read_word(fields, "mechanism")
    return mechanism if mechanism is not None and mechanism in use.mechanisms else UNKNOWN


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _terms(row: ConsentRow, terms: Terms | None) -> dict[str, str]:
    if terms is None:
        return {"terms": "unregistered"}
    notice = read_word(row.fields, "notice_hash")
    archived = notice is not None and notice == terms.notice_hash
    return {
        "terms": _TERMS_WORDS.get(terms.status or "", "material"),
        "terms_start": "reached" if _has_started(row, terms) else "ahead",
        "notice": "archived" if archived else "other",
    }


def _has_started(row: ConsentRow, terms: Terms | None) -> bool:
    """Whether the terms were in force when somebody agreed to them."""
    return terms is not None and terms.start is not None and row.instant >= terms.start


def _times(row: ConsentRow, use: Use) -> dict[str, str]:
    as_of = use.request.as_of
    begins = read_optional_instant(row.fields, "valid_from")
    ends = read_optional_instant(row.fields, "valid_until")
    begun = begins is None or (begins is not UNREADABLE and begins <= as_of)
    ended = ends is UNREADABLE or (ends is not None and ends <= as_of)
    return {
        "valid_from": "reached" if begun else "ahead",
        "ended": _yes(ended),
        "age": UNREAD if ended else _age(as_of - row.instant, use.age_limits),
        "after_recording": _after_recording(row, use),
    }


def _age(nanoseconds: int, limits: Sequence[int]) -> str:
    return next((age_word(days) for days in limits if nanoseconds <= days * DAY), BEYOND)


def _after_recording(row: ConsentRow, use: Use) -> str:
    if row.instant <= use.recorded_end:
        return "no"
    return "covered" if read_flag(row.fields, "retroactive", otherwise=False) else "uncovered"


def _sensitive(fields: Mapping[str, Any], use: Use) -> dict[str, str]:
    found: dict[str, str] = {}
    mechanism = _mechanism(fields, use)
    strong = mechanism if mechanism in ("written_release", "explicit_statement") else None
    if use.special:
        found["special_form"] = strong or "other"
    if use.templates:
        express = "express" if mechanism in use.express else "other"
        stated = read_word(fields, "retention_policy") is not None
        found["template_form"] = strong or express
        found["template_retention"] = "stated" if stated else "missing"
    return found
