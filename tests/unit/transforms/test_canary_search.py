"""The search for canaries in files: across the pieces that are read, and in every kind of column."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms import canary_search
from transforms.canary_search import Canaries, Stem, file_leaks, folder_leaks

STEM = Stem("abcdefghijklmn", "12345678901")
WORD = Canaries(STEM).word()
NUMBER = Canaries(STEM).number()


@pytest.mark.parametrize("start", range(90, 102))
def test_a_token_that_lies_across_two_pieces_is_found(
    start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary_search, "_PIECE_BYTES", 100)
    (tmp_path / "a.bin").write_bytes(b"-" * start + WORD.encode() + b"-" * 300)
    assert "a.bin: word plain" in list(file_leaks(STEM, "a.bin", tmp_path / "a.bin"))


COLUMNS: dict[str, Any] = {
    "text": pa.array([WORD, None]),
    "repeated text": pa.array([WORD] * 1000),
    "large text": pa.array([WORD], pa.large_string()),
    "bytes": pa.array([WORD.encode()]),
    "fixed bytes": pa.array([WORD.encode()], pa.binary(len(WORD))),
    "list": pa.array([[WORD], None, []]),
    "struct": pa.array([{"a": {"b": WORD}}, None]),
    "number": pa.array([1, NUMBER, None]),
    "float": pa.array([0.5, float(NUMBER)]),
    "number in a list": pa.array([[NUMBER]]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_token_is_found_in_every_kind_of_column(name: str, tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"c": COLUMNS[name]}), file, compression="zstd", write_statistics=False)
    found = list(file_leaks(STEM, "t.parquet", file))
    assert any(place.startswith("c of t.parquet") for place in found)
    assert all(WORD not in place and str(NUMBER) not in place for place in found)


def test_columns_without_tokens_are_read_and_nothing_is_found(tmp_path: Path) -> None:
    plain = {
        "day": pa.array([date(2026, 3, 1)]),
        "time": pa.array([1], pa.timestamp("ms", tz="UTC")),
        "truth": pa.array([True]),
        "nothing": pa.array([None]),
        "digits": pa.array(["1234567890"]),
        "near": pa.array([NUMBER + 10**9]),
    }
    pq.write_table(pa.table(plain), tmp_path / "t.parquet")
    assert folder_leaks(STEM, tmp_path) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text(WORD)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.txt").symlink_to(outside)
    assert folder_leaks(STEM, tmp_path / "in") == []
    assert folder_leaks(STEM, tmp_path)
