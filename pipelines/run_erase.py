"""Run an erasure: find out what goes, keep the order, rewrite and commit, delete what was replaced, check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.consent_registry import OpenRegistry, open_registry
from pipelines.engine_jobs import JobGoesOn
from pipelines.engine_reached import refuse_unreachable
from pipelines.engines import run_to_commit, runs_elsewhere
from pipelines.erase import build_due, build_erase
from pipelines.erase_ledger import check_guard, erasure_ledger
from pipelines.progress_display import progress_shown
from pipelines.run_ingest import make_pipeline, our_errors
from pipelines.versions import software_version
from pipelines.worker_paths import as_workers_see_it
from schemas.contract import ContractSet, load_contracts
from schemas.contract_lint import contract_files
from schemas.places import Place
from schemas.tables import ERASED_EVENTS, RECALLS, TOMBSTONES
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import ERASURE, leave_entry, stated
from transforms.consent_intake import plan_records
from transforms.erase_check import ErasureCheck, check_erased
from transforms.erase_commit import ErasureSettings, delete_replaced, delete_unnamed
from transforms.erase_due import Due, copies_over, evidence, find_due, purposes_to_ask
from transforms.erase_orders import Order, delete_drafts, finish_orders, people_of, read_orders, write_order
from transforms.erase_passing import (
    delete_passed,
    edits_kept,
    folder_for_decisions,
    goes_through_store,
    seal_of_decisions,
)
from transforms.erase_plan import ErasurePlan, Planner, due_by_age, held_keys
from transforms.erase_reach import (
    TIME_TO_LIVE_OVER,
    Identifier,
    Spaces,
    find_reach,
    identifiers_of,
    read_subject,
)
from transforms.erase_recalls import recall_rows
from transforms.keys import ReleaseKeys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.manifests import FileRecord
from transforms.pseudonyms import join_pseudonyms
from transforms.release_reading import digits_for
from transforms.release_rules import ReleaseRequest, ReleaseRules, decider_of, make_rules
from transforms.release_settings import ReleaseSettings
from transforms.sealed_format import HOLDS_ITEMS, HOLDS_REJECTED
from transforms.store import Store, new_run_id
from transforms.tombstones import event_rows, tombstone_rows

LIVE_DAYS = 30
REJECTED_DAYS = 30


@dataclass(frozen=True)
class EraseOptions:
    """What a user asked for.

    Attributes:
        store: The store's root.
        keys: The release side of a key directory.
        consents: Files and folders of records.
        registry: The registry's folder.
        as_of: Instant of the decision (RFC 3339).
        subjects: ``TYPE:ID`` of people who have asked for erasure.
        all_due: Whether everything that is due goes.
        dry_run: Whether only to say what would go.
        max_share: Largest share (percent) of a part of the store that may go.
        live_days: Time to live (days) of sealed items.
        rejected_days: Time to live (days) of rejected records.
        tenants: Tenants (raw ids) beside the registered ones that telemetry may be of.
        contract_files: Contract files and folders of such; empty for the bundled ones.
        allow_test_keys: Whether keys marked test are keys.
        registry_signer: Thumbprint of the key that must have signed for the registry, if named.
        beam_arguments: Options for Beam.
    """

    store: str
    keys: Path
    consents: tuple[Place, ...]
    registry: Place
    as_of: str
    subjects: tuple[str, ...] = field(default=(), repr=False)
    all_due: bool = False
    dry_run: bool = False
    max_share: float = 10.0
    live_days: int = LIVE_DAYS
    rejected_days: int = REJECTED_DAYS
    tenants: tuple[str, ...] = field(default=(), repr=False)
    contract_files: tuple[Path, ...] = ()
    allow_test_keys: bool = False
    registry_signer: str | None = None
    beam_arguments: tuple[str, ...] = ()


def run_erase(options: EraseOptions, *, show_progress: bool) -> dict[str, Any]:
    """Run an erasure and return its ledger.

    Raises:
        ConfigurationError: Registry, contracts or options cannot be used; nothing was changed.
        InfrastructureFault: A key, record file or the store cannot be used.
        TooMuchErased: More would go than is allowed; nothing was changed.
        PromiseBroken: The erasure does not add up, or something is left after it.
    """
    options = as_workers_see_it(options)
    refuse_unreachable(options.beam_arguments)
    opened = open_registry(options.registry)
    keys = load_release_keys(options.keys)
    rules = _rules(opened, options, keys)
    contracts = load_contracts(contract_files(options.contract_files))
    plan_records([str(path) for path in options.consents])
    run_id = new_run_id(datetime.now(UTC))
    store = Store.open(options.store, seal_of(keys))
    erasure = _Erasure(options, opened, keys, rules, contracts, run_id)
    elsewhere = runs_elsewhere(options.beam_arguments)
    if options.dry_run and not goes_through_store(store, elsewhere=elsewhere):
        return erasure.run(store, show_progress)  # it only reads
    with store.writing(run_id) as current:
        if options.dry_run:
            return erasure.run(current, show_progress)
        resume_log(options.store, keys)  # of a run that was killed; refuses a log that was changed
        return append_to_log(erasure.run(current, show_progress), options.store, keys)


def _rules(opened: OpenRegistry, options: EraseOptions, keys: ReleaseKeys) -> ReleaseRules:
    purposes = tuple(sorted(opened.registry.purposes))
    request = ReleaseRequest(
        purposes=purposes,
        recipient="first_party",
        as_of=options.as_of,
        registry_signer=options.registry_signer,
    )
    rules = make_rules(
        request,
        opened.registry,
        opened.policies,
        join_pseudonyms(keys),
        allow_test_keys=options.allow_test_keys,
    )
    decider_of(opened.policies)
    return rules


class _Erasure:
    """One erasure on its way, the store's lock held."""

    def __init__(
        self,
        options: EraseOptions,
        opened: OpenRegistry,
        keys: ReleaseKeys,
        rules: ReleaseRules,
        contracts: ContractSet,
        run_id: str,
    ) -> None:
        self._options, self._opened, self._keys = options, opened, keys
        self._rules, self._contracts, self._run_id = rules, contracts, run_id
        self._due, self._decisions = Due(), dict[str, pa.Table]()

    def run(self, store: Store, show_progress: bool) -> dict[str, Any]:
        files = store.files_of_store
        orders = read_orders(files, self._keys)
        people = self._people(orders)
        due = self._options.all_due or any(order.due for order in orders)
        plan = self._plan(store, people, due=due, show_progress=show_progress)
        waiting = self._due.waiting
        ledger = erasure_ledger(self._run_id, self._options.as_of, store, plan, due=due, waiting=waiting)
        ledger["unregistered"] = self._unregistered()
        check_guard(ledger, self._options.max_share, dry_run=self._options.dry_run)
        if self._options.dry_run:
            return {**ledger, "dry_run": True}
        order = Order(self._run_id, tuple(sorted(people)), due)
        delete_drafts(files)
        write_order(files, self._keys, order)
        delete_passed(files)
        after = self._carry_out(store, plan, ledger, show_progress)
        checked = self._finish(after, plan, [*orders, order])
        return {
            **ledger,
            "check": checked.as_dict(),
            "dry_run": False,
            "resumed": sum(each.held_in is None for each in orders),
        }

    def _people(self, orders: Sequence[Order]) -> set[Identifier]:
        asked = [read_subject(text) for text in self._options.subjects]
        return people_of(orders).union(*(identifiers_of(self._opened.registry, subject) for subject in asked))

    def _unregistered(self) -> int:
        asked = [read_subject(text) for text in self._options.subjects]
        return sum(self._opened.registry.person_of(each.type, each.value) is None for each in asked)

    def _plan(self, store: Store, people: set[Identifier], *, due: bool, show_progress: bool) -> ErasurePlan:
        registry = self._opened.registry
        spaces = Spaces(self._keys, (*registry.tenants, *self._options.tenants))
        reach = find_reach(registry, self._rules, spaces, people, due=due)
        planner = Planner(store, self._contracts, reach)
        if not due:
            return planner.make({})
        self._decide(store, show_progress)
        as_of = self._rules.request.as_of_time
        copies = copies_over(store, registry.purposes, as_of, reach.join.held)
        aged = self._aged(store, as_of.date(), held_keys(store, reach.join))
        return planner.make({**aged, **self._due.keys}, {**copies, **self._due.copies})

    def _aged(self, store: Store, today: date, held: frozenset[bytes]) -> dict[bytes, str]:
        """Data keys whose time to live is over and that no legal hold keeps."""
        first_alive = {
            HOLDS_ITEMS: today - timedelta(days=self._options.live_days),
            HOLDS_REJECTED: today - timedelta(days=self._options.rejected_days),
        }
        found = due_by_age(store, first_alive, TIME_TO_LIVE_OVER)
        return {key: reason for key, reason in found.items() if key not in held}

    def _decide(self, store: Store, show_progress: bool) -> None:
        """Decide about everything for purposes that may have lost it, in a store that is thrown away."""
        registered = self._rules.request.purposes
        purposes = purposes_to_ask(store, self._rules)
        if not purposes:
            return
        rules = replace(self._rules, request=replace(self._rules.request, purposes=purposes))
        elsewhere = runs_elsewhere(self._options.beam_arguments)
        with folder_for_decisions(store, self._run_id, elsewhere=elsewhere) as log:
            seal = seal_of_decisions(self._keys, self._run_id)
            Store.open_or_create(log, seal)
            settings = ReleaseSettings(
                store=self._options.store,
                run_id=self._run_id,
                base=store.snapshot.last_digest,
                consents=tuple(map(str, self._options.consents)),
                registry=str(self._options.registry),
                version=software_version(),
                digits=digits_for(store, len(plan_records([str(path) for path in self._options.consents]))),
            )
            with progress_shown(show_progress), our_errors():
                pipeline = make_pipeline(self._options.beam_arguments)
                build_due(pipeline, settings, log, rules, self._keys)
                run_to_commit(pipeline, log, self._run_id, elsewhere=elsewhere)
            decided = Store.open(log, seal)
            self._due = find_due(store, decided, purposes, whole=purposes == registered)
            self._decisions = evidence(decided, self._due)

    def _carry_out(
        self, store: Store, plan: ErasurePlan, ledger: dict[str, Any], show_progress: bool
    ) -> Store:
        if not plan.edits:
            delete_unnamed(store)
            return store
        begun = {"type": ERASURE, "run_id": self._run_id, "state": "begun"}
        leave_entry(store.files_of_store, f"{self._run_id}-begun", begun)
        elsewhere = runs_elsewhere(self._options.beam_arguments)
        with (
            _uncommitted_deleted(store, self._run_id),
            edits_kept(store, self._keys, self._run_id, plan.edits, elsewhere=elsewhere) as kept,
        ):
            evidence = self._evidence(store, plan)
            settings = ErasureSettings(self._options.store, self._run_id, store.snapshot.last_digest)
            with progress_shown(show_progress), our_errors():
                pipeline = make_pipeline(self._options.beam_arguments)
                build_erase(pipeline, settings, plan.edits, evidence, self._facts(ledger), self._keys, kept)
                run_to_commit(pipeline, self._options.store, self._run_id, elsewhere=elsewhere)
        after = store.refreshed()
        delete_unnamed(after)  # what an engine has written twice, and of runs that were killed
        return after

    def _evidence(self, store: Store, plan: ErasurePlan) -> list[FileRecord]:
        """Write tombstones, erased events and recalls; nobody sees them before the commit."""
        as_of = self._rules.request.as_of_time
        destroyed = [(e.item_id, e.kind, e.key_id, e.digest, e.reason) for e in plan.destroyed]
        tables = [(TOMBSTONES, rows) for rows in tombstone_rows(self._run_id, as_of, destroyed)]
        tables.append((ERASED_EVENTS, event_rows(self._run_id, plan.events)))
        tables.append((RECALLS, recall_rows(store, plan, self._run_id, as_of)))
        tables += self._decisions.items()
        written: list[FileRecord] = []
        for table, rows in tables:
            if rows.num_rows:
                with store.writer(self._run_id, table) as writer:
                    writer.append(rows)
                    written += writer.close()
        return written

    def _facts(self, ledger: dict[str, Any]) -> dict[str, Any]:
        """What the commit states about itself, and its entry in the audit log."""
        counts = {name: ledger[name] for name in ("items", "data_keys", "bundle_keys", "events", "recalls")}
        said = {"type": ERASURE, "run_id": self._run_id, "state": "committed", **counts}
        said["reasons"] = ledger["reasons"]
        own = {**ledger, "version": software_version()}
        return {"kind": "erasure", "ledger": own, **stated(said)}

    def _finish(self, store: Store, plan: ErasurePlan, orders: Sequence[Order]) -> ErasureCheck:
        """Delete what was replaced, by this run and those that were interrupted, check, forget the orders."""
        files = store.files_of_store
        manifests = [store.snapshot.of_run(order.run_id) for order in orders]
        removed = [path for manifest in manifests if manifest for path in manifest.removes]
        delete_replaced(files, removed)
        checked = check_erased(store, self._keys, self._contracts, plan, removed)
        if plan.held:
            people = tuple(sorted(people_of(orders)))
            held = Order(self._run_id, people, due=False, held_in=tuple(sorted(plan.held_in, key=str)))
            write_order(files, self._keys, held)
        finish_orders(files, orders)
        return checked


@contextmanager
def _uncommitted_deleted(store: Store, run_id: str) -> Iterator[None]:
    """Whatever ends the block, leave no file of a run that no manifest names, unless it may still write."""
    try:
        yield
    except JobGoesOn:
        raise
    except BaseException:
        delete_unnamed(store.refreshed(), run_id)
        raise


__all__ = ["EraseOptions", "run_erase"]
