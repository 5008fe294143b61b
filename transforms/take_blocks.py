"""Take blocks of input: drop duplicates, separate the rest, seal what is refused, and count every record.

Records wait by event shape until enough of them have come: the work on a group of columns costs the same for
ten rows as for a thousand. What waits is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.classification import KIND_NUMBER, REJECTED_KIND, UNKNOWN_KIND
from schemas.contract import EventShape
from schemas.tables import ROSTER, SIGNALS
from transforms.bundle_writer import BundleWriter
from transforms.duplicates import COLLISION, DUPLICATE, VerdictIndex
from transforms.fault_digests import FAULT_FILES, fault_name, fault_positions
from transforms.known_ids import KnownIds
from transforms.record_digests import DIGEST_BYTES, RecordDigester
from transforms.routing import UNKNOWN_TYPE
from transforms.run_counts import NONE, RunCounts
from transforms.sealing import RejectedPiece, pieces_of
from transforms.separate import ID_COLLISION, Held, Outcome, Separated, Separator
from transforms.splitting import Block

GROUP_BYTES = 8 << 20
"""Records of one shape that are separated together, at most."""

WAITING_BYTES = 32 << 20
"""Records that wait, of all shapes together."""


@dataclass
class _Waiting:
    """Records of one shape that wait, with their positions."""

    shape: EventShape
    records: list[bytes] = field(default_factory=list, repr=False)
    files: list[np.ndarray] = field(default_factory=list)
    offsets: list[np.ndarray] = field(default_factory=list)
    ids: list[np.ndarray | None] = field(default_factory=list)
    size: int = 0

    def add(self, records: list[bytes], file_index: int, offsets: np.ndarray, ids: np.ndarray | None) -> int:
        self.records += records
        self.files.append(np.full(len(records), file_index, dtype=np.int64))
        self.offsets.append(offsets)
        self.ids.append(ids)
        size = sum(map(len, records))
        self.size += size
        return size

    def known_ids(self) -> np.ndarray | None:
        """The ids of all these events, None where those of some are not known."""
        known = [ids for ids in self.ids if ids is not None]
        return np.concatenate(known) if len(known) == len(self.ids) else None


class BlockTaker:
    """Takes the blocks of one bundle.

    Args:
        separator: Separates records.
        digester: Digests records and positions.
        writer: Writes the bundle.
        run_id: The run; its faults are called by it, as pieces of one fault must never mix with another's.
        from_outside: Whether the blocks are input; such may not say that they are of the reserved tenant.
        known_ids: Ids that were made when the input was digested.
    """

    def __init__(
        self,
        separator: Separator,
        digester: RecordDigester,
        writer: BundleWriter,
        run_id: str,
        *,
        from_outside: bool = True,
        known_ids: KnownIds | None = None,
    ) -> None:
        self._separator = separator
        self._digester = digester
        self._writer = writer
        self._run_id = run_id
        self._from_outside = from_outside
        self._known_ids = known_ids
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_bytes = 0

    @property
    def counts(self) -> RunCounts:
        """What has been counted so far."""
        return self._writer.counts

    def take(self, block: Block, verdicts: VerdictIndex) -> None:
        """Take one block in.

        Args:
            block: Records and faults.
            verdicts: Which positions are duplicates or collisions.
        """
        if block.faults:
            self._take_faults(block, verdicts)
        if not block.records:
            return
        ids = None if self._known_ids is None else self._known_ids.take(self._run_id, block)
        judged = verdicts.of_block(block.file, block.offsets)
        keep, records = np.arange(len(block.records)), block.records
        if judged.any():
            self._drop_duplicates(block, judged)
            collided = np.flatnonzero(judged == COLLISION).tolist()
            self._hold(block, [Held(index, ID_COLLISION) for index in collided])
            keep = np.flatnonzero(judged == 0)
            records = [block.records[index] for index in keep.tolist()]
        groups, held = self._separator.route(records)
        self._hold(block, [Held(int(keep[entry.index]), entry.code, entry.source) for entry in held])
        for shape, indexes in groups:
            rows = keep[np.asarray(indexes)]
            waiting = self._waiting.setdefault(shape.table, _Waiting(shape))
            self._waiting_bytes += waiting.add(
                [records[index] for index in indexes],
                block.file,
                block.offsets[rows],
                None if ids is None else ids[rows],
            )
            self._make_room(waiting)

    def finish(self) -> None:
        """Separate what still waits; afterwards every record has been counted under exactly one outcome."""
        for table in list(self._waiting):
            self._separate(self._waiting.pop(table))
        self._waiting_bytes = 0

    def _make_room(self, waiting: _Waiting) -> None:
        """Separate the largest groups until what waits is within its bounds, that of one group too."""
        while self._waiting_bytes > WAITING_BYTES or waiting.size > GROUP_BYTES:
            largest = max(self._waiting.values(), key=lambda entry: entry.size)
            self._waiting.pop(largest.shape.table)
            self._waiting_bytes -= largest.size
            self._separate(largest)
            if largest is waiting:
                break

    def _separate(self, waiting: _Waiting) -> None:
        separated = self._separator.separate(
            waiting.shape, waiting.records, waiting.known_ids(), from_outside=self._from_outside
        )
        self._writer.write_rows(separated.telemetry)
        self._writer.take_content(separated.content)
        if separated.roster is not None:
            self._writer.write_rows({ROSTER: separated.roster})
        if separated.signals is not None:
            self._writer.write_rows({SIGNALS: separated.signals})
        files, offsets = np.concatenate(waiting.files), np.concatenate(waiting.offsets)
        self._count_separated(separated, files, offsets)
        for file_index in sorted({int(files[entry.index]) for entry in separated.held}):
            mine = [entry for entry in separated.held if files[entry.index] == file_index]
            block = Block(
                file_index,
                offsets[[entry.index for entry in mine]],
                [waiting.records[e.index] for e in mine],
                [],
            )
            self._hold(block, [Held(place, e.code, e.source) for place, e in enumerate(mine)])

    def _count_separated(self, separated: Separated, files: np.ndarray, offsets: np.ndarray) -> None:
        counts = self.counts
        for (source, event), number in separated.separated.items():
            counts.count((source, event, Outcome.SEPARATED, NONE), number)
        counts.dropped.update(separated.dropped)
        counts.misfits.update(separated.misfits)
        counts.drift.update(separated.drift)
        rows = np.asarray(separated.separated_rows, dtype=np.int64)
        counts.add_sum(Outcome.SEPARATED, self._digester.position_sum(files[rows], offsets[rows]))

    def _drop_duplicates(self, block: Block, verdicts: np.ndarray) -> None:
        rows = np.flatnonzero(verdicts == DUPLICATE)
        self.counts.count((NONE, NONE, Outcome.DUPLICATE, NONE), len(rows))
        self._add_sum(Outcome.DUPLICATE, block.file, block.offsets[rows])

    def _add_sum(self, outcome: Outcome, file_index: int, offsets: np.ndarray) -> None:
        self.counts.add_sum(outcome, self._digester.position_sum(file_index, offsets))

    def _hold(self, block: Block, held: Sequence[Held]) -> None:
        """Seal records whole: rejected ones, and those of unknown type."""
        if not held:
            return
        lines = [block.records[entry.index] for entry in held]
        identities = self._digester.identities(lines)
        pieces: list[RejectedPiece] = []
        rows: list[dict[str, object]] = []
        for entry, line, body in zip(held, lines, identities.bodies, strict=True):
            outcome = _outcome_of(entry.code)
            self.counts.count((entry.source, None, outcome, entry.code))
            item_id = _reject_id(body.tobytes(), outcome)
            offset = int(block.offsets[entry.index])
            self._add_sum(outcome, block.file, np.array([offset]))
            for piece in pieces_of(item_id, line):
                pieces.append(piece)
                rows.append(_row(item_id, entry.source, entry.code, block.file, offset, piece))
        self._writer.write_rejects(pieces, rows)

    def _take_faults(self, block: Block, index: VerdictIndex) -> None:
        positions = fault_positions(block.faults)
        space = block.file + FAULT_FILES
        verdicts = index.of_block(space, positions)
        place = f"{self._run_id} {block.file}"
        names = self._digester.identities([fault_name(place, fault) for fault in block.faults])
        pieces: list[RejectedPiece] = []
        rows: list[dict[str, object]] = []
        for number, fault in enumerate(block.faults):
            repeated = verdicts[number] == DUPLICATE
            outcome = Outcome.DUPLICATE if repeated else Outcome.REJECTED
            if fault.last:
                self.counts.count((NONE, NONE, outcome, NONE if repeated else fault.code))
            self._add_sum(outcome, space, positions[number : number + 1])
            if not repeated:
                item_id = _reject_id(names.bodies[number].tobytes(), outcome)
                piece = RejectedPiece(item_id, fault.raw, fault.piece, fault.last)
                pieces.append(piece)
                rows.append(
                    _row(item_id, None, fault.code, block.file, fault.offset, piece, stored=fault.compressed)
                )
        if pieces:
            self._writer.write_rejects(pieces, rows)


def _outcome_of(code: str) -> Outcome:
    return Outcome.UNKNOWN if code == UNKNOWN_TYPE else Outcome.REJECTED


def _reject_id(digest: bytes, outcome: Outcome) -> bytes:
    kind = UNKNOWN_KIND if outcome is Outcome.UNKNOWN else REJECTED_KIND
    return digest[: DIGEST_BYTES - 1] + bytes((KIND_NUMBER[kind],))


def _row(
    item_id: bytes,
    source: str | None,
    code: str,
    file_index: int,
    offset: int,
    piece: RejectedPiece,
    *,
    stored: bool = False,
) -> dict[str, object]:
    return {
        "reject_id": item_id.hex(),
        "source": source,
        "reason": code,
        "file_index": file_index,
        "offset": offset,
        "piece": piece.number,
        "last": piece.last,
        "stored": stored,
    }
