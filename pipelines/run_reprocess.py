"""Run a reprocessing: check everything first, hold the store's lock, run, delete what was replaced."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pipelines.engine_jobs import JobGoesOn
from pipelines.engine_reached import refuse_unreachable
from pipelines.engines import run_to_commit, runs_elsewhere
from pipelines.progress_display import progress_shown
from pipelines.reprocess import build_reprocess
from pipelines.run_ingest import committed_ledger, make_pipeline, our_errors
from pipelines.versions import software_version
from pipelines.worker_paths import as_workers_see_it
from schemas.contract import ContractSet, bundled_contract_files, load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import leave_entry
from transforms.erase_commit import delete_replaced, delete_unnamed
from transforms.erase_orders import read_orders
from transforms.key_rotation import refuse_retired
from transforms.keys import ReleaseKeys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening_warrants import FOR_REPROCESSING, Ground
from transforms.reprocess_epochs import refuse_without_roots
from transforms.reprocess_settings import ReprocessSettings, sealed_tenants
from transforms.reprocess_tasks import ROWS_A_TASK
from transforms.store import Store, new_run_id

LIVE_DAYS: Final = 30
REJECTED_DAYS: Final = 30
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
        beam_arguments: Options for Beam.
        rows_a_task: Rows of what is sealed after which a worker's task is large enough.
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
    beam_arguments: tuple[str, ...] = ()
    rows_a_task: int = ROWS_A_TASK


def reprocess_store(request: ReprocessRequest, *, show_progress: bool = False) -> dict[str, Any]:
    """Take in again what was held because no contract knew it; gives the ledger of it.

    Running it again changes nothing but the record of what was opened.

    Raises:
        ConfigurationError: Contracts or options cannot be used; nothing was opened.
        InfrastructureFault: A key or the store cannot be used, or an erasure is not finished.
        PromiseBroken: It does not add up; nothing was changed.
    """
    request = as_workers_see_it(request)
    refuse_unreachable(request.beam_arguments)
    as_of = read_instant(request.as_of)
    files = contract_files(request.contract_files)
    contracts = load_contracts(files)
    keys = load_release_keys(request.keys)
    refuse_without_roots(keys)
    run_id = new_run_id(datetime.now(UTC))
    with Store.open(request.store, seal_of(keys)).writing(run_id) as current:
        refuse_retired(current.snapshot, keys.vault_id)
        refuse_erasure(current, keys)
        resume_log(request.store, keys)  # of a run that was killed; refuses a log that was changed
        order = {**_ordered(request, as_of), "contracts": contracts_digest(files)}
        settings = ReprocessSettings(
            store=request.store,
            base=current.snapshot.last_digest,
            ground=Ground(run_id, FOR_REPROCESSING, order_digest(run_id, order)),
            order=order,
            as_of=order["as_of"],
            today=as_of.date(),
            live_days=request.live_days,
            rejected_days=request.rejected_days,
            source=request.source,
            tenants=sealed_tenants(keys, run_id, request.tenants),
            dry_run=request.dry_run,
            contracts=tuple(f"{entry.id}@{entry.version}" for entry in contracts.contracts),
            version=software_version(),
            rows_a_task=request.rows_a_task,
        )
        after = _carried_out(current, settings, contracts, keys, request, show_progress)
        ledger = committed_ledger(after, run_id)
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


def _carried_out(
    store: Store,
    settings: ReprocessSettings,
    contracts: ContractSet,
    keys: ReleaseKeys,
    request: ReprocessRequest,
    show_progress: bool,
) -> Store:
    """The store after the run; what it has replaced, and what nothing names, is off the disk."""
    try:
        with progress_shown(show_progress), our_errors():
            pipeline = make_pipeline(request.beam_arguments)
            build_reprocess(pipeline, settings, contracts, keys)
            elsewhere = runs_elsewhere(request.beam_arguments)
            run_to_commit(pipeline, request.store, settings.run_id, elsewhere=elsewhere)
    except JobGoesOn:
        raise  # it may still be writing; the next one deletes what it leaves
    except BaseException:
        delete_unnamed(store.refreshed(), settings.run_id)
        raise
    after = store.refreshed()
    manifest = after.snapshot.of_run(settings.run_id)
    delete_replaced(after.files_of_store, manifest.removes if manifest else ())
    delete_unnamed(after)  # what an engine has written twice, and of runs that were killed
    return after


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
        "type": ground.ground,
        "state": "begun",
        "run_id": ground.run_id,
        "decision": ground.decision_id,
    }
    leave_entry(store.files_of_store, f"{ground.run_id}-begun", begun)


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
