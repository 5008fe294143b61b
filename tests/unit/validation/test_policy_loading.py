from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ConfigurationError, PromiseBroken
from tests.unit.validation.clauses import ASSIST, clause, record, subject
from tests.unit.validation.judging import PlainGate, as_case, shipped_policies
from validation.decisions import Decider
from validation.pins import check_pins, make_pins
from validation.policy import Policies
from validation.policy_loading import (
    SHIPPED_PINS,
    SHIPPED_PROFILES,
    SHIPPED_PURPOSES,
    build_policies,
    load_policies,
    read_json_object,
)

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    return read_json_object(SHIPPED_PROFILES, "policy file")


@pytest.fixture
def register() -> Document:
    return read_json_object(SHIPPED_PURPOSES, "register of purposes")


def put(document: Document, path: str, value: Any) -> Document:
    changed = copy.deepcopy(document)
    *steps, last = path.split(".")
    holder = changed
    for step in steps:
        holder = holder[step]
    holder[last] = value
    return changed


def cut(document: Document, path: str) -> Document:
    changed = put(document, path, None)
    *steps, last = path.split(".")
    holder = changed
    for step in steps:
        holder = holder[step]
    del holder[last]
    return changed


def refused(document: Document, register: Document, code: str) -> bool:
    with pytest.raises(ConfigurationError) as caught:
        build_policies(document, register)
    return caught.value.code == code


def test_the_shipped_policies_mean_what_the_published_ones_mean(shared_folder: Path) -> None:
    published = load_policies(shared_folder / "consent" / "policies.json")
    assert published.policy_hash == shipped_policies().policy_hash


def test_a_child_replaces_a_field_and_merges_purposes(document: Document, register: Document) -> None:
    changed = put(document, "profiles.eu-de.purposes", {"captioning": "prohibited"})
    policies = build_policies(changed, register)
    child, parent = policies.profiles["eu-de"], policies.profiles["eu"]
    assert (child.rules["captioning"], child.rules["transcription"]) == ("prohibited", "consent_all")
    assert (child.capture_prior_all, parent.capture_prior_all) == (True, False)
    assert policies.profiles["uk"].prohibited_if == {}
    assert child.prohibited_if == parent.prohibited_if == {"emotion_inference": {"employee", "student"}}


def test_absent_fields_have_the_mildest_value(document: Document, register: Document) -> None:
    policies = build_policies(put(document, "profiles.bare", {"extends": None}), put_basis(register, "bare"))
    bare = policies.profiles["bare"]
    assert (bare.transfer, bare.max_age_days, bare.terminal_rule, bare.special) == (
        None,
        None,
        "none",
        "express",
    )
    assert (bare.sector, bare.party_scope, len(bare.assist_mechanisms)) == (frozenset(), "featured", 9)
    assert bare.rules == policies.base_purposes


def put_basis(register: Document, region: str) -> Document:
    changed = copy.deepcopy(register)
    changed["articles"][region] = {"consent": "an article"}
    for entry in changed["purposes"].values():
        entry["basis"][region] = "consent"
    return changed


def test_merging_takes_the_strictest_value_of_each_field() -> None:
    merged = shipped_policies().merged(["us-il", "eu"])
    assert (merged.biometric, merged.biometric_retention_policy) == ("written_release", True)
    assert (merged.special, merged.employee, merged.transfer) == ("explicit", "attest", "mechanism")
    assert (merged.max_age_days, merged.digital_age) == (365, 16)
    assert merged.sector == {"hipaa", "ferpa"}
    assert merged.assist_mechanisms == shipped_policies().profiles["eu"].assist_mechanisms


