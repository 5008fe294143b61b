"""The tables of a store as BigQuery declares them, made of the same Arrow schemas.

Types are widened where BigQuery has only one of a kind (all integers are INT64, all floats FLOAT64, all bytes
BYTES) and never narrowed, so a file of the store loads as it is. A list is a REPEATED column, in which null
and empty are the same. Descriptions, units and lanes go along.

Source: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet (type conversions).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa

from schemas.errors import PromiseBroken
from schemas.tables import (
    DECISION_CLASSES,
    DECISION_EXPORTS,
    DECISION_ITEMS,
    DECISION_TELEMETRY,
    LEDGER,
    TELEMETRY,
    TELEMETRY_EXPORTS,
    fact,
)

OFFERED: Final = (
    DECISION_CLASSES,
    DECISION_ITEMS,
    DECISION_TELEMETRY,
    DECISION_EXPORTS,
    TELEMETRY_EXPORTS,
    LEDGER,
)
"""Tables that go to BigQuery, beside telemetry. Nothing that is sealed, and nothing that was released."""

INGESTION_TIME: Final = "_PARTITIONTIME"
"""What a table without a time of its own is partitioned by: when it was loaded."""

_TIMES: Final = ("event_time", "as_of")
_CLUSTERS: Final = (
    "tenant",
    "meeting",
    "event_type",
    "participant",
    "purpose",
    "recipient",
    "decision",
    "run_id",
    "source",
    "outcome",
)
_MOST_CLUSTERS: Final = 4
_LONGEST_DESCRIPTION: Final = 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,299}")
_RESERVED: Final = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")

_TO_ARROW: Final[Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "STRING": pa.string(),
        "BOOL": pa.bool_(),
        "INT64": pa.int64(),
        "FLOAT64": pa.float64(),
        "BYTES": pa.binary(),
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us", tz="UTC"),
    }
)

Field = dict[str, Any]


def is_offered(table: str) -> bool:
    """Whether a table of a store goes to BigQuery."""
    return table in OFFERED or table.startswith(f"{TELEMETRY}/")


def table_name(table: str) -> str:
    """A table's name as BigQuery can hold it, such as ``telemetry_zoom_participant``."""
    return re.sub(r"[^a-z0-9_]", "_", table)


def fields_of(schema: pa.Schema) -> list[Field]:
    """The columns as BigQuery's JSON schema: name, type, mode, description and, of structs, fields.

    Raises:
        PromiseBroken: A column has a type or a name that BigQuery does not have (``BIGQUERY_TYPE``).
    """
    return [_field(field) for field in schema]


def _field(field: pa.Field) -> Field:
    kind, mode = field.type, "NULLABLE" if field.nullable else "REQUIRED"
    if not _NAME.fullmatch(field.name) or field.name.startswith(_RESERVED):
        raise _no_such(field.name)
    if pa.types.is_list(kind):
        kind, mode = kind.value_type, "REPEATED"
    made: Field = {"name": field.name, "type": _type(field.name, kind), "mode": mode}
    if said := _description(field):
        made["description"] = said
    if pa.types.is_struct(kind):
        made["fields"] = [_field(child) for child in kind]
    return made


def _type(name: str, kind: pa.DataType) -> str:
    checks = {
        "STRING": pa.types.is_string,
        "BOOL": pa.types.is_boolean,
        "INT64": lambda kind: pa.types.is_integer(kind) and kind != pa.uint64(),
        "FLOAT64": pa.types.is_floating,
        "BYTES": lambda kind: pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind),
        "DATE": pa.types.is_date32,
        "TIMESTAMP": lambda kind: pa.types.is_timestamp(kind) and kind.tz == "UTC" and kind.unit != "ns",
        "STRUCT": pa.types.is_struct,
    }
    for found, check in checks.items():
        if check(kind):
            return found
    raise _no_such(name)


def _no_such(name: str) -> PromiseBroken:
    return PromiseBroken("BIGQUERY_TYPE", f"column {name} has a name or a type that BigQuery does not have")


def _description(field: pa.Field) -> str:
    said, unit, lane = (fact(field, word) for word in ("description", "unit", "lane"))
    words = [
        f"{said.rstrip('.')}." if said else "",
        f"Unit: {unit}." if unit else "",
        f"Lane: {lane}." if lane else "",
    ]
    return " ".join(filter(None, words))[:_LONGEST_DESCRIPTION]


def schema_from(fields: list[Field]) -> pa.Schema:
    """The Arrow schema in which rows of such a table come back."""
    return pa.schema([_from(field) for field in fields])


def _from(field: Field) -> pa.Field:
    kind = (
        pa.struct([_from(child) for child in field["fields"]])
        if field["type"] == "STRUCT"
        else _TO_ARROW[field["type"]]
    )
    if field["mode"] == "REPEATED":
        return pa.field(field["name"], pa.list_(kind))
    return pa.field(field["name"], kind, nullable=field["mode"] != "REQUIRED")


def partition_column(schema: pa.Schema) -> str:
    """The time that a table is partitioned by, a day each."""
    return next((name for name in _TIMES if name in schema.names), INGESTION_TIME)


def cluster_columns(schema: pa.Schema) -> list[str]:
    """Columns that a table is clustered by: tenant and meeting first, where it has them."""
    texts = {field.name for field in schema if pa.types.is_string(field.type)}
    return [name for name in _CLUSTERS if name in texts][:_MOST_CLUSTERS]


def ddl(dataset: str, table: str, schema: pa.Schema) -> str:
    """A statement that makes the table in GoogleSQL.

    Args:
        dataset: The dataset, ``DATASET`` or ``PROJECT.DATASET``.
        table: The table's name in the store.
        schema: Its columns.
    """
    columns = ",\n".join(f"  {_column(field)}" for field in fields_of(schema))
    partition = partition_column(schema)
    by = "_PARTITIONDATE" if partition == INGESTION_TIME else f"TIMESTAMP_TRUNC({partition}, DAY)"
    clusters = ", ".join(f"`{name}`" for name in cluster_columns(schema))
    return (
        f"CREATE TABLE IF NOT EXISTS `{dataset}.{table_name(table)}` (\n{columns}\n)\n"
        f"PARTITION BY {by}\nCLUSTER BY {clusters}\n"
        f"OPTIONS (description = {_quoted(described(table))});"
    )


def described(table: str) -> str:
    """What BigQuery says of a table."""
    return f"Cofferdam's table {table}, made anew from the store by each load; do not write to it."


def _column(field: Field) -> str:
    options = f" OPTIONS (description = {_quoted(field['description'])})" if "description" in field else ""
    required = " NOT NULL" if field["mode"] == "REQUIRED" else ""
    return f"`{field['name']}` {_sql_type(field)}{required}{options}"


def _sql_type(field: Field) -> str:
    kind = field["type"]
    if kind == "STRUCT":
        # Inside a struct, a child's own description needs options of its own.
        kind = f"STRUCT<{', '.join(_column(child) for child in field['fields'])}>"
    return f"ARRAY<{kind}>" if field["mode"] == "REPEATED" else kind


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
