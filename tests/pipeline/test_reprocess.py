"""Reprocessing end to end: what moves, what stays, what never comes back, and what can be proved of it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipelines import run_reprocess
from pipelines.cli import cli
from pipelines.run_erase import EraseOptions, run_erase
from pipelines.store_search import words_in_clear
from schemas.contract import bundled_contract_files
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from schemas.tables import (
    OPENINGS,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    ROSTER,
    TOMBSTONES,
)
from tests.pipeline.release_world import AS_OF, TENANT, World, chat, event, meeting
from tests.pipeline.reprocess_world import reprocess
from tests.pipeline.support import RECEIVED, opened, row_counts
from transforms import reprocess_writer
from transforms.chunked_encryption import SealBroken
from transforms.erase_orders import Order, write_order
from transforms.keys import load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening import VaultOpener
from transforms.opening_warrants import check_warrant, warrant_of_row
from transforms.reserved_tenant import RESERVED_TENANT
from transforms.sealed_format import BlobRow
from transforms.store import Store
from transforms.tombstones import tombstone_rows
from transforms.validate_written import known_contracts, validate_written
from transforms.written_conservation import conservation_words

ADA = "cofferdam.user_id:ada"
CANARIES = ("canary-mood", "canary-novel-text", "canary-odd-value", "canary-unheard", "canary-name")
CHAT = "telemetry/cofferdam_chat"
UNHEARD = "telemetry/cofferdam_unheard"


def mended_contracts(folder: Path) -> Path:
    """The Cofferdam contracts, with more fields of chat, and a type of event that they did not know."""
    folder.mkdir(parents=True)
    for path in bundled_contract_files():
        if path.name.startswith("cofferdam_"):
            shutil.copy(path, folder)
    file = folder / "cofferdam_messages.yaml"
    document = yaml.safe_load(file.read_text())
    document["version"] = "1.2.0"
    shape = next(each for each in document["schema"] if each["name"] == "cofferdam_chat")
    data = next(each for each in shape["properties"] if each["name"] == "data")
    bounds = {"logicalTypeOptions": {"minimum": 0, "maximum": 10}}
    data["properties"] += [
        {"name": "loudness", "logicalType": "integer", "classification": "service.telemetry", **bounds},
        {"name": "mood", "logicalType": "string", "classification": "content.sentiment"},
        {"name": "caption", "logicalType": "string", "classification": "content.chat"},
        {"name": "device", "logicalType": "string", "classification": "identifier.pseudonymous"},
    ]
    # Through text, as a copy would be an alias of the same list.
    unheard = yaml.safe_load(yaml.safe_dump(shape))
    unheard["name"] = "cofferdam_unheard"
    for entry in unheard["customProperties"]:
        if entry["property"] == "events":
            entry["value"] = ["io.cofferdam.unheard.v1"]
    document["schema"].append(unheard)
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def novel(identity: str, sender: str, **more: Any) -> dict[str, Any]:
    """A chat message with fields that no contract knows yet."""
    made = chat(identity, sender)
    made["data"] |= {"loudness": 3, "mood": "canary-mood", "caption": "canary-novel-text", **more}
    return made


def unheard(identity: str, sender: str) -> dict[str, Any]:
    """An event of a type that no contract knows yet."""
    return event("unheard", identity, "10:31", text="canary-unheard", participant={"user_id": sender})


@pytest.fixture(scope="module")
def contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mended_contracts(tmp_path_factory.mktemp("contracts") / "mended")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """A store with rejects, events of unknown type, and unclassified fields."""
    world = World(tmp_path_factory.mktemp("before"), keys)
    world.adults("ada", "bob")
    for name in ("ada", "bob"):
        world.say(name)
    odd = {"canary-name": "canary-odd-value"}
    world.ingest(
        [
            *meeting(["ada", "bob"], items=2),
            novel("n-1", "ada", **odd),
            novel("n-2", "bob", device="canary-device", loudness=99),
            unheard("u-1", "ada"),
            unheard("u-2", "bob"),
            b'{"specversion":"1.0","type":"io.cofferdam.never.v1","id":"x","source":"urn:a"}',
            b"{no json",
        ]
    )
    return world


def copied(world: World, folder: Path) -> World:
    """The same world in another folder."""
    shutil.copytree(world.folder, folder)
    moved = World.__new__(World)
    vars(moved).update({**vars(world), "folder": folder})
    return moved


@pytest.fixture
def world(before: World, tmp_path: Path) -> World:
    return copied(before, tmp_path / "world")


def run(world: World, contracts: Path, **changes: Any) -> dict[str, Any]:
    return reprocess(world.store, world.keys, contracts, **{"tenants": (), **changes})


def by_outcome(ledger: dict[str, Any], outcome: str) -> dict[tuple[str, str, str], int]:
    """What was told of one outcome: counts by what it was held as, field and reason."""
    return {
        (row["held_as"], row["field"], row["reason"]): row["count"]
        for row in ledger["values"]
        if row["outcome"] == outcome
    }


def erase(world: World) -> dict[str, Any]:
    options = EraseOptions(
        store=str(world.store),
        keys=world.keys / "release",
        consents=(world.consents,),
        registry=world.registry,
        as_of=AS_OF,
        subjects=(ADA,),
        max_share=100.0,
        allow_test_keys=True,
    )
    return run_erase(options, show_progress=False)


# --- what moves ---------------------------------------------------------------------------------------------


def test_records_and_fields_move_and_everything_else_stays(world: World, contracts: Path) -> None:
    sealed = opened(world.store, world.keys)
    ledger = run(world, contracts)
    assert by_outcome(ledger, "separated") == {("UNKNOWN_TYPE", "-", ""): 2}
    assert by_outcome(ledger, "telemetry") == {("unclassified", "data.loudness", ""): 1}
    stays = by_outcome(ledger, "stays")
    assert stays["unclassified", "data", "STILL_UNKNOWN"] == 1
    assert stays["unclassified", "data", "DOES_NOT_FIT"] == 1
    assert stays["unclassified", "data", "TENANT_UNKNOWN"] == 1
    assert stays["UNKNOWN_TYPE", "-", "UNKNOWN_TYPE"] == 1
    assert stays["NOT_JSON", "-", "NOT_MENDABLE"] == 1
    assert sorted(row["loudness"] or 0 for row in world.rows(CHAT)) == [0, 0, 0, 3]
    assert len(world.rows(UNHEARD)) == 2
    after = opened(world.store, world.keys)
    assert {raw for _, raw in after.parts_of_kind("sentiment")} == {b'"canary-mood"'}
    assert {path for path, _ in after.parts_of_kind("unclassified")} == {"data"}
    assert sorted(after.rejects.values()) == sorted(
        raw for raw in sealed.rejects.values() if b"unheard" not in raw
    )


def test_an_item_of_a_kind_that_its_event_has_already_is_one_of_its_own(
    world: World, contracts: Path
) -> None:
    """The other one may have been released, and is not opened."""
    run(world, contracts)
    rows = [row for row in world.rows(QUARANTINE_ITEMS) if row["kind"] == "chat"]
    ids = [row["item_id"] for row in rows]
    assert len(set(ids)) == len(ids) == 2 + 2 * 2 + 2
    found = opened(world.store, world.keys).items
    texts = {raw for item in ids for _, raw in found[item]}
    assert texts >= {b'"canary-novel-text"', b'"saying n-1"'}


def test_identifiers_move_once_the_tenant_is_named(world: World, contracts: Path) -> None:
    run(world, contracts, tenants=("other", TENANT))
    devices = [row["device"] for row in world.rows(CHAT) if row["device"]]
    assert len(devices) == 1
    assert len(devices[0]) == 32


def test_what_is_sealed_again_lives_no_longer(world: World, contracts: Path) -> None:
    run(world, contracts)
    assert {row["created"] for row in world.rows(QUARANTINE_KEYS)} == {RECEIVED}
    assert {row["received"] for row in world.rows(QUARANTINE_REJECTED)} == {RECEIVED}


def test_old_keys_are_gone_with_their_files(world: World, contracts: Path) -> None:
    old = {row["key_id"] for row in world.rows(QUARANTINE_REJECTED)}
    run(world, contracts)
    rows = world.rows(QUARANTINE_KEYS)
    assert not old & {row["key_id"] for row in rows}
    used = {row["wrapping_key_id"] for row in rows}
    assert {row["key_id"] for row in rows if row["covers"] == "bundle"} <= used
    assert unnamed(world) == []


def test_what_is_due_by_its_age_is_not_opened(world: World, contracts: Path) -> None:
    ledger = run(world, contracts, as_of="2026-06-01T00:00:00Z")
    assert (ledger["opened"]["items"], world.rows(OPENINGS)) == (0, [])
    assert {row["reason"] for row in ledger["values"]} == {"TIME_TO_LIVE_OVER", "NOT_MENDABLE"}


# --- looking first ------------------------------------------------------------------------------------------


def test_nobody_comes_in_as_the_tenant_of_canaries(world: World, contracts: Path) -> None:
    claimed = unheard("u-9", "eve")
    claimed["data"]["tenant_id"] = f"{RESERVED_TENANT}:x"
    world.ingest([claimed], "reserved.jsonl")
    ledger = run(world, contracts)
    assert by_outcome(ledger, "stays")["UNKNOWN_TYPE", "-", "RESERVED_TENANT"] == 1
    assert len(world.rows(UNHEARD)) == 2


def test_a_dry_run_tells_the_same_and_moves_nothing(world: World, contracts: Path) -> None:
    tables = row_counts(world.store)
    shown = run(world, contracts, dry_run=True)
    assert {**row_counts(world.store), OPENINGS: 0} == {**tables, OPENINGS: 0}
    assert {row["ground"] for row in world.rows(OPENINGS)} == {"reprocess"}
    assert run(world, contracts)["values"] == shown["values"]


def test_every_opening_rests_on_a_signed_order(world: World, contracts: Path) -> None:
    ledger = run(world, contracts)
    public = load_release_keys(world.keys / "release").log_signing_key.public_key()
    rows = world.rows(OPENINGS)
    for row in rows:
        check_warrant(public, warrant_of_row(row))
    assert {row["decision_id"] for row in rows} == {ledger["decision_id"]}
    assert {row["kind"] for row in rows} == {"unclassified", "rejected"}, (
        "no content that is known was opened"
    )


def test_what_was_opened_is_in_no_log_no_output_and_nowhere_in_clear(
    world: World, contracts: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = run(world, contracts)
    output = "".join((*capfd.readouterr(), caplog.text, json.dumps(ledger)))
    assert not [word for word in CANARIES if word in output]
    assert words_in_clear(Store.open(world.store), CANARIES) == []


# --- what never comes back ----------------------------------------------------------------------------------


def test_what_was_erased_does_not_come_back(world: World, contracts: Path) -> None:
    erase(world)
    gone = {row["item_id"] for row in world.rows(TOMBSTONES)}
    ledger = run(world, contracts)
    events = {row["event_id"] for row in world.rows(CHAT)}
    assert len(events) == 1, "Bob's message is left"
    assert not gone & {row["item_id"] for row in world.rows(QUARANTINE_ITEMS)}
    assert by_outcome(ledger, "telemetry") == {}


def test_a_reject_that_was_destroyed_and_came_again_stays_sealed(world: World, contracts: Path) -> None:
    """After the days that ingest looks back, the same record comes in under the same id."""
    store = Store.open(world.store, seal_of(load_release_keys(world.keys / "release")))
    ids = {row["reject_id"] for row in world.rows(QUARANTINE_REJECTED)}
    destroyed = [(each, "rejected", bytes(16), bytes(32), "TIME_TO_LIVE_OVER") for each in ids]
    with store.writer("erase-000001", TOMBSTONES) as writer:
        for rows in tombstone_rows("erase-000001", datetime(2026, 3, 9, tzinfo=UTC), destroyed):
            writer.append(rows)
        store.commit("erase-000001", writer.close(), {"kind": "erasure"})
    ledger = run(world, contracts)
    assert by_outcome(ledger, "stays")["UNKNOWN_TYPE", "-", "ERASED"] == 3
    assert world.rows(UNHEARD) == []


def test_nothing_is_opened_while_an_erasure_waits(world: World, contracts: Path) -> None:
    store = Store.open(world.store)
    write_order(
        store.files_of_store, load_release_keys(world.keys / "release"), Order("run-000001", (), True)
    )
    with pytest.raises(InfrastructureFault) as caught:
        run(world, contracts)
    assert caught.value.code == "ERASURE_UNFINISHED"
    assert world.rows(OPENINGS) == []


# --- afterwards ---------------------------------------------------------------------------------------------


def test_release_and_erasure_reach_what_was_reprocessed(world: World, contracts: Path) -> None:
    run(world, contracts)
    world.release()
    released = [part["value"] for row in world.released() for part in row["parts"]]
    assert b'"canary-novel-text"' in released
    assert b'"canary-unheard"' in released
    found = erase(world)["check"]
    assert (found["keys_opened"], found["rows_present"], found["files_left"]) == (0, 0, 0)
    left = opened(world.store, world.keys).everything()
    assert b"saying n-1" not in left
    assert left.count(b"canary-mood") == 1, "Bob's"
    assert len(world.rows(UNHEARD)) == 1
    assert world.rows(ROSTER)
    assert validate_written(Store.open(world.store), known_contracts([contracts])).violations == ()


def test_its_ledger_accounts_for_every_row(world: World, contracts: Path) -> None:
    run(world, contracts, dry_run=True)
    run(world, contracts)
    found = {(table, what): words for table, what, words in conservation_words(Store.open(world.store))}
    assert found[QUARANTINE_ITEMS, "rows that a reprocessing changed"] == {"equal": 1}
    assert found[UNHEARD, "rows that a reprocessing changed"] == {"equal": 1}
    assert not [words for words in found.values() if "differs" in words]


def test_the_log_verifies_and_tells_of_it(world: World, contracts: Path) -> None:
    run(world, contracts, dry_run=True)
    run(world, contracts)
    shown = CliRunner().invoke(
        cli, ["audit", "verify", "--store", str(world.store), "--keys", str(world.keys)]
    )
    assert (shown.exit_code, "Everything holds" in shown.output) == (0, True), shown.output
    assert "4 reprocess" in shown.output


def test_old_input_adds_nothing_afterwards(world: World, contracts: Path) -> None:
    run(world, contracts)
    tables = {name: rows for name, rows in row_counts(world.store).items() if name != "ledger"}
    world.ingest(
        [novel("n-1", "ada", **{"canary-name": "canary-odd-value"}), unheard("u-1", "ada")], "b.jsonl"
    )
    assert {name: rows for name, rows in row_counts(world.store).items() if name != "ledger"} == tables


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_a_run_that_does_not_add_up_changes_nothing(
    world: World, contracts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = set(Store.open(world.store).snapshot.live)
    close = reprocess_writer.Resealer.close

    def losing(self: Any) -> Any:
        records, counts = close(self)
        return records[1:], counts

    monkeypatch.setattr(reprocess_writer.Resealer, "close", losing)
    with pytest.raises(PromiseBroken) as caught:
        run(world, contracts)
    assert caught.value.code == "REPROCESS_DOES_NOT_RECONCILE"
    assert set(Store.open(world.store).snapshot.live) == files
    assert unnamed(world) == []


def unnamed(world: World) -> list[str]:
    """Files of tables that no manifest names."""
    live = Store.open(world.store).snapshot.live
    files = [path.relative_to(world.store).as_posix() for path in world.store.rglob("*.parquet")]
    return [path for path in files if path not in live]


def test_a_blob_that_does_not_open_stays_and_the_others_move(
    world: World, contracts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [row for row in world.rows(QUARANTINE_KEYS) if row["holds"] == "rejected"]
    broken = next(row["key_id"] for row in keys if row["covers"] == "data")
    whole = VaultOpener.open_blob

    def damaged(self: VaultOpener, row: BlobRow) -> Any:
        if row.key_id == broken:
            raise SealBroken("SEAL_BROKEN", "damaged")
        return whole(self, row)

    monkeypatch.setattr(VaultOpener, "open_blob", damaged)
    ledger = run(world, contracts)
    assert ledger["opened"]["broken"] == {broken.hex(): "SEAL_BROKEN"}
    assert by_outcome(ledger, "telemetry") == {("unclassified", "data.loudness", ""): 1}
    assert len(world.rows(QUARANTINE_REJECTED)) == 4


# --- the commands -------------------------------------------------------------------------------------------


def command(world: World, *words: str) -> Result:
    given = ["--store", str(world.store), "--keys", str(world.keys / "release"), "--as-of", AS_OF]
    return CliRunner().invoke(cli, [*words, *given])


def test_the_command_shows_moves_and_has_nothing_left_to_move(world: World, contracts: Path) -> None:
    shown = command(world, "reprocess", "--contracts", str(contracts), "--dry-run")
    assert (shown.exit_code, "What would move" in shown.output) == (0, True), shown.output
    assert "Nothing was moved" in shown.output
    moved = command(world, "reprocess", "--contracts", str(contracts))
    assert "sealed sentiment" in moved.output
    again = command(world, "reprocess", "--contracts", str(contracts))
    assert "What moved: nothing" in again.output
    assert not [word for word in CANARIES if word in shown.output + moved.output + again.output]


def test_drift_shows_names_and_types_on_the_screen_only(world: World) -> None:
    shown = command(world, "drift", "show")
    assert shown.exit_code == 0, shown.output
    for words in ("canary-name", "loudness", "number", "io.cofferdam.unheard.v1", "io.cofferdam.never.v1"):
        assert words in shown.output
    assert not [word for word in CANARIES if word in shown.output and word != "canary-name"]
    assert words_in_clear(Store.open(world.store), ["canary-name", "loudness", "io.cofferdam.never"]) == []
    assert {row["ground"] for row in world.rows(OPENINGS)} == {"drift"}


def test_drift_counts_and_hashes_as_ledgers_do(world: World) -> None:
    found = json.loads(command(world, "drift", "show", "--json").stdout)
    fields = {row["name"]: row for row in found["unknown_fields"]}
    assert fields["mood"] | {"name_digest": ""} == {
        "source": "cofferdam",
        "event_type": "io.cofferdam.chat.message.sent.v1",
        "parent": "data",
        "name": "mood",
        "json_type": "string",
        "name_digest": "",
        "values": 2,
    }
    ledger = Store.open(world.store).snapshot.manifests[0].facts["ledger"]
    assert {row["name_digest"] for row in ledger["drift"]} == {row["name_digest"] for row in fields.values()}
    assert {row["event_type"]: row["records"] for row in found["unknown_types"]} == {
        "io.cofferdam.unheard.v1": 2,
        "io.cofferdam.never.v1": 1,
    }


def test_an_instant_that_cannot_be_read_is_refused(world: World) -> None:
    shown = CliRunner().invoke(
        cli,
        ["reprocess", "--store", str(world.store), "--keys", str(world.keys / "release"), "--as-of", "soon"],
    )
    assert (shown.exit_code, "AS_OF_UNREADABLE" in shown.output) == (2, True)
    assert run_reprocess.read_instant(None) <= datetime.now(UTC)
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"):
        with pytest.raises(ConfigurationError, match="AS_OF_UNREADABLE"):
            run_reprocess.read_instant(text)
