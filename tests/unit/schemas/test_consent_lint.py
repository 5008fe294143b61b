from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.consent_lint import lint_records
from schemas.consent_signing import sign_record
from schemas.registry import Registry, load_registry
from tests.unit.schemas.consent_samples import CANARY, KEY, OTHER_KEY, RECORD, make_registry, record


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_registry(make_registry(tmp_path_factory.mktemp("made") / "registry"))


def fitting(registry: Registry, **changes: Any) -> dict[str, Any]:
    return record(
        **{
            "processing__pii_controllers": ["example-controller"],
            "x_meeting__terms_version": "example-2026-01",
            "x_meeting__notice_hash": registry.terms.versions["example-2026-01"].hash,
            **changes,
        }
    )


def codes(registry: Registry, *lines: str) -> list[tuple[int, str]]:
    problems = list(lint_records("f.jsonl", [line.encode() for line in lines], registry))
    assert CANARY not in str(problems)
    return [(problem.line, problem.code) for problem in problems]


def test_a_record_in_order_has_no_problem(registry: Registry) -> None:
    token = sign_record(fitting(registry), KEY, "k1")
    assert codes(registry, token, "", token) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"processing__purpose": ["daydreaming"]}, "PURPOSE_UNKNOWN"),
        ({"processing__purpose": ["*"]}, "PURPOSE_ANY"),
        ({"processing__pii_controllers": ["acme"]}, "CONTROLLER_UNKNOWN"),
        ({"x_meeting__terms_version": "t-9"}, "TERMS_UNKNOWN"),
        ({"x_meeting__notice_hash": "0" * 64}, "NOTICE_UNKNOWN"),
        ({"event__event_time": "2025-03-02T09:58:00Z"}, "TERMS_LATER"),
        ({"x_meeting__content_kinds": [CANARY]}, "FORM"),
        ({"x_meeting__ingested_at": ...}, "FORM"),
    ],
)
def test_each_problem_is_named(registry: Registry, change: dict[str, Any], code: str) -> None:
    token = sign_record(fitting(registry, **change), KEY, "k1")
    assert codes(registry, token) == [(1, code)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (CANARY, "NOT_A_JWS"),
        (json.dumps(RECORD), "UNSIGNED"),
        (sign_record(RECORD, OTHER_KEY, "k1"), "SIGNATURE_WRONG"),
        (sign_record(RECORD, KEY, "k2"), "KEY_UNKNOWN"),
        ('{"jws": 1, "jws": 2}', "DUPLICATE_KEY"),
    ],
)
def test_an_untrusted_line_is_explained(registry: Registry, line: str, code: str) -> None:
    assert codes(registry, line)[0] == (1, code)


@pytest.mark.parametrize(
    ("state", "effect"),
    [("ConsentGiven", "it grants nothing"), ("ConsentWithdrawn", "it holds what it is about")],
)
def test_the_effect_of_distrust_depends_on_what_is_said(registry: Registry, state: str, effect: str) -> None:
    line = sign_record(fitting(registry, event__event_state=state), OTHER_KEY, "k1").encode()
    assert effect in next(iter(lint_records("f", [line], registry))).message


PLACES = [(part, name) for part in ("processing", "event", "x-meeting") for name in RECORD[part]]
VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    1e308,
    "",
    CANARY,
    "9" * 400,
    [],
    [[]],
    [{}],
    [{"a": []}],
    [["*"]],
    {},
    {"a": {}},
)


@pytest.mark.parametrize("value", VALUES)
def test_whatever_stands_in_a_field_is_judged(registry: Registry, value: object) -> None:
    for part, name in PLACES:
        changed = fitting(registry, **{f"{part.replace('-', '_')}__{name}": value})
        codes(registry, sign_record(changed, KEY, "k1"), json.dumps(changed))


@pytest.mark.parametrize(
    "fault", [b'{"a":1e}', b'{"a":\xff}', b"[" * 40, b"[]", b'"', b"", b"\0", b'{"a":1,"a":2}']
)
def test_every_fault_of_a_line_has_its_words(registry: Registry, fault: bytes) -> None:
    token = sign_record(RECORD, KEY, "k1").split(".")
    payload = base64.urlsafe_b64encode(fault).rstrip(b"=").decode()
    codes(registry, ".".join([token[0], payload, token[2]]))
    list(lint_records("f.jsonl", [fault, b'"' + fault + b'"'], registry))


def test_two_records_with_one_id_are_a_collision(registry: Registry) -> None:
    first = sign_record(fitting(registry), KEY, "k1")
    arrived_later = sign_record(fitting(registry, x_meeting__ingested_at="2026-03-03T00:00:00Z"), KEY, "k1")
    another = sign_record(fitting(registry, processing__language="de"), KEY, "k1")
    assert codes(registry, first, arrived_later) == []
    assert codes(registry, first, another) == [(2, "ID_COLLISION")]


def test_terms_of_a_contract_are_known(tmp_path: Path) -> None:
    from tests.unit.schemas.consent_samples import change_json

    folder = make_registry(tmp_path / "registry")
    own = json.loads((folder / "terms.json").read_text())["versions"]["example-2026-01"]
    change_json(folder, "terms.json", "contracts.t1", {"general": False, "versions": {"t1-own": own}})
    registry = load_registry(folder)
    assert codes(registry, sign_record(fitting(registry, x_meeting__terms_version="t1-own"), KEY, "k1")) == []
