"""Decide: may this item go to its purpose and recipient, on this date, by these records and policies?

The rules find facts, the suites judge them, and this module only adds up: which of a person's grants come
nearest, who agrees, and what follows. Equal fact rows are judged once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from schemas.consent_sets import DECISIONS
from schemas.errors import PromiseBroken
from validation.cases import Case
from validation.facts import UNREAD, FactRow, FactTable, item_table, person_table
from validation.gate import Gate, Verdict
from validation.grant_rules import PersonRow, person_rows, unidentified_row
from validation.item_rules import CONTENT, Asked, ItemFindings, find_item
from validation.pins import check_pins
from validation.policy import Policies, canonical_hash
from validation.reasons import CATALOGUE, RANK, in_order
from validation.record_rules import RecordBook, Standing, find_standing
from validation.suites import (
    Suite,
    item_floor,
    item_jurisdiction,
    person_floor,
    person_jurisdiction,
)

RELEASE, QUARANTINE, ERASE, REJECT = DECISIONS
OK: Final = "OK"
_PROHIBITED: Final = "PURPOSE_PROHIBITED"
_BEFORE_USE: Final = frozenset(
    (
        "shape",
        "hold",
        "erasure",
        "retention",
        "purpose",
        "lane",
        "allow_list",
        "lineage",
        "kind",
        "transfer",
        "plaintext",
        "capture",
        "use",
        "relations",
    )
)
"""Columns of an item's row that are found before or with its use; a forbidden use ends the search."""


