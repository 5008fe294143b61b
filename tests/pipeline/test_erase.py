"""An erasure destroys what is a person's, and nothing else, wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.run_erase import EraseOptions, run_erase
from schemas.errors import ConfigurationError, InfrastructureFault, TooMuchErased
from schemas.tables import (
    ERASED_EVENTS,
    FILTERS,
    QUARANTINE_BLOBS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    RECALLS,
    RELEASED,
    ROSTER,
    TELEMETRY,
    TOMBSTONES,
)
from tests.pipeline.release_world import AS_OF, World, chat, event, meeting
from tests.pipeline.support import RECEIVED, opened
from transforms import store_reading
from transforms.keys import load_release_keys
from transforms.manifests import FileRecord
from transforms.parquet_files import TableWriter
from transforms.pseudonyms import join_pseudonyms, telemetry_pseudonyms
from transforms.store import Store

ADA = "cofferdam.user_id:ada"
PARTS = ("quarantine", TELEMETRY, ROSTER, "tombstones", "released")


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Two meetings of three people; in the first everybody agrees, and Ada's chat is released."""
    made = World(tmp_path, keys)
    made.adults("ada", "bob", "eve")
    for name in ("ada", "bob", "eve"):
        made.say(name, scope="tenant:t1")
    made.ingest(
        [*meeting(["ada", "bob"], items=3), chat("bobs", "bob"), *meeting(["bob", "eve"], "m2", items=2)]
    )
    return made


def options(world: World, *subjects: str, **changes: Any) -> EraseOptions:
    plain: dict[str, Any] = {
        "store": str(world.store),
        "keys": world.keys / "release",
        "consents": (world.consents,),
        "registry": world.registry,
        "as_of": AS_OF,
        "subjects": subjects,
        "max_share": 100.0,
        "allow_test_keys": True,
    }
    return EraseOptions(**{**plain, **changes})


def erase(world: World, *subjects: str, **changes: Any) -> dict[str, Any]:
    return run_erase(options(world, *subjects, **changes), show_progress=False)


