"""Tiles: the audit log's hashes and entries as files that never change (C2SP tlog-tiles).

    log/tile/<level>/<index>        256 hashes; at level 0 of entries, above of full tiles one level below
    log/tile/entries/<index>        256 entries, each after its length (uint16, big-endian)
    log/tile/…/<index>.p/<width>    the last, unfinished one of a level: 1 to 255 of them

An index is written in groups of three digits, all but the last after an ``x``: 1234067 is ``x001/x234/067``.
A file's content follows from its name and the tree, so a tree that grows only ever adds files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from schemas.errors import InfrastructureFault, PromiseBroken
from transforms.audit_tree import HASH_BYTES, leaf_hash, root_of

LOG = "log"
TILES = f"{LOG}/tile"
WIDTH = 256
"""Hashes or entries in a full tile."""

LARGEST_ENTRY = (1 << 16) - 1
_LEVEL_BITS = 8
_TILE_BYTES = WIDTH * HASH_BYTES
_LENGTH_BYTES = 2
_CACHED_TILES = 64
_PATH = re.compile(
    rf"{TILES}/(entries|0|[1-9]\d?)/((?:x\d{{3}}/)*)(\d{{3}})(?:\.p/([1-9]\d?|1\d\d|2[0-4]\d|25[0-5]))?"
)


@dataclass(frozen=True)
class Tile:
    """Which tile a file is.

    Attributes:
        level: 0 for the hashes of entries, 1 for those of full tiles of level 0, …; None for the entries.
        index: Place in its level.
        width: How many hashes or entries it holds; below 256 it is the last of its level.
    """

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Where it lies in the store."""
        groups = f"{self.index:03d}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
        name = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"{TILES}/{'entries' if self.level is None else self.level}/{name}{partial}"

    @property
    def partials(self) -> str:
        """The folder of its unfinished versions."""
        return f"{Tile(self.level, self.index).path}.p"

    def exists_in(self, size: int) -> bool:
        """Whether a tree of so many entries has this tile, or has outgrown this unfinished version of it."""
        return self.index * WIDTH + self.width <= size >> (_LEVEL_BITS * (self.level or 0))

    @classmethod
    def at(cls, path: str) -> Tile | None:
        """The tile of a path, None for a path that no tile has."""
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        level = None if match[1] == "entries" else int(match[1])
        index = int(match[2].replace("x", "").replace("/", "") + match[3])
        tile = cls(level, index, int(match[4] or WIDTH))
        return tile if tile.path == path and (level or 0) < 64 else None


