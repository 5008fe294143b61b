from __future__ import annotations

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from schemas.bigquery import (
    INGESTION_TIME,
    OFFERED,
    Field,
    cluster_columns,
    ddl,
    fields_of,
    is_offered,
    partition_column,
    schema_from,
    table_name,
)
from schemas.contract import load_contracts
from schemas.errors import PromiseBroken
from schemas.tables import DECISION_CLASSES, FIXED_TABLES, LEDGER, QUARANTINE_ITEMS, RELEASED, column
from schemas.telemetry import all_telemetry_tables

TABLES = {name: table.schema for name, table in all_telemetry_tables(load_contracts()).items()} | {
    name: FIXED_TABLES[name] for name in OFFERED
}


def widened(kind: pa.DataType) -> pa.DataType:
    """The type in which BigQuery gives values back."""
    if pa.types.is_list(kind):
        return pa.list_(widened(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(child.name, widened(child.type), child.nullable) for child in kind])
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind):
        return pa.float64()
    if pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind


@pytest.mark.parametrize("table", TABLES)
def test_types_come_back_as_they_went_but_for_their_width(table: str) -> None:
    schema = TABLES[table]
    expected = pa.schema(
        [
            pa.field(field.name, widened(field.type), field.nullable or pa.types.is_list(field.type))
            for field in schema
        ]
    )
    assert schema_from(fields_of(schema)).equals(expected)


def sql_types(field: Field) -> str:
    """The type of a column, as sqlglot writes it."""
    kind = field["type"]
    if kind == "STRUCT":
        inside = [f"{child['name']} {sql_types(child)}" for child in field["fields"]]
        kind = f"STRUCT<{', '.join(inside)}>"
    return f"ARRAY<{kind}>" if field["mode"] == "REPEATED" else kind


@pytest.mark.parametrize("table", TABLES)
def test_the_statement_is_googlesql_and_says_what_the_json_schema_says(table: str) -> None:
    (statement,) = sqlglot.parse(ddl("p-1.analytics", table, TABLES[table]), dialect="bigquery")
    assert isinstance(statement, exp.Create)
    assert not list(statement.find_all(exp.Command))
    columns = statement.this.expressions
    assert [made.name for made in columns] == [field["name"] for field in fields_of(TABLES[table])]
    kinds = {made.name: made.args["kind"].copy() for made in columns}
    for kind in kinds.values():
        for constraint in list(kind.find_all(exp.ColumnConstraint)):
            constraint.pop()
    said = {name: kind.sql(dialect="bigquery").replace("`", "") for name, kind in kinds.items()}
    assert said == {field["name"]: sql_types(field) for field in fields_of(TABLES[table])}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_described(table: str) -> None:
    fields = fields_of(TABLES[table])
    assert all(field.get("description") for field in fields)
    assert all(len(field["description"]) <= 1024 for field in fields)
    assert ddl("d", table, TABLES[table]).count("OPTIONS (description") > len(fields)


@pytest.mark.parametrize("table", [table for table in TABLES if table.startswith("telemetry/")])
def test_telemetry_is_partitioned_by_day_and_clustered_by_tenant_and_meeting(table: str) -> None:
    assert partition_column(TABLES[table]) == "event_time"
    assert cluster_columns(TABLES[table])[:2] == ["tenant", "meeting"]
    assert "PARTITION BY TIMESTAMP_TRUNC(event_time, DAY)\nCLUSTER BY `tenant`, `meeting`" in ddl(
        "d", table, TABLES[table]
    )


def test_what_has_no_time_is_partitioned_by_when_it_was_loaded() -> None:
    assert partition_column(FIXED_TABLES[LEDGER]) == INGESTION_TIME
    assert "PARTITION BY _PARTITIONDATE\nCLUSTER BY" in ddl("d", LEDGER, FIXED_TABLES[LEDGER])
    assert partition_column(FIXED_TABLES[DECISION_CLASSES]) == "as_of"


def test_no_two_tables_have_one_name() -> None:
    assert len({table_name(table) for table in TABLES}) == len(TABLES)


def test_nothing_sealed_and_nothing_released_goes() -> None:
    assert not [table for table in FIXED_TABLES if is_offered(table) and table not in OFFERED]
    assert not is_offered(QUARANTINE_ITEMS)
    assert not is_offered(RELEASED)
    assert not is_offered("roster")


@pytest.mark.parametrize(
    "field",
    [
        pa.field("a", pa.uint64()),
        pa.field("a", pa.timestamp("ns", tz="UTC")),
        pa.field("a", pa.timestamp("ms")),
        pa.field("a", pa.list_(pa.list_(pa.string()))),
        pa.field("a b", pa.string()),
        pa.field("_partitiontime", pa.string()),
    ],
)
def test_what_bigquery_does_not_have_is_refused(field: pa.Field) -> None:
    with pytest.raises(PromiseBroken, match="BIGQUERY_TYPE"):
        fields_of(pa.schema([field]))


def test_words_are_quoted() -> None:
    text = 'a "quoted" \\ word; DROP TABLE x'
    statement = ddl("d", "telemetry/t", pa.schema([column("tenant", pa.string(), text)]))
    (parsed,) = sqlglot.parse(statement, dialect="bigquery")
    assert parsed is not None
    assert f"{text}." in [literal.this.split(" Lane:")[0] for literal in parsed.find_all(exp.Literal)]
