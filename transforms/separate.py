"""Separate: take decoded events apart field by field.

Records of one event shape go in; out come telemetry tables in which every value has been judged, pieces of
content ready to be sealed, roster rows, and the records that could not be taken. Every record ends in exactly
one outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.bulk_decoder import BulkAttempts, BulkDecoder
from schemas.careful import CarefulDecoder
from schemas.cells import Level, UnknownValue, concatenate
from schemas.contract import ContractSet, EventShape
from schemas.decoder import FastDecoder
from schemas.decoder_plan import Learned
from schemas.strict_json import RecordFault
from transforms.cut_out import CutOut, cut_out, json_type
from transforms.record_digests import CLOUD_EVENT_IDENTITY, RecordDigester
from transforms.reserved_tenant import RESERVED, reserved_rows
from transforms.roster import roster_rows
from transforms.routing import Router
from transforms.shape_columns import PseudonymMaker, ShapeColumns, take_columns
from transforms.signals import signal_rows

_LINES_AT_ONCE = 2048
"""Lines whose Python objects exist at the same time: few enough to stay in the processor's cache."""

_LINES_TO_LEARN_FROM = 24
_LINES_READ_CAREFULLY = 64


class Outcome(StrEnum):
    """What became of a record; each record has exactly one."""

    SEPARATED = "separated"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    DUPLICATE = "duplicate"


ID_COLLISION = "ID_COLLISION"


@dataclass(frozen=True)
class Held:
    """A record that is sealed whole: rejected, or of an unknown event type.

    Attributes:
        index: Index of the record among those that went in together.
        code: Reason code.
        source: Source of the shape that refused it, where one was found.
    """

    index: int
    code: str
    source: str | None = None


@dataclass(frozen=True)
class DriftKey:
    """An unknown field, told apart without its name: known parent path, JSON type, keyed hash of the name."""

    source: str
    table: str
    parent: str
    json_type: str
    name_digest: str


@dataclass
class Separated:
    """What records of one shape were separated into.

    Attributes:
        telemetry: Table by name in the store.
        content: Pieces cut out for sealing, with the rows that describe them.
        roster: Roster rows, or None.
        signals: Rows of deletions that the source reports, or None.
        held: Records that are sealed whole.
        separated: Records that were taken apart, by (source, event type).
        dropped: Values dropped by contract, by (table, field).
        drift: Values under unknown keys.
        misfits: Values that do not fit their field, by (table, field).
        separated_rows: Indexes of the records that were taken apart.
    """

    telemetry: dict[str, pa.Table] = field(default_factory=dict)
    content: list[CutOut] = field(default_factory=list)
    roster: pa.Table | None = None
    signals: pa.Table | None = None
    held: list[Held] = field(default_factory=list)
    separated: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    drift: Counter[DriftKey] = field(default_factory=Counter)
    misfits: Counter[tuple[str, str]] = field(default_factory=Counter)
    separated_rows: list[int] = field(default_factory=list)