def files_of(world: World) -> dict[str, bytes]:
    """Every file of a store with its digest, but for its lock."""
    return {
        str(path.relative_to(world.store)): hashlib.sha256(path.read_bytes()).digest()
        for path in world.store.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def names_of(world: World, user: str) -> set[str]:
    """All pseudonyms of a user."""
    keys = load_release_keys(world.keys / "release")
    kind = "cofferdam.user_id"
    found = {join_pseudonyms(keys).pseudonym(user, identifier_type=kind)}
    for epoch in keys.epoch_roots:
        telemetry = telemetry_pseudonyms(keys, epoch_id=epoch)
        found.add(telemetry.pseudonym(user, identifier_type=kind, tenant="t1"))
    return found


def everything(world: World) -> str:
    """All rows of all tables as text, but for the log of decisions."""
    store = Store.open(world.store)
    tables = [table for table in store.tables() if table.startswith(PARTS)]
    return repr([store.read_table(table).to_pylist() for table in tables])


def test_a_person_is_erased_wherever_they_are_and_nobody_else(world: World) -> None:
    world.release()
    before = opened(world.store, world.keys).items
    theirs = {row["item_id"] for row in world.rows(QUARANTINE_ITEMS)} - {
        row["item_id"]
        for row in world.rows(QUARANTINE_ITEMS)
        if row["sender_join"] not in names_of(world, "ada")
    }
    assert len(theirs) == 3
    ledger = erase(world, ADA)
    assert (ledger["items"] >= 3, ledger["check"]["keys_opened"], ledger["check"]["rows_present"]) == (
        True,
        0,
        0,
    )
    assert not any(name in everything(world) for name in names_of(world, "ada"))
    after = opened(world.store, world.keys).items
    assert after == {item: parts for item, parts in before.items() if item not in theirs and item in after}
    assert theirs.isdisjoint(after)
    assert set(before) - set(after) == {row["item_id"] for row in world.rows(TOMBSTONES)}
    assert all(name in everything(world) for name in names_of(world, "bob"))
    Store.open(world.store).check(digests=True)


def test_a_dry_run_says_the_same_and_writes_nothing(world: World) -> None:
    world.release()
    before = files_of(world)
    shown = erase(world, ADA, dry_run=True)
    assert files_of(world) == before
    done = erase(world, ADA)
    same = ("items", "rows", "kinds", "events", "recalls", "files", "data_keys", "bundle_keys", "share")
    assert [shown[name] for name in same] == [done[name] for name in same]
    assert (shown["dry_run"], "check" in shown) == (True, False)


def test_an_erasure_of_too_much_is_stopped_before_anything_is_written(world: World) -> None:
    before = files_of(world)
    with pytest.raises(TooMuchErased) as caught:
        erase(world, ADA, max_share=10.0)
    assert (caught.value.code, caught.value.exit_code) == ("ERASES_TOO_MUCH", 4)
    assert files_of(world) == before


def test_tombstones_and_recalls_tell_what_went_and_who_had_used_it(world: World) -> None:
    released = world.release()
    files = [record.path for record in Store.open(world.store).files(RELEASED)]
    sealed = {row["key_id"]: row["ciphertext"] for row in world.rows(QUARANTINE_BLOBS)}
    ledger = erase(world, ADA)
    stones = world.rows(TOMBSTONES)
    assert len(stones) == ledger["items"] > 0
    for row in stones:
        assert row["digest"] == hashlib.sha256(sealed[row["key_id"]]).digest()
        assert (row["reason"], row["run_id"]) == ("ERASURE_REQUESTED", ledger["run_id"])
    assert {row["key_id"] for row in stones}.isdisjoint(row["key_id"] for row in world.rows(QUARANTINE_KEYS))
    (recall,) = world.rows(RECALLS)
    assert (recall["export_run_id"], recall["recipient"]) == (released["run_id"], "first_party")
    assert len(recall["item_ids"]) == ledger["recalls"] == 3
    assert set(recall["files"]) <= set(files)
    assert {row["item_id"] for row in world.released()}.isdisjoint(recall["item_ids"])
    assert len(world.released()) == released["released"] - 3


def test_a_later_recall_still_names_the_file_that_was_released(world: World) -> None:
    world.release()
    files = {record.path for record in Store.open(world.store).files(RELEASED)}
    erase(world, ADA)
    erase(world, "cofferdam.user_id:bob")
    assert {file for row in world.rows(RECALLS) for file in row["files"]} <= files
    assert len({row["export_run_id"] for row in world.rows(RECALLS)}) == 1


def test_old_input_does_not_bring_back_what_was_erased(world: World) -> None:
    erase(world, ADA)
    before = everything(world)
    world.ingest(
        [*meeting(["ada", "bob"], items=3), chat("bobs", "bob"), *meeting(["bob", "eve"], "m2", items=2)]
    )
    assert everything(world) == before
    # Neither when ingest looks no days back, nor in another spelling.
    again = [dict(reversed(one.items())) for one in meeting(["ada", "bob"], items=3)]
    world.ingest(again, digest_since=RECEIVED.replace(year=2099))
    assert not any(name in everything(world) for name in names_of(world, "ada"))
    assert not world.rows("quarantine/rejected")


def test_what_killed_runs_have_left_goes_too(world: World) -> None:
    """Keys that a killed rotation has wrapped anew, copies of a killed release: no manifest names them."""
    world.release()
    left = []
    for record in list(Store.open(world.store).snapshot.live.values()):
        path = world.store / record.path
        left.append(path.with_name(f"20260101t000000z-0-{path.name}"))
        left[-1].write_bytes(path.read_bytes())
    erase(world, ADA)
    assert left
    assert not [path for path in left if path.exists()]


def test_nobody_is_released_because_somebody_was_erased(world: World) -> None:
    """Ada had refused: with her gone, what Bob said in the same meeting stays where it is."""
    world.say("ada", "refused", scope="tenant:t1", event_time="2026-03-03T09:00:00Z")
    erase(world, ADA)
    ledger = world.release()
    by_meeting = {row["meeting_join"]: row for row in world.classes(ledger["run_id"])}
    assert len(by_meeting) == 2
    assert sorted(row["decision"] for row in by_meeting.values()) == ["QUARANTINE", "RELEASE"]
    held = next(row for row in by_meeting.values() if row["decision"] == "QUARANTINE")
    assert {"PARTICIPANT_UNIDENTIFIED", "ROSTER_INCOMPLETE"} <= set(held["reasons"])
    nameless = [
        row for row in world.rows(ROSTER) if row["event"] in ("join", "leave") and not row["subjects"]
    ]
    assert len(nameless) == 2
    assert len({row["join_pseudonym"] for row in nameless}) == 1
    assert {row["event_id"] for row in nameless} == {None}


def test_visits_and_other_identifiers_lead_to_the_person_and_not_to_others(
    tmp_path: Path, keys: Path
) -> None:
    world = World(tmp_path, keys)
    world.people({"ada": {"identifiers": [{"type": "email", "value": "Ada@Example.org"}]}, "bob": {}})
    anonymous = event("meeting.quality", "q1", "10:20", participant={"join_id": "visit-m1-ada-10:00"})
    others = event("meeting.quality", "q2", "10:20", participant={"join_id": "visit-m1-bob-10:00"})
    world.ingest([*meeting(["bob", "ada"]), anonymous, others])
    table = f"{TELEMETRY}/cofferdam_quality"
    assert len(world.rows(table)) == 2
    ledger = erase(world, "email:ada@example.org ")
    assert len(world.rows(table)) == 1
    assert (ledger["items"], ledger["check"]["rows_present"]) == (0, 0)
    assert not any(name in everything(world) for name in names_of(world, "ada"))


def test_a_tenant_that_is_not_registered_is_reached_through_the_roster(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path, keys)
    events = meeting(["ada", "bob"])
    for one in events:
        one["data"]["tenant_id"] = "elsewhere"
    world.ingest(events)
    rows = len(world.rows(f"{TELEMETRY}/cofferdam_participant"))
    erase(world, ADA)
    assert len(world.rows(f"{TELEMETRY}/cofferdam_participant")) == rows - 2
    assert not any(name in everything(world) for name in names_of(world, "ada"))


def test_a_second_erasure_of_the_same_person_finds_nothing(world: World) -> None:
    erase(world, ADA)
    before = files_of(world)
    ledger = erase(world, ADA)
    assert (ledger["items"], ledger["rows"], ledger["files"]["rewritten"]) == (0, {}, 0)
    assert files_of(world) == before


def test_an_identifier_of_several_people_erases_nobody(world: World) -> None:
    world.people({"ada": {}, "bob": {"identifiers": [{"type": "cofferdam.user_id", "value": "ada"}]}})
    before = files_of(world)
    for subject, code in ((ADA, "SUBJECT_AMBIGUOUS"), ("ada", "SUBJECT_INVALID")):
        with pytest.raises(ConfigurationError) as caught:
            erase(world, subject)
        assert (caught.value.code, "ada" in caught.value.message) == (code, False)
    assert files_of(world) == before


def test_a_legal_hold_keeps_everything_and_the_erasure_follows_when_it_ends(world: World) -> None:
    world.declare(legal_hold=True)
    everything_before = everything(world)
    ledger = erase(world, ADA)
    assert (ledger["items"], ledger["rows"]) == (0, {})
    assert ledger["held"][ROSTER] == 2
    assert everything(world) == everything_before
    assert world.release()["released"] == 0
    world.declare(legal_hold=False)
    with pytest.raises(InfrastructureFault) as caught:
        world.release()
    assert caught.value.code == "ERASURE_UNFINISHED"
    erase(world, "cofferdam.user_id:nobody")
    assert not any(name in everything(world) for name in names_of(world, "ada"))
    assert world.release()["stopped"] is None


def test_only_files_that_hold_the_person_are_read_and_written_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ingest([*meeting(["eve", "bob"], "m3", items=2)], "more.jsonl")
    before = {record.path for record in Store.open(world.store).snapshot.live.values()}
    looked_into: set[str] = set()
    scan = Store.scan

    def noted(
        self: Store, table: str, columns: Any = None, where: Any = None, records: Any = None
    ) -> Iterator[pa.RecordBatch]:
        looked_into.update(record.path for record in (self.files(table) if records is None else records))
        return scan(self, table, columns, where, records)

    monkeypatch.setattr(Store, "scan", noted)
    ledger = erase(world, ADA)
    after = {record.path for record in Store.open(world.store).snapshot.live.values()}
    first = min(Store.open(world.store).snapshot.manifests, key=lambda manifest: manifest.number)
    assert before - after <= {record.path for record in first.adds}
    others = [record.path for record in Store.open(world.store).snapshot.manifests[1].adds]
    assert len(looked_into.intersection(others)) <= 3, "more than filters take by mistake"
    replaced = {path for path in before - after if not path.startswith(FILTERS)}
    assert len(replaced) == ledger["files"]["rewritten"]
    assert not any((world.store / path).exists() for path in before - after)
    store = Store.open(world.store)
    assert set(store_reading.filters(store.files_of_store, store.files(FILTERS))) <= after
    assert [row["run_id"] for row in world.rows(ERASED_EVENTS)] == [ledger["run_id"]] * ledger["events"]


def test_nothing_in_the_store_says_yes_to_an_erased_person(world: World) -> None:
    """Filters, manifests, footers and log: copies of Ada's and of Bob's messages lie in one released file."""
    assert world.release()["released"] == 6
    theirs = {row["item_id"] for row in world.rows(RELEASED)} - bobs(world)
    names = names_of(world, "ada") | {
        row["join_pseudonym"]
        for row in world.rows(ROSTER)
        if names_of(world, "ada") & {each["pseudonym"] for each in row["subjects"]}
    }
    assert len(names) == 3
    assert len(theirs) == 3
    erase(world, ADA)
    assert len(world.rows(RELEASED)) == len(bobs(world)) == 3
    store = Store.open(world.store)
    known = store_reading.filters(store.files_of_store, store.files(FILTERS))
    assert set(known) == {record.path for record in store.snapshot.live.values()} - {
        record.path for record in store.files(FILTERS)
    }
    for path, found in known.items():
        assert found == filter_of_rows(store, store.snapshot.live[path]), path
    written = [file for part in KEPT_PARTS for file in (world.store / part).rglob("*") if file.is_file()]
    assert len(written) > 20
    for name in names | theirs:
        told = [file for file in written if any(each in file.read_bytes() for each in spellings(name))]
        of_items = {file.relative_to(world.store).parts[0] for file in told}
        assert of_items <= ({"tombstones", "openings"} if name in theirs else set())


KEPT_PARTS = ("manifests", "log", "erasures", "ledger", "openings", *PARTS)
"""Where an erasure leaves nothing; decisions and consent records stay as evidence."""


def bobs(world: World) -> set[str]:
    """Items that Bob has sent and that are not destroyed."""
    items = world.rows(QUARANTINE_ITEMS)
    return {row["item_id"] for row in items if row["sender_join"] in names_of(world, "bob")} & {
        row["item_id"] for row in world.rows(RELEASED)
    }


def spellings(name: str) -> tuple[bytes, bytes]:
    return name.encode(), bytes.fromhex(name)


def filter_of_rows(store: Store, record: FileRecord) -> bytes:
    """A file's filter, made from nothing but the rows that are in it now."""
    rows = store.read_table(record.table, where=None).schema
    with TableWriter(store.files_of_store, "run-of-test", record.table, rows) as writer:
        for batch in store.scan(record.table, records=[record]):
            own = pa.Table.from_batches([batch])
            found_by = {QUARANTINE_KEYS: "key_id", RELEASED: "item_id"}.get(record.table)
            writer.append(own, own.column(found_by).to_pylist() if found_by else ())
        (made,) = writer.close()
    store.files_of_store.delete(made.path)
    assert made.filter is not None
    return made.filter
