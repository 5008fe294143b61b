from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.consent_record import (
    STATES,
    RecordFormError,
    as_json,
    canonical_bytes,
    check_form,
    record_json_schema,
)
from schemas.consent_sets import STATUSES
from tests.unit.schemas.consent_samples import CANARY, RECORD, record

PUBLISHED = Path(__file__).parents[3] / "docs" / "consent-record.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(record_json_schema())

WRONG = [
    record(record_id="an id with spaces"),
    record(record_id="r\n"),
    record(record_id=CANARY),
    record(pii_principal_id={"type": "email"}),
    record(pii_principal_id={"type": "email", "value": "", "more": 1}),
    record(pii_principal_id={"type": "email", "value": True}),
    record(processing__purpose=[]),
    record(processing__purpose=["Not A Word"]),
    record(processing__pii_controllers=["acme", "other"]),
    record(processing__extra=1),
    record(event__event_time="2026-03-02T09:58:00"),
    record(event__event_state="ConsentExpired"),
    record(event__validity_duration="P1Y"),
    record(x_meeting__scope="everything"),
    record(x_meeting__scope="meeting:"),
    record(x_meeting__content_kinds=["smell"]),
    record(x_meeting__bundled="no"),
    record(x_meeting__ingested_at=...),
    record(x_meeting__import_attestation={"source_system": "x"}),
    record(schema_version="cofferdam-consent/2.0"),
]


def test_the_published_schema_is_the_one_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text()) == record_json_schema()


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(record_json_schema())


def test_a_record_fits_and_comes_back_as_it_was() -> None:
    VALIDATOR.validate(RECORD)
    assert as_json(check_form(RECORD)) == RECORD


@pytest.mark.parametrize("wrong", WRONG)
def test_code_and_schema_refuse_the_same(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(wrong)
    with pytest.raises(RecordFormError):
        check_form(wrong)


PLACES = [(part, name) for part in ("processing", "event", "x-meeting") for name in RECORD[part]]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(["", "acme", "2026-03-02T09:58:00Z", "global", "ConsentWithdrawn", "P30D", "a\n", "*"]),
    st.lists(st.sampled_from(["audio", "*", "ai_training", "first_party", "", 1]), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b"]), st.none(), max_size=1),
)


@given(st.sampled_from(PLACES), VALUES)
def test_code_and_schema_agree_on_any_value(place: tuple[str, str], value: object) -> None:
    changed = record(**{"__".join(place): value})
    try:
        check_form(changed)
        fits = True
    except RecordFormError:
        fits = False
    assert fits == VALIDATOR.is_valid(changed)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (record(event__event_time=CANARY), "event.event_time"),
        (record(x_meeting__scope=...), "x-meeting.scope"),
        (record(x_meeting__content_kinds=["audio", CANARY]), "x-meeting.content_kinds[1]"),
        (record(**{"processing__" + "canary_key": 1}), "processing"),
        ([CANARY], ""),
    ],
)
def test_an_error_names_the_field_and_nothing_else(wrong: object, where: str) -> None:
    with pytest.raises(RecordFormError) as caught:
        check_form(wrong)
    assert caught.value.where == where
    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)


def test_no_repr_shows_the_person() -> None:
    fitted = check_form(RECORD)
    for part in (fitted, fitted.pii_principal_id, fitted.processing, fitted.x_meeting):
        assert CANARY not in repr(part)
        assert "meeting:m1" not in repr(part)


def test_canonical_json_is_sorted_compact_and_utf8() -> None:
    assert canonical_bytes({"b": "é", "a": [1, None]}) == '{"a":[1,null],"b":"é"}'.encode()


@pytest.mark.parametrize("value", [float("nan"), {"a": b"x"}, "\ud800"])
def test_what_cannot_be_written_is_refused_without_its_value(value: object) -> None:
    with pytest.raises(ValueError, match="cannot be written") as caught:
        canonical_bytes(value)
    assert caught.value.__cause__ is None


def test_states_are_the_statuses_that_the_rules_know() -> None:
    assert sorted(STATES.values()) == sorted(STATUSES)