REFUSED_POLICIES: list[tuple[str, Callable[[Document], Document], str]] = [
    ("a misspelt field", lambda d: put(d, "profiles.eu.specal", "explicit"), "POLICY_INVALID"),
    ("a value outside its set", lambda d: put(d, "profiles.eu.special", "loud"), "POLICY_INVALID"),
    ("a null value", lambda d: put(d, "profiles.eu.special", None), "POLICY_INVALID"),
    ("a number for a boolean", lambda d: put(d, "profiles.eu.capture_prior_all", 1), "POLICY_INVALID"),
    ("an unknown parent", lambda d: put(d, "profiles.eu.extends", "mars"), "POLICY_INVALID"),
    ("a circle of parents", lambda d: put(d, "profiles.eu.extends", "eu-de"), "POLICY_INVALID"),
    ("an unknown purpose", lambda d: put(d, "profiles.eu.purposes.odd", "necessary"), "POLICY_INVALID"),
    ("an unknown rule", lambda d: put(d, "profiles.eu.purposes.captioning", "maybe"), "POLICY_INVALID"),
    ("an unknown base rule", lambda d: put(d, "base_purposes.captioning", "maybe"), "POLICY_INVALID"),
    ("no purposes", lambda d: put(d, "base_purposes", {}), "POLICY_INVALID"),
    ("an unknown mechanism", lambda d: put(d, "profiles.eu.assist_mechanisms", ["nod"]), "POLICY_INVALID"),
    (
        "mechanisms as a word",
        lambda d: put(d, "profiles.eu.assist_mechanisms", "oral_recorded"),
        "POLICY_INVALID",
    ),
    ("an unknown sector", lambda d: put(d, "profiles.eu.sector", ["zoo"]), "POLICY_INVALID"),
    (
        "an unknown relation",
        lambda d: put(d, "profiles.eu.prohibited_if", {"marketing": ["cat"]}),
        "POLICY_INVALID",
    ),
    (
        "an unknown forbidden purpose",
        lambda d: put(d, "profiles.eu.prohibited_if", {"odd": []}),
        "POLICY_INVALID",
    ),
    ("an age of none", lambda d: put(d, "profiles.eu.max_age_days", 0), "POLICY_INVALID"),
    ("an age in words", lambda d: put(d, "profiles.eu.max_age_days", "365"), "POLICY_INVALID"),
    ("a skew of true", lambda d: put(d, "floor.skew_seconds", True), "POLICY_INVALID"),
    ("a weak express mechanism", lambda d: put(d, "floor.express", ["preticked"]), "POLICY_INVALID"),
    (
        "a weak mechanism among express ones",
        lambda d: put(d, "floor.express", [*d["floor"]["express"], "preticked"]),
        "POLICY_INVALID",
    ),
    ("a purpose without a name", lambda d: put(d, "base_purposes.", "necessary"), "POLICY_INVALID"),
    ("vague purposes as an object", lambda d: put(d, "profiles.eu.vague_purposes", {}), "POLICY_INVALID"),
    ("no express mechanism", lambda d: put(d, "floor.express", []), "POLICY_INVALID"),
    ("an unknown floor purpose", lambda d: put(d, "floor.consent_all_purposes", ["odd"]), "POLICY_INVALID"),
    (
        "an order that lacks a value",
        lambda d: put(d, "order.special", ["explicit", "express"]),
        "POLICY_INVALID",
    ),
    ("an order of another kind", lambda d: put(d, "order.sector", "intersection"), "POLICY_INVALID"),
    ("no order", lambda d: cut(d, "order.rule"), "POLICY_INVALID"),
    ("no floor", lambda d: cut(d, "floor"), "POLICY_INVALID"),
    ("no strictest profile", lambda d: cut(d, "profiles.strictest"), "POLICY_INVALID"),
    ("a profile that is no object", lambda d: put(d, "profiles.eu", []), "POLICY_INVALID"),
    ("an unknown part", lambda d: put(d, "extras", {}), "POLICY_INVALID"),
    ("mostly in a profile", lambda d: put(d, "profiles.eu.mostly", 0.99), "POLICY_MOSTLY"),
    ("mostly of one", lambda d: put(d, "floor.mostly", 1), "POLICY_MOSTLY"),
    (
        "training as necessary",
        lambda d: put(d, "base_purposes.ai_training", "necessary"),
        "POLICY_BELOW_FLOOR",
    ),
    (
        "training by notice",
        lambda d: put(d, "profiles.us-tx.purposes", {"ai_training": "one_party_notice"}),
        "POLICY_BELOW_FLOOR",
    ),
    ("a region without bases", lambda d: put(d, "profiles.mars", {}), "POLICY_BASIS_MISSING"),
    (
        "a purpose without a basis",
        lambda d: put(d, "base_purposes.new", "consent_all"),
        "POLICY_BASIS_MISSING",
    ),
]


