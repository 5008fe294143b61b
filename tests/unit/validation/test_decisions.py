"""What a decision says beside its reasons, and that it fails closed."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import pytest

from schemas.errors import PromiseBroken
from tests.unit.validation.clauses import clause, negative, record, subject
from tests.unit.validation.judging import REGISTRY, PlainGate, as_case, shipped_policies
from validation.cases import Case
from validation.decisions import Decider, Decision
from validation.facts import FactRow
from validation.gate import Gate, Verdict
from validation.record_rules import RecordBook
from validation.suites import Suite


@pytest.fixture(scope="module")
def decider() -> Decider:
    return Decider(shipped_policies(), PlainGate())


def decide(decider: Decider, **changes: Any) -> Decision:
    return decider.decide(as_case(clause("", "R", **changes).vector))


def test_each_person_has_an_outcome(decider: Decider) -> None:
    people = [subject(), subject(id="b"), subject(id="c", channel="bot"), subject(identified=False)]
    decision = decide(decider, subjects=people, records=[record(), negative(subject="b")])
    assert [(one.position, one.agrees, one.reasons, one.record_ids) for one in decision.people] == [
        (0, True, (), ("r1",)),
        (1, False, ("WITHDRAWN",), ("n1",)),
        (3, False, ("PARTICIPANT_UNIDENTIFIED",), ()),
    ]
    assert decision.record_ids == ("n1", "r1")


def test_who_opted_out_is_told_apart_in_the_detail(decider: Decider) -> None:
    decision = decide(decider, kind="quality_stat", lane="service", subjects=[subject(opt_out=True)])
    assert decision.reasons == ("SECONDARY_USE_NO_CONSENT",)
    assert [one.reasons for one in decision.people] == [("OPTED_OUT",)]


@pytest.mark.parametrize(
    ("records", "ids"),
    [
        ([record(), record(id="r2")], ("r1", "r2")),
        ([record(), record(id="r2", scope="global")], ("r1", "r2")),
        ([record(), record(id="r2", scope="global", bundled=True)], ("r1",)),
        ([record(bundled=True), record(id="r2", bundled=True, conditional=True, scope="global")], ("r1",)),
        ([record(), negative(kid="k9")], ("n1",)),
        ([record(), negative(event_time=record()["event_time"])], ("n1", "r1")),
    ],
)
def test_a_decision_names_the_records_that_it_rests_on(decider: Decider, records: Any, ids: Any) -> None:
    assert decide(decider, records=records).record_ids == ids


def test_a_decision_names_its_regions_and_hashes(decider: Decider) -> None:
    one = decide(decider, subjects=[subject(), subject(id="b", region="us-il"), subject(id="c")])
    other = decide(decider)
    assert one.regions == ("eu", "us-il")
    assert one.policy_hash == other.policy_hash == shipped_policies().policy_hash
    assert one.suite_hash != other.suite_hash
    assert len(decider.suites_of(one.regions)) == 4


def test_before_the_regions_are_known_the_floor_judges(decider: Decider) -> None:
    decision = decide(decider, purpose="odd")
    assert (decision.regions, decision.suite_hash) == ((), decider.suite_hash(()))
    assert [suite.name for suite in decider.suites_of(())] == ["floor of items"]


def test_no_value_of_an_event_shows_in_a_repr(decider: Decider) -> None:
    secret = "canary-7f3a"
    changes = {
        "subjects": [subject(id=secret)],
        "records": [record(subject=secret, id=secret)],
        "meeting": secret,
    }
    case = as_case(clause("", "R", **changes).vector)
    book = RecordBook(case.records, REGISTRY, shorthand=True)
    assert secret not in f"{case!r}{decider.decide(case)!r}{book.of(secret)!r}"


def test_records_may_be_read_once_for_many_cases(decider: Decider) -> None:
    vector = clause("", "R").vector
    book = RecordBook(vector["records"], REGISTRY, shorthand=True)
    shared = Case(vector["item"], book, REGISTRY, vector["as_of"], shorthand=True)
    assert decider.decide_batch([shared, shared]) == [decider.decide(as_case(vector))] * 2


def test_without_shorthand_what_is_absent_is_restrictive(decider: Decider) -> None:
    vector = clause("", "R").vector
    case = Case(vector["item"], vector["records"], REGISTRY, vector["as_of"])
    decision = decider.decide(case)
    assert decision.decision == "REJECT"
    assert {"E2EE_CLAIM_VIOLATION", "LEGAL_HOLD", "TENANT_NOT_AUTHORISED", "ROSTER_INCOMPLETE"} <= set(
        decision.reasons
    )
    assert [one.reasons for one in decision.people] == [("PARTICIPANT_UNIDENTIFIED",)]


def test_a_complete_case_needs_no_shorthand(decider: Decider) -> None:
    item = clause("", "R").vector["item"] | {
        **dict.fromkeys(("tenant_ok", "roster_complete"), True),
        **dict.fromkeys(
            ("legal_hold", "erasure_requested", "e2ee", "special", "phi", "edu", "third_party_mention"), False
        ),
        "capture": "all_prior",
        "subjects": [subject(identified=True, age="adult", relation="guest")],
    }
    full = record(bundled=False, conditional=False, notice_hash="h1")
    assert decider.decide(Case(item, [full], REGISTRY, "2026-03-10T00:00:00Z")).decision == "RELEASE"


class _Forgetful(PlainGate):
    """Says that every row of one kind goes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def judge(self, suite: Suite, rows: Iterable[FactRow]) -> dict[FactRow, Verdict]:
        verdicts = super().judge(suite, rows)
        return dict.fromkeys(verdicts, frozenset()) if suite.table.kind == self._kind else verdicts


