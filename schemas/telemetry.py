"""Telemetry tables of a contract: their names, columns and Arrow schemas, made from the contract alone."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from schemas.classification import Protection
from schemas.contract import ITEMS, ContractSet, EventShape, Field
from schemas.tables import CHILD_POSITION, TELEMETRY, column, telemetry_columns

TIMESTAMP = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True)
class TelemetryTable:
    """One telemetry table.

    Attributes:
        name: Table name in the store (`telemetry/...`).
        array: Path of the array whose elements are the rows; empty for a row an event.
        columns: The contract's columns in order.
        schema: The whole schema, standard columns first.
    """

    name: str
    array: tuple[str, ...]
    columns: tuple[Field, ...]
    schema: pa.Schema


def telemetry_tables(shape: EventShape) -> list[TelemetryTable]:
    """The tables of a shape: a row an event, and one table for each array that has columns."""
    by_array: dict[tuple[str, ...], list[Field]] = {(): []}
    for entry in shape.fields:
        if entry.column is not None:
            by_array.setdefault(array_of(entry.path), []).append(entry)
    return [_table(shape, array, columns) for array, columns in by_array.items()]


def all_telemetry_tables(contracts: ContractSet) -> dict[str, TelemetryTable]:
    """Every telemetry table of a run by its name in the store."""
    return {table.name: table for shape in contracts.shapes for table in telemetry_tables(shape)}


def array_of(path: tuple[str, ...]) -> tuple[str, ...]:
    """Path of the innermost array around a field, empty outside arrays."""
    if ITEMS not in path:
        return ()
    return path[: len(path) - 1 - path[::-1].index(ITEMS)]


def arrow_type(entry: Field) -> pa.DataType:
    """Arrow type of a field's telemetry column."""
    scalar = _scalar_type(entry)
    return pa.list_(pa.field("element", scalar)) if entry.is_list else scalar


def is_time(entry: Field) -> bool:
    """Whether a field holds a point in time, written out or counted since 1970."""
    return entry.logical_type == "timestamp" or (entry.unit or "").endswith("since 1970 UTC")


def _scalar_type(entry: Field) -> pa.DataType:
    if entry.protection is not Protection.KEEP:
        return pa.string()
    if is_time(entry):
        return TIMESTAMP
    if entry.text_form is not None:
        return pa.float64()
    kept = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return kept.get(entry.logical_type, pa.string())


def _table(shape: EventShape, array: tuple[str, ...], columns: list[Field]) -> TelemetryTable:
    name = f"{TELEMETRY}/{shape.table}"
    standard = telemetry_columns()
    if array:
        words = [step for step in array[len(_common(array, shape.prefix)) :] if step != ITEMS]
        name += "__" + "_".join(words).lower().replace("-", "_").replace(" ", "_")
        standard.append(
            column(CHILD_POSITION, pa.int32(), "Place of the element in its event, from 0", nullable=False)
        )
    own = [
        column(
            entry.column or "",
            arrow_type(entry),
            entry.description or f"Field {entry.dotted} of the event",
            classification=_column_classification(entry),
            unit=("ms since 1970 UTC" if is_time(entry) else entry.unit) or "",
        )
        for entry in columns
    ]
    return TelemetryTable(name, array, tuple(columns), pa.schema([*standard, *own]))


def _column_classification(entry: Field) -> str:
    """Classification of what the column holds: a direct identifier is not one any more once protected."""
    if entry.cut is not None:
        return "service.usage"
    if entry.protection is Protection.TRUNCATE_IP:
        return "metadata"
    if entry.protection is Protection.PSEUDONYM and entry.classification == "identifier.direct":
        return "identifier.pseudonymous"
    return entry.classification


def _common(path: tuple[str, ...], prefix: tuple[str, ...]) -> tuple[str, ...]:
    return prefix if path[: len(prefix)] == prefix else ()
