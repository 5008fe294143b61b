"""Every piece of content is in exactly one item of its kind, byte for byte, under its path."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.classification import KIND_NUMBER
from schemas.contract import ITEMS, ArrayNode, Field, Node, ObjectNode
from tests.unit.transforms.feature_contract import EVENT, TABLE, event, features, shape
from tests.unit.transforms.feature_events import blocks
from tests.unit.transforms.separator_samples import Taken, digester, key_folder, line, take
from transforms.consent_intake import RECORD_TYPE
from transforms.cut_out import _framed_column, json_type, without_empty
from transforms.keys import load_release_keys
from transforms.pseudonyms import join_pseudonyms
from transforms.sealed_format import frame_parts, size_class, split_prefixed, unframe_parts

EMPTY = ("null", '""', "[]", "{}")


def taken(*events: dict[str, Any] | bytes) -> Taken:
    return take(*events, contracts=features())


def sealed(**data: Any) -> dict[str, list[tuple[str, bytes]]]:
    return taken(event(**data)).sealed()


# An oracle of what is sealed under its own path, and of what is dropped, walking the event with the contract.


def leaves(node: Node, value: Any, path: tuple[str, ...], places: str, around: Any) -> Any:
    if isinstance(node, Field):
        yield node, ".".join(path).replace(f".{ITEMS}", ITEMS) + places, value, around
    elif isinstance(node, ArrayNode) and isinstance(value, list):
        elements = [element for element in value if isinstance(element, dict)]
        for number, element in enumerate(elements):
            yield from leaves(node.items, element, (*path, ITEMS), f"{places}[{number}]", None)
    elif isinstance(node, ObjectNode) and isinstance(value, dict):
        for key, child in node.children.items():
            if key in value:
                yield from leaves(child, value[key], (*path, key), places, value)


def expected_of(made: dict[str, Any]) -> tuple[list[tuple[str, str, bytes]], dict[tuple[str, str], int]]:
    """Kind, path and bytes of each sealed part; number of values dropped by field."""
    parts: list[tuple[str, str, bytes]] = []
    dropped: dict[tuple[str, str], int] = {}
    for field, path, value, around in leaves(shape().root, made, (), "", None):
        raw = json.dumps(value, ensure_ascii=False)
        if field.protection == "drop" and value is None:
            continue  # a null is no value
        if field.protection == "drop":
            dropped["visits", field.dotted] = dropped.get(("visits", field.dotted), 0) + 1
        elif field.protection == "seal" and raw not in EMPTY:
            kind = field.kind
            if field.kind_by is not None:
                sibling = around.get(field.kind_by.sibling)
                kind = (
                    field.kind_by.kinds.get(sibling, "unclassified")
                    if isinstance(sibling, str)
                    else "unclassified"
                )
            parts.append((kind, path, raw.encode()))
    return parts, dropped


@settings(max_examples=60)
@given(events=blocks())
def test_every_sealed_field_is_in_an_item_byte_for_byte(events: list[dict[str, Any]]) -> None:
    made = taken(*events)
    for single in events:
        parts, dropped = expected_of(single)
        alone = taken(single)
        found = [(kind, *part) for kind, inside in alone.sealed().items() for part in inside]
        for part in parts:
            assert found.count(part) == parts.count(part)
        (group,) = alone.groups
        assert group.dropped == {key: number for key, number in dropped.items() if number}
    assert sum(g.dropped.total() for g in made.groups) == sum(sum(expected_of(e)[1].values()) for e in events)


@given(events=blocks())
def test_everything_sealed_was_in_the_event(events: list[dict[str, Any]]) -> None:
    for single in events:
        text = line(single)
        for parts in taken(single).sealed().values():
            for path, raw in parts:
                inner = raw.removeprefix(b'{"new":').removesuffix(b"}") if raw.startswith(b'{"new":') else raw
                assert inner in text or json.loads(inner) in flat(single), path


def flat(value: Any) -> list[Any]:
    """All values inside a value: what was decoded may be written anew."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(inner for member in members for inner in flat(member))]


# Items.


def test_items_of_one_event_and_kind_are_one() -> None:
    made = taken(event(text="a", notes={"b": 1}, files=[{"marks": [{"remark": "c"}]}]))
    (cut,) = made.cuts()
    assert (cut.kind, cut.contract, cut.size) == ("chat", "features@2.1.0", 1)
    assert sorted(made.sealed()["chat"]) == [
        ("data.files[].marks[].remark[0][0]", b'"c"'),
        ("data.notes", b'{"b": 1}'),
        ("data.text", b'"a"'),
    ]


