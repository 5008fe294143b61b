"""Scan telemetry for leaks: a second, independent look at every text that the analytics side can read.

Each column is read batch by batch and reduced to its distinct values. Keyed digests (32 hexadecimal digits)
are passed over unless their bytes are text; all else goes through the detectors of
``validation.leak_detectors``. A value that a contract names in a closed set is explained by it; whatever else
is hit is to be reviewed. Counts leave this module, never a value.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.contract import ContractSet
from schemas.errors import InfrastructureFault
from schemas.tables import TELEMETRY, leaves
from schemas.telemetry import all_telemetry_tables
from transforms.bounded_reading import release_memory, row_batches
from transforms.manifests import FileRecord
from transforms.store import Store
from validation.leak_detectors import detect
from validation.written_reading import leaf_of

_BATCH_ROWS: Final = 1 << 13
_MOST_WAITING: Final = 10_000
"""Distinct texts of a column that wait until its file was read; beyond that one can be looked at twice."""

_SHORTEST: Final = 4
"""Texts of fewer characters than this and one cannot hold anything that a detector knows."""

_DIGEST: Final = r"\A[0-9a-f]{32}\z"
_TEXT_IN_HEX: Final = r"\A(?:2[0-9a-f]|3[0-9a-f]|4[0-9a-f]|5[0-9a-f]|6[0-9a-f]|7[0-9a-e]|0[9ad])+\z"
UNDECLARED: Final = "(undeclared)"


@dataclass(frozen=True, order=True)
class Hit:
    """What a detector found in a column.

    Attributes:
        table: The telemetry table.
        column: The column, as its contract names it, or "(undeclared)".
        detector: Name of the detector (closed set).
        rows: Rows with such a value; values of lists each for itself.
        values: Distinct values, those of different files counted for each file.
        explained: Whether all of them are of a closed set that a contract names.
    """

    table: str
    column: str
    detector: str
    rows: int
    values: int
    explained: bool


@dataclass(frozen=True)
class LeakScan:
    """What a scan came to.

    Attributes:
        tables: Telemetry tables that were read.
        columns: Columns of text that were read.
        rows: Values that were read, nulls not counted.
        looked_at: Distinct values that went through the detectors.
        digests: Values that have the shape of a keyed digest and were passed over.
        hits: What was found, sorted.
    """

    tables: int
    columns: int
    rows: int
    looked_at: int
    digests: int
    hits: tuple[Hit, ...]

    @property
    def to_review(self) -> int:
        """Rows with a hit that nothing explains."""
        return sum(hit.rows for hit in self.hits if not hit.explained)

    def as_json(self) -> dict[str, Any]:
        """Counts, names of tables and columns as declared, and names of detectors."""
        return {**asdict(self), "hits": [asdict(hit) for hit in self.hits], "to_review": self.to_review}


def scan_telemetry(store: Store, contracts: Iterable[ContractSet] = ()) -> LeakScan:
    """Look for leaks in every text of every telemetry table.

    Args:
        store: The store, as it was opened.
        contracts: Contracts whose closed sets explain hits; without any, nothing is explained.

    Raises:
        InfrastructureFault: A file cannot be read (``STORE_FILE_BROKEN``): what was not looked at is not
            free of leaks.
    """
    scan = _Scan(contracts)
    for record in store.snapshot.live.values():
        if record.table.startswith(f"{TELEMETRY}/"):
            scan.file(store, record)
            release_memory()
    return scan.result()


@dataclass
class _Scan:
    """One scan on its way."""

    contracts: Iterable[ContractSet]
    tables: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    rows: int = 0
    looked_at: int = 0
    digests: int = 0
    _hits: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    _values: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._waiting: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._declared: dict[str, set[str]] = {}
        self._explained: dict[tuple[str, str], set[str]] = {}
        for contracts in self.contracts:
            for table in all_telemetry_tables(contracts).values():
                self._declared.setdefault(table.name, set()).update(table.schema.names)
                for entry in table.columns:
                    words = entry.cut.values if entry.cut is not None else entry.values or ()
                    known = self._explained.setdefault((table.name, entry.column or ""), set())
                    known.update(str(word) for word in words)

    def file(self, store: Store, record: FileRecord) -> None:
        try:
            with pq.ParquetFile(record.path, filesystem=store.files_of_store.arrow()) as file:
                texts = [(path, leaf) for path, leaf in leaves(file.schema_arrow) if _is_text(leaf.type)]
                names = sorted({path.split(".")[0] for path, _ in texts})
                self._names(record.table, file.schema_arrow)
                for batch in row_batches(file, names, _BATCH_ROWS):
                    for path, _ in texts:
                        column = batch.column(path.split(".")[0]).combine_chunks()
                        self._column(record.table, path.split(".")[0], leaf_of(column, path))
        except (pa.ArrowException, OSError):
            raise InfrastructureFault(
                "STORE_FILE_BROKEN", f"{record.path} cannot be read and was not scanned; restore it"
            ) from None
        self._look_at_all()
        self.tables.add(record.table)

    def _names(self, table: str, schema: pa.Schema) -> None:
        """Names of columns that no contract declares could be a leak themselves."""
        strange = [name for name in schema.names if name not in self._declared.get(table, ())]
        for name in strange if table in self._declared else ():
            self._look(table, UNDECLARED, name, 1)

    def _column(self, table: str, name: str, values: pa.Array) -> None:
        shown = name if name in self._declared.get(table, {name}) else UNDECLARED
        self.columns.add((table, shown))
        waiting = self._waiting[table, shown]
        for text, rows in self._suspects(values):
            waiting[text] += rows
        if len(waiting) > _MOST_WAITING:
            self._look_at_all()

    def _look_at_all(self) -> None:
        waiting, self._waiting = self._waiting, defaultdict(Counter)
        for (table, column), texts in waiting.items():
            for text, rows in texts.items():
                self._look(table, column, text, rows)

    def _suspects(self, values: pa.Array) -> Iterator[tuple[str, int]]:
        """Distinct values that the detectors must see."""
        texts = _as_texts(values.drop_null())
        self.rows += len(texts)
        if not len(texts):
            return
        # Most columns are pseudonyms, a different one in each row: they go before anything is counted.
        digest = pc.and_not(
            pc.match_substring_regex(texts, _DIGEST), pc.match_substring_regex(texts, _TEXT_IN_HEX)
        )
        self.digests += pc.sum(digest).as_py() or 0
        long = pc.greater(pc.utf8_length(texts), _SHORTEST)
        for entry in pc.value_counts(texts.filter(pc.and_not(long, digest))).to_pylist():
            yield entry["values"], entry["counts"]

    def _look(self, table: str, column: str, text: str, rows: int) -> None:
        self.looked_at += 1
        explained = text in self._explained.get((table, column), ())
        for detector in detect(text):
            self._hits[table, column, detector, explained] += rows
            self._values[table, column, detector, explained] += 1

    def result(self) -> LeakScan:
        hits = [
            Hit(table, column, detector, rows, self._values[table, column, detector, explained], explained)
            for (table, column, detector, explained), rows in self._hits.items()
        ]
        return LeakScan(
            tables=len(self.tables),
            columns=len(self.columns),
            rows=self.rows,
            looked_at=self.looked_at,
            digests=self.digests,
            hits=tuple(sorted(hits)),
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_dictionary(kind)
    )


def _as_texts(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        # No telemetry column has bytes: whatever lies in one is looked at as the text that it is, or as hex.
        return pa.array([_text_of(each) for each in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _text_of(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.hex()
