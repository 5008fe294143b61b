"""Kills a rotation at every step that changes a file, once each, in copies of one world.

Run by test_key_crashes. Steps are the system calls that Python announces: opening a file to write, linking,
renaming, deleting, and making folders.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from pipelines.run_rotation import RotationRequest, rotate_all
from transforms import key_rotation

_CHANGES = {"os.link", "os.remove", "os.rename", "os.mkdir"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def rotate(world: Path) -> dict[str, object]:
    """Rotate the world's store to its newer keys, a file a commit."""
    key_rotation.COMMIT_FILES = 1  # type: ignore[misc]
    request = RotationRequest((world / "store",), world / "next" / "release", (world / "keys" / "release",))
    return rotate_all(request, show_progress=False)


class _Killer:
    """Counts steps and ends the process at one of them."""

    def __init__(self, at: int) -> None:
        self._left = at

    def watch(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _CHANGES or (event == "open" and _is_writing(*arguments[1:3])):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_writing(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(sign in mode for sign in "wxa+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def killed_at(step: int, world: Path) -> bool:
    """Rotate in a child that is killed at a step; false if it ended before."""
    child = os.fork()
    if child == 0:
        sys.addaudithook(_Killer(step).watch)
        rotate(world)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the child failed at step {step}")
    return os.WIFSIGNALED(status)


def main(start: Path, folder: Path) -> None:
    """Kill a rotation at each step; ``folder`` then holds one world a step."""
    for step in range(1, 1000):
        world = folder / f"{step:04d}"
        shutil.copytree(start, world)
        if not killed_at(step, world):
            print(step - 1)
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
