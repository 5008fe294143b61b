"""Releases as commands: in any order, on any number of workers, killed at any point, one after a run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import OKPKey

from pipelines.cli import cli
from schemas.registry_writing import PrivateKey, compare_pins, public_entry, write_keys, write_pins
from schemas.tables import RELEASED
from tests.pipeline.release_world import AS_OF, TRAINING, Event, World, chat, meeting, presence
from tests.pipeline.support import lines_file
from transforms.store import Store


@pytest.fixture
def world(tmp_path: Path, keys: Path) -> World:
    """Two meetings: in one everybody agrees, in the other somebody has refused."""
    made = World(tmp_path, keys)
    made.adults("ada", "bob", "eve")
    for name in ("ada", "bob"):
        made.say(name, scope="tenant:t1")
    made.say("eve", "refused", scope="tenant:t1")
    return made


def events() -> list[Event]:
    late = presence("eve", "10:40", "10:50")
    more = [chat(f"late-{at}", "bob", f"10:{at}") for at in range(30, 59, 4)]
    return [*meeting(["ada", "bob"], items=3), *late, *more, *meeting(["ada", "eve"], "m2", items=2)]


def arguments(world: World, **changes: Any) -> list[str]:
    options = {
        "store": world.store,
        "keys": world.keys / "release",
        "consents": world.consents.parent,
        "registry": world.registry,
        "purpose": TRAINING,
        "recipient": "first_party",
        "as-of": AS_OF,
        **changes,
    }
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return ["release", *given, "--allow-test-keys"]


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)))


def said(world: World) -> dict[str, Any]:
    """All that a release says, without what tells runs apart."""
    own = ("run_id", "records_seen")
    return {
        "classes": sorted(
            json.dumps({k: v for k, v in row.items() if k not in own}, default=str, sort_keys=True)
            for row in world.classes()
        ),
        "items": sorted((row["item_id"], row["decision_id"]) for row in world.item_rows()),
        "released": sorted(map(repr, world.released())),
    }


def test_neither_order_nor_files_nor_workers_change_anything(
    world: World, tmp_path: Path, keys: Path
) -> None:
    world.ingest(events())
    assert world.release()["outcomes"] == {"ERASE": 5, "RELEASE": 8}

    other = World(tmp_path / "other", keys)
    for file in world.registry.rglob("*"):
        if file.is_file():
            (other.registry / file.relative_to(world.registry)).parent.mkdir(exist_ok=True)
            (other.registry / file.relative_to(world.registry)).write_bytes(file.read_bytes())
    shuffled = events()
    random.Random(7).shuffle(shuffled)
    for at in range(3):
        other.ingest(shuffled[at::3], f"part-{at}.jsonl", split_bytes=4096)
    lines = world.consents.read_bytes().splitlines()
    other.consents.write_bytes(b"\n".join(reversed(lines[1:])))
    (other.consents.parent / "more.jsonl").write_bytes(lines[0] + b"\n")
    workers = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
    other.release(consents=(other.consents.parent,), beam_arguments=workers)
    assert said(other) == said(world)


def test_the_command_says_what_was_decided_and_why(world: World) -> None:
    world.ingest(events())
    result = run(*arguments(world))
    assert result.exit_code == 0, result.output
    for word in ("RELEASE", "ERASE", "REFUSED", "A person has said no", "Test keys were allowed"):
        assert word in result.output
    ledger = json.loads(run(*arguments(world), "--json").output)
    assert (ledger["released"], ledger["released_before"], ledger["stopped"]) == (0, 8, None)


def test_the_command_explains_an_item(world: World) -> None:
    world.ingest(events())
    run(*arguments(world))
    row = next(row for row in world.item_rows() if row["decision"] == "ERASE")
    result = run("explain", "--store", world.store, "--item", row["item_id"])
    assert (result.exit_code, "REFUSED" in result.output) == (0, True)
    assert "Only a newer consent" in result.output
    shown = run("explain", "--store", world.store, "--item", row["item_id"], "--json")
    (explained,) = json.loads(shown.output)
    assert (explained["decision"], explained["released"]) == ("ERASE", False)
    assert explained["people"] == explained["agreeing"] + 1
    unknown = run("explain", "--store", world.store, "--item", "0" * 32)
    assert (unknown.exit_code, "ITEM_NOT_DECIDED" in unknown.stderr) == (2, True)


def test_the_command_names_the_items_that_a_reason_holds(world: World) -> None:
    world.ingest(events())
    early = run("explain", "refused", "--store", world.store)
    assert (early.exit_code, "NOTHING_DECIDED" in early.stderr) == (2, True)
    run(*arguments(world))
    led = sorted(row["item_id"] for row in world.item_rows() if row["primary"] == "REFUSED")
    assert led
    named = json.loads(run("explain", "refused", "--store", world.store, "--json").output)
    assert (named["decisions_led"], named["items"]) == (len(led), led[:5])
    run(*arguments(world))
    again = json.loads(run("explain", "refused", "--store", world.store, "--json").output)
    assert (again["decisions_led"], again["items"]) == (len(led), led[:5])  # of the last release alone
    assert f"--item {led[0]}" in run("explain", "REFUSED", "--store", world.store).output
    none = json.loads(run("explain", "MINOR", "--store", world.store, "--json").output)
    assert (none["decisions_led"], none["items"]) == (0, [])
    assert run("explain", "--store", world.store).exit_code == 2


@pytest.mark.parametrize(
    ("changes", "code", "word"),
    [
        ({"registry": "nowhere"}, 3, "REGISTRY_UNREADABLE"),
        ({"consents": "nowhere"}, 3, "CONSENTS_UNREADABLE"),
        ({"keys": "nowhere"}, 3, "KEYS"),
        ({"store": "nowhere"}, 2, "STORE_NOT_FOUND"),
        ({"purpose": "world_peace"}, 2, "PURPOSE_NOT_REGISTERED"),
        ({"as-of": "yesterday"}, 2, "AS_OF_INVALID"),
        ({"as-of": "0001-01-01T00:00:00+14:00"}, 2, "AS_OF_INVALID"),
        ({"as-of": "0001-01-01T00:00:00Z"}, 2, "AS_OF_INVALID"),
        ({"recipient": "everybody"}, 2, "recipient"),
    ],
)
def test_what_cannot_be_used_stops_the_command(
    world: World, changes: dict[str, str], code: int, word: str
) -> None:
    world.ingest(events())
    result = run(*arguments(world, **changes))
    assert (result.exit_code, word in result.stderr) == (code, True), result.stderr
    assert Store.open(world.store).version == 1


def test_test_keys_count_only_if_they_are_allowed(world: World) -> None:
    world.ingest(events())
    refused = run(*arguments(world)[:-1])
    assert (refused.exit_code, "REGISTRY_SIGNED_FOR_TESTS" in refused.stderr) == (2, True)
    signer = sign_for_real(world)
    ledger = json.loads(run(*arguments(world)[:-1], "--registry-signer", signer, "--json").output)
    assert ledger["released"] == 0
    assert ledger["records"]["untrusted"] == {"TEST_KEY": 3}
    assert ledger["registry_signed_by"] == signer
    refused = run(*arguments(world), "--registry-signer", world.signer.key.thumbprint())
    assert (refused.exit_code, "REGISTRY_SIGNER_REFUSED" in refused.stderr) == (2, True)


def sign_for_real(world: World) -> str:
    """Let a key that is not marked test sign for the registry; gives its thumbprint."""
    key = OKPKey.generate_key("Ed25519")
    file = world.registry / "jwks.json"
    entries = json.loads(file.read_text())["keys"]
    write_keys(file, [*entries, public_entry(key, "authority", valid_from="2020-01-01T00:00:00Z")])
    write_pins(world.registry, compare_pins(world.registry)[1], PrivateKey("authority", key))
    return str(key.thumbprint())


@pytest.mark.parametrize("point", ["while writing", "before the commit", "after the commit"])
def test_a_release_that_is_killed_shows_nothing_or_all_and_runs_again(world: World, point: str) -> None:
    world.ingest(events())
    command = [sys.executable, "-m", "tests.pipeline.release_kill_child", point, *arguments(world)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -9
    seen = len(world.released())
    assert seen == (8 if point == "after the commit" else 0)
    written = list((world.store / "released").rglob("*.parquet"))
    assert written
    result = run(*arguments(world))
    assert result.exit_code == 0, result.output
    assert len(world.released()) == 8
    live = {world.store / file.path for file in Store.open(world.store).files(RELEASED)}
    assert set((world.store / "released").rglob("*.parquet")) == live


def test_a_run_can_be_followed_by_a_release_in_a_process_of_its_own(world: World) -> None:
    file = lines_file(world.folder / "events.jsonl", events())
    release = arguments(world)[5:]
    ingest = ["run", "--input", str(file), "--store", str(world.store), "--keys", str(world.keys / "ingest")]
    main = [sys.executable, "-c", "from pipelines.cli import main; main()"]
    followed = [*main, *ingest, "--json", "--release-keys", str(world.keys / "release"), *release]
    done = subprocess.run(followed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ledgers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [ledger.get("released") for ledger in ledgers] == [None, 8]


def test_options_of_a_release_without_its_keys_are_refused(world: World) -> None:
    file = lines_file(world.folder / "events.jsonl", events())
    ingest: list[str | Path] = ["run", "--input", file, "--store", world.store]
    ingest += ["--keys", world.keys / "ingest"]
    assert run(*ingest, "--purpose", TRAINING).exit_code == 2
    assert run(*ingest, "--release-keys", world.keys / "release").exit_code == 2
    assert not world.store.exists()
