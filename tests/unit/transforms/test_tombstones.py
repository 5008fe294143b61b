from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from schemas.tables import ERASED_EVENTS, FIXED_TABLES, TOMBSTONES
from transforms.store import Store
from transforms.tombstones import destroyed_items, erased_events, event_rows, tombstone_rows

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
ITEM, KEY, DIGEST, EVENT = "1" * 32, b"k" * 16, b"d" * 32, "ab" * 16


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with one tombstone and one erased event."""
    store = Store.open_or_create(tmp_path / "S")
    (stones,) = tombstone_rows("run-000001", AS_OF, [(ITEM, "chat", KEY, DIGEST, "ERASURE_REQUESTED")])
    records = []
    for table, rows in (
        (TOMBSTONES, stones),
        (ERASED_EVENTS, event_rows("run-000001", [EVENT, EVENT[::-1]])),
    ):
        assert rows.schema == FIXED_TABLES[table]
        with store.writer("run-000001", table) as writer:
            writer.append(rows)
            records += writer.close()
    return store.commit("run-000001", records, {})


def test_tombstones_tell_what_is_gone(store: Store) -> None:
    assert [row for table in destroyed_items(store) for row in table.to_pylist()] == [{"item_id": ITEM}]
    ids = [row["id_digest"].hex() for table in erased_events(store) for row in table.to_pylist()]
    assert ids == sorted([EVENT, EVENT[::-1]])


def test_a_store_without_erasures_has_none(tmp_path: Path) -> None:
    store = Store.open_or_create(tmp_path / "S")
    assert (list(destroyed_items(store)), list(erased_events(store))) == ([], [])
    assert list(tombstone_rows("run-000001", AS_OF, [])) == []


@pytest.mark.parametrize("table", [TOMBSTONES, ERASED_EVENTS])
def test_no_manifest_takes_them_away(store: Store, table: str) -> None:
    with pytest.raises(InfrastructureFault, match="STORE_NOT_REMOVABLE"):
        store.commit("run-000002", [], {}, removes=[store.files(table)[0].path])
