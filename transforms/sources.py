"""Finds input files and reads them as blocks of records.

Nothing else reads input. Files are opened uncompressed from Beam's filesystems; decompression and splitting
are our own. A file's format is sniffed once, when it is listed.
Uncompressed JSON lines are read in parallel by byte range: a line belongs to the range in which its first
byte lies. Every other file is one task.

Fixed readings: hidden files in a folder are read like any other, symbolic links to folders are not
followed; a UTF-8 byte order mark at the start of the content is a fault of its own and reading goes on behind
it, so that neither the mark nor the first record is lost; anywhere else it is data. UTF-16 is not recognised:
it ends as records that are not UTF-8. An empty file, or one of whitespace, holds no record.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import numpy as np
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from transforms.decompression import (
    STORED_CHUNK,
    Compression,
    Content,
    ReadLimits,
    StoredBytes,
    compression_of,
    open_content,
)
from transforms.document_splitting import LAYOUT_WINDOW, DocumentSplitter, layout_of
from transforms.splitting import (
    BYTE_ORDER_MARK,
    BYTE_ORDER_MARK_FOUND,
    RECORD_CAP,
    Block,
    Layout,
    LineSplitter,
    SourceFault,
    Spill,
    Splitter,
)

__all__ = [
    "Block",
    "Compression",
    "InputFile",
    "Layout",
    "ReadLimits",
    "ReadTask",
    "SourceFault",
    "input_paths",
    "list_inputs",
    "plan_reads",
    "read_blocks",
]

SPLIT_BYTES = 64 << 20
BLOCK_BYTES = 4 << 20
_FIRST_LOOK = 64 << 10
_SNIFFING_THREADS = 8


@dataclass(frozen=True)
class InputFile:
    """One file of the input.

    Attributes:
        index: Its place in the order of the input (by path); the file part of a record's id.
        path: Where it lies, as Beam's filesystems name it.
        size: Stored bytes when it was listed; what is added later is not read.
        compression: How it is stored.
        layout: How records lie in its content.
    """

    index: int
    path: str
    size: int
    compression: Compression
    layout: Layout


@dataclass(frozen=True)
class ReadTask:
    """A part of a file that one worker reads: the lines that begin in [start, end), or all of the file."""

    file: InputFile
    start: int
    end: int


def list_inputs(patterns: Sequence[str]) -> list[InputFile]:
    """The files that the patterns name, each once, in the order of their paths, with their formats.

    Args:
        patterns: Files, folders (with all below them) and globs, on any of Beam's filesystems.

    Raises:
        ConfigurationError: If there is no pattern, or one matches nothing.
        InfrastructureFault: If a file cannot be read.
    """
    found = _found(patterns)
    paths = sorted(found)
    with ThreadPoolExecutor(_SNIFFING_THREADS) as pool:
        formats = list(pool.map(_sniff, paths, [found[path] for path in paths]))
    return [
        InputFile(index, path, found[path], *form)
        for index, (path, form) in enumerate(zip(paths, formats, strict=True))
    ]


def input_paths(patterns: Sequence[str]) -> list[str]:
    """The paths of `list_inputs`, in the same order, without looking into the files.

    Raises:
        ConfigurationError: If there is no pattern, or one matches nothing.
        InfrastructureFault: If a folder cannot be listed.
    """
    return sorted(_found(patterns))


def _found(patterns: Sequence[str]) -> dict[str, int]:
    """Sizes of the files that patterns name, by path."""
    if not patterns:
        raise ConfigurationError("INPUT_MISSING", "name at least one input file, folder or pattern")
    found: dict[str, int] = {}
    for pattern in patterns:
        matched = _match(pattern)
        if not matched:
            raise ConfigurationError(
                "INPUT_NOT_FOUND", f"no file matches {pattern!r}; check the path, and that a folder has files"
            )
        found.update(matched)
    return found


def plan_reads(files: Iterable[InputFile], *, split_bytes: int = SPLIT_BYTES) -> list[ReadTask]:
    """Tasks that together read every file once. Only uncompressed JSON lines are cut by byte range.

    Args:
        files: What `list_inputs` found.
        split_bytes: Size of a range, in bytes.
    """
    tasks: list[ReadTask] = []
    for file in files:
        splittable = file.compression is Compression.NONE and file.layout is Layout.LINES
        step = split_bytes if splittable else max(file.size, 1)
        tasks += [ReadTask(file, at, min(at + step, file.size)) for at in range(0, file.size, step)]
    return tasks


def read_blocks(
    task: ReadTask,
    *,
    record_cap: int = RECORD_CAP,
    block_bytes: int = BLOCK_BYTES,
    limits: ReadLimits | None = None,
) -> Iterator[Block]:
    """Records and faults of one task, in blocks of about `block_bytes`.

    Memory is bounded by a few times `block_bytes` plus `record_cap`, whatever the file holds.

    Args:
        task: What to read.
        record_cap: Longest record in bytes; what is longer is a fault in pieces.
        block_bytes: How much content is looked at in one go.
        limits: How much a compressed file may unpack to.

    Raises:
        InfrastructureFault: If the file cannot be read or has become shorter.
    """
    file = task.file
    with _opened(file.path) as handle:
        if file.compression is Compression.NONE and file.layout is Layout.LINES:
            yield from _read_range(handle, task, record_cap, block_bytes)
            return
        plain = file.compression is Compression.NONE
        stored = StoredBytes(handle, file.size, chunk_bytes=block_bytes if plain else STORED_CHUNK)
        content = open_content(stored, file.compression, limits or ReadLimits(), chunk_bytes=block_bytes)
        yield from _read_content(content, file, record_cap)


def _read_content(content: Content, file: InputFile, record_cap: int) -> Iterator[Block]:
    splitter_kind = LineSplitter if file.layout is Layout.LINES else DocumentSplitter
    chunks, skipped = _without_mark(content.chunks())
    splitter: Splitter = splitter_kind(file.index, offset=skipped, record_cap=record_cap)
    if skipped:
        yield _fault_block(file.index, [_mark_fault()])
    for chunk in chunks:
        yield from splitter.feed(chunk)
    ending = content.ending
    if ending is None:
        yield from splitter.finish()
        return
    unfinished = False
    if ending.cut_off:
        for block in splitter.break_off(ending.code, ending.position):
            unfinished = unfinished or any(fault.code == ending.code for fault in block.faults)
            yield block
    else:
        yield from splitter.finish()
    rest = Spill(0, ending.code, compressed=True, position=ending.position)
    yield from _rest(content.rest(), rest, splitter.position, file.index, needed=not unfinished)


def _rest(chunks: Iterator[bytes], spill: Spill, offset: int, file: int, *, needed: bool) -> Iterator[Block]:
    """The stored bytes behind the end of the content, as pieces; an empty piece where `needed`."""
    spill.start(offset)
    faults: list[SourceFault] = []
    for chunk in chunks:
        spill.add(chunk, faults)
        if faults:
            yield _fault_block(file, faults)
            faults = []
    if needed:
        spill.add(b"", faults)
        spill.spilled = True
    if spill:
        spill.close(faults)
        yield _fault_block(file, faults)


def _read_range(handle: BinaryIO, task: ReadTask, record_cap: int, block_bytes: int) -> Iterator[Block]:
    start = _first_line(handle, task, block_bytes)
    if start is None:
        return
    chunks, skipped = _range_chunks(handle, task, start, block_bytes), 0
    if start == 0:
        chunks, skipped = _without_mark(chunks)
    if skipped:
        yield _fault_block(task.file.index, [_mark_fault()])
    splitter = LineSplitter(task.file.index, offset=start + skipped, record_cap=record_cap)
    for chunk in chunks:
        yield from splitter.feed(chunk)
    yield from splitter.finish()


def _first_line(handle: BinaryIO, task: ReadTask, block_bytes: int) -> int | None:
    """Where the first line begins that begins in the range, None where none does."""
    if task.start == 0:
        return 0
    at = task.start - 1
    handle.seek(at)
    while at < task.end - 1:
        chunk = _read(handle, min(block_bytes, task.end - 1 - at))
        newline = chunk.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        at += len(chunk)
    return None


def _range_chunks(handle: BinaryIO, task: ReadTask, start: int, block_bytes: int) -> Iterator[bytes]:
    """The range's bytes from its first line, and on to the end of the line that its end cuts."""
    handle.seek(start)
    at = start
    whole = True
    while at < task.end:
        chunk = _read(handle, min(block_bytes, task.end - at))
        at += len(chunk)
        whole = chunk.endswith(b"\n")
        yield chunk
    while not whole and at < task.file.size:
        chunk = _read(handle, min(block_bytes, task.file.size - at))
        at += len(chunk)
        newline = chunk.find(b"\n")
        whole = newline >= 0
        yield chunk[: newline + 1] if whole else chunk


