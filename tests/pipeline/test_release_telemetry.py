"""Telemetry is no loophole: it is decided with the rest, and taken out only as decided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from pipelines.run_erase import EraseOptions, run_erase
from pipelines.run_subject_export import SubjectOptions, run_subject_export
from schemas.errors import ConfigurationError, InfrastructureFault, PromiseBroken
from schemas.tables import DECISION_TELEMETRY, RECALLS, TELEMETRY_EXPORTS
from tests.pipeline.release_world import AS_OF, TRAINING, World, bounds, chat, event, meeting, presence
from transforms import commit_release, decide_telemetry, release_sink
from transforms.audit_verify import verify_log
from transforms.erase_orders import Order, finish_orders, write_order
from transforms.keys import load_release_keys
from transforms.store import Store
from transforms.telemetry_export import Export, export_telemetry

MARKETING = "marketing"


def quality(person: str, name: str, time: str = "10:30") -> dict[str, Any]:
    return event("meeting.quality", f"{name}-quality-{person}", time, name, participant={"user_id": person})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Ada and Bob, who have agreed, in m1; with Eve, who has not, in m2; in m3 Bob never leaves."""
    made = World(tmp_path_factory.mktemp("telemetry"), keys)
    made.adults("ada", "bob", "eve", opt_out=False)
    events = [*meeting(["ada", "bob"]), quality("ada", "m1"), quality("zoe", "m1")]
    events += [*meeting(["ada", "eve"], "m2"), quality("ada", "m2")]
    events += [*bounds("m3"), *presence("ada", "10:00", "11:00", "m3"), *presence("bob", "10:00", None, "m3")]
    events += [quality("ada", "m4")]
    made.ingest(events)
    for person in ("ada", "bob"):
        made.say(person, kinds=["*"], scope="global")
    return made


@pytest.fixture(scope="module")
def ledger(world: World) -> dict[str, Any]:
    return world.release(purposes=(TRAINING, MARKETING))


def rows_by(ledger: dict[str, Any], purpose: str) -> dict[tuple[str, str], int]:
    """Rows by table and primary reason."""
    return {
        (row["table"].removeprefix("telemetry/cofferdam_"), row["primary"]): row["rows"]
        for row in ledger["telemetry"]["decisions"]
        if row["purpose"] == purpose
    }


def export_of(world: World, **changes: Any) -> Export:
    known = {
        "store": str(world.store),
        "consents": (str(world.consents),),
        "registry": str(world.registry),
        "keys": load_release_keys(world.keys / "release"),
    }
    return Export(**{**known, "purpose": TRAINING, "recipient": "first_party", **changes})


def run(world: World, output: Path, *more: str) -> Result:
    options = [
        "--store",
        str(world.store),
        "--keys",
        str(world.keys / "release"),
        "--consents",
        str(world.consents),
        "--registry",
        str(world.registry),
    ]
    options += ["--purpose", TRAINING, "--recipient", "first_party", "--output", str(output), *more]
    return CliRunner().invoke(cli, ["export-telemetry", *options])


def test_every_row_of_telemetry_has_a_decision(ledger: dict[str, Any]) -> None:
    assert rows_by(ledger, TRAINING) == {
        ("chat", "OK"): 1,
        ("chat", "TRAFFIC_DATA_NO_CONSENT"): 1,
        ("meeting", "OK"): 2,
        ("meeting", "TRAFFIC_DATA_NO_CONSENT"): 4,
        ("participant", "OK"): 4,
        ("participant", "TERMINAL_ACCESS_NO_CONSENT"): 7,
        ("quality", "SECONDARY_USE_NO_CONSENT"): 1,
        ("quality", "TENANT_NOT_AUTHORISED"): 3,
    }
    assert {reason for _, reason in rows_by(ledger, MARKETING)} == {"TENANT_NOT_AUTHORISED"}


def test_a_meeting_without_its_roster_and_a_stranger_hold_their_rows(
    world: World, ledger: dict[str, Any]
) -> None:
    held = [row for row in world.rows(DECISION_TELEMETRY) if row["table"].endswith("quality")]
    assert {row["decision"] for row in held if row["run_id"] == ledger["run_id"]} == {"QUARANTINE"}


def test_what_is_taken_out_is_what_was_decided(world: World, ledger: dict[str, Any], tmp_path: Path) -> None:
    shown = run(world, tmp_path / "out")
    assert shown.exit_code == 0, shown.output
    assert "telemetry/cofferdam_chat: 1 rows written, 1 held" in shown.output
    assert pq.read_table(tmp_path / "out" / "cofferdam_participant.parquet").num_rows == 4
    assert not (tmp_path / "out" / "cofferdam_quality.parquet").exists()
    lineage = json.loads((tmp_path / "out" / "lineage.json").read_text())
    assert (lineage["rows"], lineage["held"], lineage["run_id"]) == (7, 16, ledger["run_id"])
    assert lineage["test_keys"] == [world.signer.kid]


