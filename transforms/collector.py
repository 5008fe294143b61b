"""The garbage collector, kept from walking over batches that it cannot shrink."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_pausing = 0
_was_on = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """No garbage collection meanwhile: work on batches makes many objects and hardly a cycle among them.

    The collector is the process's, and a worker of a cluster works on several threads: it goes on again when
    the last of them is done.
    """
    global _pausing, _was_on
    with _LOCK:
        if not _pausing:
            _was_on = gc.isenabled()
            gc.disable()
        _pausing += 1
    try:
        yield
    finally:
        with _LOCK:
            _pausing -= 1
            if not _pausing and _was_on:
                gc.enable()
