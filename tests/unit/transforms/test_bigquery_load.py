"""Loads of BigQuery against a recording stand-in; with the client library's own classes, where it is here."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import FIXED_TABLES, LEDGER, column, telemetry_columns
from transforms import bigquery_load
from transforms.bigquery_load import LABEL, connect, load, plan_loads
from transforms.store import Store
from transforms.store_files import LocalFiles

DATASET = "project-1.analytics"
CALLS = "telemetry/calls"
SCHEMA = pa.schema([*telemetry_columns(), column("seconds", pa.int32(), "Length", unit="s")])


def rows(*seconds: int) -> pa.Table:
    """Rows of the table."""
    values: dict[str, Any] = {field.name: [None] * len(seconds) for field in SCHEMA}
    texts = {field.name for field in SCHEMA if not field.nullable}
    values |= {name: [f"{number}" for number in seconds] for name in texts}
    return pa.table(values | {"seconds": list(seconds)}, SCHEMA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store that says that it is on Cloud Storage, with a file of telemetry and one of the ledger."""
    Store.open_or_create(tmp_path / "s")
    files = LocalFiles(str(tmp_path / "s"))
    files.root = "gs://bucket/s"
    made = Store.of(files)
    with made.writer("run-000001", CALLS, SCHEMA) as calls, made.writer("run-000001", LEDGER) as ledger:
        calls.append(rows(1, 2))
        empty = {field.name: [None] for field in FIXED_TABLES[LEDGER] if field.nullable}
        given = {field.name: ["x"] if field.type == pa.string() else [1] for field in FIXED_TABLES[LEDGER]}
        ledger.append(pa.table(given | empty, FIXED_TABLES[LEDGER]))
        written = [*calls.close(), *ledger.close()]
    return made.commit("run-000001", written, {})


class AbsentError(Exception):
    """What the library raises for a table that is not there."""

    code = 404


class Recording:
    """A client that remembers what it was asked, and the tables that it was given."""

    def __init__(self, rows_more: int = 0) -> None:
        self.calls: list[str] = []
        self.tables: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.uris: dict[str, list[str]] = {}
        self._rows_more = rows_more

    def get_table(self, table: str) -> Any:
        self.calls.append("get_table")
        if table not in self.tables:
            raise AbsentError("secret words of a value")
        return self.tables[table]

    def load_table_from_uri(self, source_uris: list[str], destination: str, job_config: Any) -> Any:
        self.calls.append("load_table_from_uri")
        self.tables.setdefault(destination, SimpleNamespace(labels={}, description=""))
        self.configs[destination], self.uris[destination] = job_config, source_uris
        counted = {"project-1.analytics.telemetry_calls": 2, "project-1.analytics.ledger": 1}[destination]
        return SimpleNamespace(result=lambda: None, output_rows=counted + self._rows_more)

    def update_table(self, table: Any, fields: list[str]) -> Any:
        self.calls.append("update_table")
        return table

    def delete_table(self, table: str, not_found_ok: bool) -> None:
        self.calls.append("delete_table")
        self.tables.pop(table, None)


def test_a_plan_names_the_files_that_manifests_name(store: Store) -> None:
    ledger, calls = plan_loads(store, DATASET)
    assert (ledger.target, calls.target) == (f"{DATASET}.ledger", f"{DATASET}.telemetry_calls")
    assert calls.uris == (f"gs://bucket/s/{store.files(CALLS)[0].path}",)
    assert (calls.rows, ledger.rows) == (2, 1)
    assert [plan.table for plan in plan_loads(store, DATASET, [CALLS])] == [CALLS]


def test_a_plan_follows_the_files(store: Store) -> None:
    (before,) = plan_loads(store, DATASET, [CALLS])
    with store.writer("run-000002", CALLS, SCHEMA) as calls:
        calls.append(rows(3))
        after = store.commit("run-000002", calls.close(), {}, removes=[store.files(CALLS)[0].path])
    (now,) = plan_loads(after, DATASET, [CALLS])
    assert now.digest != before.digest
    assert (now.rows, len(now.uris)) == (1, 1)


def test_a_table_of_which_nothing_is_left_is_deleted(store: Store) -> None:
    emptied = store.commit("run-000002", [], {}, removes=[store.files(CALLS)[0].path])
    (plan,) = plan_loads(emptied, DATASET, [CALLS])
    client = Recording()
    client.tables[plan.target] = SimpleNamespace(labels={})
    assert load(client, plan)
    assert (client.calls, client.tables) == (["delete_table"], {})


