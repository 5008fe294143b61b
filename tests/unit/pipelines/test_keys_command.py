from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipelines.audit_report import checkpoint_of, checkpoint_text
from pipelines.keys_command import keys
from schemas.errors import InfrastructureFault
from schemas.tables import QUARANTINE_KEYS
from tests.unit.transforms.key_samples import add_bundle, add_files, key_rows, open_all, seal
from tests.unit.transforms.kms_fake import FakeKms, Version, name_of
from transforms import key_provider_gcp
from transforms.audit_append import append_to_log
from transforms.keys import load_ingest_keys, load_release_keys
from transforms.manifest_seal import seal_of
from transforms.sealed_format import KeyRow
from transforms.store import Store


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(keys, [str(argument) for argument in arguments])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "keys"
    assert run("init", directory).exit_code == 0
    return directory


def test_init_makes_two_sides_that_load(made: Path) -> None:
    assert load_ingest_keys(made / "ingest").vault_id == load_release_keys(made / "release").vault_id


def test_init_refuses_a_directory_in_use_and_leaves_it_alone(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    result = run("init", made)
    assert (result.exit_code, "KEYS_EXIST" in result.stderr) == (2, True)
    assert before == {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}


def test_init_can_continue_an_older_directory(made: Path, tmp_path: Path) -> None:
    assert run("init", tmp_path / "next", "--continues", made).exit_code == 0
    older, newer = load_ingest_keys(made / "ingest"), load_ingest_keys(tmp_path / "next" / "ingest")
    assert older.join_key == newer.join_key
    assert older.vault_id != newer.vault_id


def test_init_says_what_is_missing_of_the_older_directory(tmp_path: Path) -> None:
    result = run("init", tmp_path / "next", "--continues", tmp_path / "nothing")
    assert (result.exit_code, "KEYS_MISSING" in result.stderr) == (3, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_show_names_every_key_and_shows_none(made: Path, options: tuple[str, ...]) -> None:
    result = run("show", made, *options)
    assert result.exit_code == 0
    for file in made.rglob("*.key"):
        assert file.stem.rpartition("-")[2] in result.stdout
        for encoded in (file.read_bytes().hex(), repr(file.read_bytes())[2:-1]):
            assert encoded not in result.stdout


def test_show_prints_json_with_dates_and_permissions(made: Path) -> None:
    document = json.loads(run("show", made, "--json").stdout)
    assert [side["side"] for side in document["sides"]] == ["ingest", "release"]
    for side in document["sides"]:
        assert side["permissions"] == "drwx------"
        assert {key["permissions"] for key in side["keys"]} == {"-rw-------"}
        assert all(key["created"] and key["algorithm"] and key["epoch"] == 1 for key in side["keys"])


@pytest.mark.parametrize("side", ["ingest", "release"])
def test_show_takes_one_side_under_any_name(made: Path, tmp_path: Path, side: str) -> None:
    (made / side).rename(tmp_path / "elsewhere")
    document = json.loads(run("show", tmp_path / "elsewhere", "--json").stdout)
    assert [shown["side"] for shown in document["sides"]] == [side]


def test_show_tells_of_permissions_open_to_others(made: Path) -> None:
    os.chmod(made / "ingest" / "keys.json", 0o644)
    result = run("show", made)
    assert (result.exit_code, "KEYS_PERMISSIONS" in result.stderr) == (3, True)


def test_show_tells_of_a_missing_key_file(made: Path) -> None:
    next((made / "ingest").glob("join_key-*")).unlink()
    shown = json.loads(run("show", made / "ingest", "--json").stdout)["sides"][0]["keys"]
    assert [key["purpose"] for key in shown if key["permissions"] == "missing"] == ["join_key"]


def test_show_names_a_damaged_side(made: Path) -> None:
    (made / "ingest" / "keys.json").write_text("{")
    result = run("show", made / "ingest")
    assert (result.exit_code, "KEYS_CORRUPT" in result.stderr) == (3, True)


def test_show_refuses_a_directory_without_keys(tmp_path: Path) -> None:
    result = run("show", tmp_path)
    assert (result.exit_code, "KEYS_NONE" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    "arguments", [("--help",), *((name, "--help") for name in ("init", "show", "rotate", "check", "unlink"))]
)
def test_help_says_what_the_command_does(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, "key" in result.stdout) == (0, True)


# --- rotate -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A store with two bundles."""
    opened = Store.open_or_create(tmp_path / "store", seal_of(load_ingest_keys(made / "ingest")))
    for number in (1, 2):
        batch = seal(load_ingest_keys(made / "ingest"), [10 * number, 10 * number + 1])
        opened = add_bundle(opened, f"run-00000{number}", batch)
    append_to_log(None, str(tmp_path / "store"), load_ingest_keys(made / "ingest"))
    return tmp_path / "store"


@pytest.fixture
def newer(made: Path, tmp_path: Path) -> Path:
    assert run("init", tmp_path / "next", "--continues", made).exit_code == 0
    return tmp_path / "next"


def vault_of(directory: Path) -> str:
    return load_ingest_keys(directory / "ingest").vault_id.hex()


def rotate(store: Path, newer: Path, *options: str | Path) -> Result:
    return run("rotate", "--store", store, "--keys", newer / "release", *options)


def test_rotate_moves_all_keys_and_destroys_the_old_one(store: Path, made: Path, newer: Path) -> None:
    old = vault_of(made)
    backup = key_rows(Store.open(store))
    result = rotate(store, newer, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["destroyed"] == [{"vault": old, "done": True, "due": ""}]
    assert told["stores"][0]["data_keys"] == 6
    assert told["stores"][0]["checkpoint"] == checkpoint_of(str(store))
    keys = load_release_keys(newer / "release")
    assert keys.older_vaults == ()
    assert not open_all(Store.open(store), keys).broken
    assert not open_all(Store.open(store), keys, backup).items
    assert not list((newer / "release").glob(f"*{old}*"))


def test_rotate_again_changes_nothing(store: Path, newer: Path) -> None:
    rotate(store, newer)
    version = Store.open(store).version
    result = rotate(store, newer)
    assert (result.exit_code, Store.open(store).version) == (0, version)
    assert "there is no older vault key" in result.stdout
    assert checkpoint_text(str(store)) in result.stdout


def test_dry_run_says_what_would_be_done_and_does_nothing(store: Path, made: Path, newer: Path) -> None:
    files = [path for folder in (store, newer) for path in folder.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    result = rotate(store, newer, "--dry-run", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["dry_run"], told["older_vaults"]) == (0, True, [vault_of(made)])
    assert (told["stores"][0]["files"], told["stores"][0]["data_keys"]) == (2, 6)
    shown = rotate(store, newer, "--dry-run").stdout
    assert ("would move 6 data keys in 2 files" in shown, "checkpoint" in shown) == (True, False)
    assert "checkpoint" not in told["stores"][0]
    assert before == {path: path.read_bytes() for path in before}


def test_keep_old_moves_and_destroys_nothing(store: Path, made: Path, newer: Path) -> None:
    old = vault_of(made)
    backup = key_rows(Store.open(store))
    result = rotate(store, newer, "--keep-old", "--old-keys", made / "release")
    assert (result.exit_code, f"kept older vault key {old}" in result.stdout) == (0, True)
    assert not open_all(Store.open(store), load_release_keys(newer / "release"), backup).broken
    load_release_keys(made / "release")


def test_old_keys_are_destroyed_in_older_directories_too(store: Path, made: Path, newer: Path) -> None:
    rotate(store, newer)
    assert load_release_keys(made / "release").vault_id
    assert rotate(store, newer, "--old-keys", made / "release").exit_code == 0
    with pytest.raises(InfrastructureFault, match="KEYS_RETIRED"):
        load_release_keys(made / "release")


def test_several_stores_are_rotated_before_anything_is_destroyed(
    store: Path, made: Path, newer: Path, tmp_path: Path
) -> None:
    ingest = load_ingest_keys(made / "ingest")
    empty = Store.open_or_create(tmp_path / "second", seal_of(ingest))
    second = add_bundle(empty, "run-000001", seal(ingest, [5]))
    result = rotate(store, newer, "--store", tmp_path / "second", "--store", store)
    assert result.exit_code == 0, result.stderr
    keys = load_release_keys(newer / "release")
    for opened in (Store.open(store), second.refreshed()):
        assert not open_all(opened, keys).broken


def tamper(store: Path, made: Path) -> str:
    """Change one wrapped data key."""
    opened = sealed(store, made)
    rows = key_rows(opened)
    rows[1] = rows[1]._replace(wrapped=bytes(60))
    replace_keys(opened, rows)
    return rows[1].key_id.hex()


def sealed(store: Path, made: Path) -> Store:
    return Store.open(store, seal_of(load_ingest_keys(made / "ingest")))


def replace_keys(opened: Store, rows: list[KeyRow]) -> None:
    files = [record.path for record in opened.files(QUARANTINE_KEYS)]
    changed = add_files(opened, "damage-0001", [(QUARANTINE_KEYS, rows)])
    changed.commit("damage-0002", [], {}, files)


def test_a_key_that_does_not_unwrap_is_named_and_keeps_the_old_vault_key(
    store: Path, made: Path, newer: Path
) -> None:
    key_id = tamper(store, made)
    result = rotate(store, newer)
    assert (result.exit_code, f"SEAL_KEY_BROKEN: data key {key_id}" in result.stdout) == (1, True)
    assert f"kept older vault key {vault_of(made)}" in result.stdout
    keys = load_release_keys(newer / "release")
    assert keys.older_vaults
    assert [broken.key_id.hex() for broken in open_all(Store.open(store), keys).broken] == [key_id]


def test_what_does_not_unwrap_can_be_abandoned(store: Path, made: Path, newer: Path) -> None:
    tamper(store, made)
    result = rotate(store, newer, "--abandon-broken")
    assert (result.exit_code, "destroyed vault key" in result.stdout) == (1, True)
    assert load_release_keys(newer / "release").older_vaults == ()


def test_rotate_with_keys_of_another_store_moves_nothing(store: Path, tmp_path: Path) -> None:
    run("init", tmp_path / "foreign")
    version = Store.open(store).version
    result = rotate(store, tmp_path / "foreign", "--json")
    assert (result.exit_code, Store.open(store).version) == (1, version)
    assert "STORE_MANIFEST_SEAL" in result.stderr


@pytest.mark.parametrize(("what", "code"), [("store", 2), ("keys", 3)])
def test_rotate_names_what_is_not_there(
    store: Path, newer: Path, tmp_path: Path, what: str, code: int
) -> None:
    result = rotate(*((tmp_path / "no", newer) if what == "store" else (store, tmp_path / "no")))
    assert result.exit_code == code
    assert "Error: " in result.stderr


def test_rotate_does_not_wait_for_another_writer(store: Path, newer: Path) -> None:
    with Store.open(store).writing("run-000009"):
        result = rotate(store, newer)
    assert (result.exit_code, "STORE_LOCKED" in result.stderr) == (3, True)


# --- check --------------------------------------------------------------------------------------------------


def check(store: Path, keys_side: Path) -> tuple[int, Any]:
    result = run("check", "--store", store, "--keys", keys_side, "--json")
    return result.exit_code, json.loads(result.stdout)


def test_check_counts_what_unwraps(store: Path, made: Path) -> None:
    told = {"data_keys": 6, "vaults": {vault_of(made): 6}, "broken": {}}
    assert check(store, made / "release") == (0, told)
    shown = run("check", "--store", store, "--keys", made / "release").stdout
    assert ("6 data keys unwrap" in shown, "Are these the keys" in shown) == (True, False)


def test_check_with_the_keys_of_another_store_asks_whether_they_are(store: Path, tmp_path: Path) -> None:
    run("init", tmp_path / "others")
    result = run("check", "--store", store, "--keys", tmp_path / "others" / "release")
    assert (result.exit_code, "Are these the keys of this store?" in result.stdout) == (1, True)


def test_check_names_what_does_not_unwrap(store: Path, made: Path) -> None:
    key_id = tamper(store, made)
    code, told = check(store, made / "release")
    assert (code, told["data_keys"], told["broken"]) == (1, 5, {key_id: "SEAL_KEY_BROKEN"})
    result = run("check", "--store", store, "--keys", made / "release")
    assert (result.exit_code, f"SEAL_KEY_BROKEN: data key {key_id}" in result.stdout) == (1, True)


def test_check_names_both_of_two_swapped_keys(store: Path, made: Path) -> None:
    opened = sealed(store, made)
    rows = key_rows(opened)
    rows[1:3] = (rows[place]._replace(wrapped=rows[other].wrapped) for place, other in ((1, 2), (2, 1)))
    replace_keys(opened, rows)
    _, told = check(store, made / "release")
    assert told["broken"] == {row.key_id.hex(): "SEAL_KEY_BROKEN" for row in rows[1:3]}


def test_check_names_a_lost_key(store: Path, made: Path) -> None:
    opened = sealed(store, made)
    rows = key_rows(opened)
    lost = rows.pop(1)
    replace_keys(opened, rows)
    assert check(store, made / "release")[1]["broken"] == {lost.key_id.hex(): "SEAL_KEY_MISSING"}


def test_check_with_the_wrong_keys_names_all(store: Path, tmp_path: Path) -> None:
    run("init", tmp_path / "foreign")
    code, told = check(store, tmp_path / "foreign" / "release")
    assert (code, told["data_keys"], len(told["broken"])) == (1, 0, 6)
    assert set(told["broken"].values()) == {"SEAL_KEY_MISSING"}


# --- Cloud KMS ----------------------------------------------------------------------------------------------


def test_init_refuses_a_vault_that_is_no_key_version(tmp_path: Path) -> None:
    result = run("init", tmp_path / "keys", "--vault", "gcp-kms://projects/x")
    assert (result.exit_code, "KEYS_KMS_NAME" in result.stderr) == (2, True)
    assert not (tmp_path / "keys").exists()


def test_init_with_a_vault_in_the_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = FakeKms({name_of(1): Version()})
    monkeypatch.setattr(key_provider_gcp, "connect", lambda: service)
    monkeypatch.setattr(key_provider_gcp, "_client", None)
    assert run("init", tmp_path / "keys", "--vault", f"gcp-kms://{name_of(1)}").exit_code == 0
    shown = run("show", tmp_path / "keys").stdout
    assert "vault_service" in shown
    assert "vault_private" not in shown


# --- unlink -------------------------------------------------------------------------------------------------


def test_unlink_destroys_the_roots_of_past_epochs_on_both_sides(made: Path, newer: Path) -> None:
    old = load_ingest_keys(made / "ingest").epoch_id
    result = run("unlink", newer, "--epoch", "1")
    assert (result.exit_code, result.stdout.count("destroyed")) == (0, 2)
    for keys_side in (load_ingest_keys(newer / "ingest"), load_release_keys(newer / "release")):
        assert len(keys_side.epoch_roots) == 1
        assert old not in keys_side.epoch_roots
    assert not list(newer.rglob(f"*{old.hex()}*"))


def test_unlink_says_what_it_would_destroy(newer: Path) -> None:
    result = run("unlink", newer / "release", "--epoch", "1", "--dry-run")
    assert (result.exit_code, result.stdout.count("would destroy")) == (0, 1)
    assert len(load_release_keys(newer / "release").epoch_roots) == 2


@pytest.mark.parametrize("epoch", ["2", "3"])
def test_unlink_refuses_the_epoch_that_is_written_and_one_that_is_not_there(newer: Path, epoch: str) -> None:
    result = run("unlink", newer, "--epoch", "1", "--epoch", epoch)
    assert (result.exit_code, "KEYS_NO_PAST_EPOCH" in result.stderr) == (2, True)
    assert len(load_ingest_keys(newer / "ingest").epoch_roots) == 2


def test_unlink_passes_over_a_release_side_without_roots(newer: Path) -> None:
    file = newer / "release" / "keys.json"
    description = json.loads(file.read_text())
    description["keys"] = [key for key in description["keys"] if key["purpose"] != "pseudonym_epoch_root"]
    file.write_text(json.dumps(description))
    result = run("unlink", newer, "--epoch", "1")
    assert (result.exit_code, result.stdout.count("destroyed")) == (0, 1)
