"""Make a past decision again from what the store, the records and the registry hold, and compare the two.

A decision's id is a digest of everything that went into it and came out of it, without the run that made it.
So a decision that is made again and has the same id is the same: the same people, records, terms, rules and
reasons. Inputs are read as they were when the run began; what was erased since cannot be read again, and is
named instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.registry import Registry
from schemas.tables import (
    DECISION_CLASSES,
    DECISION_ITEMS,
    FIXED_TABLES,
    QUARANTINE_ITEMS,
    ROSTER,
    SIGNALS,
    TOMBSTONES,
)
from transforms.consent_intake import IntakeCounts, RecordIntake, alias_links, plan_records, read_range
from transforms.decide_meetings import DecisionLabels, MeetingInput, decide_meetings
from transforms.deletion_holds import about_anything, about_meetings, person_rows
from transforms.gather_meetings import gather_meetings
from transforms.manifests import FileRecord, Manifest, fold
from transforms.meeting_joins import (
    HOME,
    MARK_IDS,
    RELEASED_IDS,
    find_marks,
    homes,
    packed,
    participants,
    senders,
)
from transforms.people_joins import alias_table, resolve_people, row_table, rows_to_meetings
from transforms.pseudonyms import Pseudonymiser
from transforms.release_rules import DECIDE, ReleaseRules
from transforms.store import Store

OTHER_RECORDS: Final = "OTHER_RECORDS"
"""The records are not those that the decision saw, nor do they begin with those."""

REWRITTEN: Final = "INPUTS_REWRITTEN"
"""Files that the decision read were written anew since: by an erasure, for example."""

ITEMS_ERASED: Final = "ITEMS_ERASED"
"""Items that the decision was about were erased since."""

ITEMS_GONE: Final = "ITEMS_GONE"
"""Items that the decision was about are not there, and no tombstone says why."""

_NOT_COMPARED: Final = ("run_id", "stage", "items", "records_seen", "decision_id", "class_id")


@dataclass(frozen=True)
class PastDecision:
    """A decision on record.

    Attributes:
        row: Its row in the table of classes.
        ledger: What its run states about itself.
        manifest: The run's manifest.
    """

    row: Mapping[str, Any] = field(repr=False)
    ledger: Mapping[str, Any] = field(repr=False)
    manifest: Manifest = field(repr=False)


@dataclass(frozen=True)
class Replay:
    """A decision that was made again.

    Attributes:
        decision_id: The decision's id.
        same: Whether it came out the same.
        again: The row that came out now, None where nothing is left to decide about.
        differences: Columns that differ.
        missing: What of the inputs is not as it was, by code, with a number.
    """

    decision_id: str
    same: bool
    again: Mapping[str, Any] | None = field(repr=False)
    differences: tuple[str, ...]
    missing: Mapping[str, int]


def find_decision(store: Store, decision_id: str) -> PastDecision:
    """The last record of a decision.

    Raises:
        ConfigurationError: There is none (``DECISION_NOT_FOUND``).
        InfrastructureFault: The run that made it is not known (``DECISION_WITHOUT_RUN``).
    """
    rows: list[dict[str, Any]] = []
    if DECISION_CLASSES in store.tables():
        where = pc.field("decision_id") == decision_id
        rows = store.read_table(DECISION_CLASSES, where=where).to_pylist()
    if not rows:
        raise ConfigurationError(
            "DECISION_NOT_FOUND",
            "no decision about content in this store has this id; `cofferdam explain --item` shows ids",
        )
    row = max(rows, key=lambda one: (one["run_id"], one["stage"] == DECIDE))
    manifest = store.snapshot.of_run(row["run_id"])
    if manifest is None:
        raise InfrastructureFault(
            "DECISION_WITHOUT_RUN", f"no manifest is of run {row['run_id']}; restore it from a backup"
        )
    return PastDecision(row, manifest.facts["ledger"], manifest)


def replay_decision(
    store: Store,
    past: PastDecision,
    rules: ReleaseRules,
    registry: Registry,
    pseudonyms: Pseudonymiser,
    consents: Sequence[str],
) -> Replay:
    """Decide again about the meeting of a past decision, and compare.

    Args:
        store: The store.
        past: The decision.
        rules: Rules of the same registry and policies, with the request of then.
        registry: The registry.
        pseudonyms: Join pseudonyms.
        consents: Files and folders of records.

    Raises:
        ConfigurationError: Registry or policies are others than then (``REPLAY_OTHER_REGISTRY``,
            ``REPLAY_OTHER_POLICIES``).
        InfrastructureFault: Records or store cannot be read.
        PromiseBroken: The suites cannot be relied upon.
    """
    _check_rules(past, rules)
    inputs = _Inputs(store, past, rules, registry, pseudonyms, consents)
    labels = DecisionLabels(past.row["run_id"], past.row["stage"], inputs.records_seen)
    given = list(inputs.meetings())
    rows = [row for decided in decide_meetings(given, rules, labels) for row in decided.classes.to_pylist()]
    return _compared(past, rows, inputs.missing())


def _check_rules(past: PastDecision, rules: ReleaseRules) -> None:
    for name, code, what in (
        ("registry_hash", "REPLAY_OTHER_REGISTRY", "registry"),
        ("policy_hash", "REPLAY_OTHER_POLICIES", "policies"),
    ):
        if getattr(rules, name) != past.row[name]:
            raise ConfigurationError(
                code,
                f"the decision was made with another {what}: give the one with the hash {past.row[name]}",
            )


def _compared(past: PastDecision, rows: Sequence[Mapping[str, Any]], missing: Mapping[str, int]) -> Replay:
    decision_id = past.row["decision_id"]
    for row in rows:
        if row["decision_id"] == decision_id:
            return Replay(decision_id, True, row, (), missing)
    again = next((row for row in rows if row["class_id"] == past.row["class_id"]), None)
    compared = {} if again is None else again
    differences = [
        name for name, value in compared.items() if name not in _NOT_COMPARED and value != past.row[name]
    ]
    return Replay(decision_id, False, again, tuple(differences), missing)


class _Inputs:
    """What a decision was made from, as far as it is still there."""

    def __init__(
        self,
        store: Store,
        past: PastDecision,
        rules: ReleaseRules,
        registry: Registry,
        pseudonyms: Pseudonymiser,
        consents: Sequence[str],
    ) -> None:
        self._store, self._past, self._meeting = store, past, past.row["meeting_join"]
        self._rewritten = 0
        about = pc.field("meeting_join")
        where = about == self._meeting if self._meeting is not None else about.is_null()
        items = self._rows(QUARANTINE_ITEMS, where)
        self._items = items.append_column(HOME, homes(items))
        roster = self._rows(ROSTER, where) if self._meeting is not None else _empty(ROSTER)
        self._roster = roster.append_column(HOME, roster.column("meeting_join"))
        self._signals = self._rows(SIGNALS)
        self._read_people(rules, registry, pseudonyms, consents)

    def meetings(self) -> Iterator[MeetingInput]:
        """The meeting, or the parts of what has none."""
        placed = about_meetings(self._signals)
        signals = placed.append_column(HOME, placed.column("meeting_join"))
        found = {
            "items": [packed(self._items)],
            "marked": [packed(self._marks())],
            "roster": [packed(self._roster)],
            "signals": [packed(signals)],
            "links": [packed(self._links)],
            "rows": [packed(self._people_rows)],
        }
        anywhere = [packed(about_anything(self._signals))]
        yield from gather_meetings(found, self._ownerless, anywhere, only_named=False)

    def missing(self) -> dict[str, int]:
        """What is not as it was."""
        decided = self._decided_items()
        there = set(self._items.column("item_id").to_pylist())
        erased = self._tombstones(decided - there)
        found = {
            OTHER_RECORDS: int(self.records_seen != self._past.row["records_seen"]),
            REWRITTEN: self._rewritten,
            ITEMS_ERASED: len(erased),
            ITEMS_GONE: len(decided - there - erased),
        }
        return {code: number for code, number in found.items() if number}

    def _decided_items(self) -> set[str]:
        row = self._past.row
        where = (pc.field("decision_id") == row["decision_id"]) & (pc.field("run_id") == row["run_id"])
        return set(self._store.read_table(DECISION_ITEMS, ["item_id"], where=where).column(0).to_pylist())

    def _tombstones(self, item_ids: set[str]) -> set[str]:
        if not item_ids or TOMBSTONES not in self._store.tables():
            return set()
        where = pc.field("item_id").isin(sorted(item_ids))
        return set(self._store.read_table(TOMBSTONES, ["item_id"], where=where).column(0).to_pylist())

    def _marks(self) -> pa.Table:
        """Items of which the store has another one of the same id, wherever that is."""
        wanted = pc.field("item_id").isin(pc.unique(self._items.column("item_id")))
        everywhere = self._rows(QUARANTINE_ITEMS, wanted)
        placed = everywhere.append_column(HOME, homes(everywhere)).select(MARK_IDS.names)
        return find_marks(placed.cast(MARK_IDS), RELEASED_IDS.empty_table())

    def _read_people(
        self, rules: ReleaseRules, registry: Registry, pseudonyms: Pseudonymiser, consents: Sequence[str]
    ) -> None:
        wanted = pa.concat_tables([participants(self._roster), senders(self._items)])
        aliases = alias_table(alias_links(registry, pseudonyms))
        intake = RecordIntake(rules.signing_keys, pseudonyms, allow_test_keys=rules.allow_test_keys)
        owned: list[tuple[str, bytes]] = list(person_rows(self._signals))
        self._ownerless: list[bytes] = []
        concerned = _identifiers(aliases, wanted)
        for pseudonym, row in intake.take(_lines(consents, self._past.row["records_seen"])):
            if pseudonym is None:
                self._ownerless.append(row)
            elif pseudonym in concerned:
                owned.append((pseudonym, row))
        self.records_seen = intake.counts.fingerprint
        resolved = resolve_people(aliases, wanted, row_table(owned))
        self._links = resolved.links
        self._people_rows = rows_to_meetings(resolved.wanted, resolved.rows)

    def _rows(self, table: str, where: Any = None) -> pa.Table:
        """Rows of a table that were there when the run began, as they are now."""
        records, gone = _inputs_of(self._store, self._past.manifest.number, table)
        self._rewritten += gone
        schema = FIXED_TABLES[table]
        batches = self._store.scan(table, schema.names, where, records) if records else ()
        return pa.Table.from_batches([batch.cast(schema) for batch in batches], schema)


def _lines(consents: Sequence[str], seen: str) -> Iterator[bytes]:
    """The records that a decision saw, where they are the first of those that there are now; else all."""
    counts, number = IntakeCounts(), int(seen.partition(":")[0])
    for line in islice(_all_lines(consents), number):
        counts.add_line(line)
    return islice(_all_lines(consents), number if counts.fingerprint == seen else None)


def _all_lines(consents: Sequence[str]) -> Iterator[bytes]:
    return (line for part in plan_records(consents) for line in read_range(part))


def _empty(table: str) -> pa.Table:
    return FIXED_TABLES[table].empty_table()


def _identifiers(aliases: pa.Table, wanted: pa.Table) -> set[str]:
    """Identifiers whose records can be about anybody who is wanted: theirs, and those linked to them."""
    named = set(wanted.column("pseudonym").to_pylist())
    pairs = list(zip(*(aliases.column(name).to_pylist() for name in ("pseudonym", "person")), strict=True))
    people = {person for pseudonym, person in pairs if pseudonym in named}
    return named | {pseudonym for pseudonym, person in pairs if person in people}


def _inputs_of(store: Store, number: int, table: str) -> tuple[list[FileRecord], int]:
    """The files of a table that a run read, or what they have become, and how many of them are no more.

    Args:
        store: The store.
        number: Number of the run's manifest.
        table: The table.
    """
    manifests = store.snapshot.manifests
    before, _ = fold(manifest for manifest in manifests if manifest.number < number)
    known = {path for path, record in before.items() if record.table == table}
    gone = len(known - set(store.snapshot.live))
    for manifest in manifests[number - 1 :]:
        if known & set(manifest.removes):
            known |= {record.path for record in manifest.adds if record.table == table}
    return [record for record in store.files(table) if record.path in known], gone
