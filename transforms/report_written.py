"""Put what the validation of the files and the leak scan found into the form of a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from transforms.report_view import StoreView
from transforms.scan_leaks import Hit, LeakScan, scan_telemetry
from transforms.validate_written import known_contracts, validate_written
from validation import report_words as words
from validation.report_parts import Capped
from validation.report_written import LeakHit, LeakScanned, Written, WrittenArea, WrittenFault

FAULTS: Final = 50
HITS: Final = 50
_TELEMETRY: Final = "telemetry"


def written(view: StoreView, contracts: Iterable[Path]) -> Written:
    """Read all files of a store back, and hold them against their contracts.

    Args:
        view: The store.
        contracts: Contracts besides the bundled ones, as the runs were given them.

    Raises:
        ConfigurationError: A contract that the store was written by is not among them.
        PromiseBroken: Great Expectations cannot be relied upon.
    """
    known = known_contracts(contracts)
    found = validate_written(view.store, known)
    areas = {area.area: area for area in found.areas}
    faults = [WrittenFault(**asdict(one)) for one in found.violations[:FAULTS]]
    own = areas.get(_TELEMETRY)
    return Written(
        suite_hash=found.suite_hash,
        rows=own.rows if own else 0,
        violations=own.violating if own else 0,
        how=list(words.HOW_WRITTEN),
        areas=[WrittenArea(**asdict(area)) for area in found.areas],
        faults=faults,
        faults_shown=Capped(total=len(found.violations), shown=len(faults)),
        judged=found.judged,
        tables_without_rows=found.tables_without_rows,
        leaks=_leaks(scan_telemetry(view.store, known)),
    )


def _leaks(scan: LeakScan) -> LeakScanned:
    hits = sorted(scan.hits, key=lambda hit: (hit.explained, hit))
    return LeakScanned(
        tables=scan.tables,
        columns=scan.columns,
        values=scan.rows,
        distinct=scan.looked_at,
        to_review=scan.to_review,
        hits=[_hit(hit) for hit in hits[:HITS]],
        hits_shown=Capped(total=len(hits), shown=min(HITS, len(hits))),
    )


def _hit(hit: Hit) -> LeakHit:
    return LeakHit(
        table=hit.table, column=hit.column, detector=hit.detector, rows=hit.rows, explained=hit.explained
    )
