"""Flink does what this process does: the same rows, decisions and counts, whatever of it is killed.

``make test-engines`` fetches what is needed and runs these tests; they are left out of ``make test``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import cli
from tests.engines.deeds import (
    DEEDS,
    LIFE,
    Beam,
    begin,
    decided,
    differing,
    erase,
    kept,
    logged,
    prepared,
    said,
)
from tests.engines.engine_faults import VICTIMS, campaign, copied
from tests.engines.flink_cluster import ROOT, Cluster, cluster, end_when_terminated, lacking, main, wait_for
from tests.pipeline.kill_worlds import ADA, leaks, unnamed
from tests.pipeline.release_world import World
from tests.pipeline.support import RECEIVED, comparable, opened
from transforms.keys import create_key_directory
from transforms.store import Store

WANTED = "COFFERDAM_TEST_ENGINES"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(WANTED not in os.environ, reason="engines are tested by make test-engines"),
    pytest.mark.skipif(WANTED in os.environ and lacking() is not None, reason=str(lacking())),
]

SEVERAL: Beam = ("--direct_num_workers", "2", "--direct_running_mode", "multi_processing")
OF_THE_RUN = ("run_id", "records_seen")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    create_key_directory(folder / "keys", created=RECEIVED)
    return folder


@pytest.fixture(scope="module")
def flink(folder: Path) -> Iterator[Cluster]:
    """One job manager, two task managers and a job service, which end with the tests, however these do."""
    end_when_terminated()
    with cluster(folder / "cluster") as made:
        yield made


@dataclass
class Lived:
    """A world in which everything was done, and the ledgers of it."""

    world: World
    ledgers: dict[str, dict[str, Any]]


def lived(folder: Path, name: str, beam: Beam) -> Lived:
    world = begin(folder / name, folder / "keys")
    return Lived(world, {deed: said(deed, do(world, beam)) for deed, do in DEEDS.items() if deed in LIFE})


@pytest.fixture(scope="module")
def in_process(folder: Path) -> Lived:
    return lived(folder, "in-process", ())


@pytest.mark.parametrize("engine", ["several processes", "flink"])
def test_runs_releases_and_erasures_are_the_same(
    engine: str, folder: Path, in_process: Lived, flink: Cluster
) -> None:
    found = lived(folder, engine, flink.beam_arguments() if engine == "flink" else SEVERAL)
    assert found.ledgers == in_process.ledgers
    assert found.ledgers["release"]["released"] == found.ledgers["erase"]["items"] == 20
    assert differing(kept(found.world), kept(in_process.world)) == (0, 0)
    assert decided(found.world) == decided(in_process.world)
    assert len(Store.open(found.world.store).snapshot.manifests) == 3
    assert (unnamed(found.world), leaks(found.world)) == (set(), 0)
    assert logged(flink.folder / "logs") == 0


@pytest.mark.parametrize("engine", ["several processes", "flink"])
def test_reprocessings_are_the_same(engine: str, folder: Path, flink: Cluster) -> None:
    where = folder / f"reprocess {engine}"
    plain = prepared("reprocess", where / "plain", folder / "keys")
    other = copied(plain, where / "other")
    beam = flink.beam_arguments() if engine == "flink" else SEVERAL
    ledgers = [said("reprocess", DEEDS["reprocess"](*each)) for each in ((plain, ()), (other, beam))]
    assert ledgers[0] == ledgers[1]
    assert ledgers[0]["outcomes"]["moved"]
    assert differing(kept(other), kept(plain)) == (0, 0)
    assert len(Store.open(other.store).snapshot.manifests) == len(Store.open(plain.store).snapshot.manifests)
    assert (leaks(other), logged(flink.folder / "logs")) == (0, 0)


def test_what_is_due_is_the_same(folder: Path, flink: Cluster) -> None:
    plain = prepared("erase", folder / "due plain", folder / "keys")
    withdrawn = {"event_time": "2026-03-05T09:00:00Z", "ingested_at": "2026-03-05T09:00:01Z"}
    plain.say(ADA, "withdrawn", scope="tenant:t1", **withdrawn)
    other = copied(plain, folder / "due flink")
    ledgers = [
        said("erase", erase(world, beam, subjects=(), all_due=True))
        for world, beam in ((plain, ()), (other, flink.beam_arguments()))
    ]
    assert ledgers[0] == ledgers[1]
    assert ledgers[0]["recalls"] == 20
    assert differing(kept(other), kept(plain)) == (0, 0)
    assert (unnamed(other), leaks(other), logged(flink.folder / "logs")) == (set(), 0, 0)


def command(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def generated(folder: Path) -> Path:
    made = command("generate", "--events", 2000, "--seed", 5, "--output", folder / "events")
    assert made.exit_code == 0, made.output
    return folder / "events"


def the_same(store: Path, keys: Path) -> dict[str, list[str]]:
    """All that a store says, the parts of an item in any order: they stand in that of their decoder."""
    parts = opened(store, keys).items.items()
    return {
        **comparable(store, keys),
        "opened items": sorted(repr((item, sorted(each))) for item, each in parts),
    }


def committed(store: Path, run_id: str) -> dict[str, Any]:
    """What ``cofferdam ledger`` says as soon as a run is committed that nobody has waited for."""
    found: list[Result] = []

    def ends() -> bool:
        found.append(command("ledger", "--store", store, "--run", run_id, "--json"))
        assert found[-1].exit_code in (0, 3), found[-1].output
        return found[-1].exit_code == 0

    wait_for(ends, "commit", 180)
    said: dict[str, Any] = json.loads(found[-1].output)
    return said


def test_generated_events_come_to_the_same_although_nobody_waits(
    generated: Path, folder: Path, flink: Cluster
) -> None:
    ledgers = []
    for name, beam in (("plain", ()), ("left", (*flink.beam_arguments(), "--no-wait"))):
        store = folder / f"generated-{name}"
        run = ["run", "--input", generated / "events", "--store", store, "--keys", folder / "keys/ingest"]
        ended = command(*run, "--split-bytes", 200_000, "--json", *beam)
        assert ended.exit_code == 0, ended.output
        answer = json.loads(ended.output)
        ledgers.append(committed(store, answer["run_id"]))
        assert beam == () or answer == {"run_id": answer["run_id"], "submitted": True}
    plain, left = (said("run", ledger) for ledger in ledgers)
    assert left == plain
    plain_rows, left_rows = (
        the_same(folder / f"generated-{name}", folder / "keys") for name in ("plain", "left")
    )
    assert [table for table in plain_rows if left_rows.get(table) != plain_rows[table]] == []
    assert left_rows.keys() == plain_rows.keys()


def test_a_launch_has_logged_its_commit_when_the_job_has_ended(folder: Path, flink: Cluster) -> None:
    until = time.monotonic() + 60
    while flink.job().state == "RUNNING" and time.monotonic() < until:
        time.sleep(0.2)
    verified = command("audit", "verify", "--store", folder / "generated-left")
    assert verified.exit_code == 0, verified.output


def test_the_page_leads_from_nothing_to_a_run(tmp_path: Path, flink: Cluster) -> None:
    page = (ROOT / "docs/flink.md").read_text()
    fetch, start, run = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    recipe = (ROOT / "Makefile").read_text()
    assert all(line.split(" --")[0] in recipe.replace("$(BIN)", ".venv/bin") for line in fetch.splitlines())
    assert re.search(r"-m (\S+)", start)[1] == main.__module__  # type: ignore[index]
    commands = run.replace("localhost:8099", f"localhost:{flink.job_port}").replace("$PWD", str(ROOT))
    commands = commands.replace("localhost:8081", flink.master)
    own = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env=own, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "2,000 records read" in ended.stdout
    kinds = [each.facts["kind"] for each in Store.open(tmp_path / "cofferdam-flink/store").snapshot.manifests]
    assert kinds == ["ingest", "release", "erasure", "reprocess"]


# --- what is interrupted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False], ids=["Flink is named", "only its job service is"])
def test_an_interrupt_cancels_the_job_where_flink_is_named_and_tells_of_it_where_not(
    named: bool, generated: Path, folder: Path, flink: Cluster
) -> None:
    store, before = folder / f"interrupted-{named}", flink.job().identity
    places = ("--store", store, "--keys", folder / "keys/ingest")
    words = [
        "run",
        "--input",
        generated / "events",
        *places,
        "--split-bytes",
        200_000,
        *flink.beam_arguments(),
    ]
    master = ["--flink_master", flink.master] if named else []
    with launched(*words, *master) as launch:
        wait_for(lambda: flink.job().identity != before and flink.job().state == "RUNNING", "job")
        launch.send_signal(signal.SIGINT)
        said = launch.communicate(timeout=60)[1]
    assert (launch.returncode, "Error: RUN_INTERRUPTED: run 2" in said) == (3, True), said
    assert ("the engine has ended it" in said, "the engine may go on" in said) == (named, not named)
    wait_for(lambda: flink.job().state in ("CANCELED", "FINISHED"), "end of the job")
    assert flink.job().state == ("CANCELED" if named else "FINISHED")
    assert Store.open(store).version == (0 if named else 1)
    again = command(*words, "--json")
    assert again.exit_code == 0, again.output
    outcomes = json.loads(again.output)["outcomes"]
    assert ("separated" in outcomes, list(outcomes) == ["duplicate"]) == (named, not named)
    Store.open(store).check(digests=True)


def test_a_job_whose_workers_find_no_keys_is_not_done_again_and_again(
    generated: Path, folder: Path, flink: Cluster
) -> None:
    keys, before = folder / "keys of one job", flink.job().identity
    shutil.copytree(folder / "keys", keys)
    store = folder / "no-keys"
    words = ["run", "--input", generated / "events", "--store", store, "--keys", keys / "ingest"]
    with launched(*words, *flink.beam_arguments(), "--flink_master", flink.master) as launch:
        wait_for(lambda: flink.job().identity != before and flink.job().state == "RUNNING", "job")
        keys.rename(folder / "elsewhere")
        said = launch.communicate(timeout=120)[1]
    assert (launch.returncode, "Error: KEYS_MISSING: " in said) == (3, True), said
    assert flink.job().state == "CANCELED"
    assert Store.open(store).version == 0


@contextmanager
def launched(*words: object) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which hears an interrupt even where the tests do not."""
    hear = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    line = [sys.executable, "-c", f"{hear}; from pipelines.cli import main; main()", *map(str, words)]
    with subprocess.Popen(
        line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_cluster_takes_no_port_of_another_and_leaves_nothing_when_it_is_terminated(
    flink: Cluster, tmp_path: Path
) -> None:
    line = [sys.executable, "-m", main.__module__, "--task-managers", "1", "--rest-port", "0", "--job-port"]
    own = {**os.environ, "TMPDIR": str(tmp_path)}
    taken = subprocess.run(
        [*line, str(flink.job_port)], cwd=ROOT, env=own, capture_output=True, text=True, check=False
    )
    assert (taken.returncode, f"port {flink.job_port} is taken" in taken.stderr) == (3, True)
    with subprocess.Popen([*line, "0"], cwd=ROOT, env=own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline() + process.stdout.readline()
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert process.wait(60) == 0
    assert re.search(
        r"job service at localhost:\d+\nFlink tells of its jobs at http://127\.0\.0\.1:\d+", ready
    )
    assert len(below) >= 3
    assert not [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_is_lost_or_doubled_when_something_is_killed(
    deed: str, victim: str, folder: Path, flink: Cluster
) -> None:
    where = folder / f"{deed}-{victim}"
    where.mkdir()
    found = campaign(flink, deed, victim, [0.4], where)
    assert found.kills + found.late == 1
    assert found.clean, found
