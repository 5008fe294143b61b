"""A past decision is made again, and is the same as long as its inputs are there."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.replay_command import replay
from pipelines.run_erase import EraseOptions, run_erase
from tests.pipeline.release_world import AS_OF, World, bounds, chat, meeting, presence
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Ada and Bob agree, Eve says nothing; three meetings; everything is decided."""
    tmp_path = tmp_path_factory.mktemp("decided")
    create_key_directory(tmp_path / "keys", created=RECEIVED)
    made = World(tmp_path, tmp_path / "keys")
    made.adults("ada", "bob", "eve")
    late = [*bounds("m3"), *presence("ada", "10:00", "10:20", "m3"), *presence("bob", "10:00", "11:00", "m3")]
    made.ingest(
        [
            *meeting(["ada", "bob"], items=2),
            *meeting(["ada", "eve"], "m2"),
            *late,
            chat("m3-chat", "bob", time="10:40", meeting="m3"),
        ]
    )
    for name in ("ada", "bob"):
        made.say(name, scope="tenant:t1")
    made.release()
    return made


@pytest.fixture
def world(decided: World, tmp_path: Path) -> World:
    """A copy of it."""
    copied = copy.copy(decided)
    copied.folder = tmp_path / "world"
    shutil.copytree(decided.folder, copied.folder)
    return copied


def run(world: World, decision_id: str, *more: str | Path) -> Result:
    options = {
        "--decision": decision_id,
        "--store": world.store,
        "--keys": world.keys / "release",
        "--consents": world.consents,
        "--registry": world.registry,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return CliRunner().invoke(replay, [*words, *map(str, more)])


def told(world: World, decision_id: str) -> tuple[int, Any]:
    result = run(world, decision_id, "--json")
    return result.exit_code, json.loads(result.stdout)


def decisions(world: World) -> dict[str, str]:
    kinds = ("chat",)
    return {row["decision_id"]: row["decision"] for row in world.classes() if row["kind"] in kinds}


def test_every_decision_is_the_same_when_it_is_made_again(world: World) -> None:
    found = decisions(world)
    assert set(found.values()) == {"RELEASE", "QUARANTINE"}
    for decision_id, decision in found.items():
        code, shown = told(world, decision_id)
        assert (code, shown["same"], shown["differs_in"], shown["missing"]) == (0, True, [], {}), shown
        assert shown["then"] == shown["now"]
        assert shown["then"]["decision"] == decision


def test_later_runs_and_records_that_came_since_do_not_change_it(world: World) -> None:
    found = decisions(world)
    world.ingest([*bounds("m9"), chat("late", "ada", meeting="m9")], "late.jsonl")
    after = {"event_time": "2026-04-01T09:00:00Z", "ingested_at": "2026-04-01T09:00:01Z"}
    world.say("ada", "withdrawn", scope="tenant:t1", **after)
    world.say("eve", scope="tenant:t1")
    for decision_id in found:
        code, shown = told(world, decision_id)
        assert (code, shown["same"], shown["missing"]) == (0, True, {}), shown


def test_a_record_that_is_lost_makes_a_difference_and_is_named(world: World) -> None:
    (released,) = [each for each, decision in decisions(world).items() if decision == "RELEASE"][:1]
    lines = world.consents.read_bytes().splitlines(keepends=True)
    world.consents.write_bytes(b"".join(lines[1:]))
    code, shown = told(world, released)
    assert (code, shown["same"], shown["missing"]) == (1, False, {"OTHER_RECORDS": 1})
    assert shown["now"]["decision"] == "QUARANTINE"
    assert {"decision", "record_ids"} <= set(shown["differs_in"])
    text = run(world, released).stdout
    assert "DIFFERS" in text
    assert "OTHER_RECORDS (1)" in text


def test_what_was_erased_is_named(world: World) -> None:
    (released,) = [each for each, decision in decisions(world).items() if decision == "RELEASE"][:1]
    asked = EraseOptions(
        store=str(world.store),
        keys=world.keys / "release",
        consents=(world.consents,),
        registry=world.registry,
        as_of=AS_OF,
        subjects=("cofferdam.user_id:ada",),
        max_share=100.0,
        allow_test_keys=True,
    )
    run_erase(asked, show_progress=False)
    shown = [told(world, decision_id) for decision_id in decisions(world)]
    assert any("ITEMS_ERASED" in one["missing"] for _, one in shown)
    assert all(one["same"] or one["missing"] for _, one in shown)
    assert "INPUTS_REWRITTEN" in told(world, released)[1]["missing"]


def test_another_registry_or_policy_is_refused(world: World) -> None:
    decision_id = next(iter(decisions(world)))
    world.adults("ada")
    result = run(world, decision_id)
    assert (result.exit_code, "REPLAY_OTHER_REGISTRY" in result.stderr) == (2, True)


def test_an_unknown_decision_is_refused(world: World) -> None:
    result = run(world, "0" * 32)
    assert (result.exit_code, "DECISION_NOT_FOUND" in result.stderr) == (2, True)


def test_a_decision_about_telemetry_is_not_replayed(world: World) -> None:
    rows = world.rows("decisions/telemetry")
    result = run(world, rows[0]["decision_id"])
    assert (result.exit_code, "no decision about content" in result.stderr) == (2, True)


def test_nothing_is_written_and_nothing_printed_of_content(world: World) -> None:
    before = {path: path.read_bytes() for path in world.store.rglob("*") if path.is_file()}
    outputs = [run(world, decision_id).output for decision_id in decisions(world)]
    assert "saying" not in "".join(outputs)
    assert "it is the same" in outputs[0]
    assert before == {path: path.read_bytes() for path in world.store.rglob("*") if path.is_file()}