def test_an_item_is_its_events_digest_with_its_kind() -> None:
    first, second = event(1, text="a", title="t"), event(2, text="b")
    made = taken(first, second)
    ids = {cut.kind: [row.tobytes() for row in cut.item_ids] for cut in made.cuts()}
    events = [row.tobytes() for row in digester().identities([line(first), line(second)]).ids]
    assert ids == {
        "chat": [
            events[0][:15] + bytes([KIND_NUMBER["chat"]]),
            events[1][:15] + bytes([KIND_NUMBER["chat"]]),
        ],
        "meeting_title": [events[0][:15] + bytes([KIND_NUMBER["meeting_title"]])],
    }


def test_the_rows_of_items_say_what_may_be_known() -> None:
    flag = {"record_ids": ["cr-7"], "refuses": True}
    spans = {"began": "2026-03-01T09:00:00Z", "ended": "2026-03-01T09:30:00Z", "region": "eu"}
    made = taken(event(1), event(2, "visit.noted", text="x" * 400, consent=flag, **spans), event(3, text="y"))
    (cut,) = made.cuts()
    assert cut.rows is not None
    second, third = cut.rows.to_pylist()
    events = made.rows(TABLE)
    assert (second["event_id"], third["event_id"]) == (events[1]["event_id"], events[2]["event_id"])
    assert second["item_id"] == cut.item_ids[0].tobytes().hex()
    assert (second["event_type"], second["kind"], second["source"]) == ("visit.noted", "chat", "cofferdam")
    assert second["event_time"].isoformat() == "2026-03-01T10:00:00+00:00"
    assert second["recorded_start"].isoformat() == "2026-03-01T09:00:00+00:00"
    assert second["recorded_end"].isoformat() == "2026-03-01T09:30:00+00:00"
    assert (second["region"], third["region"], third["recorded_start"]) == ("eu", None, None)
    pointed = join_pseudonyms(load_release_keys(key_folder() / "release"))
    known = [pointed.pseudonym("cr-7", identifier_type=RECORD_TYPE)]
    assert second["consent_flag"] == {"record_ids": known, "purposes": None, "refuses": True}
    assert third["consent_flag"] is None
    framed = [len(frame_parts([("data.text", f'"{text}"'.encode())])) for text in ("x" * 400, "y")]
    assert [second["size_class"], third["size_class"]] == [size_class(length) for length in framed]


def test_a_refusal_alone_is_a_flag() -> None:
    rows = taken(event(text="x", consent={"refuses": True})).cuts()[0].rows
    assert rows is not None
    assert rows.column("consent_flag").to_pylist() == [
        {"record_ids": None, "purposes": None, "refuses": True}
    ]


@pytest.mark.parametrize(("more", "kind"), [({"token": "s"}, "secret"), ({"why": "Anna"}, "identity")])
def test_secrets_and_identities_are_sealed_but_are_no_items_of_the_quarantine(
    more: dict[str, Any], kind: str
) -> None:
    (cut,) = taken(event(**more)).cuts()
    assert (cut.kind, cut.rows, cut.size) == (kind, None, 1)


def test_items_belong_to_their_own_sender_meeting_and_tenant() -> None:
    made = taken(
        event(1, text="a"), event(2), event(3, text="b", room="m-2", tenant_id="t-2", who={"user_id": "u-2"})
    )
    (cut,) = made.cuts()
    rows = cut.rows.to_pylist() if cut.rows is not None else []
    assert [array.to_pylist() for array in cut.join] == [
        [row[name] for row in rows] for name in ("tenant_join", "meeting_join", "sender_join")
    ]
    assert all(len(set(array.to_pylist())) == 2 for array in cut.join)


# Kinds by a sibling.


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ("audio", "audio"),
        ("video", "video"),
        ("other", "unclassified"),
        (None, "unclassified"),
        (7, "unclassified"),
    ],
)
def test_a_sibling_decides_the_kind(media: Any, kind: str) -> None:
    inside = sealed(files=[{"media": media, "body": "b"}])
    assert ("data.files[].body[0]", b'"b"') in inside[kind]
    assert set(inside) <= {kind, "unclassified"}


def test_each_element_has_its_own_sibling() -> None:
    files = [{"media": "video", "body": "b1"}, {"body": "b2"}, {"media": "audio", "body": "b3"}]
    assert sealed(media="audio", payload="p", files=files) == {
        "audio": [("data.payload", b'"p"'), ("data.files[].body[2]", b'"b3"')],
        "video": [("data.files[].body[0]", b'"b1"')],
        "unclassified": [("data.files[].body[1]", b'"b2"')],
    }


def test_without_the_sibling_in_any_event_the_kind_is_the_other_one() -> None:
    assert sealed(payload="p") == {"unclassified": [("data.payload", b'"p"')]}


