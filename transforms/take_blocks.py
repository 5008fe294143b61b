"""Take blocks of input: drop duplicates, separate the rest, seal what is refused, and count every record."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from schemas.classification import KIND_NUMBER, REJECTED_KIND, UNKNOWN_KIND
from transforms.bundle_writer import BundleWriter
from transforms.duplicates import COLLISION, DUPLICATE, VerdictIndex
from transforms.record_digests import DIGEST_BYTES, Identities, RecordDigester
from transforms.routing import UNKNOWN_TYPE
from transforms.run_counts import NONE, RunCounts
from transforms.sealing import RejectedPiece, pieces_of
from transforms.separate import ID_COLLISION, Held, Outcome, Separated, Separator
from transforms.splitting import Block, SourceFault

FAULT_FILES = 1 << 30
"""Added to a file's index to give the positions of what is no record a space of their own."""

_PIECE_BITS = 16  # 65,536 pieces of 4 MiB


def fault_positions(faults: Sequence[SourceFault]) -> np.ndarray:
    """One position for each piece of what is no record: its offset, its number, and what was read of it."""
    return np.array(
        [(fault.offset << _PIECE_BITS | fault.piece) << 1 | fault.compressed for fault in faults],
        dtype=np.int64,
    )


def fault_identities(faults: Sequence[SourceFault], digester: RecordDigester) -> Identities:
    """Digests of pieces, so that the same damaged file read again changes nothing."""
    named = [
        b"\0".join((fault.code.encode(), str(fault.offset).encode(), str(fault.piece).encode()))
        + b"\0"
        + hashlib.sha256(fault.raw).digest()
        for fault in faults
    ]
    return digester.identities(named)


class BlockTaker:
    """Takes the blocks of one bundle.

    Args:
        separator: Separates records.
        digester: Digests records and positions.
        writer: Writes the bundle.
        verdicts: Which positions are duplicates or collisions.
    """

    def __init__(
        self,
        separator: Separator,
        digester: RecordDigester,
        writer: BundleWriter,
        verdicts: VerdictIndex,
    ) -> None:
        self._separator = separator
        self._digester = digester
        self._writer = writer
        self._verdicts = verdicts

    @property
    def counts(self) -> RunCounts:
        """What has been counted so far."""
        return self._writer.counts

    def take(self, block: Block) -> None:
        """Take one block; afterwards each of its records has been counted under exactly one outcome."""
        if block.faults:
            self._take_faults(block)
        if not block.records:
            return
        verdicts = self._verdicts.of_block(block.file, block.offsets)
        keep = np.arange(len(block.records))
        records: Sequence[bytes] = block.records
        if verdicts.any():
            self._drop_duplicates(block, verdicts)
            keep = np.flatnonzero(verdicts == 0)
            records = [block.records[index] for index in keep.tolist()]
        separated = self._separator.separate(records)
        self._write(separated)
        self._count_separated(block, keep, separated)
        collided = [Held(index, ID_COLLISION) for index in np.flatnonzero(verdicts == COLLISION).tolist()]
        held = [Held(int(keep[entry.index]), entry.code, entry.source) for entry in separated.held]
        self._hold(block, [*held, *collided])

    def _write(self, separated: Separated) -> None:
        self._writer.write_telemetry(separated.telemetry)
        self._writer.take_content(separated.content)
        self._writer.write_rosters(separated.rosters)

    def _count_separated(self, block: Block, keep: np.ndarray, separated: Separated) -> None:
        counts = self.counts
        for (source, event), number in separated.separated.items():
            counts.count((source, event, Outcome.SEPARATED, NONE), number)
        counts.dropped.update(separated.dropped)
        counts.misfits.update(separated.misfits)
        counts.drift.update(separated.drift)
        rows = keep[np.asarray(separated.separated_rows, dtype=np.int64)]
        self._add_sum(Outcome.SEPARATED, block.file, block.offsets[rows])

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
            self.counts.count((entry.source or NONE, NONE, outcome, entry.code))
            item_id = _reject_id(body.tobytes(), outcome)
            offset = int(block.offsets[entry.index])
            for piece in pieces_of(item_id, line):
                pieces.append(piece)
                rows.append(_row(item_id, entry.source, entry.code, block.file, offset, piece))
        for outcome in (Outcome.REJECTED, Outcome.UNKNOWN):
            at = [entry.index for entry in held if _outcome_of(entry.code) is outcome]
            if at:
                self._add_sum(outcome, block.file, block.offsets[np.asarray(at)])
        self._writer.write_rejects(pieces, rows)

    def _take_faults(self, block: Block) -> None:
        positions = fault_positions(block.faults)
        space = block.file + FAULT_FILES
        verdicts = self._verdicts.of_block(space, positions)
        identities = fault_identities(block.faults, self._digester)
        pieces: list[RejectedPiece] = []
        rows: list[dict[str, object]] = []
        for number, fault in enumerate(block.faults):
            repeated = verdicts[number] == DUPLICATE
            outcome = Outcome.DUPLICATE if repeated else Outcome.REJECTED
            if fault.last:
                self.counts.count((NONE, NONE, outcome, NONE if repeated else fault.code))
            self._add_sum(outcome, space, positions[number : number + 1])
            if not repeated:
                item_id = _reject_id(identities.bodies[number].tobytes(), outcome)
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
