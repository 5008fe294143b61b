"""Take in again what was held because no contract knew it: records, events of unknown type, single fields.

    rejects, unclassified items ──► open by order ──► separate, protect ──► seal anew ──┐
    rows of the same events ───────────────────────► complete ──────────────────────────┴──► commit

One commit replaces it all: the new rows and items come, the old items, rejects and keys go. What a contract
still does not know stays exactly as it was, unless it shared a data key with something that has moved: then
it is sealed again under a new one, and is dated as before.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from schemas.contract import ContractSet
from schemas.tables import QUARANTINE_ITEMS, QUARANTINE_REJECTED
from schemas.telemetry import TelemetryTable, all_telemetry_tables, telemetry_tables
from transforms.chunked_encryption import SealBroken
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.opening import join_rejected
from transforms.opening_warrants import Ground
from transforms.ordered_opening import OpenedKey, OrderedOpener
from transforms.reprocess_epochs import Epochs
from transforms.reprocess_fields import FieldTaker, SealedFields, Taken
from transforms.reprocess_lookup import StoreLookup
from transforms.reprocess_parts import parts_of
from transforms.reprocess_records import MENDABLE, RecordTaker, SealedRecord
from transforms.reprocess_rewrite import Completion, Rewriter
from transforms.reprocess_selection import Selection
from transforms.reprocess_told import SEPARATED, STAYS, Told
from transforms.reprocess_writer import Resealer, written_rows
from transforms.run_counts import RunCounts
from transforms.sealed_format import unframe_parts
from transforms.store import Store
from validation.reconcile import Reconciliation, SideSum, reconcile

ROW_OF_ITEM_MISSING: Final = "ITEM_ROW_MISSING"
"""A blob holds an item that no row tells of."""


@dataclass(frozen=True)
class ReprocessSettings:
    """What a run needs to know besides store and keys.

    Attributes:
        ground: What sealed data is opened for.
        today: The day of the run.
        live_days: Time to live of sealed items: what is older is due to be erased, and is not opened.
        rejected_days: The same of rejects.
        source: Source of the records, or "auto".
        tenants: Raw ids of tenants, for pseudonyms of telemetry.
        dry_run: Whether only to look.
    """

    ground: Ground
    today: date
    live_days: int
    rejected_days: int
    source: str = "auto"
    tenants: tuple[str, ...] = field(default=(), repr=False)
    dry_run: bool = False


@dataclass
class Accounts:
    """What was opened, and what became of it, each thing by a number of its own.

    Attributes:
        opened: Everything that was opened under keys that are retired.
        settled: Everything that was moved, or sealed again.
        before: Numbers of what was opened, by what they count.
        after: The same numbers of what became of it.
    """

    opened: list[bytes] = field(default_factory=list, repr=False)
    settled: list[bytes] = field(default_factory=list, repr=False)
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)


class Reprocessing:
    """One run on its way, the store's lock held.

    Args:
        store: The store.
        keys: The release side's keys.
        contracts: The mended contracts.
        settings: What else it needs to know.
    """

    def __init__(
        self, store: Store, keys: ReleaseKeys, contracts: ContractSet, settings: ReprocessSettings
    ) -> None:
        self._store, self._keys, self._contracts, self._settings = store, keys, contracts, settings
        self._lookup = StoreLookup(store)
        self.selection = Selection(
            store,
            contracts.by_event,
            MENDABLE,
            settings.today - timedelta(days=settings.live_days),
            settings.today - timedelta(days=settings.rejected_days),
        )
        self.told: Counter[Told] = Counter(self.selection.told)
        self.opener = OrderedOpener(store, keys, settings.ground, self.selection.wanted)
        epochs = Epochs(keys, settings.tenants)
        erased, destroyed = self.selection.erased, self.selection.destroyed
        self._fields = FieldTaker(self._lookup, contracts, keys, epochs, erased)
        self._records = RecordTaker(self._lookup, contracts, keys, epochs, erased, destroyed, settings.source)
        self._resealer = Resealer(store, settings.ground.run_id, keys, contracts)
        self._rewriter = Rewriter(self._lookup, settings.ground.run_id)
        self._tables: Mapping[str, TelemetryTable] = all_telemetry_tables(contracts)
        self._labels = {
            table.name: shape.contract_label
            for shape in contracts.shapes
            for table in telemetry_tables(shape)
        }
        self._completion = Completion()
        self._accounts = Accounts()
        self.retired: set[bytes] = set()
        self.counts = RunCounts()
        self.outcomes: Counter[str] = Counter()

    def run(self) -> Iterator[int]:
        """Open and take in, so much at a time; gives the number of items after each step."""
        for batch in self.opener.batches():
            rejects = [key for key in batch if key.key_id in self.selection.rejects]
            self._take_fields([key for key in batch if key.key_id not in self.selection.rejects])
            self._take_records(rejects)
            yield self.opener.items

    def finish(self) -> tuple[list[FileRecord], list[str], Reconciliation]:
        """Finish the files, and add everything up.

        Returns:
            Files that come and paths that go with the commit, and whether it all adds up.
        """
        log = self.opener.close()
        if self._settings.dry_run:
            return log, [], self._reconciled([], log)
        written, self.counts = self._resealer.close()
        keys = frozenset(self.retired)
        if keys or self._completion.claims:
            self._rewriter.retire(keys, self._completion)
            self._rewriter.complete(self._completion)
        adds = [*written, *self._rewriter.adds, *log]
        return adds, self._rewriter.removes, self._reconciled(written, log)

    def abandon(self) -> None:
        """Stop writing, and forget the keys; files that no manifest names are for the caller to delete."""
        self.opener.abandon()
        self._resealer.abandon()

    @property
    def figures(self) -> dict[str, Any]:
        """What was retired and rewritten, as a ledger holds it."""
        items, rejects = self.selection.rows_under(self.retired)
        return {
            "retired": {
                "data_keys": len(self.retired),
                "bundle_keys": self._rewriter.bundles,
                "items": items,
                "rejects": rejects,
            },
            "gone": dict(sorted((+self._rewriter.gone).items())),
            "completed": self._rewriter.completed,
            "rewritten": len(self._rewriter.removes),
        }

    # --- fields -------------------------------------------------------------------------------------------

    def _take_fields(self, batch: list[OpenedKey]) -> None:
        """Take the unclassified fields of some events apart; a key of which nothing moves stays."""
        batch = [key for key in batch if self._is_told_of(key)]
        opened = [(key.key_id, fields) for key in batch for fields in self._fields_of(key)]
        found = {id(taken.fields): taken for taken in self._fields.take([each for _, each in opened])}
        by_key: dict[bytes, list[Taken]] = defaultdict(list)
        for key_id, fields in opened:
            by_key[key_id].append(found[id(fields)])
        for key in batch:
            taken = by_key[key.key_id]
            self._count_fields(taken)
            moves = any(each.moves for each in taken)
            if moves:
                self.retired.add(key.key_id)
                self._account_fields(key, taken)
            if not self._settings.dry_run:
                self._resealer.write_fields(taken, sealed=moves)
                self._complete(taken)

    def _is_told_of(self, key: OpenedKey) -> bool:
        """Whether the rows tell of every item under a key; else it stays as it is."""
        rows = self.selection.rows_of_items(key.key_id)
        if all(item.item_id.hex() in rows for item in key.items):
            return True
        self.opener.broken[key.key_id] = ROW_OF_ITEM_MISSING
        return False

    def _fields_of(self, key: OpenedKey) -> Iterator[SealedFields]:
        rows = self.selection.rows_of_items(key.key_id)
        for item in key.items:
            parts = parts_of(unframe_parts(item.framed))
            yield SealedFields(rows[item.item_id.hex()], parts, key.created)

    def _count_fields(self, taken: Iterable[Taken]) -> None:
        for each in taken:
            self.told.update(each.told)
            self.outcomes["moved" if each.moves else STAYS] += 1

    def _account_fields(self, key: OpenedKey, taken: Iterable[Taken]) -> None:
        accounts = self._accounts
        accounts.opened += [item.item_id for item in key.items]
        for item in key.items:
            accounts.before["parts"] += len(unframe_parts(item.framed))
        for each in taken:
            accounts.settled.append(bytes.fromhex(each.fields.row["item_id"]))
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
            shape = self._labels[table]
            completion.add_telemetry(table, self._tables[table].schema, shape, rows)

    # --- records ------------------------------------------------------------------------------------------

    def _take_records(self, batch: list[OpenedKey]) -> None:
        """Take records in again; a key under which none could be stays."""
        batch = [key for key in batch if self._is_whole(key)]
        records = [(key, record) for key in batch for record in self._records_of(key)]
        taken = self._records.take([record for _, record in records])
        self.told.update(taken.told)
        self.outcomes.update("moved" if each != STAYS else STAYS for each in taken.outcomes)
        stays: dict[bytes, set[bytes]] = defaultdict(set)
        for (key, record), outcome in zip(records, taken.outcomes, strict=True):
            if outcome == STAYS:
                stays[key.key_id].add(record.reject_id)
            else:
                self.retired.add(key.key_id)
        self._accounts.before["separated"] += taken.outcomes.count(SEPARATED)
        for _, each in taken.separated:
            self._accounts.after["separated"] += each.separated.total()
        if not self._settings.dry_run:
            self._resealer.write_records(taken.separated)
        for key in batch:
            if key.key_id in self.retired:
                self._reseal_rejects(key, stays[key.key_id])

    def _is_whole(self, key: OpenedKey) -> bool:
        """Whether all pieces of the records under a key are there and told of; else it stays as it is."""
        rows = self.selection.rows_of_rejects(key.key_id)
        try:
            names = [item.item_id.hex() for item in key.items]
            if len(join_rejected(key.items)) == len(rows) and rows.keys() >= set(names):
                return True
            self.opener.broken[key.key_id] = ROW_OF_ITEM_MISSING
        except SealBroken as error:
            self.opener.broken[key.key_id] = error.code
        return False

    def _records_of(self, key: OpenedKey) -> Iterator[SealedRecord]:
        rows = self.selection.rows_of_rejects(key.key_id)
        for reject_id, raw in join_rejected(key.items).items():
            row = rows[reject_id.hex()][0]
            yield SealedRecord(reject_id, row["reason"], row["source"], row["received"], raw)

    def _reseal_rejects(self, key: OpenedKey, stays: set[bytes]) -> None:
        rows = self.selection.rows_of_rejects(key.key_id)
        items = [item for item in key.items if item.item_id in stays]
        named = [rows[item.item_id.hex()][int.from_bytes(item.framed[:4], "big")] for item in items]
        moved = rows.keys() - {each.hex() for each in stays}
        self._accounts.opened += [item.item_id + item.framed[:4] for item in key.items]
        self._accounts.settled += [item.item_id + item.framed[:4] for item in items]
        self._accounts.settled += [
            bytes.fromhex(name) + piece.to_bytes(4, "big") for name in moved for piece in rows[name]
        ]
        if not self._settings.dry_run:
            self._resealer.write_rejects(key.created, items, named)

    # --- adding up ----------------------------------------------------------------------------------------

    def _reconciled(self, written: list[FileRecord], log: list[FileRecord]) -> Reconciliation:
        """Whether everything that was opened has moved or is sealed again, and every row was written."""
        accounts, gone = self._accounts, self._rewriter.gone
        rows, expected = written_rows(written), Counter(self.counts.rows)
        rows |= accounts.after
        expected |= accounts.before
        rows["openings"], expected["openings"] = sum(record.rows for record in log), self.opener.logged
        if not self._settings.dry_run:
            items, rejects = self.selection.rows_under(self.retired)
            rows |= {f"retired {QUARANTINE_ITEMS}": gone[QUARANTINE_ITEMS]}
            expected |= {f"retired {QUARANTINE_ITEMS}": items}
            rows |= {f"retired {QUARANTINE_REJECTED}": gone[QUARANTINE_REJECTED]}
            expected |= {f"retired {QUARANTINE_REJECTED}": rejects}
            values = sum(part.num_rows for parts in self._completion.telemetry.values() for part in parts)
            rows |= {"completed": self._rewriter.completed}
            expected |= {"completed": values}
        return reconcile(_sum(accounts.opened), _sum(accounts.settled), rows, expected)


def _sum(names: Iterable[bytes]) -> SideSum:
    """Number and order-independent sum of things, so that a loss and a repetition cannot cancel out."""
    count = total = 0
    for name in names:
        count += 1
        total += int.from_bytes(hashlib.sha256(name).digest()[:16], "big")
    return SideSum(count, f"{total % 2**128:032x}")


__all__ = ["ReprocessSettings", "Reprocessing"]
