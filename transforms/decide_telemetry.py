"""Decide about telemetry: for what each table's rows about a meeting may be used besides running the service.

The same rules, records and suites decide as for content, in the service lane: secondary use of diagnostics,
access to devices, traffic data, opt-outs. Nothing is opened and nothing copied. The decision is written down,
and whoever takes telemetry out for a purpose (`transforms.telemetry_export`) is given the decided rows only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from schemas.tables import DECISION_TELEMETRY, FIXED_TABLES, QUARANTINE_ITEMS
from transforms.collector import collector_paused
from transforms.consent_intake import IntakeCounts
from transforms.decide_meetings import GATHERED_CELLS, DecisionLabels, MeetingInput, decide_together
from transforms.decision_tables import MeetingDecisions
from transforms.deletion_holds import PIECES
from transforms.faults import value_free
from transforms.gather_meetings import ShardPeople, ShardSignals, meeting_of
from transforms.manifests import FileRecord
from transforms.meeting_joins import HOME, concat, slices
from transforms.parquet_files import TableWriter
from transforms.release_reading import COUNTS, FILES
from transforms.release_rules import DECIDE, ReleaseRules
from transforms.release_settings import ReleaseSettings
from transforms.store import Store
from transforms.store_files import open_files
from transforms.telemetry_scopes import SCOPE_SCHEMA, basis_of, telemetry_tables
from validation.item_rules import SERVICE

_END = GlobalWindow().max_timestamp()
_PLACED: Final = SCOPE_SCHEMA.append(pa.field(HOME, pa.string()))
_ITEMS: Final = FIXED_TABLES[QUARANTINE_ITEMS]
_OF_SCOPE: Final = ("table", "tenant", "meeting", "kind", "rows")

DecisionKey = tuple[str, str, str, str]
"""Purpose, table, decision and primary reason."""


@dataclass
class TelemetryCounts:
    """What was decided about telemetry.

    Attributes:
        rows: Rows of telemetry by `DecisionKey`.
        written: Rows handed to the table of decisions.
    """

    rows: Counter[DecisionKey] = field(default_factory=Counter)
    written: int = 0

    def merge(self, other: TelemetryCounts) -> None:
        """Add another part's counts."""
        self.rows.update(other.rows)
        self.written += other.written


def total_telemetry(parts: Iterable[TelemetryCounts]) -> TelemetryCounts:
    """The counts of all parts."""
    total = TelemetryCounts()
    for part in parts:
        total.merge(part)
    return total


def as_items(scopes: pa.Table) -> pa.Table:
    """Scopes as rows of items: they have no time of their own, so that they concern the whole meeting."""
    known = {
        "item_id": scopes.column("scope_id"),
        **{name: scopes.column(name) for name in ("kind", "tenant_join", "meeting_join")},
    }
    columns = [
        known[column.name] if column.name in known else pa.nulls(len(scopes), column.type)
        for column in _ITEMS
    ]
    table = pa.table(columns, names=_ITEMS.names).cast(_ITEMS)
    marked = table.append_column("ambiguous", pa.array([False] * len(scopes)))
    return marked.append_column(PIECES, scopes.column(PIECES))


def decision_rows(scopes: pa.Table, decisions: MeetingDecisions) -> pa.Table:
    """The rows of the table of decisions about telemetry.

    Args:
        scopes: What was decided about.
        decisions: The decisions, items in the order of the scopes.
    """
    schema = FIXED_TABLES[DECISION_TELEMETRY]
    of_scope, of_class = pa.array(decisions.item_at), pa.array(decisions.class_at)
    made = [
        scopes.column(name).take(of_scope)
        if name in _OF_SCOPE
        else decisions.classes.column(name).take(of_class)
        for name in schema.names
    ]
    return pa.table(made, names=schema.names).cast(schema)


def telemetry_findings(
    store: Store, files: Sequence[FileRecord], counts: TelemetryCounts, purposes: int
) -> list[str]:
    """What does not add up: every row of telemetry has one decision for every purpose."""
    rows = sum(record.rows for table in telemetry_tables(store) for record in store.files(table))
    findings = []
    if counts.rows.total() != rows * purposes:
        findings.append(f"{rows * purposes} decisions on telemetry were due and {counts.rows.total()} made")
    if counts.written != sum(record.rows for record in files):
        findings.append(f"{DECISION_TELEMETRY}: {counts.written} rows were handed over and others written")
    return findings


