"""Tiles as C2SP tlog-tiles describes them: names, widths, contents, whatever way a tree has grown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InfrastructureFault, PromiseBroken
from tests.unit.transforms.test_audit_tree import reference
from transforms.audit_tiles import (
    Tile,
    TileReader,
    framed,
    gained,
    grown,
    outgrown,
    split_entries,
)
from transforms.audit_tree import (
    HashList,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    range_hash,
    root_of,
)

Files = dict[str, bytes]


def reading(files: Files) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        if path not in files:
            raise InfrastructureFault("STORE_FILE_MISSING", path)
        return files[path]

    return read


def entries(start: int, end: int) -> list[bytes]:
    return [b"%d" % number * (number % 5) for number in range(start, end)]


def grow(files: Files, size: int, new: int) -> dict[str, bytes]:
    made = {
        tile.path: content for tile, content in grown(TileReader(reading(files), size), entries(size, new))
    }
    files.update(made)
    return made


def log_of(sizes: Sequence[int]) -> Files:
    files: Files = {}
    before = 0
    for size in sizes:
        grow(files, before, size)
        before = size
    return files


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "log/tile/0/000"),
        (Tile(0, 273, 112), "log/tile/0/273.p/112"),
        (Tile(None, 999), "log/tile/entries/999"),
        (Tile(None, 1000, 1), "log/tile/entries/x001/000.p/1"),
        (Tile(2, 1234067), "log/tile/2/x001/x234/067"),
    ],
)
def test_names_are_those_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert Tile.at(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "log/tile/0/00",
        "log/tile/00/000",
        "log/tile/64/000",
        "log/tile/0/x000/001",
        "log/tile/0/000.p/256",
        "log/tile/0/000.p/0",
        "log/tile/0/000.p/01",
        "log/tile/0/001/000",
        "log/checkpoint",
        "log/tile/-1/000",
    ],
)
def test_other_names_are_no_tiles(path: str) -> None:
    assert Tile.at(path) is None


def test_the_specifications_example_has_these_files() -> None:
    files = set(log_of([70_000]))
    hashes = {path for path in files if "entries" not in path}
    expected = {Tile(0, index).path for index in range(273)}
    expected |= {Tile(0, 273, 112).path, Tile(1, 0).path, Tile(1, 1, 17).path, Tile(2, 0, 1).path}
    assert hashes == expected
    assert files - hashes == {
        Tile(None, tile.index, tile.width).path for tile in map(Tile.at, hashes) if tile and tile.level == 0
    }


def test_a_tree_of_256_has_a_full_tile_and_one_above() -> None:
    assert set(log_of([256])) == {"log/tile/entries/000", "log/tile/0/000", "log/tile/1/000.p/1"}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=6).map(
        lambda steps: [sum(steps[: n + 1]) for n in range(len(steps))]
    )
)
def test_a_tree_is_the_same_however_it_grew(sizes: list[int]) -> None:
    files, size = log_of(sizes), sizes[-1]
    at_once = log_of([size])
    assert at_once.items() <= files.items()
    tree = TileReader(reading(files), size)
    assert list(tree.entries(0, size)) == entries(0, size)
    assert (
        range_hash(tree, 0, size) == root_of(map(leaf_hash, entries(0, size))) == reference(entries(0, size))
    )
    in_memory = HashList([leaf_hash(entry) for entry in entries(0, size)])
    for index in {0, size // 2, size - 1, *(min(size - 1, 255 + n) for n in range(3))}:
        assert inclusion_proof(tree, index, size) == inclusion_proof(in_memory, index, size)
    for old in sizes:
        assert consistency_proof(tree, old, size) == consistency_proof(in_memory, old, size)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1500), st.integers(1, 1500))
def test_growing_makes_exactly_the_files_that_are_foretold(old: int, more: int) -> None:
    files: Files = {}
    if old:
        grow(files, 0, old)
    made = grow(files, old, old + more)
    assert set(made) == {tile.path for tile in gained(old, old + more)}
    assert all(tile.exists_in(old + more) and not tile.exists_in(old) for tile in gained(old, old + more))
    for tile in outgrown(old, old + more):
        assert tile.path in files
        assert Tile(tile.level, tile.index).path in made


def test_growing_reads_the_edge_and_nothing_else() -> None:
    files = log_of([66_000])
    read: list[str] = []

    def counted(path: str) -> bytes:
        read.append(path)
        return files[path]

    list(grown(TileReader(counted, 66_000), entries(66_000, 66_010)))
    assert sorted(read) == ["log/tile/0/257.p/208", "log/tile/entries/257.p/208"]


def test_an_unfinished_tile_that_was_deleted_is_read_from_the_full_one() -> None:
    files = log_of([300, 600])
    for path in [path for path in files if "001.p/" in path]:
        del files[path]
    tree = TileReader(reading(files), 300)
    assert range_hash(tree, 0, 300) == reference(entries(0, 300))
    assert list(tree.entries(290, 300)) == entries(290, 300)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("path", ["log/tile/0/000", "log/tile/entries/000", "log/tile/0/001.p/44"])
def test_a_tile_that_is_missing_or_cut_is_named(path: str, cut: bool) -> None:
    files = log_of([300])
    content = files.pop(path)
    if cut:
        files[path] = content[:-1]
    tree = TileReader(reading(files), 300)
    with pytest.raises(PromiseBroken) as caught:
        (list(tree.entries(0, 300)), [tree.tile(0, index) for index in range(2)])
    assert (caught.value.code, path in caught.value.message) == ("AUDIT_TILE_BROKEN", True)


def test_other_faults_of_a_disk_are_not_taken_for_missing_files() -> None:
    def failing(path: str) -> bytes:
        raise InfrastructureFault("STORE_FILE_FAILED", "the disk")

    with pytest.raises(InfrastructureFault):
        TileReader(failing, 300).tile(0, 1)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_bundles_hold_entries_as_they_were(held: list[bytes]) -> None:
    bundle = b"".join(map(framed, held))
    assert split_entries(bundle) == held
    if held:
        assert split_entries(bundle[:-1]) in (None, held[:-1]) or held[-1] == b""
        assert split_entries(bundle + b"\x00") is None


def test_an_entry_has_a_longest_length() -> None:
    assert split_entries(framed(bytes(65_535))) == [bytes(65_535)]
    with pytest.raises(ValueError, match="65,535"):
        framed(bytes(65_536))