@pytest.mark.parametrize("records", [[], [negative()], [record(kid="k9")], [record(status="requested")]])
def test_nobody_agrees_without_a_grant_whatever_the_gate_says(records: Any) -> None:
    with pytest.raises(PromiseBroken, match="GATE_INCONSISTENT"):
        decide(Decider(shipped_policies(), _Forgetful("person")), records=records)


@pytest.mark.parametrize("changes", [{"purpose": "odd"}, {"kind": None}, {"lane": "odd"}])
def test_an_item_that_was_never_read_to_the_end_is_not_released(changes: dict[str, Any]) -> None:
    with pytest.raises(PromiseBroken, match="GATE_INCONSISTENT"):
        decide(Decider(shipped_policies(), _Forgetful("item")), **changes)


def test_who_does_not_agree_holds_the_item_whatever_the_gate_says_of_it() -> None:
    decision = decide(Decider(shipped_policies(), _Forgetful("item")), records=[])
    assert decision.reasons == ("NO_CONSENT",)


def test_many_cases_need_few_runs() -> None:
    gate = Gate()
    decider = Decider(shipped_policies(), gate)
    cases = [
        as_case(clause("", "R", subjects=[subject(region=r)]).vector) for r in ("eu", "eu-de", "us-ca")
    ] * 50
    decider.decide_batch(cases)
    runs, rows = gate.runs, gate.rows_judged
    decider.decide_batch(cases)
    assert runs <= 8
    assert rows <= 16
    assert (gate.runs, gate.rows_judged) == (runs, rows)


def test_a_large_roster_is_few_facts(decider: Decider) -> None:
    people = [subject(id=f"p{n}") for n in range(2000)]
    records = [record(id=f"r{n}", subject=f"p{n}") for n in range(2000)]
    gate = Gate()
    decision = Decider(shipped_policies(), gate).decide(
        as_case(clause("", "R", subjects=people, records=records).vector)
    )
    assert (decision.decision, len(decision.record_ids), gate.rows_judged <= 4) == ("RELEASE", 2000, True)


def test_a_decider_travels_to_its_worker_even_after_use() -> None:
    decider = Decider(shipped_policies())
    case = as_case(clause("", "R").vector)
    first = decider.decide(case)
    assert pickle.loads(pickle.dumps(decider)).decide(case) == first  # noqa: S301 - our own bytes


def test_no_cases_give_no_decisions(decider: Decider) -> None:
    assert decider.decide_batch([]) == []
