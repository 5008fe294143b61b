"""Whether rows of different tables go together: ciphertexts and keys, released rows and decisions.

What rows refer to is reduced to 64 bits each and looked for among what there is, part by part, so that memory
does not grow with them. The chance that a broken trace is taken for a sound one is one in 10^7.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.tables import (
    DECISION_CLASSES,
    DECISION_ITEMS,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
)
from transforms.bounded_reading import release_memory, row_batches
from transforms.chunked_encryption import sealed_length
from transforms.manifests import FileRecord
from transforms.release_content import RECORDS_IN_ROWS
from transforms.release_rules import SINK
from transforms.row_digests import Digests, DigestSet, digests
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA, ITEM_ID_BYTES, WRAPPED_DATA_KEY_BYTES
from transforms.spilled_rows import KEY, Spill, SpilledRows, parts_for
from transforms.store import Store
from validation.decisions import RELEASE
from validation.written_checks import Check
from validation.written_rules import Rule, in_set
from validation.written_tables import QUARANTINE_AREA, RELEASED_AREA

RESOLVED: Final = in_set("resolved", code="NOT_TRACEABLE")
FITS: Final = in_set("fits", code="LENGTH_DIFFERS")
NO_REASONS: Final = in_set("none", code="REASON_STATED")
_STATED: Final = ("purpose", "recipient", "kind", "policy_hash", "suite_hash", "as_of", "terms")
"""What a released row and its decision both state."""

_BATCH_ROWS: Final = 1 << 13
Rows = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class _Side:
    """What stands at one end of a trace.

    Attributes:
        table: The table.
        columns: The columns that say it.
        where: Which rows, None for all.
        also: Columns that this takes.
        read: Makes of the columns what both ends have in common; None to take them as they are.
    """

    table: str
    columns: tuple[str, ...]
    where: Rows | None = None
    also: tuple[str, ...] = ()
    read: Callable[[pa.Table], Sequence[Any]] | None = None

    def digests(self, rows: pa.Table) -> Digests:
        """One for each row."""
        own = rows if self.where is None else self.where(rows)
        return digests(self.read(own) if self.read else [own.column(name) for name in self.columns])


@dataclass(frozen=True)
class _Trace:
    """What each row of a table refers to, which must be there."""

    what: str
    refers: _Side
    known: _Side


class Traces:
    """Collects what rows say of themselves, and says at the end what goes together.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._words: dict[tuple[str, str, Rule], Counter[str]] = defaultdict(Counter)
        ledgers = [manifest.facts.get("ledger") or {} for manifest in store.snapshot.manifests]
        policies = [ledger["policy_hash"] for ledger in ledgers if "policy_hash" in ledger]
        self._policies = pa.array(policies, pa.string())

    def columns(self, table: str) -> frozenset[str]:
        """Columns of a table that are needed here though no rule reads them."""
        return frozenset({"reasons"}) if table == RELEASED else frozenset()

    def add(self, record: FileRecord, batch: pa.Table) -> None:
        """Take in rows of a file."""
        take = _TAKERS.get(record.table)
        if take is not None and batch.num_rows and set(take[1]) <= set(batch.column_names):
            take[0](self, batch)

    def checks(self) -> Iterator[tuple[Check, Mapping[str, int]]]:
        """What was found, as words for the judge."""
        for (table, what, rule), counts in self._words.items():
            yield Check(_area(table), table, what, rule), +counts
        with Spill() as spill:
            known: dict[_Side, SpilledRows] = {}
            for trace in TRACES:
                table = trace.refers.table
                if any(record.rows for record in self._store.files(table)):
                    if trace.known not in known:
                        rows = sum(record.rows for record in self._store.files(trace.known.table))
                        known[trace.known] = self._spilled(trace.known, spill, parts_for(rows))
                    found = self._followed(trace, known[trace.known], spill)
                    yield Check(_area(table), table, trace.what, RESOLVED), +found

    # --- what rows say of themselves ------------------------------------------------------------------------

    def _keys(self, batch: pa.Table) -> None:
        data = _data_keys(batch)
        fits = pc.equal(pc.binary_length(data.column("wrapped")), WRAPPED_DATA_KEY_BYTES)
        self._word(QUARANTINE_KEYS, "wrapped data key", FITS, fits, ("fits", "differs"))

    def _blobs(self, batch: pa.Table) -> None:
        sealed = pa.array(
            [-1 if size is None else sealed_length(size) for size in batch.column("size_class").to_pylist()],
            pa.int64(),
        )
        fits = pc.equal(pc.binary_length(batch.column("ciphertext")).cast(pa.int64()), sealed)
        self._word(QUARANTINE_BLOBS, "ciphertext for its size class", FITS, fits, ("fits", "differs"))
        lengths = pc.binary_length(batch.column("item_ids")).to_pylist()
        whole = pa.array([length is not None and length % ITEM_ID_BYTES == 0 for length in lengths])
        self._word(QUARANTINE_BLOBS, "item_ids", FITS, whole, ("fits", "differs"))

    def _released(self, batch: pa.Table) -> None:
        known = pc.is_in(batch.column("policy_hash"), value_set=self._policies, skip_nulls=True)
        self._word(RELEASED, "policy_hash", RESOLVED, known, ("resolved", "unresolved"))
        empty = pc.fill_null(pc.equal(pc.list_value_length(batch.column("reasons")), 0), False)
        self._word(RELEASED, "reasons", NO_REASONS, empty, ("none", "some"))

    def _word(self, table: str, what: str, rule: Rule, good: Any, words: tuple[str, str]) -> None:
        true = pc.sum(pc.fill_null(good, False)).as_py() or 0
        self._words[table, what, rule].update({words[0]: true, words[1]: len(good) - true})

    # --- what they refer to ---------------------------------------------------------------------------------

    def _followed(self, trace: _Trace, known: SpilledRows, spill: Spill) -> Counter[str]:
        """How many rows refer to what is there, and how many do not."""
        refers = self._spilled(trace.refers, spill, known.parts)
        total: Counter[str] = Counter()
        for number in range(known.parts):
            there = DigestSet()
            for rows in known.part(number):
                there.add(rows[KEY])
            for rows in refers.part(number):
                good = int(there.holds(rows[KEY]).sum())
                total.update({"resolved": good, "unresolved": len(rows) - good})
        refers.drop()
        release_memory()
        return total

    def _spilled(self, side: _Side, spill: Spill, parts: int) -> SpilledRows:
        """Digests of a table's rows; files that cannot be read are counted elsewhere."""
        found = spill.rows((), parts)
        names = list(dict.fromkeys((*side.columns, *side.also)))
        for record in self._store.files(side.table):
            try:
                with pq.ParquetFile(record.path, filesystem=self._store.files_of_store.arrow()) as file:
                    if set(names) <= set(file.schema_arrow.names):
                        for batch in row_batches(file, names, _BATCH_ROWS):
                            found.add(side.digests(batch))
            except (pa.ArrowException, OSError):
                continue
        return found


