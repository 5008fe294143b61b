"""The audit log of real runs and releases: commands, proofs, other people's tools, and interrupted runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import pipelines.run_release
import transforms.audit_append
from pipelines.cli import cli
from schemas.errors import InfrastructureFault
from schemas.tables import DECISION_CLASSES, OPENINGS
from tests.pipeline.release_world import TRAINING, World, meeting
from tests.pipeline.support import ingest, lines_file
from tests.pipeline.support_events import joined
from transforms.audit_log import merge
from transforms.audit_verify import verify_log

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text(encoding="utf-8")


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["audit", *map(str, words)])


def page_block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> World:
    """Two runs, and a release between them; the checkpoint after the first run is kept."""
    world = World(tmp_path_factory.mktemp("told"), keys)
    world.adults("ada", "bob", "eve")
    world.say("ada", scope="tenant:t1")
    world.say("bob", scope="tenant:t1")
    world.say("eve", "refused", scope="tenant:t1")
    world.ingest([*meeting(["ada", "bob"], items=3), *meeting(["ada", "eve"], "m2", items=2)])
    (world.store.parent / "kept").write_text(run("checkpoint", "--store", world.store).output)
    world.release()
    world.ingest(meeting(["bob"], "m3"), "later.jsonl")
    (world.store.parent / "verifiers").write_text(run("key", "--store", world.store, "--keys", keys).output)
    return world


@pytest.fixture
def copied(told: World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(told.store, tmp_path / "S"))


def shown(store: Path, *words: str) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = json.loads(run("show", "--store", store, "--json", *words).output)
    return said


# --- what is in it ------------------------------------------------------------------------------------------


def test_everything_that_was_done_is_an_entry(told: World) -> None:
    said = shown(told.store)
    counts = Counter(entry["type"] for entry in said)
    assert counts["run"] == 3
    assert counts["decisions"] in (1, 2)  # of content, and of telemetry where it was asked for
    assert counts["opening"] == 1
    assert [entry.get("state") for entry in said if entry["type"] == "release"] == [None, "begun"]
    assert {entry["what"] for entry in said if entry["type"] == "policy"} >= {"policy_hash", "contracts"}
    assert {entry["side"] for entry in said if entry["type"] == "key"} == {"ingest", "release"}
    assert [entry["kind"] for entry in said if entry["type"] == "run"] == ["ingest", "release", "ingest"]
    assert said[-1]["type"] == "merge"
    (begun,) = (entry for entry in said if entry.get("state") == "begun")
    assert (begun["purposes"], begun["recipient"]) == ([TRAINING], "first_party")


def test_entries_are_told_on_a_line_each(told: World) -> None:
    lines = run("show", "--store", told.store).output.splitlines()
    assert len(lines) == len(shown(told.store))
    assert "run" in lines[0]
    assert all(len(line) < 600 for line in lines)
    assert [entry["index"] for entry in shown(told.store, "--type", "run", "--last", "1")] == [len(lines) - 2]
    strange = run("show", "--store", told.store, "--type", "runs")
    assert (strange.exit_code, strange.stdout) == (0, "")
    assert "no entry is of type runs; there are " in strange.stderr


def test_no_entry_holds_what_an_event_said(told: World) -> None:
    text = json.dumps(shown(told.store))
    assert not [word for word in ("ada", "bob", "eve", "m1", "m2", "m3") if f'"{word}"' in text]
    assert " " not in "".join(word for entry in shown(told.store) for word in strings(entry))


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [word for each in (*value, *value.values()) for word in strings(each)]
    if isinstance(value, list):
        return [word for each in value for word in strings(each)]
    return [value] if isinstance(value, str) else []


# --- verifying ----------------------------------------------------------------------------------------------


def trusted(world: World) -> list[object]:
    folder = world.store.parent
    return ["--verifier-key", folder / "verifiers", "--checkpoint", folder / "kept"]


def test_a_log_that_nobody_touched_verifies(told: World, keys: Path) -> None:
    result = run("verify", "--store", told.store, *trusted(told))
    assert (result.exit_code, "Everything holds." in result.output) == (0, True), result.output
    assert "own word" not in result.output
    own = run("verify", "--store", told.store)
    assert (own.exit_code, "own word" in own.output) == (0, True)
    said = json.loads(run("verify", "--store", told.store, "--keys", keys, "--json").output)
    assert (said["holds"], said["commits"], said["verifiers_from"]) == (True, 3, "outside")
    assert len(said["verifiers"]) == 2


def root_by(proof: dict[str, Any]) -> str:
    """The root that a proof leads to (RFC 9162 2.1.3.2)."""
    place, last, found = proof["index"], proof["size"] - 1, bytes.fromhex(proof["leaf"])
    for step in map(bytes.fromhex, proof["path"]):
        left = place % 2 or place == last
        found = hashlib.sha256(b"\x01" + (step + found if left else found + step)).digest()
        while left and not place % 2 and place:
            place, last = place // 2, last // 2
        place, last = place // 2, last // 2
    return found.hex()


def test_a_decision_is_shown_to_be_in_the_log(told: World) -> None:
    decision = told.classes()[0]["decision_id"]
    result = run("verify", "--store", told.store, "--decision", decision, "--json")
    assert result.exit_code == 0, result.output
    found = [each for each in json.loads(result.output)["evidence"] if each["table"] == DECISION_CLASSES]
    assert found
    entries = shown(told.store)
    for each in found:
        assert json.loads(each["row"])["decision_id"] == decision
        leaf = hashlib.sha256(b"\x00" + each["row"].encode()).hexdigest()
        assert leaf == each["in_entry"]["leaf"]
        entry = entries[each["in_log"]["index"]]
        assert entry["root"] == each["in_entry"]["root"] == root_by(each["in_entry"])
        assert each["in_log"]["root"] == root_by(each["in_log"])
    text = run("verify", "--store", told.store, "--decision", decision).output
    assert f"found    in {DECISION_CLASSES}" in text
    assert OPENINGS in text or told.classes()[0]["decision"] != "RELEASE"


def test_an_id_that_is_not_in_the_log_is_a_finding(told: World) -> None:
    for option in ("--decision", "--tombstone"):
        result = run("verify", "--store", told.store, option, "0" * 32)
        assert (result.exit_code, "AUDIT_NOT_FOUND" in result.output) == (1, True)


@pytest.mark.parametrize(
    "path",
    ["log/checkpoint", "log/tile/entries/*.p/*", "manifests/0000000002.json", "decisions/**/*.parquet"],
)
def test_what_was_changed_is_found(copied: Path, told: World, path: str) -> None:
    file = sorted(copied.glob(path))[-1]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    result = run("verify", "--store", copied, *trusted(told))
    assert (result.exit_code, "BROKEN" in result.output) == (1, True), result.output
    assert "Everything holds" not in result.output


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (["verify", "--store", "nowhere"], 2, "STORE_NOT_FOUND"),
        (["verify", "--store", "S", "--checkpoint", "nowhere"], 2, "AUDIT_FILE_UNREADABLE"),
        (["verify", "--store", "S", "--verifier-key", "a+b+c"], 2, "AUDIT_VERIFIER_KEY"),
        (["verify", "--store", "S", "--keys", "nowhere"], 3, "KEYS"),
        (["merge", "--store", "S", "--keys", "nowhere"], 3, "KEYS"),
        (["merge", "--store", "S", "--keys", "K"], 2, "AUDIT_TWO_SIDES"),
    ],
)
def test_what_cannot_be_used_is_named(
    copied: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, word: str
) -> None:
    monkeypatch.chdir(copied.parent)
    result = run(*(keys if each == "K" else each for each in words))
    assert (result.exit_code, word in result.stderr) == (code, True), result.output


@pytest.mark.parametrize("words", [["verify"], ["show"], ["checkpoint"], ["key"]])
def test_a_store_without_a_commit_has_no_log(tmp_path: Path, words: list[str]) -> None:
    from transforms.store import Store

    Store.open_or_create(tmp_path)
    result = run(*words, "--store", tmp_path)
    assert (result.exit_code, "AUDIT_NO_LOG" in result.stderr) == (2, True)


def test_a_folder_that_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        result = run("checkpoint", "--store", folder)
        assert (result.exit_code, "STORE_NOT_FOUND" in result.stderr) == (2, True), result.stderr


def test_the_keys_that_the_store_names_are_those_of_the_key_directory(told: World, keys: Path) -> None:
    stated = json.loads(run("key", "--store", told.store, "--json").output)["verifiers"]
    assert sorted(stated) == sorted(run("key", "--store", told.store, "--keys", keys).output.split())
    (ingests,) = run("key", "--store", told.store, "--keys", keys / "ingest").output.split()
    assert ingests in stated


# --- other people's tools -----------------------------------------------------------------------------------


def checked_by_script(folder: Path, store: Path, world: World) -> subprocess.CompletedProcess[str]:
    script = folder / "check_log.py"
    script.write_text(page_block("python"))
    given = [store / "log", world.store.parent / "verifiers", world.store.parent / "kept"]
    command = [sys.executable, "-I", str(script), *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_page_of_python_without_our_code_verifies_the_log(told: World, tmp_path: Path) -> None:
    ran = checked_by_script(tmp_path, told.store, told)
    assert ran.returncode == 0, ran.stderr
    assert f"{len(shown(told.store))} entries, signed, 1 kept checkpoints continued" in ran.stdout


def spoil_entry(store: Path) -> None:
    bundle = max((store / "log" / "tile" / "entries").glob("000.p/*"), key=lambda path: int(path.name))
    content = bundle.read_bytes()
    bundle.write_bytes(content.replace(b'"rows":', b'"Rows":'))


def spoil_checkpoint(store: Path) -> None:
    path = store / "log" / "checkpoint"
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], str(int(lines[1]) - 1), *lines[2:]]))


def spoil_manifest(store: Path) -> None:
    path = store / "manifests" / "0000000001.json"
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize("spoil", [spoil_entry, spoil_checkpoint, spoil_manifest])
def test_that_page_finds_what_was_changed(
    told: World, copied: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(copied)
    ran = checked_by_script(tmp_path, copied, told)
    assert ran.returncode != 0
    assert not verify_log(str(copied)).holds


@pytest.fixture(scope="module")
def go_checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's Go program, built from what the machine has; nothing is downloaded."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go here")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(page_block("go"))
    cache = subprocess.run(
        [go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True
    ).stdout.strip()
    versions = sorted(Path(cache).glob("golang.org/x/mod@*"))
    if not versions:
        pytest.skip("golang.org/x/mod is not in Go's module cache")
    needed = f"require golang.org/x/mod {versions[-1].name.partition('@')[2]}\n"
    (folder / "go.mod").write_text(f"module check_log\n\ngo 1.22\n\n{needed}")
    offline = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GONOSUMDB": "*", "GONOSUMCHECK": "1"}
    command = [go, "build", "-o", "check_log", "."]
    built = subprocess.run(command, cwd=folder, env=offline, capture_output=True, text=True, check=False)
    if built.returncode:
        pytest.skip("Go cannot build offline here")
    return folder / "check_log"


def test_gos_own_packages_verify_the_log(told: World, copied: Path, go_checker: Path) -> None:
    folder = told.store.parent
    command = [str(go_checker), str(told.store / "log"), str(folder / "verifiers"), str(folder / "kept")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, "entries continue the" in ran.stdout) == (0, True), ran.stderr
    spoil_checkpoint(copied)
    command[1] = str(copied / "log")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


# --- reports and interruptions ------------------------------------------------------------------------------


def test_the_report_of_a_run_ends_with_the_checkpoint(tmp_path: Path, keys: Path) -> None:
    source = lines_file(tmp_path / "in.jsonl", [joined(number) for number in range(3)])
    words = ["run", "--input", str(source), "--store", str(tmp_path / "S"), "--keys", str(keys / "ingest")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert run("checkpoint", "--store", tmp_path / "S").output in result.output
    said = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)["checkpoint"]
    assert said == json.loads(run("checkpoint", "--store", tmp_path / "S", "--json").output)


def test_a_release_that_fails_has_been_logged_all_the_same(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, keys)
    world.adults("ada")
    world.say("ada", scope="tenant:t1")
    world.ingest(meeting(["ada"]))

    def fail(*_: Any) -> None:
        raise InfrastructureFault("STORE_DISK_FULL", "no space left")

    with monkeypatch.context() as broken:
        broken.setattr(pipelines.run_release, "build_release", fail)
        with pytest.raises(InfrastructureFault):
            world.release()
    verified = json.loads(run("verify", "--store", world.store, "--json").output)
    assert (verified["holds"], verified["waiting"]) == (True, 1)
    world.ingest(meeting(["ada"], "m2"), "more.jsonl")
    (begun,) = shown(world.store, "--type", "release")
    assert (begun["state"], begun["purposes"]) == ("begun", [TRAINING])


def test_a_run_that_ends_before_its_entry_is_made_up_for(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = lines_file(tmp_path / "in.jsonl", [joined(number) for number in range(3)])
    store = tmp_path / "S"
    ingest(source, store, keys)
    calls: list[Any] = []

    def second_fails(*words: Any, **named: Any) -> bytes | None:
        calls.append(words)
        if len(calls) == 2:
            raise InfrastructureFault("STORE_DISK_FULL", "no space left")
        return merge(*words, **named)

    with monkeypatch.context() as broken:
        broken.setattr(transforms.audit_append, "merge", second_fails)
        with pytest.raises(InfrastructureFault):
            ingest(source, store, keys)
    result = run("verify", "--store", store)
    assert (result.exit_code, "AUDIT_COMMIT_UNLOGGED" in result.output) == (1, True)
    merged = run("merge", "--store", store, "--keys", keys / "ingest")
    assert merged.exit_code == 0, merged.output
    assert merged.output == run("checkpoint", "--store", store).output
    assert run("verify", "--store", store).exit_code == 0
    assert [entry["kind"] for entry in shown(store, "--type", "run")] == ["ingest"] * 2
