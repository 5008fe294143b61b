"""The leak scan over telemetry files: planted leaks are counted where they lie, and never shown."""

from __future__ import annotations

import json
import secrets
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.generator import Settings, generate
from schemas.contract import ContractSet, load_contracts
from schemas.errors import InfrastructureFault
from tests.pipeline.support import ingest
from transforms.keys import create_key_directory
from transforms.manifests import FileRecord
from transforms.scan_leaks import UNDECLARED, Hit, LeakScan, scan_telemetry
from transforms.store import Store
from transforms.store_files import open_files
from validation.leak_detectors import detect

TABLE = "telemetry/zoom_participant"
LEAVING = "participant_leave_reason"
LEAK = "Ada said that she would leave on Tuesday"
DIGEST = secrets.token_hex(16)


def store_of(folder: Path, *tables: pa.Table, name: str = TABLE) -> Store:
    """What the scan needs of a store: files of one table."""
    live = {}
    for number, rows in enumerate(tables):
        path = f"{name}/part-{number}.parquet"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, folder / path)
        live[path] = FileRecord(path, name, rows.num_rows, 1, "")
    return cast(
        Store, SimpleNamespace(snapshot=SimpleNamespace(live=live), files_of_store=open_files(folder))
    )


@pytest.fixture(scope="module")
def contracts() -> list[ContractSet]:
    return [load_contracts()]


def scanned(folder: Path, *columns: dict[str, Any], contracts: list[ContractSet]) -> LeakScan:
    return scan_telemetry(store_of(folder, *map(pa.table, columns)), contracts)


def test_a_leak_is_counted_by_column_and_detector_and_not_shown(
    tmp_path: Path, contracts: list[ContractSet]
) -> None:
    some = {"event_type": [LEAK, DIGEST, LEAK], "meeting": [DIGEST, "ada@example.com", None]}
    scan = scanned(tmp_path, some, some, contracts=contracts)
    assert scan.hits == (
        Hit(TABLE, "event_type", "prose", 4, 2, False),
        Hit(TABLE, "meeting", "email", 2, 2, False),
    )
    assert scan.to_review == 6
    assert (scan.tables, scan.columns, scan.rows, scan.digests) == (1, 2, 10, 4)
    said = json.dumps(scan.as_json())
    assert "Ada" not in said
    assert "example" not in said


def test_a_word_that_a_contract_names_is_explained(tmp_path: Path, contracts: list[ContractSet]) -> None:
    cuts = [entry.cut for shape in contracts[0].shapes for entry in shape.fields if entry.cut is not None]
    reason = next(word for word in cuts[0].values if detect(word))
    columns = {LEAVING: [reason, f"{reason} because I was bored"]}
    explained, strange = sorted(
        scanned(tmp_path, columns, contracts=contracts).hits, key=lambda hit: not hit.explained
    )
    assert (explained.rows, explained.explained) == (1, True)
    assert (strange.rows, strange.explained) == (1, False)
    unknown = scan_telemetry(store_of(tmp_path, pa.table(columns)))
    assert not any(hit.explained for hit in unknown.hits)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[LEAK, DIGEST], None]),
        pa.array([LEAK.encode(), None]),
        pa.array([LEAK, None]).dictionary_encode(),
        pa.array([LEAK, None], pa.large_string()),
        pa.array([{"inner": LEAK}, None]),
        pa.array([LEAK.encode().hex(), None]),
    ],
    ids=["list", "bytes", "dictionary", "large", "struct", "hex"],
)
def test_every_kind_of_text_is_looked_at(column: Any, tmp_path: Path, contracts: list[ContractSet]) -> None:
    scan = scanned(tmp_path, {"event_type": column}, contracts=contracts)
    assert {"prose"} <= {hit.detector for hit in scan.hits}


def test_text_in_the_shape_of_a_digest_is_looked_at(tmp_path: Path, contracts: list[ContractSet]) -> None:
    hidden = b"she left so soon".hex()
    assert len(hidden) == 32
    scan = scanned(tmp_path, {"participant": [hidden, DIGEST]}, contracts=contracts)
    assert {hit.detector for hit in scan.hits} >= {"encoded", "prose"}
    assert scan.digests == 1


def test_the_name_of_a_column_that_nobody_declared_is_looked_at_and_not_shown(
    tmp_path: Path, contracts: list[ContractSet]
) -> None:
    scan = scanned(tmp_path, {LEAK: ["x", "ada@example.com"]}, contracts=contracts)
    assert {(hit.column, hit.detector) for hit in scan.hits} == {(UNDECLARED, "prose"), (UNDECLARED, "email")}
    assert LEAK not in json.dumps(scan.as_json())


def test_what_cannot_be_read_is_not_free_of_leaks(tmp_path: Path, contracts: list[ContractSet]) -> None:
    store = store_of(tmp_path, pa.table({"event_type": ["x"]}))
    (tmp_path / TABLE / "part-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(InfrastructureFault, match="STORE_FILE_BROKEN"):
        scan_telemetry(store, contracts)


def test_other_tables_are_not_scanned(tmp_path: Path, contracts: list[ContractSet]) -> None:
    scan = scan_telemetry(store_of(tmp_path, pa.table({"a": [LEAK]}), name="released"), contracts)
    assert scan == LeakScan(0, 0, 0, 0, 0, ())


def test_generated_events_give_no_false_hit(tmp_path: Path, contracts: list[ContractSet]) -> None:
    create_key_directory(tmp_path / "K", created=date(2026, 3, 2))
    generate(Settings(1500, seed=3), tmp_path / "E")
    ingest(tmp_path / "E" / "events", tmp_path / "S", tmp_path / "K")
    scan = scan_telemetry(Store.open(tmp_path / "S"), contracts)
    assert scan.to_review == 0
    assert scan.rows > 20_000
    assert scan.looked_at > 200
    assert scan.digests > 10_000