@pytest.mark.usefixtures("ledger")
def test_what_was_not_asked_for_is_not_taken_out(world: World, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TELEMETRY_NOT_DECIDED"):
        export_telemetry(export_of(world, recipient="processor"), tmp_path / "out")
    with pytest.raises(ConfigurationError, match="TELEMETRY_NOT_DECIDED"):
        export_telemetry(export_of(world, purpose="ai_evaluation"), tmp_path / "out")
    assert export_telemetry(export_of(world, purpose=MARKETING), tmp_path / "m")["rows"] == 0


@pytest.mark.usefixtures("ledger")
def test_no_folder_is_overwritten(world: World, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    assert run(world, tmp_path).exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_new_record_ends_what_was_decided(world: World, ledger: dict[str, Any], tmp_path: Path) -> None:
    more = tmp_path / "more.jsonl"
    more.write_text(world.record("bob", "withdrawn", scope="global") + "\n")
    consents = (str(world.consents), str(more))
    with pytest.raises(InfrastructureFault, match="TELEMETRY_DECISION_STALE"):
        export_telemetry(export_of(world, consents=consents), tmp_path / "out")
    with pytest.raises(InfrastructureFault, match="TELEMETRY_DECISION_STALE"):
        export_telemetry(export_of(world, registry=str(tmp_path / "none")), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert ledger["telemetry"]["stopped"] is None


def test_other_rows_end_what_was_decided(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path / "world", keys)
    world.adults("ada", opt_out=False)
    world.ingest(meeting(["ada"]))
    world.say("ada", kinds=["*"])
    world.release()
    world.ingest([chat("late", "ada")], "late.jsonl")
    with pytest.raises(InfrastructureFault, match="other rows"):
        export_telemetry(export_of(world), tmp_path / "out")


def test_records_that_arrive_meanwhile_leave_telemetry_undecided(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world", keys)
    world.adults("ada", opt_out=False)
    world.ingest(meeting(["ada"]))
    world.say("ada", kinds=["*"])
    look = commit_release.look_again

    def arriving(*given: Any) -> Any:
        world.say("ada", "withdrawn", event_time="2026-03-03T00:00:00Z", ingested_at="2026-03-03T00:00:01Z")
        return look(*given)

    monkeypatch.setattr(release_sink, "look_again", arriving)
    ledger = world.release()
    assert ledger["telemetry"]["stopped"] == ledger["stopped"] == "RELEASE_OVERTAKEN"
    assert world.rows(DECISION_TELEMETRY) == []
    monkeypatch.undo()
    with pytest.raises(InfrastructureFault, match="TELEMETRY_DECISION_STALE"):
        export_telemetry(export_of(world), tmp_path / "out")


def test_telemetry_that_loses_its_decision_fails_the_run(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path / "world", keys)
    world.ingest(meeting(["ada"]))
    rows = decide_telemetry.decision_rows
    monkeypatch.setattr(decide_telemetry, "decision_rows", lambda *given: rows(*given).slice(1))
    with pytest.raises(PromiseBroken, match="decisions on telemetry were due"):
        world.release()


def test_an_export_is_logged_and_an_erasure_recalls_it(
    world: World, ledger: dict[str, Any], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(world.store, store)
    lineage = export_telemetry(export_of(world, store=str(store)), tmp_path / "out")
    chosen: dict[str, Any] = {"store": str(store), "keys": world.keys / "release", "registry": world.registry}
    chosen |= {"consents": (world.consents,), "as_of": AS_OF, "allow_test_keys": True}
    shown = run_subject_export(SubjectOptions(**chosen, subject="cofferdam.user_id:bob", output=None))
    assert shown["sections"]["telemetry_exports"] >= 1
    run_erase(
        EraseOptions(**chosen, subjects=("cofferdam.user_id:ada",), max_share=100.0), show_progress=False
    )
    found = verify_log(str(store), wanted=[lineage["export_run_id"]])
    assert (found.holds, found.entries["export"] >= 3) == (True, True), found.findings.listed
    after = Store.open(store)
    recalls = {row["export_run_id"]: row for row in after.read_table(RECALLS).to_pylist()}
    recall = recalls[lineage["export_run_id"]]
    assert (recall["kind"], recall["reason"], recall["recipient"]) == (
        "telemetry",
        "ERASURE_REQUESTED",
        "first_party",
    )
    assert recall["files"] == ["cofferdam_chat.parquet", "cofferdam_participant.parquet"]
    out = [pq.read_table(tmp_path / "out" / file) for file in recall["files"]]
    taken = {event for rows in out for event in rows.column("event_id").to_pylist()}
    left = {
        event
        for table in after.tables()
        if table.startswith("telemetry/")
        for event in after.read_table(table, ["event_id"]).column(0).to_pylist()
    }
    assert set(recall["item_ids"]) >= taken - left > set()
    assert {row["decided_by"] for row in after.read_table(TELEMETRY_EXPORTS).to_pylist()} == {
        ledger["run_id"]
    }


@pytest.mark.usefixtures("ledger")
def test_nothing_is_taken_out_while_an_erasure_is_not_finished(world: World, tmp_path: Path) -> None:
    files, keys = Store.open(world.store).files_of_store, load_release_keys(world.keys / "release")
    order = Order("20260301t000000z-00000000", (), due=True)
    write_order(files, keys, order)
    with pytest.raises(InfrastructureFault, match="ERASURE_UNFINISHED"):
        export_telemetry(export_of(world), tmp_path / "out")
    finish_orders(files, [order])
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("ledger")
def test_the_command_ends_with_the_checkpoint(world: World, tmp_path: Path) -> None:
    shown = run(world, tmp_path / "out", "--json")
    assert json.loads(shown.stdout)["checkpoint"]["size"] > 0
    assert "Keep this checkpoint" in run(world, tmp_path / "again").stdout