@pytest.mark.parametrize(
    ("dataset", "tables", "code"),
    [
        ("analytics", [], "BIGQUERY_DATASET"),
        ("p.d; DROP", [], "BIGQUERY_DATASET"),
        (DATASET, ["quarantine/items"], "BIGQUERY_TABLE"),
        (DATASET, ["telemetry/none"], "BIGQUERY_TABLE"),
    ],
)
def test_what_cannot_be_loaded_is_refused(store: Store, dataset: str, tables: list[str], code: str) -> None:
    with pytest.raises(ConfigurationError, match=code):
        plan_loads(store, dataset, tables)


def test_a_local_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="BIGQUERY_LOCAL_STORE"):
        plan_loads(Store.open_or_create(tmp_path / "s"), DATASET)


def test_a_missing_file_is_found_before_anything_is_asked(store: Store) -> None:
    store.files_of_store.delete(store.files(CALLS)[0].path)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_MISSING"):
        plan_loads(store, DATASET)


def test_too_many_files_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery_load, "MOST_FILES", 0)
    with pytest.raises(InfrastructureFault, match="BIGQUERY_TOO_MANY_FILES"):
        plan_loads(store, DATASET)


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.cloud.bigquery", None)
    monkeypatch.setitem(__import__("sys").modules, "google.cloud", None)
    with pytest.raises(ConfigurationError, match=r"BIGQUERY_NO_CLIENT.*cofferdam\[gcp\]"):
        connect(DATASET)


# --- with the library's classes -----------------------------------------------------------------------------


def test_a_table_is_made_anew_and_then_passed_over(store: Store) -> None:
    library = pytest.importorskip("google.cloud.bigquery", reason="the client of BigQuery is not installed")
    client = Recording()
    (plan,) = plan_loads(store, DATASET, [CALLS])
    assert load(client, plan)
    assert client.calls == ["get_table", "load_table_from_uri", "get_table", "update_table"]
    assert client.uris[plan.target] == list(plan.uris)
    config = client.configs[plan.target]
    assert config.write_disposition == library.WriteDisposition.WRITE_TRUNCATE
    assert config.parquet_options.enable_list_inference
    assert (config.time_partitioning.type_, config.time_partitioning.field) == ("DAY", "event_time")
    assert config.clustering_fields[:2] == ["tenant", "meeting"]
    assert [field.name for field in config.schema] == SCHEMA.names
    assert "Unit: s." in config.schema[-1].description
    assert client.tables[plan.target].labels == {LABEL: plan.digest}
    assert not load(client, plan)
    assert client.calls[4:] == ["get_table"]


def test_other_rows_than_the_files_hold_are_told_and_not_noted(store: Store) -> None:
    pytest.importorskip("google.cloud.bigquery", reason="the client of BigQuery is not installed")
    (plan,) = plan_loads(store, DATASET, [CALLS])
    client = Recording(rows_more=1)
    with pytest.raises(InfrastructureFault, match="BIGQUERY_ROWS"):
        load(client, plan)
    assert client.tables[plan.target].labels == {}


def test_refusals_quote_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Recording()

    def refuse(*_: Any) -> Any:
        raise ValueError("a value that does not fit")

    monkeypatch.setattr(client, "get_table", refuse)
    (plan,) = plan_loads(store, DATASET, [CALLS])
    with pytest.raises(InfrastructureFault, match="BIGQUERY_FAILED") as caught:
        load(client, plan)
    assert "a value" not in str(caught.value)


def test_the_stand_in_takes_what_the_client_takes() -> None:
    library = pytest.importorskip("google.cloud.bigquery", reason="the client of BigQuery is not installed")
    for name in ("get_table", "load_table_from_uri", "update_table", "delete_table"):
        ours, theirs = (
            inspect.signature(getattr(kind, name)).parameters for kind in (Recording, library.Client)
        )
        assert set(ours) <= set(theirs), name


def test_a_label_is_one_that_the_service_takes(store: Store) -> None:
    (plan,) = plan_loads(store, DATASET, [CALLS])
    assert len(plan.digest) <= 63
    assert plan.digest == plan.digest.lower()
