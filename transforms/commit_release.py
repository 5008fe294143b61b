"""Commit a release: look again at the records, judge what was written, add everything up, then let it exist.

The commit is the sink's gate. Records and registry are read once more right before it; whatever has changed
since they were last seen stops the release. If nothing did, the rows that were written are read back and
judged by the second suite, and every item that was read must have exactly one outcome for every purpose.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import CofferdamError, InfrastructureFault, PromiseBroken
from schemas.registry import load_registry
from schemas.tables import (
    CONSENT_RECORDS,
    DECISION_CLASSES,
    DECISION_EXPORTS,
    DECISION_ITEMS,
    DECISION_TELEMETRY,
    FIXED_TABLES,
    OPENINGS,
    QUARANTINE_ITEMS,
    RELEASED,
)
from transforms.audit_facts import audited
from transforms.cloud_places import place_at
from transforms.consent_intake import IntakeCounts, plan_records, read_range
from transforms.decide_telemetry import TelemetryCounts, telemetry_findings, telemetry_ledger
from transforms.faults import value_free
from transforms.manifest_seal import ManifestSeal
from transforms.manifests import FileRecord
from transforms.records_seen import claims_earlier
from transforms.release_counts import ReleaseCounts
from transforms.release_openings import Openings
from transforms.release_rules import SINK, ReleaseRules, decider_of
from transforms.release_settings import ReleaseSettings
from transforms.store import Store
from validation.decisions import RELEASE
from validation.release_suite import WrittenRelease, check_written

_BY: Final = ("purpose", "kind")

RECORDS_CHANGED: Final = "RELEASE_OVERTAKEN"
"""Records arrived while the release ran, and something that was decided may not go any more."""

RECORDS_MOVING: Final = "RECORDS_STILL_CHANGING"
"""Records arrived after the second look, too."""


@dataclass(frozen=True)
class Sighting:
    """Records and registry as they are at one moment.

    Attributes:
        records: Their number and order-independent digest (`IntakeCounts.fingerprint`), None if unreadable.
        fault: Code of what could not be read, None if everything could.
    """

    records: str | None
    fault: str | None = None


def look_again(settings: ReleaseSettings, registry_hash: str) -> Sighting:
    """Read records and registry again; what cannot be read is named and does not raise."""
    try:
        counts = IntakeCounts()
        for part in plan_records(settings.consents):
            for line in read_range(part):
                counts.add_line(line)
        if load_registry(place_at(settings.registry)).registry_hash != registry_hash:
            return Sighting(None, "REGISTRY_CHANGED")
    except CofferdamError as error:
        return Sighting(None, error.code)
    return Sighting(counts.fingerprint)


@dataclass(frozen=True)
class Finished:
    """What the steps of a release hand to its commit.

    Attributes:
        logs: Files of decisions, of both looks, and of openings.
        released: Files of what was released.
        written: What was written, and what it is like, in the words of the second suite.
        counts: Counts of the first decisions.
        openings: Counts of openings.
        unplaced: Items whose ciphertext lies nowhere.
        read: Records as they were read first.
        sighting: Records as they were after everything was written.
        sink_counts: Counts of the second decisions, if there were any.
        lost: Items and purposes that may not go any more.
        telemetry: Files of decisions about telemetry.
        telemetry_counts: What was decided there.
    """

    logs: tuple[FileRecord, ...]
    released: tuple[FileRecord, ...]
    written: WrittenRelease
    counts: ReleaseCounts
    openings: Openings
    unplaced: int
    read: IntakeCounts
    sighting: Sighting
    sink_counts: ReleaseCounts
    lost: int
    telemetry: tuple[FileRecord, ...]
    telemetry_counts: TelemetryCounts

    @property
    def unchanged(self) -> bool:
        """Whether the records are the ones that the decisions were made from."""
        return self.sighting.records == self.read.fingerprint


def commit_release(
    settings: ReleaseSettings, rules: ReleaseRules, seal: ManifestSeal, finished: Finished
) -> dict[str, Any]:
    """Commit what was decided, and what was released if it may still go.

    Returns:
        The ledger, as it is kept in the manifest; ``stopped`` says why nothing was released.

    Raises:
        PromiseBroken: The run does not add up, or what was written is not what was decided; nothing was
            committed.
        InfrastructureFault: The store changed meanwhile, or cannot be written.
    """
    with value_free("commit"):
        store = Store.open(settings.store, seal)
        known = store.snapshot.of_run(settings.run_id)
        if known is not None:
            return dict(known.facts["ledger"])
        if store.snapshot.last_digest != settings.base:
            raise InfrastructureFault(
                "STORE_CHANGED",
                "another run committed to the store meanwhile; run again, nothing was changed",
            )
        return _Commit(settings, rules, finished, store).run()


class _Commit:
    """One commit on its way."""

    def __init__(
        self, settings: ReleaseSettings, rules: ReleaseRules, finished: Finished, store: Store
    ) -> None:
        self._settings, self._rules, self._finished, self._store = settings, rules, finished, store

    def run(self) -> dict[str, Any]:
        finished, store = self._finished, self._store
        self._check_sums()
        stopped = self._stopped()
        suite_hash = None
        if stopped is None:
            suite_hash = self._judge()
            own = [*self._sink_log(), *self._exports(suite_hash)]
            # The last thing before the commit: nothing that is decided upon may be older than this.
            last = look_again(self._settings, self._rules.registry_hash)
            if last.records != finished.sighting.records:
                stopped = last.fault or RECORDS_MOVING
        # Telemetry is not decided again: with other records than those it was decided by, it waits.
        telemetry_stopped = stopped or (None if finished.unchanged else RECORDS_CHANGED)
        made = [*finished.logs, *finished.released, *finished.telemetry, *(own if stopped is None else ())]
        adds = [record for record in made if self._may_stay(record, stopped, telemetry_stopped)]
        for record in made:
            if record not in adds:
                store.files_of_store.delete(record.path)
        ledger = self._ledger(stopped, suite_hash)
        ledger["telemetry"] = telemetry_ledger(store, finished.telemetry_counts, telemetry_stopped)
        facts = {"kind": "release", "ledger": ledger}
        store.commit(self._settings.run_id, adds, audited(facts, store, adds))
        return ledger

    @staticmethod
    def _may_stay(record: FileRecord, stopped: str | None, telemetry_stopped: str | None) -> bool:
        if record.table == DECISION_TELEMETRY:
            return telemetry_stopped is None
        return record.table != RELEASED or stopped is None

    def _stopped(self) -> str | None:
        sighting = self._finished.sighting
        if sighting.fault is not None:
            return sighting.fault
        return None if self._finished.unchanged or not self._finished.lost else RECORDS_CHANGED

    def _check_sums(self) -> None:
        """Every item that was read has one outcome for every purpose, every row that was made is written."""
        finished, purposes = self._finished, len(self._rules.request.purposes)
        items = sum(record.rows for record in self._store.files(QUARANTINE_ITEMS))
        findings = []
        if finished.counts.items != items:
            findings.append(f"{items} items are in quarantine and {finished.counts.items} were decided about")
        if finished.counts.decisions.total() != items * purposes:
            findings.append(
                f"{items * purposes} decisions were due and {finished.counts.decisions.total()} made"
            )
        written, made = Counter[str](), finished.counts.rows + finished.sink_counts.rows
        made[OPENINGS], made[RELEASED] = finished.openings.logged, finished.openings.rows
        for record in (*finished.logs, *finished.released):
            written[record.table] += record.rows
        for table in (DECISION_CLASSES, DECISION_ITEMS, OPENINGS, RELEASED):
            if made[table] != written[table]:
                findings.append(f"{table}: {made[table]} rows were handed over and {written[table]} written")
        findings += telemetry_findings(self._store, finished.telemetry, finished.telemetry_counts, purposes)
        if findings:
            raise PromiseBroken(
                "RELEASE_DOES_NOT_RECONCILE", f"{'; '.join(findings)}. Nothing was committed; run again"
            )

    def _judge(self) -> str:
        """Let the second suite judge the rows that were written; gives its hash."""
        finished = self._finished
        expected = finished.counts.tasks - self.held_unopened
        return check_written(finished.written, expected, decider_of(self._rules.policies).gate)

    @property
    def held_unopened(self) -> int:
        """Items that may go and could not be opened; they stay held."""
        return self._finished.unplaced + self._finished.openings.unopened

    def _released_classes(self) -> Iterator[pa.Table]:
        """The rows of all first decisions to release, each decision once."""
        seen: set[str] = set()
        records = [record for record in self._finished.logs if record.table == DECISION_CLASSES]
        for batch in self._store.scan(DECISION_CLASSES, records=records) if records else ():
            rows = pa.Table.from_batches([batch])
            is_first = pc.not_equal(rows.column("stage"), SINK)
            going = rows.filter(pc.and_(pc.equal(rows.column("decision"), RELEASE), is_first))
            new = [each not in seen for each in going.column("decision_id").to_pylist()]
            seen.update(going.column("decision_id").to_pylist())
            yield going.filter(pa.array(new, pa.bool_()))

    def _sink_log(self) -> list[FileRecord]:
        """The second decision of every class that was released, where nothing had to be asked again."""
        if not self._finished.unchanged:
            return []
        with self._store.writer(self._settings.run_id, DECISION_CLASSES) as writer:
            for rows in self._released_classes():
                at = rows.schema.get_field_index("stage")
                sink = pa.repeat(pa.scalar(SINK), rows.num_rows)
                writer.append(rows.set_column(at, rows.schema.field("stage"), sink))
            return writer.close()

    def _exports(self, suite_hash: str) -> list[FileRecord]:
        """The lineage of what is released: one row for every purpose and kind."""
        grounds: dict[tuple[str, str], Grounds] = defaultdict(Grounds)
        for rows in self._released_classes():
            for purpose, kind in set(zip(*(rows.column(each).to_pylist() for each in _BY), strict=True)):
                grounds[purpose, kind].add(
                    rows.filter((pc.field("purpose") == purpose) & (pc.field("kind") == kind))
                )
        rows = list(export_rows(self._settings, self._rules, self._finished, grounds, suite_hash))
        if not rows:
            return []
        with self._store.writer(self._settings.run_id, DECISION_EXPORTS) as writer:
            writer.append(pa.Table.from_pylist(rows, schema=FIXED_TABLES[DECISION_EXPORTS]))
            return writer.close()

    def _ledger(self, stopped: str | None, suite_hash: str | None) -> dict[str, Any]:
        finished, request = self._finished, self._rules.request
        counts = finished.counts
        released = 0 if stopped else finished.openings.rows
        return {
            "run_id": self._settings.run_id,
            "version": self._settings.version,
            "as_of": request.as_of,
            "purposes": list(request.purposes),
            "recipient": request.recipient,
            "policy_hash": self._rules.policy_hash,
            "registry_hash": self._rules.registry_hash,
            "registry_signed_by": self._rules.attestation and self._rules.attestation.thumbprint,
            "release_suite_hash": suite_hash,
            "records": {
                "read": finished.read.records,
                **self._new_records(),
                "untrusted": dict(sorted(finished.read.faults.items())),
                "seen": finished.read.fingerprint,
                "seen_at_sink": finished.sighting.records,
                "test_keys": sorted(finished.read.test_keys | self._test_signer()),
                "test_keys_allowed": self._rules.allow_test_keys,
            },
            "items": counts.items,
            "ambiguous": counts.ambiguous,
            "classes": counts.classes,
            "decisions": [
                {"purpose": key[0], "kind": key[1], "decision": key[2], "primary": key[3], "items": number}
                for key, number in sorted(counts.decisions.items())
            ],
            "outcomes": dict(sorted(counts.by_outcome().items())),
            "released": released,
            "released_before": counts.released_before,
            "released_by": [
                {"purpose": purpose, "kind": kind, "items": number}
                for (purpose, kind), number in sorted(finished.openings.released.items())
                if not stopped
            ],
            "unopened": self._unopened(),
            "openings": {name: getattr(finished.openings, name) for name in ("blobs", "items", "beside")},
            "stopped": stopped,
            "lost_at_sink": finished.lost,
        }

    def _new_records(self) -> dict[str, int]:
        """Records that no release had seen, and those among them that say they arrived before the last."""
        new = claiming = 0
        records = [record for record in self._finished.logs if record.table == CONSENT_RECORDS]
        columns = ["ingested_at", "unseen_by"]
        for batch in self._store.scan(CONSENT_RECORDS, columns, records=records) if records else ():
            new, claiming = new + len(batch), claiming + sum(map(claims_earlier, batch.to_pylist()))
        return {"new": new, "new_claiming_earlier": claiming}

    def _test_signer(self) -> set[str]:
        """The test key that signed for the registry, if one did."""
        signer = self._rules.attestation
        return {signer.kid} if signer is not None and signer.is_test else set()

    def _unopened(self) -> dict[str, int]:
        """Items and purposes that may go and did not open."""
        missing = {"BLOB_MISSING": self._finished.unplaced} if self._finished.unplaced else {}
        broken = {"SEAL_BROKEN": self._finished.openings.unopened} if self._finished.openings.unopened else {}
        return {**broken, **missing}


@dataclass
class Grounds:
    """What the releases of a purpose and kind rest on: decisions, ids of records and versions of terms."""

    decisions: int = 0
    record_ids: pa.Array = field(default_factory=lambda: pa.array([], pa.string()), repr=False)
    terms: set[str] = field(default_factory=set)

    def add(self, rows: pa.Table) -> None:
        """Add rows of the table of classes."""
        self.decisions += rows.num_rows
        self.terms.update(pc.unique(pc.list_flatten(rows.column("terms"))).to_pylist())
        named = pc.unique(pc.list_flatten(rows.column("record_ids")))
        self.record_ids = pc.unique(pa.chunked_array([self.record_ids, named]))


def export_rows(
    settings: ReleaseSettings,
    rules: ReleaseRules,
    finished: Finished,
    grounds: Mapping[tuple[str, str], Grounds],
    suite_hash: str,
) -> Iterator[dict[str, Any]]:
    """The rows of the table of exports."""
    for (purpose, kind), items in sorted(finished.openings.released.items()):
        rests_on = grounds[purpose, kind]
        lineage = finished.openings.lineage[purpose, kind]
        yield {
            "run_id": settings.run_id,
            "purpose": purpose,
            "recipient": rules.request.recipient,
            "kind": kind,
            "items": items,
            "files": [
                {"path": record.path, "rows": record.rows, "sha256": record.sha256}
                for record in finished.released
                if f"purpose={purpose}/kind={kind}/" in record.path
            ],
            "decisions": rests_on.decisions,
            "records": len(rests_on.record_ids),
            "terms": sorted(rests_on.terms),
            "sources": sorted(lineage.sources),
            "contracts": sorted(lineage.contracts),
            "first": lineage.first,
            "last": lineage.last,
            "policy_hash": rules.policy_hash,
            "registry_hash": rules.registry_hash,
            "release_suite_hash": suite_hash,
            "records_seen": finished.sighting.records,
            "as_of": rules.request.as_of_time,
        }
