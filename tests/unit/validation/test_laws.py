"""Laws that hold for every case, held against random ones.

The quick gate judges here, by the same suites; `test_gate` proves that it agrees with the real one.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.validation import random_cases
from tests.unit.validation.judging import PlainGate, decide_all, shipped_policies
from validation.cases import Registry
from validation.decisions import RELEASE, Decider, Decision
from validation.policy import Profile

REGISTRY = Registry.from_json(random_cases.REGISTRY)
DECIDER = Decider(shipped_policies(), PlainGate())
REGIONS = list(shipped_policies().profiles)
JUNK_FOR_TEXTS: list[Any] = [None, "", 7, {}, -1.5, False]
Vector = dict[str, Any]

seeds = st.integers(min_value=0, max_value=2**64 - 1)
many = settings(max_examples=400)


def decide(vector: Vector) -> Decision:
    return decide_all(DECIDER, [vector], REGISTRY)[0]


def never_freed(before: Vector, after: Vector) -> None:
    """Whatever was held stays held."""
    if decide(before).decision != RELEASE:
        assert decide(after).decision != RELEASE


def made(seed: int, *, junk: float = 0.15) -> tuple[Random, Vector]:
    random = Random(seed)
    return random, random_cases.make_case(random, junk=junk)


def subjects_of(vector: Vector) -> list[Any]:
    subjects = vector["item"].get("subjects")
    assume(isinstance(subjects, list))
    assert isinstance(subjects, list)
    return subjects


@many
@given(seeds)
def test_the_order_of_records_and_subjects_does_not_matter(seed: int) -> None:
    random, vector = made(seed)
    other = copy.deepcopy(vector)
    random.shuffle(other["records"])
    random.shuffle(subjects_of(other))
    one, two = decide(vector), decide(other)
    assert (one.decision, one.reasons, one.advisories) == (two.decision, two.reasons, two.advisories)
    assert one.record_ids == two.record_ids


@settings(max_examples=40)
@given(seeds)
def test_the_same_inputs_give_the_same_decision(seed: int) -> None:
    vector = made(seed)[1]
    again = Decider(shipped_policies(), PlainGate())
    assert decide_all(again, [copy.deepcopy(vector)], REGISTRY) == [decide(vector)]


@many
@given(seeds)
def test_a_batch_decides_as_each_case_alone(seed: int) -> None:
    random = Random(seed)
    vectors = [random_cases.make_case(random) for _ in range(5)]
    assert decide_all(DECIDER, vectors, REGISTRY) == [decide(vector) for vector in vectors]


@many
@given(seeds, st.sampled_from(["refused", "withdrawn", "revoked", "invalidated"]))
def test_a_further_no_frees_nothing(seed: int, status: str) -> None:
    random, vector = made(seed)
    more = random_cases.base_record(
        random, 99, random.choice(["a", "b", "c"]), random.choice(["*", "ai_training"]), "audio"
    )
    more["status"] = status
    for _ in range(random.choice([0, 1, 2])):
        random_cases.change(random, more, {**random_cases.RECORD_FIELDS, "status": [status]}, 0.2)
    more["status"] = status
    never_freed(vector, {**vector, "records": [*vector["records"], more]})


@many
@given(seeds)
def test_a_withdrawal_by_anybody_asked_stops_every_release_by_consent(seed: int) -> None:
    random = Random(seed)
    cases = (random_cases.make_case(random, junk=0) for _ in range(200))
    released, vector = next(
        (decision, case)
        for case in cases
        if (decision := decide(case)).decision == RELEASE and decision.people
    )
    who = subjects_of(vector)[random.choice(released.people).position]["id"]
    no = random_cases.base_record(random, 99, who, vector["item"]["purpose"], "chat")
    no |= {
        "status": "withdrawn",
        "scope": "global",
        "event_time": vector["as_of"],
        "controller": vector["item"]["controller"],
    }
    assert decide({**vector, "records": [*vector["records"], no]}).decision != RELEASE


@many
@given(seeds, st.sampled_from([*REGIONS, "nowhere", None]))
def test_a_further_region_frees_nothing(seed: int, region: str | None) -> None:
    vector = made(seed)[1]
    regions = vector["item"].get("regions", [])
    assume(isinstance(regions, list) and subjects_of(vector))
    never_freed(vector, {**vector, "item": {**vector["item"], "regions": [*regions, region]}})


@many
@given(seeds)
def test_a_further_participant_without_records_frees_nothing(seed: int) -> None:
    random, vector = made(seed)
    # An empty roster holds an item by itself, whatever the region that a first participant brings.
    people = [
        one for one in subjects_of(vector) if not (isinstance(one, dict) and one.get("channel") == "bot")
    ]
    assume(people)
    newcomer: dict[str, Any] = {"id": "nobody", "region": random.choice(REGIONS)}
    for _ in range(random.choice([0, 1, 2])):
        random_cases.change(random, newcomer, {**random_cases.SUBJECT_FIELDS, "id": ["nobody"]}, 0.2)
    more = {**vector["item"], "subjects": [*vector["item"]["subjects"], newcomer]}
    never_freed(vector, {**vector, "item": more})


@many
@given(seeds, st.sampled_from(["kind", "roots", "content_hit"]))
def test_a_service_label_frees_no_content(seed: int, by: str) -> None:
    random, vector = made(seed)
    content = random.choice(random_cases.KINDS[:15])
    evidence = {"kind": content, "roots": [content], "content_hit": True}[by]
    item = {**vector["item"], "lane": "content", by: evidence}
    never_freed({**vector, "item": item}, {**vector, "item": {**item, "lane": "service"}})


@many
@given(
    seeds,
    st.sampled_from(
        ["kind", "lane", "purpose", "subjects", "recorded_end", "controller", "tenant", "meeting"]
    ),
)
def test_without_what_every_decision_needs_nothing_is_released(seed: int, name: str) -> None:
    random, vector = made(seed)
    damaged = dict(vector["item"])
    damaged.pop(name, None)
    if random.random() < 0.7:
        damaged[name] = random.choice(JUNK_FOR_TEXTS)
    assert decide({**vector, "item": damaged}).primary == "SCHEMA_INVALID"


@many
@given(seeds, st.sampled_from(["kind", "lane", "purpose"]))
def test_a_word_outside_its_closed_set_is_never_released(seed: int, name: str) -> None:
    vector = made(seed)[1]
    assert decide({**vector, "item": {**vector["item"], name: "odd"}}).decision != RELEASE


@many
@given(seeds)
def test_without_a_registry_no_consent_counts(seed: int) -> None:
    vector = made(seed)[1]
    decision = decide_all(DECIDER, [vector], Registry())[0]
    assert not any(person.agrees for person in decision.people)


@many
@given(seeds)
def test_a_record_that_cannot_be_read_frees_nothing(seed: int) -> None:
    random, vector = made(seed)
    junk = copy.deepcopy(random.choice(random_cases.JUNK))
    never_freed(vector, {**vector, "records": [*vector["records"], junk]})


@many
@given(seeds, st.sampled_from([None, "odd", 7, [], {}, [None], -1.5]))
def test_damage_to_a_lock_frees_nothing(seed: int, value: Any) -> None:
    random, vector = made(seed)
    locks = [
        *(
            "legal_hold",
            "erasure_requested",
            "retention_until",
            "content_hit",
            "opaque",
            "lineage_ok",
            "e2ee",
            "phi",
        ),
        *(
            "edu",
            "hipaa_authorization",
            "ferpa_consent",
            "third_party_mention",
            "redacted",
            "special",
            "tenant_ok",
        ),
        *("roster_complete", "capture", "aggregate_k", "diag", "export_to", "regions", "case", "recipient"),
    ]
    damaged = {**vector["item"], random.choice(locks): value}
    never_freed(vector, {**vector, "item": damaged})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@many
@given(item=json_values, records=json_values, registry=json_values, as_of=json_values)
def test_no_input_raises_or_is_released(item: Any, records: Any, registry: Any, as_of: Any) -> None:
    vector = {"item": item, "records": records, "as_of": as_of}
    assert decide_all(DECIDER, [vector], Registry.from_json(registry))[0].decision != RELEASE


@many
@given(seeds, json_values)
def test_any_value_in_any_field_is_survived(seed: int, value: Any) -> None:
    random, vector = made(seed)
    holders = [vector["item"], *subjects_of(vector), *vector["records"]]
    holder = random.choice([one for one in holders if isinstance(one, dict)])
    holder[random.choice([*holder, "kinds", "roots"])] = value
    assert decide(vector).decision in ("RELEASE", "QUARANTINE", "ERASE", "REJECT")


regions = st.sets(st.sampled_from(REGIONS), min_size=1)


@given(regions, regions)
def test_merging_is_the_same_in_any_order_and_grouping(one: set[str], other: set[str]) -> None:
    policies = shipped_policies()
    merged = policies.merged(one | other)
    assert policies._stricter(policies.merged(one), policies.merged(other)) == merged
    assert policies._stricter(policies.merged(other), policies.merged(one)) == merged


@given(regions, st.sampled_from(REGIONS))
def test_merging_never_loosens_a_field(names: set[str], more: str) -> None:
    policies = shipped_policies()
    assert _at_least_as_strict(policies.merged({*names, more}), policies.merged(names))


def _at_least_as_strict(one: Profile, other: Profile) -> bool:
    order = shipped_policies().order
    return (
        all(
            order[name].index(getattr(one, name)) <= order[name].index(getattr(other, name))
            for name in order
            if name != "rule"
        )
        and all(order["rule"].index(one.rules[p]) <= order["rule"].index(other.rules[p]) for p in one.rules)
        and one.assist_mechanisms <= other.assist_mechanisms
        and one.vague_purposes >= other.vague_purposes
        and one.sector >= other.sector
        and all(one.prohibited_if.get(p, frozenset()) >= who for p, who in other.prohibited_if.items())
        and (one.max_age_days or 10**6) <= (other.max_age_days or 10**6)
    )


def test_the_strictest_profile_is_at_least_as_strict_as_each() -> None:
    policies = shipped_policies()
    assert all(_at_least_as_strict(policies.profiles["strictest"], one) for one in policies.profiles.values())


def test_no_region_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="at least one region"):
        shipped_policies().merged([])
