"""Which columns name people, and whether an erasure reaches them.

The list is made from what tables declare of their columns, not from what somebody remembered: a table that is
added with an identifier of a person, and that no rule of erasure knows, is named here until one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from schemas.tables import (
    DECISION_CLASSES,
    FIXED_TABLES,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    ROSTER,
    SIGNALS,
    TELEMETRY,
    fact,
    leaves,
)
from transforms.erase_rows import is_reached_in_telemetry
from transforms.store import Store

NAMES_PEOPLE: Final = ("identifier.pseudonymous", "identifier.direct")

REACHED: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (QUARANTINE_ITEMS, "sender_join"): "the row goes with its data key",
        (QUARANTINE_ITEMS, "piece_join"): "the row goes with its data key",
        (QUARANTINE_BLOBS, "sender"): "the row goes with its data key",
        (ROSTER, "subjects.list.element.pseudonym"): "somebody nameless takes the place",
        (ROSTER, "join_pseudonym"): "the visit gets a name that nobody can make again",
        (SIGNALS, "subjects.list.element.pseudonym"): "the row goes, or loses the name",
    }
)
"""Columns of fixed tables that an erasure reaches, and how."""

KEPT: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        (DECISION_CLASSES, "outcomes.list.element.persons.list.element"): (
            "evidence of decisions, under the join key; never replaced"
        ),
        (SIGNALS, "piece_join"): "names a message or a document and nobody",
    }
)
"""Columns that name somebody, or look like it, and are kept on purpose, and why."""


def unreached(tables: Mapping[str, pa.Schema]) -> list[str]:
    """Columns of some tables that name people and that no erasure reaches, as ``table column``."""
    return [
        f"{table} {path}"
        for table, schema in sorted(tables.items())
        for path, field in leaves(schema)
        if fact(field, "classification") in NAMES_PEOPLE and not _is_covered(table, path, schema)
    ]


def _is_covered(table: str, path: str, schema: pa.Schema) -> bool:
    if table.startswith(f"{TELEMETRY}/"):
        return is_reached_in_telemetry(schema.field(path.split(".")[0]))
    return (table, path) in REACHED or (table, path) in KEPT


def unreached_in(store: Store) -> list[str]:
    """As `unreached`, of every table that a store has and of every table that one can have."""
    return unreached(dict(_schemas(store)))


def _schemas(store: Store) -> Iterator[tuple[str, pa.Schema]]:
    yield from FIXED_TABLES.items()
    for table in store.tables():
        if table not in FIXED_TABLES:
            yield table, store.schema(table)
