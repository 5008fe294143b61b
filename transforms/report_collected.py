"""What came in and what became of it: counted from the ledger's rows and held against what the runs state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pyarrow as pa

from schemas.classification import Lane
from schemas.tables import LEDGER, TELEMETRY, lane_of_column
from transforms.report_sealed import Sealed
from transforms.report_view import StoreView
from validation.report_controls import Drift, Separation
from validation.report_parts import Capped, Collected, EventType, Kind, Named, TelemetryTable

TABLES: Final = 100
TYPES: Final = 40
FOUND: Final = 40


def named(counts: Mapping[str, int]) -> list[Named]:
    """Counts as a report has them: most frequent first, then by name; what is 0 is left out."""
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return [Named(name=name, count=count) for name, count in ordered if count]


def collected(view: StoreView, sealed: Sealed) -> Collected:
    """What came in during the period, and what there is of it.

    Args:
        view: The store.
        sealed: What lies sealed.
    """
    outcomes, reasons, types = _ledger(view)
    ledgers = [ledger for _, ledger in view.ledgers("ingest")]
    stated: Counter[str] = Counter()
    for ledger in ledgers:
        stated.update(ledger["outcomes"])
    tables = [table for table in view.store.tables() if table.startswith(f"{TELEMETRY}/")]
    listed = types.most_common()
    listed.sort(key=lambda one: (-one[1], one[0]))
    return Collected(
        records=outcomes.total(),
        outcomes=named(outcomes),
        reasons=named(reasons),
        reconciled_runs=sum(map(_reconciles, ledgers)),
        runs=len(ledgers),
        recounted=+stated == +outcomes,
        telemetry=[_table(view, table) for table in tables[:TABLES]],
        telemetry_shown=Capped(total=len(tables), shown=min(TABLES, len(tables))),
        telemetry_rows=sum(view.rows(table) for table in tables),
        content=by_kind(sealed.kinds, sealed.sizes),
        content_items=sealed.kinds.total(),
        types=[
            EventType(source=source, event_type=name, records=number)
            for (source, name), number in listed[:TYPES]
        ],
        types_shown=Capped(total=len(listed), shown=min(TYPES, len(listed))),
    )


def by_kind(items: Mapping[str, int], sizes: Mapping[str, int]) -> list[Kind]:
    """Sealed items by kind, most frequent first, each kind with its number.

    How much came in says nothing of anybody's agreement: small numbers of this are shown, as those of events
    by type are, from which they would follow.

    Args:
        items: Items by kind.
        sizes: Their bytes by kind.

    >>> [(one.kind, one.items) for one in by_kind({"file": 3, "chat": 90}, {})]
    [('chat', 90), ('file', 3)]
    """
    ordered = sorted(items.items(), key=lambda one: (-one[1], one[0]))
    return [Kind(kind=kind, items=number, bytes=sizes.get(kind, 0)) for kind, number in ordered]


def _ledger(view: StoreView) -> tuple[Counter[str], Counter[str], Counter[tuple[str, str]]]:
    """Records by outcome, refused ones by reason, and those that were taken apart by source and type."""
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    types: Counter[tuple[str, str]] = Counter()
    columns = ["source", "event_type", "outcome", "reason", "records"]
    for rows in view.scan(LEDGER, columns, records=view.added(LEDGER)):
        for row in _summed(rows, columns[:-1]):
            outcomes[row["outcome"]] += row["records_sum"]
            if row["outcome"] == "separated":
                types[row["source"], row["event_type"]] += row["records_sum"]
            elif row["outcome"] in ("rejected", "unknown"):
                reasons[row["reason"]] += row["records_sum"]
    return outcomes, reasons, types


def _summed(rows: pa.Table, by: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rows.group_by(by).aggregate([("records", "sum")]).to_pylist()
    return found


def _reconciles(ledger: Mapping[str, Any]) -> bool:
    said = ledger.get("reconciliation") or {}
    return said.get("findings") == [] and said.get("read") == said.get("outcomes")


def _table(view: StoreView, table: str) -> TelemetryTable:
    lanes = Counter(lane_of_column(field) for field in view.store.schema(table))
    service, metadata = lanes[str(Lane.SERVICE)], lanes[str(Lane.METADATA)]
    return TelemetryTable(
        table=table,
        rows=view.rows(table),
        service=service,
        metadata=metadata,
        other=lanes.total() - service - metadata,
    )


def separation(view: StoreView) -> Separation:
    """Fields that were not taken as they came, and records that were not taken at all."""
    ledgers = [ledger for _, ledger in view.ledgers("ingest")]
    found: Counter[tuple[str, str, str, str]] = Counter()
    for ledger in ledgers:
        for what, rows in (
            ("unknown", ledger.get("drift") or ()),
            ("misfit", ledger.get("misfits") or ()),
            ("dropped", ledger.get("dropped") or ()),
        ):
            found.update(_places(what, rows))
    listed = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    values: Counter[str] = Counter()
    for (what, *_), number in found.items():
        values[what] += number
    planted = [ledger["canaries"] for ledger in ledgers if ledger.get("canaries")]
    outcomes = sum((Counter(ledger["outcomes"]) for ledger in ledgers), Counter[str]())
    return Separation(
        contracts=list(ledgers[-1]["contracts"]) if ledgers else [],
        found=[_drift(key, values) for key, values in listed[:FOUND]],
        found_shown=Capped(total=len(listed), shown=min(FOUND, len(listed))),
        values=named(values),
        unknown_types=outcomes["unknown"],
        rejected=outcomes["rejected"],
        canary_runs=len(planted),
        canaries=sum(one["planted"] for one in planted),
        canaries_found=sum(one["found"] for one in planted),
        files_searched=sum(one["files_searched"] for one in planted),
    )


def _places(what: str, rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str, str, str]]:
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        place = row["parent"] if what == "unknown" else row["field"]
        found[what, row["table"], place, row.get("name_digest") or ""] += row["values"]
    return found


def _drift(key: tuple[str, str, str, str], values: int) -> Drift:
    what, table, place, digest = key
    return Drift(
        what="unknown" if what == "unknown" else "misfit" if what == "misfit" else "dropped",
        table=table,
        place=place,
        name_digest=digest,
        values=values,
    )
