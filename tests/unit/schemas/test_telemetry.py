"""Telemetry tables are made from the contract alone: names, types, units, lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cells import arrow_cell_type
from schemas.classification import Lane, Protection
from schemas.contract import Cut, Field, ObjectNode, load_contracts
from schemas.tables import TIME, fact, lane_of_column, telemetry_columns
from schemas.telemetry import (
    all_telemetry_tables,
    array_of,
    arrow_type,
    telemetry_tables,
)
from tests.unit.transforms.feature_contract import shape
from transforms.protect import keep

CONTRACTS = load_contracts()
TABLES = {table.name: table for table in telemetry_tables(shape())}


def entry(logical_type: str = "string", **more: Any) -> Field:
    made: dict[str, Any] = {
        "path": ("a",),
        "classification": "metadata",
        "protection": Protection.KEEP,
        **more,
    }
    return Field(logical_type=logical_type, **made)


def test_an_array_with_columns_has_a_table_of_its_own() -> None:
    assert {name: table.array for name, table in TABLES.items()} == {
        "telemetry/visits": (),
        "telemetry/visits__files": ("data", "files"),
        "telemetry/visits__files_marks": ("data", "files", "[]", "marks"),
    }


def test_every_table_begins_with_the_same_columns() -> None:
    standard = telemetry_columns()
    for table in TABLES.values():
        assert list(table.schema)[: len(standard)] == standard
        own = [column.column for column in table.columns]
        place = ["position"] if table.array else []
        assert table.schema.names[len(standard) :] == [*place, *own]
    files = TABLES["telemetry/visits__files"].schema
    assert files.field("position").type == pa.int32()
    assert not files.field("position").nullable
    assert files.names[len(standard) + 1 :] == ["media", "size", "owner"]


def test_a_column_says_its_type_unit_and_lane() -> None:
    schema = TABLES["telemetry/visits"].schema
    assert schema.field("count").type == pa.int64()
    assert schema.field("began").type == TIME
    assert fact(schema.field("began"), "unit") == "ms since 1970 UTC"
    assert fact(TABLES["telemetry/visits__files"].schema.field("size"), "unit") == "bytes"
    assert schema.field("friends").type == pa.list_(pa.field("element", pa.string()))
    assert schema.field("consent_refuses").type == pa.bool_()
    assert {
        name: fact(schema.field(name), "classification") for name in ("count", "why", "ip", "friends")
    } == {
        "count": "service.usage",
        "why": "service.usage",
        "ip": "metadata",
        "friends": "identifier.pseudonymous",
    }


@pytest.mark.parametrize("table", all_telemetry_tables(CONTRACTS).values(), ids=lambda table: table.name)
def test_no_bundled_table_has_a_column_of_content(table: Any) -> None:
    assert len(set(table.schema.names)) == len(table.schema.names)
    for column in table.schema:
        assert lane_of_column(column) != Lane.CONTENT, column.name
        assert fact(column, "description")
    for field in table.columns:
        assert field.column
        sealed = field.protection in (Protection.SEAL, Protection.DROP)
        assert not sealed or field.cut is not None


def test_every_bundled_shape_has_its_tables() -> None:
    tables = all_telemetry_tables(CONTRACTS)
    assert {f"telemetry/{entry.table}" for entry in CONTRACTS.shapes} <= set(tables)
    assert all(name == table.name for name, table in tables.items())


@pytest.mark.parametrize(
    ("protection", "classification", "shown"),
    [
        (Protection.PSEUDONYM, "identifier.direct", "identifier.pseudonymous"),
        (Protection.PSEUDONYM, "identifier.meeting", "identifier.meeting"),
        (Protection.TRUNCATE_IP, "identifier.direct", "metadata"),
        (Protection.KEEP, "service.telemetry", "service.telemetry"),
    ],
)
def test_a_protected_identifier_is_no_direct_one_any_more(
    protection: Protection, classification: str, shown: str
) -> None:
    field = entry(protection=protection, classification=classification, column="a")
    (table,) = telemetry_tables(replace(shape(), root=ObjectNode({"a": field})))
    assert fact(table.schema.field("a"), "classification") == shown


@pytest.mark.parametrize(
    ("path", "array"),
    [
        (("a", "b"), ()),
        (("a", "[]", "b"), ("a",)),
        (("a", "[]", "b", "c"), ("a",)),
        (("a", "[]", "b", "[]", "c"), ("a", "[]", "b")),
    ],
)
def test_a_field_belongs_to_the_innermost_array(path: tuple[str, ...], array: tuple[str, ...]) -> None:
    assert array_of(path) == array


_accepts = st.sampled_from([(), ("string",), ("boolean", "string"), ("integer", "string")])
_bounds = {"is_list": st.booleans(), "minimum": st.just(0), "maximum": st.just(9)}
_epochs = st.sampled_from(["ms since 1970 UTC", "s since 1970 UTC"])
_units = st.sampled_from([None, "ms", "percent"])
_forms = st.sampled_from([None, "number_with_unit", "numeric_string"])
_kept = st.one_of(
    st.builds(
        entry, st.just("string"), accepts=_accepts, pattern=st.just("a"), max_length=st.just(9), **_bounds
    ),
    st.builds(entry, st.just("boolean"), accepts=_accepts, **_bounds),
    st.builds(entry, st.sampled_from(["integer", "number"]), accepts=_accepts, unit=_units, **_bounds),
    st.builds(entry, st.sampled_from(["integer", "number"]), text_form=_forms, unit=_units, **_bounds),
    st.builds(entry, st.sampled_from(["integer", "timestamp"]), unit=_epochs, accepts=_accepts, **_bounds),
    st.builds(entry, st.just("timestamp"), **_bounds),
)


@given(field=_kept)
def test_what_is_kept_has_the_type_of_its_column(field: Field) -> None:
    empty = pa.array([None, None], arrow_cell_type(field))
    assert keep(field, empty).array.type == arrow_type(field)


def test_a_counted_time_is_a_time_in_its_table() -> None:
    field = entry("integer", unit="s since 1970 UTC", column="a")
    (table,) = telemetry_tables(replace(shape(), root=ObjectNode({"a": field})))
    assert table.schema.field("a").type == TIME
    assert fact(table.schema.field("a"), "unit") == "ms since 1970 UTC"


@pytest.mark.parametrize("protection", [Protection.PSEUDONYM, Protection.TRUNCATE_IP, Protection.SEAL])
def test_what_is_not_kept_is_text(protection: Protection) -> None:
    assert arrow_type(entry("integer", protection=protection)) == pa.string()
    assert arrow_type(entry("timestamp", protection=protection, cut=Cut("x", ("y",)))) == pa.string()
