"""Run a reprocessing: choose, open by order, take in again, commit, delete what was replaced."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipelines.versions import software_version
from schemas.contract import ContractSet, bundled_contract_files, load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import leave_entry, stated
from transforms.audit_facts import audited
from transforms.erase_commit import delete_replaced, delete_unnamed, filters_without
from transforms.erase_orders import read_orders
from transforms.faults import value_free
from transforms.key_rotation import refuse_retired
from transforms.keys import ReleaseKeys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening_warrants import FOR_REPROCESSING, Ground
from transforms.reprocess import Reprocessing, ReprocessSettings
from transforms.store import Store, new_run_id
from validation.reconcile import Reconciliation

LIVE_DAYS: Final = 30
REJECTED_DAYS: Final = 30
REPROCESS: Final = "reprocess"
_DECISION_DIGITS: Final = 32
_EARLIEST_YEAR: Final = 1970
_LATEST_YEAR: Final = 9998
"""Whatever their offset, instants of these years can be told in UTC, and days be taken from them."""


@dataclass(frozen=True)
class ReprocessRequest:
    """What a user asked for.

    Attributes:
        store: The store's root.
        keys: The release side of a key directory.
        contract_files: Contract files and folders of such; empty for the bundled ones.
        dry_run: Whether only to say what would move.
        as_of: Instant of the order (RFC 3339); now, if it is None.
        source: Source of the records, or "auto".
        tenants: Tenants (raw ids), for pseudonyms of fields that are found to hold identifiers.
        live_days: Time to live (days) of sealed items; older ones are not opened.
        rejected_days: Time to live (days) of rejected records, likewise.
    """

    store: str
    keys: Path
    contract_files: tuple[Path, ...] = ()
    dry_run: bool = False
    as_of: str | None = None
    source: str = "auto"
    tenants: tuple[str, ...] = field(default=(), repr=False)
    live_days: int = LIVE_DAYS
    rejected_days: int = REJECTED_DAYS


def reprocess_store(request: ReprocessRequest, *, show_progress: bool = False) -> dict[str, Any]:
    """Take in again what was held because no contract knew it; gives the ledger of it.

    Running it again changes nothing but the record of what was opened.

    Raises:
        ConfigurationError: Contracts or options cannot be used; nothing was opened.
        InfrastructureFault: A key or the store cannot be used, or an erasure is not finished.
        PromiseBroken: It does not add up; nothing was changed.
    """
    as_of = read_instant(request.as_of)
    files = contract_files(request.contract_files)
    contracts = load_contracts(files)
    keys = load_release_keys(request.keys)
    run_id = new_run_id(datetime.now(UTC))
    with Store.open(request.store, seal_of(keys)).writing(run_id) as current:
        refuse_retired(current.snapshot, keys.vault_id)
        refuse_erasure(current, keys)
        resume_log(request.store, keys)  # of a run that was killed; refuses a log that was changed
        delete_unnamed(current)  # of a run that was killed, before or behind its commit
        order = {**_ordered(request, as_of), "contracts": contracts_digest(files)}
        ground = Ground(run_id, FOR_REPROCESSING, order_digest(run_id, order))
        run = _Run(current, keys, contracts, request, as_of, ground)
        with value_free(REPROCESS):
            ledger = run.carry_out(order, show_progress)
        return append_to_log(ledger, request.store, keys)


def _ordered(request: ReprocessRequest, as_of: datetime) -> dict[str, Any]:
    """What was ordered, as the log holds it: no tenant's name."""
    return {
        "as_of": as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "dry_run": request.dry_run,
        "source": request.source,
        "live_days": request.live_days,
        "rejected_days": request.rejected_days,
    }


