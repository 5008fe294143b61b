"""Open what was decided to go, and write it: the only place where content leaves the quarantine.

Nothing is opened without a decision: the work of this step is a list of (item, purpose, recipient) with a
decision each. The blobs are fetched from the store, opened, and of what they hold only the decided items are
written; the rest is forgotten unread. What does not open is named and stays held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import CONTENT_KINDS
from schemas.errors import PromiseBroken
from schemas.tables import FIXED_TABLES, OPENINGS, QUARANTINE_BLOBS, QUARANTINE_KEYS, RELEASED, TIME
from transforms.chunked_encryption import SealBroken
from transforms.decision_tables import MeetingDecisions
from transforms.keys import ReleaseKeys
from transforms.manifests import FileRecord
from transforms.meeting_joins import HOME, homes
from transforms.opening_warrants import FOR_RELEASE, Ground, Warrant, WarrantedOpener, issue_warrant
from transforms.parquet_files import TableWriter
from transforms.partitioning import Partitioning
from transforms.release_openings import Lineage, Openings
from transforms.sealed_format import COVERS_BUNDLE, HOLDS_ITEMS, BlobRow, KeyRow
from transforms.sealing import unframe_parts
from transforms.store import Store
from validation.decisions import RELEASE

WRITE_ROWS: Final = 2048
"""Opened items that wait for each other before they are written."""

TASK_SCHEMA: Final = pa.schema(
    [
        *(
            FIXED_TABLES[RELEASED].field(name)
            for name in FIXED_TABLES[RELEASED].names
            if name not in ("parts", "item_id")
        ),
        pa.field("item_id", pa.string()),
        pa.field("key_id", pa.binary(16)),
        pa.field("blob_part", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("contract", pa.string()),
        pa.field("event_time", TIME),
        pa.field("warrant", pa.binary(64)),
    ]
)
"""What is to be released: an item with its decision, where its ciphertext lies, and what lets it open."""

PLACE_SCHEMA: Final = pa.schema([("key_id", pa.binary(16)), ("blob_part", pa.int32()), ("path", pa.string())])
"""Where a blob lies."""

RECORDS_IN_ROWS: Final = 100
"""Record ids that a released row names itself; its decision names all of them."""

_WARRANTED: Final = ("decision_id", "purpose", "recipient", "key_id", "blob_part", "item_id")
"""Columns of a task that its warrant names."""

_PARTS: Final = FIXED_TABLES[RELEASED].field("parts")
Parts = list[dict[str, Any]]
"""Content of an item: each part with its path."""

TASKS_AT_ONCE: Final = 1 << 15
"""Tasks of one file that are opened together; more are opened one lot after the other."""


def released_partitioning(purposes: Sequence[str]) -> Partitioning:
    """Folders of what was released: by purpose and kind."""
    return Partitioning(closed={"purpose": sorted(purposes), "kind": CONTENT_KINDS})


class ContentReleaser:
    """Opens and writes items that have a decision each.

    Args:
        store: The store, as it was when the run began.
        keys: The reading side's keys.
        run_id: The run.
        purposes: Purposes of the run.
    """

    def __init__(self, store: Store, keys: ReleaseKeys, run_id: str, purposes: Sequence[str]) -> None:
        self._store, self._keys, self._run_id = store, keys, run_id
        self._schema = FIXED_TABLES[RELEASED]
        self._writer = TableWriter(
            store.files_of_store, run_id, RELEASED, self._schema, released_partitioning(purposes)
        )
        self._log = store.writer(run_id, OPENINGS)
        self.openings = Openings()

    def release(self, blob_file: FileRecord, tasks: pa.Table) -> None:
        """Release the items whose ciphertext lies in one file.

        Args:
            blob_file: The file of blobs.
            tasks: What to release, as `TASK_SCHEMA` has it.

        Raises:
            PromiseBroken: A task has no decision to release (``RELEASE_WITHOUT_DECISION``), or none that the
                release side has signed (``OPENING_WITHOUT_DECISION``).
            InfrastructureFault: The store cannot be read or written.
        """
        check_tasks(tasks)
        wanted, warrants = _Wanted(tasks), warrants_of(tasks, self._run_id)
        opener = WarrantedOpener(self._keys, self._key_rows(tasks))
        places: list[int] = []
        parts: list[Parts] = []
        before = self.openings.rows
        for blob in self._blobs(blob_file, tasks):
            for place, opened in self._open(opener, blob, warrants[blob.key_id, blob.part], wanted):
                places.append(place)
                parts.append(opened)
            if len(places) >= WRITE_ROWS:
                self._write(wanted.rows(places, parts))
                places, parts = [], []
        self._write(wanted.rows(places, parts))
        self._keep_log(opener.take_rows())
        self.openings.unopened += tasks.num_rows - (self.openings.rows - before)
        opener.close()

    def close(self) -> list[FileRecord]:
        """Finish the files."""
        return [*self._writer.close(), *self._log.close()]

    def abandon(self) -> None:
        """Delete what was written."""
        self._writer.abandon()
        self._log.abandon()

    def _key_rows(self, tasks: pa.Table) -> list[KeyRow]:
        data = self._keys_with("key_id", pc.unique(tasks.column("key_id")))
        wrapping = pa.array({row.wrapping_key_id for row in data}, pa.binary(16))
        bundles = [row for row in self._keys_with("key_id", wrapping) if row.covers == COVERS_BUNDLE]
        return [*data, *bundles]

    def _keys_with(self, column: str, ids: pa.Array) -> list[KeyRow]:
        where = pc.field(column).isin(ids)
        rows = self._store.read_table(QUARANTINE_KEYS, where=where).to_pylist()
        return [KeyRow(**row) for row in rows if row["holds"] == HOLDS_ITEMS]

    def _blobs(self, blob_file: FileRecord, tasks: pa.Table) -> Iterator[BlobRow]:
        parts = set(
            zip(tasks.column("key_id").to_pylist(), tasks.column("blob_part").to_pylist(), strict=True)
        )
        where = pc.field("key_id").isin(pc.unique(tasks.column("key_id")))
        for batch in self._store.scan(QUARANTINE_BLOBS, where=where, records=[blob_file]):
            for row in batch.to_pylist():
                if (row["key_id"], row["part"]) in parts:
                    yield BlobRow(**row)

    def _open(
        self, opener: WarrantedOpener, blob: BlobRow, warrants: Sequence[Warrant], wanted: _Wanted
    ) -> Iterator[tuple[int, Parts]]:
        """Places of tasks whose items are in a blob, with the items' content."""
        try:
            opened = opener.open_blob(blob, warrants)
            self.openings.blobs += 1
            self.openings.beside += len(blob.item_ids) // 16 - len(opened)
            for item in opened:
                parts = [{"path": path, "value": value} for path, value in unframe_parts(item.framed)]
                self.openings.items += 1
                yield from ((place, parts) for place in wanted.take(item.item_id.hex(), blob.kind))
        except SealBroken as error:
            self.openings.broken[error.code] += len(blob.item_ids) // 16

    def _keep_log(self, rows: pa.Table) -> None:
        self._log.append(rows)
        self.openings.logged += rows.num_rows

    def _write(self, rows: pa.Table) -> None:
        """Write tasks with their content, as `_Wanted.rows` gives them."""
        if not rows.num_rows:
            return
        items = rows.column("item_id").to_pylist()  # an erasure finds copies by the items that it destroys
        self._writer.append(rows.select(self._schema.names).cast(self._schema), items)
        self.openings.rows += rows.num_rows
        by = ["purpose", "kind", "source", "contract"]
        times = [
            ("event_time", "count", pc.CountOptions("all")),
            ("event_time", "min"),
            ("event_time", "max"),
        ]
        for row in rows.select([*by, "event_time"]).group_by(by).aggregate(times).to_pylist():
            key = (row["purpose"], row["kind"])
            self.openings.released[key] += row["event_time_count"]
            own = Lineage({row["source"]}, {row["contract"]}, row["event_time_min"], row["event_time_max"])
            self.openings.lineage[key].merge(own)