@pytest.mark.parametrize(
    ("change", "code"), [case[1:] for case in REFUSED_POLICIES], ids=[case[0] for case in REFUSED_POLICIES]
)
def test_policies_that_could_let_something_through_are_refused(
    change: Callable[[Document], Document], code: str, document: Document, register: Document
) -> None:
    assert refused(change(document), register, code)


@pytest.mark.parametrize("purpose", list(shipped_policies().base_purposes))
def test_every_basis_that_is_deleted_leaves_a_gap(
    purpose: str, document: Document, register: Document
) -> None:
    for region in list(register["purposes"][purpose]["basis"]):
        assert refused(document, cut(register, f"purposes.{purpose}.basis.{region}"), "POLICY_BASIS_MISSING")
    assert refused(document, cut(register, f"purposes.{purpose}"), "POLICY_BASIS_MISSING")


@pytest.mark.parametrize("value", ["", " ", None, 7])
def test_a_basis_needs_its_article(value: Any, document: Document, register: Document) -> None:
    assert refused(document, put(register, "articles.br.consent", value), "POLICY_BASIS_MISSING")
    assert refused(document, put(register, "purposes.marketing.basis.br", "habit"), "POLICY_BASIS_MISSING")


def test_consent_is_the_basis_wherever_consent_is_the_rule() -> None:
    policies = shipped_policies()
    for (purpose, region), basis in policies.bases.items():
        rule = policies.profiles[region].rules[purpose]
        assert (basis.basis == "consent") == (rule == "consent_all"), (purpose, region)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 1}}'])
def test_a_file_that_is_no_object_with_unique_keys_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="POLICY_UNREADABLE"):
        load_policies(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="POLICY_UNREADABLE"):
        load_policies(tmp_path / "none.json")


def test_the_policy_hash_follows_the_meaning(document: Document, register: Document) -> None:
    plain = build_policies(document, register).policy_hash
    prose = build_policies(put(document, "profiles.eu.title", "another name"), register).policy_hash
    meaning = build_policies(put(document, "profiles.eu.max_age_days", 364), register).policy_hash
    basis = build_policies(document, put(register, "articles.br.consent", "another article")).policy_hash
    remark = build_policies(put(document, "base_purposes._remark", "for people"), register).policy_hash
    assert prose == remark == plain
    assert len({plain, meaning, basis}) == 3


def test_the_shipped_pins_are_those_of_the_shipped_policies() -> None:
    assert make_pins(shipped_policies()) == json.loads(SHIPPED_PINS.read_text())


@pytest.mark.parametrize("pins", [{}, {"policies": "0" * 64}, {"policies": None, "suites": {}}])
def test_policies_that_are_not_those_pinned_decide_nothing(pins: Document, tmp_path: Path) -> None:
    path = tmp_path / "pins.json"
    path.write_text(json.dumps(pins))
    with pytest.raises(PromiseBroken, match="POLICY_NOT_PINNED"):
        Decider(load_policies(SHIPPED_PROFILES, SHIPPED_PURPOSES, path))


