"""A reprocessing on engines: cut into tasks, done by several processes, done twice, it comes to the same."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import apache_beam as beam
import pytest
from click.testing import CliRunner

from pipelines.cli import cli
from pipelines.reprocess import build_reprocess
from schemas.contract import load_contracts
from schemas.contract_lint import contract_files
from schemas.errors import InfrastructureFault
from schemas.tables import OPENINGS
from tests.pipeline.reprocess_world import (
    AS_OF,
    TENANTS,
    Chance,
    poor_contract,
    reprocess,
    write_contract,
)
from tests.pipeline.support import RECEIVED, comparable, ingest, lines_file
from tests.pipeline.test_isolation import key_material, unpacked
from transforms import reprocess_steps
from transforms.keys import load_release_keys
from transforms.manifest_seal import seal_of
from transforms.opening_warrants import FOR_REPROCESSING, Ground
from transforms.reprocess import take_in
from transforms.reprocess_commit import commit_reprocessing
from transforms.reprocess_settings import ReprocessSettings, opened_tenants, sealed_tenants
from transforms.reprocess_steps import choice_of
from transforms.reprocess_tasks import tasks_of
from transforms.store import Store

LATER = RECEIVED + timedelta(days=2)
ONE_TASK: Final[dict[str, Any]] = {}
MANY_TASKS: Final[dict[str, Any]] = {"rows_a_task": 1}
WAYS: Final[Mapping[str, dict[str, Any]]] = {
    "in many tasks": MANY_TASKS,
    "every bundle done twice": {**MANY_TASKS, "beam_arguments": ("--direct_runner_bundle_repeat", "1")},
}
TWO_PROCESSES: Final = (
    "--direct_num_workers=2",
    "--direct_running_mode=multi_processing",
)
DRAWN = ("run_id", "decision_id")
"""What every run draws anew."""


class Written(NamedTuple):
    """A store that was written under a poor contract, and the mended one."""

    store: Path
    contracts: Path


def _grown(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"][0]["value"].append("visit.grew")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Written:
    """A store in which events came again, after the days that ingest looks back, alike and otherwise."""
    folder = tmp_path_factory.mktemp("engines")
    poor, rich = poor_contract(folder / "poor"), write_contract(folder / "rich", change=_grown)
    events = Chance(5).events(40)
    unknown = [{**each, "id": f"u-{number}", "type": "visit.grew"} for number, each in enumerate(events[:12])]
    otherwise = [{**each, "time": "2026-03-01T11:00:00Z"} for each in unknown[3:5]]
    first = lines_file(folder / "first.jsonl", [*events, *unknown])
    again = lines_file(folder / "again.jsonl", [*events[:2], *unknown[:3], *otherwise, b'{"mumbled": 1}'])
    ingest(first, folder / "store", keys, contract_files=(poor,), split_bytes=4096)
    ingest(again, folder / "store", keys, contract_files=(poor,), received=LATER, digest_since=LATER)
    return Written(folder / "store", rich)


def done(written: Written, folder: Path, keys: Path, **how: Any) -> tuple[dict[str, Any], Path]:
    """The ledger of a reprocessing of a copy, and the copy."""
    shutil.copytree(written.store, folder)
    return reprocess(folder, keys, written.contracts, **how), folder


@pytest.fixture(scope="module")
def plain(
    written: Written, tmp_path_factory: pytest.TempPathFactory, keys: Path
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The reprocessing in one task, in this process."""
    ledger, store = done(written, tmp_path_factory.mktemp("plain") / "S", keys)
    return ledger, comparable(store, keys)


def unnamed(store: Path) -> set[str]:
    """Files of tables that no manifest names."""
    return {path.relative_to(store).as_posix() for path in store.rglob("*.parquet")} - Store.open(
        store
    ).snapshot.live.keys()


def check_same(
    ledger: dict[str, Any],
    store: Path,
    keys: Path,
    plain: tuple[dict[str, Any], dict[str, list[str]]],
) -> None:
    """Whether a reprocessing came to the same as in one task."""
    expected, rows = plain
    assert {name: told for name, told in ledger.items() if name not in DRAWN} == {
        name: told for name, told in expected.items() if name not in DRAWN
    }
    found = comparable(store, keys)
    assert [table for table in {*rows, *found} - {OPENINGS} if found.get(table) != rows.get(table)] == []
    assert len(Store.open(store).snapshot.manifests) == 3
    assert unnamed(store) == set()


def test_an_event_that_came_again_is_taken_in_once(
    plain: tuple[dict[str, Any], dict[str, list[str]]],
) -> None:
    told = {
        (row["outcome"], row["reason"]): row["count"]
        for row in plain[0]["values"]
        if row["held_as"] == "UNKNOWN_TYPE"
    }
    assert told == {
        ("separated", ""): 12,
        ("duplicate", ""): 3,
        ("stays", "ID_COLLISION"): 2,
        ("stays", "UNKNOWN_TYPE"): 1,
    }


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_however_it_is_cut(
    way: str,
    written: Written,
    plain: tuple[dict[str, Any], dict[str, list[str]]],
    tmp_path: Path,
    keys: Path,
) -> None:
    ledger, store = done(written, tmp_path / "S", keys, **WAYS[way])
    check_same(ledger, store, keys, plain)
    openings = Store.open(store).read_table(OPENINGS).num_rows
    assert openings > len(plain[1][OPENINGS]), "tasks that came upon the same event were done again"


