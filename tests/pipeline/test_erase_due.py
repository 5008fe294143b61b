"""What is due goes: by withdrawals, by requests that are registered, by age. What is doubtful stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import run_erase
from pipelines.engines import run_to_commit
from schemas.errors import InfrastructureFault, PromiseBroken
from schemas.tables import (
    DECISION_CLASSES,
    QUARANTINE_ITEMS,
    QUARANTINE_KEYS,
    QUARANTINE_REJECTED,
    RECALLS,
    RELEASED,
    ROSTER,
    TELEMETRY,
    TOMBSTONES,
)
from tests.pipeline.release_world import AS_OF, TENANT, World, chat, meeting, presence
from tests.pipeline.test_erase import erase, everything, files_of
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import ManifestSeal, seal_of
from transforms.store import Store
from validation.policy_loading import SHIPPED_PROFILES

LATER = "2026-03-09T00:00:00Z"


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Two meetings with chat of Ada and Bob; everybody agrees to AI training, and it is released."""
    made = World(tmp_path, keys)
    made.adults("ada", "bob", "eve")
    for name in ("ada", "bob", "eve"):
        made.say(name, scope="tenant:t1")
    made.ingest([*meeting(["ada", "bob"], items=2), *meeting(["bob", "eve"], "m2", items=2), b"no json"])
    return made


def only_training(world: World) -> None:
    """Register no purpose but AI training."""
    document = json.loads(SHIPPED_PROFILES.read_text())
    purposes = json.loads((world.registry / "purposes.json").read_text())
    purposes["purposes"] = only(purposes["purposes"])
    document["base_purposes"] = only(document["base_purposes"])
    document["floor"]["consent_all_purposes"] = ["ai_training"]
    for profile in document["profiles"].values():
        profile.update(
            {name: only(profile[name]) for name in ("purposes", "prohibited_if") if name in profile}
        )
        profile.pop("vague_purposes", None)
    (world.registry / "policies.json").write_text(json.dumps(document))
    (world.registry / "purposes.json").write_text(json.dumps(purposes))
    (world.registry / "registry.json").unlink()
    for entry in world.tenants["tenants"].values():
        entry["authorised"] = [one for one in entry["authorised"] if one["purpose"] == "ai_training"]
    world.write_tenants()


def only(by_purpose: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in by_purpose.items() if name == "ai_training"}


def due(world: World, **changes: Any) -> dict[str, Any]:
    return erase(world, all_due=True, **changes)


def test_nothing_is_due_where_everybody_agrees(world: World) -> None:
    world.release()
    before = everything(world)
    ledger = due(world)
    assert (ledger["items"], ledger["recalls"], ledger["waiting"]) == (0, 0, 0)
    assert everything(world) == before


