"""Reveal the names behind a store's drift to the release side: open by order, log it, hand the names back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.run_reprocess import (
    LIVE_DAYS,
    REJECTED_DAYS,
    begin_opening,
    contracts_digest,
    counted,
    order_digest,
    read_instant,
    refuse_erasure,
)
from pipelines.versions import software_version
from schemas.contract import load_contracts
from schemas.contract_lint import contract_files
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import stated
from transforms.audit_facts import audited
from transforms.drift_names import NameReader, Revealed
from transforms.erase_commit import delete_unnamed
from transforms.faults import value_free
from transforms.keys import load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening_warrants import FOR_DRIFT, Ground
from transforms.ordered_opening import OrderedOpener
from transforms.reprocess_selection import Choice, Selection
from transforms.routing import UNKNOWN_TYPE
from transforms.store import Store, new_run_id

KIND = "drift"


@dataclass(frozen=True)
class DriftRequest:
    """What a user asked for.

    Attributes:
        store: The store's root.
        keys: The release side of a key directory.
        contract_files: Contract files and folders of such; empty for the bundled ones.
        as_of: Instant of the order (RFC 3339); now, if it is None.
        live_days: Time to live (days) of sealed items; older ones are not opened.
        rejected_days: Time to live (days) of rejected records, likewise.
    """

    store: str
    keys: Path
    contract_files: tuple[Path, ...] = ()
    as_of: str | None = None
    live_days: int = LIVE_DAYS
    rejected_days: int = REJECTED_DAYS


def show_drift(request: DriftRequest, *, show_progress: bool = False) -> tuple[dict[str, Any], Revealed]:
    """Reveal unknown names; gives what was opened, and the names, which nothing else keeps.

    Raises:
        ConfigurationError: Contracts or options cannot be used; nothing was opened.
        InfrastructureFault: A key or the store cannot be used, or an erasure is not finished.
    """
    as_of = read_instant(request.as_of)
    files = contract_files(request.contract_files)
    contracts = load_contracts(files)
    keys = load_release_keys(request.keys)
    run_id = new_run_id(datetime.now(UTC))
    with Store.open(request.store, seal_of(keys)).writing(run_id) as current:
        refuse_erasure(current, keys)
        resume_log(request.store, keys)  # of a run that was killed; refuses a log that was changed
        first_item = as_of.date() - timedelta(days=request.live_days)
        first_reject = as_of.date() - timedelta(days=request.rejected_days)
        choice = Choice(current, None, (UNKNOWN_TYPE,), first_item, first_reject)
        selection = Selection(current, choice)
        order = {"as_of": as_of.strftime("%Y-%m-%dT%H:%M:%SZ"), "contracts": contracts_digest(files)}
        ground = Ground(run_id, FOR_DRIFT, order_digest(run_id, order))
        if selection.wanted:
            begin_opening(current, ground, order)
        with value_free(KIND):
            opener = OrderedOpener(current, keys, ground, selection.wanted)
            reader = NameReader(selection, contracts, keys)
            _read(current, run_id, reader, opener, counted(show_progress, len(selection.wanted)))
            ledger = _commit(current, ground, opener, reader.found)
        return append_to_log(ledger, request.store, keys), reader.found


def _read(
    store: Store,
    run_id: str,
    reader: NameReader,
    opener: OrderedOpener,
    display: AbstractContextManager[Callable[[int], object]],
) -> None:
    """Open everything; what was written of the record goes if anything fails."""
    try:
        with display as tell:
            for items in reader.read(opener):
                tell(items)
    except BaseException:
        opener.abandon()
        delete_unnamed(store, run_id)
        raise


def _commit(store: Store, ground: Ground, opener: OrderedOpener, found: Revealed) -> dict[str, Any]:
    """Commit the record of what was opened: numbers, and no name."""
    ledger = {
        "run_id": ground.run_id,
        "version": software_version(),
        "decision_id": ground.decision_id,
        "opened": {
            "items": opener.items,
            "broken": {key.hex(): code for key, code in sorted(opener.broken.items())},
        },
        "fields": len(found.fields),
        "types": len(found.types),
        "beyond": found.beyond,
        "unreadable": found.unreadable,
    }
    adds = opener.close()
    if adds:
        said = {
            "type": KIND,
            "run_id": ground.run_id,
            "state": "shown",
            "decision": ground.decision_id,
            "opened": opener.items,
        }
        facts = {"kind": KIND, "ledger": ledger, **stated(said)}
        store.commit(ground.run_id, adds, audited(facts, store, adds))
    return ledger


__all__ = ["DriftRequest", "show_drift"]
