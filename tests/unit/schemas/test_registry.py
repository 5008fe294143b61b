from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from schemas.consent_rows import read_time
from schemas.errors import CofferdamError
from schemas.registry import CONFLICT, Registry, load_registry, read_registry
from schemas.registry_writing import public_entry, write_keys
from tests.unit.schemas.consent_samples import CANARY, KEY, change_json, make_registry, repin
from validation.cases import Registry as DecisionRegistry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_registry(tmp_path / "registry")


def refusal(folder: Path) -> CofferdamError:
    with pytest.raises(CofferdamError) as caught:
        load_registry(folder)
    assert caught.value.__cause__ is None
    return caught.value


def write_subjects(folder: Path, *lines: dict[str, Any] | str) -> None:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "subjects.jsonl").write_text("".join(f"{text}\n" for text in texts))
    repin(folder)


def person(name: str, *emails: str, **attributes: str) -> dict[str, Any]:
    identifiers = [{"type": "email", "value": email} for email in emails]
    return {"person": name, "identifiers": identifiers, **attributes}


def moment(text: str) -> Any:
    return read_time(text)


def test_a_registry_loads_and_says_what_it_holds(folder: Path) -> None:
    registry = load_registry(folder)
    assert set(registry.keys) == {"k1"}
    assert registry.terms.versions["example-2026-01"].status == "active"
    assert registry.controller_of("example-tenant") == "example-controller"
    assert registry.person_of("email", " ADA@example.org") == "example-person"
    assert registry.purposes["ai_training"].dpia


