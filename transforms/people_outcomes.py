"""What the records of a meeting's people come to, found once a person and not once an item.

Ten thousand people and fifty thousand items are not half a billion questions. What a person's records come to
depends on the purpose, the kind and whether a grant came after the recording; people whose findings are equal
word for word are one case for the suites. So a class of items is decided on one representative of each
finding that occurs among the people who were present, and the answer holds for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from transforms.consent_intake import NOTHING_ATTESTED, Attested, decode_row
from transforms.presence import Person as Attendee
from transforms.shared_cases import SharedCases
from validation.cases import Case
from validation.cases import Registry as RulesRegistry
from validation.decisions import PersonOutcome
from validation.grant_rules import Person, PersonRow, Use, person_rows
from validation.item_rules import find_item
from validation.policy import Policies
from validation.reading import SECOND, read_instant
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


class PersonRecord(NamedTuple):
    """A consent row as it is carried (`transforms.consent_intake.encode_row`), and what it says."""

    row: bytes
    fields: Mapping[str, Any]


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


def present(one: Attendee, attested: Mapping[str | None, Attested], reported: set[str]) -> Present:
    """A person of the roster with what the registry attests; only one of the keys can be registered.

    Whose deletion a source has reported may have opted out, whatever was attested before.
    """
    known = [attested[key] for key in one.keys if attested.get(key, NOTHING_ATTESTED) != NOTHING_ATTESTED]
    found = known[0] if len(known) == 1 else NOTHING_ATTESTED
    if not reported.isdisjoint(one.keys):
        found = found._replace(opt_out=None)
    return Present(one.key, one.identified, one.keys, found)


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
        alike: Equal for questions, of whichever meeting, whose uses differ in the meeting only.
    """

    purpose: str
    kind: str
    roots: tuple[str, ...]
    refusal: Refusal | None
    use: Use | None = field(compare=False, repr=False)
    alike: str = field(default="", compare=False, repr=False)


class _Answers:
    """What people's records come to for one question, at most once for each instant of a person's grants."""

    def __init__(self, size: int) -> None:
        self.codes: Codes = np.full(size, -1, dtype=np.int64)
        self.findings: dict[int, Finding] = {}
        self._ids: dict[frozenset[int], dict[int, tuple[str, ...]]] = {}

    def ids_of(self, rows: frozenset[int]) -> Callable[[int], tuple[str, ...]]:
        """The records behind some rows of the finding at a place."""
        known = self._ids.setdefault(rows, {})
        findings = self.findings

        def ids(place: int) -> tuple[str, ...]:
            found = known.get(place)
            if found is None:
                found = known[place] = findings[place].ids_of(rows)
            return found

        return ids


