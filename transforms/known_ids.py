"""Event ids that this process has made already: those of the digests need not be hashed again.

A run reads its input twice, first to find duplicates, then to separate. Where one process does both, the ids
of a block's events are kept in between, up to a bound. What is not found here is computed again, to the same
result: another worker digested it, a bundle is done again, or the bound was reached.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

import numpy as np

from transforms.splitting import Block

KEPT_BYTES: Final = 64 << 20
"""Ids that are kept at most in a process: those of four million events."""

_Key = tuple[int, int, int, int]


class KnownIds:
    """Ids of the events of one run's blocks; a block's are given out once.

    Args:
        kept_bytes: Bytes of ids that are kept at most.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = Lock()
        self._run_id = ""
        self._ids: dict[_Key, np.ndarray] = {}
        self._bytes = 0

    def keep(self, run_id: str, block: Block, ids: np.ndarray) -> None:
        """Keep the ids of a block's records, if there is room; those of another run are forgotten.

        Args:
            run_id: The run.
            block: A block with records.
            ids: uint8, (records, 16).
        """
        with self._lock:
            if run_id != self._run_id:
                self._run_id, self._ids, self._bytes = run_id, {}, 0
            self._forget(_key(block))
            if self._bytes + ids.nbytes <= self._kept_bytes:
                self._ids[_key(block)] = ids
                self._bytes += ids.nbytes

    def take(self, run_id: str, block: Block) -> np.ndarray | None:
        """The ids of a block's records, None where they are not known (any more)."""
        with self._lock:
            return self._forget(_key(block)) if run_id == self._run_id else None

    def _forget(self, key: _Key) -> np.ndarray | None:
        ids = self._ids.pop(key, None)
        if ids is not None:
            self._bytes -= ids.nbytes
        return ids


KNOWN_IDS: Final = KnownIds()
"""Those of this process."""


def _key(block: Block) -> _Key:
    return block.file, len(block.records), int(block.offsets[0]), int(block.offsets[-1])
