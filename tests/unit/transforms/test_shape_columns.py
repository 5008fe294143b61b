"""From decoded levels to tables: identifiers become pseudonyms, children find their parents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.classification import Protection
from schemas.contract import Field
from tests.unit.transforms.feature_contract import EVENT, FILES, MARKS, TABLE, changed, event, features
from tests.unit.transforms.feature_events import blocks
from tests.unit.transforms.separator_samples import Taken, spaces, take, text_column
from transforms.sealed_format import split_prefixed, unframe_parts
from transforms.shape_columns import hex_column, identifier_type, ordinals, plain_texts


def taken(*events: dict[str, Any]) -> Taken:
    return take(*events, contracts=features())


def pseudonym(kind: str, value: str | None, tenant: str | None = "t-1") -> Any:
    return spaces().telemetry(kind, text_column(value), tenant)[0].as_py()


# Small parts.


@given(digests=st.lists(st.binary(min_size=5, max_size=5), max_size=9))
def test_hexadecimal_columns_read_as_pythons_own(digests: list[bytes]) -> None:
    rows = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 5)
    column = hex_column(rows)
    column.validate(full=True)
    assert column.to_pylist() == [digest.hex() for digest in digests]


@given(parents=st.lists(st.integers(0, 6), max_size=30))
def test_an_ordinal_counts_the_elements_before_it_in_its_parent(parents: list[int]) -> None:
    expected = [parents[:row].count(parent) for row, parent in enumerate(parents)]
    made = ordinals(np.array(parents, np.int64))
    assert made.tolist() == expected
    assert made.dtype == np.int32


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (b'"a"', "a"),
        (b'"\\u00e4"', "ä"),
        (b"7", "7"),
        (b"-7", "-7"),
        *((cell, None) for cell in (None, b"null", b'""', b"1.5", b"true", b"[]", b'{"a":1}', b'"\xff"')),
    ],
)
def test_a_sealed_identifier_is_read_for_its_pseudonym_alone(cell: bytes | None, text: str | None) -> None:
    assert plain_texts(pa.array([cell], pa.binary())).to_pylist() == [text]


def test_decoded_identifiers_are_text_and_an_empty_one_is_none() -> None:
    assert plain_texts(text_column("a", "", None)).to_pylist() == ["a", None, None]
    assert plain_texts(pa.array([5, None])).to_pylist() == ["5", None]


@pytest.mark.parametrize(
    ("classification", "identifies", "kind"),
    [
        ("identifier.tenant", None, "tenant"),
        ("identifier.meeting", None, "meeting"),
        ("identifier.pseudonymous", "zoom.user_id", "zoom.user_id"),
        ("identifier.direct", "email", "email"),
        ("identifier.pseudonymous", None, "last_key"),
    ],
)
def test_equal_values_of_different_types_never_meet(
    classification: str, identifies: str | None, kind: str
) -> None:
    entry = Field(("a", "last_key"), "string", classification, Protection.PSEUDONYM, identifies=identifies)
    assert identifier_type(entry) == kind


# Tables.


def test_every_row_says_where_it_came_from() -> None:
    row = taken(event()).row(TABLE)
    assert row["event_type"] == "visit.came"
    assert row["event_time"].isoformat() == "2026-03-01T10:00:00+00:00"
    assert (row["source"], row["contract"]) == ("cofferdam", "features@2.1.0")
    assert row["tenant"] == spaces().telemetry("tenant", text_column("t-1"), "t-1")[0].as_py()
    assert row["meeting"] == pseudonym("meeting", "m-1")
    assert row["participant"] == pseudonym("cofferdam.user_id", "u-1")


def test_telemetry_and_joins_are_different_spaces() -> None:
    made = taken(event(text="x"))
    row, item = made.row(TABLE), made.cuts()[0].rows.to_pylist()[0]  # type: ignore[union-attr]
    for ours, theirs in (
        ("tenant", "tenant_join"),
        ("meeting", "meeting_join"),
        ("participant", "sender_join"),
    ):
        assert len(row[ours]) == len(item[theirs]) == 32
        assert row[ours] != item[theirs]
    assert item["sender_join"] == spaces().join("cofferdam.user_id", text_column("u-1"))[0].as_py()


def test_each_row_is_under_its_own_tenant() -> None:
    first, second = taken(event(1), event(2, tenant_id="t-2")).rows(TABLE)
    assert first["participant"] == pseudonym("cofferdam.user_id", "u-1", "t-1")
    assert second["participant"] == pseudonym("cofferdam.user_id", "u-1", "t-2")
    assert first["tenant"] != second["tenant"]


def test_a_pseudonym_is_the_same_for_a_number_and_its_text() -> None:
    number, text, _ = taken(
        event(1, who={"user_id": 5}), event(2, who={"user_id": "5"}), event(3, tenant_id=None)
    ).rows(TABLE)
    assert number["participant"] == text["participant"] == pseudonym("cofferdam.user_id", "5")


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("", None), (None, None)],
)
def test_an_address_is_cut_to_its_network(address: str | None, network: str | None) -> None:
    made = taken(event(ip=address))
    assert made.row(TABLE)["ip"] == network
    assert made.sealed() == {}


@pytest.mark.parametrize("text", ["Anna's laptop", "203.0.113", "203.0.113.77/24", "203.0.113.777"])
def test_what_is_no_address_is_sealed(text: str) -> None:
    made = taken(event(1, ip="198.51.100.1"), event(2, ip=text))
    assert [row["ip"] for row in made.rows(TABLE)] == ["198.51.100.0/24", None]
    assert made.sealed() == {"unclassified": [("data.ip", f'"{text}"'.encode())]}
    assert text not in made.in_clear()


def test_a_misfit_is_null_in_its_column_and_sealed_as_it_came() -> None:
    made = taken(event(1, count=3), event(2, count=10), event(3, region="mars", began="soon"))
    assert [row["count"] for row in made.rows(TABLE)] == [3, None, None]
    assert sorted(made.sealed()["unclassified"]) == [
        ("data.began", b'"soon"'),
        ("data.count", b"10"),
        ("data.region", b'"mars"'),
    ]
    (group,) = made.groups
    assert group.misfits == {
        ("visits", "data.count"): 1,
        ("visits", "data.region"): 1,
        ("visits", "data.began"): 1,
    }


def test_a_time_that_is_none_is_sealed_once() -> None:
    made = taken({**EVENT, "time": "yesterday"})
    assert made.row(TABLE)["event_time"] is None
    assert made.sealed() == {"unclassified": [("time", b'"yesterday"')]}


def test_a_kept_field_that_is_a_role_is_judged_although_it_has_no_column_of_its_own() -> None:
    closed = "classification: metadata, customProperties: [{property: values, value: [m-1]}]"
    room = "{name: room, logicalType: string, classification: identifier.meeting}"
    made = take(
        *(event(1), event(2, room="Anna's room")),
        contracts=changed(room, room.replace("classification: identifier.meeting", closed)),
    )
    assert made.sealed() == {"unclassified": [("data.room", b'"Anna\'s room"')]}
    assert "room" not in made.rows(TABLE)[0]
    assert "Anna" not in made.in_clear()


def test_elements_have_their_events_columns_and_their_place() -> None:
    files = [{"media": "audio", "size": 1, "owner": "u-9"}, {"media": "video", "size": 2}]
    made = taken(event(1), event(2, tenant_id="t-2", files=files), event(3, files=files[:1]))
    events = {row["event_id"]: row for row in made.rows(TABLE)}
    rows = made.rows(FILES)
    assert [(row["position"], row["media"], row["size"]) for row in rows] == [
        *((0, "audio", 1), (1, "video", 2)),
        (0, "audio", 1),
    ]
    _, second, third = events.values()
    for row, parent in zip(rows, (second, second, third), strict=True):
        for name in ("event_id", "event_type", "event_time", "tenant", "meeting", "participant", "contract"):
            assert row[name] == parent[name]
    assert [row["owner"] for row in rows] == [
        pseudonym("owner", "u-9", "t-2"),
        None,
        pseudonym("owner", "u-9", "t-1"),
    ]


def test_elements_of_elements_belong_to_the_event() -> None:
    files = [{"marks": [{"at": 1}, {"at": 2}]}, {}, {"marks": [{"at": 3}]}]
    first, second = event(1, files=files), event(2, files=[{"marks": [{"at": 4}]}])
    made = taken(first, second)
    ids = [row["event_id"] for row in made.rows(TABLE)]
    assert [(row["event_id"], row["position"], row["at"]) for row in made.rows(MARKS)] == [
        *((ids[0], 0, 1), (ids[0], 1, 2), (ids[0], 0, 3)),
        (ids[1], 0, 4),
    ]


def test_lists_of_identifiers_are_pseudonyms_under_their_rows_tenant() -> None:
    events = (event(1, friends=["u-1", "u-2"]), event(2), event(3, tenant_id="t-2", friends=["u-1", 5]))
    found = [row["friends"] for row in taken(*events).rows(TABLE)]
    kind = "cofferdam.user_id"
    assert found == [
        [pseudonym(kind, "u-1"), pseudonym(kind, "u-2")],
        None,
        [pseudonym(kind, "u-1", "t-2"), pseudonym(kind, "5", "t-2")],
    ]


# Company changes nothing.


def shown(made: Taken) -> dict[str, list[str]]:
    """All that was made of events, in an order of its own."""
    tables: dict[str, list[str]] = {"roster": made.roster()}  # type: ignore[dict-item]
    for group in made.groups:
        for name, rows in group.telemetry.items():
            tables.setdefault(name, []).extend(rows.to_pylist())
    for cut in made.cuts():
        for item_id, framed in zip(cut.item_ids, cut.framed.to_pylist(), strict=True):
            parts = sorted(unframe_parts(split_prefixed(framed)[0]))
            tables.setdefault("sealed", []).append(f"{item_id.tobytes().hex()} {parts}")
        tables.setdefault("items", []).extend(cut.rows.to_pylist() if cut.rows is not None else [])
    return {name: sorted(map(repr, rows)) for name, rows in tables.items() if rows}


@settings(max_examples=60)
@given(events=blocks())
def test_an_event_gives_the_same_alone_and_in_company(events: list[dict[str, Any]]) -> None:
    alone: dict[str, list[str]] = {}
    for single in events:
        for name, rows in shown(taken(single)).items():
            alone[name] = sorted([*alone.get(name, []), *rows])
    assert shown(taken(*events)) == alone
