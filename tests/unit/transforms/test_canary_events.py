"""Events of canaries: of every type, with a token in every field that is not service data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.classification import Protection
from schemas.contract import ArrayNode, ContractSet, EventShape, Field, Node, ObjectNode, load_contracts
from tests.unit.transforms.separator_samples import separator
from transforms.canary_events import canary_events
from transforms.canary_search import Stem
from transforms.reserved_tenant import RESERVED, RESERVED_TENANT
from transforms.routing import Router

STEM = Stem("abcdefghijklmn", "12345678901")


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts()


@pytest.fixture(scope="module")
def events(contracts: ContractSet) -> list[bytes]:
    types = sum(len(shape.events) for shape in contracts.shapes)
    return list(canary_events(contracts, STEM, types))


def test_every_event_type_is_there_once(contracts: ContractSet, events: list[bytes]) -> None:
    routes = Router(contracts).route(events)
    assert routes.unknown == []
    assert {shape.table for shape, _ in routes.groups} == {shape.table for shape in contracts.shapes}
    assert {shape.table: len(rows) for shape, rows in routes.groups} == {
        shape.table: len(shape.events) for shape in contracts.shapes
    }


def test_no_token_stands_twice_but_the_name_of_the_unknown_field(events: list[bytes]) -> None:
    found = [token for event in events for token in sorted(STEM.tokens_in(event))]
    repeated = {token for token in found if found.count(token) > 1}
    assert len(repeated) == 1
    assert len(found) > 5000


def values_at(node: Node, value: Any) -> Iterator[tuple[Field, Any]]:
    """The fields of an event with their values."""
    if isinstance(node, Field):
        yield node, value
    elif isinstance(node, ArrayNode):
        for item in value or ():
            yield from values_at(node.items, item)
    elif isinstance(node, ObjectNode):
        for key, child in node.children.items():
            yield from values_at(child, (value or {}).get(key))


def must_hold_a_token(shape: EventShape, entry: Field) -> bool:
    kept = entry.protection is Protection.KEEP or entry.logical_type in ("boolean", "timestamp")
    return not kept and entry.path != shape.type_at


def test_every_field_that_is_not_service_data_holds_a_token(
    contracts: ContractSet, events: list[bytes]
) -> None:
    empty, full = [], 0
    for shape, rows in Router(contracts).route(events).groups:
        for row in rows:
            for entry, value in values_at(shape.root, json.loads(events[row])):
                if must_hold_a_token(shape, entry):
                    full += 1
                    if not STEM.tokens_in(json.dumps(value).encode()):
                        empty.append((shape.table, entry.dotted))
    assert empty == []
    assert full > 4000


def test_their_tenant_is_the_reserved_one(contracts: ContractSet, events: list[bytes]) -> None:
    worker = separator(contracts)
    for shape, rows in Router(contracts).route(events).groups:
        made = worker.separate(shape, [events[row] for row in rows])
        places = list(range(len(rows))) if "tenant" in shape.envelope else []
        assert [(held.index, held.code) for held in made.held] == [(at, RESERVED) for at in places]


def test_the_same_stem_gives_the_same_events(contracts: ContractSet, events: list[bytes]) -> None:
    assert list(canary_events(contracts, STEM, 10)) == events[:10]
    other = canary_events(contracts, Stem("nmlkjihgfedcba", "22345678901"), 10)
    assert not set(other) & set(events)


@pytest.mark.parametrize("source", ["zoom", "zoom_rtms", "cofferdam"])
def test_only_types_of_a_source_are_made(source: str, contracts: ContractSet) -> None:
    made = list(canary_events(contracts, STEM, 30, source))
    routes = Router(contracts, source).route(made)
    assert len(made) == 30
    assert {shape.source for shape, _ in routes.groups} == {source}


def test_none_are_made_of_nothing() -> None:
    assert list(canary_events(ContractSet(()), STEM, 5)) == []


# --- the reserved tenant ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tenant", "reserved"),
    [
        (f'"{RESERVED_TENANT}"', True),
        (f'"{RESERVED_TENANT}:more"', True),
        (r'"\u0075rn:cofferdam:canary"', True),
        (r'"urn\u003acofferdam\u003Acanary"', True),
        ('"t-1"', False),
        (f'"x{RESERVED_TENANT}"', False),
        (f'["{RESERVED_TENANT}"]', False),
        ("7", False),
    ],
)
@pytest.mark.parametrize("number", [1, 70])
def test_the_reserved_tenant_is_known_however_it_is_written(
    tenant: str, reserved: bool, number: int, contracts: ContractSet
) -> None:
    shape = contracts.by_event["cofferdam", "io.cofferdam.chat.message.sent.v1"]
    records = [_chat(at, b'"t-1"') for at in range(2 * number + 2)]
    records[number] = _chat(number, tenant.encode())
    records[-1] = b"no json"
    made = separator(contracts).separate(shape, records)
    assert [(held.index, held.code) for held in made.held] == [
        (len(records) - 1, "NOT_JSON"),
        *([(number, RESERVED)] if reserved else []),
    ]
    taken = sorted(set(range(len(records) - 1)) - ({number} if reserved else set()))
    assert sorted(made.separated_rows) == taken
    assert made.telemetry[f"telemetry/{shape.table}"].num_rows == len(taken)


def test_canaries_themselves_are_taken(contracts: ContractSet, events: list[bytes]) -> None:
    worker = separator(contracts)
    for shape, rows in Router(contracts).route(events).groups:
        made = worker.separate(shape, [events[row] for row in rows], from_outside=False)
        assert RESERVED not in {held.code for held in made.held}


def _chat(number: int, tenant: bytes) -> bytes:
    return (
        b'{"specversion":"1.0","id":"%d","source":"/p","type":"io.cofferdam.chat.message.sent.v1",'
        b'"time":"2026-03-02T08:00:17Z","data":{"tenant_id":%s,"meeting_id":"m","text":"urn:cofferdam:canary"}}'
    ) % (number, tenant)
