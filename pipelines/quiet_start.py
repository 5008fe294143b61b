"""Importing Beam without its remarks on parts that are optional and not installed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_start() -> Iterator[None]:
    """Import Beam inside: it reports missing optional parts on the root logger when it is first imported.

    Afterwards Beam's own loggers keep silent, too: their tracebacks quote what a step raised.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        yield
    finally:
        logging.disable(before)
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
