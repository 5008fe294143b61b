"""Rows of digests and numbers that lie on disk in parts, so that joins of any size take the memory of a part.

Both sides of a join are cut by the same digest into the same number of parts; what belongs together is in
parts of one number. Only digests under a key that the process forgets, and numbers, are written, never a
value: what a killed process leaves behind says nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from schemas.errors import InfrastructureFault

PART_ROWS: Final = 1 << 18
"""Rows of the side that is kept in memory, in one part of a join."""

KEY: Final = "key"
_CHUNK_ROWS: Final = 1 << 16
"""Rows that are read at once of the side that is not kept, and that wait to be written."""

Rows = npt.NDArray[np.void]


def parts_for(rows: int) -> int:
    """How many parts so many rows are cut into."""
    return max(1, -(-rows // PART_ROWS))


class Spill:
    """A folder for rows of one computation, under the folder for temporary files; use as a context.

    Raises:
        InfrastructureFault: The folder cannot be written (``SPILL_NOT_WRITTEN``), on entry or later.
    """

    def __init__(self) -> None:
        self._held: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Spill:
        with _faults():
            self._held = tempfile.TemporaryDirectory(prefix="cofferdam-digests-", ignore_cleanup_errors=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            self._held.cleanup()

    def rows(self, fields: Sequence[tuple[str, str]], parts: int = 1) -> SpilledRows:
        """Rows of some numbers besides the digest that they are cut by.

        Args:
            fields: Names and NumPy types.
            parts: How many parts they are cut into.
        """
        if self._held is None:
            raise ValueError("a spill is used as a context")
        folder = Path(tempfile.mkdtemp(dir=self._held.name))
        return SpilledRows(folder, np.dtype([(KEY, "<u8"), *fields]), parts)


class SpilledRows:
    """Rows that lie in parts on disk.

    Args:
        folder: An empty folder.
        kind: What a row is made of; the first field is the digest that rows are cut by.
        parts: How many parts.
    """

    def __init__(self, folder: Path, kind: np.dtype[Any], parts: int) -> None:
        self._folder, self._kind, self.parts = folder, kind, parts
        self._waiting: list[Rows] = []
        self._held = 0
        self._written = [0] * parts

    def add(self, key: npt.NDArray[np.uint64], **fields: Any) -> None:
        """Take rows in: their digests, and each field as an array or as one value for all."""
        rows = np.empty(len(key), self._kind)
        rows[KEY] = key
        for name, values in fields.items():
            rows[name] = values
        self._waiting.append(rows)
        self._held += len(rows)
        if self._held >= _CHUNK_ROWS:
            self._write()

    def part(self, number: int) -> Iterator[Rows]:
        """The rows of a part, some at a time, in the order in which they came."""
        self._write()
        expected = self._written[number]
        if not expected:
            return
        read = 0
        with _faults(), self._path(number).open("rb") as file:
            while content := file.read(_CHUNK_ROWS * self._kind.itemsize):
                if len(content) % self._kind.itemsize:
                    raise _not_as_written()
                rows = np.frombuffer(content, self._kind)
                read += len(rows)
                yield rows
        if read != expected:
            raise _not_as_written()

    def whole(self, number: int) -> Rows:
        """All rows of a part."""
        return np.concatenate([np.empty(0, self._kind), *self.part(number)])

    def drop(self) -> None:
        """Take all rows away."""
        self._waiting, self._held = [], 0
        self._written = [0] * self.parts
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self) -> None:
        waiting, self._waiting, self._held = self._waiting, [], 0
        if not waiting:
            return
        rows = np.concatenate(waiting)
        part = rows[KEY] % np.uint64(self.parts)
        order = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part.astype(np.int64), minlength=self.parts))
        with _faults():
            for number, own in enumerate(np.split(rows[order], ends[:-1])):
                if len(own):
                    with self._path(number).open("ab") as file:
                        file.write(own.tobytes())
                    self._written[number] += len(own)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.rows"


def _not_as_written() -> InfrastructureFault:
    return InfrastructureFault(
        "SPILL_NOT_WRITTEN",
        "files in the folder for temporary files were changed meanwhile; run again, or name another in "
        "TMPDIR",
    )


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except OSError:
        raise InfrastructureFault(
            "SPILL_NOT_WRITTEN",
            "the folder for temporary files cannot be used, or is full; make room, or name another in TMPDIR",
        ) from None
