"""Take in again what was held because no contract knew it: records, events of unknown type, single fields.

    rejects, unclassified items ──► open by order ──► separate, protect ──► seal anew
    rows of the same events ───────────────────────► what completes them, file by file

This is what one worker does of it, a task at a time. Nothing that was opened leaves the task but sealed anew:
what is handed on are files that no manifest names yet, values as telemetry and rosters hold them, and counts.
What a contract still does not know stays exactly as it was, unless it shared a data key with something that
has moved: then it is sealed again under a new one, and is dated as before.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from schemas.contract import ContractSet
from schemas.telemetry import TelemetryTable, all_telemetry_tables
from transforms.chunked_encryption import SealBroken
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.opening import join_rejected
from transforms.ordered_opening import OpenedKey, OrderedOpener
from transforms.progress import PROGRESS
from transforms.reprocess_epochs import Epochs
from transforms.reprocess_fields import FieldTaker, SealedFields, Taken
from transforms.reprocess_parts import parts_of
from transforms.reprocess_records import RecordTaker, SealedRecord
from transforms.reprocess_rewrite import Change, Completion, completions
from transforms.reprocess_selection import SealedRows
from transforms.reprocess_settings import ReprocessSettings, opened_tenants
from transforms.reprocess_tasks import Task
from transforms.reprocess_told import SEPARATED, STAYS, Told
from transforms.reprocess_writer import Resealer
from transforms.sealed_format import unframe_parts

ROW_OF_ITEM_MISSING: Final = "ITEM_ROW_MISSING"
"""A blob holds an item that no row tells of."""


@dataclass
class NameSum:
    """Number and order-independent sum of things, so that a loss and a repetition cannot cancel out."""

    count: int = 0
    total: int = 0

    def add(self, names: Iterable[bytes]) -> None:
        """Add things by their names."""
        for name in names:
            self.count += 1
            self.total += int.from_bytes(hashlib.sha256(name).digest()[:16], "big")
        self.total %= 2**128

    def merge(self, other: NameSum) -> None:
        """Add others."""
        self.count, self.total = self.count + other.count, (self.total + other.total) % 2**128


@dataclass
class Counts:
    """What was opened and what became of it, in numbers, of one task or of all of them.

    Attributes:
        data_keys: Data keys that were to be opened.
        items: Items and pieces of records that were opened.
        broken: Why data keys stay closed, by their ids.
        told: What is told of it.
        outcomes: Items and records by what became of them.
        opened: Everything that was opened under keys that are retired.
        settled: Everything that was moved, or sealed again.
        before: Numbers of what was opened, by what they count.
        after: The same numbers of what became of it.
        rows: Rows handed to each table.
        sealed: New items by kind.
        retired: Numbers of data keys that are retired, and of rows of items and of rejects under them.
        values: Rows of values that complete telemetry.
        logged: Rows handed to the record of openings.
    """

    data_keys: int = 0
    items: int = 0
    broken: dict[bytes, str] = field(default_factory=dict)
    told: Counter[Told] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    opened: NameSum = field(default_factory=NameSum)
    settled: NameSum = field(default_factory=NameSum)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    sealed: Counter[str] = field(default_factory=Counter)
    retired: Counter[str] = field(default_factory=Counter)
    values: int = 0
    logged: int = 0

    def merge(self, other: Counts) -> None:
        """Add another task's."""
        self.data_keys += other.data_keys
        self.items += other.items
        self.values += other.values
        self.logged += other.logged
        self.broken |= other.broken
        for name in ("told", "outcomes", "before", "after", "rows", "sealed", "retired"):
            getattr(self, name).update(getattr(other, name))
        self.opened.merge(other.opened)
        self.settled.merge(other.settled)


@dataclass(frozen=True)
class Done:
    """What became of a task.

    Attributes:
        number: The task.
        written: Files of what was sealed anew.
        log: Files of the record of openings.
        counts: All that is counted.
        retired: Data keys under which nothing is to be left.
        changes: What changes in files that are there, by path.
        identities: Keyed digests of the events that records were separated into, each with its body's.
    """

    number: int
    written: tuple[FileRecord, ...]
    log: tuple[FileRecord, ...]
    counts: Counts
    retired: frozenset[bytes] = field(default=frozenset(), repr=False)
    changes: tuple[tuple[str, Change], ...] = field(default=(), repr=False)
    identities: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)

    def only_opened(self) -> Done:
        """What stays of it where it is done anew: that it was opened is on record."""
        return Done(self.number, (), self.log, Counts(logged=self.counts.logged))


def take_in(
    task: Task,
    settings: ReprocessSettings,
    contracts: ContractSet,
    keys: ReleaseKeys,
    elsewhere: Iterable[tuple[bytes, bytes]] = (),
) -> Done:
    """Do a task; what was written goes if anything fails.

    Args:
        task: The task.
        settings: The run.
        contracts: The mended contracts.
        keys: The release side's keys.
        elsewhere: Keyed digests of events that earlier tasks separate, each with its body's.

    Raises:
        InfrastructureFault: The store cannot be read or written.
    """
    taking = _Taking(settings, contracts, keys, elsewhere)
    with _abandoned_if_failing(taking):
        taking.take(task)
        return taking.close(task.number)


