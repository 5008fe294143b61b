"""Whose meeting telemetry is about: through common event ids, or nobody's."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from schemas.contract import load_contracts
from schemas.tables import ROSTER, column, telemetry_columns
from schemas.telemetry import all_telemetry_tables
from transforms.meeting_joins import packed, unpacked
from transforms.telemetry_scopes import (
    _KNOWN_SCHEMA,
    _SEEN_SCHEMA,
    _linked,
    _scopes,
    kind_of_table,
)

Row = dict[str, Any]


def seen(event_id: str, table: str = "a", meeting: str | None = "tm", participant: str | None = None) -> Row:
    known = {"kind": "call_detail", "tenant": "tt", "meeting": meeting, "participant": participant}
    return {"event_id": event_id, "table": table, **known}


def known(event_id: str, meeting: str = "m", event: str = "join", piece: str | None = None) -> Row:
    places = {"tenant_join": "t", "meeting_join": meeting}
    return {"event_id": event_id, **places, "event": event, "piece_join": piece}


def scopes(telemetry: list[Row], links: list[Row]) -> dict[str, Row]:
    """Scopes by table, out of one shard of events."""
    contents = [
        (False, packed(pa.Table.from_pylist(telemetry, _SEEN_SCHEMA))),
        (True, packed(pa.Table.from_pylist(links, _KNOWN_SCHEMA))),
    ]
    by_pair: dict[Any, list[Any]] = {}
    for pair, found in _linked(("00", contents), 2):
        by_pair.setdefault(pair, []).append(found)
    made = [
        row
        for keyed in by_pair.items()
        for _, content in _scopes(keyed, 2)
        for row in unpacked(content).to_pylist()
    ]
    return {row["table"]: row for row in made}


def test_an_event_id_in_both_worlds_links_the_whole_meeting() -> None:
    found = scopes([seen("e1"), seen("e2"), seen("e3", "b")], [known("e1")])
    assert [(row["rows"], row["meeting_join"], row["tenant_join"]) for row in found.values()] == [
        (2, "m", "t"),
        (1, "m", "t"),
    ]


@pytest.mark.parametrize(
    "links", [[], [known("other")], [known("e1"), known("e2", "m2")], [known("e1"), known("e1", "m2")]]
)
def test_without_a_link_or_with_two_it_is_nobodys(links: list[Row]) -> None:
    found = scopes([seen("e1"), seen("e2")], links)
    assert (found["a"]["meeting_join"], found["a"]["tenant_join"], found["a"]["rows"]) == (None, None, 2)


def test_rows_of_no_meeting_are_nobodys() -> None:
    assert scopes([seen("e1", meeting=None)], [known("e1")])["a"]["meeting_join"] is None


def test_somebody_who_is_not_on_the_roster_leaves_the_table_to_nobody() -> None:
    telemetry = [
        seen("e1", "joins", participant="p"),
        seen("e2", participant="p"),
        seen("e3", "b", participant="q"),
    ]
    found = scopes(telemetry, [known("e1")])
    assert (found["a"]["meeting_join"], found["b"]["meeting_join"]) == ("m", None)


def test_a_table_is_told_of_the_messages_that_its_rows_lie_beside() -> None:
    messages = [known("e1", event="", piece="p1"), known("e3", event="", piece="p3"), known("e1", piece="p1")]
    found = scopes([seen("e1"), seen("e2"), seen("e3"), seen("e4", "b")], messages)
    assert (found["a"]["pieces"], found["b"]["pieces"]) == (["p1", "p3"], [])


@pytest.mark.parametrize("event", ["start", "end", ""])
def test_only_who_came_is_on_the_roster(event: str) -> None:
    telemetry = [seen("e1", "joins", participant="p"), seen("e2", participant="p")]
    assert scopes(telemetry, [known("e1", event=event)])["a"]["meeting_join"] is None


def test_a_scope_has_an_id_of_its_own() -> None:
    found = scopes([seen("e1"), seen("e2", "b")], [known("e1")])
    again = scopes([seen("e2", "b"), seen("e1"), seen("e4")], [])
    assert found["a"]["scope_id"] == again["a"]["scope_id"] != found["b"]["scope_id"]


@pytest.mark.parametrize(
    ("classes", "kind"),
    [
        ((), "call_detail"),
        (("metadata", "identifier.pseudonymous", "envelope"), "call_detail"),
        (("service.telemetry", "metadata"), "quality_stat"),
        (("service.telemetry", "service.usage"), "feature_usage"),
        (("service.usage", "service.diagnostics"), "network_diag"),
    ],
)
def test_a_table_is_of_the_kind_of_its_strictest_column(classes: tuple[str, ...], kind: str) -> None:
    own = [column(f"c{at}", pa.string(), "", classification=name) for at, name in enumerate(classes)]
    assert kind_of_table(pa.schema([*telemetry_columns(), *own])) == kind


def test_every_table_of_the_contracts_has_a_kind_of_the_service_lane() -> None:
    from schemas.consent_sets import METADATA_KINDS, SERVICE_KINDS

    tables = all_telemetry_tables(load_contracts()).values()
    assert {kind_of_table(table.schema) for table in tables} <= {*METADATA_KINDS, *SERVICE_KINDS}
    assert ROSTER not in {table.name for table in tables}
