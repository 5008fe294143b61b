"""The few file operations that a store is made of, so that another filesystem can take their place.

Everything a store promises about crashes rests on two of them: ``create`` makes a file whole and only if
nobody made it before, and ``NewFile.close`` returns only when the bytes would survive a power cut. An object
store offers the first as a generation precondition, and the second anyway (``store_cloud``).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow.fs as pafs

from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.store_lock import locked

_RELATIVE = re.compile(r"(?!.*(^|/)\.)[A-Za-z0-9_=.-]+(/[A-Za-z0-9_=.-]+)*")
DRAFT_PREFIX = ".draft-"
_WRITE_BUFFER = 1 << 18
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True)
class FoundFile:
    """A file that is there: its path in the store, its size in bytes, when it was last written (s, UTC)."""

    path: str
    size: int
    modified: float


class NewFile(Protocol):
    """A file that is being written under a name that no manifest holds yet."""

    def write(self, data: bytes) -> int:
        """Append bytes."""

    def close(self) -> None:
        """Make what was written durable."""

    def abandon(self) -> None:
        """Delete what was written, as far as that is still possible; never raises."""


class StoreFiles(Protocol):
    """Files of one store, by paths relative to its root, with ``/`` between folders."""

    root: str

    def create(self, path: str, content: bytes) -> bool:
        """Make a whole file unless one of that name is there; says whether this call made it."""

    def replace(self, path: str, content: bytes) -> None:
        """Make a whole file in the place of what is there; only for files that no manifest names."""

    def open_new(self, path: str) -> NewFile:
        """Begin a file of a name that nobody else uses."""

    def read(self, path: str) -> bytes:
        """The bytes of a file."""

    def size(self, path: str) -> int | None:
        """Size of a file in bytes, or None where there is none."""

    def find(self, folder: str) -> Iterator[FoundFile]:
        """Every file below a folder (none, if the folder is not there)."""

    def is_occupied(self) -> bool:
        """Whether anything but hidden files lies where a new store is to be made."""

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""

    def lock(self, run_id: str, folder: str = "") -> AbstractContextManager[None]:
        """Keep other writers out of the store, or of a folder of it, as far as the filesystem can."""

    def arrow(self) -> pafs.FileSystem:
        """The same files as an Arrow filesystem, for reading."""


def is_safe_path(path: str) -> bool:
    """Whether a path stays inside the store and names no hidden file."""
    return _RELATIVE.fullmatch(path) is not None


def open_files(root: str | Path) -> StoreFiles:
    """The files of the store at a path.

    Raises:
        ConfigurationError: The path names a filesystem that stores cannot lie on (``STORE_FILESYSTEM``), or
            the client of the one that it names is not installed (``STORE_NO_CLOUD``).
    """
    text = str(root)
    if text.startswith("gs://"):
        from transforms.store_cloud import CloudFiles

        return CloudFiles(text)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text):
        raise ConfigurationError(
            "STORE_FILESYSTEM",
            "a store lies on a local or mounted filesystem or on Cloud Storage; name a folder or gs://…",
        )
    return LocalFiles(text)


@contextmanager
def _faults(action: str, path: str) -> Iterator[None]:
    """Turn an operating system's error into ours."""
    try:
        yield
    except OSError as error:
        raise fault_of(error, action, path) from None