def _area(table: str) -> str:
    return RELEASED_AREA if table == RELEASED else QUARANTINE_AREA


def _data_keys(batch: pa.Table) -> pa.Table:
    return batch.filter(pc.equal(batch.column("covers"), COVERS_DATA))


def _bundle_keys(batch: pa.Table) -> pa.Table:
    return batch.filter(pc.equal(batch.column("covers"), COVERS_BUNDLE))


def _let_go(batch: pa.Table) -> pa.Table:
    is_first = pc.not_equal(batch.column("stage"), SINK)
    return batch.filter(pc.and_(pc.equal(batch.column("decision"), RELEASE), is_first))


def _decision_states(batch: pa.Table) -> Sequence[Any]:
    stated = [batch.column("decision_id"), *(batch.column(name) for name in _STATED)]
    records = batch.column("record_ids")
    return [*stated, pc.list_value_length(records), pc.list_slice(records, 0, RECORDS_IN_ROWS)]


_LET_GO: Final = ("stage", "decision")
_DATA_KEY: Final = _Side(QUARANTINE_KEYS, ("key_id",), _data_keys, ("covers",))
_BUNDLE_KEY: Final = _Side(QUARANTINE_KEYS, ("key_id",), _bundle_keys, ("covers",))
_WRAPPING_KEY: Final = _Side(QUARANTINE_KEYS, ("wrapping_key_id",), _data_keys, ("covers",))
_BLOB: Final = _Side(QUARANTINE_BLOBS, ("key_id", "part"))
_DECISION: Final = _Side(DECISION_CLASSES, ("decision_id",), _let_go, _LET_GO)
_GROUNDS: Final = _Side(
    DECISION_CLASSES, ("decision_id", *_STATED, "record_ids"), _let_go, _LET_GO, _decision_states
)
_DECIDED: Final = _Side(DECISION_ITEMS, ("item_id", "decision_id"), _let_go, _LET_GO)
TRACES: Final = (
    _Trace("wrapping_key_id", _WRAPPING_KEY, _BUNDLE_KEY),
    _Trace("key_id", _Side(QUARANTINE_BLOBS, ("key_id",)), _DATA_KEY),
    _Trace("key_id", _Side(QUARANTINE_ITEMS, ("key_id",)), _DATA_KEY),
    _Trace("blob_part", _Side(QUARANTINE_ITEMS, ("key_id", "blob_part")), _BLOB),
    _Trace("key_id", _Side(QUARANTINE_REJECTED, ("key_id",)), _DATA_KEY),
    _Trace("blob_part", _Side(QUARANTINE_REJECTED, ("key_id", "blob_part")), _BLOB),
    _Trace("decision_id", _Side(RELEASED, ("decision_id",)), _DECISION),
    _Trace(
        "what its decision states",
        _Side(RELEASED, ("decision_id", *_STATED, "records", "record_ids")),
        _GROUNDS,
    ),
    _Trace("item_id", _Side(RELEASED, ("item_id", "decision_id")), _DECIDED),
)
"""Everything that must be there because rows refer to it."""

_TAKERS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    QUARANTINE_KEYS: (Traces._keys, ("covers", "wrapped")),
    QUARANTINE_BLOBS: (Traces._blobs, ("size_class", "ciphertext", "item_ids")),
    RELEASED: (Traces._released, ("policy_hash", "reasons")),
}
"""What is done with rows of a table, and the columns that it takes."""
