"""Deciding about classes and representatives is the same as deciding about every item with everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.consent_sets import CONTENT_LIKE, STATUSES
from tests.unit.transforms.decision_samples import (
    ASSIST,
    ATTESTED,
    DELIVERY,
    TRAINING,
    by_item,
    decide,
    given_meeting,
    grant,
    naive,
    plain_decider,
    rules,
    when,
)
from tests.unit.transforms.presence_samples import TENANT, Row, bounds, came, flag, item, roster_row, visit
from transforms import decide_meetings as module
from transforms.consent_intake import Attested
from transforms.decide_meetings import MeetingInput
from validation.decisions import RELEASE

PEOPLE = ("ada", "bob", "eve")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decider_of", plain_decider)


def everybody_agrees() -> tuple[list[Row], list[Row], dict[str, Attested | None], dict[str, list[Row]]]:
    """A meeting of three from its start to its end, all of whom have agreed to everything."""
    roster = [*bounds(), *(row for name in PEOPLE for row in visit(0, 100, name))]
    records = {name: [grant(f"r-{name}")] for name in PEOPLE}
    people: dict[str, Attested | None] = dict.fromkeys(PEOPLE, ATTESTED)
    return [item("i1", sender_join="ada"), item("i2", 60)], roster, people, records


def outcome(found: MeetingInput, purpose: str = TRAINING, **how: Any) -> set[str]:
    rows = by_item(decide(found, rules(purpose, **how)))
    return {row["primary"] for row in rows.values()}


def test_what_everybody_agreed_to_may_go() -> None:
    found = decide(given_meeting(*everybody_agrees()), rules())
    (row,) = found.classes.to_pylist()
    assert (row["decision"], row["items"], row["people"]) == (RELEASE, 2, 3)
    assert row["record_ids"] == ["r-ada", "r-bob", "r-eve"]
    assert row["terms"] == ["t1"]


@pytest.mark.parametrize("missing", [0, 1, 2, 3, 7])
def test_a_roster_with_a_gap_is_incomplete(missing: int) -> None:
    items, roster, people, records = everybody_agrees()
    del roster[missing]
    assert outcome(given_meeting(items, roster, people, records)) == {"ROSTER_INCOMPLETE"}


def test_items_of_an_id_that_stands_for_two_things_are_held() -> None:
    items, roster, people, own = everybody_agrees()
    doubtful = [{**items[0], "ambiguous": True}]
    assert outcome(given_meeting(doubtful, roster, people, own)) == {"CLASS_UNKNOWN"}


@pytest.mark.parametrize("kind", ["unclassified", "identity", "secret", "rejected", "unknown"])
def test_what_nobody_has_classified_is_held(kind: str) -> None:
    items, roster, people, own = everybody_agrees()
    changed = [{**items[0], "kind": kind}]
    assert outcome(given_meeting(changed, roster, people, own)) == {"CLASS_UNKNOWN"}


def test_a_tenant_that_is_not_registered_has_authorised_nothing() -> None:
    found = given_meeting(*everybody_agrees())
    assert outcome(found, tenants={}) == {"TENANT_NOT_AUTHORISED"}
    assert outcome(found, DELIVERY, tenants={}) == {"RECIPIENT_MISMATCH"}


@pytest.mark.parametrize(
    ("attested", "reason"),
    [
        (None, "CAPTURE_NOT_CONSENTED"),
        (Attested("eu", None, "guest"), "MINOR"),
        (Attested("eu", "adult", None), "POWER_IMBALANCE"),
    ],
)
def test_what_the_registry_does_not_attest_is_taken_the_restrictive_way(
    attested: Attested | None, reason: str
) -> None:
    _, roster, people, records = everybody_agrees()
    found = given_meeting([item("i1", kind="audio")], roster, {**people, "eve": attested}, records)
    how = rules()
    view = replace(how.tenants[TENANT], declared={**how.tenants[TENANT].declared, "capture": "some"})
    (row,) = decide(found, replace(how, tenants={TENANT: view})).classes.to_pylist()
    assert reason in row["reasons"]


# --- the same as item by item -----------------------------------------------------------------------------

TIMES = (-2000, -1000, 10, 50, 55, 90)
_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(STATUSES),
        "mechanism": st.sampled_from(["notice_acknowledged", "preticked", "express_affirmative"]),
        "purposes": st.sampled_from([["*"], [TRAINING], [ASSIST], None]),
        "kinds": st.sampled_from([["chat"], ["audio"], []]),
        "scope": st.sampled_from(["global", "meeting:elsewhere", f"tenant:{TENANT}", None]),
        "recipients": st.sampled_from([["processor"], []]),
        "retroactive": st.just(True),
        "sig_ok": st.just(False),
        "kid": st.sampled_from(["k9", None]),
        "controller": st.sampled_from(["other", None]),
        "id": st.sampled_from(["same", None]),
        "grantor": st.sampled_from(["host", "guardian", "admin"]),
        "valid_until": st.sampled_from([when(20), "soon"]),
        "terms": st.just("t9"),
    },
)


@st.composite
def records(draw: st.DrawFn) -> list[Row]:
    number = draw(st.integers(0, 3))
    return [
        grant(f"r{draw(st.integers(0, 99))}", draw(st.sampled_from(TIMES)), **draw(_CHANGES))
        for _ in range(number)
    ]


@st.composite
def rosters(draw: st.DrawFn) -> list[Row]:
    rows = bounds()
    for name in PEOPLE:
        start = draw(st.integers(0, 60))
        more = draw(st.sampled_from([{}, {"region": "us-ca"}, {"region": "jp"}]))
        rows += visit(
            start, draw(st.integers(start, 100)), name, name=draw(st.sampled_from([None, name])), **more
        )
    gap = draw(st.integers(0, 3 * len(rows)))
    return [row for at, row in enumerate(rows) if at != gap]


@st.composite
def items(draw: st.DrawFn) -> list[Row]:
    one = st.builds(
        item,
        at=st.integers(0, 100),
        kind=st.sampled_from(["chat", "audio", "transcript", "unclassified"]),
        sender_join=st.sampled_from([None, *PEOPLE, "zoe"]),
        region=st.sampled_from([None, "us-il"]),
        tenant_join=st.sampled_from([TENANT, TENANT, TENANT, "another", None]),
        recorded_start=st.one_of(st.none(), st.integers(0, 60)),
        recorded_end=st.one_of(st.none(), st.integers(40, 100)),
        consent_flag=st.sampled_from([None, None, flag(), flag([TRAINING]), flag(refuses=False)]),
        derived_from=st.sampled_from([None, None, ["audio"], ["chat"], ["face_template"], ["unreadable"]]),
        ambiguous=st.sampled_from([False, False, True]),
    )
    found = draw(st.lists(one, min_size=1, max_size=6))
    return [{**each, "item_id": f"i{at}"} for at, each in enumerate(found)]


ATTESTATIONS = st.sampled_from([ATTESTED, ATTESTED, None, Attested("us-ca", "minor", "employee"), Attested()])


@st.composite
def meetings(draw: st.DrawFn) -> MeetingInput:
    people = {name: draw(ATTESTATIONS) for name in PEOPLE}
    own = {name: draw(records()) for name in PEOPLE}
    lost: Row = {"status": "withdrawn", "purposes": ["*"], "scope": draw(st.sampled_from(["global", None]))}
    ownerless = draw(st.sampled_from([[], [], [lost]]))
    return given_meeting(draw(items()), draw(rosters()), people, own, ownerless)


@settings(max_examples=300, deadline=None)
@given(found=meetings(), recipient=st.sampled_from(["first_party", "third_party"]))
def test_classes_and_representatives_decide_as_every_item_with_everybody(
    found: MeetingInput, recipient: str
) -> None:
    how = rules(TRAINING, ASSIST, DELIVERY, recipient=recipient)
    wanted = naive(found, how)
    decided = by_item(decide(found, how))
    assert decided.keys() == wanted.keys()
    for key, row in decided.items():
        expected = wanted[key]
        assert (row["decision"], row["primary"], tuple(row["reasons"])) == (
            expected.decision,
            expected.primary,
            expected.reasons,
        )
        assert tuple(row["advisories"]) == expected.advisories
        assert tuple(row["regions"]) == expected.regions
        if expected.decision == RELEASE:
            assert tuple(row["record_ids"]) == expected.record_ids


@settings(max_examples=100, deadline=None)
@given(found=meetings(), seed=st.randoms(use_true_random=False))
def test_order_changes_nothing(found: MeetingInput, seed: Any) -> None:
    def shuffled(table: Any) -> Any:
        places = list(range(table.num_rows))
        seed.shuffle(places)
        return table.take(places)

    people = list(found.links)
    seed.shuffle(people)
    rows = {key: tuple(seed.sample(list(own), len(own))) for key, own in reversed(list(found.rows.items()))}
    other = replace(
        found, items=shuffled(found.items), roster=shuffled(found.roster), links=people, rows=rows
    )
    how = rules(TRAINING, ASSIST)
    assert by_item(decide(found, how)) == by_item(decide(other, how))


@settings(max_examples=100, deadline=None)
@given(found=meetings())
def test_many_meetings_together_are_decided_as_each_alone(found: MeetingInput) -> None:
    plain = given_meeting(*everybody_agrees())
    together = module.decide_meetings(
        [plain, found, plain], rules(), module.DecisionLabels("r", "decide", "")
    )
    alone = module.decide_meetings([found], rules(), module.DecisionLabels("r", "decide", ""))[0]
    assert together[1].classes == alone.classes
    assert together[0].classes == together[2].classes


# --- claims can only add ----------------------------------------------------------------------------------

CLAIMS_OF_ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "region": st.sampled_from(["eu", "us-default", "us-tx", "jp", "unknown"]),
    "consent_flag": st.builds(
        lambda purposes, refuses, ids: {"record_ids": ids, "purposes": purposes, "refuses": refuses},
        st.sampled_from([None, [], [TRAINING], [ASSIST]]),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, ["r-ada"], ["r1"]]),
    ),
    "event_type": st.sampled_from(["io.cofferdam.chat.message.sent.v1", "else"]),
    "source": st.sampled_from(["zoom", "cofferdam"]),
    "contract": st.just("another@9.9.9"),
    "size_class": st.integers(0, 1000),
    "event_id": st.just("another"),
    "tenant_join": st.sampled_from(["another", None]),
    "derived_from": st.lists(st.sampled_from([*sorted(CONTENT_LIKE), "unreadable", None]), max_size=3),
    "piece_join": st.sampled_from(["p-1", "unreadable"]),
}
CLAIMS_OF_ROSTERS: dict[str, st.SearchStrategy[Any]] = {
    "region": st.sampled_from(["eu", "us-default", "us-tx", "jp", "unknown"]),
    "channel": st.sampled_from(["bot", "app", "dial_in", "room_device"]),
    "role": st.sampled_from(["host", "viewer", "bot"]),
    "view_only": st.booleans(),
    "is_host": st.booleans(),
    "source": st.sampled_from(["zoom", "cofferdam"]),
    "event_id": st.just("another"),
    "tenant_join": st.sampled_from(["another", None]),
}


def without_claims(rows: list[Row], claims: dict[str, Any]) -> list[Row]:
    kept = [name for name in claims if name != "tenant_join"]
    return [{name: value for name, value in row.items() if name not in kept} for row in rows]


@settings(max_examples=400, deadline=None)
@given(data=st.data(), how=st.sampled_from([TRAINING, ASSIST]))
def test_no_claim_of_an_event_turns_a_hold_into_a_release(data: st.DataObject, how: str) -> None:
    plain = without_claims([{**one, "tenant_join": TENANT} for one in data.draw(items())], CLAIMS_OF_ITEMS)
    roster = without_claims(data.draw(rosters()), CLAIMS_OF_ROSTERS)
    rest = (
        {name: data.draw(ATTESTATIONS) for name in PEOPLE},
        {name: data.draw(records()) for name in PEOPLE},
    )
    changed = [data.draw(claiming(row, CLAIMS_OF_ITEMS)) for row in plain]
    claimed = [data.draw(claiming(row, CLAIMS_OF_ROSTERS)) for row in roster]
    before = by_item(decide(given_meeting(plain, roster, *rest), rules(how)))
    after = by_item(decide(given_meeting(changed, claimed, *rest), rules(how)))
    for key, row in after.items():
        assert row["decision"] != RELEASE or before[key]["decision"] == RELEASE


def claiming(row: Row, claims: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries({}, optional=claims).map(lambda more: {**row, **more})


def test_a_participant_of_another_tenant_is_not_forgotten() -> None:
    items_, roster, people, records_ = everybody_agrees()
    del records_["eve"]
    elsewhere = [{**row, "tenant_join": "another"} if "eve" in str(row) else row for row in roster]
    assert outcome(given_meeting(items_, elsewhere, people, records_)) == {"ROSTER_INCOMPLETE"}


def test_somebody_without_records_holds_everything() -> None:
    items_, roster, people, records_ = everybody_agrees()
    more = [*roster, came("join", 40, "zoe"), came("leave", 70, "zoe")]
    found = given_meeting(items_, more, {**people, "zoe": ATTESTED}, records_)
    assert outcome(found) == {"NOT_ALL_PARTICIPANTS"}
    assert outcome(given_meeting([item("i1", 30)], more, {**people, "zoe": ATTESTED}, records_)) == {"OK"}


def test_a_grant_during_the_meeting_covers_only_what_ended_after_it() -> None:
    _, roster, people, records_ = everybody_agrees()
    records_["eve"] = [grant("late", 55)]
    found = given_meeting([item("i1", 50), item("i2", 60)], roster, people, records_)
    rows = by_item(decide(found, rules()))
    assert rows["i1", TRAINING]["reasons"] == ["NOT_ALL_PARTICIPANTS", "RETROACTIVE_NOT_COVERED"]
    assert rows["i2", TRAINING]["decision"] == RELEASE


def test_an_empty_meeting_has_nobody_to_ask() -> None:
    found = given_meeting([item("i1")], bounds(), {}, {})
    assert outcome(found) == {"NO_SUBJECTS"}
    assert roster_row("start", 0)["tenant_join"] == TENANT
