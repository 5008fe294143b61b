"""Telemetry that was taken out: what left for which purpose, and whose rows were in it.

An export is kept as one row for each table. Which meetings it held follows from the decisions that it rests
on, so an erasure finds every export that can have held a row, and so does a person who asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_TELEMETRY, TELEMETRY, TELEMETRY_EXPORTS
from transforms.store import Store
from validation.decisions import RELEASE

Scope: TypeAlias = "tuple[str | None, str | None]"
"""A meeting in telemetry: its tenant and itself, as telemetry calls them."""

KIND: Final = TELEMETRY
"""What recalls call the kind of an export of telemetry."""


def allowed_scopes(store: Store, run_id: str, purpose: str, recipient: str) -> dict[str, dict[Scope, str]]:
    """Of each table the meetings whose rows a release lets go, with the decision that lets them.

    Args:
        store: The store.
        run_id: The release.
        purpose: The purpose.
        recipient: Who receives it.
    """
    if DECISION_TELEMETRY not in store.tables():
        return {}
    where = (
        (pc.field("run_id") == run_id)
        & (pc.field("purpose") == purpose)
        & (pc.field("recipient") == recipient)
    )
    columns = ["table", "tenant", "meeting", "decision", "reasons", "decision_id"]
    allowed: dict[str, dict[Scope, str]] = defaultdict(dict)
    for row in store.read_table(DECISION_TELEMETRY, columns, where=where).to_pylist():
        if row["decision"] == RELEASE and row["reasons"] == []:
            allowed[row["table"]][row["tenant"], row["meeting"]] = row["decision_id"]
    return allowed


def exports_of(store: Store) -> Iterator[tuple[Mapping[str, Any], frozenset[Scope]]]:
    """Every table of every export, with the meetings that it can have held."""
    if TELEMETRY_EXPORTS not in store.tables():
        return
    known: dict[tuple[str, str, str], dict[str, dict[Scope, str]]] = {}
    for row in store.read_table(TELEMETRY_EXPORTS).to_pylist():
        asked = (row["decided_by"], row["purpose"], row["recipient"])
        if asked not in known:
            known[asked] = allowed_scopes(store, *asked)
        yield row, frozenset(known[asked].get(row["table"], ()))


def scopes_of(rows: pa.Table) -> set[Scope]:
    """The meetings of some rows of telemetry."""
    pairs = rows.select(["tenant", "meeting"]).group_by(["tenant", "meeting"]).aggregate([]).to_pylist()
    return {(row["tenant"], row["meeting"]) for row in pairs}


__all__ = ["KIND", "Scope", "allowed_scopes", "exports_of", "scopes_of"]
