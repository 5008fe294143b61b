from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.errors import InfrastructureFault
from transforms.store_lock import holder_told, locked

HOLDER = """
import sys, time
from pathlib import Path
from transforms.store_lock import locked
with locked(Path(sys.argv[1]), "run-of-child"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(root: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_writer_is_told_who_is_at_work(tmp_path: Path) -> None:
    child = holder(tmp_path)
    try:
        refused = pytest.raises(
            InfrastructureFault, match=rf"STORE_LOCKED.*run-of-child, process {child.pid}"
        )
        with refused, locked(tmp_path, "run-000002"):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    child = holder(tmp_path)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with locked(tmp_path, "run-000002"):
        assert "run-000002" in (tmp_path / ".lock").read_text()


def test_the_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path, "run-000001"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with locked(tmp_path, "run-000002"):
        pass


def test_a_store_that_is_not_there_cannot_be_locked(tmp_path: Path) -> None:
    with (
        pytest.raises(InfrastructureFault, match="STORE_LOCK_FAILED"),
        locked(tmp_path / "none", "run-000001"),
    ):
        pass


@pytest.mark.parametrize(
    "text",
    [
        '{"run_id": "\\u001b[2J", "pid": 1, "host": "here"}',
        '{"run_id": "run-000001", "pid": "Anna", "host": "here"}',
        '{"run_id": "run-000001", "pid": 1, "host": "here\\n"}',
        "[" * 100_000,
        "",
    ],
)
def test_what_no_holder_writes_is_not_repeated(text: str) -> None:
    assert holder_told(text.encode()) == ""


def test_a_holder_is_told_of() -> None:
    text = b'{"run_id": "20261123t210643z-11c57c906305", "pid": 7, "host": "my-host.local"}'
    assert holder_told(text) == " (run 20261123t210643z-11c57c906305, process 7 on my-host.local)"
