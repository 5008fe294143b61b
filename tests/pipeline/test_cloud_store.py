"""The life of a store on Cloud Storage, against a stand-in that speaks the service's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

pytest.importorskip("google.cloud.storage", reason="the client of Cloud Storage is not installed")

from pipelines.cli import cli as cofferdam
from schemas.errors import ConfigurationError, InfrastructureFault
from tests.cloud_storage_stand_in import CloudStorage, cloud_storage
from tests.pipeline import support
from tests.pipeline.release_world import TENANT, TRAINING, World, meeting
from transforms.keys import load_ingest_keys
from transforms.manifest_seal import seal_of
from transforms.store import Store

ROOT = Path(__file__).parents[2]
STORE = "gs://bucket/stores/first"


class CloudWorld(World):
    """A world whose store is not in its folder."""

    @property
    def store(self) -> str:  # type: ignore[override]
        return STORE


@dataclass(frozen=True)
class Lived:
    """A store that was written, released from and erased from, and what the service was asked meanwhile."""

    world: World
    service: CloudStorage
    calls: dict[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Lived]:
    with cloud_storage() as (address, service), pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        world = CloudWorld(tmp_path_factory.mktemp("cloud"), keys)
        world.adults("anna", "ben")
        world.ingest(meeting(["anna", "ben"]))
        calls = {"ingest": list(service.calls)}
        service.calls.clear()
        for person in ("anna", "ben"):
            world.say(person)
        world.release()
        calls["release"] = list(service.calls)
        yield Lived(world, service, calls)


def command_line(*arguments: str) -> Result:
    return CliRunner().invoke(cofferdam, arguments)


def test_a_store_in_the_cloud_says_what_a_local_one_says(lived: Lived, tmp_path: Path, keys: Path) -> None:
    local = tmp_path / "store"
    support.ingest(lived.world.folder / "events.jsonl", local, keys)
    in_cloud, on_disk = support.comparable(lived.world.store, keys), support.comparable(local, keys)
    assert {table: in_cloud[table] for table in on_disk} == on_disk


def test_a_release_takes_content_out(lived: Lived) -> None:
    assert [(row["kind"], row["purpose"], row["decision"]) for row in lived.world.released()] == [
        ("chat", TRAINING, "RELEASE")
    ]


def test_nothing_but_what_manifests_name_and_no_lock_is_left(lived: Lived) -> None:
    live = lived.world.sealed_store().snapshot.live
    names = [name for name in lived.service.objects if name.startswith("stores/first/")]
    left = {name.removeprefix("stores/first/") for name in names} - live.keys()
    assert {path.split("/")[0] for path in left} == {"format.json", "manifests", "log"}
    assert not lived.service.uploads


def test_the_same_input_again_adds_nothing(lived: Lived) -> None:
    before = support.row_counts(lived.world.store)
    lived.world.ingest(meeting(["anna", "ben"]))
    assert support.row_counts(lived.world.store) | {"ledger": 0} == before | {"ledger": 0}


def test_of_two_commits_that_saw_the_same_store_one_is_made(lived: Lived) -> None:
    seal = seal_of(load_ingest_keys(lived.world.keys / "ingest"))
    first = Store.open_or_create("gs://bucket/stores-raced/one", seal)
    second = Store.open("gs://bucket/stores-raced/one", seal)
    first.commit("run-first0", [], {})
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        second.commit("run-second", [], {})
    assert first.refreshed().snapshot.of_run("run-second") is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "--verify"],
        ["tables", "--table", "quarantine/items"],
        ["gc", "--dry-run"],
        ["audit", "verify"],
    ],
)
def test_commands_take_the_address(lived: Lived, arguments: list[str]) -> None:
    command, *rest = arguments
    result = command_line(command, *([rest.pop(0)] if command == "audit" else []), "--store", STORE, *rest)
    assert result.exit_code == 0, result.output
    if command == "tables":
        assert f"'{STORE}/quarantine/items/" in result.stdout


def test_keys_are_checked(lived: Lived) -> None:
    result = command_line("keys", "check", "--store", STORE, "--keys", str(lived.world.keys / "release"))
    assert (result.exit_code, "0 do not" in result.stdout) == (0, True)


def test_a_bucket_without_a_store_is_said_to_have_none(lived: Lived) -> None:
    result = command_line("inspect", "--store", "gs://bucket/stores/none")
    assert (result.exit_code, "STORE_NOT_FOUND" in result.stderr) == (2, True)


def test_a_store_is_not_made_among_other_things(lived: Lived) -> None:
    with pytest.raises(ConfigurationError, match="STORE_NOT_EMPTY"):
        Store.open_or_create("gs://bucket/stores")


def granted(account: str, resource: str = "the bucket of the store") -> set[str]:
    """What roles.yaml lets an account do with a resource."""
    roles = yaml.safe_load((ROOT / "deploy" / "dataflow" / "roles.yaml").read_text())
    grants = [grant["permissions"] for grant in roles[account]["grants"] if grant["resource"] == resource]
    return {permission for permissions in grants for permission in permissions}


@pytest.mark.parametrize("account", ["ingest", "release"])
def test_an_account_has_the_rights_on_the_bucket_that_its_command_uses(lived: Lived, account: str) -> None:
    assert {right for right, _ in lived.calls[account]} == granted(account)


def test_loading_only_reads(lived: Lived) -> None:
    lived.service.calls.clear()
    result = command_line("bigquery", "load", "--store", STORE, "--dataset", "project-1.d", "--dry-run")
    assert (result.exit_code, "would load" in result.stdout) == (0, True), result.output
    assert {right for right, _ in lived.service.calls} == granted("load")


def test_canaries_are_refused(lived: Lived) -> None:
    with pytest.raises(ConfigurationError, match="CANARIES_NOT_LOCAL"):
        support.ingest(lived.world.folder / "events.jsonl", lived.world.store, lived.world.keys, canaries=1)


def test_no_name_of_an_object_holds_a_value(lived: Lived) -> None:
    names = "".join(name for name in lived.service.objects if name.startswith("stores/"))
    assert not [word for word in ("anna", "ben", "m1/", TENANT) if word in names]
