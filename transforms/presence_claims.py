"""What items' events claim that can only add strictness: a refusal, and what they were made from."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.presence_classes import Numbers

_ANY_PURPOSE: Final = "*"
_NONE: Final = -1


def refusals_of(items: pa.Table) -> tuple[Numbers, list[tuple[str, ...]]]:
    """For each item the purposes that its event refuses, as numbers; -1 where it refuses nothing."""
    flags = items.column("consent_flag").combine_chunks()
    refuses = pc.fill_null(pc.struct_field(flags, "refuses"), False).to_numpy(zero_copy_only=False)
    codes = np.full(len(flags), _NONE, dtype=np.int64)
    number_of: dict[tuple[str, ...], int] = {}
    at = np.flatnonzero(refuses)
    named = pc.struct_field(flags, "purposes").take(pa.array(at)).to_pylist()
    for place, purposes in zip(at.tolist(), named, strict=True):
        words = tuple(sorted({purpose or _ANY_PURPOSE for purpose in purposes or [_ANY_PURPOSE]}))
        codes[place] = number_of.setdefault(words, len(number_of))
    return codes, list(number_of)


def lineages_of(items: pa.Table) -> tuple[Numbers, list[tuple[str | None, ...]]]:
    """For each item the kinds that its event or contract says it was made from, as numbers."""
    column = items.column("derived_from").combine_chunks()
    codes = np.zeros(len(column), dtype=np.int64)
    number_of: dict[tuple[str | None, ...], int] = {(): 0}
    stated = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    for place, kinds in zip(stated.tolist(), column.take(pa.array(stated)).to_pylist(), strict=True):
        words = tuple(sorted(set(kinds), key=lambda word: word or ""))
        codes[place] = number_of.setdefault(words, len(number_of))
    return codes, list(number_of)
