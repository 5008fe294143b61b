"""Runs a release and dies at a named point; run by test_release_runs."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from pipelines import release_command
from pipelines.cli import cli
from transforms.release_content import ContentReleaser
from transforms.store import Store


def die(*_: Any, **__: Any) -> None:
    """End the process as a machine that fails would."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Let the process die at a point."""
    if point == "while writing":
        write = ContentReleaser._write

        def written(self: ContentReleaser, rows: Any) -> None:
            write(self, rows)
            self.close()
            die()

        ContentReleaser._write = written  # type: ignore[method-assign]
    elif point == "before the commit":
        Store.commit = die  # type: ignore[method-assign, assignment]
    elif point == "after the commit":
        commit = Store.commit

        def committed(self: Store, *arguments: Any, **more: Any) -> Store:
            commit(self, *arguments, **more)
            die()
            return self

        Store.commit = committed  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    assert release_command.release
    cli.main(sys.argv[2:])
