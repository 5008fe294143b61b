from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.keys_command import keys
from transforms.keys import load_ingest_keys, load_release_keys


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


@pytest.mark.parametrize("arguments", [("--help",), ("init", "--help"), ("show", "--help")])
def test_help_says_what_the_command_does(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert (result.exit_code, "key" in result.stdout) == (0, True)
