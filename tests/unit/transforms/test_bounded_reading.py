"""Files are read a few rows at a time, and not fetched ahead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.bounded_reading import row_batches

ROWS = 200


def test_all_rows_come_in_order_and_in_small_batches(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"number": range(10), "other": range(10)}), path, row_group_size=4)
    with pq.ParquetFile(path) as file:
        batches = list(row_batches(file, ["number"], 3))
    assert [batch.num_rows for batch in batches] == [3, 1, 3, 1, 2]
    assert pa.concat_tables(batches).to_pydict() == {"number": list(range(10))}


def test_no_more_than_a_row_group_is_held(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    content = [np.random.default_rng(number).bytes(10_000) for number in range(ROWS)]
    pq.write_table(pa.table({"content": content}), path, row_group_size=10, compression="none")
    before, most = pa.total_allocated_bytes(), 0
    with pq.ParquetFile(path) as file:
        for _ in row_batches(file, ["content"], 5):
            most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < ROWS * 10_000 / 4