class _Wanted:
    """Tasks by their item, each given out once."""

    def __init__(self, tasks: pa.Table) -> None:
        self._tasks = tasks
        self._kinds = tasks.column("kind").to_pylist()
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, item in enumerate(tasks.column("item_id").to_pylist()):
            self._places[item].append(place)

    def take(self, item_id: str, kind: str) -> list[int]:
        """Places of the tasks of an item, if it is of the kind that was decided about."""
        return [place for place in self._places.pop(item_id, ()) if self._kinds[place] == kind]

    def rows(self, places: Sequence[int], parts: Sequence[Parts]) -> pa.Table:
        """Tasks at some places with the content of their items."""
        chosen = self._tasks.take(pa.array(places, pa.int64()))
        return chosen.append_column(_PARTS, pa.array(parts, _PARTS.type))


def with_warrants(tasks: pa.Table, keys: ReleaseKeys, run_id: str) -> pa.Table:
    """Tasks with the signatures that let them be opened: one for each decision and blob."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    rows = tasks.select(list(_WARRANTED)).to_pylist()
    for place, row in enumerate(rows):
        found[tuple(row[name] for name in _WARRANTED[:-1])].append(place)
    signatures: list[bytes] = [b""] * len(rows)
    for (*ground, key_id, part), places in found.items():
        item_ids = [bytes.fromhex(rows[place]["item_id"]) for place in places]
        named = Ground(run_id, FOR_RELEASE, *ground)
        signed = issue_warrant(keys.log_signing_key, named, key_id, part, item_ids)
        for place in places:
            signatures[place] = signed.signature
    column = tasks.schema.get_field_index("warrant")
    return tasks.set_column(column, TASK_SCHEMA.field("warrant"), pa.array(signatures, pa.binary(64)))


def warrants_of(tasks: pa.Table, run_id: str) -> dict[tuple[bytes, int], list[Warrant]]:
    """The warrants of some tasks by blob (data key and part); opening checks their signatures."""
    found: dict[tuple[Any, ...], set[bytes]] = defaultdict(set)
    for row in tasks.select([*_WARRANTED, "warrant"]).to_pylist():
        named = tuple(row[name] for name in _WARRANTED[:-1])
        found[*named, row["warrant"] or b""].add(bytes.fromhex(row["item_id"]))
    warrants: dict[tuple[bytes, int], list[Warrant]] = defaultdict(list)
    for (*ground, key_id, part, signature), item_ids in found.items():
        named_ground = Ground(run_id, FOR_RELEASE, *ground)
        warrants[key_id, part].append(Warrant(named_ground, key_id, part, tuple(sorted(item_ids)), signature))
    return warrants


def check_tasks(tasks: pa.Table) -> None:
    """Refuse work that no decision stands behind.

    Raises:
        PromiseBroken: ``RELEASE_WITHOUT_DECISION``.
    """
    decided = pc.equal(tasks.column("decision"), RELEASE)
    reasons = pc.list_value_length(tasks.column("reasons"))
    sound = (
        pc.all(decided, skip_nulls=False, min_count=0).as_py()
        and tasks.column("decision_id").null_count == 0
        and pc.all(pc.equal(reasons, 0), skip_nulls=False, min_count=0).as_py()
    )
    if not sound:
        message = "something was to be opened without a decision to release it; nothing was committed"
        raise PromiseBroken("RELEASE_WITHOUT_DECISION", message)


def blob_places(store: Store) -> Iterator[pa.Table]:
    """Where every blob lies: columns key_id, blob_part and path."""
    for record in store.files(QUARANTINE_BLOBS):
        for batch in store.scan(QUARANTINE_BLOBS, columns=["key_id", "part"], records=[record]):
            places = pa.Table.from_batches([batch]).rename_columns(["key_id", "blob_part"])
            yield places.append_column("path", pa.repeat(pa.scalar(record.path), len(places))).cast(
                PLACE_SCHEMA
            )


def placed(tasks: pa.Table, places: pa.Table) -> pa.Table:
    """Tasks with the file that each one's ciphertext lies in; null where it is nowhere."""
    found = {(row["key_id"], row["blob_part"]): row["path"] for row in places.to_pylist()}
    wanted = zip(tasks.column("key_id").to_pylist(), tasks.column("blob_part").to_pylist(), strict=True)
    return tasks.append_column("path", pa.array([found.get(each) for each in wanted], pa.string()))


