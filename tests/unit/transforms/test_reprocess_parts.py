"""Events made again from their parts: every part in its place, and none in two."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.contract import load_contracts
from tests.unit.transforms.feature_contract import shape
from transforms.reprocess_parts import (
    Part,
    PartialEvent,
    Place,
    holds_nothing,
    known_paths,
    place_of,
    unknown_key,
    value_of,
)

KNOWN = known_paths(shape())


def made_of(*parts: tuple[str, bytes]) -> Any:
    """The event that some parts make, without its type."""
    event = PartialEvent(shape(), "visit.came")
    for part in (Part(*pair) for pair in parts):
        assert event.add_part(place_of(part, KNOWN), part)
    found = json.loads(event.encoded())
    assert found.pop("type") == "visit.came"
    return found


@pytest.mark.parametrize(
    ("parts", "event"),
    [
        ([("", b'{"new":1}')], {"new": 1}),
        ([("data", b'{"new":1}'), ("data", b'{"more":[2]}')], {"data": {"new": 1, "more": [2]}}),
        ([("data.count", b"10")], {"data": {"count": 10}}),
        ([("data.who", b'"Anna"')], {"data": {"who": "Anna"}}),
        ([("data.files[][1]", b'{"new":{"a":1}}')], {"data": {"files": [{}, {"new": {"a": 1}}]}}),
        ([("data.files[].size[0]", b"100")], {"data": {"files": [{"size": 100}]}}),
        (
            [("data.files[].marks[].at[0][1]", b'"x"'), ("data.files[][0]", b'{"n":1}')],
            {"data": {"files": [{"marks": [{}, {"at": "x"}], "n": 1}]}},
        ),
        ([("data.consent", b'{"refuses":"eu"}')], {"data": {"consent": {"refuses": "eu"}}}),
    ],
)
def test_parts_stand_where_they_stood(parts: list[tuple[str, bytes]], event: Any) -> None:
    assert made_of(*parts) == event


def test_two_values_cannot_stand_in_one_place() -> None:
    event = PartialEvent(shape(), "visit.came")
    place = Place(("data", "files"), ())
    assert event.add_part(place, Part("data.files", b"1"))
    assert not event.add_part(place, Part("data.files", b"2"))
    inside = Part("data.files[][0]", b'{"a":1}')
    assert not event.add_part(place_of(inside, KNOWN), inside)
    assert json.loads(event.encoded())["data"] == {"files": 1}


@pytest.mark.parametrize("path", ["data.files[]", "data.count[3]", "data..x"])
def test_a_place_that_cannot_be_told_is_none(path: str) -> None:
    part = Part(path, b"1")
    assert place_of(part, KNOWN) is None
    assert not PartialEvent(shape(), "visit.came").add_part(place_of(part, KNOWN), part)


def test_a_path_of_another_contract_is_told_by_its_dots() -> None:
    assert place_of(Part("data.gone.inner[][2]", b"1"), KNOWN) == Place(("data", "gone", "inner", "[]"), (2,))


def test_a_number_names_its_type_as_a_number() -> None:
    rtms = next(each for each in load_contracts().shapes if each.source == "zoom_rtms")
    event = PartialEvent(rtms, rtms.events[0])
    assert json.loads(event.encoded()) == {rtms.type_at[0]: int(rtms.events[0])}


@pytest.mark.parametrize(
    ("raw", "key"),
    [(b'{"a":1}', "a"), (b'{"a":1,"b":2}', None), (b"[1]", None), (b'"a"', None), (b'{"\\u001b":1}', "\x1b")],
)
def test_an_object_of_one_key_names_it(raw: bytes, key: str | None) -> None:
    assert unknown_key(Part("data", raw)) == key


def test_the_value_stands_behind_its_key() -> None:
    assert value_of(Part("data", b'{"a":[1]}')) == b"[1]"
    assert value_of(Part("data.count", b"1")) == b"1"
    assert [raw for raw in (b"null", b'""', b"0", b"false", b" {} ") if holds_nothing(raw)] == [
        b"null",
        b'""',
        b" {} ",
    ]


def test_a_part_does_not_show_itself() -> None:
    assert "secret" not in repr(Part("data", b'"secret"'))