class TileReader:
    """A tree of a given size as its tiles hold it (implements ``Nodes``).

    Args:
        read: Gives the bytes of a file of the store.
        size: Entries in the tree.
    """

    def __init__(self, read: Callable[[str], bytes], size: int) -> None:
        self._read, self.size = read, size
        self._hashes = lru_cache(_CACHED_TILES)(self._load)

    def node(self, height: int, index: int) -> bytes:
        """Hash of a complete subtree; reads one tile."""
        level, rest = divmod(height, _LEVEL_BITS)
        first = index << rest
        tile, offset = divmod(first, WIDTH)
        hashes = split_hashes(self.tile(level, tile))
        return root_of(hashes[offset : offset + (1 << rest)])

    def tile(self, level: int | None, index: int) -> bytes:
        """The bytes of a tile or bundle of entries, as wide as the tree has it.

        Raises:
            PromiseBroken: It is not there, or is no tile of that width (``AUDIT_TILE_BROKEN``).
        """
        return self._hashes(level, index)

    def bundle(self, index: int) -> list[bytes]:
        """The entries of a bundle."""
        width = self.width(None, index)
        entries = split_entries(self.tile(None, index))
        if entries is None or len(entries) < width:
            raise broken(Tile(None, index, width).path)
        return entries[:width]

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        """Entries ``start`` to ``end``."""
        for index in range(start // WIDTH, -(-end // WIDTH)):
            first = index * WIDTH
            yield from self.bundle(index)[max(start - first, 0) : end - first]

    def width(self, level: int | None, index: int) -> int:
        """How many hashes or entries the tree has in a tile."""
        return min(WIDTH, (self.size >> (_LEVEL_BITS * (level or 0))) - index * WIDTH)

    def _load(self, level: int | None, index: int) -> bytes:
        width = self.width(level, index)
        tile = Tile(level, index, width)
        content = self._content(tile)
        if level is not None and len(content) != width * HASH_BYTES:
            raise broken(tile.path)
        return content

    def _content(self, tile: Tile) -> bytes:
        try:
            return self._read(tile.path)
        except InfrastructureFault as fault:
            if fault.code != "STORE_FILE_MISSING":
                raise
        if tile.width == WIDTH:
            raise broken(tile.path)
        return self._from_full(tile)

    def _from_full(self, tile: Tile) -> bytes:
        """The beginning of the finished tile: a log may delete unfinished ones once there is one."""
        try:
            full = self._read(Tile(tile.level, tile.index).path)
        except InfrastructureFault as fault:
            if fault.code != "STORE_FILE_MISSING":
                raise
            raise broken(tile.path) from None
        return full if tile.level is None else full[: tile.width * HASH_BYTES]


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def split_entries(bundle: bytes) -> list[bytes] | None:
    """The entries of a bundle, None where lengths and bytes do not go together."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + _LENGTH_BYTES
        end = start + int.from_bytes(bundle[at:start], "big")
        if len(bundle) < max(start, end):
            return None
        entries.append(bundle[start:end])
        at = end
    return entries


def framed(entry: bytes) -> bytes:
    """An entry as it stands in a bundle.

    Raises:
        ValueError: It is longer than the format allows.
    """
    if len(entry) > LARGEST_ENTRY:
        raise ValueError("an entry has at most 65,535 bytes")
    return len(entry).to_bytes(_LENGTH_BYTES, "big") + entry


def grown(tree: TileReader, entries: Sequence[bytes]) -> Iterator[tuple[Tile, bytes]]:
    """The files that a tree gains with some entries.

    Reads the unfinished tiles of the tree and nothing else: the work is that of the entries and of the
    tree's height.
    """
    yield from _new_bundles(tree, entries)
    added = [leaf_hash(entry) for entry in entries]
    level = 0
    while added:
        index, offset = divmod(tree.size >> (_LEVEL_BITS * level), WIDTH)
        stream = (tree.tile(level, index) if offset else b"") + b"".join(added)
        added = []
        for number, at in enumerate(range(0, len(stream), _TILE_BYTES), start=index):
            content = stream[at : at + _TILE_BYTES]
            yield Tile(level, number, len(content) // HASH_BYTES), content
            if len(content) == _TILE_BYTES:
                added.append(root_of(split_hashes(content)))
        level += 1


def _new_bundles(tree: TileReader, entries: Sequence[bytes]) -> Iterator[tuple[Tile, bytes]]:
    index, offset = divmod(tree.size, WIDTH)
    held = [*(tree.bundle(index) if offset else ()), *entries]
    for number, at in enumerate(range(0, len(held), WIDTH), start=index):
        part = held[at : at + WIDTH]
        yield Tile(None, number, len(part)), b"".join(map(framed, part))


def gained(old: int, new: int) -> Iterator[Tile]:
    """Which files a tree gains when it grows from one size to another."""
    for level in (None, *range(_height(new))):
        bits = _LEVEL_BITS * (level or 0)
        before, after = old >> bits, new >> bits
        if before == after:
            continue
        for index in range(before // WIDTH, -(-after // WIDTH)):
            yield Tile(level, index, min(WIDTH, after - index * WIDTH))


def outgrown(old: int, new: int) -> Iterator[Tile]:
    """Tiles that were unfinished at one size and are full at another."""
    for level in (None, *range(_height(old))):
        index, offset = divmod(old >> (_LEVEL_BITS * (level or 0)), WIDTH)
        if offset and Tile(level, index).exists_in(new):
            yield Tile(level, index, offset)


def _height(size: int) -> int:
    """How many levels of tiles a tree has."""
    return -(-size.bit_length() // _LEVEL_BITS)


def broken(path: str) -> PromiseBroken:
    """The error for a tile or bundle that is missing or damaged."""
    return PromiseBroken(
        "AUDIT_TILE_BROKEN", f"{path} is missing or damaged; restore it from a backup of the log"
    )
