"""Drafts name every field, keep no value, and seal everything."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import load_contracts
from schemas.contract_draft import Draft, draft_contract
from schemas.contract_lint import lint_contracts
from schemas.errors import ConfigurationError, InfrastructureFault

EVENT = {
    "type": "call.ended",
    "at": 17,
    "data": {"note": "canary-note", "legs": [{"codec": "canary-codec", "ms": 1.5}], "tags": ["canary-tag"]},
}


def draft(folder: Path, *events: Any, type_at: str = "type") -> Draft:
    lines = "\n".join(json.dumps(event) for event in events)
    (folder / "events.jsonl").write_text(lines, encoding="utf-8")
    return draft_contract([folder / "events.jsonl"], source="cofferdam", family="call", type_at=type_at)


def fields(folder: Path, made: Draft) -> dict[str, str]:
    path = folder / "draft.yaml"
    path.write_text(made.text, encoding="utf-8")
    shapes = load_contracts([path]).shapes
    return {field.dotted: field.classification for shape in shapes for field in shape.fields}


def test_every_field_is_named_and_sealed(tmp_path: Path) -> None:
    found = fields(tmp_path, draft(tmp_path, EVENT))
    assert found.pop("type") == "envelope"
    assert set(found) == {"at", "data.note", "data.legs[].codec", "data.legs[].ms", "data.tags"}
    assert set(found.values()) == {"content.unclassified"}


def test_no_value_but_the_event_type_is_written(tmp_path: Path) -> None:
    made = draft(tmp_path, EVENT)
    assert "canary" not in made.text
    assert "call.ended" in made.text


def test_a_draft_is_valid_odcs_and_passes_the_linter(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    (tmp_path / "draft.yaml").write_text(
        draft(tmp_path, EVENT, {"type": "x", "a": None}).text, encoding="utf-8"
    )
    standard = json.loads((resources.files("open_data_contract_standard") / "schema.json").read_text())
    jsonschema.validate(yaml.safe_load((tmp_path / "draft.yaml").read_text()), standard)
    assert lint_contracts([tmp_path / "draft.yaml"]) == []


@pytest.mark.parametrize(
    "holder",
    [
        {"anna@example.org": 1},
        {"id_1234567": 1},
        {"b7e6d0c2-1111-4c3e-9a55-0123456789ab": 1},
        {"": 1},
        {name: {"level": 1} for name in ("anna", "bert", "cleo", "dora")},
        {f"k{number}": number for number in range(300)},
    ],
)
def test_keys_that_are_data_are_sealed_with_their_object(tmp_path: Path, holder: dict[str, Any]) -> None:
    made = draft(tmp_path, {"type": "t", "stats": holder})
    assert fields(tmp_path, made) == {"type": "envelope", "stats": "content.unclassified"}
    assert "look like data" in made.text
    assert not any(key and key in made.text for key in holder)


def test_keys_that_come_and_go_are_data(tmp_path: Path) -> None:
    names = ["anna", "bert", "cleo", "dora", "emil", "fred"]
    made = draft(tmp_path, *({"type": "t", "spoke": {name: 3}} for name in names))
    assert fields(tmp_path, made) == {"type": "envelope", "spoke": "content.unclassified"}


def test_odd_keys_beside_the_type_are_left_out(tmp_path: Path) -> None:
    made = draft(tmp_path, {"meta": {"type": "t", "anna@example.org": 1}, "ab@c": 1}, type_at="meta.type")
    assert fields(tmp_path, made) == {"meta.type": "envelope"}
    assert "1 keys" in made.text


def test_the_key_of_the_type_may_be_odd(tmp_path: Path) -> None:
    made = draft(tmp_path, {"@type": "t", "@id": 1}, type_at="@type")
    assert fields(tmp_path, made) == {"@type": "envelope"}


def test_types_with_one_structure_share_a_table(tmp_path: Path) -> None:
    made = draft(tmp_path, {"type": "a", "n": 1}, {"type": "b", "n": "x"}, {"type": "c"}, {"type": "A.b"})
    document = yaml.safe_load(made.text)
    events = {table["name"]: table["customProperties"][0]["value"] for table in document["schema"]}
    assert events == {"call_a_b": ["A.b", "c"], "call_a": ["a", "b"]}
    assert (made.events, made.event_types) == (4, 4)


def test_malformed_and_untyped_records_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"type": "t"}\n{"type": \n[1]\n{"type": "Anna Smith"}\n{"type": true}\n'
    )
    (tmp_path / "b.json").write_text('[{"type": "t"}, 3]')
    (tmp_path / "c.json").write_text('{\n"type": "t",\n"type": "u"\n}')
    (tmp_path / "d.txt").write_text("no sample")
    made = draft_contract([tmp_path], source="zoom", family="x", type_at="type")
    assert (made.events, made.malformed, made.untyped) == (2, 4, 2)


def test_integer_types_are_taken(tmp_path: Path) -> None:
    made = draft(tmp_path, {"msg_type": 14, "content": None}, type_at="msg_type")
    document = yaml.safe_load(made.text)
    assert document["schema"][0]["customProperties"][0]["value"] == ["14"]
    assert document["schema"][0]["properties"][0]["logicalType"] == "integer"


@pytest.mark.parametrize(
    ("source", "family", "type_at", "code"),
    [
        ("other", "x", "type", "UNKNOWN_SOURCE"),
        ("zoom", "X y", "type", "BAD_FAMILY"),
        ("zoom", "x", "gone", "NO_EVENTS"),
    ],
)
def test_options_that_cannot_be_used(
    tmp_path: Path, source: str, family: str, type_at: str, code: str
) -> None:
    (tmp_path / "a.json").write_text('{"type": "t"}')
    with pytest.raises(ConfigurationError, match=code):
        draft_contract([tmp_path], source=source, family=family, type_at=type_at)


def test_an_id_is_no_event_type(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TOO_MANY_EVENT_TYPES"):
        draft(tmp_path, *({"type": f"t{number}"} for number in range(1_001)))


def test_a_sample_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureFault, match="SAMPLE_UNREADABLE"):
        draft_contract([tmp_path / "gone.json"], source="zoom", family="x", type_at="type")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), max_size=3))
def test_any_events_give_a_draft_that_loads(
    tmp_path_factory: pytest.TempPathFactory, events: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("draft")
    made = draft(folder, *({**event, "type": "t"} for event in [{}, *events]))
    assert fields(folder, made)["type"] == "envelope"


@pytest.mark.parametrize("samples", ["zoom_webhooks", "zoom_rtms_and_plugin"])
def test_public_samples_give_a_draft_that_passes_the_linter(
    shared_folder: Path, tmp_path: Path, samples: str
) -> None:
    folder = shared_folder / "sources" / "samples" / samples
    made = draft_contract([folder], source="zoom", family="all", type_at="event")
    (tmp_path / "draft.yaml").write_text(made.text, encoding="utf-8")
    assert lint_contracts([tmp_path / "draft.yaml"]) == []
