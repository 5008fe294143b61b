"""A store on Cloud Storage, its records and its registry there, too, live as a folder does.

Every step is a command's own, the runner is the one in this process. What comes out is held against the same
steps on a disk, row by row; once with a stand-in for the service and, where it is installed, once with
``fake-gcs-server``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")

from pipelines import run_erase
from pipelines.cli import cli as cofferdam
from pipelines.erase import build_due, build_erase
from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, QUARANTINE_ITEMS, RECALLS, RELEASED, TOMBSTONES
from tests.cloud_storage_emulator import client, emulated_storage
from tests.cloud_storage_stand_in import CloudStorage, cloud_storage
from tests.pipeline import support
from tests.pipeline.release_world import AS_OF, TRAINING, World, chat, meeting
from tests.pipeline.test_cloud_store import granted
from transforms.erase_passing import FOLDER
from transforms.store import Store

CLOUD = {
    "store": "gs://bucket/stores/life",
    "consents": "gs://bucket/people/consents",
    "registry": "gs://bucket/people/registry",
}
LATER = "2026-03-09T00:00:00Z"
GROUNDS = ("--purpose", TRAINING, "--recipient", "first_party", "--as-of", AS_OF)
ERASE = ("--as-of", AS_OF, "--max-share", "100")
STEPS = {
    "released": ("release", *GROUNDS),
    "due": ("erase", *ERASE, "--all-due"),
    "erased": ("erase", *ERASE, "--subject", "cofferdam.user_id:ada"),
}
DRAWN = {
    "decisions/classes": {"run_id", "decision_id"},
    "decisions/exports": {"run_id", "files"},
    "decisions/items": {"run_id", "decision_id"},
    "decisions/telemetry": {"run_id", "decision_id"},
    "consents/records": {"run_id"},
    "openings": {"run_id", "decision_id", "key_id", "signature"},
    "quarantine/blobs": {"key_id", "ciphertext"},
    "quarantine/items": {"key_id"},
    "quarantine/keys": {"key_id", "wrapping_key_id", "wrapped"},
    "quarantine/rejected": {"key_id", "ciphertext"},
    "released": {"decision_id"},
    "roster": {"join_pseudonym"},  # who was erased is somebody nameless, drawn anew
    "tombstones/events": {"run_id"},
    "tombstones/items": {"run_id", "key_id", "digest"},
    "tombstones/recalls": {"run_id", "export_run_id", "files"},
}
"""Columns that each run draws anew: its id, keys, names of files, and what follows from them."""


@dataclass
class Life:
    """A store that has lived.

    Attributes:
        keys: The key directory.
        places: Where store, records and registry are.
        said: The ledger of each step.
        grounds: Files of records and registry at each step, by path.
        calls: What the service was asked by the release side: the right that it needs, and for what.
        passed: Where decisions about what is due and edits were left for workers.
        replayed: Exit code and output of a decision that was made again, behind the release.
        service: The stand-in.
    """

    keys: Path
    places: Mapping[str, str]
    said: dict[str, Any] = field(default_factory=dict)
    grounds: dict[str, dict[str, bytes]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    replayed: tuple[int, str] = (-1, "")
    service: CloudStorage | None = None

    def command(self, name: str, *arguments: str) -> Result:
        """A command of the release side."""
        keys = str(self.keys / "release")
        places = [part for name in CLOUD for part in (f"--{name}", self.places[name])]
        return CliRunner().invoke(cofferdam, [name, *places, "--keys", keys, *arguments])

    def step(self, name: str) -> None:
        """Do one step and keep its ledger."""
        result = self.command(*STEPS[name], "--allow-test-keys", "--json")
        assert result.exit_code == 0, (name, result.output)
        self.said[name] = json.loads(result.stdout)
        if name == "released":
            rows = Store.open(self.places["store"]).read_table(DECISION_ITEMS).to_pylist()
            first = min(rows, key=lambda row: row["item_id"])
            result = self.command("replay", "--decision", first["decision_id"])
            self.replayed = (result.exit_code, plain(result.output))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Two meetings of three people, all of whom agree."""
    made = World(tmp_path_factory.mktemp("life"), keys)
    made.adults("ada", "bob", "eve")
    for person in ("ada", "bob", "eve"):
        made.say(person, scope="tenant:t1")
    people = [*meeting(["ada", "bob"], items=3), *meeting(["bob", "eve"], "m2", items=2)]
    support.lines_file(made.folder / "events.jsonl", [*people, chat("bobs", "bob"), b"no json"])
    return made


@pytest.fixture(scope="module")
def on_disk(world: World) -> Life:
    """Run, release, hear a withdrawal, erase what is due, erase a person: in a folder."""
    life = Life(world.keys, {name: str(world.folder / name) for name in CLOUD})
    support.ingest(world.folder / "events.jsonl", world.store, world.keys)
    for step in STEPS:
        files = [*world.registry.rglob("*"), world.consents]
        life.grounds[step] = {
            file.relative_to(world.folder).as_posix(): file.read_bytes() for file in files if file.is_file()
        }
        life.step(step)
        if step == "released":
            world.say("eve", "withdrawn", scope="tenant:t1", event_time=LATER, ingested_at=LATER)
    return life