# Unknown fields, misfits, dropped values.


@pytest.mark.parametrize(
    "key", ["Anna Smith", 'quo"te', "back\\slash", "ünter", "", "new\nline", "a.b[0]", "\u2028"]
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_unknown_key_is_sealed_with_its_name(key: str, ascii_only: bool) -> None:
    record = json.dumps({**EVENT, "data": {key: {"v": 1}}}, ensure_ascii=ascii_only).encode()
    made = taken(record)
    ((path, raw),) = made.sealed()["unclassified"]
    assert (path, json.loads(raw)) == ("data", {key: {"v": 1}})
    (group,) = made.groups
    ((drift, number),) = group.drift.items()
    assert (drift.source, drift.table, drift.parent, drift.json_type) == (
        "cofferdam",
        "visits",
        "data",
        "object",
    )
    assert number == 1
    assert not key or key not in made.in_clear()


def test_an_unknown_key_of_an_element_says_which_one() -> None:
    made = taken(event(files=[{}, {"new": 5, "marks": [{"new": "x"}]}]), {**EVENT, "new": []})
    assert sorted(made.sealed()["unclassified"]) == [
        ("", b'{"new":[]}'),
        ("data.files[].marks[][1][0]", b'{"new":"x"}'),
        ("data.files[][1]", b'{"new":5}'),
    ]


def test_a_misfit_of_an_element_says_which_one() -> None:
    assert sealed(files=[{"size": 1}, {"size": 100, "marks": [{"at": 1}, {"at": -1}]}, "no object"]) == {
        "unclassified": [
            *(("data.files", b'"no object"'), ("data.files[].size[1]", b"100")),
            ("data.files[].marks[].at[1][1]", b"-1"),
        ]
    }


def test_drift_is_told_apart_by_parent_and_type_but_not_by_value() -> None:
    made = taken(event(1, new=1), event(2, new=2), event(3, new="x"), event(4, files=[{"new": 1}]))
    (group,) = made.groups
    assert sorted((key.parent, key.json_type, number) for key, number in group.drift.items()) == [
        ("data", "number", 2),
        ("data", "string", 1),
        ("data.files.[]", "number", 1),
    ]
    assert len({key.name_digest for key in group.drift}) == 1


def test_dropped_values_are_counted_and_nowhere() -> None:
    nothing = event(4, title='an escape: "')  # not plain: decoded apart from the others
    nothing["data"]["passcode"] = None
    made = taken(
        event(1, passcode="hunter2"),
        event(2),
        event(3, passcode="", files=[{"key": "hunter3"}, {}, {"key": None}]),
        nothing,
    )
    (group,) = made.groups
    assert group.dropped == {("visits", "data.passcode"): 2, ("visits", "data.files[].key"): 1}
    assert set(made.sealed()) == {"meeting_title"}
    assert "hunter" not in made.in_clear()


# Small parts.


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        *(
            (b'"a"', "string"),
            (b"{}", "object"),
            (b"[1]", "array"),
            (b"true", "boolean"),
            (b"false", "boolean"),
        ),
        *((b"null", "null"), (b"1", "number"), (b"-1.5e3", "number")),
    ],
)
def test_the_type_of_a_value_shows_in_its_first_byte(raw: bytes, name: str) -> None:
    assert json_type(raw) == name


raws = st.lists(
    st.none() | st.sampled_from([b"null", b'""', b"[]", b"{}", b"0", b"true"]) | st.binary(max_size=9)
)


@given(cells=raws)
def test_only_values_that_hold_nothing_are_left_out(cells: list[bytes | None]) -> None:
    left = without_empty(pa.array(cells, pa.binary())).to_pylist()
    assert left == [None if cell in (b"null", b'""', b"[]", b"{}") else cell for cell in cells]


@given(path=st.text(st.characters(exclude_categories=["Cs"]), max_size=300), cells=raws)
def test_a_framed_column_is_what_frame_parts_makes_of_its_cells(path: str, cells: list[bytes | None]) -> None:
    made = _framed_column(path.encode(), pa.array(cells, pa.binary())).to_pylist()
    assert made == [None if cell is None else frame_parts([(path, cell)]) for cell in cells]


@given(events=blocks())
def test_items_are_framed_as_the_sealed_format_wants_them(events: list[dict[str, Any]]) -> None:
    for cut in taken(*events).cuts():
        for item in cut.framed.to_pylist():
            (framed,) = split_prefixed(item)
            assert frame_parts(unframe_parts(framed)) == framed
            assert framed
        assert cut.bytes >= sum(map(len, cut.framed.to_pylist()))