class _Taking:
    """A task on its way."""

    def __init__(
        self,
        settings: ReprocessSettings,
        contracts: ContractSet,
        keys: ReleaseKeys,
        elsewhere: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self._settings, self._contracts, self._keys = settings, contracts, keys
        self._store, self._lookup = settings.opened(), settings.lookup()
        self._epochs = Epochs(keys, opened_tenants(keys, settings))
        self._resealer = Resealer(self._store, settings.run_id, keys, contracts)
        self._tables: Mapping[str, TelemetryTable] = all_telemetry_tables(contracts)
        self._records = RecordTaker(
            self._lookup, contracts, keys, self._epochs, settings.erased(), settings.source, elsewhere
        )
        self._completion = Completion()
        self._retired: set[bytes] = set()
        self._changes: list[tuple[str, Change]] = []
        self._log: list[FileRecord] = []
        self._opener: OrderedOpener | None = None
        self.counts = Counts()

    def take(self, task: Task) -> None:
        """Do a task."""
        rows = task.sealed_rows(self._store)
        opener = OrderedOpener(
            self._store, self._keys, self._settings.ground, rows.wanted, task.within(self._store)
        )
        self._opener = opener
        fields = FieldTaker(
            self._lookup, self._contracts, self._keys, self._epochs, self._settings.erased(), task.seen
        )
        before, met = 0, set[bytes]()
        for batch in opener.batches():
            met.update(key.key_id for key in batch)
            if task.of_rejects:
                self._take_records(batch, rows, task.destroyed)
            else:
                self._take_fields(batch, rows, fields)
            PROGRESS.add_opened(opener.items - before)
            before = opener.items
        self._close_task(task, rows, opener)
        self._account_task(task, rows, met | opener.broken.keys())

    def _account_task(self, task: Task, rows: SealedRows, met: Set[bytes]) -> None:
        """What was met is what was chosen, key by key and row by row; else nothing is committed."""
        self.counts.before.update({"data keys": len(task.keys), "chosen rows": task.chosen})
        found = rows.rows_under(task.keys)
        self.counts.after.update({"data keys": len(met & set(task.keys)), "chosen rows": sum(found)})

    def _close_task(self, task: Task, rows: SealedRows, opener: OrderedOpener) -> None:
        counts, retired = self.counts, self._retired & set(task.keys)
        counts.data_keys += len(task.keys)
        counts.items += opener.items
        counts.broken |= opener.broken
        counts.logged += opener.logged
        items, rejects = rows.rows_under(retired)
        counts.retired.update({"data_keys": len(retired), "items": items, "rejects": rejects})
        self._log += opener.close()
        self._opener = None
        if retired and not self._settings.dry_run:
            gone = Change(retired=frozenset(retired))
            self._changes += [(path, gone) for path in (*task.rows, *task.blobs)]

    def close(self, number: int) -> Done:
        """Finish the files."""
        written, counts = self._resealer.close()
        self.counts.rows.update(counts.rows)
        self.counts.sealed.update(counts.items)
        told = self._completion
        self.counts.values = sum(part.num_rows for parts in told.telemetry.values() for part in parts)
        moves = not self._settings.dry_run and (self._retired or told.claims)
        changes = [*self._changes, *(completions(self._lookup, told) if moves else ())]
        return Done(
            number,
            tuple(written),
            tuple(self._log),
            self.counts,
            frozenset(self._retired),
            tuple(changes),
            self._records.identities,
        )

    def abandon(self) -> None:
        """Stop writing, forget the keys, and delete what was written."""
        if self._opener is not None:
            self._opener.abandon()
        self._resealer.abandon()

    # --- fields -------------------------------------------------------------------------------------------

    def _take_fields(self, batch: list[OpenedKey], rows: SealedRows, taker: FieldTaker) -> None:
        """Take the unclassified fields of some events apart; a key of which nothing moves stays."""
        batch = [key for key in batch if self._is_told_of(key, rows)]
        opened = [(key.key_id, fields) for key in batch for fields in _fields_of(key, rows)]
        found = {id(taken.fields): taken for taken in taker.take([each for _, each in opened])}
        by_key: dict[bytes, list[Taken]] = defaultdict(list)
        for key_id, fields in opened:
            by_key[key_id].append(found[id(fields)])
        for key in batch:
            taken = by_key[key.key_id]
            self._count_fields(taken)
            moves = any(each.moves for each in taken)
            if moves:
                self._retired.add(key.key_id)
                self._account_fields(key, taken)
            if not self._settings.dry_run:
                self._resealer.write_fields(taken, sealed=moves)
                self._complete(taken)

    def _is_told_of(self, key: OpenedKey, rows: SealedRows) -> bool:
        """Whether the rows tell of every item under a key; else it stays as it is."""
        named = rows.rows_of_items(key.key_id)
        if all(item.item_id.hex() in named for item in key.items):
            return True
        self.counts.broken[key.key_id] = ROW_OF_ITEM_MISSING
        return False

    def _count_fields(self, taken: Iterable[Taken]) -> None:
        for each in taken:
            self.counts.told.update(each.told)
            self.counts.outcomes["moved" if each.moves else STAYS] += 1

    def _account_fields(self, key: OpenedKey, taken: Iterable[Taken]) -> None:
        accounts = self.counts
        accounts.opened.add(item.item_id for item in key.items)
        for item in key.items:
            accounts.before["parts"] += len(unframe_parts(item.framed))
        for each in taken:
            accounts.settled.add([bytes.fromhex(each.fields.row["item_id"])])
            accounts.after["parts"] += each.moved + len(each.left) - each.found

    def _complete(self, taken: Iterable[Taken]) -> None:
        completion = self._completion
        values: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for each in taken:
            event, effects = each.fields.event_id, each.effects
            completion.folders[event] = each.fields.folder
            for table, rows in effects.completes.items():
                values[table] += rows
            if effects.roster:
                completion.roster[event] = effects.roster
            if effects.claims:
                completion.claims[event] = effects.claims
        for table, rows in values.items():
            completion.add_telemetry(table, self._tables[table].schema, rows)

    # --- records ------------------------------------------------------------------------------------------

    def _take_records(self, batch: list[OpenedKey], rows: SealedRows, destroyed: frozenset[str]) -> None:
        """Take records in again; a key under which none could be stays."""
        batch = [key for key in batch if self._is_whole(key, rows)]
        records = [(key, record) for key in batch for record in _records_of(key, rows)]
        taken = self._records.take([record for _, record in records], destroyed)
        self.counts.told.update(taken.told)
        self.counts.outcomes.update("moved" if each != STAYS else STAYS for each in taken.outcomes)
        stays: dict[bytes, set[bytes]] = defaultdict(set)
        for (key, record), outcome in zip(records, taken.outcomes, strict=True):
            if outcome == STAYS:
                stays[key.key_id].add(record.reject_id)
            else:
                self._retired.add(key.key_id)
        self.counts.before["separated"] += taken.outcomes.count(SEPARATED)
        for _, each in taken.separated:
            self.counts.after["separated"] += each.separated.total()
        if not self._settings.dry_run:
            self._resealer.write_records(taken.separated)
        for key in batch:
            if key.key_id in self._retired:
                self._reseal_rejects(key, rows, stays[key.key_id])

    def _is_whole(self, key: OpenedKey, rows: SealedRows) -> bool:
        """Whether all pieces of the records under a key are there and told of; else it stays as it is."""
        named = rows.rows_of_rejects(key.key_id)
        try:
            names = [item.item_id.hex() for item in key.items]
            if len(join_rejected(key.items)) == len(named) and named.keys() >= set(names):
                return True
            self.counts.broken[key.key_id] = ROW_OF_ITEM_MISSING
        except SealBroken as error:
            self.counts.broken[key.key_id] = error.code
        return False

    def _reseal_rejects(self, key: OpenedKey, rows: SealedRows, stays: set[bytes]) -> None:
        told = rows.rows_of_rejects(key.key_id)
        items = [item for item in key.items if item.item_id in stays]
        named = [told[item.item_id.hex()][int.from_bytes(item.framed[:4], "big")] for item in items]
        moved = told.keys() - {each.hex() for each in stays}
        self.counts.opened.add(item.item_id + item.framed[:4] for item in key.items)
        self.counts.settled.add(item.item_id + item.framed[:4] for item in items)
        self.counts.settled.add(
            bytes.fromhex(name) + piece.to_bytes(4, "big") for name in moved for piece in told[name]
        )
        if not self._settings.dry_run:
            self._resealer.write_rejects(key.created, items, named)


@contextmanager
def _abandoned_if_failing(taking: _Taking) -> Iterator[None]:
    try:
        yield
    except BaseException:
        taking.abandon()
        raise


def _fields_of(key: OpenedKey, rows: SealedRows) -> Iterator[SealedFields]:
    named = rows.rows_of_items(key.key_id)
    for item in key.items:
        parts = parts_of(unframe_parts(item.framed))
        yield SealedFields(named[item.item_id.hex()], parts, key.created)


def _records_of(key: OpenedKey, rows: SealedRows) -> Iterator[SealedRecord]:
    named = rows.rows_of_rejects(key.key_id)
    for reject_id, raw in join_rejected(key.items).items():
        row = named[reject_id.hex()][0]
        yield SealedRecord(reject_id, row["reason"], row["source"], row["received"], raw)


__all__ = ["Counts", "Done", "NameSum", "take_in"]