def fault_of(error: OSError, action: str, path: str) -> InfrastructureFault:
    """Our error for an operating system's: its name and the path, and what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InfrastructureFault(
            "STORE_DISK_FULL", f"no space left to {action} {path}; free some, then run again"
        )
    if error.errno == errno.ENOENT and action in ("write", "make"):
        return InfrastructureFault(
            "STORE_FILE_FAILED", f"cannot {action} {path}: its folder cannot be made; check the store's path"
        )
    if error.errno == errno.ENOENT:
        return InfrastructureFault(
            "STORE_FILE_MISSING", f"cannot {action} {path}: it is not there; restore it from a backup"
        )
    name = errno.errorcode.get(error.errno or 0, "an unknown error")
    return InfrastructureFault(
        "STORE_FILE_FAILED", f"cannot {action} {path} ({name}); check the disk and the permissions"
    )


class LocalFiles:
    """A store on a local or mounted filesystem (implements ``StoreFiles``)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._root = Path(root)

    def create(self, path: str, content: bytes) -> bool:
        """Make a whole file by linking a finished draft to its name, which fails if the name is taken."""
        target = self._root / path
        draft = target.with_name(f"{DRAFT_PREFIX}{secrets.token_hex(8)}")
        with _faults("write", path):
            _make_folders(target.parent)
            try:
                _write_durably(draft, content)
                made = _link(draft, target)
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(target.parent)
        return made

    def replace(self, path: str, content: bytes) -> None:
        """Rename a finished draft to the file's name; the draft lies where ``gc`` looks for drafts."""
        target = self._root / path
        draft = self._root / f"{DRAFT_PREFIX}{secrets.token_hex(8)}"
        with _faults("write", path):
            _make_folders(target.parent)
            try:
                _write_durably(draft, content)
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)
            _sync_folder(target.parent)

    def open_new(self, path: str) -> NewFile:
        """Begin a file that must not exist."""
        with _faults("write", path):
            _make_folders((self._root / path).parent)
            return _LocalNewFile(self._root / path, path)

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        with _faults("read", path):
            return (self._root / path).read_bytes()

    def size(self, path: str) -> int | None:
        """Size of a file in bytes, or None where there is none."""
        with _faults("read", path):
            try:
                return (self._root / path).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def find(self, folder: str) -> Iterator[FoundFile]:
        """Every file below a folder, drafts included; links are not followed."""
        with _faults("read", folder):
            for parent, _, names in os.walk(self._root / folder, onerror=_unless_missing):
                below = Path(parent).relative_to(self._root).as_posix()
                for name in names:
                    yield from _found(parent, "" if below == "." else f"{below}/", name)

    def is_occupied(self) -> bool:
        """Whether anything but hidden files is in the folder, or the folder is none."""
        if not self._root.exists():
            return False
        return not self._root.is_dir() or any(
            not entry.name.startswith(".") for entry in self._root.iterdir()
        )

    def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        with _faults("delete", path):
            (self._root / path).unlink(missing_ok=True)

    def lock(self, run_id: str, folder: str = "") -> AbstractContextManager[None]:
        """Hold the ``flock`` of the store or of a folder of it."""
        if folder:
            with _faults("make", folder):
                _make_folders(self._root / folder)
        return locked(self._root / folder, run_id)

    def arrow(self) -> pafs.FileSystem:
        """The store's folder as an Arrow filesystem."""
        return pafs.SubTreeFileSystem(str(self._root.absolute()), pafs.LocalFileSystem())


def _found(parent: str, below: str, name: str) -> Iterator[FoundFile]:
    try:
        status = os.lstat(os.path.join(parent, name))  # no `Path`: a store has very many files
    except FileNotFoundError:  # a writer abandoned it meanwhile
        return
    yield FoundFile(below + name, status.st_size, status.st_mtime)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class _LocalNewFile:
    def __init__(self, file: Path, path: str) -> None:
        self._file, self._path = file, path
        self._stream = open(file, "xb", buffering=_WRITE_BUFFER)  # noqa: SIM115 - closed by close or abandon

    def write(self, data: bytes) -> int:
        with _faults("write", self._path):
            return self._stream.write(data)

    def close(self) -> None:
        with _faults("write", self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()
            _sync_folder(self._file.parent)

    def abandon(self) -> None:
        with suppress(OSError):  # closing flushes, which fails again on a full disk
            self._stream.close()
        with suppress(OSError):  # what cannot be deleted now stays unnamed, and gc deletes it
            self._file.unlink(missing_ok=True)


def _write_durably(file: Path, content: bytes) -> None:
    with open(file, "xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _link(draft: Path, target: Path) -> bool:
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _rename_if_absent(draft, target)
    return True


def _rename_if_absent(draft: Path, target: Path) -> bool:
    """Where the filesystem has no hard links, the store's lock keeps others from coming in between."""
    if target.exists():
        return False
    draft.rename(target)
    return True


def _make_folders(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
