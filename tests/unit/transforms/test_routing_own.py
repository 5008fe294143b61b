"""Events of one's own need be no CloudEvents: what their contract says of them is what they are found by."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from schemas.contract import ContractSet, bundled_contract_files, load_contracts
from tests.unit.schemas.contract_samples import HEADER, written
from tests.unit.transforms.separator_samples import digester, spaces
from transforms.canary_events import canary_events
from transforms.canary_search import Stem
from transforms.routing import UNKNOWN_TYPE, Router
from transforms.separate import Held, Separator

PLAIN: dict[str, Any] = {"id": "1", "type": "call.quality", "time": "2026-03-02T10:00:00Z", "codec": "opus"}
DEEP = HEADER.replace("value: type}", "value: head.kind}").replace(
    "{name: type, logicalType: string, classification: envelope}",
    "{name: head, logicalType: object, properties: "
    "[{name: kind, logicalType: string, classification: envelope}]}",
)


@cache
def own(text: str = HEADER, *, bundled: bool = True) -> ContractSet:
    with tempfile.TemporaryDirectory() as folder:
        return load_contracts([*(bundled_contract_files() if bundled else ()), written(Path(folder), text)])


def table(contracts: ContractSet, record: dict[str, Any] | bytes, source: str = "auto") -> str | None:
    raw = record if isinstance(record, bytes) else json.dumps(record).encode()
    routes = Router(contracts, source).route([raw])
    return routes.groups[0][0].table if routes.groups else None


@pytest.mark.parametrize("source", ["auto", "cofferdam"])
def test_an_event_without_the_marks_of_a_cloud_event_finds_the_contract_that_names_it(
    source: str,
) -> None:
    contracts = own()
    assert table(contracts, PLAIN, source) == "call_quality"
    assert table(contracts, {"specversion": "1.0", **PLAIN}, source) == "call_quality"
    assert table(contracts, dict(reversed(PLAIN.items())), source) == "call_quality"


def test_a_contract_says_where_the_event_type_stands() -> None:
    contracts = own(DEEP)
    event = {**PLAIN, "head": {"kind": "call.quality"}}
    del event["type"]
    assert table(contracts, event) == table(contracts, event, "cofferdam") == "call_quality"
    assert table(contracts, event, "zoom") is None
    others: list[dict[str, Any]] = [
        PLAIN,
        {**PLAIN, "head": "call.quality"},
        {"kind": "call.quality"},
        {"head": {}},
    ]
    for other in others:
        assert table(contracts, other) is None
        assert Router(contracts).why_unknown(json.dumps(other).encode()) == UNKNOWN_TYPE


def test_a_cloud_event_needs_its_mark_all_the_same() -> None:
    chat = {"id": "1", "source": "s", "type": "io.cofferdam.chat.message.sent.v1"}
    assert table(own(), chat) is None
    assert table(own(), {"specversion": "1.0", **chat}) == "cofferdam_chat"


def test_what_another_source_claims_stays_its_own() -> None:
    contracts = own()
    assert table(contracts, {"event": "meeting.started", "type": "call.quality"}) == "zoom_meeting"
    assert table(contracts, PLAIN, "zoom") is table(contracts, PLAIN, "zoom_rtms") is None


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b"7", b'{"type":', b'{"type":"call.quality"', b'{"type":["call.quality"]}', b"\xff"],
)
@pytest.mark.parametrize("text", [HEADER, DEEP])
def test_what_cannot_be_read_is_held_as_ever(record: bytes, text: str) -> None:
    assert table(own(text), record) is None


def test_such_an_event_is_taken_apart_and_one_with_two_types_is_refused() -> None:
    separator = Separator(own(DEEP), "auto", spaces(), digester())
    good = b'{"head":{"kind":"call.quality"},"id":"1","codec":"opus","topic":"Plans"}'
    twice = b'{"head":{"kind":"call.quality"},"head":{"kind":"x"}}'
    ((shape, rows),), held = separator.route([good, twice])
    assert (shape.table, rows, held) == ("call_quality", [0], [Held(1, "DUPLICATE_KEY")])
    made = separator.separate(shape, [good])
    assert dict(made.separated) == {("cofferdam", "call.quality"): 1}
    assert made.held == []


@pytest.mark.parametrize("text", [HEADER, DEEP])
def test_canaries_of_such_a_contract_find_it(text: str) -> None:
    contracts = own(text, bundled=False)
    events = list(canary_events(contracts, Stem("abcdefghijklmn", "12345678901"), 2))
    assert [table(contracts, event) for event in events] == ["call_quality"] * 2


def test_no_contract_that_comes_with_cofferdam_needs_it() -> None:
    contracts = load_contracts()
    assert [
        key for key in contracts.by_event if table(contracts, {"type": key[1], "event": {}}) is not None
    ] == []
