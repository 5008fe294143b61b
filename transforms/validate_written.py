"""Validate what was written: suites made from contracts and declared schemas, over the files of a store.

Every file that the manifests name is read once, batch by batch, and reduced to what its table's suite reads
of it; Great Expectations judges that. What rows of different tables say of each other (a ciphertext and its
keys, a released row and its decision, a ledger and its files) is compared by plain code first, and judged as
words. Nothing is raised for what is wrong with a file: it is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.contract import ContractSet, load_contracts
from schemas.errors import ConfigurationError
from schemas.strict_json import FaultCode
from schemas.tables import FILTERS, TELEMETRY
from transforms.bounded_reading import release_memory, row_batches
from transforms.manifests import FileRecord, Snapshot
from transforms.reserved_tenant import RESERVED
from transforms.routing import NOT_AN_EVENT, UNKNOWN_TYPE
from transforms.sealed_format import SCHEME
from transforms.separate import ID_COLLISION
from transforms.splitting import SOURCE_FAULTS
from transforms.store import Store
from transforms.written_conservation import conservation_words
from transforms.written_traces import Traces
from validation.written_checks import Check, WrittenChecks, WrittenTally
from validation.written_judge import WrittenJudge
from validation.written_reading import counted, leaf_of
from validation.written_rules import in_set
from validation.written_suites import (
    ALL_COLUMNS,
    NAMES,
    TELEMETRY_AREA,
    TableSuite,
    column_word,
    suites_hash,
    telemetry_suites,
)
from validation.written_tables import CONSERVATION_AREA, OTHER_AREA, table_suites, words_of

BATCH_ROWS: Final = 1 << 13
CONTENT_ROWS: Final = 64
"""Rows that are read at once of a table with ciphertexts."""

CONTRACTS: Final = "(contracts)"
FILES: Final = "(files)"
EQUAL: Final = in_set("equal", code="DOES_NOT_ADD_UP")
READABLE: Final = in_set("readable", code="FILE_NOT_READABLE")
DECLARED: Final = in_set("declared", code="TABLE_UNKNOWN")
REJECT_REASONS: Final = frozenset(
    {*SOURCE_FAULTS, *get_args(FaultCode), NOT_AN_EVENT, UNKNOWN_TYPE, ID_COLLISION, RESERVED}
)
"""Why a record may be sealed whole."""


def known_contracts(paths: Iterable[Path] = ()) -> list[ContractSet]:
    """The bundled contracts, and each given file or folder of contracts as a set of its own.

    Versions of one contract cannot be in one set; here each is, so that rows of all versions can be judged.

    Args:
        paths: Contract files and folders of such.

    Raises:
        ConfigurationError: A contract cannot be used (``CONTRACT_INVALID``).
    """
    own = [sorted(path.glob("*.yaml")) if path.is_dir() else [path] for path in paths]
    return [load_contracts(), *(load_contracts(files) for files in own)]


def validate_written(
    store: Store, contracts: Sequence[ContractSet], judge: WrittenJudge | None = None
) -> WrittenChecks:
    """Validate all files of a store.

    Args:
        store: The store, as it was opened.
        contracts: Contracts of all versions that its rows were taken apart by (see ``known_contracts``).
        judge: What judges; a new one without.

    Raises:
        ConfigurationError: The store was written by a contract that is not among them
            (``CONTRACT_NOT_FOUND``).
        PromiseBroken: Great Expectations cannot be relied upon (``WRITTEN_NOT_PROVEN``).
    """
    return _Validation(store, contracts, judge or WrittenJudge()).run()


def recorded_contracts(snapshot: Snapshot) -> frozenset[str]:
    """Contract labels (id@version) that runs of a store state to have used."""
    ledgers = (manifest.facts.get("ledger") or {} for manifest in snapshot.manifests)
    return frozenset(label for ledger in ledgers for label in ledger.get("contracts", ()))


class _Validation:
    """One validation on its way."""

    def __init__(self, store: Store, contracts: Sequence[ContractSet], judge: WrittenJudge) -> None:
        self._store = store
        self._telemetry = {key: suite for each in contracts for key, suite in telemetry_suites(each).items()}
        self._fixed = table_suites(words_of(contracts, REJECT_REASONS, [SCHEME]))
        self._tally = WrittenTally(judge)
        self._traces = Traces(store)
        known = {shape.contract_label for each in contracts for shape in each.shapes}
        self._known = known & recorded_contracts(store.snapshot)
        self._missing = recorded_contracts(store.snapshot) - known

    def run(self) -> WrittenChecks:
        suites = [*self._telemetry.values(), *self._fixed.values()]
        self._tally.declare(
            Check(suite.area, suite.table, path, rule)
            for suite in suites
            for path, rule in suite.expectations()
        )
        for record in self._store.snapshot.live.values():
            if record.table != FILTERS:
                self._file(record)
                release_memory()
        for check, words in self._traces.checks():
            self._tally.add(check, words.items())
        for table, what, words in conservation_words(self._store):
            self._tally.add(Check(CONSERVATION_AREA, table, what, EQUAL), words.items())
        return self._tally.finish(self._store.snapshot.last_digest, suites_hash(suites))

    # --- files ----------------------------------------------------------------------------------------------

    def _file(self, record: FileRecord) -> None:
        area = TELEMETRY_AREA if record.table.startswith(f"{TELEMETRY}/") else self._area(record.table)
        self._tally.rows[area] += record.rows
        self._tally.tables.add(record.table)
        is_declared = record.table in self._fixed or any(name == record.table for name, _ in self._telemetry)
        found = Counter({"declared" if is_declared else "unknown": 1})
        self._tally.add(Check(area, record.table, FILES, DECLARED), found.items())
        try:
            self._read(record, area)
        except (pa.ArrowException, OSError):
            word = "not readable"
        else:
            word = "readable"
        self._tally.add(Check(area, record.table, FILES, READABLE), [(word, 1)])

    def _area(self, table: str) -> str:
        suite = self._fixed.get(table)
        return OTHER_AREA if suite is None else suite.area

    def _read(self, record: FileRecord, area: str) -> None:
        with pq.ParquetFile(record.path, filesystem=self._store.files_of_store.arrow()) as file:
            rows = self._rows_of(file, record)
            self._tally.add(
                Check(CONSERVATION_AREA, record.table, "rows of files", EQUAL),
                [("equal" if file.metadata.num_rows == record.rows else "differs", 1)],
            )
            if area == TELEMETRY_AREA:
                self._telemetry_file(record.table, file.schema_arrow, rows)
            elif (suite := self._fixed.get(record.table)) is not None:
                self._names(suite, file.schema_arrow, record.rows)
                for batch in rows:
                    self._batch(suite, batch)
                    self._traces.add(record, batch)

    def _rows_of(self, file: pq.ParquetFile, record: FileRecord) -> Iterator[pa.Table]:
        suite = self._fixed.get(record.table)
        content = {path.split(".")[0] for path in suite.free} if suite is not None else set()
        content -= self._traces.columns(record.table)
        columns = [name for name in file.schema_arrow.names if name not in content]
        size = CONTENT_ROWS if "ciphertext" in columns else BATCH_ROWS
        yield from row_batches(file, columns, size)

    def _names(
        self, suite: TableSuite, schema: pa.Schema, rows: int, other: frozenset[str] = frozenset()
    ) -> None:
        """Judge the columns' names and types; those of another contract in the file are passed over."""
        words = [column_word(column) for column in schema if column_word(column) not in other - suite.columns]
        check = Check(suite.area, suite.table, NAMES, suite.names_rule)
        self._tally.add(check, [(word, max(rows, 1)) for word in words])
        there = set(schema.names)
        missing = len(suite.required - there)
        present = Counter({"missing": missing, "present": len(suite.schema) - missing})
        self._tally.add(Check(suite.area, suite.table, NAMES, ALL_COLUMNS), (+present).items())

    def _telemetry_file(self, table: str, schema: pa.Schema, rows: Iterator[pa.Table]) -> None:
        """Judge each row by the version of the contract that took it apart."""
        seen: Counter[str] = Counter()
        for batch in rows:
            labels = batch.column("contract") if "contract" in batch.column_names else pa.nulls(len(batch))
            for entry in pc.value_counts(labels).to_pylist():
                label = entry["values"]
                suite = self._suite(table, label)
                if suite is None:
                    self._foreign(table, label, entry["counts"])
                    continue
                seen[str(label)] += entry["counts"]
                whole = entry["counts"] == batch.num_rows
                self._batch(suite, batch if whole else batch.filter(pc.equal(labels, label)))
        # Rows of one version can stand in a file that was completed for rows of another, which may be gone.
        others = frozenset(
            word
            for (name, label), other in self._telemetry.items()
            if name == table and label in self._known
            for word in other.columns
        )
        for label, number in seen.items():
            self._names(self._telemetry[table, label], schema, number, others)

    def _suite(self, table: str, label: object) -> TableSuite | None:
        return (
            self._telemetry.get((table, label)) if isinstance(label, str) and label in self._known else None
        )

    def _foreign(self, table: str, label: object, rows: int) -> None:
        """Rows that no contract accounts for; if a run used a contract that is not here, nobody can tell."""
        if label in self._missing:
            raise ConfigurationError(
                "CONTRACT_NOT_FOUND", f"rows were taken apart by {label}; name its file with --contracts"
            )
        rule = in_set(*sorted(self._known), code="CONTRACT_UNKNOWN")
        self._tally.add(Check(TELEMETRY_AREA, table, "contract", rule), [("none of them", rows)])

    # --- columns --------------------------------------------------------------------------------------------

    def _batch(self, suite: TableSuite, batch: pa.Table) -> None:
        leaves: dict[str, pa.Array] = {}
        for path, rules in suite.rules.items():
            name = path.split(".")[0]
            # A column of another name or type was counted as such; rules of the declared type cannot read it.
            if (
                name not in batch.column_names
                or batch.schema.field(name).type != suite.schema.field(name).type
            ):
                continue
            if path not in leaves:
                leaves[path] = leaf_of(batch.column(name).combine_chunks(), path)
            for rule in rules:
                self._tally.add(Check(suite.area, suite.table, path, rule), counted(leaves[path], rule))
