"""Make a governance report of a store: every part in passes of bounded memory, then put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipelines.consent_registry import OpenRegistry, open_registry
from pipelines.report_decided import (
    agreed,
    decisions,
    exceptions,
    quarantine,
    releases,
    replay,
    withdrawals,
)
from pipelines.report_measures import measures_shown
from schemas.consent_rows import read_time
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.places import Place
from transforms.bounded_reading import release_memory
from transforms.manifest_seal import seal_of
from transforms.report_collected import collected, named, separation
from transforms.report_decisions import LastDecisions, last_decisions
from transforms.report_grounds import CHECKS
from transforms.report_log import LogRead, read_log
from transforms.report_record import (
    asks_nobody,
    assessment,
    controllers,
    controls,
    exported,
    processing_record,
    terms_in_force,
)
from transforms.report_released import ReleasedCheck, check_released
from transforms.report_sealed import read_said, read_sealed
from transforms.report_view import Period, StoreView, instant
from transforms.report_written import written
from validation import report_words as words
from validation.policy import Policies
from validation.policy_loading import load_policies
from validation.report_controls import Limit, Log
from validation.report_document import FORMAT, Report
from validation.report_parts import Capped, Checked, Header, Named, RegistryUsed, RunLine

if TYPE_CHECKING:
    from transforms.keys import IngestKeys, ReleaseKeys

RUNS: Final = 50
HASHES: Final = 20
REMEMBERED: Final = 10_000


@dataclass(frozen=True)
class ReportRequest:
    """What a report is asked for.

    Attributes:
        store: The store's root.
        as_of: Instant to which ages are counted.
        live_days: Days that a sealed item may lie.
        registry: The registry's folder, None without.
        keys: One side of a key directory, to look records up by their ids; None without.
        period: Whose runs are told of.
        commits: How many commits are looked at, None for all.
        checkpoint: The log's checkpoint up to which it is read, None for the present one.
        registry_signer: Thumbprint that the registry must be signed by.
        contracts: Contracts that runs were given besides the bundled ones: files and folders.
    """

    store: str
    as_of: datetime
    live_days: int = 30
    registry: Place | None = None
    keys: Path | None = None
    period: Period = field(default_factory=Period)
    commits: int | None = None
    checkpoint: str | None = None
    registry_signer: str | None = None
    contracts: tuple[Path, ...] = ()


def build_report(request: ReportRequest) -> Report:
    """Make the report.

    Raises:
        ConfigurationError: Store, registry or keys cannot be used as given.
        InfrastructureFault: A file cannot be read.
    """
    opened = None if request.registry is None else _registry(request.registry, request.registry_signer)
    policies = _policies(opened)
    keys = _load(request.keys)
    seal = None if keys is None else seal_of(keys)
    view = StoreView(request.store, request.period, request.commits, seal)
    pointer = None if keys is None else _pointer(keys)
    released = check_released(view, lambda purpose: asks_nobody(policies, purpose), pointer)
    release_memory()
    return _Parts(request, view, opened, policies, released).report()


def _registry(folder: Place, signer: str | None) -> OpenRegistry:
    opened = open_registry(folder)
    attestation = opened.registry.attestation
    if signer is not None and (attestation is None or attestation.thumbprint != signer):
        raise ConfigurationError(
            "REGISTRY_OTHER_SIGNER", "the registry is signed by another key than --registry-signer names"
        )
    return opened


def _policies(opened: OpenRegistry | None) -> Policies:
    return load_policies() if opened is None else opened.policies


def _load(keys: Path | None) -> IngestKeys | ReleaseKeys | None:
    """Either side of a key directory: both have the join key, and both know what sealed the manifests."""
    if keys is None:
        return None
    from transforms.keys import load_ingest_keys, load_release_keys

    try:
        return load_ingest_keys(keys)
    except InfrastructureFault as fault:
        if fault.code != "KEYS_WRONG_SIDE":
            raise
        return load_release_keys(keys)


def _pointer(keys: IngestKeys | ReleaseKeys) -> Callable[[str], str]:
    """How to look up a record by its id."""
    from transforms.consent_intake import record_pointer
    from transforms.pseudonyms import join_pseudonyms

    pseudonyms, asked = join_pseudonyms(keys), 0

    def pointer(record_id: str) -> str:
        nonlocal pseudonyms, asked
        asked += 1
        if asked % REMEMBERED == 0:
            pseudonyms = join_pseudonyms(keys)  # it remembers what it was asked, and most ids are asked once
        return record_pointer(record_id, pseudonyms)

    return pointer


class _Parts:
    """A report on its way."""

    def __init__(
        self,
        request: ReportRequest,
        view: StoreView,
        opened: OpenRegistry | None,
        policies: Policies,
        released: ReleasedCheck,
    ) -> None:
        self._request, self._view, self._policies, self._released = request, view, policies, released
        self._registry = None if opened is None else opened.registry
        self._releases = [ledger for _, ledger in view.ledgers("release")]

    def report(self) -> Report:
        view, request = self._view, self._request
        last, log = last_decisions(view), read_log(view, request.checkpoint)
        release_memory()
        sealed, said = read_sealed(view, request.as_of, request.live_days), read_said(view)
        release_memory()
        asked = {purpose for purpose, _ in last.runs}
        who, held = agreed(view, said, last), quarantine(view, sealed)
        seen = collected(view, sealed)
        gone, apart, control = withdrawals(view, said, last), separation(view), self._controls(last, log)
        return Report(
            format=FORMAT,
            header=self._header(log),
            released_without_consent=self._page_one(),
            written=written(view, request.contracts),
            collected=seen,
            processing=processing_record(
                self._registry,
                self._policies,
                exported(view),
                self._released.copies,
                asked,
                request.as_of,
            ),
            agreed=who,
            decisions=decisions(view, last),
            quarantine=held,
            releases=releases(view, self._released, log),
            withdrawals=gone,
            separation=apart,
            terms=terms_in_force(self._registry, last),
            exceptions=exceptions(view, log, self._policies),
            assessment=assessment(last, measures_shown(seen, held, gone, apart, control)),
            controls=control,
            limits=[Limit(about=about, sentence=text) for about, text in words.LIMITS.items()],
            replay=replay(view, last),
            log=_log(log),
        )

    def _header(self, log: LogRead) -> Header:
        request, view = self._request, self._view
        runs = [
            RunLine(
                number=run.number,
                run_id=run.run_id,
                kind=str(run.facts.get("kind") or "-"),
                sha256=view.digests[run.number],
                log_entry=log.runs.get(run.number),
            )
            for run in view.runs[-RUNS:]
        ]
        return Header(
            software=_version(),
            as_of=instant(request.as_of),
            period_from=_bound(request.period.start),
            period_to=_bound(request.period.end),
            log=f"cofferdam/log/{view.digests[1][:32]}",
            commits=view.commits,
            last_commit=view.digests[view.commits],
            policy_hashes=self._hashes("policy_hash"),
            registry_hashes=self._hashes("registry_hash"),
            release_suites=self._hashes("release_suite_hash"),
            registry=self._registry_used(),
            keys_given=request.keys is not None,
            live_days=request.live_days,
            controllers=controllers(self._registry),
            runs=runs,
            runs_shown=Capped(total=len(view.runs), shown=len(runs)),
        )

    def _hashes(self, name: str) -> list[str]:
        """The hashes that releases of the period state, the latest."""
        stated = [ledger[name] for ledger in self._releases if ledger.get(name)]
        return list(dict.fromkeys(reversed(stated)))[:HASHES]

    def _registry_used(self) -> RegistryUsed | None:
        registry = self._registry
        if registry is None or registry.attestation is None:
            return None
        last = self._releases[-1]["registry_hash"] if self._releases else None
        return RegistryUsed(
            sha256=registry.registry_hash,
            signed_by=registry.attestation.thumbprint,
            test_key=registry.attestation.is_test,
            of_last_release=None if last is None else last == registry.registry_hash,
        )

    def _page_one(self) -> Checked:
        found = self._released
        more = words.HOW_NOT_LOOKED_UP if found.looked_up is None else words.HOW_LOOKED_UP
        return Checked(
            rows=found.rows,
            violations=found.violations,
            checks=[Named(name=name, count=found.checks[name]) for name in CHECKS],
            looked_up=found.looked_up,
            how=[*words.HOW_RELEASED, *more],
        )

    def _controls(self, last: LastDecisions, log: LogRead) -> Any:
        policy = self._releases[-1]["policy_hash"] if self._releases else None
        judged = self._released.rows - self._released.checks["NOT_JUDGED"]
        return controls(
            self._policies, last, last_policy=policy, judged=judged, commits_checked=len(log.runs)
        )


def _bound(value: datetime | None) -> str | None:
    return None if value is None else instant(value)


def _log(log: LogRead) -> Log:
    return Log(
        entries=log.entries,
        root=log.root,
        checkpoint=log.note,
        by_type=named(log.types),
        files=log.files,
        holds=not +log.findings,
        findings=named(log.findings),
        verifiers=log.verifiers,
    )


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("cofferdam")


def parse_instant(text: str) -> datetime:
    """An instant that a user gave (RFC 3339).

    Raises:
        ConfigurationError: It is none (``REPORT_TIME``).
    """
    found = read_time(text)
    if found is None:
        raise ConfigurationError("REPORT_TIME", "an instant is written as 2026-06-01T00:00:00Z")
    return found
