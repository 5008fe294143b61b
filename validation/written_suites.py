"""Suites over what was written: which rules hold of which columns, made from contracts and declared schemas.

A telemetry table's suite is its contract's: every column has the closed set, pattern, range or shape that the
contract promises, and no column but those that it names. The store's own tables have a suite each in
``written_tables``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Final

import pyarrow as pa

from schemas.classification import Protection
from schemas.contract import ContractSet, EventShape, Field
from schemas.tables import CHILD_POSITION
from schemas.telemetry import TelemetryTable, is_time, telemetry_tables
from validation.policy import canonical_hash
from validation.written_rules import (
    Rule,
    between,
    finite,
    in_set,
    length,
    matches,
    not_null,
    pseudonym,
)

TELEMETRY_AREA: Final = "telemetry"
TRUTH: Final = ("false", "true")
_MOST: Final = 2**31 - 1
_ADDRESS: Final = r"(\d{1,3}\.){3}0/24|[0-9a-f:]{2,39}/48"


def _milliseconds(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000)


WINDOW: Final = between(_milliseconds(2000), _milliseconds(2100) - 1)
"""Instants that a meeting can have, in milliseconds since 1970."""

NAMES: Final = "(columns)"
"""Stands for the names and types of a table's columns where a column is asked for."""


@dataclass(frozen=True)
class TableSuite:
    """What must hold of the files of one table.

    Attributes:
        area: Part of the store that it belongs to.
        table: The table's name in the store.
        contract: Contract of the rows (id@version); empty for tables that no contract shapes.
        schema: The declared columns.
        rules: Rules by Parquet path of the column.
        free: Columns of which nothing can be said, by path: content itself, words of the controller's own.
        later: Columns that files may lack: they were declared after files had been written, and may be empty.
    """

    area: str
    table: str
    contract: str
    schema: pa.Schema = field(repr=False)
    rules: Mapping[str, tuple[Rule, ...]] = field(repr=False)
    free: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    @property
    def required(self) -> frozenset[str]:
        """Columns that every file must have."""
        return frozenset(self.schema.names) - self.later

    @cached_property
    def columns(self) -> frozenset[str]:
        """The declared columns as words: name and type."""
        return frozenset(map(column_word, self.schema))

    @cached_property
    def names_rule(self) -> Rule:
        """No column but those that are declared, with the types that are declared."""
        return in_set(*sorted(self.columns), code="COLUMN_UNKNOWN")

    def expectations(self) -> Iterator[tuple[str, Rule]]:
        """Every column and rule, the names of the columns included."""
        yield NAMES, self.names_rule
        yield NAMES, ALL_COLUMNS
        for path, rules in self.rules.items():
            for rule in rules:
                yield path, rule

    def as_json(self) -> list[object]:
        """Everything that makes it this suite."""
        rules = [[path, rule.as_json()] for path, rule in self.expectations()]
        return [self.area, self.table, self.contract, rules]


ALL_COLUMNS: Final = in_set("present", code="COLUMN_MISSING")
"""Every declared column is there, but for those that were declared later and may be empty."""


def column_word(column: pa.Field) -> str:
    """A column's name and type as one word."""
    return f"{column.name}: {column.type}"


def suites_hash(suites: Iterable[TableSuite]) -> str:
    """SHA-256 (hex) of some suites together, in any order."""
    return canonical_hash(sorted((suite.as_json() for suite in suites), key=repr))


def telemetry_suites(contracts: ContractSet) -> dict[tuple[str, str], TableSuite]:
    """The suites of all telemetry tables of some contracts, by table and contract (id@version)."""
    return {
        (table.name, shape.contract_label): _telemetry_suite(shape, table)
        for shape in contracts.shapes
        for table in telemetry_tables(shape)
    }


def _telemetry_suite(shape: EventShape, table: TelemetryTable) -> TableSuite:
    rules = dict(_standard_rules(shape, table))
    for entry in table.columns:
        name = entry.column or ""
        rules[f"{name}.list.element" if entry.is_list else name] = tuple(_field_rules(entry))
    # A field that was added to a contract is missing in files from before, as it may be in any event.
    own = frozenset(entry.column or "" for entry in table.columns)
    return TableSuite(TELEMETRY_AREA, table.name, shape.contract_label, table.schema, rules, later=own)


def _standard_rules(shape: EventShape, table: TelemetryTable) -> Iterator[tuple[str, tuple[Rule, ...]]]:
    yield "event_id", (not_null(), pseudonym())
    yield "event_type", (not_null(), in_set(*shape.events))
    yield "event_time", (WINDOW,)
    for name in ("tenant", "meeting", "participant"):
        yield name, (pseudonym(),)
    yield "source", (not_null(), in_set(shape.source))
    yield "contract", (not_null(), in_set(shape.contract_label))
    if table.array:
        yield CHILD_POSITION, (not_null(), between(0, _MOST))


def _field_rules(entry: Field) -> Iterator[Rule]:
    if entry.cut is not None:
        yield in_set(*entry.cut.values)
    elif entry.protection is Protection.TRUNCATE_IP:
        yield matches(_ADDRESS, code="NOT_A_NETWORK")
    elif entry.protection is not Protection.KEEP:
        yield pseudonym()
    elif is_time(entry):
        yield WINDOW
    elif entry.logical_type == "boolean":
        yield in_set(*TRUTH)
    elif entry.logical_type == "number" or entry.text_form is not None:
        yield finite()
        yield _range_rule(entry)
    elif entry.logical_type == "integer":
        yield _range_rule(entry)
    else:
        yield from _text_rules(entry)


def _range_rule(entry: Field) -> Rule:
    if entry.values is not None:
        return in_set(*entry.values)
    return between(entry.minimum or 0, entry.maximum or 0)


def _text_rules(entry: Field) -> Iterator[Rule]:
    if entry.values is not None:
        yield in_set(*map(str, entry.values))
        return
    yield length(0, entry.max_length or 0)
    yield matches(entry.pattern or r"[^\s\S]")