@pytest.mark.parametrize("suites", [None, {}, "one is missing", "one differs"])
def test_suites_that_are_not_those_pinned_decide_nothing(suites: Any, tmp_path: Path) -> None:
    pins = make_pins(shipped_policies())
    first = next(iter(pins["suites"]))
    if suites == "one is missing":
        del pins["suites"][first]
    elif suites == "one differs":
        pins["suites"][first] = "0" * 64
    else:
        pins["suites"] = suites
    path = tmp_path / "pins.json"
    path.write_text(json.dumps(pins))
    with pytest.raises(PromiseBroken, match=f"SUITE_NOT_PINNED.*{first}"):
        check_pins(load_policies(pins=path))


def test_policies_of_ones_own_need_no_pins() -> None:
    policies = load_policies(SHIPPED_PROFILES)
    assert policies.pins is None
    check_pins(policies)


def decided(policies: Policies, **changes: Any) -> tuple[str, ...]:
    vector = clause("", "R", **changes).vector
    return Decider(policies, PlainGate()).decide(as_case(vector)).reasons


def test_a_prohibited_rule_forbids(document: Document, register: Document) -> None:
    policies = build_policies(put(document, "profiles.eu.purposes.ai_training", "prohibited"), register)
    assert decided(policies, tenant_ok=False, records=[]) == ("PURPOSE_PROHIBITED",)
    assert decided(policies, subjects=[subject(region="us-default")]) == ()


def test_a_special_rule_of_written_release_asks_for_one(document: Document, register: Document) -> None:
    policies = build_policies(put(document, "profiles.eu.special", "written_release"), register)
    assert decided(policies, special=True) == ("SPECIAL_CATEGORY",)
    assert decided(policies, special=True, records=[record(mechanism="written_release")]) == ()


def test_an_express_mechanism_that_a_profile_does_not_accept_is_no_consent(
    document: Document, register: Document
) -> None:
    policies = build_policies(put(document, "profiles.eu.assist_mechanisms", ["written_release"]), register)
    assert decided(policies, **ASSIST, records=[record(purposes=["meeting_summary"])]) == ("NO_CONSENT",)


def test_rule_opt_out_counts_as_consent_of_all_for_content(document: Document, register: Document) -> None:
    policies = build_policies(put(document, "profiles.eu.purposes.meeting_summary", "opt_out"), register)
    assert decided(policies, **ASSIST, records=[]) == ("NO_CONSENT",)


def test_a_relation_that_only_one_profile_forbids_is_forbidden_when_unreadable(
    document: Document, register: Document
) -> None:
    policies = build_policies(
        put(document, "profiles.eu.prohibited_if", {"ai_training": ["patient"]}), register
    )
    assert decided(policies, subjects=[subject(relation="odd")]) == ("PURPOSE_PROHIBITED",)
    assert decided(policies, subjects=[subject(relation="student")]) == ()


def test_a_profile_without_an_age_limit_calls_nothing_stale(document: Document, register: Document) -> None:
    policies = build_policies(cut(document, "profiles.eu.max_age_days"), register)
    old = record(terms="t0", event_time="2025-06-02T00:00:00Z")
    assert decided(policies, records=[old], as_of="2036-06-02T00:00:00Z") == ()
    assert policies.merged(["eu", "us-default"]).max_age_days == 730


def test_each_age_limit_of_the_policies_counts_on_its_own(document: Document, register: Document) -> None:
    policies = build_policies(put(document, "profiles.uk.max_age_days", 400), register)
    old = record(terms="t0", event_time="2025-06-02T00:00:00Z")
    for region, last in (("eu", "2026-06-02"), ("uk", "2026-07-07"), ("us-default", "2027-06-02")):
        people = [subject(region=region)]
        assert decided(policies, subjects=people, records=[old], as_of=f"{last}T00:00:00Z") == ()
        assert decided(policies, subjects=people, records=[old], as_of=f"{last}T00:00:01Z") == ("STALE",)


@pytest.mark.parametrize(
    ("region", "statute"),
    [("us-ca", "in California Penal Code 631, 632"), ("us-il", "in Illinois 720 ILCS 5/14-2")],
)
def test_a_state_is_cited_its_own_statute(region: str, statute: str) -> None:
    assert statute in shipped_policies().bases["ai_training", region].article
