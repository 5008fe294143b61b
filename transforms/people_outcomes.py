"""What the records of a meeting's people come to, found once a person and not once an item.

Ten thousand people and fifty thousand items are not half a billion questions. What a person's records come to
depends on the purpose, the kind and whether a grant came after the recording; people whose findings are equal
word for word are one case for the suites. So a class of items is decided on one representative of each
finding that occurs among the people who were present, and the answer holds for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from transforms.consent_intake import NOTHING_ATTESTED, Attested, decode_row
from validation.cases import Case
from validation.cases import Registry as RulesRegistry
from validation.decisions import PersonOutcome
from validation.facts import person_table
from validation.grant_rules import Person, PersonRow, Use, person_rows
from validation.item_rules import find_item
from validation.policy import Policies
from validation.reading import SECOND
from validation.record_rules import (
    POSITIVE,
    ConsentRow,
    RecordBook,
    Standing,
    find_standing,
    read_record,
)

Codes = npt.NDArray[np.int64]
ANY_PURPOSE: Final = "*"
"""What a no says that is about every purpose."""

_UNIX: Final = 719_163 * 86_400 * SECOND
"""1970-01-01 in nanoseconds since the year 1."""
_ALL_TIME: Final = 1 << 80
_LARGEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """An objection that came with an item: it proves nothing and must not be ignored.

    Attributes:
        people: Keys of the sender; empty if nobody knows who objects, so that it may be anybody.
        purposes: Purposes that it names, ``*`` for all.
    """

    people: tuple[str, ...] = field(repr=False)
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who was in a meeting.

    Attributes:
        key: The person's key in this meeting.
        identified: Whether it is one person who can be asked.
        record_keys: Keys under which the person's records lie.
        attested: What the registry says of the person.
    """

    key: str = field(repr=False)
    identified: bool
    record_keys: tuple[str, ...] = field(repr=False)
    attested: Attested = NOTHING_ATTESTED

    def as_subject(self) -> dict[str, Any]:
        """The person as a subject of an item; what is not attested is left out."""
        if not self.identified:
            return {"identified": False, "featured": True}
        known = {name: value for name, value in self.attested._asdict().items() if value is not None}
        return {"id": self.key, "identified": True, "featured": True, **known}


