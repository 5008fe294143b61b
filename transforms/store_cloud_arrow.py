"""The objects of a store as an Arrow filesystem, for reading; writing goes through ``StoreFiles`` alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn

import pyarrow as pa
import pyarrow.fs as pafs

from schemas.errors import InfrastructureFault

READ_AHEAD: Final = 4 << 20
"""Bytes of one request where Arrow asks for less."""

Faults = Callable[[str, str], AbstractContextManager[None]]


class ObjectHandler(pafs.FileSystemHandler):
    """Answers Arrow's questions about the objects below a store's root.

    Args:
        root: The store's address.
        look: Gives an object by its path in the store, pinned to its generation, or None.
        faults: Turns the client library's errors into ours, given what was tried and the path.
    """

    def __init__(self, root: str, look: Callable[[str], Any], faults: Faults) -> None:
        self._root, self._look, self._faults = root, look, faults

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectHandler) and other._root == self._root

    def __hash__(self) -> int:
        return hash(self._root)

    def get_type_name(self) -> str:
        """Name of the kind of filesystem."""
        return "cofferdam-objects"

    def normalize_path(self, path: str) -> str:
        """Paths are the store's and need no change."""
        return path

    def get_file_info(self, paths: list[str]) -> list[pafs.FileInfo]:
        """What is at some paths; folders are not known."""
        return [self._info(path) for path in paths]

    def _info(self, path: str) -> pafs.FileInfo:
        there = self._look(path)
        if there is None:
            return pafs.FileInfo(path, pafs.FileType.NotFound)
        return pafs.FileInfo(path, pafs.FileType.File, size=int(there.size), mtime=there.updated)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """An object to be read from its beginning."""
        return self.open_input_file(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        """An object to be read anywhere."""
        there = self._look(path)
        if there is None:
            raise FileNotFoundError(path)
        return pa.PythonFile(ObjectReader(there, path, self._faults), mode="r")

    def get_file_info_selector(self, selector: pafs.FileSelector) -> NoReturn:
        """Not offered: files are named by manifests, not by folders."""
        raise NotImplementedError(selector.base_dir)

    def _refuse(self, path: str, *_: object) -> NoReturn:
        raise NotImplementedError(path)

    create_dir = delete_dir = delete_dir_contents = delete_file = move = copy_file = _refuse
    open_output_stream = open_append_stream = _refuse

    def delete_root_dir_contents(self) -> NoReturn:
        """Not offered."""
        raise NotImplementedError


class ObjectReader(io.RawIOBase):
    """One generation of an object, read in ranges.

    Args:
        blob: The object as the client library knows it.
        path: Its name, for messages.
        faults: Turns the client library's errors into ours, given what was tried and the path.

    Raises:
        InfrastructureFault: It is kept compressed and handed out unpacked, so that its size, by which it is
            read, says nothing of its content (``STORE_CLOUD_ENCODED``).
    """

    def __init__(self, blob: Any, path: str, faults: Faults) -> None:
        if blob.content_encoding:
            raise InfrastructureFault(
                "STORE_CLOUD_ENCODED",
                f"{path} was uploaded compressed (it has a Content-Encoding); upload it again as it is, "
                "without -z, -Z or --gzip-local",
            )
        self._size, self._path, self._faults = int(blob.size), path, faults
        self._reader = blob.open("rb", chunk_size=READ_AHEAD)

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """It is read anywhere."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; gives the number of bytes."""
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def read(self, size: int = -1) -> bytes:
        """At most so many bytes."""
        with self._faults("read", self._path):
            content: bytes = self._reader.read(size)
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; gives its place."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._reader.tell(), io.SEEK_END: self._size}[whence]
        place: int = self._reader.seek(start + offset)
        return place

    def tell(self) -> int:
        """Place of the next byte."""
        place: int = self._reader.tell()
        return place