class MeetingPeople:
    """The people of one meeting with their records.

    Args:
        people: Everybody who was there at any time.
        rows: Rows by person key.
        ownerless: Rows that may be a no of anybody.
        registry: Keys and terms.
        policies: The policies.
        meeting: Join pseudonym of the meeting.
        as_of: Instant of the decision (RFC 3339).
        shared: What several meetings have in common.
    """

    def __init__(
        self,
        people: Sequence[Present],
        rows: Mapping[str, Iterable[PersonRecord]],
        ownerless: Iterable[bytes],
        registry: RulesRegistry,
        policies: Policies,
        meeting: str | None,
        as_of: str,
        shared: SharedCases | None = None,
    ) -> None:
        self.people = people
        self.registry = registry
        self._policies, self._meeting = policies, meeting
        self._terms: dict[str, str] = {}
        self._book = self._read_book(rows, ownerless)
        self._books: dict[Refusal | None, RecordBook] = {None: self._book}
        now = read_instant(as_of) or 0
        instants = [self._grants(one, now) for one in people]
        self._instants = np.array([each for own in instants for each in own], dtype=np.int64)
        self._first = np.cumsum([0, *map(len, instants)])[:-1]
        self._shared = shared or SharedCases()
        self._table = self._shared.table_of(policies)
        self._codes = self._shared.codes
        self._standings: dict[tuple[int, Refusal | None, str], Standing] = {}
        self._answers: dict[Question, _Answers] = {}
        self._persons: dict[Attested, Person] = {}

    def _read_book(
        self, rows: Mapping[str, Iterable[PersonRecord]], ownerless: Iterable[bytes]
    ) -> RecordBook:
        records: list[dict[str, Any]] = [decode_row(row) for row in sorted(ownerless)]
        for one in self.people:
            own = (row for key in one.record_keys for row in rows.get(key, ()))
            for row in sorted(own, key=_bytes_of) if one.identified else ():
                fields = {**row.fields, "subject": one.key}
                self._note_terms(fields)
                records.append(fields)
        return RecordBook(records, self.registry)

    def _note_terms(self, fields: Mapping[str, Any]) -> None:
        record_id, terms = fields.get("id"), fields.get("terms")
        if isinstance(record_id, str) and isinstance(terms, str):
            self._terms[record_id] = terms

    def _grants(self, one: Present, now: int) -> list[int]:
        """Instants that tell apart what the person's records come to, by when a recording ended.

        A grant from a clock that runs ahead counts as given at the instant of the decision.
        """
        grants = {row.instant for row in self._book.of(one.key) if row.sign == POSITIVE}
        return sorted(map(unix_instant, grants | {now}))

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
        answers, places = self._places(people, question, recorded_end)
        return answers.codes[places]

    def finding(self, at: int, question: Question, recorded_end: int) -> Finding:
        """What one person's records come to; `recorded_end` as for `codes`."""
        answers, places = self._places(np.array([at], dtype=np.int64), question, recorded_end)
        return answers.findings[int(places[0])]

    def record_ids(
        self, people: Codes, question: Question, recorded_end: int, rows: Mapping[int, frozenset[int]]
    ) -> set[str]:
        """The records behind some rows of some people's findings.

        Args:
            people: Places in the list of people.
            question: What was asked.
            recorded_end: As for `codes`.
            rows: The rows that count, by code of the finding; of other findings none does.
        """
        answers, places = self._places(people, question, recorded_end)
        codes = answers.codes[places]
        found: set[str] = set()
        for code, chosen in rows.items():
            ids_of = answers.ids_of(chosen)
            found.update(chain.from_iterable(map(ids_of, places[codes == code].tolist())))
        return found

    def _places(self, people: Codes, question: Question, recorded_end: int) -> tuple[_Answers, Codes]:
        """The answers to a question, and where in them each person's is for an end of the recording.

        What a person's records come to changes only where the end passes an instant of the person's grants.
        So there is one answer between any two of these, however many items the meeting has.
        """
        size = len(self._instants) + len(self.people)
        answers = self._answers.setdefault(question, _Answers(size))
        if not len(people):
            return answers, people
        passed = np.add.reduceat((self._instants <= recorded_end).astype(np.int64), self._first)
        places = (self._first + np.arange(len(self._first)) + passed)[people]
        new = answers.codes[places] < 0
        for at, place, number in zip(
            people[new].tolist(), places[new].tolist(), passed[people[new]].tolist(), strict=True
        ):
            finding = self._find(at, question, self._end(at, number))
            answers.findings[place], answers.codes[place] = finding, finding.code
        return answers, places

    def _end(self, at: int, passed: int) -> int:
        """An end of a recording that lies after so many instants of a person and before all others."""
        first = int(self._first[at])
        after = int(self._first[at + 1]) if at + 1 < len(self._first) else len(self._instants)
        if first + passed == after:
            return _LARGEST
        return int(self._instants[first + passed - 1]) if passed else int(self._instants[first]) - 1

    def _find(self, at: int, question: Question, recorded_end: int) -> Finding:
        one, use = self.people[at], question.use
        if use is None or not one.identified:
            return Finding(self._code((one.identified, one.attested)), (), ())
        standing = self._standing(at, one.key, use, question.refusal)
        end = _ALL_TIME if recorded_end == _LARGEST else recorded_end + _UNIX
        person = self._person(one)
        known = self._shared.rows_for(question.alike, person)
        rows = person_rows(self._table, standing, person, replace(use, recorded_end=end), known)
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


def _bytes_of(record: PersonRecord) -> bytes:
    return record.row


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
