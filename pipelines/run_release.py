"""Run the release pipeline: check everything first, hold the store's lock, run, read the ledger back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.consent_registry import OpenRegistry, open_registry
from pipelines.engine_jobs import JobGoesOn
from pipelines.engine_reached import refuse_unreachable
from pipelines.engines import refuse_not_outliving, run_to_commit, runs_elsewhere
from pipelines.progress_display import progress_shown
from pipelines.release import build_release
from pipelines.run_ingest import committed_ledger, make_pipeline, our_errors
from pipelines.versions import software_version
from pipelines.worker_paths import as_workers_see_it
from schemas.places import Place
from schemas.tables import RELEASED
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import RELEASE, leave_entry
from transforms.consent_intake import plan_records
from transforms.erase_orders import refuse_unfinished
from transforms.keys import load_release_keys
from transforms.manifest_seal import seal_of
from transforms.pseudonyms import join_pseudonyms
from transforms.release_reading import digits_for
from transforms.release_rules import ReleaseRequest, ReleaseRules, decider_of, make_rules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store, new_run_id
from validation.policy import Policies
from validation.policy_loading import read_json_object


@dataclass(frozen=True)
class ReleaseOptions:
    """What a user asked for.

    Attributes:
        store: The store's root.
        keys: The release side of a key directory.
        consents: Files and folders of records.
        registry: The registry's folder.
        request: Purposes, recipient and instant.
        allow_test_keys: Whether keys marked test are keys.
        pins: Hashes that policies and suites must have, None for none besides the registry's.
        beam_arguments: Options for Beam.
        wait: Whether to wait for the end of it.
    """

    store: str
    keys: Path
    consents: tuple[Place, ...]
    registry: Place
    request: ReleaseRequest
    allow_test_keys: bool = False
    pins: Path | None = None
    beam_arguments: tuple[str, ...] = ()
    wait: bool = True


def run_release(options: ReleaseOptions, *, show_progress: bool) -> dict[str, Any]:
    """Run a release and return its ledger; of a run that is not waited for, only its id.

    Raises:
        ConfigurationError: Registry, policies or options cannot be used; nothing was read.
        InfrastructureFault: A key, record file or the store cannot be used, or an erasure is not finished.
        PromiseBroken: The run does not add up, or a suite cannot be relied upon; nothing was released.
    """
    options = as_workers_see_it(options)
    if not options.wait:
        refuse_not_outliving(options.beam_arguments)
    refuse_unreachable(options.beam_arguments)
    opened = open_registry(options.registry)
    policies = _pinned(opened, options.pins)
    keys = load_release_keys(options.keys)
    rules = make_rules(
        options.request,
        opened.registry,
        policies,
        join_pseudonyms(keys),
        allow_test_keys=options.allow_test_keys,
    )
    decider_of(policies)
    ranges = plan_records([str(path) for path in options.consents])
    run_id = new_run_id(datetime.now(UTC))
    with Store.open(options.store, seal_of(keys)).writing(run_id) as current:
        delete_uncommitted(current)  # of a run that was killed
        refuse_unfinished(current.files_of_store, keys, rules)
        resume_log(options.store, keys)  # of the same; refuses a log that was changed
        settings = ReleaseSettings(
            store=options.store,
            run_id=run_id,
            base=current.snapshot.last_digest,
            consents=tuple(map(str, options.consents)),
            registry=str(options.registry),
            version=software_version(),
            digits=digits_for(current, len(ranges)),
        )
        _log_beginning(current, settings, rules)
        try:
            with progress_shown(show_progress), our_errors():
                pipeline = make_pipeline(options.beam_arguments)
                build_release(pipeline, settings, rules, keys)
                if not options.wait:
                    pipeline.run()
                    return {"run_id": run_id, "submitted": True}
                elsewhere = runs_elsewhere(options.beam_arguments)
                whole = run_to_commit(pipeline, options.store, run_id, elsewhere=elsewhere)
        except JobGoesOn:
            raise  # it may still be writing; the next release deletes what it leaves
        except BaseException:
            if options.wait:
                delete_uncommitted(current.refreshed())
            raise
        delete_uncommitted(current.refreshed())  # what an engine has written twice
        if not whole:
            append_to_log(run_id, options.store, keys)
    return committed_ledger(Store.open(options.store, seal_of(keys)), run_id)


def _log_beginning(store: Store, settings: ReleaseSettings, rules: ReleaseRules) -> None:
    """Leave an entry before anything can be opened: a release that is killed has been logged all the same."""
    begun = {
        "type": RELEASE,
        "state": "begun",
        "run_id": settings.run_id,
        "purposes": list(rules.request.purposes),
        "recipient": rules.request.recipient,
        "as_of": rules.request.as_of,
        "policy_hash": rules.policy_hash,
        "registry_hash": rules.registry_hash,
    }
    leave_entry(store.files_of_store, f"{settings.run_id}-release", begun)


def _pinned(opened: OpenRegistry, pins: Path | None) -> Policies:
    if pins is None:
        return opened.policies
    return replace(opened.policies, pins=read_json_object(pins, "file of pins"))


def delete_uncommitted(store: Store) -> None:
    """Delete opened content that a run has written and not lived to commit.

    Args:
        store: The store, its lock held: no other run is writing.
    """
    for found in store.files_of_store.find(RELEASED):
        if found.path not in store.snapshot.live:
            store.files_of_store.delete(found.path)


__all__ = ["ReleaseOptions", "delete_uncommitted", "run_release"]