def telemetry_ledger(store: Store, counts: TelemetryCounts, stopped: str | None) -> dict[str, Any]:
    """What the ledger of a release says of telemetry; ``stopped`` says why no decision counts."""
    return {
        "stopped": stopped,
        "basis": basis_of(store),
        "decisions": [
            {"purpose": key[0], "table": key[1], "decision": key[2], "primary": key[3], "rows": rows}
            for key, rows in sorted(counts.rows.items())
        ],
    }


@dataclass
class DecideTelemetry(beam.PTransform[Any, Any]):
    """Decide about scopes of telemetry, meeting by meeting."""

    settings: ReleaseSettings
    rules: ReleaseRules = field(repr=False)
    doubts: tuple[Any, Any] = field(repr=False)
    read: Any = field(repr=False)

    def expand(self, inputs: Mapping[str, Any]) -> Any:
        """scopes, roster, signals, links, rows, by meeting -> FileRecord; `counts`: TelemetryCounts."""
        sides = [*map(beam.pvalue.AsList, self.doubts), beam.pvalue.AsSingleton(self.read)]
        step = _DecideScopes(self.settings, self.rules)
        return (
            dict(inputs)
            | "ByMeeting" >> beam.CoGroupByKey()
            | "Decide" >> beam.ParDo(step, *sides).with_outputs(COUNTS, main=FILES)
        )


class _DecideScopes(beam.DoFn):
    """Decides about scopes, many at a time, and writes the decisions."""

    def __init__(self, settings: ReleaseSettings, rules: ReleaseRules) -> None:
        self._settings, self._rules = settings, rules
        self.start_bundle()

    def start_bundle(self) -> None:
        self._waiting: list[tuple[pa.Table, MeetingInput]] = []
        self._cells = 0
        self._records_seen = ""
        self._counts = TelemetryCounts()
        self._writer: TableWriter | None = None

    def process(
        self,
        keyed: tuple[str, Mapping[str, Iterable[bytes]]],
        ownerless: Sequence[bytes],
        anywhere: Sequence[bytes],
        read: IntakeCounts,
    ) -> None:
        with value_free("gather telemetry"), collector_paused():
            self._records_seen = read.fingerprint
            for scopes, given in self._gather(keyed[1], ownerless, anywhere):
                self._waiting.append((scopes, given))
                self._cells += given.cells
                if self._cells >= GATHERED_CELLS:
                    self._decide()

    def finish_bundle(self) -> Iterator[Any]:
        self._decide()
        if self._writer is not None:
            with value_free("finish files"):
                for record in self._writer.close():
                    yield _at_end(record)
        yield beam.pvalue.TaggedOutput(COUNTS, _at_end(self._counts))

    def _gather(
        self, found: Mapping[str, Iterable[bytes]], ownerless: Sequence[bytes], anywhere: Sequence[bytes]
    ) -> Iterator[tuple[pa.Table, MeetingInput]]:
        scopes = concat(found["scopes"], _PLACED).sort_by("scope_id")
        if not scopes.num_rows:
            return
        people, signals = ShardPeople(found), ShardSignals(found["signals"], anywhere)
        items = dict(slices(as_items(scopes), scopes.column(HOME)))
        for home, own in slices(scopes.drop_columns([HOME]), scopes.column(HOME)):
            known = (*people.of(home), ownerless, signals.about(home))
            yield own, MeetingInput(meeting_of(home), items[home], *known, lane=SERVICE)

    def _decide(self) -> None:
        labels = DecisionLabels(self._settings.run_id, DECIDE, self._records_seen)
        waiting, self._waiting, self._cells = self._waiting, [], 0
        if not waiting:
            return
        try:
            with value_free("decide telemetry"), collector_paused():
                decided = decide_together([given for _, given in waiting], self._rules, labels)
                scopes = pa.concat_tables([own for own, _ in waiting]).combine_chunks()
                self._write(decision_rows(scopes, decided.all))
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            raise

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            files = open_files(self._settings.store)
            schema = FIXED_TABLES[DECISION_TELEMETRY]
            self._writer = TableWriter(files, self._settings.run_id, DECISION_TELEMETRY, schema)
        self._writer.append(rows)
        self._counts.written += rows.num_rows
        names = ["purpose", "table", "decision", "primary"]
        counted = rows.select([*names, "rows"]).group_by(names).aggregate([("rows", "sum")])
        for row in counted.to_pylist():
            purpose, table, decision, primary = (row[name] for name in names)
            self._counts.rows[purpose, table, decision, primary] += row["rows_sum"]


def _at_end(value: Any) -> WindowedValue:
    return WindowedValue(value, _END, (GlobalWindow(),))
