"""A progress display for long runs in this process, shown only on a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from transforms.progress import PROGRESS

_REFRESH_SECONDS = 0.25


@contextmanager
def progress_shown(wanted: bool) -> Iterator[None]:
    """Show how many records have been read and separated while the block runs.

    Args:
        wanted: Whether the user wants it; nothing is shown unless standard error is a terminal.
    """
    PROGRESS.reset()
    if not wanted or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    done = threading.Event()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task("starting")

        def refresh() -> None:
            while not done.wait(_REFRESH_SECONDS):
                display.update(task, description=_words())

        watcher = threading.Thread(target=refresh, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def _words() -> str:
    if PROGRESS.opened:
        return f"opened {PROGRESS.opened:,} items"
    if PROGRESS.separated:
        return f"separating: {PROGRESS.separated:,} of {PROGRESS.digested:,} records"
    return f"looking for duplicates: {PROGRESS.digested:,} records read"
