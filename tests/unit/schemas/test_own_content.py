"""What is one person's alone is listed by hand, and the list fits the contracts."""

from __future__ import annotations

import pytest

from schemas.contract import ContractSet, load_contracts
from schemas.own_content import listed_fields, own_fields

OTHERS = ("recipient", "host", "manager", "collaborator", "topic", "title", "contact_email", "secret", "url")
"""What stands in the name of a field that may tell of somebody else, or opens something."""

HARMLESS = ("job_title", "custom_questions[].title", "vanity_url", "pic_url", "host_name")


@pytest.fixture(scope="module")
def contracts() -> ContractSet:
    return load_contracts()


def test_every_listed_field_is_sealed_by_its_contract(contracts: ContractSet) -> None:
    shapes = {(shape.contract, shape.table): shape for shape in contracts.shapes}
    for contract, table, name, events in listed_fields():
        shape = shapes[contract, table]
        assert set(events) <= set(shape.events), table
        assert name in own_fields(shape, (events or shape.events)[0]), (table, name)


def test_no_listed_field_tells_of_somebody_else() -> None:
    listed = [name for _, _, name, _ in listed_fields() if not name.endswith(HARMLESS)]
    assert [name for name in listed if any(word in name.lower() for word in OTHERS)] == []


def test_only_events_with_a_participant_have_an_owner(contracts: ContractSet) -> None:
    ownerless = [shape for shape in contracts.shapes if "participant" not in shape.envelope]
    assert ownerless
    assert not any(own_fields(shape, event) for shape in ownerless for event in shape.events)


@pytest.mark.parametrize(
    ("source", "event", "field"),
    [
        ("zoom", "team_chat.channel_message_deleted", "payload.object.message"),
        ("zoom", "team_chat.channel_reaction_added", "payload.object.message"),
        ("cofferdam", "io.cofferdam.poll.closed.v1", "data.results"),
        ("cofferdam", "io.cofferdam.summary.completed.v1", "data.text"),
        ("cofferdam", "io.cofferdam.screen_share.chunk.v1", "data.data"),
        ("zoom_rtms", "16", "content.data"),
        ("zoom", "recording.completed", "payload.object.topic"),
    ],
)
def test_what_others_may_have_made_is_nobodys_alone(
    contracts: ContractSet, source: str, event: str, field: str
) -> None:
    assert field not in own_fields(contracts.by_event[source, event], event)
