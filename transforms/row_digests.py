"""64 bits that stand for the values of a row, to match rows of tables that do not fit into memory.

They are taken under a key that each process draws anew: nobody can prepare rows that are taken for others.
The chance that one of a million rows is taken for another one is one in 10^7.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Digests = npt.NDArray[np.uint64]

NONE: Final[Digests] = np.zeros(0, np.uint64)
_KEY: Final = secrets.token_hex(8)
_PRIME: Final = np.uint64(0x9E3779B97F4A7C15)
_UNIT: Final = "\x1f"


def digests(columns: Sequence[pa.ChunkedArray | pa.Array]) -> Digests:
    """64 bits a row that stand for the values of some columns together.

    Args:
        columns: Texts, numbers, times, bytes, or lists of texts; of equal lengths.
    """
    from pandas.util import hash_array

    total: Digests | None = None
    for column in columns:
        values: Any = _plain(column).to_numpy(zero_copy_only=False).astype(object)
        part = hash_array(values, hash_key=_KEY, categorize=True)
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


class DigestSet:
    """Digests that are collected, and then asked for."""

    def __init__(self) -> None:
        self._sorted, self._parts = NONE, [NONE]

    def add(self, some: Digests) -> None:
        """Take digests in."""
        self._parts.append(np.unique(some))

    def places(self, wanted: Digests) -> npt.NDArray[np.int64]:
        """Where digests stand among the sorted ones, -1 for those that are not there."""
        known = self.sorted()
        if not len(known):
            return np.full(len(wanted), -1, np.int64)
        places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        return np.where(known[places] == wanted, places, -1)

    def holds(self, wanted: Digests) -> npt.NDArray[np.bool_]:
        """Which of some digests are there."""
        return self.places(wanted) >= 0

    def sorted(self) -> Digests:
        """All of them, each once."""
        if self._parts:
            self._sorted = np.unique(np.concatenate([self._sorted, *self._parts]))
            self._parts = []
        return self._sorted
