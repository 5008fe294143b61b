"""Whether rows of different tables go together: ciphertexts and keys, released rows and decisions.

Ids and what belongs to them are reduced to 64 bits each, so that a million rows take a few megabytes; the
chance that a broken trace is taken for a sound one is one in 10^13.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import (
    DECISION_CLASSES,
    DECISION_ITEMS,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
)
from transforms.chunked_encryption import sealed_length
from transforms.manifests import FileRecord
from transforms.release_content import RECORDS_IN_ROWS
from transforms.release_rules import SINK
from transforms.sealed_format import COVERS_BUNDLE, COVERS_DATA, ITEM_ID_BYTES, WRAPPED_DATA_KEY_BYTES
from transforms.store import Store
from validation.decisions import RELEASE
from validation.written_checks import Check
from validation.written_rules import Rule, in_set
from validation.written_tables import QUARANTINE_AREA, RELEASED_AREA

Digests = npt.NDArray[np.uint64]

RESOLVED: Final = in_set("resolved", code="NOT_TRACEABLE")
FITS: Final = in_set("fits", code="LENGTH_DIFFERS")
NO_REASONS: Final = in_set("none", code="REASON_STATED")
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_UNIT: Final = "\x1f"
_STATED: Final = ("purpose", "recipient", "kind", "policy_hash", "suite_hash", "as_of", "terms")
"""What a released row and its decision both state."""

_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    RELEASED: frozenset({"item_id", "decision_id", "reasons", "records", "record_ids", *_STATED}),
}


def digests(columns: Sequence[pa.ChunkedArray | pa.Array]) -> Digests:
    """64 bits a row that stand for the values of some columns together."""
    from pandas.util import hash_array

    total: Digests | None = None
    for column in columns:
        part = hash_array(_plain(column).to_numpy(zero_copy_only=False).astype(object), categorize=True)
        total = part if total is None else total * _PRIME + part
    assert total is not None  # noqa: S101 - narrows a type; there is always a column
    return total


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_list(whole.type):
        whole = pc.binary_join(whole, _UNIT)
    if pa.types.is_binary(whole.type) or pa.types.is_fixed_size_binary(whole.type):
        # Bytes that are no text would be read as one.
        whole = pa.array([None if each is None else each.hex() for each in whole.to_pylist()], pa.string())
    return pc.fill_null(whole.cast(pa.string()), _UNIT)


class _Known:
    """Digests that something may refer to."""

    def __init__(self) -> None:
        self._parts: list[Digests] = []
        self._sorted: Digests | None = None

    def add(self, found: Digests) -> None:
        self._parts.append(found)

    def words(self, wanted: list[Digests]) -> Counter[str]:
        """How many of some digests are known, and how many are not."""
        if self._sorted is None:
            self._sorted = np.unique(np.concatenate([np.zeros(0, np.uint64), *self._parts]))
            self._parts = []
        known = self._sorted
        total: Counter[str] = Counter()
        for some in wanted:
            places = np.searchsorted(known, some)
            places[places == len(known)] = 0
            found = int((known[places] == some).sum()) if len(known) else 0
            total += Counter({"resolved": found, "unresolved": len(some) - found})
        return total


class Traces:
    """Collects what rows refer to and what there is, and says at the end what goes together.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._known: dict[str, _Known] = defaultdict(_Known)
        self._wanted: dict[tuple[str, str, str], list[Digests]] = defaultdict(list)
        self._words: dict[tuple[str, str, Rule], Counter[str]] = defaultdict(Counter)
        ledgers = [manifest.facts.get("ledger") or {} for manifest in store.snapshot.manifests]
        self._policies = [ledger["policy_hash"] for ledger in ledgers if "policy_hash" in ledger]

    def columns(self, table: str) -> frozenset[str]:
        """Columns of a table that are needed here though no rule reads them."""
        return _NEEDED.get(table, frozenset())

    def add(self, record: FileRecord, batch: pa.Table) -> None:
        """Take in rows of a file."""
        take = _TAKERS.get(record.table)
        if take is not None and batch.num_rows and _has(batch, take[1]):
            take[0](self, batch)

    def checks(self) -> Iterator[tuple[Check, Mapping[str, int]]]:
        """What was found, as words for the judge."""
        for (table, what, known), wanted in self._wanted.items():
            words = self._known[known].words(wanted)
            yield Check(_area(table), table, what, RESOLVED), +words
        for (table, what, rule), counts in self._words.items():
            yield Check(_area(table), table, what, rule), +counts

    # --- quarantine -----------------------------------------------------------------------------------------

    def _keys(self, batch: pa.Table) -> None:
        is_data = pc.equal(batch.column("covers"), COVERS_DATA)
        data = batch.filter(is_data)
        bundles = batch.filter(pc.equal(batch.column("covers"), COVERS_BUNDLE))
        self._known["data keys"].add(digests([data.column("key_id")]))
        self._known["bundle keys"].add(digests([bundles.column("key_id")]))
        self._want(QUARANTINE_KEYS, "wrapping_key_id", "bundle keys", [data.column("wrapping_key_id")])
        fits = pc.equal(pc.binary_length(data.column("wrapped")), WRAPPED_DATA_KEY_BYTES)
        self._word(QUARANTINE_KEYS, "wrapped data key", FITS, fits, ("fits", "differs"))

    def _blobs(self, batch: pa.Table) -> None:
        self._known["blobs"].add(digests([batch.column("key_id"), batch.column("part")]))
        self._want(QUARANTINE_BLOBS, "key_id", "data keys", [batch.column("key_id")])
        sealed = pa.array(
            [-1 if size is None else sealed_length(size) for size in batch.column("size_class").to_pylist()],
            pa.int64(),
        )
        fits = pc.equal(pc.binary_length(batch.column("ciphertext")).cast(pa.int64()), sealed)
        self._word(QUARANTINE_BLOBS, "ciphertext for its size class", FITS, fits, ("fits", "differs"))
        lengths = pc.binary_length(batch.column("item_ids")).to_pylist()
        whole = pa.array([length is not None and length % ITEM_ID_BYTES == 0 for length in lengths])
        self._word(QUARANTINE_BLOBS, "item_ids", FITS, whole, ("fits", "differs"))

    def _items(self, batch: pa.Table) -> None:
        self._want(QUARANTINE_ITEMS, "key_id", "data keys", [batch.column("key_id")])
        self._want(
            QUARANTINE_ITEMS, "blob_part", "blobs", [batch.column("key_id"), batch.column("blob_part")]
        )

    def _rejected(self, batch: pa.Table) -> None:
        place = [batch.column("key_id"), batch.column("blob_part")]
        self._want(QUARANTINE_REJECTED, "key_id", "data keys", place[:1])
        self._want(QUARANTINE_REJECTED, "blob_part", "blobs", place)

    # --- released -------------------------------------------------------------------------------------------

    def _classes(self, batch: pa.Table) -> None:
        going = batch.filter(_let_go(batch))
        stated = [going.column("decision_id"), *(going.column(name) for name in _STATED)]
        record_ids = going.column("record_ids")
        count, some = pc.list_value_length(record_ids), pc.list_slice(record_ids, 0, RECORDS_IN_ROWS)
        self._known["decisions"].add(digests([going.column("decision_id")]))
        self._known["grounds"].add(digests([*stated, count, some]))

    def _decided(self, batch: pa.Table) -> None:
        going = batch.filter(_let_go(batch))
        self._known["decided items"].add(digests([going.column("item_id"), going.column("decision_id")]))

    def _released(self, batch: pa.Table) -> None:
        decision = batch.column("decision_id")
        stated = [decision, *(batch.column(name) for name in _STATED)]
        self._want(RELEASED, "decision_id", "decisions", [decision])
        self._want(
            RELEASED, "what its decision states", "grounds",
            [*stated, batch.column("records"), batch.column("record_ids")],
        )  # fmt: skip
        self._want(RELEASED, "item_id", "decided items", [batch.column("item_id"), decision])
        self._known["policies"].add(digests([pa.array(self._policies, pa.string())]))
        self._want(RELEASED, "policy_hash", "policies", [batch.column("policy_hash")])
        empty = pc.fill_null(pc.equal(pc.list_value_length(batch.column("reasons")), 0), False)
        self._word(RELEASED, "reasons", NO_REASONS, empty, ("none", "some"))

    # --- words ----------------------------------------------------------------------------------------------

    def _want(self, table: str, what: str, known: str, columns: Sequence[Any]) -> None:
        self._wanted[table, what, known].append(digests(columns))

    def _word(self, table: str, what: str, rule: Rule, good: Any, words: tuple[str, str]) -> None:
        true = pc.sum(pc.fill_null(good, False)).as_py() or 0
        self._words[table, what, rule].update({words[0]: true, words[1]: len(good) - true})