def _read(handle: BinaryIO, count: int) -> bytes:
    data = handle.read(count)
    if not data:
        raise InfrastructureFault(
            "INPUT_CHANGED", "an input file became shorter while it was read; run again when it is complete"
        )
    return data


def _without_mark(chunks: Iterator[bytes]) -> tuple[Iterator[bytes], int]:
    """The chunks without a byte order mark at their start, and how many bytes that took away."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= len(BYTE_ORDER_MARK):
            break
    if not head.startswith(BYTE_ORDER_MARK):
        return chain([head], chunks), 0
    return chain([head[len(BYTE_ORDER_MARK) :]], chunks), len(BYTE_ORDER_MARK)


def _mark_fault() -> SourceFault:
    return SourceFault(0, BYTE_ORDER_MARK_FOUND, 0, True, BYTE_ORDER_MARK)


def _fault_block(file: int, faults: list[SourceFault]) -> Block:
    return Block(file, np.empty(0, np.int64), [], faults)


def _sniff(path: str, size: int) -> tuple[Compression, Layout]:
    """A file's format, from its first bytes alone."""
    with _opened(path) as handle:
        stored = StoredBytes(handle, size, chunk_bytes=_FIRST_LOOK)
        compression = compression_of(bytes(stored.peek(4)))
        content = open_content(stored, compression, ReadLimits(), chunk_bytes=_FIRST_LOOK)
        head = b""
        for chunk in content.chunks():
            head += chunk
            layout = layout_of(head, complete=len(head) >= LAYOUT_WINDOW)
            if layout is not None:
                return compression, layout
        return compression, layout_of(head, complete=True) or Layout.LINES


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """An input file as it is stored; what goes wrong with it is an infrastructure fault."""
    try:
        with FileSystems.open(
            path, "application/octet-stream", compression_type=CompressionTypes.UNCOMPRESSED
        ) as handle:
            yield handle
    except CofferdamError:
        raise
    except Exception as error:
        # Clients of object stores have errors of their own for what is not there or may not be read.
        if FileSystems.get_scheme(path) is None and not isinstance(error, (OSError, BeamIOError)):
            raise
        raise InfrastructureFault(
            "INPUT_UNREADABLE", f"cannot read the input file {path!r}; check that it exists and may be read"
        ) from None


def _match(pattern: str) -> dict[str, int]:
    """Paths and sizes of the files that a pattern names."""
    if FileSystems.get_scheme(pattern) is None:
        if os.path.isfile(pattern):
            return {pattern: os.path.getsize(pattern)}
        if os.path.isdir(pattern):
            return _walk(pattern)
    found = _glob(pattern)
    return found or _glob(pattern.rstrip("/") + "/**")


def _walk(folder: str) -> dict[str, int]:
    paths = (os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)
    # A named pipe or a device would block or never end.
    return {path: os.path.getsize(path) for path in paths if os.path.isfile(path)}


def _glob(pattern: str) -> dict[str, int]:
    try:
        (result,) = FileSystems.match([pattern])
    except ValueError:
        raise ConfigurationError(
            "INPUT_FILESYSTEM", f"no filesystem serves {pattern!r}; install the extra that brings it"
        ) from None
    except (OSError, BeamIOError):
        raise InfrastructureFault(
            "INPUT_UNREADABLE", f"cannot list {pattern!r}; check the path and its filesystem"
        ) from None
    return {metadata.path: metadata.size_in_bytes for metadata in result.metadata_list}
