"""Rows that wait on disk: nothing is lost, parts go together, and nothing is left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import InfrastructureFault
from transforms import spilled_rows
from transforms.spilled_rows import KEY, Spill, parts_for


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (1, 1), (1 << 18, 1), ((1 << 18) + 1, 2), (1 << 20, 4)])
def test_parts_grow_with_rows(rows: int, parts: int) -> None:
    assert parts_for(rows) == parts


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_every_row_is_in_the_part_of_its_digest_once(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled_rows, "_CHUNK_ROWS", chunk)
    keys = np.random.default_rng(1).integers(0, 1 << 63, 100).astype(np.uint64)
    with Spill() as spill:
        rows = spill.rows([("number", "<i8"), ("yes", "?")], parts=3)
        for start in range(0, 100, 9):
            rows.add(keys[start : start + 9], number=np.arange(start, min(100, start + 9)), yes=True)
        found = [rows.whole(part) for part in range(3)]
    assert all((each[KEY] % np.uint64(3) == part).all() for part, each in enumerate(found))
    assert all((np.diff(each["number"]) > 0).all() and each["yes"].all() for each in found)
    together = np.concatenate(found)
    assert sorted(together["number"]) == list(range(100))
    assert (keys[together["number"]] == together[KEY]).all()


def test_a_part_is_read_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled_rows, "_CHUNK_ROWS", 4)
    with Spill() as spill:
        rows = spill.rows(())
        rows.add(np.arange(10, dtype=np.uint64))
        assert [len(each) for each in rows.part(0)] == [4, 4, 2]
        rows.drop()
        assert not len(rows.whole(0))


@pytest.mark.parametrize("left", [None, 0, 8, 12])
def test_rows_that_are_gone_from_the_disk_are_missed(
    left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spill() as spill:
        rows = spill.rows(())
        rows.add(np.arange(10, dtype=np.uint64))
        assert len(rows.whole(0)) == 10
        (file,) = tmp_path.rglob("*.rows")
        content = file.read_bytes()
        file.unlink()
        if left is not None:
            file.write_bytes(content[:left])
        with pytest.raises(InfrastructureFault, match="SPILL_NOT_WRITTEN"):
            rows.whole(0)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(KeyError):
        _spill_and_break(tmp_path)
    assert not list(tmp_path.iterdir())


def _spill_and_break(folder: Path) -> None:
    with Spill() as spill:
        rows = spill.rows(())
        rows.add(np.arange(10, dtype=np.uint64))
        rows.whole(0)
        assert len(list(folder.rglob("*.rows"))) == 1
        raise KeyError


def test_a_folder_that_cannot_be_written_is_named_as_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(InfrastructureFault, match="SPILL_NOT_WRITTEN"), Spill():
        pass