class _ShapeState:
    """The decoders of a shape in this worker, and what they have learned."""

    def __init__(self, shape: EventShape) -> None:
        self.shape = shape
        self.learned = Learned()
        self.columns = ShapeColumns(shape)
        self._bulk = BulkAttempts(lambda: BulkDecoder(shape, self.learned))
        self._fast: FastDecoder | None = None

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], Level, list[tuple[int, str]]]:
        """Decode lines: the indexes that were taken, their columns, and (index, code) of those refused.

        Plain lines are decoded in bulk, others by the fast decoder. What it leaves over is read carefully, a
        few lines at a time: as long as they teach something (a field that had not been met), the decoders are
        built anew and the fast one tries the rest.
        """
        if not self.learned.active:
            self._learn_from(lines)
        rows: list[int] = []
        levels: list[Level] = []
        refused: list[tuple[int, str]] = []
        for start in range(0, len(lines), _LINES_AT_ONCE):
            some = lines[start : start + _LINES_AT_ONCE]
            taken, parts, left = self._bulk.decode(some)
            rows += [start + row for row in taken]
            levels += parts
            if left:
                self._decode_rest(
                    [some[row] for row in left], [start + row for row in left], rows, levels, refused
                )
        return rows, concatenate(levels), refused

    def _decode_rest(
        self,
        lines: Sequence[bytes],
        at: Sequence[int],
        rows: list[int],
        levels: list[Level],
        refused: list[tuple[int, str]],
    ) -> None:
        """Decode lines that are not plain; `at` holds their indexes."""
        taken, level, left = self._decoder().decode(lines)
        rows += [at[row] for row in taken]
        levels.append(level)
        while left:
            few, left = left[:_LINES_READ_CAREFULLY], left[_LINES_READ_CAREFULLY:]
            taken, level, has_learned, faults = self._decode_carefully(lines, few)
            rows += [at[row] for row in taken]
            refused += [(at[row], code) for row, code in faults]
            levels.append(level)
            if has_learned:
                self._bulk.forget()
                self._fast = None
                again, level, rest = self._decoder().decode([lines[row] for row in left])
                rows += [at[left[row]] for row in again]
                levels.append(level)
                left = [left[row] for row in rest]

    def _decoder(self) -> FastDecoder:
        self._fast = self._fast or FastDecoder(self.shape, self.learned)
        return self._fast

    def _learn_from(self, lines: Sequence[bytes]) -> None:
        """Meet the shape in lines spread over the first group, so that the decoders know its fields."""
        # The way to the event type is part of every decoder, met or not.
        at = self.shape.type_at
        self.learned.active.update(at[:end] for end in range(1, len(at) + 1))
        careful = CarefulDecoder(self.shape, self.learned)
        for line in lines[:: max(1, len(lines) // _LINES_TO_LEARN_FROM)]:
            with suppress(RecordFault):
                careful.read(line)

    def _decode_carefully(
        self, lines: Sequence[bytes], few: Sequence[int]
    ) -> tuple[list[int], Level, bool, list[tuple[int, str]]]:
        careful = CarefulDecoder(self.shape, self.learned)
        taken: list[int] = []
        faults: list[tuple[int, str]] = []
        for row in few:
            try:
                careful.read(lines[row])
                taken.append(row)
            except RecordFault as fault:
                faults.append((row, fault.code))
        return taken, careful.level(), careful.has_learned, faults


def _decode_but(
    state: _ShapeState, records: Sequence[bytes], reserved: Sequence[int]
) -> tuple[list[int], Level, list[tuple[int, str]]]:
    """Decode anew without the records of the reserved tenant, which are refused."""
    kept = sorted(set(range(len(records))).difference(reserved))
    rows, level, refused = state.decode([records[index] for index in kept])
    refused = [(kept[row], code) for row, code in refused] + [(index, RESERVED) for index in reserved]
    return [kept[row] for row in rows], level, refused


class Separator:
    """Separates blocks of records; one of it lives in each worker.

    Args:
        contracts: The contracts of the run.
        source: A source's name, or "auto".
        pseudonyms: Makes pseudonyms under the store's keys.
        digester: Makes event ids under the store's digest key.
    """

    def __init__(
        self, contracts: ContractSet, source: str, pseudonyms: PseudonymMaker, digester: RecordDigester
    ) -> None:
        self._router = Router(contracts, source)
        self._pseudonyms = pseudonyms
        self._digester = digester
        self._states: dict[str, _ShapeState] = {}

    def route(self, records: Sequence[bytes]) -> tuple[list[tuple[EventShape, list[int]]], list[Held]]:
        """Group records by shape; those that no contract claims are held, each with its reason."""
        routes = self._router.route(records)
        held = [Held(index, self._router.why_unknown(records[index])) for index in routes.unknown]
        return routes.groups, held

    def separate(
        self,
        shape: EventShape,
        records: Sequence[bytes],
        known_ids: np.ndarray | None = None,
        *,
        from_outside: bool = True,
    ) -> Separated:
        """Take records of one shape apart.

        Args:
            shape: Their shape.
            records: The records.
            known_ids: Their events' ids where they are known: uint8, (records, 16).
            from_outside: Whether they are input; such may not say that they are of the reserved tenant.
        """
        result = Separated()
        state = self._states.get(shape.table)
        if state is None:
            state = self._states[shape.table] = _ShapeState(shape)
        rows, level, refused = state.decode(records)
        reserved = [rows[at] for at in reserved_rows(level, shape)] if from_outside else []
        if reserved:
            rows, level, refused = _decode_but(state, records, reserved)
        result.held = [Held(row, code, shape.source) for row, code in refused]
        result.separated_rows = rows
        if not rows:
            return result
        ids = self._event_ids(level, [records[row] for row in rows]) if known_ids is None else known_ids[rows]
        columns = take_columns(state.columns, level, ids, self._pseudonyms)
        for event in pc.value_counts(columns.event_types).to_pylist():
            result.separated[(shape.source, event["values"])] += event["counts"]
        result.telemetry = columns.tables
        group = cut_out(state.columns, level, columns, self._pseudonyms)
        result.content = group.cuts
        for key, count in group.dropped.items():
            result.dropped[(shape.table, key)] += count
        for unknown in group.unknown:
            self._count_unknown(shape, unknown, result)
        result.roster = roster_rows(shape, level, columns, self._pseudonyms)
        result.signals = signal_rows(state.columns, level, columns, self._pseudonyms)
        return result

    def _event_ids(self, level: Level, records: list[bytes]) -> np.ndarray:
        """Event digests, the same by which duplicates were found: decoded columns only save reading again."""
        columns = [level.cells.get(path) for path in CLOUD_EVENT_IDENTITY]
        if any(column is None or column.type != pa.string() or column.null_count for column in columns):
            return self._digester.identities(records).ids
        return self._digester.event_ids(columns[1:], records)

    def _count_unknown(self, shape: EventShape, unknown: UnknownValue, result: Separated) -> None:
        if unknown.key is None:
            path = ".".join(unknown.path or unknown.parent)
            result.misfits[(shape.table, path)] += 1
            return
        key = DriftKey(
            shape.source,
            shape.table,
            ".".join(unknown.parent),
            json_type(unknown.raw),
            self._digester.name_digest(unknown.key),
        )
        result.drift[key] += 1
