"""An event's id in the tables is the identity by which duplicates were found, whatever the event looks like.

The input is read twice, and each pass finds identities in its own way. Where they differ, two events that
were told apart could share an item id, and one could take the other's place.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transforms.separator_samples import digester, line, take

CHAT = "io.cofferdam.chat.message.sent.v1"
_odd = st.sampled_from(["7", "", "ä", 7, -7, None, True, 1.5, 2**64, ["7"], {"tenant_id": "7"}])
_member = st.one_of(st.just("7"), st.just("7"), _odd)
_data = st.fixed_dictionaries(
    {}, optional={"tenant_id": _member, "meeting_id": st.just("m"), "extra": _member, "text": st.just("x")}
)
_events = st.fixed_dictionaries(
    {"type": st.just(CHAT)},
    optional={
        "specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3", 1]),
        "id": _member,
        "source": _member,
        "tenant_id": _member,
        "time": st.just("2026-03-01T10:00:00Z"),
        "data": st.one_of(_data, _data, _member),
    },
)
_whole = {"specversion": "1.0", "id": "7", "source": "urn:a", "type": CHAT, "data": {"tenant_id": "7"}}


@pytest.mark.parametrize(
    "change",
    [
        *({}, {"data": {"tenant_id": 7}}, {"data": {}}, {"data": None}, {"id": 7}, {"source": None}),
        *({"specversion": 1}, {"specversion": "0.3"}, {"specversion": None}, {"tenant_id": "8"}),
        {"data": {"extra": {"tenant_id": "8"}, "tenant_id": "7"}},
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_both_passes_agree_about_an_event_that_is_nearly_whole(change: dict[str, Any], escaped: bool) -> None:
    event = {key: value for key, value in {**_whole, **change}.items() if value is not None}
    assert_both_agree(event, escaped)


def assert_both_agree(event: dict[str, Any], escaped: bool) -> None:
    record = line(event)
    if escaped:
        record = record.replace(b'"specversion"', b'"spec\\u0076ersion"')
    assert ids_in_tables([record], source="cofferdam") == identities([record])


def identities(records: list[bytes]) -> list[str]:
    return sorted(row.tobytes().hex() for row in digester().identities(records).ids)


def ids_in_tables(records: list[bytes], source: str = "auto") -> list[str]:
    taken = take(*records, source=source)
    assert taken.held == []
    return sorted(row["event_id"] for row in taken.rows("cofferdam_chat"))


@given(event=_events, escaped=st.booleans())
def test_both_passes_agree_about_any_event(event: dict[str, Any], escaped: bool) -> None:
    assert_both_agree(event, escaped)


@given(events=st.lists(_events, min_size=2, max_size=4))
def test_both_passes_agree_about_events_that_come_together(events: list[dict[str, Any]]) -> None:
    records = [line(event) for event in events]
    assert ids_in_tables(records, source="cofferdam") == identities(records)