@pytest.mark.slow
def test_it_is_the_same_in_two_processes(
    written: Written,
    plain: tuple[dict[str, Any], dict[str, list[str]]],
    tmp_path: Path,
    keys: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    ledger, store = done(written, tmp_path / "S", keys, **MANY_TASKS, beam_arguments=TWO_PROCESSES)
    check_same(ledger, store, keys, plain)
    assert not [word for word in ("hello", "fed up", "a@b.example") if word in "".join(capfd.readouterr())]


def test_it_is_cut_by_files_and_tasks_know_of_each_other(written: Written, keys: Path) -> None:
    store = Store.open(written.store)
    choice = choice_of(store, _settings(written, keys), load_contracts(contract_files([written.contracts])))
    whole, cut = tasks_of(store, choice), tasks_of(store, choice, 1)
    assert [task.of_rejects for task in whole] == [False, True]
    assert len(cut) > len(whole)
    for tasks in (whole, cut):
        assert [task.number for task in tasks] == list(range(len(tasks)))
        assert sorted(key for task in tasks for key in task.keys) == sorted([*choice.items, *choice.rejects])
    assert sum(len(task.seen) for task in cut) == 2
    assert not any(task.seen for task in whole)


def _settings(written: Written, keys: Path) -> ReprocessSettings:
    release = load_release_keys(keys / "release")
    base = Store.open(written.store, seal_of(release)).snapshot.last_digest
    return ReprocessSettings(
        store=str(written.store),
        base=base,
        ground=Ground("run-000001", FOR_REPROCESSING, "0" * 32),
        order={},
        as_of=AS_OF,
        today=date.fromisoformat(AS_OF[:10]),
        live_days=30,
        rejected_days=30,
        tenants=sealed_tenants(release, "run-000001", ("tenant-of-canaries", *TENANTS)),
    )


def test_the_graph_that_travels_to_workers_is_small_and_holds_no_key_and_no_tenant(
    written: Written, keys: Path
) -> None:
    pipeline = beam.Pipeline()
    contracts = load_contracts(contract_files([written.contracts]))
    build_reprocess(pipeline, _settings(written, keys), contracts, load_release_keys(keys / "release"))
    graph = pipeline.to_runner_api().SerializeToString()
    pickled = list(unpacked(graph))
    assert len(graph) < 1 << 20
    assert any(b"_take_in" in one for one in pickled)
    secret = {name: key for name, key in key_material(keys).items() if len(key) >= 16}
    secret["a tenant"] = b"tenant-of-canaries"
    assert [name for name, key in secret.items() if any(key in one for one in pickled)] == []


def test_what_a_task_hands_on_holds_nothing_that_was_opened(
    written: Written, tmp_path: Path, keys: Path
) -> None:
    copy = Written(Path(shutil.copytree(written.store, tmp_path / "S")), written.contracts)
    settings, contracts = _settings(copy, keys), load_contracts(contract_files([copy.contracts]))
    store = Store.open(copy.store)
    release = load_release_keys(keys / "release")
    handed = b"".join(
        pickle.dumps(take_in(task, settings, contracts, release))
        for task in tasks_of(store, choice_of(store, settings, contracts))
    )
    assert b"data.count" in handed, "fields are told of by their names in the contract"
    events = json.dumps(Chance(5).events(40)[:12])  # these lay sealed whole, and are all opened
    words = ["hello", "a@b.example", "Anna", "203.0.113.9"]
    assert [word for word in words if word not in events] == []
    assert [word for word in words if word.encode() in handed] == []


def test_tenants_travel_enciphered_and_for_one_run(written: Written, keys: Path) -> None:
    release, settings = load_release_keys(keys / "release"), _settings(written, keys)
    assert opened_tenants(release, settings) == ("tenant-of-canaries", *TENANTS)
    assert b"canaries" not in settings.tenants
    assert settings.tenants != sealed_tenants(release, "run-000001", ("tenant-of-canaries", *TENANTS))


def test_a_store_that_changed_meanwhile_is_not_committed_to(
    written: Written, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run commits once the store's lock is lost: what was opened stays as it was."""
    store = tmp_path / "S"
    shutil.copytree(written.store, store)
    release = load_release_keys(keys / "release")

    def late(settings: ReprocessSettings, *rest: Any) -> None:
        other = Store.open(settings.store, seal_of(release))
        other.commit("other-000001", [], {"kind": "gc"})
        commit_reprocessing(settings, *rest)

    monkeypatch.setattr(reprocess_steps, "commit_reprocessing", late)
    with pytest.raises(InfrastructureFault, match="STORE_CHANGED"):
        reprocess(store, keys, written.contracts)
    assert len(Store.open(store).snapshot.manifests) == 3
    assert unnamed(store) == set()


def test_the_command_hands_options_on_to_beam(
    written: Written, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(written.store, tmp_path / "S")
    monkeypatch.chdir(tmp_path)
    command = ["reprocess", "--store", "S", "--as-of", AS_OF, "--dry-run"]
    command += ["--keys", str(keys / "release"), "--contracts", str(written.contracts)]
    refused = CliRunner().invoke(cli, [*command, "--runer", "FlinkRunner"])
    assert (refused.exit_code, "UNKNOWN_OPTION" in refused.output) == (2, True), refused.output
    shown = CliRunner().invoke(cli, [*command, "--runner", "DirectRunner", "--direct_num_workers", "1"])
    assert (shown.exit_code, "What would move" in shown.output) == (0, True), shown.output
