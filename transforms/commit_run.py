"""Commit a run: reconcile what was read with what became of it, then make its files exist, all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import FIXED_TABLES, LEDGER
from transforms.audit_entries import stated
from transforms.canaries import CanaryFiles, CanarySettings, delete_canaries, search_run
from transforms.decompression import ReadLimits
from transforms.faults import value_free
from transforms.manifest_seal import ManifestSeal
from transforms.manifests import FileRecord
from transforms.run_counts import NONE, RunCounts, total
from transforms.splitting import RECORD_CAP
from transforms.store import Store
from validation.reconcile import Reconciliation, SideSum, reconcile


@dataclass(frozen=True)
class RunSettings:
    """What every step of a run needs to know; small, and without a key.

    Attributes:
        store: The store's root.
        run_id: The run.
        base: SHA-256 of the store's last manifest when the run began; a store that has changed since is not
            committed to, because the run did not see the other's digests.
        source: Source name, or "auto".
        received: The day of the run (UTC).
        digest_since: First day whose digests still find duplicates; None for all.
        record_cap: Longest record in bytes.
        limits: Caps on decompression.
        contracts: Contract labels (id@version) of the run.
        version: Version of the software.
        canaries: What is planted to be searched for; None for nothing.
    """

    store: str
    run_id: str
    base: str
    source: str
    received: date
    digest_since: date | None = None
    record_cap: int = RECORD_CAP
    limits: ReadLimits = field(default_factory=ReadLimits)
    contracts: tuple[str, ...] = ()
    version: str = ""
    canaries: CanarySettings | None = None


def commit_run(
    settings: RunSettings,
    seal: ManifestSeal,
    files: Sequence[FileRecord],
    counts: Sequence[RunCounts],
    read: Sequence[RunCounts],
    canaries: Sequence[CanaryFiles] = (),
) -> dict[str, Any]:
    """Reconcile a run and, if it adds up, commit it under the seal of the store's keys.

    Returns:
        The run's ledger, as it is kept in the manifest.

    Raises:
        PromiseBroken: The run does not reconcile (RUN_DOES_NOT_RECONCILE), or a canary stands where it must
            not (CANARY_FOUND, CANARIES_LOST); nothing was committed.
        InfrastructureFault: The store changed meanwhile, or the manifest cannot be written.
    """
    with value_free("commit"):
        return _commit(settings, seal, files, total(counts), total(read), canaries)


def _commit(
    settings: RunSettings,
    seal: ManifestSeal,
    files: Sequence[FileRecord],
    all_counts: RunCounts,
    all_read: RunCounts,
    canaries: Sequence[CanaryFiles],
) -> dict[str, Any]:
    outcome = _reconcile(files, all_counts, all_read)
    ledger = ledger_of(settings, all_counts, all_read, outcome)
    if not outcome.holds:
        findings = "; ".join(outcome.findings[:5])
        raise PromiseBroken("RUN_DOES_NOT_RECONCILE", f"{findings}. Nothing was committed; run again")
    store = Store.open(settings.store, seal)
    if store.snapshot.of_run(settings.run_id) is not None:
        return ledger
    if store.snapshot.last_digest != settings.base:
        raise InfrastructureFault(
            "STORE_CHANGED", "another run committed to the store meanwhile; run again, nothing was changed"
        )
    with store.writer(settings.run_id, LEDGER) as writer:
        writer.append(ledger_table(all_counts))
        own = writer.close()
    facts: dict[str, Any] = {"kind": "ingest", "ledger": ledger}
    if settings.canaries is not None:
        found = search_run(settings.canaries, store.files_of_store, canaries, [*files, *own], ledger)
        ledger["canaries"] = found
        facts |= stated({"type": "canaries", **{name: found[name] for name in ("planted", "found")}})
    store.commit(settings.run_id, [*files, *own], facts)
    delete_canaries(store.files_of_store, canaries)
    return ledger


def _reconcile(files: Sequence[FileRecord], counts: RunCounts, read: RunCounts) -> Reconciliation:
    written: Counter[str] = Counter()
    for record in files:
        written[record.table] += record.rows
    outcomes = total([]).read
    for positions in counts.sums.values():
        outcomes = outcomes + positions
    return reconcile(
        SideSum(read.read.count, read.read.as_text()),
        SideSum(outcomes.count, outcomes.as_text()),
        written,
        counts.rows,
    )


def ledger_table(counts: RunCounts) -> pa.Table:
    """The ledger's rows: records by source, event type, outcome and reason."""
    schema = FIXED_TABLES[LEDGER]
    rows = [
        dict(zip(("source", "event_type", "outcome", "reason"), (_word(part) for part in key), strict=True))
        | {"records": number}
        for key, number in sorted(counts.records.items())
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def _word(part: str) -> str | None:
    return None if part == NONE else str(part)


def ledger_of(
    settings: RunSettings, counts: RunCounts, read: RunCounts, outcome: Reconciliation
) -> dict[str, Any]:
    """The ledger as JSON can hold it: counts only, no value from an event."""
    return {
        "run_id": settings.run_id,
        "received": settings.received.isoformat(),
        "version": settings.version,
        "contracts": list(settings.contracts),
        "bytes_read": read.bytes_read,
        "records": sum(counts.records.values()),
        "outcomes": {str(name): number for name, number in sorted(counts.by_outcome().items())},
        "by_type": [
            {
                "source": key[0],
                "event_type": key[1],
                "outcome": str(key[2]),
                "reason": key[3],
                "records": number,
            }
            for key, number in sorted(counts.records.items())
        ],
        "items": dict(sorted(counts.items.items())),
        "rows": dict(sorted(counts.rows.items())),
        "drift": [
            {**asdict(key), "values": number}
            for key, number in sorted(counts.drift.items(), key=lambda entry: str(entry[0]))
        ],
        "misfits": [
            {"table": key[0], "field": key[1], "values": number}
            for key, number in sorted(counts.misfits.items())
        ],
        "dropped": [
            {"table": key[0], "field": key[1], "values": number}
            for key, number in sorted(counts.dropped.items())
        ],
        "reconciliation": {
            "read": asdict(outcome.read),
            "outcomes": asdict(outcome.outcomes),
            "findings": list(outcome.findings),
        },
    }
