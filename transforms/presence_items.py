"""Items as numbers: the columns that presence and classes are made from, read once for many meetings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.presence_claims import lineages_of, refusals_of
from transforms.presence_classes import Numbers

Known = npt.NDArray[np.bool_]

UNKNOWN: Final = -1
_WORDS: Final = ("meeting_join", "tenant_join", "sender_join", "kind", "region")
_TIMES: Final = ("recorded_start", "recorded_end", "event_time")
_COLUMNS: Final = (*_WORDS, *_TIMES, "consent_flag", "derived_from")


@dataclass(frozen=True)
class ItemColumns:
    """Columns of some items.

    Attributes:
        codes: Columns of words as numbers into `words`; -1 for null.
        words: The words of each column; those of other items may be among them.
        times: Columns of instants (ms since 1970) with where they are known.
        refusal: For each item the purposes that its event refuses, as numbers into `refusals`; -1 for none.
        refusals: Sets of purposes, sorted.
        lineage: For each item the kinds that it was made from, as numbers into `lineages`.
        lineages: Sets of kinds, sorted.
    """

    codes: Mapping[str, Numbers] = field(repr=False)
    words: Mapping[str, Sequence[Any]] = field(repr=False)
    times: Mapping[str, tuple[Numbers, Known]] = field(repr=False)
    refusal: Numbers = field(repr=False)
    refusals: Sequence[tuple[str, ...]] = field(repr=False)
    lineage: Numbers = field(repr=False)
    lineages: Sequence[tuple[str | None, ...]] = field(repr=False)

    @classmethod
    def read(cls, items: pa.Table, labels: Sequence[str] = ()) -> ItemColumns:
        """The columns of some rows of the items table, with further ones whose values split classes."""
        encoded = {name: _words(items, name) for name in (*_WORDS, *labels)}
        return cls(
            {name: codes for name, (codes, _) in encoded.items()},
            {name: words for name, (_, words) in encoded.items()},
            {name: _times(items, name) for name in _TIMES},
            *refusals_of(items),
            *lineages_of(items),
        )

    def parts(self, sizes: Sequence[int]) -> list[ItemColumns]:
        """The columns of so many items each: reading many at once costs a table little."""
        return [self.part(*bound) for bound in pairwise([0, *accumulate(sizes)])]

    def part(self, start: int, end: int) -> ItemColumns:
        """Some of the items, in their order."""
        cut = slice(start, end)
        return ItemColumns(
            {name: codes[cut] for name, codes in self.codes.items()},
            self.words,
            {name: (times[cut], known[cut]) for name, (times, known) in self.times.items()},
            self.refusal[cut],
            self.refusals,
            self.lineage[cut],
            self.lineages,
        )

    def word(self, name: str, code: int) -> Any:
        """The word behind a number of a column, None for null."""
        return None if code == UNKNOWN else self.words[name][code]

    def distinct(self, name: str) -> list[Any]:
        """The words of a column that occur in these items, without null."""
        return [self.words[name][code] for code in sorted(set(self.codes[name].tolist())) if code != UNKNOWN]


def _words(table: pa.Table, name: str) -> tuple[Numbers, list[Any]]:
    column = table.column(name).combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices.cast(pa.int64()).fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
    return codes, encoded.dictionary.to_pylist()


def _times(items: pa.Table, name: str) -> tuple[Numbers, Known]:
    column = items.column(name).combine_chunks()
    known = column.is_valid().to_numpy(zero_copy_only=False)
    return column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), known