def release_tasks(items: pa.Table, decisions: MeetingDecisions) -> pa.Table:
    """What is to be released of some items: those that may go and have not gone before.

    Args:
        items: The items that were decided about, with ``ambiguous`` and ``released_for``.
        decisions: What was decided.

    Returns:
        A table as `TASK_SCHEMA` has it, with a column `HOME`.
    """
    going = _going(items, decisions)
    from_items, from_classes = pa.array(decisions.item_at[going]), pa.array(decisions.class_at[going])
    made: dict[str, Any] = {}
    for name in TASK_SCHEMA.names:
        if name in ("item_id", "event_id", "key_id", "blob_part", "source", "contract", "event_time"):
            made[name] = items.column(name).take(from_items)
        elif name not in ("records", "record_ids", "warrant"):
            made[name] = decisions.classes.column(name).take(from_classes)
    record_ids = decisions.classes.column("record_ids")
    made["records"] = pc.list_value_length(record_ids).take(from_classes)
    made["record_ids"] = pc.list_slice(record_ids, 0, RECORDS_IN_ROWS).take(from_classes)
    made["warrant"] = pa.nulls(len(from_items), pa.binary(64))
    tasks = pa.table([made[name] for name in TASK_SCHEMA.names], names=TASK_SCHEMA.names).cast(TASK_SCHEMA)
    return tasks.append_column(HOME, homes(items).take(from_items))


def _going(items: pa.Table, decisions: MeetingDecisions) -> npt.NDArray[np.bool_]:
    """Which rows of the decisions about items may go, and have not gone before."""
    decided = pc.equal(decisions.classes.column("decision"), RELEASE).to_numpy()
    held = items.column("ambiguous").to_numpy()
    going = decided[decisions.class_at] & ~held[decisions.item_at]
    gone = pc.greater(pc.fill_null(pc.list_value_length(items.column("released_for")), 0), 0).to_numpy()
    repeated = np.flatnonzero(going & gone[decisions.item_at])
    at, class_at = pa.array(decisions.item_at[repeated]), pa.array(decisions.class_at[repeated])
    before = items.column("released_for").take(at).to_pylist()
    purposes = decisions.classes.column("purpose").take(class_at).to_pylist()
    going[repeated] = [purpose not in own for purpose, own in zip(purposes, before, strict=True)]
    return going


__all__ = [
    "PLACE_SCHEMA",
    "RECORDS_IN_ROWS",
    "TASK_SCHEMA",
    "ContentReleaser",
    "Openings",
    "blob_places",
    "check_tasks",
    "placed",
    "release_tasks",
    "warrants_of",
    "with_warrants",
]
