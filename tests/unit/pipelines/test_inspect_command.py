from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from pipelines.inspect_command import describe_files, duckdb_view, inspect, pandas_frame, tables, view_name
from schemas.errors import EXIT_CONFIGURATION, EXIT_INFRASTRUCTURE
from schemas.tables import FIXED_TABLES, QUARANTINE_ITEMS
from tests.unit.transforms.store_samples import (
    CALLS,
    add_blobs,
    calls,
    pseudonym,
    store_with_runs,
    write_calls,
)
from transforms.partitioning import Partitioning
from transforms.store import Store

SEALED = b"SEALED-BYTES"
SENDER = pseudonym(77)


def add_items(store: Store, run_id: str) -> Store:
    row = dict.fromkeys(FIXED_TABLES[QUARANTINE_ITEMS].names)
    row |= {"item_id": pseudonym(5), "kind": "chat", "size_class": 256, "sender_join": SENDER}
    rows = pa.Table.from_pylist([row], schema=FIXED_TABLES[QUARANTINE_ITEMS])
    by_kind = Partitioning({"kind": ("chat",)}, "event_time")
    with store.writer(run_id, QUARANTINE_ITEMS, partitioning=by_kind) as writer:
        writer.append(rows)
        return store.commit(run_id, writer.close(), {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = store_with_runs(tmp_path / "a store's", {"run-000001": [1, 2], "run-000002": [3]})
    return add_items(add_blobs(store, "run-000003", SEALED), "run-000004")


def run(command: Any, store: Store | Path, *options: str) -> Result:
    root = store.root if isinstance(store, Store) else str(store)
    return CliRunner().invoke(command, ["--store", root, *options])


def test_a_newcomer_sees_tables_columns_and_rows(store: Store) -> None:
    shown = run(inspect, store).output
    for words in (
        "telemetry/calls",
        "quarantine/blobs",
        "4 runs",
        "bitrate",
        "kbps",
        "service",
        "Sent",
        "row 3",
    ):
        assert words in shown
    assert "\x1b" not in shown


def test_json_holds_the_figures(store: Store) -> None:
    shown = json.loads(run(inspect, store, "--json", "--rows", "2").output)
    found = {entry["name"]: entry for entry in shown["tables"]}[CALLS]
    assert (found["rows"], found["files"], len(found["preview"])) == (3, 2, 2)
    assert found["bytes"] == sum(record.size for record in store.files(CALLS))
    assert found["columns"][-1] == {
        "name": "bitrate",
        "type": "double",
        "lane": "service",
        "unit": "kbps",
        "classification": "service.telemetry",
        "description": "Sent",
    }
    assert found["preview"][0]["event_time"] == "2026-01-01T12:00:00+00:00"
    assert shown["runs"][0]["run_id"] == "run-000001"


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_of_sealed_tables_only_ids_kinds_and_sizes_are_shown(store: Store, form: tuple[str, ...]) -> None:
    items = run(inspect, store, "--table", QUARANTINE_ITEMS, *form).output
    assert pseudonym(5)[:16] in items
    assert SENDER[:16] not in items
    blobs = run(inspect, store, "--table", "quarantine/blobs", *form).output
    assert "ciphertext" in blobs
    assert SEALED.decode() not in blobs
    assert SEALED.hex() not in blobs


def test_control_signs_do_not_reach_the_terminal(store: Store) -> None:
    nasty = calls([4]).set_column(6, "source", pa.array(["\x1b[31m[red]x"]))
    store = store.commit("run-000005", write_calls(store, "run-000005", nasty), {})
    shown = run(inspect, store, "--table", CALLS, "--rows", "9").output
    assert "\x1b" not in shown
    assert "\N{REPLACEMENT CHARACTER}[31m[red]x" in shown


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    empty = Store.open_or_create(tmp_path / "store")
    assert "no tables" in run(inspect, empty).output
    assert run(tables, empty).exit_code == 0


@pytest.mark.parametrize("command", [inspect, tables])
def test_errors_are_one_line_and_an_exit_code(command: Any, store: Store, tmp_path: Path) -> None:
    missing = run(command, tmp_path / "none")
    assert (missing.exit_code, missing.output.count("\n")) == (EXIT_CONFIGURATION, 1)
    assert run(command, store, "--table", "telemetry/none").exit_code == EXIT_CONFIGURATION
    manifest = Path(store.root, "manifests/0000000001.json")
    manifest.unlink()
    damaged = run(command, store)
    assert damaged.exit_code == EXIT_INFRASTRUCTURE
    assert manifest.name in damaged.output


def test_verify_finds_a_changed_file(store: Store) -> None:
    (record, *_) = store.files(CALLS)
    path = Path(store.root, record.path)
    assert "SHA-256" in run(inspect, store, "--verify").output
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    assert run(inspect, store, "--verify").exit_code == EXIT_INFRASTRUCTURE


def test_the_listed_files_are_the_committed_ones(store: Store) -> None:
    write_calls(store, "killed-00001", calls([9]))
    listed = json.loads(run(tables, store, "--table", CALLS, "--json").output)["tables"]
    assert [entry["name"] for entry in listed] == [CALLS]
    assert listed[0]["files"] == [str(Path(store.root, record.path)) for record in store.files(CALLS)]


def counted_by_duckdb(statement: str, view: str) -> int:
    """Rows of a view; in a process of its own, for DuckDB complains about whatever else lives to the end."""
    words = "import duckdb, sys; view = duckdb.connect(); view.execute(sys.argv[1])"
    words += "; print(view.execute(sys.argv[2]).fetchone()[0])"
    command = [sys.executable, "-c", words, statement, f"SELECT count(*) FROM {view}"]  # noqa: S608 - our own name
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("table", [CALLS, QUARANTINE_ITEMS, "quarantine/blobs"])
def test_the_printed_views_read_the_whole_table(store: Store, table: str) -> None:
    listed = describe_files(store, table)
    shown = run(tables, store, "--table", table).output
    assert "CREATE OR REPLACE VIEW" in shown
    counted = counted_by_duckdb(listed["duckdb"], view_name(table))
    space: dict[str, Any] = {}
    exec(listed["pandas"], space)  # noqa: S102 - what a reader would paste
    frame = space[view_name(table)]
    assert isinstance(frame, pandas.DataFrame)
    expected = store.read_table(table)
    assert counted == expected.num_rows
    assert len(frame) == expected.num_rows
    assert list(frame.columns) == expected.column_names


def test_a_quote_in_a_path_stays_a_part_of_it() -> None:
    assert "'/a''b.parquet'" in duckdb_view("v", ["/a'b.parquet"])
    assert '"/a\'b.parquet"' in pandas_frame("v", ["/a'b.parquet"])


@pytest.mark.parametrize("command", [inspect, tables])
def test_a_table_named_without_its_folder_is_suggested(store: Store, command: Any) -> None:
    near, far = (run(command, store, "--table", name) for name in ("calls", "nothing"))
    assert (near.exit_code, far.exit_code) == (EXIT_CONFIGURATION, EXIT_CONFIGURATION)
    assert "did you mean telemetry/calls?" in near.stderr
    assert "STORE_NO_TABLE" in far.stderr
    assert "did you mean" not in far.stderr
