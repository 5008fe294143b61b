"""From a person's records to what stands: which yes is alive, which no counts, and what is in doubt.

Nothing here judges a grant; it finds which rows take part at all. A yes must prove itself, a no only has to
be plausible: an untrusted yes is dropped, an untrusted no holds the item.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from schemas.consent_sets import NEGATIVE_STATUSES, POSITIVE_STATUSES, STATUSES, WAITING_STATUSES
from validation.cases import Registry, as_sequence, record_fields
from validation.policy import Floor
from validation.reading import (
    DAY,
    SECOND,
    UNREADABLE,
    Instant,
    Unreadable,
    read_flag,
    read_instant,
    read_optional_instant,
    read_word,
    read_words,
)

POSITIVE: Final = "positive"
WAITING: Final = "waiting"
NEGATIVE: Final = "negative"
_SIGNS: Final = {
    **dict.fromkeys(POSITIVE_STATUSES, POSITIVE),
    **dict.fromkeys(WAITING_STATUSES, WAITING),
    **dict.fromkeys(NEGATIVE_STATUSES, NEGATIVE),
}
_NEGATIVE_CODES: Final = {
    "refused": "REFUSED",
    "withdrawn": "WITHDRAWN",
    "revoked": "WITHDRAWN",
    "invalidated": "CONSENT_INVALIDATED",
}


@dataclass(frozen=True, slots=True, eq=False)
class ConsentRow:
    """One record with what every rule needs from it; the rest is read where it is judged.

    Attributes:
        stored: The record as it was stored.
        fields: Its fields, absent values filled in where a file of vectors leaves them out.
        sign: positive, waiting or negative; what cannot be read is negative.
        time: Instant of the event, or None.
        ingested: Instant of its arrival, None if it states none.
    """

    stored: object = field(repr=False)
    fields: dict[str, Any] = field(repr=False)
    record_id: str | None = field(repr=False)
    subject: str | None = field(repr=False)
    status: str | None
    sign: str
    time: Instant | None
    ingested: Instant | Unreadable | None

    @property
    def malformed(self) -> bool:
        """Whether a field is missing that every record needs."""
        return self.record_id is None or self.subject is None or self.status is None or self.time is None

    @property
    def instant(self) -> Instant:
        """The instant of the event; 0 for a record that cannot be read, which takes part in no ordering."""
        return 0 if self.time is None else self.time


def read_record(raw: object, registry: Registry, *, shorthand: bool = False) -> ConsentRow:
    """Read a record; one that cannot be read comes back as malformed, and never raises."""
    fields = record_fields(raw, registry, shorthand=shorthand) if isinstance(raw, dict) else {}
    status = read_word(fields, "status")
    status = status if status in STATUSES else None
    return ConsentRow(
        stored=raw,
        fields=fields,
        record_id=read_word(fields, "id"),
        subject=read_word(fields, "subject"),
        status=status,
        sign=_SIGNS.get(status or "", NEGATIVE),
        time=read_instant(fields.get("event_time")),
        ingested=read_optional_instant(fields, "ingested_at"),
    )


class RecordBook:
    """The records of many people, read once and found by person.

    Args:
        records: Records as JSON objects, in any order.
        registry: The registry whose terms fill in absent notice hashes, with shorthand.
        shorthand: As in `Case`.
    """

    def __init__(self, records: object, registry: Registry, *, shorthand: bool = False) -> None:
        self._by_subject: dict[str, list[ConsentRow]] = defaultdict(list)
        self.ownerless_negatives: list[ConsentRow] = []
        for raw in as_sequence(records):
            row = read_record(raw, registry, shorthand=shorthand)
            if row.subject is not None:
                self._by_subject[row.subject].append(row)
            elif row.sign == NEGATIVE:
                self.ownerless_negatives.append(row)

    def of(self, subject: str) -> Sequence[ConsentRow]:
        """The rows of one person."""
        return self._by_subject.get(subject, ())


@dataclass(frozen=True, slots=True)
class Request:
    """What the records are asked about."""

    purpose: str
    tenant: str
    meeting: str
    controller: str
    as_of: Instant
    registry: Registry = field(repr=False)
    floor: Floor


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may carry a yes, and whether it is about this item and purpose."""

    row: ConsentRow
    relevant: bool

    @property
    def tie(self) -> tuple[object, ...]:
        """Relevant grants with equal ties must all pass."""
        if not self.relevant:
            return (id(self.row),)
        return (self.row.fields.get("scope"), self.row.time)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person's records come to before any grant is judged.

    Attributes:
        ended_by: Codes of a no, a conflict or a doubt that decides alone; empty if grants are to be judged.
        candidates: Live grants, and rows of people who have been asked.
        kept: Codes of rows that were dropped.
        advisories: What to know about the rows.
        record_ids: Ids of the rows that ended the case.
    """

    ended_by: frozenset[str]
    candidates: tuple[Candidate, ...] = ()
    kept: frozenset[str] = frozenset()
    advisories: frozenset[str] = frozenset()
    record_ids: tuple[str, ...] = field(default=(), repr=False)


def covers_scope(row: ConsentRow, request: Request) -> bool | None:
    """Whether a record's scope covers the item; None if the scope cannot be read."""
    scope = read_word(row.fields, "scope")
    if scope == "global":
        return True
    kind, _, name = (scope or "").partition(":")
    if kind not in ("tenant", "meeting") or not name:
        return None
    return name == (request.tenant if kind == "tenant" else request.meeting)


