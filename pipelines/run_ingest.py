"""Run the ingest pipeline: check everything first, hold the store's lock, run, read the ledger back."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipelines.beam_options import is_in_process
from pipelines.engine_reached import refuse_unreachable
from pipelines.engines import refuse_not_outliving, run_to_commit, runs_elsewhere
from pipelines.ingest import build_ingest
from pipelines.progress_display import progress_shown
from pipelines.versions import software_version
from pipelines.worker_paths import as_workers_see_it
from schemas import errors
from schemas.contract import load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from transforms.audit_append import append_to_log, resume_log
from transforms.canaries import CanarySettings, LogListener, canary_found
from transforms.canary_search import Stem
from transforms.commit_run import RunSettings
from transforms.key_rotation import refuse_retired
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.sources import list_inputs
from transforms.store import Store, new_run_id

_OURS = re.compile(r"schemas\.errors\.(\w+): ([A-Z][A-Z0-9_]+): (.*)")


@dataclass(frozen=True)
class IngestRequest:
    """What a user asked for.

    Attributes:
        patterns: Input files, folders and globs.
        store: The store's root.
        keys: The ingest side of a key directory.
        source: Source name, or "auto".
        contract_files: Contract files and folders of such; empty for the bundled ones.
        record_cap: Longest record in bytes.
        split_bytes: Size of parallel ranges in bytes.
        received: The day of the run.
        digest_since: First day whose digests find duplicates; None for all.
        beam_arguments: Options for Beam.
        canaries: Events to plant and to search for.
        wait: Whether to wait for the end of it.
    """

    patterns: tuple[str, ...]
    store: str
    keys: Path
    source: str
    contract_files: tuple[Path, ...]
    record_cap: int
    split_bytes: int
    received: date
    digest_since: date | None
    beam_arguments: tuple[str, ...] = ()
    canaries: int = 0
    wait: bool = True


def run_ingest(request: IngestRequest, *, show_progress: bool) -> dict[str, Any]:
    """Run ingest and return its ledger; of a run that is not waited for, only its id.

    Raises:
        ConfigurationError: Contracts, options or input patterns cannot be used.
        InfrastructureFault: A key, file or the store cannot be used.
        PromiseBroken: The run did not reconcile, or a canary came through.
    """
    if request.canaries and "://" in request.store:
        raise ConfigurationError(
            "CANARIES_NOT_LOCAL",
            "canaries are searched for in a local store only; run once on one, with some",
        )
    request = as_workers_see_it(request)
    if not request.wait:
        refuse_not_outliving(request.beam_arguments)
    refuse_unreachable(request.beam_arguments)
    contracts = load_contracts(contract_files(request.contract_files))
    keys = load_ingest_keys(request.keys)
    list_inputs(request.patterns)
    store = Store.open_or_create(request.store, seal_of(keys))
    run_id = new_run_id(datetime.now(UTC))
    with store.writing(run_id) as current:
        refuse_retired(current.snapshot, keys.vault_id)
        resume_log(request.store, keys)  # of a run that was killed; refuses a log that was changed
        settings = RunSettings(
            store=request.store,
            run_id=run_id,
            base=current.snapshot.last_digest,
            source=request.source,
            received=request.received,
            digest_since=request.digest_since,
            record_cap=request.record_cap,
            contracts=tuple(f"{entry.id}@{entry.version}" for entry in contracts.contracts),
            version=software_version(),
            canaries=CanarySettings(request.canaries, Stem.fresh()) if request.canaries else None,
        )
        with logs_searched(settings.canaries), progress_shown(show_progress), our_errors():
            pipeline = make_pipeline(request.beam_arguments)
            build_ingest(pipeline, request.patterns, settings, contracts, keys, request.split_bytes)
            if not request.wait:
                pipeline.run()
                return {"run_id": run_id, "submitted": True}
            elsewhere = runs_elsewhere(request.beam_arguments)
            whole = run_to_commit(pipeline, request.store, run_id, elsewhere=elsewhere)
        if not whole:
            append_to_log(run_id, request.store, keys)
    return committed_ledger(Store.open(request.store, seal_of(keys)), run_id)


@contextmanager
def logs_searched(canaries: CanarySettings | None) -> Iterator[None]:
    """Look for canaries in all that is logged in this process meanwhile.

    Raises:
        PromiseBroken: A log line held one (``CANARY_FOUND``); what was committed stays.
    """
    if canaries is None:
        yield
        return
    listener = LogListener(canaries.stem)
    logging.getLogger().addHandler(listener)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(listener)
    if listener.found:
        raise canary_found(sorted(listener.found), "the log of this process is not safe to keep")


def make_pipeline(arguments: Sequence[str]) -> beam.Pipeline:
    """A pipeline on the runner that the arguments name.

    DirectRunner means Beam's in-process Fn API runner: the switching runner of that name would first try to
    download another engine.
    """
    options = PipelineOptions(list(arguments))
    name = options.view_as(StandardOptions).runner
    runner = FnApiRunner() if is_in_process(name) else name
    return beam.Pipeline(runner=runner, options=options)


def committed_ledger(store: Store, run_id: str) -> dict[str, Any]:
    """The ledger that a run committed.

    Raises:
        InfrastructureFault: The run committed nothing (RUN_NOT_COMMITTED).
    """
    manifest = store.snapshot.of_run(run_id)
    if manifest is None:
        raise InfrastructureFault("RUN_NOT_COMMITTED", "the run ended without a commit; run again")
    ledger: dict[str, Any] = manifest.facts["ledger"]
    return ledger


@contextmanager
def our_errors() -> Iterator[None]:
    """Beam wraps a step's error in its own, with a traceback as text: give back the one we raised.

    Raises:
        CofferdamError: Ours, or for any other error an InfrastructureFault (``RUN_FAILED``).
    """
    try:
        yield
    except CofferdamError:
        raise
    except Exception as error:
        found = _OURS.findall(str(error))
        if found:
            kind, code, message = found[-1]
            raise _error_class(kind)(code, message.split(" [while running")[0].strip()) from None
        name = type(error).__name__
        raise InfrastructureFault(
            "RUN_FAILED",
            f"the runner stopped with {name}; running again is safe. An engine outside of this process may "
            "still carry the job out and commit: see its own pages and logs, and `cofferdam ledger`",
        ) from None


def _error_class(name: str) -> type[CofferdamError]:
    found = getattr(errors, name, InfrastructureFault)
    return found if isinstance(found, type) and issubclass(found, CofferdamError) else InfrastructureFault
