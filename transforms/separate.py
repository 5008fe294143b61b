"""Separate: take decoded events apart field by field.

One block of records goes in; out come telemetry tables in which every value has been judged, pieces of
content ready to be sealed, roster rows, and the records that could not be taken. Every record of the block
ends in exactly one outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.careful import CarefulDecoder
from schemas.cells import Level, UnknownValue, concatenate
from schemas.contract import ContractSet, EventShape
from schemas.decoder import FastDecoder, Learned
from schemas.strict_json import RecordFault
from transforms.cut_out import CutOut, cut_out, json_type
from transforms.record_digests import RecordDigester
from transforms.roster import roster_rows
from transforms.routing import Router
from transforms.shape_columns import PseudonymMaker, ShapeColumns, take_columns

_LINES_TO_LEARN_FROM = 64


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
        index: Index of the record in its block.
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
    """What a block was separated into.

    Attributes:
        telemetry: Tables by name in the store.
        content: Pieces cut out for sealing, with the rows that describe them.
        rosters: Roster tables.
        held: Records that are sealed whole.
        separated: Records that were taken apart, by (source, event type).
        dropped: Values dropped by contract, by (table, field).
        drift: Values under unknown keys.
        misfits: Values that do not fit their field, by (table, field).
        separated_rows: Indexes of the records that were taken apart.
    """

    telemetry: dict[str, list[pa.Table]] = field(default_factory=dict)
    content: list[CutOut] = field(default_factory=list)
    rosters: list[pa.Table] = field(default_factory=list)
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
        self.fast = FastDecoder(shape, self.learned)
        self.columns = ShapeColumns(shape)

    def decode(self, lines: Sequence[bytes]) -> tuple[list[int], Level, list[tuple[int, str]]]:
        """Decode lines: the indexes that were taken, their columns, and (index, code) of those refused.

        What the fast decoder leaves over is read carefully, a few lines at a time: as long as they teach it
        something (a field it had not met), it is built anew and tries the rest.
        """
        rows, level, left = self.fast.decode(lines)
        refused: list[tuple[int, str]] = []
        while left:
            few, left = left[:_LINES_TO_LEARN_FROM], left[_LINES_TO_LEARN_FROM:]
            taken, more, has_learned = self._decode_carefully(lines, few, refused)
            rows, level = rows + taken, concatenate(level, more)
            if has_learned:
                self.fast = FastDecoder(self.shape, self.learned)
                again, more, rest = self.fast.decode([lines[index] for index in left])
                rows, level = rows + [left[index] for index in again], concatenate(level, more)
                left = [left[index] for index in rest]
        return rows, level, refused

    def _decode_carefully(
        self, lines: Sequence[bytes], indexes: list[int], refused: list[tuple[int, str]]
    ) -> tuple[list[int], Level, bool]:
        careful = CarefulDecoder(self.shape, self.learned)
        taken = []
        for index in indexes:
            try:
                careful.read(lines[index])
                taken.append(index)
            except RecordFault as fault:
                refused.append((index, fault.code))
        return taken, careful.level(), careful.has_learned


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

    def separate(self, records: Sequence[bytes]) -> Separated:
        """Take a block of records apart."""
        result = Separated()
        routes = self._router.route(records)
        for index in routes.unknown:
            result.held.append(Held(index, self._router.why_unknown(records[index])))
        if len(routes.unknown) == len(records):
            return result
        ids = self._digester.identities(records).ids
        for shape, indexes in routes.groups:
            self._separate_shape(shape, [records[index] for index in indexes], indexes, ids, result)
        return result

    def _separate_shape(
        self,
        shape: EventShape,
        lines: list[bytes],
        indexes: list[int],
        ids: np.ndarray,
        result: Separated,
    ) -> None:
        state = self._states.get(shape.table)
        if state is None:
            state = self._states[shape.table] = _ShapeState(shape)
        rows, level, refused = state.decode(lines)
        result.held.extend(Held(indexes[row], code, shape.source) for row, code in refused)
        if not rows:
            return
        taken = [indexes[row] for row in rows]
        result.separated_rows.extend(taken)
        columns = take_columns(state.columns, level, ids[taken], self._pseudonyms)
        for event in pc.value_counts(columns.event_types).to_pylist():
            result.separated[(shape.source, event["values"])] += event["counts"]
        for name, table in columns.tables.items():
            result.telemetry.setdefault(name, []).append(table)
        group = cut_out(state.columns, level, columns)
        result.content.extend(group.cuts)
        for key, count in group.dropped.items():
            result.dropped[(shape.table, key)] += count
        for unknown in group.unknown:
            self._count_unknown(shape, unknown, result)
        roster = roster_rows(shape, level, columns, self._pseudonyms)
        if roster is not None:
            result.rosters.append(roster)

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