def names_purpose(row: ConsentRow, purpose: str) -> bool:
    """Whether a record names the purpose; a no may name all of them, and does if it cannot be read."""
    purposes = row.fields.get("purposes")
    words = read_words(purposes)
    if row.sign != NEGATIVE:
        return purpose in words
    readable = isinstance(purposes, list) and all(isinstance(word, str) for word in purposes)
    return not readable or purpose in words or "*" in words


def is_relevant(row: ConsentRow, request: Request) -> bool:
    """Whether a record is about this item and purpose."""
    covered = covers_scope(row, request)
    if covered is None:
        covered = row.sign == NEGATIVE
    return covered and names_purpose(row, request.purpose)


def find_standing(book: RecordBook, subject: str, request: Request) -> Standing:
    """What the records of one person come to, for one item and purpose.

    Args:
        book: The records.
        subject: Identifier of the person.
        request: What is asked.
    """
    rows, collision, advisories = _without_repetitions(book.of(subject))
    trusted, disputed, kept = _trusted(rows, book.ownerless_negatives, request)
    timely, more_advisories = _timely(trusted, request, kept)
    advisories |= more_advisories
    return _settle(timely, request, disputed, collision, frozenset(kept), frozenset(advisories))


def _without_repetitions(rows: Sequence[ConsentRow]) -> tuple[list[ConsentRow], bool, set[str]]:
    by_id: dict[str | None, list[ConsentRow]] = defaultdict(list)
    for row in rows:
        by_id[row.record_id].append(row)
    kept = list(by_id.pop(None, ()))
    collision, advisories = False, set[str]()
    for same_id in by_id.values():
        if len(same_id) > 1 and len({_body(row) for row in same_id}) > 1:
            collision = True
            continue
        if len(same_id) == 1:
            kept.append(same_id[0])
            continue
        advisories.add("DUPLICATE_IGNORED")
        kept.append(replace(same_id[0], ingested=_latest(row.ingested for row in same_id)))
    return kept, collision, advisories


def _body(row: ConsentRow) -> str:
    """A record as stored, but for its arrival; one too deep to be written equals no other."""
    stored = row.stored if isinstance(row.stored, dict) else {}
    try:
        body = {name: value for name, value in stored.items() if name != "ingested_at"}
        return json.dumps(body, sort_keys=True, default=repr)
    except (RecursionError, TypeError, ValueError):
        return f"unwritable {id(row)}"


def _latest(times: Iterable[Instant | Unreadable | None]) -> Instant | Unreadable | None:
    stated = [time for time in times if time is not None]
    legible = [time for time in stated if not isinstance(time, Unreadable)]
    return UNREADABLE if len(legible) < len(stated) else max(legible, default=None)


def _trusted(
    rows: Iterable[ConsentRow], ownerless: Iterable[ConsentRow], request: Request
) -> tuple[list[ConsentRow], list[ConsentRow], set[str]]:
    trusted: list[ConsentRow] = []
    disputed = [row for row in ownerless if _disputes(row, request)]
    kept: set[str] = set()
    for row in rows:
        distrust = _distrust(row, request)
        if distrust is None:
            trusted.append(row)
        elif _disputes(row, request):
            disputed.append(row)
        else:
            kept.add(distrust)
    return trusted, disputed, kept