def _area(table: str) -> str:
    return RELEASED_AREA if table == RELEASED else QUARANTINE_AREA


def _let_go(batch: pa.Table) -> Any:
    is_first = pc.not_equal(batch.column("stage"), SINK)
    return pc.and_(pc.equal(batch.column("decision"), RELEASE), is_first)


def _has(batch: pa.Table, columns: Sequence[str]) -> bool:
    return set(columns) <= set(batch.column_names)


_TAKERS: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    QUARANTINE_KEYS: (Traces._keys, ("covers", "key_id", "wrapping_key_id", "wrapped")),
    QUARANTINE_BLOBS: (Traces._blobs, ("key_id", "part", "size_class", "ciphertext", "item_ids")),
    QUARANTINE_ITEMS: (Traces._items, ("key_id", "blob_part")),
    QUARANTINE_REJECTED: (Traces._rejected, ("key_id", "blob_part")),
    DECISION_CLASSES: (Traces._classes, ("stage", "decision", "decision_id", "record_ids", *_STATED)),
    DECISION_ITEMS: (Traces._decided, ("stage", "decision", "item_id", "decision_id")),
    RELEASED: (Traces._released, tuple(sorted(_NEEDED[RELEASED]))),
}
"""What is done with rows of a table, and the columns that it takes."""