@dataclass(frozen=True, slots=True)
class PersonOutcome:
    """What one person's records mean for an item.

    Attributes:
        position: Place in the item's list of subjects.
        agrees: Whether the person agrees.
        reasons: Why not, in order of rank; empty for one who agrees.
        advisories: What to know, by name.
        record_ids: Records that the outcome rests on, sorted.
    """

    position: int
    agrees: bool
    reasons: tuple[str, ...]
    advisories: tuple[str, ...]
    record_ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a case.

    Attributes:
        decision: RELEASE, QUARANTINE, ERASE or REJECT.
        primary: The leading reason, or OK.
        reasons: All reasons by rank, then name.
        advisories: What to know, by name.
        people: Outcome of each person who was asked, in the order of the item's subjects.
        regions: Profiles that applied, sorted; empty if the item was settled before.
        policy_hash: SHA-256 (hex) of the policies.
        suite_hash: SHA-256 (hex) over the hashes of all suites that judged.
        record_ids: Records that the decision rests on, sorted.
    """

    decision: str
    primary: str
    reasons: tuple[str, ...]
    advisories: tuple[str, ...]
    people: tuple[PersonOutcome, ...] = field(repr=False)
    regions: tuple[str, ...]
    policy_hash: str
    suite_hash: str
    record_ids: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _PersonCase:
    """One person of one item, before judgement."""

    asked: Asked
    standing: Standing
    rows: tuple[PersonRow, ...]


@dataclass(slots=True)
class _Open:
    """A case on its way."""

    found: ItemFindings
    people: tuple[_PersonCase, ...] = ()
    outcomes: tuple[PersonOutcome, ...] = ()
    row: FactRow = ()

    @property
    def regions(self) -> tuple[str, ...]:
        return self.found.profile.regions if self.found.profile else ()

    def key(self, row: FactRow) -> _Key:
        return self.regions, row


@dataclass(frozen=True)
class _Suites:
    """The suites of one merged profile; without a profile, the floor of items alone."""

    item: tuple[Suite, ...]
    person: tuple[Suite, ...]

    @cached_property
    def hash(self) -> str:
        return canonical_hash([suite.hash for suite in (*self.item, *self.person)])


_Key = tuple[tuple[str, ...], FactRow]
"""Regions whose profiles apply, and a row to be judged under them."""


class Decider:
    """Decides cases under one version of the policies.

    Args:
        policies: The policies.
        gate: The gate that judges; one a worker, shared so that verdicts are remembered.

    Raises:
        PromiseBroken: The policies or their suites are not those that were pinned.
    """

    def __init__(self, policies: Policies, gate: Gate | None = None) -> None:
        check_pins(policies)
        self.policies = policies
        self.gate = gate or Gate()
        self._policy_hash = policies.policy_hash
        self._persons = person_table(policies)
        self._items = item_table(policies)
        self._person_floor = person_floor(self._persons, policies)
        self._item_floor = item_floor(self._items)
        self._suites: dict[tuple[str, ...], _Suites] = {(): _Suites((self._item_floor,), ())}
        self._suite_hashes: dict[tuple[str, ...], str] = {}

    def decide(self, case: Case) -> Decision:
        """Decide one case; see `decide_batch`."""
        return self.decide_batch([case])[0]

    def decide_batch(self, cases: Sequence[Case]) -> list[Decision]:
        """Decide cases, each on its own, with as few validations as there are suites.

        Args:
            cases: The cases. No input makes this raise: what cannot be read takes the restrictive reading.

        Returns:
            The decisions, in the order of the cases.

        Raises:
            PromiseBroken: The suites' verdicts cannot be relied upon; hold every case.
        """
        books: dict[tuple[int, int, bool], RecordBook] = {}
        open_cases = [self._open(case, books) for case in cases]
        self._ask_people(open_cases)
        for one in open_cases:
            one.found.words |= _agreement_words(one.found, one.outcomes)
            one.row = self._items.row(one.found.words)
        verdicts = self._judge((one.key(one.row) for one in open_cases), lambda suites: suites.item)
        return [self._close(one, verdicts[one.key(one.row)]) for one in open_cases]

    def suites_of(self, regions: tuple[str, ...]) -> tuple[Suite, ...]:
        """All suites that judge where these regions' profiles apply (none: before the regions are known)."""
        suites = self._suites_of(regions)
        return (*suites.item, *suites.person)

    def suite_hash(self, regions: tuple[str, ...]) -> str:
        """SHA-256 (hex) over the hashes of `suites_of`."""
        return self._suites_of(regions).hash

    def _suites_of(self, regions: tuple[str, ...]) -> _Suites:
        if regions not in self._suites:
            profile = self.policies.merged(regions)
            self._suites[regions] = _Suites(
                (self._item_floor, item_jurisdiction(self._items, profile)),
                (self._person_floor, person_jurisdiction(self._persons, profile, self.policies)),
            )
        return self._suites[regions]

    def _open(self, case: Case, books: dict[tuple[int, int, bool], RecordBook]) -> _Open:
        found = find_item(case, self.policies)
        if found.use is None:
            return _Open(found)
        book = case.records
        if not isinstance(book, RecordBook):
            key = (id(case.records), id(case.registry), case.shorthand)
            if key not in books:
                books[key] = RecordBook(case.records, case.registry, shorthand=case.shorthand)
            book = books[key]
        return _Open(found, tuple(_person_case(self._persons, one, book, found) for one in found.asked))

    def _ask_people(self, open_cases: Sequence[_Open]) -> None:
        rows = (one.key(row.facts) for one in open_cases for person in one.people for row in person.rows)
        verdicts = self._judge(rows, lambda suites: suites.person)
        for one in open_cases:
            one.outcomes = tuple(
                _person_outcome(person, [_codes(verdicts[one.key(row.facts)]) for row in person.rows])
                for person in one.people
            )

    def _judge(
        self, wanted: Iterable[_Key], pick: Callable[[_Suites], tuple[Suite, ...]]
    ) -> dict[_Key, Verdict]:
        """Judge rows by the suites of their regions; each suite runs once."""
        keys = dict.fromkeys(wanted)
        rows_of: dict[str, list[FactRow]] = defaultdict(list)
        suite_of: dict[str, Suite] = {}
        for regions, row in keys:
            for suite in pick(self._suites_of(regions)):
                suite_of[suite.hash] = suite
                rows_of[suite.hash].append(row)
        judged = {pinned: self.gate.judge(suite_of[pinned], rows) for pinned, rows in rows_of.items()}
        return {key: self._united(key, pick(self._suites_of(key[0])), judged) for key in keys}

    @staticmethod
    def _united(key: _Key, suites: Iterable[Suite], judged: dict[str, dict[FactRow, Verdict]]) -> Verdict:
        nothing: Verdict = frozenset()
        return nothing.union(*(judged[suite.hash][key[1]] for suite in suites))

    def _close(self, one: _Open, verdict: Verdict) -> Decision:
        reasons = set(_item_codes(verdict))
        advisories = set(one.found.advisories)
        if _PROHIBITED not in reasons:
            advisories |= {name for outcome in one.outcomes for name in outcome.advisories}
            if one.found.lane == CONTENT:
                reasons |= {code for outcome in one.outcomes for code in outcome.reasons}
        if not reasons:
            reasons = {expectation.code for expectation in verdict}
        self._check_consistent(one, reasons)
        ordered = in_order(reasons)
        return Decision(
            decision=_outcome(ordered),
            primary=ordered[0] if ordered else OK,
            reasons=ordered,
            advisories=tuple(sorted(advisories)),
            people=one.outcomes,
            regions=one.regions,
            policy_hash=self._policy_hash,
            suite_hash=self.suite_hash(one.regions),
            record_ids=tuple(sorted({i for outcome in one.outcomes for i in outcome.record_ids})),
        )

    def _check_consistent(self, one: _Open, reasons: set[str]) -> None:
        """A second look at every release, from the findings rather than from the suites."""
        if reasons:
            return
        words = dict(zip(self._items.names, one.row, strict=True))
        unread = words["purpose"] == UNREAD or words["use"] == UNREAD
        held_out = one.found.lane == CONTENT and any(not outcome.agrees for outcome in one.outcomes)
        if unread or held_out or one.found.profile is None:
            raise PromiseBroken("GATE_INCONSISTENT", "a release contradicts its own findings; hold the batch")


