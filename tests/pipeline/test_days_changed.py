"""Days in clear beside wrapped keys and records: no cipher binds them, and by them things are destroyed."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import QUARANTINE_KEYS, QUARANTINE_REJECTED
from tests.pipeline.release_world import World, meeting
from tests.pipeline.test_erase import erase, everything
from tests.pipeline.test_reprocess import mended_contracts, run, unheard
from transforms.store import Store

NEVER = date(2999, 1, 1)
AFTERWARDS = "2026-06-01T00:00:00Z"
"""When everything has been sealed for too long."""


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    made = World(tmp_path, keys)
    made.adults("ada", "bob")
    made.ingest([*meeting(["ada", "bob"], items=2), unheard("u-1", "ada"), b"no json"])
    return made


def put_off(world: World, table: str, column: str) -> None:
    """Change a day in all rows of a table, in files of as many bytes."""
    store = Store.open(world.store)
    for record in store.files(table):
        path, kept = world.store / record.path, io.BytesIO()
        rows = pq.ParquetFile(path).read()
        field = rows.schema.field(column)
        days = pa.array([NEVER] * rows.num_rows, field.type)
        rows = rows.set_column(rows.schema.get_field_index(column), field, days)
        pq.write_table(rows, kept, store_schema=False, write_statistics=False, compression="zstd")
        content = kept.getvalue()
        footer = int.from_bytes(content[-8:-4], "little") + 8
        path.write_bytes(content[:-footer] + bytes(record.size - len(content)) + content[-footer:])


def test_nothing_outlives_its_time_because_somebody_has_changed_its_day(world: World) -> None:
    put_off(world, QUARANTINE_KEYS, "created")
    before = everything(world)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        erase(world, all_due=True, as_of=AFTERWARDS)
    assert everything(world) == before


@pytest.mark.parametrize(
    ("table", "column"), [(QUARANTINE_KEYS, "created"), (QUARANTINE_REJECTED, "received")]
)
def test_nothing_is_taken_in_again_under_a_day_that_somebody_has_changed(
    table: str, column: str, world: World, tmp_path: Path
) -> None:
    contracts = mended_contracts(tmp_path / "mended")
    version = Store.open(world.store).version
    put_off(world, table, column)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        run(world, contracts)
    assert Store.open(world.store).version == version