@pytest.fixture(scope="module", params=["stood_in", "emulated"])
def in_cloud(request: pytest.FixtureRequest, world: World, on_disk: Life) -> Iterator[Life]:
    """The same in a bucket; what workers elsewhere are handed beside the graph goes through the store."""
    with ExitStack() as stack:
        life = Life(world.keys, CLOUD)
        if request.param == "stood_in":
            address, life.service = stack.enter_context(cloud_storage())
        else:
            address = stack.enter_context(emulated_storage())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setattr(run_erase, "runs_elsewhere", lambda _: True)
        seen_by(patch, life)
        support.ingest(world.folder / "events.jsonl", CLOUD["store"], world.keys)  # type: ignore[arg-type]
        for step, files in on_disk.grounds.items():
            for path, content in files.items():
                client(address).bucket("bucket").blob(f"people/{path}").upload_from_string(content)
            if life.service is not None:
                life.service.calls.clear()
            life.step(step)
            life.calls += life.service.calls if life.service is not None else []
        yield life


def seen_by(patch: pytest.MonkeyPatch, life: Life) -> None:
    """Note what erasures hand to workers beside the graph."""
    decide, rewrite = build_due, build_erase

    def decided(*given: Any) -> None:
        life.passed.append(given[2])
        decide(*given)

    def rewritten(*given: Any) -> None:
        life.passed += [f"{CLOUD['store']}/{path}" for path in given[6]]
        assert len(given) == 7
        rewrite(*given)

    patch.setattr(run_erase, "build_due", decided)
    patch.setattr(run_erase, "build_erase", rewritten)


def rows_of(store: Store, table: str) -> list[str]:
    """Rows in any order, without what is drawn anew."""
    read = store.read_table(table)
    kept = read.drop_columns([name for name in read.column_names if name in DRAWN.get(table, ())])
    return sorted(map(repr, kept.to_pylist()))


def test_every_table_has_the_same_rows(on_disk: Life, in_cloud: Life) -> None:
    disk, cloud = Store.open(on_disk.places["store"]), Store.open(in_cloud.places["store"])
    assert disk.tables() == cloud.tables()
    assert {RELEASED, TOMBSTONES, RECALLS, DECISION_CLASSES} <= set(disk.tables())
    for table in disk.tables():
        assert rows_of(cloud, table) == rows_of(disk, table), table


def test_what_stays_sealed_opens_to_the_same(on_disk: Life, in_cloud: Life) -> None:
    disk, cloud = (support.opened(life.places["store"], life.keys) for life in (on_disk, in_cloud))  # type: ignore[arg-type]
    assert disk.items == cloud.items != {}
    assert sorted(disk.rejects.values()) == sorted(cloud.rejects.values()) != []


@pytest.mark.parametrize("step", STEPS)
def test_every_step_says_the_same(on_disk: Life, in_cloud: Life, step: str) -> None:
    disk, cloud = ({**life.said[step]} for life in (on_disk, in_cloud))
    for said in (disk, cloud):
        for drawn in ("run_id", "seconds", "checkpoint"):
            del said[drawn]
        said.get("telemetry", {}).pop("basis", None) if step == "released" else None
    assert cloud == disk


def test_what_was_handed_to_workers_went_through_the_store_and_is_gone(in_cloud: Life) -> None:
    assert [path.startswith(f"{CLOUD['store']}/{FOLDER}/") for path in in_cloud.passed] == [True] * 3
    assert ["-edits-" in path for path in in_cloud.passed] == [False, True, True]
    assert not list(Store.open(CLOUD["store"]).files_of_store.find(FOLDER))


def test_nothing_is_left_but_what_manifests_name(in_cloud: Life) -> None:
    store = Store.open(CLOUD["store"])
    left = {found.path for found in store.files_of_store.find("")} - store.snapshot.live.keys()
    assert {path.split("/")[0] for path in left} == {"format.json", "manifests", "log"}


def test_the_release_account_has_the_rights_that_were_used_and_no_others(in_cloud: Life) -> None:
    if in_cloud.service is None:
        pytest.skip("this service does not tell what it was asked")
    used = {"the bucket of the store": set[str](), "the bucket of records and registry": set[str]()}
    for right, name in in_cloud.calls:
        of_store = name.startswith("stores/")
        used["the bucket of the store" if of_store else "the bucket of records and registry"].add(right)
    assert used == {resource: granted("release", resource) for resource in used}


def plain(text: str) -> str:
    """A text without ids, digests, sizes and times that each run draws anew."""
    return re.sub(r"gs://bucket/stores/life|/\S*/life0/store|[0-9a-f]{12,}|\d{8}t\d{6}z", "…", text)


def test_a_report_says_the_same(on_disk: Life, in_cloud: Life) -> None:
    said = []
    for life in (on_disk, in_cloud):
        keys = str(life.keys / "release")
        result = CliRunner().invoke(
            cofferdam, ["report", "--store", life.places["store"], "--keys", keys, "--as-of", AS_OF]
        )
        assert result.exit_code == 0, result.output
        said.append(plain(result.stdout))
    assert said[0] == said[1]


def test_a_decision_was_made_again_from_the_bucket(on_disk: Life, in_cloud: Life) -> None:
    assert in_cloud.replayed == on_disk.replayed
    assert in_cloud.replayed[0] == 0


def test_an_item_is_explained(on_disk: Life, in_cloud: Life) -> None:
    item = min(row["item_id"] for row in Store.open(CLOUD["store"]).read_table(QUARANTINE_ITEMS).to_pylist())
    said = []
    for life in (on_disk, in_cloud):
        result = CliRunner().invoke(cofferdam, ["explain", "--item", item, "--store", life.places["store"]])
        assert result.exit_code == 0, result.output
        said.append(plain(result.stdout))
    assert said[0] == said[1]


def test_a_registry_and_records_are_held_against_each_other(in_cloud: Life) -> None:
    places = ["--registry", CLOUD["registry"], "--consents", CLOUD["consents"]]
    result = CliRunner().invoke(cofferdam, ["consent", "lint", *places, "--allow-test-keys"])
    assert result.exit_code == 0, result.output
