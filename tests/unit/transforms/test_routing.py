"""Records find the contract that their own type names, in any spelling; what no contract claims is held."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.contract import EventShape
from tests.unit.transforms.separator_samples import bundled, separator, take
from transforms.routing import NOT_AN_EVENT, UNKNOWN_TYPE, Router

AUTO = Router(bundled())
CHAT = "io.cofferdam.chat.message.sent.v1"


def claimed(record: bytes, router: Router = AUTO) -> EventShape | None:
    routes = router.route([record])
    assert sum(len(indexes) for _, indexes in routes.groups) + len(routes.unknown) == 1
    return routes.groups[0][0] if routes.groups else None


def table(record: bytes, source: str = "auto") -> str | None:
    found = claimed(record, Router(bundled(), source))
    return found.table if found else None


def record_of(source: str, event: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
    more = more or {}
    if source == "zoom":
        return {"event": event, **more}
    if source == "cofferdam":
        return {"specversion": "1.0", "id": "1", "source": "s", "type": event, **more}
    return {"msg_type": int(event), **more}


EVENTS = sorted(bundled().by_event)
_styles = st.tuples(
    st.sampled_from([None, (",", ":"), (" , ", " : ")]), st.booleans(), st.booleans(), st.booleans()
)


@given(key=st.sampled_from(EVENTS), style=_styles)
def test_every_known_event_finds_its_shape_in_any_spelling(
    key: tuple[str, str], style: tuple[Any, bool, bool, bool]
) -> None:
    separators, turned, escaped, indented = style
    made = record_of(*key, {"payload": {"event": "other", "type": "x"}})
    text = json.dumps(dict(reversed(made.items())) if turned else made, separators=separators)
    if escaped:
        text = text.replace('"event"', '"\\u0065vent"').replace('"type"', '"t\\u0079pe"')
    if indented:
        text = "\n " + json.dumps(json.loads(text), indent=1) + " "
    for source in ("auto", key[0]):
        assert claimed(text.encode(), Router(bundled(), source)) is bundled().by_event[key]


def test_a_number_and_its_text_name_the_same_message() -> None:
    assert table(b'{"msg_type":17}') == table(b'{"msg_type":"17"}') is not None


def test_a_message_whose_number_is_text_keeps_its_type() -> None:
    made = take(b'{"msg_type":"17"}', b'{"msg_type":17}')
    assert made.held == []
    assert [dict(group.separated) for group in made.groups] == [{("zoom_rtms", "17"): 2}]
    assert [row["event_type"] for row in made.rows()] == ["17", "17"]
    assert made.sealed() == {}


def test_another_sources_type_is_not_claimed() -> None:
    zoom, cloud = b'{"event":"meeting.started"}', json.dumps(record_of("cofferdam", CHAT)).encode()
    assert table(zoom, "cofferdam") is table(zoom, "zoom_rtms") is table(cloud, "zoom") is None
    assert table(zoom) == table(zoom, "zoom") == "zoom_meeting"
    compact = json.dumps(record_of("cofferdam", CHAT), separators=(",", ":")).encode()
    assert table(compact, "zoom_rtms") is None
    assert table(compact) == table(compact, "cofferdam") == "cofferdam_chat"


@pytest.mark.parametrize(
    "record",
    [
        *(
            b'{"event":"no.such.event"}',
            b'{"event":"no.such.event","a":1}',
            b'{"event":5}',
            b'{"event":null}',
        ),
        *(b'{"event":["meeting.started"]}', b'{"event":"meeting.started "}', b'{"event":"Meeting.started"}'),
        *(
            b'{"payload":{"event":"meeting.started"}}',
            b'{"a":1}',
            b"{}",
            b'{"msg_type":1e3}',
            b'{"msg_type":999}',
        ),
        b'{"specversion":"1.0","id":"1","source":"s","type":"no.such"}',
        b'{"specversion":"1.0","id":"1","source":"s"}',
        b'{"specversion":"1.0","data":{"type":"%s"}}' % CHAT.encode(),
        b'{"specversion":"1.0","event":"meeting.started"}',
    ],
)
def test_a_type_that_no_contract_names_is_unknown(record: bytes) -> None:
    assert claimed(record) is None
    assert AUTO.why_unknown(record) == UNKNOWN_TYPE


def test_a_type_inside_an_events_data_does_not_route_it() -> None:
    inner = f'"data":{{"type":"{CHAT}"}}'
    head = '{"specversion":"1.0","id":"1","source":"s",'
    own = "io.cofferdam.meeting.started.v1"
    assert table(f'{head}"type":"{own}",{inner}}}'.encode()) == "cofferdam_meeting"
    assert table(f'{head}{inner},"type":"{own}"}}'.encode()) == "cofferdam_meeting"


@pytest.mark.parametrize(
    "own",
    ['"type":"Anna said something"', '"type":null', '"type":["x"]', '"a":"\\"type\\":\\"x"', '"other":1'],
)
def test_an_event_without_a_known_type_of_its_own_is_sealed_whole(own: str) -> None:
    record = f'{{"specversion":"1.0","id":"1","source":"s","data":{{"type":"{CHAT}","text":"x"}},{own}}}'
    made = take(record.encode())
    assert made.held == [UNKNOWN_TYPE]
    assert made.groups == []


def test_a_guess_that_is_wrong_ends_as_a_reject_and_never_under_the_wrong_contract() -> None:
    shape = bundled().by_event["cofferdam", CHAT]
    for own in ("io.cofferdam.meeting.started.v1", "Anna said something", "", None, 1.5, 2**70):
        record = json.dumps({**record_of("cofferdam", CHAT), "type": own}).encode()
        made = separator().separate(shape, [record])
        assert [entry.code for entry in made.held] == [NOT_AN_EVENT]
        assert not made.telemetry
        assert not made.separated


@pytest.mark.parametrize("record", [b"[]", b'["event"]', b'"meeting.started"', b"7", b"null", b"true"])
def test_what_is_no_object_is_no_event(record: bytes) -> None:
    assert claimed(record) is None
    assert AUTO.why_unknown(record) == NOT_AN_EVENT


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (b"", "NOT_JSON"),
        (b"{", "NOT_JSON"),
        (b'{"a":1}x', "NOT_JSON"),
        (b'{"a":"\xff"}', "INVALID_UTF8"),
        (b'{"a":1,"a":2}', "DUPLICATE_KEY"),
        (b"[" * 100 + b"]" * 100, "TOO_DEEP"),
        (b"[" * 100_000 + b"]" * 100_000, "TOO_DEEP"),
    ],
)
def test_malformed_records_say_what_is_wrong(record: bytes, code: str) -> None:
    assert claimed(record) is None
    assert AUTO.why_unknown(record) == code


_lines = st.one_of(
    st.sampled_from(EVENTS).map(lambda key: json.dumps(record_of(*key)).encode()), st.binary(max_size=30)
)


@given(records=st.lists(_lines, max_size=12))
def test_each_record_is_in_one_group_or_unknown(records: list[bytes]) -> None:
    routes = AUTO.route(records)
    indexes = [index for _, group in routes.groups for index in group] + routes.unknown
    assert sorted(indexes) == list(range(len(records)))
    assert len({shape.table for shape, _ in routes.groups}) == len(routes.groups)
    for shape, group in routes.groups:
        assert group == sorted(group)
        for index in group:
            assert claimed(records[index]) is shape
