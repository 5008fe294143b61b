"""What Flink costs: the same run and release in process, and on a cluster of one and of two task managers.

    make flink
    .venv/bin/python -m benchmarks.flink --events 200000

CPU seconds are those of all processes: the launching one, the job service, the job manager, the task managers
and their Python workers. What a tiny input costs on the same warm cluster is measured first and left out of
the cost of an event.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.contenders import cofferdam_command
from benchmarks.events import count_of, make_events
from benchmarks.gate import TINY_ITEMS, release_command
from benchmarks.gate_world import Hot, Shape, Spread, make_world
from benchmarks.measure import measure
from tests.engines.flink_cluster import Cluster, cluster, end_when_terminated, lacking
from transforms.keys import create_key_directory

TINY = 100
MANAGED = 2048
"""Memory (MB) in which a task manager groups; with 256 the records of one hot meeting do not fit."""
SPLIT_BYTES = 8 << 20
"""Ranges small enough that two task managers have several each."""


@dataclass(frozen=True)
class Engine:
    """Where commands are carried out.

    Attributes:
        name: What it is called.
        on: The cluster, None for the launching process.
        task_managers: How many.
    """

    name: str
    on: Cluster | None = None
    task_managers: int = 0

    @property
    def options(self) -> tuple[str, ...]:
        """The options that lead there."""
        return self.on.beam_arguments(self.task_managers) if self.on else ()

    def cost(self, command: Sequence[str], log: Path) -> tuple[float, float]:
        """CPU seconds of all processes, and seconds from start to end."""
        before = self.on.cpu_seconds() if self.on else 0.0
        cost = measure([*command, *self.options], log)
        after = self.on.cpu_seconds() if self.on else 0.0
        return cost.cpu_seconds + after - before, cost.wall_seconds


@dataclass(frozen=True)
class Bench:
    """What is measured."""

    folder: Path
    events: int
    hot_items: int

    @property
    def keys(self) -> Path:
        """The key directory of all runs."""
        return self.folder / "keys"

    def at(self, engine: Engine) -> None:
        """Measure an engine and print what was found, a line each."""
        self._run(engine, TINY)  # warms it up
        tiny = self._run(engine, TINY)
        full = self._run(engine, self.events)
        records, _ = count_of(make_events(self.folder, self.events))
        self._tell(engine, "run", records, tiny, full)
        if self.hot_items:
            spread, hot = (
                self._release(engine, Spread(TINY_ITEMS)),
                self._release(engine, Hot(self.hot_items)),
            )
            self._tell(engine, "release of one meeting", self.hot_items, spread, hot)

    def _tell(
        self, engine: Engine, what: str, count: int, tiny: tuple[float, float], full: tuple[float, float]
    ) -> None:
        said = {
            "engine": engine.name,
            "what": what,
            "count": count,
            "start_up_cpu_seconds": round(tiny[0], 1),
            "cpu_seconds": round(full[0], 1),
            "cpu_seconds_a_million": round(1e6 * (full[0] - tiny[0]) / count, 1),
            "start_up_seconds": round(tiny[1], 1),
            "seconds": round(full[1], 1),
            "a_second_without_start_up": round(count / max(full[1] - tiny[1], 0.1)),
        }
        print(json.dumps(said), flush=True)

    def _run(self, engine: Engine, events: int) -> tuple[float, float]:
        store = self.folder / "output-flink"
        shutil.rmtree(store, ignore_errors=True)
        split = ("--split-bytes", str(SPLIT_BYTES))
        command = cofferdam_command(make_events(self.folder, events), store, self.keys, *split)
        return engine.cost(command, self.folder / "flink-run.log")

    def _release(self, engine: Engine, shape: Shape) -> tuple[float, float]:
        world = make_world(self.folder, self.keys, shape)
        store = self.folder / "output-flink"
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(world.store, store)
        return engine.cost(release_command(world, store, self.keys), self.folder / "flink-release.log")


def main(arguments: Sequence[str]) -> int:
    """Measure in process, and on one and two task managers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--hot-items", type=int, default=50_000, help="five for each person of the meeting")
    parser.add_argument("--work", type=Path, default=Path("bench-output"))
    options = parser.parse_args(arguments)
    if reason := lacking():
        print(reason, file=sys.stderr)
        return 3
    end_when_terminated()
    bench = Bench(options.work.absolute(), options.events, options.hot_items)
    if not bench.keys.is_dir():
        create_key_directory(bench.keys, created=date.today())
    bench.at(Engine("in process"))
    for count in (1, 2):
        with (
            tempfile.TemporaryDirectory(prefix="cofferdam-flink-") as folder,
            cluster(Path(folder) / "cluster", count, managed=MANAGED) as made,
        ):
            bench.at(Engine(f"Flink, {count} task manager{'s' if count > 1 else ''}", made, count))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
