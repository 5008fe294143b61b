"""The archive that a person gets: a ZIP file of JSON lines and CSV, private, whole or not there at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.subject_search import Section

_PRIVATE: Final = 0o600
_EARLIEST: Final = 1980
"""First year that a ZIP file can name."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

_LINE_END: Final = "\r\n"
_PIECE: Final = 1 << 20
_OPEN_FILES: Final = "/proc/self/fd"


@dataclass(frozen=True)
class Member:
    """A file of the archive.

    Attributes:
        path: Its path in the archive, made of words of ours.
        rows: Rows or items in it.
        size: Its size in bytes.
        sha256: SHA-256 of its bytes, in hexadecimal digits.
        about: What it holds.
    """

    path: str
    rows: int
    size: int
    sha256: str
    about: str

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON can hold it."""
        return asdict(self)


class Archive:
    """An archive that is being written.

    Args:
        stream: Where to.
        at: The time that its files are dated with; no clock is read.
    """

    def __init__(self, stream: IO[bytes], at: datetime) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self._at = (max(at.year, _EARLIEST), at.month, at.day, at.hour, at.minute, at.second)
        self.members: list[Member] = []

    def add_section(self, section: Section) -> None:
        """Write a section as JSON lines and as CSV; one without rows is not written."""
        if not len(section):
            return
        self.add_lines(f"{section.name}.jsonl", _json_lines(section), section.about)
        self.add_lines(f"{section.name}.csv", _csv_lines(section), section.about, beside=1)

    def add_lines(self, path: str, lines: Iterable[bytes], about: str, *, beside: int = 0) -> int:
        """Write a file line by line, nothing where there is no line; gives the number of rows.

        Args:
            path: Its path in the archive.
            lines: Its lines, without their ends.
            about: What it holds.
            beside: Lines that are no rows, such as a heading.
        """
        pending = iter(lines)
        first = next(pending, None)
        if first is None:
            return 0
        digest, size, number = hashlib.sha256(), 0, 0
        with self._zip.open(self._info(path), "w", force_zip64=True) as file:
            for line in _chain(first, pending):
                piece = line + b"\n"
                file.write(piece)
                digest.update(piece)
                size, number = size + len(piece), number + 1
        self.members.append(Member(path, number - beside, size, digest.hexdigest(), about))
        return number - beside

    def add_page(self, path: str, content: str, about: str) -> None:
        """Write a whole page."""
        self.add_lines(path, [content.rstrip("\n").encode()], about, beside=1)

    def close(self) -> None:
        """Finish the archive."""
        self._zip.close()

    def _info(self, path: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(path, self._at)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, _PRIVATE << 16
        return info


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def as_json(value: object) -> str:
    """A value as JSON: times as ISO 8601, bytes as hexadecimal digits."""
    return json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


def _json_lines(section: Section) -> Iterator[bytes]:
    return (as_json(row).encode() for piece in section.pieces() for row in piece)


def _csv_lines(section: Section) -> Iterator[bytes]:
    names = columns_of(section)
    yield _csv_line(names)
    for piece in section.pieces():
        yield from (_csv_line([_cell(row.get(name)) for name in names]) for row in piece)


def columns_of(section: Section) -> list[str]:
    """Names of a section's columns, in their order."""
    if not isinstance(section.rows, Sequence):
        names: list[str] = section.rows.schema.names
        return names
    return list(dict.fromkeys(name for row in section.rows for name in row))


def _csv_line(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator=_LINE_END).writerow(cells)  # quotes what holds a part of it
    return text.getvalue().removesuffix(_LINE_END).encode("utf-8", "replace")


def _cell(value: object) -> str:
    """A value for a spreadsheet; what it would run as a formula is marked as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return as_json(value) if isinstance(value, Mapping | list | bool) else as_json(value).strip('"')


# --- the file -----------------------------------------------------------------------------------------------


@dataclass
class PrivateFile:
    """A file that only its owner can read, and that has no name until it is finished.

    Attributes:
        stream: What is written.
        target: Its name.
    """

    stream: IO[bytes] = field(repr=False)
    target: Path
    _draft: Path | None

    def sha256(self) -> str:
        """SHA-256 of what was written, in hexadecimal digits."""
        digest = hashlib.sha256()
        self.stream.seek(0)
        while piece := self.stream.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()

    def publish(self) -> None:
        """Give the finished file its name, unless something is there.

        Raises:
            ConfigurationError: Something is (``OUTPUT_EXISTS``).
            InfrastructureFault: It cannot be written (``OUTPUT_UNWRITABLE``).
        """
        try:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            if self._draft is None:
                _link_unnamed(self.stream.fileno(), self.target)
            else:
                _link_or_rename(self._draft, self.target)
        except FileExistsError:
            raise output_exists(self.target) from None
        except OSError:
            raise unwritable(self.target) from None


def _link_or_rename(draft: Path, target: Path) -> None:
    """Give a draft its name; renaming, where there are no links, could replace what came in between."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise
    except OSError:
        if target.exists():
            raise FileExistsError from None
        draft.rename(target)


def _link_unnamed(number: int, target: Path) -> None:
    """Give a file its first name; only a link that follows /proc's own leads to a file without one."""
    folder = os.open(_OPEN_FILES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.link(str(number), target, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


@contextmanager
def private_file(target: Path) -> Iterator[PrivateFile]:
    """Begin a file; if it is not published, nothing is left of it, where the system can also after a kill.

    Raises:
        InfrastructureFault: Its folder cannot be written (``OUTPUT_UNWRITABLE``).
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        number, draft = _unnamed(target) or _named(target)
    except OSError:
        raise unwritable(target) from None
    try:
        with os.fdopen(number, "w+b") as stream:
            yield PrivateFile(stream, target, draft)
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)


def _unnamed(target: Path) -> tuple[int, None] | None:
    """A file without a name, which is gone with the process that made it; not every filesystem has it."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is not None and Path(_OPEN_FILES).is_dir():
        with suppress(OSError):
            return os.open(target.parent, flag | os.O_RDWR, _PRIVATE), None
    return None


def _named(target: Path) -> tuple[int, Path]:
    draft = target.with_name(f".{secrets.token_hex(8)}.draft")
    return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, _PRIVATE), draft


def output_exists(target: Path) -> ConfigurationError:
    """The error for a name that is taken."""
    return ConfigurationError("OUTPUT_EXISTS", f"{target} exists; name a new file, none is overwritten")


def unwritable(target: Path) -> InfrastructureFault:
    """The error for a file that cannot be written."""
    return InfrastructureFault(
        "OUTPUT_UNWRITABLE",
        f"{target} cannot be written; check that its folder is writable and the disk not full",
    )


__all__ = ["Archive", "Member", "PrivateFile", "as_json", "columns_of", "output_exists", "private_file"]
