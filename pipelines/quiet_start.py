"""Importing Beam without its remarks on parts that are optional and not installed, and without delay."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from transforms.collector import collector_paused


@contextmanager
def quiet_start() -> Iterator[None]:
    """Import Beam inside: it reports missing optional parts on the root logger when it is first imported.

    Afterwards Beam's own loggers keep silent, too: their tracebacks quote what a step raised. Hundreds of
    thousands of objects come and stay, which the garbage collector need not look at, neither now (that would
    be a fifth of the time) nor later.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with collector_paused():
            yield
            gc.freeze()
    finally:
        logging.disable(before)
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
