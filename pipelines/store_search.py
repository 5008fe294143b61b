"""Search everything a store holds for words that must not be there in clear.

Parquet compresses, so a search of the bytes alone would prove nothing: every column of every table is read
and searched too. This is a check for demonstrations and tests, of small stores and known words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from transforms.store import Store


def words_in_clear(store: Store, words: Sequence[str]) -> list[str]:
    """Where any of some words stands in clear.

    Args:
        store: The store to search; it must lie in a local folder.
        words: What must not be found. Words of fewer than five characters may turn up by chance.

    Returns:
        A line for each finding, naming the word's number in the list (never the word) and the place.
    """
    sought = [(number, word.encode()) for number, word in enumerate(words)]
    findings = []
    for place, data in _everything(store):
        findings += [f"word {number} stands in {place}" for number, word in sought if word in data]
    return sorted(set(findings))


def _everything(store: Store) -> Iterator[tuple[str, bytes]]:
    root = Path(store.root)
    for path in sorted(file for file in root.rglob("*") if file.is_file()):
        place = str(path.relative_to(root))
        yield "a file name", place.encode()
        yield place, path.read_bytes()
        if path.suffix == ".parquet":
            yield from _columns(path, place)


def _columns(path: Path, place: str) -> Iterator[tuple[str, bytes]]:
    table = pq.read_table(path, partitioning=None)
    for name in table.column_names:
        yield f"{place}, column {name}", b"\n".join(_texts(table[name].to_pylist()))


def _texts(values: Iterable[Any]) -> Iterator[bytes]:
    for value in values:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, dict):
            yield from _texts(value.values())
        elif isinstance(value, list):
            yield from _texts(value)
        elif value is not None:
            yield str(value).encode()
