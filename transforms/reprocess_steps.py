"""The steps of a reprocessing, each of which opens the store for itself.

    choose ──► tasks ──► take in ──┬──► what changes, by file ──► write anew ──┐
                  ▲                │                                           ▼
                  └── clashing ◄───┴──► what came of it ────────────────────► commit

Nothing that was opened travels between steps: files that no manifest names, values as telemetry and rosters
hold them, ids and counts do. Whatever a step writes has a unique name, so a step that an engine does twice
leaves files that nothing names, and no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import apache_beam as beam

from schemas.contract import ContractSet
from transforms.audit_entries import leave_entry
from transforms.faults import value_free
from transforms.keys import ReleaseKeys
from transforms.manifest_seal import seal_of
from transforms.reprocess import Done, take_in
from transforms.reprocess_commit import REPROCESS, commit_reprocessing
from transforms.reprocess_records import MENDABLE
from transforms.reprocess_rewrite import Change, Rewriter, Rewritten, retirements
from transforms.reprocess_selection import Choice
from transforms.reprocess_settings import ReprocessSettings
from transforms.reprocess_tasks import Task, tasks_of
from transforms.reprocess_told import Told
from transforms.store import Store

TASKS: Final = "tasks"
TOLD: Final = "told"


@dataclass
class ChooseSealed(beam.PTransform[Any, Any]):
    """Choose what may be taken in again, and leave the entry that says so: on one worker.

    It reads what stands in clear of unclassified items, rejects and keys, and of ciphertext whose it is.
    """

    settings: ReprocessSettings
    contracts: ContractSet = field(repr=False)

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> Task under ``tasks``, Counter of Told under ``told``."""
        return (
            pipeline
            | "Order" >> beam.Create([self.settings], reshuffle=False)
            | "Choose" >> beam.FlatMap(_choose, self.contracts).with_outputs(TASKS, TOLD)
        )


def _choose(settings: ReprocessSettings, contracts: ContractSet) -> Iterator[Any]:
    with value_free("choose"):
        store = settings.opened()
        choice = choice_of(store, settings, contracts)
        tasks = tasks_of(store, choice, settings.rows_a_task)
        if tasks:
            leave_entry(store.files_of_store, f"{settings.run_id}-begun", _begun(settings))
    yield beam.pvalue.TaggedOutput(TOLD, choice.told)
    for task in tasks:
        yield beam.pvalue.TaggedOutput(TASKS, task)


def choice_of(store: Store, settings: ReprocessSettings, contracts: ContractSet) -> Choice:
    """What may be taken in again."""
    return Choice(store, contracts.by_event, MENDABLE, settings.first_item, settings.first_reject)


def _begun(settings: ReprocessSettings) -> dict[str, Any]:
    """The entry that is there before anything is opened: what is killed has been logged all the same."""
    return {
        **settings.order,
        "type": REPROCESS,
        "state": "begun",
        "run_id": settings.run_id,
        "decision": settings.ground.decision_id,
    }


@dataclass
class TakeIn(beam.PTransform[Any, Any]):
    """Open what the tasks name, and take it in; each task on whichever worker is free.

    Records of one event may have come under two keys, and only who has opened them knows it. Of tasks that
    separated the same event the first one keeps it. The others are done again with that known, and what they
    have done before is forgotten; that they opened is kept on record.
    """

    settings: ReprocessSettings
    contracts: ContractSet = field(repr=False)
    keys: ReleaseKeys = field(repr=False)

    def expand(self, tasks: Any) -> Any:
        """Task -> Done."""
        spread = tasks | "Spread" >> beam.Reshuffle()
        alone = (
            spread
            | "TakeIn" >> beam.Map(_take_in, self.settings, self.contracts, self.keys)
            | "Kept" >> beam.Reshuffle()  # what was opened and written is not to be done again
        )
        clashes = (
            alone
            | "Identities" >> beam.FlatMap(_identities)
            | "SameEvent" >> beam.GroupByKey()
            | "Clashes" >> beam.FlatMap(_clashing)
        )
        later = beam.pvalue.AsList(clashes | "Later" >> beam.Keys() | "Once" >> beam.Distinct())
        together = (
            {"tasks": spread | "ByNumber" >> beam.Map(_by_number), "clashes": clashes}
            | "ByTask" >> beam.CoGroupByKey()
            | "TakeInAgain" >> beam.FlatMap(_take_in_again, self.settings, self.contracts, self.keys)
            | "KeptAgain" >> beam.Reshuffle()
        )
        once = alone | "Alone" >> beam.Map(_unless_among, later)
        # Straight into the Flatten, Beam's planner for Flink loses it ("consumed but never produced").
        return (once | "KeptAlone" >> beam.Reshuffle(), together) | beam.Flatten()