class _RefusedBook(RecordBook):
    """A book with an objection beside it."""

    def __init__(self, book: RecordBook, refusal: Refusal, meeting: str | None) -> None:
        no = {"status": "refused", "purposes": list(refusal.purposes), "scope": f"meeting:{meeting}"}
        self._book = book
        self._rows = {key: read_record({**no, "subject": key}, RulesRegistry()) for key in refusal.people}
        anybody = () if refusal.people else (read_record(no, RulesRegistry()),)
        self.ownerless_negatives = [*book.ownerless_negatives, *anybody]

    def of(self, subject: str) -> Sequence[ConsentRow]:
        rows = self._book.of(subject)
        return [*rows, self._rows[subject]] if subject in self._rows else rows


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person's records come to for one use.

    Attributes:
        code: Equal for equal findings.
        record_ids: The records behind each row of it.
        ended_ids: The records that ended the case before any grant was read.
    """

    code: int
    record_ids: tuple[tuple[str, ...], ...] = field(repr=False)
    ended_ids: tuple[str, ...] = field(repr=False)

    def rows_of(self, outcome: PersonOutcome) -> frozenset[int]:
        """Which of the rows an outcome of this finding rests on; they are the same for equal findings."""
        named = set(outcome.record_ids)
        return frozenset(at for at, ids in enumerate(self.record_ids) if ids and named.issuperset(ids))

    def ids_of(self, rows: frozenset[int]) -> tuple[str, ...]:
        """The records behind some rows, or those that ended the case."""
        return self.ended_ids or tuple(each for at in rows for each in self.record_ids[at])


@dataclass(frozen=True, slots=True)
class Question:
    """What the records of a meeting's people are asked.

    Attributes:
        purpose: The purpose.
        kind: Kind of the items.
        roots: What they come from.
        refusal: An objection that came with them.
        use: What grants are tested against; None if nobody is asked. It follows from the others.
    """

    purpose: str
    kind: str
    roots: tuple[str, ...]
    refusal: Refusal | None
    use: Use | None = field(compare=False, repr=False)


class MeetingPeople:
    """The people of one meeting with their records.

    Args:
        people: Everybody who was there at any time.
        rows: Rows by person key (`transforms.consent_intake.encode_row`).
        ownerless: Rows that may be a no of anybody.
        registry: Keys and terms.
        policies: The policies.
        meeting: Join pseudonym of the meeting.
    """

    def __init__(
        self,
        people: Sequence[Present],
        rows: Mapping[str, Iterable[bytes]],
        ownerless: Iterable[bytes],
        registry: RulesRegistry,
        policies: Policies,
        meeting: str | None,
    ) -> None:
        self.people = people
        self.registry = registry
        self._policies, self._meeting = policies, meeting
        self._table = person_table(policies)
        self._terms: dict[str, str] = {}
        self._book = self._read_book(rows, ownerless)
        self._books: dict[Refusal | None, RecordBook] = {None: self._book}
        self._last_yes = np.array([self._last_grant(one) for one in people], dtype=np.int64)
        self._codes: dict[object, int] = {}
        self._standings: dict[tuple[int, Refusal | None, str], Standing] = {}
        self._findings: dict[tuple[int, Question, int], Finding] = {}
        self._base: dict[Question, Codes] = {}
        self._persons: dict[Attested, Person] = {}

    def _read_book(self, rows: Mapping[str, Iterable[bytes]], ownerless: Iterable[bytes]) -> RecordBook:
        records: list[dict[str, Any]] = [decode_row(row) for row in sorted(ownerless)]
        for one in self.people:
            own = (row for key in one.record_keys for row in rows.get(key, ()))
            for row in sorted(own) if one.identified else ():
                fields = {**decode_row(row), "subject": one.key}
                self._note_terms(fields)
                records.append(fields)
        return RecordBook(records, self.registry)

    def _note_terms(self, fields: Mapping[str, Any]) -> None:
        record_id, terms = fields.get("id"), fields.get("terms")
        if isinstance(record_id, str) and isinstance(terms, str):
            self._terms[record_id] = terms

    def _last_grant(self, one: Present) -> int:
        grants = (row.instant for row in self._book.of(one.key) if row.sign == POSITIVE)
        return unix_instant(max(grants, default=0))

    def terms_of(self, record_ids: Iterable[str]) -> list[str]:
        """Versions of terms that some records cite, sorted."""
        return sorted({self._terms[each] for each in record_ids if each in self._terms})

    def book(self, refusal: Refusal | None) -> RecordBook:
        """The records, with an objection that came with an item."""
        if refusal not in self._books:
            assert refusal is not None  # noqa: S101 - the plain book is always there
            self._books[refusal] = _RefusedBook(self._book, refusal, self._meeting)
        return self._books[refusal]

    def use_of(self, fields: Mapping[str, Any], as_of: str) -> Use | None:
        """What grants are tested against for an item; None if no profile asks anybody."""
        for region in sorted(self._policies.profiles):
            anybody = {"id": "anybody", "identified": True, "region": region}
            found = find_item(self._case(fields, anybody, as_of), self._policies)
            if found.use is not None:
                return replace(found.use, recorded_end=_ALL_TIME)
        return None

    def _case(self, fields: Mapping[str, Any], subject: Mapping[str, Any], as_of: str) -> Case:
        return Case({**fields, "subjects": [subject]}, [], self.registry, as_of)

    def codes(self, people: Codes, question: Question, recorded_end: int) -> Codes:
        """What the records of some people come to: equal codes for equal findings.

        Args:
            people: Places in the list of people.
            question: What is asked.
            recorded_end: End of the recording (ns since 1970).
        """
        if question not in self._base:
            every = [self.finding(at, question, _LARGEST).code for at in range(len(self.people))]
            self._base[question] = np.array(every, dtype=np.int64)
        found = self._base[question][people]
        for place in np.flatnonzero(self._last_yes[people] > recorded_end).tolist():
            found[place] = self.finding(int(people[place]), question, recorded_end).code
        return found

    def finding(self, at: int, question: Question, recorded_end: int) -> Finding:
        """What one person's records come to; `recorded_end` as for `codes`."""
        bounded = _LARGEST if self._last_yes[at] <= recorded_end else recorded_end
        key = (at, question, bounded)
        if key not in self._findings:
            self._findings[key] = self._find(at, question.use, question.refusal, bounded)
        return self._findings[key]

    def _find(self, at: int, use: Use | None, refusal: Refusal | None, recorded_end: int) -> Finding:
        one = self.people[at]
        if use is None or not one.identified:
            return Finding(self._code((one.identified, one.attested)), (), ())
        standing = self._standing(at, one.key, use, refusal)
        end = _ALL_TIME if recorded_end == _LARGEST else recorded_end + _UNIX
        rows = person_rows(self._table, standing, self._person(one), replace(use, recorded_end=end))
        ordered = sorted(rows, key=lambda row: (row.facts, sorted(row.advisories)))
        signature = (
            one.attested,
            tuple((row.facts, row.advisories, row.employee) for row in ordered),
            _ties(ordered),
            standing.kept,
            standing.advisories,
            bool(standing.candidates),
        )
        ids = tuple(_id_of(row) for row in ordered)
        return Finding(self._code(signature), ids, standing.record_ids)

    def _standing(self, at: int, key: str, use: Use, refusal: Refusal | None) -> Standing:
        asked = (at, refusal, use.request.purpose)
        if asked not in self._standings:
            self._standings[asked] = find_standing(self.book(refusal), key, use.request)
        return self._standings[asked]

    def _person(self, one: Present) -> Person:
        if one.attested not in self._persons:
            age, relation = one.attested.age, one.attested.relation
            self._persons[one.attested] = Person(
                is_host=False, is_minor=age != "adult", is_employee=relation in (None, "employee")
            )
        return self._persons[one.attested]

    def _code(self, signature: object) -> int:
        return self._codes.setdefault(signature, len(self._codes))


def unix_instant(instant: int) -> int:
    """Nanoseconds since 1970 of an instant of the rules, kept inside 64 bits."""
    return max(-_LARGEST, min(_LARGEST, instant - _UNIX))


def _id_of(row: PersonRow) -> tuple[str, ...]:
    record_id = None if row.grant is None else row.grant.record_id
    return () if record_id is None else (record_id,)


def _ties(rows: Sequence[PersonRow]) -> tuple[int, ...]:
    """Which rows are tied with which: each row's place of the first row with an equal tie."""
    first: dict[object, int] = {}
    return tuple(first.setdefault(row.tie if row.tie else (), at) for at, row in enumerate(rows))