def _person_case(table: FactTable, asked: Asked, book: RecordBook, found: ItemFindings) -> _PersonCase:
    nothing = Standing(frozenset())
    if asked.subject is None:
        return _PersonCase(asked, nothing, (unidentified_row(table),))
    if found.use is None or not asked.reads_records:
        return _PersonCase(asked, nothing, ())
    standing = find_standing(book, asked.subject, found.use.request)
    return _PersonCase(asked, standing, tuple(person_rows(table, standing, asked.person, found.use)))


def _codes(verdict: Verdict) -> frozenset[str]:
    return frozenset(expectation.code for expectation in verdict)


def _person_outcome(person: _PersonCase, failures: Sequence[frozenset[str]]) -> PersonOutcome:
    """Add up a person's rows: agreed if one grant, with all that tie with it, meets everything."""
    standing, position = person.standing, person.asked.position
    if not person.rows:
        return PersonOutcome(position, False, ("OPTED_OUT",), (), ())
    advisories = set(standing.advisories)
    for row, codes in zip(person.rows, failures, strict=True):
        advisories |= row.advisories
        if row.employee and "POWER_IMBALANCE" not in codes:
            advisories.add("EMPLOYEE_CONSENT")
    passing = _passing(person.rows, failures)
    if passing:
        if standing.kept:
            advisories.add("UNTRUSTED_RECORD_IGNORED")
        return PersonOutcome(position, True, (), tuple(sorted(advisories)), _ids(passing))
    nearest = _nearest_miss(failures)
    reasons = in_order(nearest | (standing.kept if standing.candidates else frozenset()))
    missing = [row for row, codes in zip(person.rows, failures, strict=True) if codes == nearest]
    ids = standing.record_ids or _ids(missing)
    return PersonOutcome(position, False, reasons, tuple(sorted(advisories)), ids)


def _passing(rows: Sequence[PersonRow], failures: Sequence[frozenset[str]]) -> list[PersonRow]:
    failed_ties = {row.tie for row, codes in zip(rows, failures, strict=True) if codes}
    passing = [row for row in rows if row.tie not in failed_ties]
    if any(row.grant is None for row in passing):
        raise PromiseBroken("GATE_INCONSISTENT", "a person agrees without a grant; hold the batch")
    return passing


def _nearest_miss(failures: Iterable[frozenset[str]]) -> frozenset[str]:
    """The failures of a candidate with the fewest, then the lowest rank among them, then the first names."""

    def distance(codes: frozenset[str]) -> tuple[int, int, list[str]]:
        return len(codes), min(RANK[code] for code in codes), sorted(codes)

    return min(filter(None, failures), key=distance)


def _ids(rows: Iterable[PersonRow]) -> tuple[str, ...]:
    grants = (row.grant.record_id for row in rows if row.grant is not None)
    return tuple(sorted({record_id for record_id in grants if record_id is not None}))


def _agreement_words(found: ItemFindings, outcomes: Sequence[PersonOutcome]) -> dict[str, str]:
    if not outcomes:
        return {}
    agreeing = sum(outcome.agrees for outcome in outcomes)
    if found.lane == CONTENT:
        word = "everybody" if agreeing == len(outcomes) else "some" if agreeing else "nobody"
        return {"agreement": word}
    if agreeing < len(outcomes):
        return {}
    asked = {name: word for name, word in found.words.items() if word.endswith("_not_agreed")}
    return {name: word.replace("_not_agreed", "_agreed") for name, word in asked.items()}


def _item_codes(verdict: Verdict) -> frozenset[str]:
    """Codes of an item's row; a forbidden use ends the search, so what was found later does not count."""
    counted = [expectation for expectation in verdict if not expectation.last_resort]
    if any(expectation.code == _PROHIBITED for expectation in counted):
        counted = [expectation for expectation in counted if expectation.column in _BEFORE_USE]
    return frozenset(expectation.code for expectation in counted)


def _outcome(reasons: Sequence[str]) -> str:
    actions = [CATALOGUE[code].action for code in reasons]
    decision = max([RELEASE, *actions], key=DECISIONS.index)
    return QUARANTINE if decision == ERASE and "LEGAL_HOLD" in reasons else decision
