"""The other yardstick: DuckDB converts the same JSON to Parquet and separates nothing.

DuckDB finds the columns itself, over all files, and writes every value in clear into one wide table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import duckdb


def main(patterns: Sequence[str], output: str) -> None:
    """Convert files of JSON lines to one Parquet file on one thread."""
    files = ", ".join(f"'{pattern}'" for pattern in patterns)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        # Without union_by_name the first file alone decides the columns; without ignore_errors the first
        # value of another type ends the conversion.
        options = "format = 'newline_delimited', union_by_name = true, ignore_errors = true"
        source = f"read_json([{files}], {options})"
        connection.execute(f"COPY (SELECT * FROM {source}) TO '{output}' (FORMAT parquet, COMPRESSION zstd)")  # noqa: S608


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
