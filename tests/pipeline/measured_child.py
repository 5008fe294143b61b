"""Runs ingest in a process of its own and prints the ledger with the peak of its memory; for test_hostile.

Arguments: input, store, key directory. All that is logged, at any level, goes to standard error.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from pathlib import Path

from tests.pipeline.support import ingest


def peak_bytes() -> int:
    """The most memory that this process has had resident (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) << 10


def main(source: str, store: str, keys: str) -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
    ledger = ingest(Path(source), Path(store), Path(keys))
    print(json.dumps({"ledger": ledger, "peak": peak_bytes()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
