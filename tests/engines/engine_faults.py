"""Kills what works for Flink while it works, and counts what is lost, doubled or let out.

    python -m tests.engines.engine_faults --victims task-manager worker --deeds run release erase --times 8

A run, a release, an erasure and a reprocessing are each carried out on a cluster of two task managers. When a
part of the job's steps is done, a task manager that is at work or its Python worker is killed by its process
id. Flink does what was lost again, on the task manager that is left or on one that is started in its place.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from schemas.errors import CofferdamError
from tests.engines.deeds import DEEDS, decided, differing, kept, logged, prepared
from tests.engines.flink_cluster import Cluster, cluster, end_when_terminated, lacking, wait_for
from tests.pipeline.kill_worlds import State, at, leaks, unnamed
from tests.pipeline.release_world import World
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory
from transforms.store import Store

VICTIMS = ("task-manager", "worker")
TASK_MANAGERS = 2


@dataclass
class Tally:
    """What was found over all kills of one kind during one deed; from `lost` on every figure must be 0.

    Attributes:
        kills: Kills that hit a job on its way.
        late: Kills that came when the job had ended; they are counted nowhere else.
        recovered: Kills after which the engine ended the job all the same.
        failed: Kills after which the deed ended with an error, and was done again.
        failures: Failures for which Flink started tasks again.
        lost: Rows that were missing afterwards.
        doubled: Rows that were there too often, or at all.
        let_out: Places in the store or lines of logs that held something from inside an event.
        manifests: Commits too many or too few.
        left: Files that no manifest names behind an erasure or a release.
    """

    kills: int = 0
    late: int = 0
    recovered: int = 0
    failed: int = 0
    failures: int = 0
    lost: int = 0
    doubled: int = 0
    let_out: int = 0
    manifests: int = 0
    left: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, let out or committed twice."""
        return not (self.lost or self.doubled or self.let_out or self.manifests or self.left)


@dataclass(frozen=True)
class Expected:
    """What a deed that nothing disturbed leaves."""

    state: State
    decisions: Counter[str]
    manifests: int


class Kill(threading.Thread):
    """Kills one process of a cluster when a share of its next job's steps is done."""

    def __init__(self, on: Cluster, victim: str, share: float, draw: random.Random, *, replace: bool) -> None:
        super().__init__(daemon=True)
        self._on, self._victim, self._share, self._draw = on, victim, share, draw
        self._replace, self._before, self._over = replace, on.job().identity, threading.Event()
        self.hit = False

    def run(self) -> None:
        """Wait for the moment and kill."""
        while not self._over.is_set() and not self.hit:
            job = self._on.job()
            if job.identity != self._before and job.finished >= self._share * job.steps:
                busy = self._on.busy(job)
                self.hit = bool(busy) and self._kill(self._draw.choice(busy))
            time.sleep(0.05)

    def end(self) -> None:
        """Wait for no moment any more."""
        self._over.set()
        self.join()

    def _kill(self, name: str) -> bool:
        time.sleep(self._draw.random() / 5)
        if self._victim == "worker":
            worker = self._on.worker_of(name)
            with suppress(psutil.NoSuchProcess):
                if worker:
                    worker.kill()
            return worker is not None
        self._on.processes[name].kill()
        if self._replace:
            self._on.start_task_manager()
        return True


def expected(name: str, start: World, folder: Path) -> Expected:
    """What a deed leaves that is done in this process."""
    world = copied(start, folder)
    DEEDS[name](world, ())
    return Expected(kept(world), decided(world), len(Store.open(world.store).snapshot.manifests))


def copied(world: World, folder: Path) -> World:
    """A copy of a world."""
    shutil.copytree(world.folder, folder)
    made = at(folder, world.keys)
    made.signer = world.signer
    return made


def tried(on: Cluster, name: str, world: World, must_be: Expected, kill: Kill, tally: Tally) -> None:
    """Do a deed, kill something meanwhile, and look at what is left."""
    kill.start()
    failed = False
    try:
        DEEDS[name](world, on.beam_arguments())
    except CofferdamError:
        failed = True
    kill.end()
    tally.failures += on.failures(on.job())
    if not kill.hit:
        tally.late += 1
        return
    tally.kills += 1
    tally.failed += failed
    tally.recovered += not failed
    tally.let_out += leaks(world)
    if failed:
        DEEDS[name](world, ())
    _look(name, world, must_be, tally)
    tally.let_out += leaks(world) + logged(on.folder / "logs")


def _look(name: str, world: World, must_be: Expected, tally: Tally) -> None:
    store = Store.open(world.store)
    store.check(digests=True)
    lost, doubled = differing(kept(world), must_be.state)
    found = decided(world)
    tally.lost += lost + (must_be.decisions - found).total()
    tally.doubled += doubled + (found - must_be.decisions).total()
    tally.manifests += abs(len(store.snapshot.manifests) - must_be.manifests)
    names = unnamed(world) if name == "erase" else {path for path in unnamed(world) if "released" in path}
    tally.left += len(names)


def campaign(
    on: Cluster,
    deed: str,
    victim: str,
    shares: Sequence[float],
    folder: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> Tally:
    """Kill something once at each of some shares of a deed's way.

    Args:
        on: A cluster.
        deed: What is done.
        victim: What is killed.
        shares: Of the steps that are done when it is.
        folder: An empty folder, with a key directory ``keys`` beside it.
        tell: Is told of every kill.
    """
    start = prepared(deed, folder / "start", folder.parent / "keys")
    must_be = expected(deed, start, folder / "undisturbed")
    tally = Tally()
    for number, share in enumerate(shares):
        wait_for(lambda: len(on.alive()) >= TASK_MANAGERS, "task managers")
        draw = random.Random(f"{deed}{victim}{number}")
        kill = Kill(on, victim, share, draw, replace=number % 2 == 0)
        began = time.monotonic()
        tried(on, deed, copied(start, folder / f"{number}"), must_be, kill, tally)
        shutil.rmtree(folder / f"{number}")
        while len(on.running("task-manager")) < TASK_MANAGERS:
            on.start_task_manager()
        tell(f"{deed} {victim} {share:.2f} {time.monotonic() - began:.0f} s {asdict(tally)}")
    return tally


def shares(times: int, seed: int) -> list[float]:
    """Shares of a way, one out of each of some equal parts."""
    draw = random.Random(seed)
    return [(part + draw.random()) / times for part in range(times)]


def main(arguments: Sequence[str]) -> int:
    """Kill and count; 1 if anything was lost, doubled or let out, 3 where there is no Flink."""
    options = _options(arguments)
    if reason := lacking():
        print(reason, file=sys.stderr)
        return 3
    end_when_terminated()
    folder = Path(tempfile.mkdtemp(prefix="cofferdam-engine-faults-"))
    create_key_directory(folder / "keys", created=RECEIVED)
    clean = True
    for deed in options.deeds:
        for victim in options.victims:
            where = folder / f"{deed}-{victim}"
            where.mkdir()
            with cluster(where / "cluster") as made:
                chosen = shares(options.times, options.seed)
                found = campaign(made, deed, victim, chosen, where, lambda text: print(text, flush=True))
            print(json.dumps({"deed": deed, "killed": victim, **asdict(found)}), flush=True)
            clean &= found.clean
    if clean:
        shutil.rmtree(folder)
    return 0 if clean else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--deeds", nargs="+", choices=list(DEEDS), default=list(DEEDS))
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=list(VICTIMS))
    parser.add_argument("--times", type=int, default=4, help="kills of each kind during each deed")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
