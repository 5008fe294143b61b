"""What is no record, piece by piece: its positions, and whether the very same was read before.

A fault (bytes outside any document, a stream that breaks off, a record over the cap) is told apart by where
it stands, file included: two files that break off at the same place are two faults. The same file read again
gives the same faults, and they are duplicates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from transforms.chunked_encryption import length_prefixed
from transforms.record_digests import Identities, RecordDigester
from transforms.splitting import SourceFault

FAULT_FILES = 1 << 30
"""Added to a file's index to give the positions of what is no record a space of their own."""

_PIECE_BITS = 16  # 65,536 pieces of 4 MiB


def fault_positions(faults: Sequence[SourceFault]) -> np.ndarray:
    """One position for each piece of what is no record: its offset, its number, and what was read of it."""
    return np.array(
        [(fault.offset << _PIECE_BITS | fault.piece) << 1 | fault.compressed for fault in faults],
        dtype=np.int64,
    )


def fault_name(place: str, fault: SourceFault) -> bytes:
    """What a fault is called: the same for all of its pieces, and for no other fault of that place.

    Args:
        place: The file that it stands in, by its path or by its number in a run.
        fault: Any of its pieces.
    """
    words = (place, fault.code, str(fault.offset), str(int(fault.compressed)))
    return length_prefixed(*(word.encode("utf-8", "surrogateescape") for word in words))


class FaultDigests:
    """Digests of the faults of one file, in the order in which they are read.

    The pieces of a fault share one fate: whether it was read before is only known when its last piece has
    come, which may be several blocks after its first.

    Args:
        path: Where the file lies.
        digester: Digests names.
    """

    def __init__(self, path: str, digester: RecordDigester) -> None:
        self._path = path
        self._digester = digester
        self._content = hashlib.sha256()
        self._open: list[SourceFault] = []

    def add(self, faults: Sequence[SourceFault]) -> list[tuple[Identities, np.ndarray]]:
        """Take pieces; gives the digests and the positions of the pieces of each fault that is complete."""
        complete = []
        for fault in faults:
            if fault.piece == 0:
                self._content, self._open = hashlib.sha256(), []
            self._content.update(fault.raw)
            self._open.append(_without_bytes(fault))
            if fault.last:
                complete.append((self._identities(), fault_positions(self._open)))
        return complete

    def _identities(self) -> Identities:
        whole = fault_name(self._path, self._open[0]) + self._content.digest()
        return self._digester.identities([whole + fault.piece.to_bytes(4, "big") for fault in self._open])


def _without_bytes(fault: SourceFault) -> SourceFault:
    return SourceFault(fault.offset, fault.code, fault.piece, fault.last, b"", fault.compressed)
