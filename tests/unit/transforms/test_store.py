from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from schemas.tables import (
    FILTERS,
    FIXED_TABLES,
    LEDGER,
    QUARANTINE_BLOBS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RELEASED,
    ROSTER,
    column,
)
from tests.unit.transforms.store_samples import (
    BY_DAY,
    CALLS,
    CALLS_SCHEMA,
    add_blobs,
    calls,
    participants,
    pseudonym,
    store_with_runs,
    write_calls,
)
from transforms.manifests import check_run_id
from transforms.store import Store, new_run_id


def test_a_file_exists_from_its_commit_on(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    records = write_calls(store, "run-000001", calls([1, 2]))
    assert store.refreshed().tables() == []
    store.commit("run-000001", records, {})
    assert store.tables() == []
    assert participants(store.refreshed()) == [1, 2]


def test_runs_append(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1], "run-000002": [2, 3]})
    assert participants(store) == [1, 2, 3]
    assert store.version == 2
    assert store.snapshot.manifests[1].facts == {"as_of": "2026-01-01"}


def test_the_same_commit_again_changes_nothing(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    records = write_calls(store, "run-000001", calls([1]))
    first = store.commit("run-000001", records, {"n": (1, 2)})
    again = store.commit("run-000001", records, {"n": [1, 2]})
    assert again.snapshot == first.snapshot
    assert first.commit("run-000001", records, {"n": [1, 2]}).version == 1


def test_another_commit_of_the_same_run_is_refused(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    with pytest.raises(InfrastructureFault, match="STORE_RUN_EXISTS"):
        store.commit("run-000001", [], {"as_of": "2026-01-01"})


def test_of_two_writers_one_loses_and_changes_nothing(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    mine = write_calls(store, "run-000001", calls([1]))
    other = Store.open(tmp_path / "store")
    other.commit("run-000002", write_calls(other, "run-000002", calls([2])), {})
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        store.commit("run-000001", mine, {})
    assert participants(store.refreshed()) == [2]


def test_a_writer_that_loses_at_the_last_moment_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open_or_create(tmp_path / "store")
    mine = write_calls(store, "run-000001", calls([1]))
    real = store.files_of_store.create

    def overtaken(path: str, content: bytes) -> bool:
        monkeypatch.undo()
        Store.open(tmp_path / "store").commit("run-000002", [], {})
        return real(path, content)

    monkeypatch.setattr(store.files_of_store, "create", overtaken)
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        store.commit("run-000001", mine, {})
    assert store.refreshed().tables() == []


def test_rewriting_swaps_files_at_once(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1, 2]})
    old = [record.path for record in store.files(CALLS)]
    rewritten = store.commit("erase-00001", write_calls(store, "erase-00001", calls([2])), {}, removes=old)
    assert participants(rewritten) == [2]
    assert participants(store) == [1, 2]  # an open reader keeps its state until gc


def test_only_live_files_can_be_replaced(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    with pytest.raises(InfrastructureFault, match="STORE_NOT_REMOVABLE"):
        store.commit("run-000002", [], {}, removes=[f"{CALLS}/none"])


def test_the_ledger_cannot_be_replaced(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    with store.writer("run-000001", LEDGER) as writer:
        writer.append(pa.Table.from_pylist([{"records": 1}], schema=FIXED_TABLES[LEDGER]))
        store = store.commit("run-000001", writer.close(), {})
    (record,) = store.files(LEDGER)
    with pytest.raises(InfrastructureFault, match="STORE_NOT_REMOVABLE"):
        store.commit("run-000002", [], {}, removes=[record.path])


def test_a_file_that_is_not_there_cannot_be_committed(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    (record,) = write_calls(store, "run-000001", calls([1]))
    path = tmp_path / "store" / record.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InfrastructureFault, match=f"STORE_FILE_SIZE: {record.path}"):
        store.commit("run-000001", [record], {})
    path.unlink()
    with pytest.raises(InfrastructureFault, match=f"STORE_FILE_MISSING: {record.path}"):
        store.commit("run-000001", [record], {})
    assert store.refreshed().version == 0


def test_a_damaged_file_is_named_when_it_is_read(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    (record,) = store.files(CALLS)
    path = tmp_path / "store" / record.path
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\0\0\0\0" + content[104:])
    store.check()
    with pytest.raises(InfrastructureFault, match=f"STORE_FILE_DIGEST: {record.path}"):
        store.check(digests=True)
    path.write_bytes(b"x" * record.size)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_BROKEN"):
        store.read_table(CALLS)
    path.unlink()
    for read in (lambda: store.read_table(CALLS), lambda: list(store.scan(CALLS)), store.check):
        with pytest.raises(InfrastructureFault, match=f"STORE_FILE_MISSING: {record.path}"):
            read()


def rows_of(table: str, count: int) -> pa.Table:
    schema = FIXED_TABLES[table]
    return pa.table([pa.nulls(count, kind) for kind in schema.types], schema=schema)


NOT_BELIEVED = {QUARANTINE_BLOBS, QUARANTINE_KEYS, QUARANTINE_REJECTED, RELEASED, FILTERS}
"""Ciphers, or checks of their own, protect these; nothing is decided from released copies."""


@pytest.mark.parametrize("table", sorted(set(FIXED_TABLES) - NOT_BELIEVED))
def test_evidence_that_was_changed_is_not_read_though_its_size_is_the_same(
    tmp_path: Path, table: str
) -> None:
    store = Store.open_or_create(tmp_path / "store")
    with store.writer("run-000001", table) as writer:
        writer.append(rows_of(table, 2))
        store = store.commit("run-000001", writer.close(), {})
    (record,) = store.files(table)
    assert store.read_table(table).num_rows == 2
    forged = tmp_path / "forged.parquet"
    pq.write_table(rows_of(table, 1), forged, write_statistics=False, store_schema=False)
    content = forged.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    padding = bytes(record.size - len(content))
    (tmp_path / "store" / record.path).write_bytes(content[:footer] + padding + content[footer:])
    with pytest.raises(InfrastructureFault, match=f"STORE_FILE_DIGEST: {record.path}"):
        list(store.scan(table, records=[record]))
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        store.read_table(table)


def test_rows_are_read_by_column_count_and_condition(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1, 2], "run-000002": [3]})
    some = store.read_table(CALLS, ["bitrate"], where=pc.field("participant") == pseudonym(2))
    assert some.to_pylist() == [{"bitrate": 2.0}]
    assert store.read_table(CALLS, limit=2).num_rows == 2
    assert store.read_table(CALLS).schema.equals(CALLS_SCHEMA, check_metadata=True)
    only_second = list(store.scan(CALLS, ["bitrate"], records=store.files(CALLS)[1:]))
    assert [batch.to_pylist() for batch in only_second] == [[{"bitrate": 3.0}]]
    with pytest.raises(ConfigurationError, match="STORE_NO_COLUMN"):
        store.read_table(CALLS, ["none"])


def test_a_table_without_files_is_empty_if_it_is_fixed_and_unknown_if_not(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    assert store.read_table(ROSTER).schema.equals(FIXED_TABLES[ROSTER], check_metadata=True)
    assert list(store.scan(ROSTER)) == []
    with pytest.raises(ConfigurationError, match="STORE_NO_TABLE"):
        store.read_table("telemetry/none")


def commit_with(store: Store, run_id: str, field: pa.Field, values: pa.Array) -> Store:
    schema = CALLS_SCHEMA.append(field)
    with store.writer(run_id, CALLS, schema, BY_DAY) as writer:
        writer.append(calls([5]).append_column(field, values))
        return store.commit(run_id, writer.close(), {})


def test_columns_that_came_later_are_null_in_earlier_rows(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    store = commit_with(store, "run-000002", column("jitter", pa.int64(), "J", unit="ms"), pa.array([9]))
    store = commit_with(store, "run-000003", column("jitter", pa.float64(), "J", unit="ms"), pa.array([0.5]))
    assert sorted(store.read_table(CALLS)["jitter"].to_pylist(), key=str) == [0.5, 9.0, None]


def test_columns_that_changed_their_kind_are_named_as_such(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    store = commit_with(store, "run-000002", column("jitter", pa.int64(), "J"), pa.array([9]))
    store = commit_with(store, "run-000003", column("jitter", pa.bool_(), "J"), pa.array([True]))
    with pytest.raises(ConfigurationError, match="STORE_SCHEMAS_DIFFER"):
        store.read_table(CALLS)


def test_a_person_is_found_in_their_files_only(tmp_path: Path) -> None:
    runs = {f"run-{number:06d}": [number] for number in range(10, 30)}
    store = store_with_runs(tmp_path / "store", runs)
    found = store.files_holding([pseudonym(17)])
    assert store.files(CALLS)[7] in found
    assert len(found) <= 3
    assert len(store.files_holding([pseudonym(2)])) == 20
    assert store.files_holding([pseudonym(17)], tables=[ROSTER]) == []


def test_a_file_without_a_filter_may_hold_anyone(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    (record,) = write_calls(store, "run-000001", calls([1]))
    plain = type(record)(record.path, record.table, record.rows, record.size, record.sha256)
    store = store.commit("run-000001", [plain], {})
    assert [found.path for found in store.files_holding([pseudonym(999)])] == [record.path]


def test_a_changed_filter_is_found(tmp_path: Path) -> None:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    (path,) = (tmp_path / "store/manifests/filters").iterdir()
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        store.files_holding([pseudonym(1)])


def test_sealed_tables_are_read_like_others(tmp_path: Path) -> None:
    store = add_blobs(Store.open_or_create(tmp_path / "store"), "run-000001", b"\0\1")
    assert store.read_table("quarantine/blobs", ["ciphertext"]).to_pylist() == [{"ciphertext": b"\0\1"}] * 2


def test_a_second_writer_has_to_wait(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    refused = pytest.raises(InfrastructureFault, match=r"STORE_LOCKED.*run-000001")
    with store.writing("run-000001"), refused, Store.open(tmp_path / "store").writing("run-000002"):
        pass


def test_writing_sees_what_was_committed_before_the_lock(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "store")
    store.commit("run-000001", [], {})
    with store.writing("run-000002") as locked:
        assert locked.commit("run-000002", [], {}).version == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ('{"version": 2}', "STORE_TOO_NEW"),
        ("{}", "STORE_FORMAT_BROKEN"),
        ('{"version": "1"}', "STORE_FORMAT_BROKEN"),
        ("", "STORE_FORMAT_BROKEN"),
        ('{"version": 0}', "STORE_FORMAT_BROKEN"),
        pytest.param("[" * 100_000, "STORE_FORMAT_BROKEN", id="nested"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, content: str, code: str) -> None:
    Store.open_or_create(tmp_path)
    (tmp_path / "format.json").write_text(content)
    with pytest.raises(CofferdamError, match=code):
        Store.open(tmp_path)


def test_a_store_is_made_only_where_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="STORE_NOT_FOUND"):
        Store.open(tmp_path)
    (tmp_path / "file").write_text("x")
    for occupied in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigurationError, match="STORE_NOT_EMPTY"):
            Store.open_or_create(occupied)
    assert (tmp_path / "file").read_text() == "x"


def test_run_ids_sort_by_time_and_differ() -> None:
    first, second = (new_run_id(datetime(2026, 1, day, tzinfo=UTC)) for day in (1, 2))
    assert first < second
    assert new_run_id(datetime(2026, 1, 1, tzinfo=UTC)) != first
    check_run_id(first)