class _Run:
    """One run on its way, the store's lock held."""

    def __init__(
        self,
        store: Store,
        keys: ReleaseKeys,
        contracts: ContractSet,
        request: ReprocessRequest,
        as_of: datetime,
        ground: Ground,
    ) -> None:
        self._store, self._keys, self._request, self._ground = store, keys, request, ground
        self._as_of = as_of
        self._labels = [f"{entry.id}@{entry.version}" for entry in contracts.contracts]
        settings = ReprocessSettings(
            ground,
            as_of.date(),
            request.live_days,
            request.rejected_days,
            request.source,
            request.tenants,
            request.dry_run,
        )
        self._work = Reprocessing(store, keys, contracts, settings)

    def carry_out(self, order: Mapping[str, Any], show_progress: bool) -> dict[str, Any]:
        """Open, take in, commit; what was written goes if anything fails."""
        if self._work.selection.wanted:
            begin_opening(self._store, self._ground, order)
        try:
            with counted(show_progress, len(self._work.selection.wanted)) as tell:
                for items in self._work.run():
                    tell(items)
            adds, removes, sums = self._work.finish()
            ledger = self._ledger(sums)
            refuse_unreconciled(sums)
            if removes:
                filters, replaced = filters_without(self._store, self._ground.run_id, set(removes))
                adds, removes = [*adds, *filters], [*removes, *replaced]
            if adds or removes:
                self._commit(adds, removes, ledger)
        except BaseException:
            self._work.abandon()
            delete_unnamed(self._store.refreshed())
            raise
        delete_replaced(self._store.files_of_store, removes)
        return ledger

    def _commit(self, adds: list[Any], removes: list[str], ledger: dict[str, Any]) -> None:
        said = {
            "type": REPROCESS,
            "run_id": self._ground.run_id,
            "state": "shown" if self._request.dry_run else "committed",
            "decision": self._ground.decision_id,
            "opened": ledger["opened"]["items"],
            "moved": ledger["outcomes"].get("moved", 0),
            "stays": ledger["outcomes"].get("stays", 0),
        }
        facts = {"kind": REPROCESS, "ledger": ledger, **stated(said)}
        self._store.commit(self._ground.run_id, adds, audited(facts, self._store, adds), removes)

    def _ledger(self, sums: Reconciliation) -> dict[str, Any]:
        work = self._work
        told = sorted(work.told.items(), key=lambda entry: tuple(asdict(entry[0]).values()))
        return {
            "run_id": self._ground.run_id,
            "as_of": self._as_of.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "dry_run": self._request.dry_run,
            "version": software_version(),
            "contracts": self._labels,
            "decision_id": self._ground.decision_id,
            "opened": {
                "data_keys": len(work.selection.wanted) - len(work.opener.broken),
                "items": work.opener.items,
                "broken": {key.hex(): code for key, code in sorted(work.opener.broken.items())},
            },
            "outcomes": dict(sorted(work.outcomes.items())),
            "values": [{**asdict(entry), "count": number} for entry, number in told],
            "items": dict(sorted(work.counts.items.items())),
            "rows": dict(sorted(work.counts.rows.items())),
            **work.figures,
            "reconciliation": {
                "read": asdict(sums.read),
                "outcomes": asdict(sums.outcomes),
                "findings": list(sums.findings),
            },
        }


# --- shared with other openings by order ------------------------------------------------------------------


def read_instant(text: str | None) -> datetime:
    """An instant that a user names, to the second; now, where none is named.

    Raises:
        ConfigurationError: With code ``AS_OF_UNREADABLE``.
    """
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None or not _EARLIEST_YEAR <= found.year <= _LATEST_YEAR:
        raise ConfigurationError(
            "AS_OF_UNREADABLE",
            "--as-of is an instant such as 2026-03-31T00:00:00Z (RFC 3339, with an offset), from 1970 on",
        )
    return found.astimezone(UTC)


def refuse_erasure(store: Store, keys: ReleaseKeys) -> None:
    """Let nothing be taken in again while an erasure waits to be carried out.

    Raises:
        InfrastructureFault: ``ERASURE_UNFINISHED``.
    """
    if any(order.held_in is None for order in read_orders(store.files_of_store, keys)):
        message = "an erasure is not finished, so nothing is opened; run `cofferdam erase` again first"
        raise InfrastructureFault("ERASURE_UNFINISHED", message)


def order_digest(run_id: str, order: Mapping[str, Any]) -> str:
    """The id of the decision that an order is: a digest of it."""
    text = json.dumps({**order, "run_id": run_id}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DECISION_DIGITS]


def contracts_digest(files: Iterable[Path] | None) -> str:
    """Digest of contract files, in whatever order they are named."""
    chosen = bundled_contract_files() if files is None else list(files)
    found = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in chosen)
    return hashlib.sha256("".join(found).encode()).hexdigest()


def begin_opening(store: Store, ground: Ground, order: Mapping[str, Any]) -> None:
    """Leave an entry before anything is opened: what is killed has been logged all the same."""
    begun = {
        **order,
        "type": REPROCESS if ground.ground == FOR_REPROCESSING else ground.ground,
        "state": "begun",
        "run_id": ground.run_id,
        "decision": ground.decision_id,
    }
    leave_entry(store.files_of_store, f"{ground.run_id}-begun", begun)


def refuse_unreconciled(sums: Reconciliation) -> None:
    """Refuse to commit what does not add up.

    Raises:
        PromiseBroken: With code ``REPROCESS_DOES_NOT_RECONCILE``.
    """
    if not sums.holds:
        findings = "; ".join(sums.findings[:5])
        message = f"{findings}. Nothing was committed; run again"
        raise PromiseBroken("REPROCESS_DOES_NOT_RECONCILE", message)


@contextmanager
def counted(wanted: bool, keys: int) -> Iterator[Callable[[int], object]]:
    """Show how much has been opened, on a terminal."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(f"opening {keys:,} data keys")
        yield lambda items: display.update(task, description=f"opened {items:,} items of {keys:,} data keys")


__all__ = ["ReprocessRequest", "reprocess_store"]
