"""Decide about all items of one meeting: classes of items, asked once for each purpose.

An item's class (`transforms.presence`) is everything that its decision depends on besides records and
registry. Items of one class share every decision; what the people's records come to is found once a person,
and equal findings are judged once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from schemas.consent_sets import POSITIVE_STATUSES
from schemas.tables import UNREADABLE
from transforms.collector import collector_paused
from transforms.consent_intake import Link, decode_row
from transforms.decision_ids import decision_id, instant_text
from transforms.decision_tables import (
    DecidedRows,
    DecidedTogether,
    MeetingDecisions,
    tables_together,
)
from transforms.deletion_holds import held_by, reported_people
from transforms.people_outcomes import (
    ANY_PURPOSE,
    Codes,
    MeetingPeople,
    PersonRecord,
    Question,
    Refusal,
    present,
    unix_instant,
)
from transforms.presence import ItemClass, meeting_classes
from transforms.presence_items import ItemColumns
from transforms.presence_roster import RosterRow, rosters_together
from transforms.release_rules import ReleaseRules, decider_of
from transforms.service_items import service_fields
from transforms.shared_cases import Answer, SharedCases, fields_key
from validation.cases import Case
from validation.decisions import RELEASE, Decision, PersonOutcome
from validation.item_rules import CONTENT, SERVICE
from validation.reading import read_instant

_SOMEBODY: Final[Mapping[str, Any]] = {"identified": False}
"""Stands for whoever an incomplete roster may have missed; in the content lane the roster itself holds."""

AMBIGUOUS: Final = "ambiguous"
"""Kind as which items are decided whose id stands for two different things."""

_DELETED: Final = "deleted"
"""Column that says of which items a source has reported a deletion."""

_LABELS: Final = (AMBIGUOUS, _DELETED)

GATHERED_CELLS: Final = 30_000
"""Items, rows of rosters and records of meetings that are decided about together: a validation costs as much
for one row as for many, and what waits for it is held in memory."""

_PERSONS_LISTED: Final = 100
_RECORDS_LISTED: Final = 1000


@dataclass(frozen=True)
class MeetingInput:
    """Everything about one meeting that its decisions are made from.

    Attributes:
        meeting: Join pseudonym, None for items of no meeting.
        items: Rows of the items table, with a column ``ambiguous``.
        roster: Rows of the roster.
        links: Whom the roster's and the senders' identifiers stand for.
        rows: Consent rows by person key.
        ownerless: Rows that may be a no of anybody.
        signals: Deletions that a source reports of the meeting, of messages in it, or of anything.
        lane: Lane of all items; scopes of telemetry are of lane service.
    """

    meeting: str | None
    items: pa.Table = field(repr=False)
    roster: pa.Table = field(repr=False)
    links: Sequence[Link] = field(repr=False)
    rows: Mapping[str, Sequence[bytes]] = field(repr=False)
    ownerless: Sequence[bytes] = field(repr=False)
    signals: Sequence[pa.Table] = field(default=(), repr=False)
    lane: str = CONTENT

    @property
    def cells(self) -> int:
        """How much there is to decide from: items, rows of the roster, and records."""
        return self.items.num_rows + self.roster.num_rows + sum(map(len, self.rows.values()))

    @cached_property
    def records(self) -> Mapping[str, Sequence[PersonRecord]]:
        """The consent rows by person key, read; in the order of their bytes."""
        return {
            person: [PersonRecord(row, decode_row(row)) for row in sorted(rows)]
            for person, rows in self.rows.items()
        }


@dataclass(frozen=True)
class DecisionLabels:
    """What every row of a decision log repeats."""

    run_id: str
    stage: str
    records_seen: str


def decide_meetings(
    given: Sequence[MeetingInput], rules: ReleaseRules, labels: DecisionLabels
) -> list[MeetingDecisions]:
    """Decide about every item of some meetings for every purpose of the request; see `decide_together`."""
    return decide_together(given, rules, labels).apart() if given else []


def decide_together(
    given: Sequence[MeetingInput], rules: ReleaseRules, labels: DecisionLabels
) -> DecidedTogether:
    """Decide about every item of some meetings, at least one, for every purpose of the request.

    The suites judge the cases of all meetings together, and each case once: a validation costs as much for
    one row as for many.

    Args:
        given: The meetings.
        rules: Policies and registry.
        labels: What every row of the log repeats.

    Raises:
        PromiseBroken: The suites' verdicts cannot be relied upon; hold everything.
    """
    with collector_paused():
        sizes = [one.items.num_rows for one in given]
        items = pa.concat_tables([one.items for one in given]).combine_chunks()
        deleted = np.concatenate([held_by(one.items, one.signals) for one in given])
        marked = items.append_column(_DELETED, pa.array(deleted, pa.bool_()))
        columns = ItemColumns.read(marked, _LABELS).parts(sizes)
        return tables_together(items, sizes, _decided(given, columns, rules, labels))


def _decided(
    given: Sequence[MeetingInput],
    items: Sequence[ItemColumns],
    rules: ReleaseRules,
    labels: DecisionLabels,
) -> list[DecidedRows]:
    rosters = rosters_together([one.roster for one in given])
    shared = SharedCases()
    meetings = [_Meeting(*each, rules, labels, shared) for each in zip(given, items, rosters, strict=True)]
    asked = [(meeting, one, case) for meeting in meetings for one, case in meeting.cases()]
    decisions = decider_of(rules.policies).decide_batch([case for _, _, case in asked])
    for (meeting, one, _), decision in zip(asked, decisions, strict=True):
        shared.answers[one.key] = meeting.answer(one, decision)
    return [meeting.decided_rows() for meeting in meetings]


@dataclass(frozen=True)
class _Asked:
    """A class with one purpose.

    Attributes:
        one: The class.
        items: Places of its items.
        at: Places of its people.
        question: What their records are asked.
        codes: What their records come to.
        chosen: For every code that occurs, the place of one person with it.
        key: Equal for classes, of whichever meeting, that are one case for the suites.
    """

    one: ItemClass
    items: Codes = field(repr=False)
    at: Codes = field(repr=False)
    question: Question
    codes: Codes = field(repr=False)
    chosen: Mapping[int, int] = field(repr=False)
    key: Hashable = field(repr=False)

    @property
    def end(self) -> int:
        """End of the recording (ns since 1970); without one the case is settled before anybody is asked."""
        return self.one.recorded_end or 0


class _Meeting:
    """One meeting on its way to its decisions."""

    def __init__(
        self,
        given: MeetingInput,
        items: ItemColumns,
        roster: Sequence[RosterRow],
        rules: ReleaseRules,
        labels: DecisionLabels,
        shared: SharedCases,
    ) -> None:
        self._given, self._rules, self._labels, self._shared = given, rules, labels, shared
        persons = {link.pseudonym: link.person for link in given.links if link.registered}
        instants = self._instants()
        self._classes = meeting_classes(items, roster, persons, instants=instants, labels=_LABELS)
        attested = {link.person: link.attested for link in given.links}
        reported = self._reported(items)
        self._present = [present(one, attested, reported) for one in self._classes.people]
        self._peoples: dict[str | None, MeetingPeople] = {}
        self._questions: dict[tuple[str | None, str, tuple[str, ...], str, Refusal | None], Question] = {}
        self._asked: list[_Asked] = []

    def cases(self) -> Iterator[tuple[_Asked, Case]]:
        """The meeting's cases that are new: one representative of every finding among the people."""
        members = self._classes.items_by_class()
        for one, items in zip(self._classes.classes, members, strict=True):
            at = self._classes.people_of(one)
            for purpose in self._rules.request.purposes:
                fields = self._fields(one, purpose)
                asked = self._ask(one, items, at, purpose, fields)
                self._asked.append(asked)
                if self._shared.claim(asked.key):
                    yield asked, self._case(asked, fields)

    def answer(self, asked: _Asked, decision: Decision) -> Answer:
        """The answer to one of `cases`.

        Outcomes name records of the people who were asked about. Which rows of a finding these are holds for
        everybody with that finding.
        """
        outcomes = dict(zip(asked.chosen, _by_position(decision, len(asked.chosen)), strict=True))
        people, released = self._people(asked.one.tenant), decision.decision == RELEASE
        rows = {
            code: people.finding(asked.chosen[code], asked.question, asked.end).rows_of(outcome)
            for code, outcome in outcomes.items()
            if outcome is not None and outcome.agrees is released
        }
        return Answer(decision, outcomes, rows)

    def _ask(
        self, one: ItemClass, items: Codes, at: Codes, purpose: str, fields: Mapping[str, Any]
    ) -> _Asked:
        alike = fields_key(fields)
        question = self._question(one, purpose, fields, alike)
        codes = self._people(one.tenant).codes(at, question, one.recorded_end or 0)
        distinct, first = np.unique(codes, return_index=True)
        chosen = dict(zip(distinct.tolist(), at[first].tolist(), strict=True))
        key = (one.tenant, question, alike, tuple(chosen))
        return _Asked(one, items, at, question, codes, chosen, key)

    def _case(self, asked: _Asked, fields: Mapping[str, Any]) -> Case:
        people = self._people(asked.one.tenant)
        subjects = [self._present[at].as_subject() for at in asked.chosen.values()]
        if self._given.lane == SERVICE and not asked.one.roster_complete:
            subjects.append(dict(_SOMEBODY))
        book = people.book(asked.question.refusal)
        return Case({**fields, "subjects": subjects}, book, people.registry, self._rules.request.as_of)

    def decided_rows(self) -> DecidedRows:
        """The rows of the table of classes, and for each item and purpose its place and its row there."""
        rows = [self._class_row(asked) for asked in self._asked]
        items = [asked.items for asked in self._asked]
        class_at = np.repeat(np.arange(len(items)), [len(own) for own in items])
        named = [{**row, "decision_id": decision_id(row)} for row in rows]
        return DecidedRows(named, np.concatenate(items) if items else class_at, class_at)

    def _instants(self) -> list[int]:
        """Instants (ns since 1970) that the end of a recording is compared with: those of all grants."""
        rows = (one.fields for own in self._given.records.values() for one in own)
        times = (
            read_instant(row.get("event_time")) for row in rows if row.get("status") in POSITIVE_STATUSES
        )
        as_of = read_instant(self._rules.request.as_of)
        return sorted({unix_instant(time) for time in (*times, as_of) if time is not None})

    def _reported(self, items: ItemColumns) -> set[str]:
        """People whose deletion is reported; in the content lane, what they agreed to is disputed instead."""
        if self._given.lane != SERVICE:
            return set()
        rows = {person: [one.fields for one in own] for person, own in self._given.records.items()}
        return reported_people(rows, items.distinct("tenant_join"))

    def _class_row(self, asked: _Asked) -> dict[str, Any]:
        """The row of a class for one purpose, still without its id."""
        one, answer = asked.one, self._shared.answers[asked.key]
        decision = answer.decision
        record_ids = self._record_ids(asked, answer)
        return {
            "run_id": self._labels.run_id,
            "stage": self._labels.stage,
            "class_id": one.class_id,
            "tenant_join": one.tenant,
            "meeting_join": self._given.meeting,
            "kind": one.kind,
            "roots": list(one.roots),
            "purpose": asked.question.purpose,
            "recipient": self._rules.request.recipient,
            "items": len(asked.items),
            "decision": decision.decision,
            "primary": decision.primary,
            "reasons": list(decision.reasons),
            "advisories": list(decision.advisories),
            "regions": list(decision.regions),
            "people": len(asked.at),
            "roster_complete": one.roster_complete,
            "roster_doubts": list(one.doubts),
            "outcomes": self._outcomes(asked, answer.outcomes),
            "record_ids": record_ids,
            "terms": self._people(one.tenant).terms_of(record_ids),
            "policy_hash": decision.policy_hash,
            "suite_hash": decision.suite_hash,
            "registry_hash": self._rules.registry_hash,
            "records_seen": self._labels.records_seen,
            "as_of": self._rules.request.as_of_time,
        }

    def _fields(self, one: ItemClass, purpose: str) -> dict[str, Any]:
        """A class as an item of the rules, still without its people."""
        is_ambiguous, is_deleted = one.labels
        kind = one.kind
        if is_ambiguous:
            kind = AMBIGUOUS
        elif not one.lineage_known:
            kind = UNREADABLE
        fields = self._rules.item_fields(one.tenant, self._given.meeting, kind, purpose)
        fields |= {"roster_complete": one.roster_complete, "roots": list(one.roots)}
        # With nobody there the claimed regions would be the only ones; a claim must not choose them.
        fields["regions"] = [*fields.get("regions", ()), *one.regions, *(() if one.presence else (None,))]
        if one.recorded_end is not None:
            fields["recorded_end"] = instant_text(one.recorded_end)
        asks_nobody = self._given.lane == SERVICE or self._rules.asks_nobody(purpose)
        if is_deleted and asks_nobody and not self._rules.is_to_be_erased(fields):
            fields["erasure_requested"] = None  # a request that nobody can verify holds, and destroys nothing
        return fields if self._given.lane == CONTENT else {**fields, **service_fields(one, fields)}

    def _people(self, tenant: str | None) -> MeetingPeople:
        """The meeting's people with their records, judged under the terms of a tenant."""
        if tenant not in self._peoples:
            self._peoples[tenant] = MeetingPeople(
                self._present,
                self._given.records,
                self._given.ownerless,
                self._rules.registry_of(tenant),
                self._rules.policies,
                self._given.meeting,
                self._rules.request.as_of,
                self._shared,
            )
        return self._peoples[tenant]

    def _question(self, one: ItemClass, purpose: str, fields: Mapping[str, Any], alike: str) -> Question:
        kind, roots = str(fields["kind"]), tuple(fields["roots"])
        refusal = None
        if one.labels[1]:
            refusal = Refusal((), (ANY_PURPOSE,))
        elif one.objection is not None:
            keys = tuple(self._present[at].key for at in one.objection.people)
            refusal = Refusal(keys, one.objection.purposes)
        key = (one.tenant, kind, roots, purpose, refusal)
        if key not in self._questions:
            timed = {**fields, "recorded_end": instant_text(0)}  # grants are held to each class's own end
            people, as_of = self._people(one.tenant), self._rules.request.as_of
            use = self._shared.use_of(alike, self._given.meeting, lambda: people.use_of(timed, as_of))
            self._questions[key] = Question(purpose, kind, roots, refusal, use, alike)
        return self._questions[key]

    def _record_ids(self, asked: _Asked, answer: Answer) -> list[str]:
        """Records that a decision rests on: all of a release's, of a hold the first of those who hold it."""
        people = self._people(asked.one.tenant)
        found = sorted(people.record_ids(asked.at, asked.question, asked.end, answer.rows))
        return found if answer.decision.decision == RELEASE else found[:_RECORDS_LISTED]

    def _outcomes(self, asked: _Asked, outcomes: Mapping[int, PersonOutcome | None]) -> list[dict[str, Any]]:
        """What people's records came to, equal outcomes together."""
        alike: dict[tuple[bool, tuple[str, ...]], list[int]] = defaultdict(list)
        for code, outcome in outcomes.items():
            if outcome is not None:
                alike[outcome.agrees, outcome.reasons].append(code)
        found = []
        for (agrees, reasons), codes in sorted(alike.items()):
            people = asked.at[np.isin(asked.codes, codes)]  # by key, as all people are
            named = [self._present[place].key for place in people[:_PERSONS_LISTED].tolist()]
            found.append(
                {"agrees": agrees, "reasons": list(reasons), "people": len(people), "persons": named}
            )
        return found


def _by_position(decision: Decision, subjects: int) -> list[PersonOutcome | None]:
    """The outcome of each subject of a case, None for one who was not asked."""
    found: list[PersonOutcome | None] = [None] * subjects
    for outcome in decision.people:
        if outcome.position < subjects:  # behind them stands at most `_SOMEBODY`
            found[outcome.position] = outcome
    return found
