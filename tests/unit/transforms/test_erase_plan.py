from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.contract import ContractSet
from schemas.tables import FIXED_TABLES, QUARANTINE_BLOBS, QUARANTINE_ITEMS, QUARANTINE_KEYS
from transforms.erase_plan import ErasurePlan, Planner, due_by_age, held_keys
from transforms.erase_reach import ERASURE_REQUESTED, Reach, Scope, Space
from transforms.manifests import FileRecord
from transforms.store import Store

ADA, BOB = "a" * 32, "b" * 32
M1, M2, T1 = "1" * 32, "2" * 32, "f" * 32
OLD, NEW = date(2026, 1, 1), date(2026, 2, 1)


def key(name: str) -> bytes:
    return name.encode().ljust(16, b"-")


def keys_table(bundle: str, created: date, *data: str, holds: str = "items") -> pa.Table:
    shared = {"holds": holds, "wrapped": b"w", "created": created}
    rows = [{"key_id": key(bundle), "covers": "bundle", "wrapping_key_id": key("vault"), **shared}]
    rows += [
        {"key_id": key(name), "covers": "data", "wrapping_key_id": key(bundle), **shared} for name in data
    ]
    return pa.Table.from_pylist(rows, schema=FIXED_TABLES[QUARANTINE_KEYS])


def blobs_table(*blobs: tuple[str, str, str]) -> pa.Table:
    """A blob for each of key, sender and meeting."""
    rows = [
        {
            "key_id": key(name),
            "part": 0,
            "tenant": T1,
            "meeting": meeting,
            "sender": sender,
            "kind": "chat",
            "item_ids": key(f"i{name}"),
            "ciphertext": name.encode(),
        }
        for name, sender, meeting in blobs
    ]
    return pa.Table.from_pylist(rows, schema=FIXED_TABLES[QUARANTINE_BLOBS])


def written(store: Store, table: str, rows: pa.Table, members: Iterable[bytes] = ()) -> list[FileRecord]:
    with store.writer("run-000001", table) as writer:
        writer.append(rows, members)
        return writer.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Keys in three files: one whose filter knows its keys, one whose filter knows others, one silent."""
    store = Store.open_or_create(tmp_path / "S")
    first, second, third = (
        keys_table("b1", OLD, "k1", "k2"),
        keys_table("b2", NEW, "k3"),
        keys_table("b3", NEW, "k1", "k4"),
    )
    records = [
        *written(store, QUARANTINE_KEYS, first, first.column("key_id").to_pylist()),
        *written(store, QUARANTINE_KEYS, second, second.column("key_id").to_pylist()),
        *written(store, QUARANTINE_KEYS, third),
        *written(store, QUARANTINE_BLOBS, blobs_table(("k1", ADA, M1), ("k2", BOB, M1), ("k3", ADA, M2))),
    ]
    items = [{"item_id": "0" * 32, "key_id": key("k1"), "sender_join": ADA, "event_id": "e" * 32}]
    items_table = pa.Table.from_pylist(items, schema=FIXED_TABLES[QUARANTINE_ITEMS])
    return store.commit("run-000001", [*records, *written(store, QUARANTINE_ITEMS, items_table)], {})


def planned(store: Store, space: Space, **more: dict[bytes, str]) -> ErasurePlan:
    return Planner(store, ContractSet(()), Reach(space, Space())).make(more.get("due", {}))


def gone(plan: ErasurePlan, table: str) -> int:
    return sum(edit.gone for edit in plan.edits_of(table))


def test_what_a_person_sent_goes_with_every_wrapping_of_its_key(store: Store) -> None:
    plan = planned(store, Space(people=frozenset({ADA}), held=Scope(meetings=frozenset({M2}))))
    assert plan.keys == {key("k1"): ERASURE_REQUESTED}
    assert (gone(plan, QUARANTINE_KEYS), gone(plan, QUARANTINE_BLOBS), gone(plan, QUARANTINE_ITEMS)) == (
        2,
        1,
        1,
    )
    assert len(plan.edits_of(QUARANTINE_KEYS)) == 2
    (item,) = plan.destroyed
    assert (item.key_id, item.kind, item.reason) == (key("k1"), "chat", ERASURE_REQUESTED)
    assert plan.events == {"e" * 32}
    assert (plan.held[QUARANTINE_BLOBS], plan.held_in) == (1, {(T1, M2)})


def test_a_bundle_key_goes_when_nothing_is_left_under_it(store: Store) -> None:
    assert planned(store, Space(people=frozenset({ADA}))).bundles == {key("b2")}
    everything = planned(store, Space(people=frozenset({ADA, BOB})), due={key("k4"): "TIME_TO_LIVE_OVER"})
    assert everything.bundles == {key("b1"), key("b2"), key("b3")}
    assert gone(everything, QUARANTINE_KEYS) == 8


def test_a_whole_meeting_goes(store: Store) -> None:
    plan = planned(store, Space(gone=Scope(meetings=frozenset({M1}))))
    assert set(plan.keys) == {key("k1"), key("k2")}
    assert set(plan.keys.values()) == {"DECLARED_DUE"}


def test_nothing_is_planned_for_nobody(store: Store) -> None:
    plan = planned(store, Space(people=frozenset({"9" * 32})))
    assert (plan.edits, plan.keys, plan.destroyed, plan.events) == ([], {}, [], set())
    assert ADA not in repr(plan)


def test_keys_are_due_by_the_day_they_were_made(store: Store) -> None:
    assert due_by_age(store, {"items": OLD}, "why") == {}
    assert due_by_age(store, {"items": NEW}, "why") == {key("k1"): "why", key("k2"): "why"}
    assert due_by_age(store, {"rejected": date(2027, 1, 1)}, "why") == {}


def test_held_keys_are_those_of_held_meetings(store: Store) -> None:
    assert held_keys(store, Space()) == frozenset()
    assert held_keys(store, Space(held=Scope(meetings=frozenset({M1})))) == {key("k1"), key("k2")}
    whole = Scope(tenants=frozenset({T1}), spared=frozenset({M1}))
    assert held_keys(store, Space(held=whole)) == {key("k3")}
