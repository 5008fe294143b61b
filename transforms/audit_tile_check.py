"""Compare every file of the log's tree with what the entries say that it must hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas.errors import InfrastructureFault, PromiseBroken
from transforms.audit_log import MERGING, merging_sizes
from transforms.audit_tiles import (
    TILES,
    WIDTH,
    Tile,
    TileReader,
    broken,
    framed,
    gained,
    split_entries,
    split_hashes,
)
from transforms.audit_tree import HASH_BYTES, leaf_hash, root_of
from transforms.store_files import StoreFiles

AddFinding = Callable[[str, str], None]
TakeEntry = Callable[[int, bytes], None]


def check_tiles(files: StoreFiles, tree: TileReader, add: AddFinding, take: TakeEntry) -> None:
    """Read all entries, compute all tiles anew, and compare.

    Args:
        files: The store's files.
        tree: The tree that the checkpoint names.
        add: Is given what does not hold.
        take: Is given every entry and its place.
    """
    below = list(_leaf_tiles(tree, add, take))  # root of each full tile, or None where it is damaged
    level = 1
    while below:
        below = list(_tiles_above(tree, level, below, add))
        level += 1
    _check_others(files, tree, add)


def _leaf_tiles(tree: TileReader, add: AddFinding, take: TakeEntry) -> Iterator[bytes | None]:
    for index in range(-(-tree.size // WIDTH)):
        entries = _entries(tree, index, add)
        if entries is None:
            hashes: bytes | None = _stored(tree, 0, index)
        else:
            for place, entry in enumerate(entries, start=index * WIDTH):
                take(place, entry)
            hashes = b"".join(map(leaf_hash, entries))
        _compare(tree, 0, index, hashes, add)
        if tree.width(0, index) == WIDTH:
            yield None if hashes is None else root_of(split_hashes(hashes))


def _entries(tree: TileReader, index: int, add: AddFinding) -> list[bytes] | None:
    content = _stored(tree, None, index)
    entries = None if content is None else split_entries(content)
    width = tree.width(None, index)
    if entries is None or len(entries) != width:
        path = Tile(None, index, width).path
        add("AUDIT_TILE_BROKEN", broken(path).message)
        return None
    return entries


def _tiles_above(
    tree: TileReader, level: int, below: list[bytes | None], add: AddFinding
) -> Iterator[bytes | None]:
    for index in range(-(-len(below) // WIDTH)):
        group = below[index * WIDTH : (index + 1) * WIDTH]
        known = [each for each in group if each is not None]
        hashes = b"".join(known) if len(known) == len(group) else _stored(tree, level, index)
        _compare(tree, level, index, hashes, add)
        if len(group) == WIDTH:
            yield None if hashes is None else root_of(split_hashes(hashes))


def _compare(tree: TileReader, level: int, index: int, hashes: bytes | None, add: AddFinding) -> None:
    """A tile must hold the hashes that were computed, or if none could be, at least be there."""
    stored = _stored(tree, level, index)
    if stored is None or stored != hashes:
        path = Tile(level, index, tree.width(level, index)).path
        add("AUDIT_TILE_BROKEN", f"{path} or what lies below it is missing or damaged; restore it")


def _stored(tree: TileReader, level: int | None, index: int) -> bytes | None:
    try:
        content = tree.tile(level, index)
    except PromiseBroken:
        return None
    if level is not None and len(content) != tree.width(level, index) * HASH_BYTES:
        return None
    return content


def _check_others(files: StoreFiles, tree: TileReader, add: AddFinding) -> None:
    """Files that the tree does not need: unfinished tiles of earlier sizes must be its beginnings."""
    coming = _coming(files, tree, add)
    for found in files.find(TILES):
        tile = Tile.at(found.path)
        if tile is None or not (tile.exists_in(tree.size) or tile in coming):
            add("AUDIT_STRAY_FILE", f"{found.path} is no part of the log")
        elif tile.width < WIDTH and tile.exists_in(tree.size) and _differs(files, tree, tile):
            add("AUDIT_TILE_BROKEN", f"{found.path} is not what the log held then; restore it")


def _coming(files: StoreFiles, tree: TileReader, add: AddFinding) -> set[Tile]:
    """Files that a merge under way, or one that was killed, may have written already."""
    try:
        old, new = merging_sizes(files)
    except PromiseBroken as error:
        add(error.code, error.message)
        return set()
    if new and tree.size not in (old, new):
        add("AUDIT_MERGING_BROKEN", f"{MERGING} does not fit the log; restore the log from a backup")
        return set()
    return set(gained(old, new))


def _differs(files: StoreFiles, tree: TileReader, tile: Tile) -> bool:
    try:
        if tile.level is not None:
            expected = tree.tile(tile.level, tile.index)[: tile.width * HASH_BYTES]
        else:
            expected = b"".join(map(framed, tree.bundle(tile.index)[: tile.width]))
        return files.read(tile.path) != expected
    except (PromiseBroken, InfrastructureFault):
        return True
