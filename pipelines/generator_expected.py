"""What generated records should come to: the expectations that travel with them, and their sum.

Every record is built from a template that knows what it holds, so its outcome is known without asking the
pipeline. The sums have the names and order of a run's ledger, so that the two can be laid side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

SEPARATED, DUPLICATE, REJECTED, UNKNOWN = "separated", "duplicate", "rejected", "unknown"
OUTCOMES = (DUPLICATE, REJECTED, SEPARATED, UNKNOWN)
NONE = "-"
UNCLASSIFIED = "unclassified"
WHOLE = "rejected"
"""Kind of item as which a record is sealed whole, of unknown type or not."""
NEVER_DECIDED = ("identity", "secret", WHOLE)
"""Kinds that are sealed and of which no decision is asked."""

ROSTER = "roster"
ZOOM, COFFERDAM = "zoom", "cofferdam"


@dataclass(frozen=True, eq=False)
class Expect:
    """What becomes of one record; one of it stands for all records that were built alike.

    Attributes:
        outcome: One of `OUTCOMES`.
        source: Source of a record that is taken apart, "-" otherwise.
        event_type: Its event type, "-" otherwise.
        reason: Reason code of a record that is sealed whole, "-" otherwise.
        kinds: Kinds of the items cut out of it, each once.
        rows: Rows that it adds to tables of the store.
        unknown_fields: Values under keys that its contract does not name.
        misfits: Fields by contract path (below its table) whose value does not fit.
        dropped: Fields whose value the contract drops.
        table: The telemetry table of its contract, without its area.
    """

    outcome: str
    source: str = NONE
    event_type: str = NONE
    reason: str = NONE
    kinds: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    unknown_fields: int = 0
    misfits: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    table: str = NONE

    @property
    def content(self) -> tuple[str, ...]:
        """Kinds of the items that decisions are asked about."""
        return tuple(kind for kind in self.kinds if kind not in NEVER_DECIDED)

    def with_unclassified(self, *, unknown_fields: int = 0, misfits: tuple[str, ...] = ()) -> Expect:
        """The same record with values that no field of its contract takes."""
        kinds = self.kinds if UNCLASSIFIED in self.kinds else (*self.kinds, UNCLASSIFIED)
        return replace(self, kinds=kinds, unknown_fields=unknown_fields, misfits=misfits)

    def with_kinds(self, *kinds: str) -> Expect:
        """The same record with items of further kinds."""
        return replace(self, kinds=(*self.kinds, *kinds))


class Batch(NamedTuple):
    """Records that were built alike, in the order of their making."""

    expect: Expect
    lines: list[bytes]
    source: str


def taken(
    event_type: str,
    table: str,
    *kinds: str,
    children: Mapping[str, int] | None = None,
    is_presence: bool = False,
    dropped: tuple[str, ...] = (),
) -> Expect:
    """The expectation of a record that is taken apart.

    Args:
        event_type: Its event type; Cofferdam's own are named without `io.cofferdam.` and `.v1`.
        table: Its telemetry table.
        *kinds: Kinds of content, `identity` and `secret` that it holds.
        children: Rows in child tables, by what follows `<table>__`.
        is_presence: Whether it adds a row to the roster.
        dropped: Fields that the contract drops.
    """
    rows = {f"telemetry/{table}": 1}
    rows.update({f"telemetry/{table}__{name}": number for name, number in (children or {}).items()})
    if is_presence:
        rows[ROSTER] = 1
    source = COFFERDAM if table.startswith("cofferdam") else ZOOM
    name = f"io.cofferdam.{event_type}.v1" if source == COFFERDAM else event_type
    return Expect(SEPARATED, source, name, kinds=kinds, rows=rows, dropped=dropped, table=table)


def held(reason: str) -> Expect:
    """The expectation of a record that is sealed whole under a reason code."""
    return Expect(UNKNOWN if reason == "UNKNOWN_TYPE" else REJECTED, reason=reason, kinds=(WHOLE,))


REPEATED = Expect(DUPLICATE)


class Outcomes:
    """Adds up what a stream of batches should come to."""

    def __init__(self) -> None:
        self._records: dict[Expect, int] = {}
        self._read: Counter[str] = Counter()

    def add(self, batch: Batch) -> None:
        """Count the records of a batch."""
        number = len(batch.lines)
        self._records[batch.expect] = self._records.get(batch.expect, 0) + number
        self._read[batch.source] += number

    def as_dict(self) -> dict[str, Any]:
        """The sums, ready for JSON."""
        counted = self._records.items()
        by_type = Counter[tuple[str, str]]()
        reasons, items, rows, outcomes = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        misfits, dropped = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for expect, number in counted:
            outcomes[expect.outcome] += number
            if expect.outcome == SEPARATED:
                by_type[expect.source, expect.event_type] += number
            elif expect.reason != NONE:
                reasons[expect.reason] += number
            _add(items, dict.fromkeys(expect.kinds, 1), number)
            _add(rows, expect.rows, number)
            _add(misfits, {(expect.table, name): 1 for name in expect.misfits}, number)
            _add(dropped, {(expect.table, name): 1 for name in expect.dropped}, number)
        return {
            "records": sum(outcomes.values()),
            "read_by_source": dict(sorted(self._read.items())),
            "outcomes": {name: outcomes[name] for name in OUTCOMES},
            "separated": [
                {"source": source, "event_type": event, "records": number}
                for (source, event), number in sorted(by_type.items())
            ],
            "reasons": dict(sorted(reasons.items())),
            "items": dict(sorted(items.items())),
            "rows": dict(sorted(rows.items())),
            "unknown_fields": sum(expect.unknown_fields * number for expect, number in counted),
            "misfits": _by_field(misfits.items()),
            "dropped": _by_field(dropped.items()),
        }


def _add(totals: Counter[Any], of_one: Mapping[Any, int], number: int) -> None:
    for key, each in of_one.items():
        totals[key] += each * number


def _by_field(counted: Iterable[tuple[tuple[str, str], int]]) -> list[dict[str, Any]]:
    return [{"table": table, "field": name, "values": number} for (table, name), number in sorted(counted)]
