"""The catalogue says where each field travels once it is protected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from schemas.contract import load_contracts
from schemas.contract_catalogue import CatalogueEntry, catalogue, catalogue_markdown, entries_of
from tests.unit.schemas.contract_samples import HEADER, field, prop, with_field, written


def entries(folder: Path, text: str) -> dict[str, CatalogueEntry]:
    (shape,) = load_contracts([written(folder, text)]).shapes
    return {entry.field: entry for entry in entries_of(shape)}


def test_a_kept_number_shows_unit_bounds_and_column(tmp_path: Path) -> None:
    entry = entries(tmp_path, HEADER)["jitter"]
    assert (entry.lane, entry.protection, entry.kind) == ("service", "keep", "")
    assert (entry.unit, entry.bounds, entry.column) == ("ms", "0 to 60000", "call_quality.jitter")


def test_the_envelope_shows_its_roles(tmp_path: Path) -> None:
    found = entries(tmp_path, HEADER)
    assert {name: found[name].column for name in ("id", "type", "user", "call")} == {
        "id": "envelope: id",
        "type": "envelope: type",
        "user": "envelope: participant",
        "call": "envelope: meeting",
    }
    assert found["user"].identifies == "cofferdam.user_id"


@pytest.mark.parametrize(
    ("label", "protection", "lane", "kind", "column"),
    [
        ("metadata", "seal", "content", "unclassified", ""),
        ("secret", "drop", "none", "", ""),
        ("identifier.direct", "seal", "content", "identity", ""),
        ("identifier.direct", "truncate_ip", "metadata", "", "call_quality.x"),
        ("content.chat", "seal", "content", "chat", ""),
    ],
)
def test_the_lane_follows_the_protection(
    tmp_path: Path, label: str, protection: str, lane: str, kind: str, column: str
) -> None:
    text = with_field(field("x", "string", label, prop("protection", protection)))
    entry = entries(tmp_path, text)["x"]
    assert (entry.lane, entry.kind, entry.column) == (lane, kind, column)


def test_elements_of_an_array_have_a_table_of_their_own(tmp_path: Path) -> None:
    leaf = "{name: ok, logicalType: boolean, classification: service.telemetry}"
    array = f"{{name: legs, logicalType: array, items: {{logicalType: object, properties: [{leaf}]}}}}"
    assert entries(tmp_path, with_field(array))["legs[].ok"].column == "call_quality__legs.ok"


def test_a_kind_that_a_sibling_decides_is_shown_with_it(tmp_path: Path) -> None:
    rule = prop("kindBy", "{field: codec, map: {opus: audio, vp9: video}}")
    text = with_field(field("x", "string", "content.unclassified", rule))
    assert entries(tmp_path, text)["x"].kind == "by codec: audio, unclassified, video"


def test_a_fragment_is_shown_in_the_bounds(tmp_path: Path) -> None:
    rule = prop("cut", "{after: 'Reason: ', values: [left, removed]}")
    text = with_field(field("x", "string", "identifier.direct", rule))
    assert entries(tmp_path, text)["x"].bounds == "after 'Reason: ': one of left, removed"


def test_the_catalogue_names_every_field_in_json_and_markdown(tmp_path: Path) -> None:
    text = with_field(field("x", "string", "metadata", options='pattern: "a|b", maxLength: 1'))
    shapes = load_contracts([written(tmp_path, text)]).shapes
    (table,) = catalogue(shapes)
    found: list[dict[str, Any]] = table["fields"]
    assert [entry["field"] for entry in found] == [entry.dotted for entry in shapes[0].fields]
    page = catalogue_markdown(shapes)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(found)
    assert "/a\\|b/" in page


def test_an_identifier_says_whose_and_an_empty_value_is_seen(tmp_path: Path) -> None:
    whose = field("x", "string", "identifier.pseudonymous", prop("identifies", "zoom.user_id"))
    person = with_field(whose)
    assert entries(tmp_path, person)["x"].identifies == "zoom.user_id"
    assert "| zoom.user_id |" in catalogue_markdown(load_contracts([written(tmp_path, person)]).shapes)
    closed = with_field(field("x", "string", "service.usage", prop("values", "[new, '']")))
    assert entries(tmp_path, closed)["x"].bounds == "one of new, (empty)"
