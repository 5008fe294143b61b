from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import FIXED_TABLES, QUARANTINE_BLOBS, ROSTER
from tests.unit.transforms.store_samples import (
    BY_DAY,
    CALLS,
    CALLS_SCHEMA,
    DAY_MS,
    NOON,
    blobs,
    calls,
    pseudonym,
)
from transforms import parquet_files
from transforms.membership_filter import may_hold
from transforms.parquet_files import TableWriter, WriteBudget
from transforms.store_files import LocalFiles, NewFile, fault_of

RUN = "run-000001"


def writer(root: Path, budget: WriteBudget | None = None) -> TableWriter:
    return TableWriter(LocalFiles(str(root)), RUN, CALLS, CALLS_SCHEMA, BY_DAY, budget)


def files_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_record_says_what_the_file_is(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        made.append(calls([7, 8]))
        (record,) = made.close()
    content = (tmp_path / record.path).read_bytes()
    assert (record.rows, record.size) == (2, len(content))
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert record.path.startswith(f"{CALLS}/date=2026-01-01/{RUN}-")


def test_columns_keep_their_words_in_the_file(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        made.append(calls([7]))
        (record,) = made.close()
    assert pq.read_schema(tmp_path / record.path).equals(CALLS_SCHEMA, check_metadata=True)


def test_a_day_has_its_own_file_and_no_time_is_date_unknown(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        made.append(calls([1, 2, 3], [NOON, NOON + DAY_MS, None]))
        folders = {record.path.split("/")[2] for record in made.close()}
    assert folders == {"date=2026-01-01", "date=2026-01-02", "date=unknown"}


def test_the_filter_holds_every_pseudonym_of_the_file(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        made.append(calls([7, 8]), members=[pseudonym(99)])
        (record,) = made.close()
    assert record.filter is not None
    assert all(may_hold(record.filter, [pseudonym(number)]) for number in (1, 2, 7, 8, 99))
    assert not may_hold(record.filter, [pseudonym(12345)])


def test_the_filter_reaches_into_lists_of_structs(tmp_path: Path) -> None:
    row = dict.fromkeys(FIXED_TABLES[ROSTER].names)
    rows = [row | {"subjects": [{"type": "email", "pseudonym": pseudonym(5)}]}, row]
    with TableWriter(LocalFiles(str(tmp_path)), RUN, ROSTER, FIXED_TABLES[ROSTER]) as made:
        made.append(pa.Table.from_pylist(rows, schema=FIXED_TABLES[ROSTER]))
        (record,) = made.close()
    assert record.filter is not None
    assert may_hold(record.filter, [pseudonym(5)])
    assert not may_hold(record.filter, ["email"])


def test_sealed_bytes_are_in_no_statistics(tmp_path: Path) -> None:
    with TableWriter(
        LocalFiles(str(tmp_path)), RUN, QUARANTINE_BLOBS, FIXED_TABLES[QUARANTINE_BLOBS]
    ) as made:
        made.append(blobs(3, b"SECRET-BYTES"))
        (record,) = made.close()
    group = pq.read_metadata(tmp_path / record.path).row_group(0)
    chunks = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert not chunks["ciphertext"].is_stats_set
    assert chunks["ciphertext"].compression == "UNCOMPRESSED"
    assert chunks["kind"].is_stats_set
    assert (tmp_path / record.path).read_bytes().count(b"SECRET-BYTES") == 3


def test_statistics_are_kept_where_they_tell_row_groups_apart(tmp_path: Path) -> None:
    with writer(tmp_path) as made:
        made.append(calls([1, 2, 3]))
        (record,) = made.close()
    group = pq.read_metadata(tmp_path / record.path).row_group(0)
    chunks = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert chunks["event_time"].is_stats_set
    assert not chunks["meeting"].is_stats_set


def test_rows_stream_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_ROWS", 100)
    with writer(tmp_path) as made:
        for start in range(0, 250, 50):
            made.append(calls(list(range(start, start + 50))))
        (record,) = made.close()
    groups = pq.read_metadata(tmp_path / record.path)
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [100, 100, 50]


def test_a_large_file_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_ROWS", 10)
    monkeypatch.setattr(parquet_files, "FILE_ROWS", 20)
    with writer(tmp_path) as made:
        for start in range(0, 50, 10):
            made.append(calls(list(range(start, start + 10))))
        records = made.close()
    assert [record.rows for record in records] == [20, 20, 10]
    assert len({record.path for record in records}) == 3


def test_writers_share_a_bound_on_open_files_and_waiting_rows(tmp_path: Path) -> None:
    budget = WriteBudget(buffered_bytes=0, open_files=2)
    writers = [writer(tmp_path, budget) for _ in range(2)]
    for day in range(5):
        for made in writers:
            made.append(calls([day], [NOON + day * DAY_MS]))
            assert len([path for path in files_below(tmp_path) if is_unfinished(tmp_path / path)]) <= 2
    records = [record for made in writers for record in made.close()]
    assert sum(record.rows for record in records) == 10
    assert not any(is_unfinished(tmp_path / record.path) for record in records)


def is_unfinished(path: Path) -> bool:
    return not path.read_bytes().endswith(b"PAR1") or path.stat().st_size < 12


def test_an_exception_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_ROWS", 1)
    monkeypatch.setattr(parquet_files, "FILE_ROWS", 2)

    def fail() -> None:
        with writer(tmp_path) as made:
            for number in range(3):
                made.append(calls([number]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert files_below(tmp_path) == []


def test_an_exception_after_closing_touches_no_file(tmp_path: Path) -> None:
    def fail() -> None:
        with writer(tmp_path) as made:
            made.append(calls([1]))
            made.close()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(files_below(tmp_path)) == 1


def test_other_columns_are_refused_without_their_values(tmp_path: Path) -> None:
    wrong_type = calls([1]).set_column(8, "bitrate", pa.array(["a secret"]))
    for rows in (calls([1]).drop_columns(["bitrate"]), wrong_type):
        with pytest.raises(PromiseBroken, match="STORE_SCHEMA") as caught, writer(tmp_path) as made:
            made.append(rows)
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


class FullDisk(LocalFiles):
    """A disk on which nothing more fits after some bytes."""

    def __init__(self, root: str, space: int) -> None:
        super().__init__(root)
        self.space = space

    def open_new(self, path: str) -> NewFile:
        return _FullFile(super().open_new(path), self)


class _FullFile:
    def __init__(self, inner: NewFile, disk: FullDisk) -> None:
        self._inner, self._disk = inner, disk

    def write(self, data: bytes) -> int:
        self._disk.space -= len(data)
        if self._disk.space < 0:
            raise fault_of(OSError(errno.ENOSPC, ""), "write", "a file")
        return self._inner.write(data)

    def close(self) -> None:
        self._inner.close()

    def abandon(self) -> None:
        self._inner.abandon()


@pytest.mark.parametrize("space", [0, 10, 1000, 5000])
def test_a_full_disk_is_our_fault_and_leaves_no_file(tmp_path: Path, space: int) -> None:
    def write() -> None:
        with TableWriter(FullDisk(str(tmp_path), space), RUN, CALLS, CALLS_SCHEMA, BY_DAY) as made:
            made.append(calls(list(range(100))))
            made.close()

    with pytest.raises(InfrastructureFault, match="STORE_DISK_FULL"):
        write()
    assert files_below(tmp_path) == []
