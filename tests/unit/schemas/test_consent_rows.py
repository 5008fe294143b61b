from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.consent_rows import (
    FLAT_FIELDS,
    Identifier,
    body_hash,
    read_identifier,
    read_record,
    read_time,
)
from tests.unit.schemas.consent_samples import CANARY, NOTICE, RECORD, record
from validation.cases import RECORD_SHORTHAND

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_the_flat_row_has_what_the_rules_read() -> None:
    read = read_record(RECORD)
    assert read.subject == Identifier("email", CANARY)
    assert not read.extended
    assert read.row == {
        "id": "r-1",
        "status": "given",
        "grantor": "subject",
        "mechanism": "explicit_statement",
        "purposes": ["ai_training"],
        "kinds": ["audio", "video"],
        "scope": "meeting:m1",
        "recipients": ["first_party"],
        "terms": "t-1",
        "notice_hash": NOTICE,
        "event_time": "2026-03-02T09:58:00Z",
        "ingested_at": "2026-03-02T09:58:01Z",
        "controller": "acme",
        "bundled": False,
        "conditional": False,
        "retroactive": False,
        "body_hash": body_hash(RECORD),
    }


def test_every_flag_that_the_rules_know_has_a_name_in_the_row() -> None:
    assert set(RECORD_SHORTHAND) <= set(FLAT_FIELDS)


def test_every_name_in_the_vectors_has_a_name_in_the_row(shared_folder: Path) -> None:
    import json

    vectors = json.loads((shared_folder / "consent" / "vectors.json").read_text())["vectors"]
    assert {name for each in vectors for row in each["records"] for name in row} <= set(FLAT_FIELDS)


@given(JSON)
def test_nothing_that_json_can_say_raises(value: object) -> None:
    read = read_record(value)
    assert set(read.row) <= set(FLAT_FIELDS)


@given(
    st.sampled_from([(part, name) for part in ("processing", "event", "x-meeting") for name in RECORD[part]]),
    JSON,
)
def test_any_value_in_any_field_can_be_read(place: tuple[str, str], value: object) -> None:
    read_record(record(**{"__".join(place): value}))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"record_id": CANARY}, "id"),
        ({"record_id": 7}, "id"),
        ({"event__event_state": "ConsentExpired"}, "status"),
        ({"event__event_state": ["ConsentGiven"]}, "status"),
        ({"event": "ConsentGiven"}, "status"),
        ({"event__event_time": ...}, "event_time"),
        ({"processing__pii_controllers": ["acme", "other"]}, "controller"),
        ({"processing__pii_controllers": "acme"}, "controller"),
        ({"x_meeting": []}, "scope"),
    ],
)
def test_what_is_illegible_is_left_out(change: dict[str, Any], name: str) -> None:
    assert name not in read_record(record(**change)).row


@pytest.mark.parametrize(
    "value", [None, {"type": "email"}, {"type": "E-Mail", "value": "x"}, {"type": "email", "value": True}]
)
def test_an_illegible_subject_is_none(value: object) -> None:
    assert read_identifier(value) is None


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_that_no_table_can_hold_is_none(text: str) -> None:
    assert read_time(text) is None
    assert read_time(text[:19] + "Z") is not None


def test_a_record_without_a_time_of_arrival_has_an_illegible_one() -> None:
    assert read_record(record(x_meeting__ingested_at=...)).row["ingested_at"] is None


@pytest.mark.parametrize(
    ("duration", "until", "expected"),
    [
        ("P10D", ..., "2026-03-12T09:58:00+00:00"),
        ("P10D", "2026-03-05T00:00:00Z", "2026-03-05T00:00:00Z"),
        ("P10D", "2026-04-05T00:00:00Z", "2026-03-12T09:58:00+00:00"),
        ("P10D", "soon", None),
        ("a while", ..., None),
        ("until_withdrawn", "2026-04-05T00:00:00Z", "2026-04-05T00:00:00Z"),
    ],
)
def test_validity_ends_at_the_earlier_of_two_ends(duration: str, until: Any, expected: str | None) -> None:
    changes: dict[str, Any] = {} if until is ... else {"x_meeting__valid_until": until}
    assert read_record(record(event__validity_duration=duration, **changes)).row["valid_until"] == expected


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": "cofferdam-consent/9.0"},
        {"schema_version": ...},
        {"more": 1},
        {"x_meeting__except_kinds": ["video"]},
        {"event__note": ""},
        {"processing__pii_information": [{"pii_type": "audio", "except": "x"}]},
    ],
)
def test_what_the_form_does_not_know_is_noted(change: dict[str, Any]) -> None:
    assert read_record(record(**change)).extended


def test_the_body_hash_leaves_out_the_arrival_and_nothing_else() -> None:
    assert body_hash(record(x_meeting__ingested_at="2027-01-01T00:00:00Z")) == body_hash(RECORD)
    assert body_hash(record(processing__language="de")) != body_hash(RECORD)


def test_no_repr_shows_the_person() -> None:
    read = read_record(RECORD)
    assert CANARY not in repr(read) + repr(read.subject)
