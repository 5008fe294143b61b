"""Where the time of a run goes, by function of ours: ``python -m benchmarks.profile --events 200000``.

A thread looks at the stacks of all others a few hundred times a second, while the whole pipeline runs in this
process. The CPU time that a thread has used since the last look counts for the innermost function of ours on
its stack: time inside msgspec, Arrow or cryptography counts for whoever called them; waiting, for the disk or
for a processor, counts for nobody. The sampler itself takes a few percent.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.table import Table

from benchmarks.events import make_events
from benchmarks.run import WORK
from pipelines.run_ingest import IngestRequest, run_ingest
from transforms.keys import create_key_directory

ROOT = str(Path(__file__).resolve().parents[1])
ROOMS = ("schemas", "transforms", "validation", "pipelines")
INTERVAL_SECONDS = 0.003
ENGINE = "(Beam and waiting for it)"


class Sampler(threading.Thread):
    """Adds up CPU nanoseconds by function of ours."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.counts: Counter[str] = Counter()
        self._done = threading.Event()
        self._used: dict[int, int] = {}

    def run(self) -> None:
        """Take samples until `stop`."""
        while not self._done.wait(INTERVAL_SECONDS):
            for thread, frame in sys._current_frames().items():
                if thread != self.ident:
                    self.counts[place_of(frame)] += self._used_since(thread)

    def _used_since(self, thread: int) -> int:
        try:
            used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread))
        except OSError:  # the thread ended after its stack was looked at
            return 0
        since = used - self._used.get(thread, used)
        self._used[thread] = used
        return since

    def stop(self) -> None:
        """Take no more samples."""
        self._done.set()
        self.join()


def place_of(frame: FrameType | None) -> str:
    """Module and function of the innermost frame of ours, or the engine."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(ROOT):
            room = Path(path).relative_to(ROOT)
            if room.parts[0] in ROOMS and not room.name.startswith("run_ingest"):
                return f"{room.with_suffix('')}:{frame.f_code.co_name}"
        frame = frame.f_back
    return ENGINE


def profile(events: Path, folder: Path) -> Counter[str]:
    """CPU nanoseconds, by function, of one run over a folder of events."""
    create_key_directory(folder / "keys", created=datetime.now(UTC).date())
    request = IngestRequest(
        patterns=(str(events),),
        store=str(folder / "store"),
        keys=folder / "keys" / "ingest",
        source="auto",
        contract_files=(),
        record_cap=16 << 20,
        split_bytes=64 << 20,
        received=datetime.now(UTC).date(),
        digest_since=None,
    )
    sampler = Sampler()
    sampler.start()
    run_ingest(request, show_progress=False)
    sampler.stop()
    return sampler.counts


def print_profile(counts: Counter[str], console: Console, rows: int = 25) -> None:
    """Shares by module, then by function."""
    ours = Counter({place: number for place, number in counts.items() if place != ENGINE})
    modules: Counter[str] = Counter()
    for place, number in ours.items():
        modules[place.split(":")[0]] += number
    for title, shares in (("module", modules), ("function", ours)):
        table = Table(title=f"CPU time by {title}", title_justify="left")
        table.add_column(title)
        table.add_column("share", justify="right")
        table.add_column("ms", justify="right")
        for place, number in shares.most_common(rows):
            table.add_row(place, f"{100 * number / ours.total():.1f} %", f"{number / 1e6:,.0f}")
        console.print(table)


def main(arguments: Sequence[str]) -> None:
    """Profile one run and print the shares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--output", type=Path, default=WORK, help="where generated events are kept")
    options = parser.parse_args(arguments)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    events = make_events(options.output, options.events)
    folder = Path(tempfile.mkdtemp(prefix="cofferdam-profile-"))
    try:
        print_profile(profile(events, folder), Console())
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