@pytest.mark.parametrize("status", ["withdrawn", "refused"])
def test_a_no_deletes_the_copies_of_its_purpose_and_leaves_the_sealed_item(world: World, status: str) -> None:
    world.release()
    items = world.rows(QUARANTINE_ITEMS)
    world.say("ada", status, scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    ledger = due(world)
    assert (ledger["items"], ledger["recalls"]) == (0, 2)
    assert world.rows(QUARANTINE_ITEMS) == items
    assert len(world.released()) == 2
    (recall,) = world.rows(RECALLS)
    assert (recall["reason"], recall["purpose"], len(recall["item_ids"])) == ("WITHDRAWN", "ai_training", 2)
    decided = [row for row in world.rows(DECISION_CLASSES) if row["stage"] == "erase"]
    assert [(row["decision"], row["purpose"]) for row in decided] == [("ERASE", "ai_training")]
    assert due(world)["recalls"] == 0


def test_decisions_that_another_has_put_in_the_place_of_its_own_destroy_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release()
    before = everything(world)
    seals = {"nobody": None, "writing side": seal_of(load_ingest_keys(world.keys / "ingest"))}
    decide = run_to_commit
    for seal in seals.values():

        def forge(*given: Any, seal: ManifestSeal | None = seal, **more: Any) -> bool:
            done = decide(*given, **more)
            all_withdrawn(Path(given[1]), seal)
            return done

        monkeypatch.setattr(run_erase, "run_to_commit", forge)
        with pytest.raises(PromiseBroken, match="STORE_MANIFEST_SEAL"):
            due(world)
    assert everything(world) == before


def test_a_file_of_decisions_that_was_exchanged_destroys_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release()
    before, decide = everything(world), run_to_commit

    def forge(*given: Any, **more: Any) -> bool:
        done = decide(*given, **more)
        record = Store.open(given[1]).files(DECISION_CLASSES)[0]
        file = Path(given[1]) / record.path
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        return done

    monkeypatch.setattr(run_erase, "run_to_commit", forge)
    with pytest.raises(InfrastructureFault, match="STORE_FILE_DIGEST"):
        due(world)
    assert everything(world) == before


def all_withdrawn(log: Path, seal: ManifestSeal | None) -> None:
    """Put a store of decisions in the place of another: the same, but that everybody has withdrawn."""
    store = Store.open(log)
    (manifest,) = store.snapshot.manifests
    rows = store.read_table(DECISION_CLASSES)
    place = rows.schema.get_field_index("reasons")
    reasons = pa.array([["WITHDRAWN"]] * rows.num_rows, rows.schema.field("reasons").type)
    (log / manifest.path).unlink()
    with store.writer(manifest.run_id, DECISION_CLASSES) as writer:
        writer.append(rows.set_column(place, rows.schema.field("reasons"), reasons))
        forged = writer.close()
    others = [record for record in manifest.adds if record.table != DECISION_CLASSES]
    Store.open(log, seal).commit(manifest.run_id, [*others, *forged], manifest.facts)


@pytest.mark.parametrize(
    "change",
    [{"purposes": ["marketing"]}, {"scope": "meeting:m9"}],
    ids=["to another purpose", "in another meeting"],
)
def test_a_no_that_is_about_something_else_deletes_nothing(world: World, change: dict[str, Any]) -> None:
    world.release()
    said = {"scope": "tenant:t1", "event_time": LATER, "ingested_at": LATER, **change}
    world.say("ada", "withdrawn", **said)
    assert due(world)["recalls"] == 0
    assert len(world.released()) == 4


def test_a_no_that_cannot_be_verified_holds_and_destroys_nothing(world: World) -> None:
    world.release()
    only_training(world)
    line = world.record("ada", "withdrawn", scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    head, body, signature = line.split(".")
    forged = f"{head}.{body}.{'A' * (len(signature) - 2)}{signature[-2:]}"
    world.consents.write_text(world.consents.read_text() + forged + "\n")
    before = everything(world)
    ledger = due(world)
    assert (ledger["items"], ledger["recalls"]) == (0, 0)
    assert everything(world) == before
    assert world.release()["released"] == 0
    assert "DISPUTED_WITHDRAWAL" in world.reasons()


def test_an_item_that_no_purpose_can_use_any_more_goes(world: World) -> None:
    world.release()
    only_training(world)
    world.say("ada", "withdrawn", scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    ledger = due(world)
    assert (ledger["items"] >= 2, set(ledger["reasons"])) == (True, {"NO_PURPOSE_LEFT"})
    assert len(world.rows(QUARANTINE_ITEMS)) == 2
    assert len(world.released()) == 2
    assert {row["reason"] for row in world.rows(RECALLS)} == {"NO_PURPOSE_LEFT"}
    # Telemetry and rosters are not what the withdrawal was about.
    assert ledger["rows"].keys().isdisjoint({ROSTER, f"{TELEMETRY}/cofferdam_chat"})


def test_a_legal_hold_keeps_what_would_be_due(world: World) -> None:
    world.release()
    only_training(world)
    world.say("ada", "withdrawn", scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    world.declare(legal_hold=True)
    before = everything(world)
    ledger = due(world, live_days=1, as_of="2027-01-01T00:00:00Z")
    assert ledger["kinds"] == {"rejected": 1}
    assert set(ledger["rows"]) <= {QUARANTINE_REJECTED, "quarantine/blobs", QUARANTINE_KEYS}
    world.declare(legal_hold=False)
    assert before != everything(world)
    assert due(world)["items"] >= 2


def test_what_was_sealed_for_too_long_goes(world: World) -> None:
    assert due(world, as_of="2026-04-01T00:00:00Z")["items"] == 0
    ledger = due(world, as_of="2026-04-02T00:00:00Z")
    assert set(ledger["reasons"]) == {"TIME_TO_LIVE_OVER"}
    assert (world.rows(QUARANTINE_ITEMS), world.rows(QUARANTINE_KEYS)) == ([], [])
    assert world.rows(QUARANTINE_REJECTED) == []
    assert world.rows(f"{TELEMETRY}/cofferdam_chat")
    assert len(world.rows(TOMBSTONES)) == ledger["items"]


def test_rejects_have_a_time_to_live_of_their_own(world: World) -> None:
    ledger = due(world, as_of="2026-03-06T00:00:00Z", rejected_days=3)
    assert (world.rows(QUARANTINE_REJECTED), len(world.rows(QUARANTINE_ITEMS))) == ([], 4)
    assert ledger["rows"][QUARANTINE_REJECTED] == {"gone": 1, "changed": 0, "of": 1}


def test_a_meeting_whose_erasure_is_registered_goes_with_telemetry_and_roster(world: World) -> None:
    world.release()
    rows = len(world.rows(ROSTER))
    world.tenants["tenants"][TENANT]["meetings"] = {"m1": {"erasure_requested": True}}
    world.write_tenants()
    ledger = due(world)
    assert (len(world.rows(QUARANTINE_ITEMS)), len(world.released()), len(world.rows(ROSTER))) == (
        2,
        2,
        rows // 2,
    )
    assert "DECLARED_DUE" in ledger["reasons"]
    assert len(world.rows(f"{TELEMETRY}/cofferdam_chat")) == 2


def test_the_end_of_a_tenants_retention_spares_a_meeting_that_has_its_own(world: World) -> None:
    world.declare(retention_until="2026-03-05T00:00:00Z")
    world.tenants["tenants"][TENANT]["meetings"] = {"m2": {"retention_until": "2027-01-01T00:00:00Z"}}
    world.write_tenants()
    due(world)
    assert len(world.rows(QUARANTINE_ITEMS)) == 2
    assert len(world.rows(f"{TELEMETRY}/cofferdam_chat")) == 2
    assert len(world.rows(ROSTER)) == 6


def test_copies_go_when_their_purpose_may_not_keep_them_any_longer(world: World) -> None:
    world.release()
    path = world.registry / "purposes.json"
    found = json.loads(path.read_text())
    found["purposes"]["ai_training"]["retention"] = "P5D"
    path.write_text(json.dumps(found))
    world.pin()
    assert due(world, as_of="2026-03-14T00:00:00Z")["recalls"] == 0
    assert due(world, as_of="2026-03-15T00:00:00Z")["recalls"] == 4
    assert (world.released(), {row["reason"] for row in world.rows(RECALLS)}) == (
        [],
        {"PURPOSE_RETENTION_OVER"},
    )


def test_items_that_share_a_key_with_others_wait_for_them(tmp_path: Path, keys: Path) -> None:
    """Eve came late and has withdrawn: of what Bob said before, nothing is due."""
    world = World(tmp_path, keys)
    only_training(world)
    world.adults("ada", "bob", "eve")
    for name in ("ada", "bob"):
        world.say(name, scope="tenant:t1")
    world.say("eve", "withdrawn", scope="tenant:t1")
    world.ingest([*meeting(["bob", "ada"]), *presence("eve", "10:40", "10:50"), chat("late", "bob", "10:45")])
    before = everything(world)
    ledger = due(world)
    assert (ledger["items"], ledger["waiting"]) == (0, 1)
    assert everything(world) == before


def test_a_dry_run_of_what_is_due_writes_nothing(world: World) -> None:
    world.release()
    world.say("ada", "withdrawn", scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    before = files_of(world)
    shown = due(world, dry_run=True)
    assert files_of(world) == before
    assert shown["recalls"] == due(world)["recalls"] == 2
    assert shown["as_of"] == AS_OF
    assert world.rows(RELEASED)