def _distrust(row: ConsentRow, request: Request) -> str | None:
    if row.malformed:
        return "SIGNATURE_INVALID"
    key = request.registry.keys.get(read_word(row.fields, "kid") or "")
    if key is None:
        return "SIGNATURE_KEY_UNKNOWN"
    if not read_flag(row.fields, "sig_ok", otherwise=False):
        return "SIGNATURE_INVALID"
    if key.revoked_from is not None and _reached_after(key.revoked_from, row):
        return "KEY_REVOKED"
    if row.fields.get("controller") != request.controller:
        return "WRONG_CONTROLLER"
    return None


def _reached_after(revoked_from: Instant | Unreadable, row: ConsentRow) -> bool:
    if isinstance(revoked_from, Unreadable) or isinstance(row.ingested, Unreadable):
        return True
    return revoked_from <= max(row.instant, row.ingested or 0)


def _disputes(row: ConsentRow, request: Request) -> bool:
    """Whether an untrusted row is a no that must not be ignored."""
    controller = read_word(row.fields, "controller")
    return row.sign == NEGATIVE and controller in (None, request.controller) and is_relevant(row, request)


def _timely(
    rows: Iterable[ConsentRow], request: Request, kept: set[str]
) -> tuple[list[ConsentRow], set[str]]:
    timely: list[ConsentRow] = []
    advisories: set[str] = set()
    for row in rows:
        ahead = row.instant - request.as_of
        if row.sign == NEGATIVE:
            timely.append(row)
            continue
        if ahead > request.floor.skew_seconds * SECOND:
            kept.add("FUTURE_DATED")
            continue
        current = row
        if ahead > 0:
            advisories.add("CLOCK_SKEW_TOLERATED")
            current = replace(row, time=request.as_of)
        if _is_backdated(current, request.floor):
            kept.add("BACKDATED")
        else:
            timely.append(current)
    return timely, advisories


def _is_backdated(row: ConsentRow, floor: Floor) -> bool:
    if row.ingested is None or read_flag(row.fields, "import_attested", otherwise=False):
        return False
    if isinstance(row.ingested, Unreadable):
        return True
    return row.ingested - row.instant > floor.max_backdate_days * DAY


def _settle(
    rows: Sequence[ConsentRow],
    request: Request,
    disputed: Sequence[ConsentRow],
    collision: bool,
    kept: frozenset[str],
    advisories: frozenset[str],
) -> Standing:
    relevant = [row for row in rows if row.sign != WAITING and is_relevant(row, request)]
    newest = max((row.instant for row in relevant), default=0)
    at_newest = [row for row in relevant if row.instant == newest]
    negatives = [row for row in at_newest if row.sign == NEGATIVE]
    if negatives:
        codes = {_NEGATIVE_CODES[row.status or ""] for row in negatives}
        if len(negatives) < len(at_newest):
            codes = {"CONFLICTING_RECORDS"}
        return Standing(frozenset(codes), advisories=advisories, record_ids=_ids(at_newest))
    if disputed:
        doubt = frozenset({"DISPUTED_WITHDRAWAL"})
        return Standing(doubt, advisories=advisories, record_ids=_ids(disputed))
    if collision:
        return Standing(frozenset({"RECORD_ID_COLLISION"}), advisories=advisories)
    candidates = tuple(_candidates(rows, relevant))
    return Standing(frozenset(), candidates, kept, advisories)


def _candidates(rows: Iterable[ConsentRow], relevant: Sequence[ConsentRow]) -> Iterator[Candidate]:
    last_no = max((row.instant for row in relevant if row.sign == NEGATIVE), default=-1)
    newest_in_scope: dict[object, Instant] = {}
    for row in relevant:
        if row.sign == POSITIVE:
            scope = row.fields.get("scope")
            newest_in_scope[scope] = max(row.instant, newest_in_scope.get(scope, row.instant))
    about_this = set(map(id, relevant))
    for row in rows:
        if row.sign == WAITING or (row.sign == POSITIVE and id(row) not in about_this):
            yield Candidate(row, relevant=False)
        elif row.sign == POSITIVE and row.instant == newest_in_scope[row.fields.get("scope")]:
            yield from () if row.instant <= last_no else (Candidate(row, relevant=True),)


def _ids(rows: Iterable[ConsentRow]) -> tuple[str, ...]:
    return tuple(sorted({row.record_id for row in rows if row.record_id is not None}))
