"""Where generated records go: several files of JSON lines, one JSON array, one gzip file."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from pipelines.generator_expected import COFFERDAM, SEPARATED, ZOOM, Batch

_FEWEST, _MOST = 500, 400_000
_SMALL = 100
_STEMS = {ZOOM: "zoom", COFFERDAM: "cloudevents"}


class _File:
    """One file of records, open until `end`."""

    def __init__(self, path: Path, room: int) -> None:
        self.room = room
        self._is_array = path.suffix == ".json"
        self._is_empty = True
        self._stack = ExitStack()
        stored = self._stack.enter_context(path.open("xb", buffering=1 << 20))
        self._write: Callable[[bytes], int] = stored.write
        if path.suffix == ".gz":
            # No name and no time in the header: the same seed gives the same bytes.
            self._write = self._stack.enter_context(gzip.GzipFile("", "wb", 6, stored, mtime=0)).write

    def write(self, lines: list[bytes]) -> None:
        """Write records."""
        self.room -= len(lines)
        if self._is_array:
            self._write((b"[\n" if self._is_empty else b",\n") + b",\n".join(lines))
        else:
            self._write(b"\n".join(lines) + b"\n")
        self._is_empty = False

    def end(self) -> None:
        """Write what ends the file and close it."""
        if self._is_array:
            self._write(b"[]\n" if self._is_empty else b"\n]\n")
        self._stack.close()


class _Shelf:
    """The files of one source: small special ones first, then JSON lines without end."""

    def __init__(self, folder: Path, stem: str, each: int, special: list[_File]) -> None:
        self._folder = folder
        self._stem = stem
        self._each = each
        self._special = special
        self._number = 0
        self._lines: _File | None = None

    def write(self, batch: Batch) -> None:
        """Write a batch; what may be no JSON goes to JSON lines only, where it spoils no other record."""
        lines = batch.lines
        while lines and self._special and batch.expect.outcome == SEPARATED:
            file = self._special[0]
            room = file.room
            file.write(lines[:room])
            lines = lines[room:]
            if not file.room:
                self._special.pop(0).end()
        if lines:
            self._write_lines(lines)

    def _write_lines(self, lines: list[bytes]) -> None:
        if self._lines is None or self._lines.room <= 0:
            if self._lines is not None:
                self._lines.end()
            self._lines = _File(self._folder / f"{self._stem}-{self._number:05d}.jsonl", self._each)
            self._number += 1
        self._lines.write(lines)

    def end(self) -> None:
        """End all files that are open."""
        for file in (*self._special, *([self._lines] if self._lines else [])):
            file.end()


class EventFiles:
    """Writes records into the files of a folder; use it as a context.

    Args:
        folder: An empty folder.
        sources: The sources that will be written; the first has the gzip file, the last the array.
        events: How many records there will be.
    """

    def __init__(self, folder: Path, sources: tuple[str, ...], events: int) -> None:
        small = max(1, min(_SMALL, events // 20))
        each = max(_FEWEST, min(_MOST, events // (3 * len(sources))))
        self._shelves = {}
        for source in sources:
            stem = _STEMS[source]
            special = [f"{stem}-archive.jsonl.gz"] if source == sources[0] else []
            special += [f"{stem}-batch.json"] if source == sources[-1] else []
            files = [_File(folder / name, small) for name in special]
            self._shelves[source] = _Shelf(folder, stem, each, files)

    def write(self, batch: Batch) -> None:
        """Write a batch into the files of its source."""
        self._shelves[batch.source].write(batch)

    def __enter__(self) -> EventFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shelf in self._shelves.values():
            shelf.end()
