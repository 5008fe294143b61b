"""A run that is killed, told to end or out of space leaves nothing half visible, and may simply run again."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from tests.pipeline.support import comparable, ingest, lines_file
from tests.pipeline.support_events import chat, joined
from transforms import store_files
from transforms.audit_verify import verify_log
from transforms.store import Store
from transforms.store_gc import collect_garbage

ROOT = Path(__file__).parents[2]
FUTURE = 4_000_000_000.0
SPREAD = 5
LAST, EACH = 36, 4
"""The last steps of a run write the ledger, the manifest and the audit log: they are tried more closely."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    lines_file(folder / "a.jsonl", [*(joined(number) for number in range(30)), b"no json"])
    return lines_file(folder / "b.jsonl", [chat("1", "hello"), chat("1", "again"), joined(3)]).parent


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory, keys: Path) -> dict[str, list[str]]:
    """What a run that nothing disturbs leaves."""
    store = tmp_path_factory.mktemp("undisturbed") / "S"
    ingest(source, store, keys)
    return comparable(store, keys)


def is_whole_after(store: Path, source: Path, keys: Path, undisturbed: dict[str, list[str]]) -> bool:
    """Whether a store shows nothing or all, is clean after gc, and complete after another run."""
    state = Store.open_or_create(store)
    state.check(digests=True)
    assert state.version in (0, 1)
    assert state.version == 1 or state.tables() == []
    was_complete = state.version == 1
    collect_garbage(state, now=FUTURE, older_than=0)
    left = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
    left -= {path for path in left if path.startswith("log/")}
    named = {*state.snapshot.live, *(manifest.path for manifest in state.snapshot.manifests)}
    assert left == named | {"format.json", ".lock"}
    ledger = ingest(source, store, keys)
    assert (set(ledger["outcomes"]) == {"duplicate"}) is was_complete
    assert verify_log(str(store)).findings.listed == []
    now = comparable(store, keys)
    ledgers = now.pop("ledger"), undisturbed["ledger"]
    assert was_complete or ledgers[0] == ledgers[1]
    return now == {name: rows for name, rows in undisturbed.items() if name != "ledger"}


LISTENING = """
import signal
from pipelines.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""
"""The command line, deaf to no signal: what a shell starts in the background ignores SIGINT from birth."""


# --- killed -------------------------------------------------------------------------------------------------


def child(*arguments: object) -> str:
    command = [sys.executable, "-m", "tests.pipeline.crash_child", *map(str, arguments)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stdout


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_step_shows_nothing_or_all_and_runs_again(
    source: Path, undisturbed: dict[str, list[str]], tmp_path: Path, keys: Path
) -> None:
    count = int(child(source, tmp_path, keys, 0))
    assert count > 50
    spread = range(1, count - LAST, max(count // SPREAD, 1))
    steps = [*spread, *range(count - LAST, count, EACH), count]
    child(source, tmp_path, keys, *steps)
    stores = [tmp_path / f"{step:04d}" for step in steps]
    complete = [store for store in stores if store.exists() and Store.open_or_create(store).version]
    assert 0 < len(complete) < len(stores), "no step before the commit, or none behind it"
    for store in stores:
        store.mkdir(exist_ok=True)
        assert is_whole_after(store, source, keys, undisturbed), store.name


@pytest.mark.slow
@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_told_to_end_shows_nothing_and_runs_again(
    word: signal.Signals, tmp_path: Path, keys: Path
) -> None:
    many = lines_file(tmp_path / "in.jsonl", (joined(number) for number in range(20_000)))
    store = tmp_path / "S"
    options = ["--input", str(many), "--store", str(store), "--keys", str(keys / "ingest")]
    command = [sys.executable, "-c", LISTENING, "run", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for_files(store, process)
        process.send_signal(word)
        said = b"".join(process.communicate(timeout=60))
    assert process.returncode != 0
    assert b"Ada Example" not in said
    assert Store.open(store).tables() == []
    collect_garbage(Store.open(store), now=FUTURE, older_than=0)
    assert not list(store.rglob("*.parquet"))
    if word is signal.SIGTERM:
        assert ingest(many, store, keys)["outcomes"] == {"separated": 20_000}


def wait_for_files(store: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a run has begun to write."""
    for _ in range(1200):
        if any(store.rglob("*.parquet")):
            return
        assert process.poll() is None, "the run ended before it wrote"
        time.sleep(0.05)
    raise AssertionError("the run wrote nothing")


# --- no space -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 5_000, 60_000])
def test_a_full_disk_ends_the_run_and_it_runs_again_when_there_is_room(
    room: int,
    source: Path,
    undisturbed: dict[str, list[str]],
    tmp_path: Path,
    keys: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Store.open_or_create(tmp_path / "S")
    left = [room]
    write = store_files._LocalNewFile.write

    def limited(self: store_files._LocalNewFile, data: bytes) -> int:
        left[0] -= len(data)
        if left[0] < 0:
            with store_files._faults("write", self._path):
                raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as full:
        full.setattr(store_files._LocalNewFile, "write", limited)
        with pytest.raises(InfrastructureFault) as caught:
            ingest(source, tmp_path / "S", keys)
    assert caught.value.code == "STORE_DISK_FULL"
    assert is_whole_after(tmp_path / "S", source, keys, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_ends_the_run_and_nothing_is_visible(
    small_disk: Path, tmp_path: Path, keys: Path
) -> None:
    many = lines_file(tmp_path / "in.jsonl", (joined(number) for number in range(5000)))
    with pytest.raises(InfrastructureFault) as caught:
        ingest(many, small_disk / "S", keys)
    assert caught.value.code == "STORE_DISK_FULL"
    assert Store.open(small_disk / "S").tables() == []
    shutil.copytree(small_disk / "S", tmp_path / "S")
    assert ingest(many, tmp_path / "S", keys)["outcomes"] == {"separated": 5000}