def _take_in(task: Task, settings: ReprocessSettings, contracts: ContractSet, keys: ReleaseKeys) -> Done:
    with value_free("take in"):
        return take_in(task, settings, contracts, keys)


def _by_number(task: Task) -> tuple[int, Task]:
    return task.number, task


def _identities(done: Done) -> Iterator[tuple[bytes, tuple[int, bytes]]]:
    for identity, body in done.identities:
        yield identity, (done.number, body)


def _clashing(
    found: tuple[bytes, Iterable[tuple[int, bytes]]],
) -> Iterator[tuple[int, tuple[bytes, bytes]]]:
    """What all tasks but the first that separated an event have to know of it: the body that is taken in."""
    identity, separated = found
    (_, body), *others = sorted(separated)
    for number, _ in others:
        yield number, (identity, body)


def _unless_among(done: Done, numbers: Sequence[int]) -> Done:
    """What a task has done alone; of one that is done again, only the record of what it has opened."""
    return done.only_opened() if done.number in numbers else replace(done, identities=())


def _take_in_again(
    found: tuple[int, dict[str, Any]], settings: ReprocessSettings, contracts: ContractSet, keys: ReleaseKeys
) -> Iterator[Done]:
    _, both = found
    clashes: list[tuple[bytes, bytes]] = list(both["clashes"])
    for task in both["tasks"] if clashes else ():
        with value_free("take in"):
            done = take_in(task, settings, contracts, keys, clashes)
        yield replace(done, identities=())


@dataclass
class WriteAnew(beam.PTransform[Any, Any]):
    """Write files anew without what is retired, and with what is completed: each on any worker.

    Which bundle keys nothing is under any more is found on one.
    """

    settings: ReprocessSettings
    contracts: ContractSet = field(repr=False)

    def expand(self, done: Any) -> Any:
        """Done -> Rewritten."""
        retired = beam.pvalue.AsList(done | "Retired" >> beam.Map(_retired))
        keys = (
            done.pipeline
            | "AllRetired" >> beam.Create([self.settings], reshuffle=False)
            | "RetireKeys" >> beam.FlatMap(_retire_keys, retired)
        )
        changes = done | "Changes" >> beam.FlatMap(_changes)
        return (
            (changes, keys)
            | beam.Flatten()
            | "ByFile" >> beam.GroupByKey()
            | "Rewrite" >> beam.ParDo(_Rewrite(self.settings, self.contracts))
        )


def _retired(done: Done) -> frozenset[bytes]:
    return done.retired


def _changes(done: Done) -> Iterator[tuple[str, Change]]:
    yield from done.changes


def _retire_keys(
    settings: ReprocessSettings, retired: Sequence[frozenset[bytes]]
) -> Iterator[tuple[str, Change]]:
    keys = frozenset[bytes]().union(*retired)
    if not settings.dry_run:
        with value_free("retire keys"):
            yield from retirements(settings.opened(), keys)


class _Rewrite(beam.DoFn):
    """Write one file anew."""

    def __init__(self, settings: ReprocessSettings, contracts: ContractSet) -> None:
        self._settings, self._contracts = settings, contracts
        self._rewriter: Rewriter | None = None

    def process(self, element: tuple[str, Iterable[Change]]) -> Iterator[Rewritten]:
        path, changes = element
        with value_free("rewrite"):
            if self._rewriter is None:
                self._rewriter = Rewriter(self._settings.lookup(), self._settings.run_id, self._contracts)
            found = self._rewriter.rewrite(path, changes)
        if found is not None:
            yield found


@dataclass
class CommitReprocessing(beam.PTransform[Any, Any]):
    """Commit: the last step, on one worker, with everything that the others finished."""

    settings: ReprocessSettings
    keys: ReleaseKeys = field(repr=False)
    told: Any = field(repr=False)
    done: Any = field(repr=False)
    rewritten: Any = field(repr=False)

    def expand(self, pipeline: Any) -> Any:
        """Nothing -> nothing."""
        return (
            pipeline
            | "Once" >> beam.Create([self.settings], reshuffle=False)
            | "Commit"
            >> beam.Map(
                _commit,
                self.keys,
                beam.pvalue.AsList(self.told),
                beam.pvalue.AsList(self.done | "WithoutChanges" >> beam.Map(_without_changes)),
                beam.pvalue.AsList(self.rewritten),
            )
        )


def _without_changes(done: Done) -> Done:
    return replace(done, changes=())


def _commit(
    settings: ReprocessSettings,
    keys: ReleaseKeys,
    told: Sequence[Counter[Told]],
    done: Sequence[Done],
    rewritten: Sequence[Rewritten],
) -> None:
    with value_free("commit"):
        whole = sum(told, Counter[Told]())
        commit_reprocessing(settings, seal_of(keys), whole, done, rewritten)


__all__ = ["TASKS", "TOLD", "ChooseSealed", "CommitReprocessing", "TakeIn", "WriteAnew", "choice_of"]
