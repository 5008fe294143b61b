from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.consent_building import build_record
from schemas.consent_record import check_form
from schemas.consent_rows import Identifier, read_record
from schemas.consent_sets import ALL_KINDS, GRANTORS, RECIPIENTS, STATUSES
from schemas.errors import ConfigurationError
from schemas.registry import Registry, load_registry
from tests.unit.schemas.consent_samples import CANARY, make_registry

FIELDS: dict[str, Any] = {
    "id": "r-1",
    "subject": Identifier("email", CANARY),
    "status": "given",
    "mechanism": "explicit_statement",
    "purposes": ["ai_training"],
    "kinds": ["audio"],
    "scope": "meeting:m1",
    "recipients": ["first_party"],
    "terms": "example-2026-01",
    "event_time": "2026-03-02T09:58:00Z",
    "ingested_at": "2026-03-02T09:58:00Z",
    "controller": "example-controller",
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return load_registry(make_registry(tmp_path_factory.mktemp("made") / "registry"))


def test_a_built_record_has_the_published_form(registry: Registry) -> None:
    record = build_record(FIELDS, registry)
    check_form(record)
    assert record["x-meeting"]["notice_hash"] == registry.terms.versions["example-2026-01"].hash
    assert record["event"]["event_type"] == "ExplicitlyExpressedConsent"


CHOICES = st.fixed_dictionaries(
    {
        "status": st.sampled_from(STATUSES),
        "grantor": st.sampled_from(GRANTORS),
        "kinds": st.lists(st.sampled_from(sorted(ALL_KINDS)), max_size=3),
        "recipients": st.lists(st.sampled_from(RECIPIENTS), max_size=2),
        "scope": st.sampled_from(["global", "tenant:t1", "meeting:m 1"]),
        "bundled": st.booleans(),
        "conditional": st.booleans(),
        "retroactive": st.booleans(),
        "separate": st.just(True),
        "no_detriment": st.just(True),
        "retention_policy": st.just("rp1"),
        "valid_from": st.just("2026-03-01T00:00:00Z"),
        "valid_until": st.just("2027-03-01T00:00:00Z"),
    }
)


@given(CHOICES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_built_in_is_read_out(registry: Registry, choices: dict[str, Any]) -> None:
    fields = {**FIELDS, **choices}
    read = read_record(build_record(fields, registry))
    assert read.subject == fields.pop("subject")
    assert {name: read.row[name] for name in fields} == fields
    assert not read.extended


def test_a_no_may_name_all_purposes_and_a_yes_may_not(registry: Registry) -> None:
    assert build_record({**FIELDS, "purposes": ["*"], "status": "withdrawn"}, registry)
    with pytest.raises(ConfigurationError, match="CONSENT_UNREGISTERED"):
        build_record({**FIELDS, "purposes": ["*"]}, registry)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"terms": CANARY}, "CONSENT_UNREGISTERED"),
        ({"purposes": [CANARY]}, "CONSENT_UNREGISTERED"),
        ({"purposes": CANARY}, "CONSENT_FORM"),
        ({"controller": CANARY}, "CONSENT_UNREGISTERED"),
        ({"status": CANARY}, "CONSENT_FORM"),
        ({"status": "expired"}, "CONSENT_FORM"),
        ({"scope": CANARY}, "CONSENT_FORM"),
        ({"event_time": CANARY}, "CONSENT_FORM"),
        ({"kinds": [CANARY]}, "CONSENT_FORM"),
        ({"subject": CANARY}, "CONSENT_FORM"),
        ({"id": CANARY}, "CONSENT_FORM"),
        ({"surprise": 1}, "CONSENT_FORM"),
    ],
)
def test_what_does_not_fit_is_refused_without_its_value(
    registry: Registry, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_record({**FIELDS, **change}, registry)
    assert caught.value.code == code
    assert CANARY not in str(caught.value)


def test_the_tenants_contract_decides_which_terms_there_are(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="CONSENT_UNREGISTERED"):
        build_record({**FIELDS, "terms": "t1-own"}, registry, tenant="t1")
