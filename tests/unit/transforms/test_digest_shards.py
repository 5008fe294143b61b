"""Files of digests: everything that goes in comes out of its shard, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InfrastructureFault
from transforms import digest_shards
from transforms.digest_shards import ShardFiles, read_shard, remove_shards
from transforms.duplicates import SHARDS, digest_table
from transforms.record_digests import Identities
from transforms.store_files import open_files

RUN = "20260302t100000z-000000000000"


def table(numbers: list[int], file: int = 0) -> pa.Table:
    ids = np.array([[number % 256, *bytes(15)] for number in numbers], np.uint8).reshape(-1, 16)
    return digest_table(Identities(ids, ids), file, np.arange(len(numbers), dtype=np.int64))


def rows(tables: list[pa.Table]) -> list[dict[str, object]]:
    return [row for part in tables for row in part.to_pylist()]


@given(blocks=st.lists(st.lists(st.integers(0, 255), max_size=40), max_size=5), at_once=st.integers(1, 60))
def test_what_goes_in_comes_out_of_its_shard(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[int]], at_once: int
) -> None:
    store = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_shards, "ROWS_AT_ONCE", at_once)
        with ShardFiles(open_files(str(store)), RUN) as shards:
            shards.add(table(block, file) for file, block in enumerate(blocks))
            written = shards.close()

    found = {shard: rows(list(read_shard(str(store), [path]))) for shard, path in written}

    assert len(found) == len(written)
    for shard, mine in found.items():
        assert {row["id_digest"][0] % SHARDS for row in mine} == {shard}  # type: ignore[index]
    expected = rows([table(block, file) for file, block in enumerate(blocks)])
    key = repr
    assert sorted([row for mine in found.values() for row in mine], key=key) == sorted(expected, key=key)

    remove_shards(str(store), [path for _, path in written])
    assert [path for path in store.rglob("*") if path.is_file()] == []


def fail_within(shards: ShardFiles, store: Path) -> None:
    with shards:
        shards.add([table(list(range(40)))] * (digest_shards.ROWS_AT_ONCE // 40 + 1))
        assert [path for path in store.rglob("*") if path.is_file()]
        raise RuntimeError


def test_files_of_a_bundle_that_failed_are_deleted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_within(ShardFiles(open_files(str(tmp_path)), RUN), tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_nothing_makes_no_file(tmp_path: Path) -> None:
    with ShardFiles(open_files(str(tmp_path)), RUN) as shards:
        shards.add([table([])])
        assert shards.close() == []


def test_a_file_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureFault):
        list(read_shard(str(tmp_path), ["digests/gone.arrows"]))
    remove_shards(str(tmp_path), ["digests/gone.arrows"])
