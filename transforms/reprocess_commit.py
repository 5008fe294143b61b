"""Commit a reprocessing: add everything up, and let all of it take the place of the old at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import QUARANTINE_ITEMS, QUARANTINE_REJECTED
from transforms.audit_entries import stated
from transforms.audit_facts import audited
from transforms.erase_commit import filters_without
from transforms.manifest_seal import ManifestSeal
from transforms.reprocess import Counts, Done, NameSum
from transforms.reprocess_rewrite import Rewritten
from transforms.reprocess_settings import ReprocessSettings
from transforms.reprocess_told import Told
from transforms.reprocess_writer import written_rows
from transforms.store import Store
from validation.reconcile import Reconciliation, SideSum, reconcile

REPROCESS: Final = "reprocess"
_SHOWN: Final = 5


def commit_reprocessing(
    settings: ReprocessSettings,
    seal: ManifestSeal,
    told: Counter[Told],
    done: Sequence[Done],
    rewritten: Sequence[Rewritten],
) -> None:
    """Commit what all tasks have done, once.

    Args:
        settings: The run.
        seal: Seals the manifest.
        told: What is told of what was not opened.
        done: What became of each task.
        rewritten: Files that were written anew.

    Raises:
        PromiseBroken: It does not add up (``REPROCESS_DOES_NOT_RECONCILE``); nothing was committed.
        InfrastructureFault: The store changed meanwhile, or the manifest cannot be written.
    """
    counts = _total(told, done)
    sums = _reconciled(settings, counts, done, rewritten)
    refuse_unreconciled(sums)
    ledger = _ledger(settings, counts, rewritten, sums)
    store = Store.open(settings.store, seal)
    if store.snapshot.of_run(settings.run_id) is not None:
        return
    if store.snapshot.last_digest != settings.base:
        message = "another run committed to the store meanwhile; run again, nothing was changed"
        raise InfrastructureFault("STORE_CHANGED", message)
    adds = [record for each in done for record in (*each.written, *each.log)]
    adds += [record for each in rewritten for record in each.records]
    removes = [each.path for each in rewritten]
    if removes:
        filters, replaced = filters_without(store, settings.run_id, set(removes))
        adds, removes = [*adds, *filters], [*removes, *replaced]
    facts = {"kind": REPROCESS, "ledger": ledger, **stated(_entry(settings, ledger))}
    store.commit(settings.run_id, adds, audited(facts, store, adds), removes)


def refuse_unreconciled(sums: Reconciliation) -> None:
    """Refuse to commit what does not add up.

    Raises:
        PromiseBroken: With code ``REPROCESS_DOES_NOT_RECONCILE``.
    """
    if not sums.holds:
        findings = "; ".join(sums.findings[:_SHOWN])
        message = f"{findings}. Nothing was committed; run again"
        raise PromiseBroken("REPROCESS_DOES_NOT_RECONCILE", message)


def _total(told: Counter[Told], done: Iterable[Done]) -> Counts:
    counts = Counts(told=Counter(told))
    for each in done:
        counts.merge(each.counts)
    return counts


def _reconciled(
    settings: ReprocessSettings, counts: Counts, done: Iterable[Done], rewritten: Iterable[Rewritten]
) -> Reconciliation:
    """Whether everything that was opened has moved or is sealed again, and every row was written."""
    done = list(done)
    rows = written_rows(record for each in done for record in each.written)
    expected = Counter(counts.rows)
    rows |= counts.after
    expected |= counts.before
    rows["openings"] = sum(record.rows for each in done for record in each.log)
    expected["openings"] = counts.logged
    if not settings.dry_run:
        gone, completed = _gone(rewritten), sum(each.completed for each in rewritten)
        rows |= {f"retired {QUARANTINE_ITEMS}": gone[QUARANTINE_ITEMS]}
        expected |= {f"retired {QUARANTINE_ITEMS}": counts.retired["items"]}
        rows |= {f"retired {QUARANTINE_REJECTED}": gone[QUARANTINE_REJECTED]}
        expected |= {f"retired {QUARANTINE_REJECTED}": counts.retired["rejects"]}
        rows |= {"completed": completed}
        expected |= {"completed": counts.values}
    return reconcile(_side(counts.opened), _side(counts.settled), rows, expected)


def _side(names: NameSum) -> SideSum:
    return SideSum(names.count, f"{names.total:032x}")


def _gone(rewritten: Iterable[Rewritten]) -> Counter[str]:
    gone: Counter[str] = Counter()
    for each in rewritten:
        gone[each.table] += each.gone
    return gone


def _entry(settings: ReprocessSettings, ledger: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": REPROCESS,
        "run_id": settings.run_id,
        "state": "shown" if settings.dry_run else "committed",
        "decision": settings.ground.decision_id,
        "opened": ledger["opened"]["items"],
        "moved": ledger["outcomes"].get("moved", 0),
        "stays": ledger["outcomes"].get("stays", 0),
    }


def _ledger(
    settings: ReprocessSettings, counts: Counts, rewritten: Sequence[Rewritten], sums: Reconciliation
) -> dict[str, Any]:
    told = sorted(counts.told.items(), key=lambda entry: tuple(asdict(entry[0]).values()))
    bundles = frozenset(key for each in rewritten for key in each.bundles)
    return {
        "run_id": settings.run_id,
        "as_of": settings.as_of,
        "dry_run": settings.dry_run,
        "version": settings.version,
        "contracts": list(settings.contracts),
        "decision_id": settings.ground.decision_id,
        "opened": {
            "data_keys": counts.data_keys - len(counts.broken),
            "items": counts.items,
            "broken": {key.hex(): code for key, code in sorted(counts.broken.items())},
        },
        "outcomes": dict(sorted(counts.outcomes.items())),
        "values": [{**asdict(entry), "count": number} for entry, number in told],
        "items": dict(sorted(counts.sealed.items())),
        "rows": dict(sorted(counts.rows.items())),
        "retired": {
            "data_keys": counts.retired["data_keys"],
            "bundle_keys": len(bundles),
            "items": counts.retired["items"],
            "rejects": counts.retired["rejects"],
        },
        "gone": dict(sorted((+_gone(rewritten)).items())),
        "completed": sum(each.completed for each in rewritten),
        "rewritten": len(rewritten),
        "reconciliation": {
            "read": asdict(sums.read),
            "outcomes": asdict(sums.outcomes),
            "findings": list(sums.findings),
        },
    }


__all__ = ["REPROCESS", "commit_reprocessing", "refuse_unreconciled"]
