"""Run a command in a process of its own and measure what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_KIB = 1 if sys.platform == "darwin" else 1024
"""Unit of ``ru_maxrss``: bytes on macOS, KiB elsewhere."""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took.

    Attributes:
        cpu_seconds: User and system time of all threads, and of child processes that it waited for.
        wall_seconds: From start to end.
        peak_bytes: Largest resident set of the process, or of its largest child.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


def measure(command: Sequence[str], log: Path) -> Cost:
    """Run a command and measure it.

    Args:
        command: Program and arguments.
        log: File for what it prints.

    Raises:
        RuntimeError: The command failed; its output is in the log.
    """
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        # wait4 counts this one child; getrusage would add up all that there ever were.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: see {log}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * _KIB)