def test_a_key_may_have_an_end(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.valid_until", "2027-01-01T00:00:00Z")
    end = load_registry(folder).keys["k1"].valid_until
    assert end is not None
    assert end.year == 2027
    change_json(folder, "jwks.json", "keys.0.valid_until", "2026-01-01T00:00:00Z")
    assert "REGISTRY_INTERVAL_EMPTY" in {problem.code for problem in read_registry(folder)[1]}


def test_its_decision_form_is_what_the_rules_read(folder: Path) -> None:
    key, end = OKPKey.generate_key("Ed25519"), "2026-05-01T00:00:00Z"
    revoked = public_entry(key, "k2", valid_from="2026-01-01T00:00:00Z", revoked_from=end)
    document = json.loads((folder / "jwks.json").read_text())
    write_keys(folder / "jwks.json", [*document["keys"], revoked])
    repin(folder)
    read = DecisionRegistry.from_json(load_registry(folder).for_decisions())
    assert isinstance(read.keys["k2"].revoked_from, int)
    terms = read.terms["example-2026-01"]
    assert (terms.status, terms.start is not None, len(terms.notice_hash or "")) == ("active", True, 64)


def test_test_keys_are_keys_only_where_they_are_allowed(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.test", True)
    registry = load_registry(folder)
    assert registry.for_decisions()["keys"] == {}
    assert registry.for_decisions(allow_test_keys=True)["keys"] == {"k1": {}}


@pytest.mark.parametrize(
    "name", ["jwks.json", "terms.json", "purposes.json", "tenants.json", "subjects.jsonl"]
)
def test_a_file_that_is_not_the_pinned_one_is_refused(folder: Path, name: str) -> None:
    with (folder / name).open("a") as file:
        file.write(" ")
    error = refusal(folder)
    assert (error.code, error.exit_code) == ("REGISTRY_PIN_MISMATCH", 2)
    assert name in error.message
    assert "consent pin" in error.message


@pytest.mark.parametrize("name", ["registry.json", "jwks.json", "subjects.jsonl"])
def test_a_missing_file_is_a_fault_of_the_infrastructure(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refusal(folder)
    assert (error.code, error.exit_code, name in error.message) == ("REGISTRY_UNREADABLE", 3, True)


@pytest.mark.parametrize("path", ["../keys.json", "/etc/passwd", "a/../../b", "", ".hidden", "a//b"])
def test_a_pin_cannot_lead_out_of_the_registry(folder: Path, path: str) -> None:
    change_json(folder, "registry.json", "files.keys.path", path)
    assert refusal(folder).code == "REGISTRY_MALFORMED"


WRONG = [
    ("registry.json", "format_version", 2, "REGISTRY_MALFORMED"),
    ("registry.json", "files.terms", ..., "REGISTRY_MALFORMED"),
    ("registry.json", "files.keys.sha256", "00", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys", [], "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.crv", "X25519", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.kty", "oct", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.x", "AA", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.kid", ..., "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.alg", "HS256", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.revoked", "2026-01-01T00:00:00Z", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.valid_from", "2026-13-01T00:00:00Z", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.revoked_from", "never", "REGISTRY_MALFORMED"),
    ("jwks.json", "keys.0.d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "REGISTRY_PRIVATE_KEY"),
    ("terms.json", "versions.example-2026-01.status", "old", "REGISTRY_MALFORMED"),
    ("terms.json", "versions.example-2026-01.from", "2026-01-01", "REGISTRY_MALFORMED"),
    ("terms.json", "versions.example-2026-01.hash", "0" * 64, "REGISTRY_NOTICE_CHANGED"),
    ("terms.json", "versions", ..., "REGISTRY_MALFORMED"),
    ("terms.json", "contracts.t1", {"versions": {}}, "REGISTRY_MALFORMED"),
    ("terms.json", "contract", {}, "REGISTRY_MALFORMED"),
    ("purposes.json", "purposes.ai_training.retention", ..., "REGISTRY_MALFORMED"),
    ("purposes.json", "purposes.ai_training.dpia", ..., "REGISTRY_MALFORMED"),
    ("tenants.json", "tenants.example-tenant.controller", "nobody", "REGISTRY_UNKNOWN_REFERENCE"),
    ("tenants.json", "tenants.example-tenant.authorised.0.purpose", "x", "REGISTRY_UNKNOWN_REFERENCE"),
    (
        "tenants.json",
        "tenants.example-tenant.authorised.0.until",
        "2025-01-01T00:00:00Z",
        "REGISTRY_INTERVAL_EMPTY",
    ),
    ("tenants.json", "controllers.example-controller.address", ..., "REGISTRY_MALFORMED"),
]


@pytest.mark.parametrize(("name", "path", "value", "code"), WRONG)
def test_whatever_is_wrong_is_refused_with_its_file(
    folder: Path, name: str, path: str, value: object, code: str
) -> None:
    change_json(folder, name, path, value)
    error = refusal(folder)
    assert error.code == code
    assert name in error.message


def test_a_problem_names_its_line(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.kty", "oct")
    wanted = (folder / "jwks.json").read_text().splitlines().index('   "kty": "oct",') + 1
    assert refusal(folder).message.startswith(f"jwks.json:{wanted}: keys.0.kty: ")


def test_a_key_id_twice_is_refused(folder: Path) -> None:
    entry = json.loads((folder / "jwks.json").read_text())["keys"][0]
    change_json(folder, "jwks.json", "keys", [entry, entry])
    assert refusal(folder).code == "REGISTRY_REPEATED"


def test_a_key_twice_in_one_object_is_refused_with_its_line(folder: Path) -> None:
    (folder / "terms.json").write_text('{"versions": {},\n "contracts": {},\n "versions": {}}')
    repin(folder)
    error = refusal(folder)
    assert (error.code, error.message.startswith("terms.json:3: ")) == ("REGISTRY_MALFORMED", True)


def test_a_changed_notice_is_refused(folder: Path) -> None:
    (folder / "notice-2026-01.txt").write_text("Other words.")
    assert refusal(folder).code == "REGISTRY_NOTICE_CHANGED"


def test_lint_finds_every_problem_at_once(folder: Path) -> None:
    change_json(folder, "jwks.json", "keys.0.kty", "oct", pin=False)
    change_json(folder, "tenants.json", "tenants.example-tenant.controller", "nobody")
    (folder / "purposes.json").write_text("{}")
    codes = [problem.code for problem in read_registry(folder)[1]]
    assert {"REGISTRY_MALFORMED", "REGISTRY_UNKNOWN_REFERENCE", "REGISTRY_PIN_MISMATCH"} <= set(codes)


# --- terms by contract ------------------------------------------------------------------------------------


def terms_of(folder: Path, general: bool, tenant: str | None) -> dict[str, str]:
    own = json.loads((folder / "terms.json").read_text())["versions"]["example-2026-01"]
    change_json(
        folder,
        "terms.json",
        "contracts.t1",
        {
            "general": general,
            "versions": {
                "example-2026-01": {**own, "status": "superseded_material"},
                "t1-own": own,
            },
        },
    )
    terms = load_registry(folder).for_decisions(tenant)["terms"]
    return {name: version["status"] for name, version in terms.items()}


def test_a_contract_replaces_and_adds_terms_for_its_tenant_only(folder: Path) -> None:
    assert terms_of(folder, True, "t1") == {"example-2026-01": "superseded_material", "t1-own": "active"}
    assert terms_of(folder, True, "t2") == {"example-2026-01": "active"}
    assert terms_of(folder, True, None) == {"example-2026-01": "active"}


def test_a_contract_can_shut_the_general_terms_out(folder: Path) -> None:
    own = json.loads((folder / "terms.json").read_text())["versions"]["example-2026-01"]
    change_json(folder, "terms.json", "contracts.t1", {"general": False, "versions": {"t1-own": own}})
    assert set(load_registry(folder).for_decisions("t1")["terms"]) == {"t1-own"}


# --- tenants ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-12-31T23:59:59Z", False),
        ("2026-01-01T00:00:00Z", True),
        ("2026-06-30T23:59:59Z", True),
        ("2026-07-01T01:00:00+02:00", True),
        ("2026-07-01T00:00:00Z", False),
    ],
)
def test_an_authorisation_holds_from_its_beginning_until_its_end(
    folder: Path, at: str, expected: bool
) -> None:
    authorised = [
        {
            "purpose": "ai_training",
            "from": "2026-01-01T00:00:00Z",
            "until": "2026-07-01T00:00:00Z",
            "reference": "x",
        }
    ]
    change_json(folder, "tenants.json", "tenants.example-tenant.authorised", authorised)
    assert load_registry(folder).tenant_ok("example-tenant", "ai_training", moment(at)) is expected


def test_nobody_else_has_authorised_anything(folder: Path) -> None:
    registry = load_registry(folder)
    now = moment("2026-03-01T00:00:00Z")
    assert registry.tenant_ok("example-tenant", "ai_training", now)
    assert not registry.tenant_ok("example-tenant", "marketing", now)
    assert not registry.tenant_ok("another", "ai_training", now)
    assert registry.controller_of("another") is None


# --- people -----------------------------------------------------------------------------------------------


def test_several_lines_of_one_person_add_up(folder: Path) -> None:
    write_subjects(folder, person("p1", "a@x.org", region="eu"), person("p1", "b@x.org", age="adult"))
    subjects = load_registry(folder).subjects
    assert {subjects.person_of("email", each) for each in ("a@x.org", "b@x.org")} == {"p1"}
    attributes = subjects.attributes_of("p1")
    assert (attributes.region, attributes.age, attributes.relation) == ("eu", "adult", None)


def test_an_identifier_of_two_people_identifies_nobody(folder: Path) -> None:
    write_subjects(folder, person("p1", CANARY, "a@x.org"), person("p2", CANARY.upper()))
    registry, problems = read_registry(folder)
    assert registry is not None
    assert registry.person_of("email", CANARY) is CONFLICT
    assert registry.subjects.claimants("email", CANARY) == ("p1", "p2")
    assert registry.person_of("email", "a@x.org") == "p1"
    (problem,) = (each for each in problems if each.code == "ALIAS_CONFLICT")
    assert (problem.line, problem.is_advice, CANARY in str(problem)) == (2, True, False)
    assert load_registry(folder).person_of("email", CANARY) is CONFLICT


def test_the_same_value_under_another_type_is_another_identifier(folder: Path) -> None:
    write_subjects(folder, person("p1", "a@x.org"))
    registry = load_registry(folder)
    assert registry.person_of("zoom.user_id", "a@x.org") is None
    assert registry.person_of("email", "c@x.org") is None


def test_attributes_that_contradict_each_other_are_not_believed_ever_again(folder: Path) -> None:
    lines = [person("p1", "a@x.org", region=region) for region in ("eu", "us-ca", "eu")]
    write_subjects(folder, *lines)
    registry, problems = read_registry(folder)
    assert registry is not None
    assert registry.subjects.attributes_of("p1").region is None
    assert [each.line for each in problems if each.code == "ATTRIBUTE_CONFLICT"] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        '{"person": "p1", "person": "p2", "identifiers": [{"type": "email", "value": "x"}]}',
        {"person": CANARY, "identifiers": [{"type": "email", "value": "x"}]},
        {"person": "p1", "identifiers": []},
        person("p1", "a@x.org", age=CANARY),
        person("p1", "a@x.org", relation="friend"),
        person("p1", "a@x.org", canary_member="x"),
    ],
)
def test_a_line_of_another_form_is_refused_without_its_values(
    folder: Path, line: dict[str, Any] | str
) -> None:
    write_subjects(folder, person("p0", "z@x.org"), line)
    error = refusal(folder)
    assert (error.code, error.message.startswith("subjects.jsonl:2: ")) == ("REGISTRY_MALFORMED", True)
    assert "canary" not in str(error)


def test_no_repr_shows_a_person(folder: Path) -> None:
    write_subjects(folder, person("p1", CANARY))
    registry = load_registry(folder)
    assert CANARY not in repr(registry) + repr(registry.subjects)


def test_a_registry_survives_pickling(folder: Path) -> None:
    registry = load_registry(folder)
    again: Registry = pickle.loads(pickle.dumps(registry))  # noqa: S301 - our own bytes
    assert again.keys["k1"].x == KEY.as_dict(private=False)["x"]
    assert again.person_of("email", "ada@example.org") == "example-person"


def test_canonical_identifiers_are_those_that_pseudonyms_are_made_of() -> None:
    from schemas.registry_subjects import canonical_identifier
    from transforms.pseudonyms import canonical_value

    for kind in ("email", "zoom.user_id"):
        for value in (" Ada@Example.ORG", "e\u0301", "\u1e9b\u0323", "STRASSE", "ß", 12, "A b"):
            assert canonical_identifier(kind, value) == canonical_value(value, kind)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_fault_of_the_infrastructure(folder: Path) -> None:
    (folder / "jwks.json").chmod(0)
    assert refusal(folder).code == "REGISTRY_UNREADABLE"
