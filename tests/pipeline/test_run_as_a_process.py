"""``cofferdam run`` as a process of its own: its exit codes, and who is shown what."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pipeline.support import lines_file
from tests.pipeline.support_events import chat, joined

ROOT = Path(__file__).parents[2]
MAIN = "from pipelines.cli import main; main()"
ESCAPE = b"\x1b["
WORD = "Ada Example"


@dataclass
class Ended:
    """How a process ended, what it printed, and what it showed where its standard error is a terminal."""

    code: int
    printed: bytes
    shown: bytes


@pytest.fixture
def options(tmp_path: Path, keys: Path) -> dict[str, str]:
    lines = [*(joined(number, WORD) for number in range(20)), chat("1", WORD)]
    events = lines_file(tmp_path / "in.jsonl", lines)
    return {"--input": str(events), "--store": str(tmp_path / "S"), "--keys": str(keys / "ingest")}


def run_on_terminal(options: dict[str, str], *flags: str) -> Ended:
    arguments = [word for option in options.items() for word in option]
    screen, end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [sys.executable, "-c", MAIN, "run", *arguments, *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=end, env=environment) as process:
        os.close(end)
        shown = _all_of(screen)
        assert process.stdout is not None
        printed = process.stdout.read()
    os.close(screen)
    return Ended(process.returncode, printed, shown)


def _all_of(screen: int) -> bytes:
    shown = b""
    try:
        while part := os.read(screen, 1 << 16):
            shown += part
    except OSError:  # a terminal whose other end is closed says so as an error
        pass
    return shown


def test_a_person_sees_progress_and_a_pipe_gets_none_of_it(options: dict[str, str]) -> None:
    ended = run_on_terminal(options)
    assert ended.code == 0
    assert ESCAPE in ended.shown
    assert re.search(rb"starting|records", ended.shown)
    assert ESCAPE not in ended.printed
    assert b"21 records read" in ended.printed
    assert WORD.encode() not in ended.printed + ended.shown


def test_json_comes_alone(options: dict[str, str]) -> None:
    ended = run_on_terminal(options, "--json")
    assert (ended.code, ended.shown) == (0, b"")
    (line,) = ended.printed.splitlines()
    assert json.loads(line)["records"] == 21


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"--direct_num_worker": "2"}, 2, b"UNKNOWN_OPTION"),
        ({"--keys": "no-such-folder"}, 3, b"KEYS_MISSING"),
        ({"--source": "zoom", "--max-held-ratio": "0.04"}, 4, b"1 of 21 records are held"),
    ],
)
def test_a_shell_learns_how_it_ended(
    options: dict[str, str], change: dict[str, str], code: int, said: bytes
) -> None:
    ended = run_on_terminal({**options, **change}, "--json")
    assert ended.code == code
    assert said in ended.shown
    assert len(ended.shown.splitlines()) == 1
    assert (ended.printed == b"") is (code != 4)
