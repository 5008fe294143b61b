"""A Flink cluster of processes: a job manager, task managers and Beam's job service.

Needs Java, and what ``make flink`` has fetched. As a command it keeps a cluster until it is interrupted:

    python -m tests.engines.flink_cluster --job-port 8099
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / "deploy" / "flink" / "target"
JOB_SERVER = FETCHED / "flink-job-server.jar"
FLINK = FETCHED / "flink" / "pyflink" / "lib"
WORKER = ROOT / "deploy" / "flink" / "worker"
SECONDS_TO_START = 90
MANAGED = 256

_PACKAGES = ("lang", "net", "io", "nio", "text", "time", "util", "lang.reflect", "util.concurrent")
_ATOMIC = ("util.concurrent.atomic", "util.concurrent.locks")
OPENED = (
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in (*_PACKAGES, *_ATOMIC)),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
    "--add-exports=java.management/sun.management=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
)
"""What Flink opens of Java 17 in its own configuration."""

_SETTINGS = """
jobmanager.rpc.address: 127.0.0.1
jobmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
web.submit.enable: false
jobmanager.rpc.port: {rpc}
rest.port: {rest}
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: 2
cluster.evenly-spread-out-slots: true
taskmanager.cpu.cores: 1.0
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.task.heap.size: 512m
taskmanager.memory.task.off-heap.size: 0m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.managed.size: {managed}m
taskmanager.memory.jvm-metaspace.size: 512m
taskmanager.memory.jvm-overhead.min: 192m
taskmanager.memory.jvm-overhead.max: 192m
taskmanager.network.sort-shuffle.min-buffers: 64
classloader.resolve-order: parent-first
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 15 s
heartbeat.interval: 1000
heartbeat.timeout: 6000
web.refresh-interval: 100
io.tmp.dirs: {folder}/io
"""
_LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


def lacking() -> str | None:
    """Why no cluster can be started here; None if one can."""
    if shutil.which("java") is None:
        return "there is no java here; Flink needs Java 11 or 17"
    if not JOB_SERVER.is_file() or not FLINK.is_dir():
        return "Flink is not fetched; make flink fetches it (with mvn and pip)"
    return None


class Job(NamedTuple):
    """A job: id, state (empty if there is none), steps that are finished, all steps, those it is at."""

    identity: str
    state: str
    finished: int
    steps: int
    at: tuple[str, ...]


@dataclass
class Cluster:
    """A cluster on its way; use :func:`cluster` to start one and to be sure that it ends.

    Attributes:
        folder: Where it keeps its settings, logs and files.
        task_managers: Task managers to start.
        job_port: Port of the job service; 0 for one that is free.
        rest_port: Port at which Flink tells of its jobs and cancels them; 0 for one that is free.
        managed: Memory (MB) of each task manager in which it groups; it is taken as needed.
    """

    folder: Path
    task_managers: int = 2
    job_port: int = 0
    rest_port: int = 0
    managed: int = MANAGED
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _started: int = 0

    def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            PortTakenError: Somebody listens where it is to be reached.
            TimeoutError: It is not ready.
        """
        for port in filter(None, (self.job_port, self.rest_port)):
            if listens(port):
                raise PortTakenError(port)
        ports = free_ports(5)
        rpc, artifacts, expansion = ports[:3]
        self.rest_port, self.job_port = self.rest_port or ports[3], self.job_port or ports[4]
        self._write_settings(rpc)
        manager = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("job-manager", "-Xmx384m", "-cp", class_path(), manager, "--configDir", str(self._conf))
        for _ in range(self.task_managers):
            self.start_task_manager()
        service = ["--job-port", self.job_port, "--artifact-port", artifacts, "--expansion-port", expansion]
        service += ["--job-host", "localhost", "--flink-master", self.master]
        service += ["--artifacts-dir", self.folder / "artifacts"]
        self._java("job-server", "-Xmx512m", "-jar", str(JOB_SERVER), *map(str, service))
        wait_for(lambda: self._stands() and len(self.alive()) == self.task_managers, "task managers")
        wait_for(lambda: self._stands() and listens(self.job_port), "job service")

    def _stands(self) -> bool:
        """Whether everything that was started still runs.

        Raises:
            TimeoutError: Something has ended, as it does if its port was taken meanwhile.
        """
        if ended := [name for name, each in self.processes.items() if each.poll() is not None]:
            raise TimeoutError(f"{', '.join(ended)} ended at once; see the logs")
        return True

    def start_task_manager(self) -> str:
        """Start one more task manager; gives its name."""
        self._started += 1
        name = f"task-manager-{self._started}"
        runner = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        memory = ("-Xmx640m", "-XX:MaxDirectMemorySize=512m", "-XX:MaxMetaspaceSize=512m")
        given = ("--configDir", str(self._conf), "-D", f"taskmanager.resource-id={name}")
        self._java(name, *memory, "-cp", class_path(), runner, *given)
        return name

    @property
    def master(self) -> str:
        """Where Flink itself can be asked (``--flink_master``)."""
        return f"127.0.0.1:{self.rest_port}"

    def beam_arguments(self, parallelism: int = 2) -> tuple[str, ...]:
        """The options that send a pipeline here."""
        worker = json.dumps({"command": str(WORKER), "env": {"COFFERDAM_PYTHON": sys.executable}})
        return (
            *("--runner", "FlinkRunner", "--job_endpoint", f"localhost:{self.job_port}"),
            *("--environment_type", "PROCESS", "--environment_config", worker),
            *("--environment_cache_millis", "10000", "--parallelism", str(parallelism)),
        )

    def alive(self) -> list[str]:
        """Names of the task managers that the job manager knows."""
        found = self.asked("/taskmanagers").get("taskmanagers", [])
        return [each["id"] for each in found]

    def job(self) -> Job:
        """The job that was submitted last."""
        jobs = self.asked("/jobs/overview").get("jobs", [])
        if not jobs:
            return Job("", "", 0, 1, ())
        last = max(jobs, key=lambda each: each["start-time"])
        steps = self.asked(f"/jobs/{last['jid']}").get("vertices", [])
        # Sources give one empty element and are done at once, however far the job has come.
        steps = [each for each in steps if not each["name"].startswith("DataSource")]
        at = tuple(each["id"] for each in steps if each["status"] == "RUNNING")
        done = sum(each["status"] == "FINISHED" for each in steps)
        return Job(last["jid"], last["state"], done, max(len(steps), 1), at)

    def busy(self, job: Job) -> list[str]:
        """Names of the task managers that work at a job."""
        steps = [self.asked(f"/jobs/{job.identity}/vertices/{step}").get("subtasks", ()) for step in job.at]
        tasks = [each for step in steps for each in step if each["status"] == "RUNNING"]
        return sorted({each["taskmanager-id"] for each in tasks} & self.processes.keys())

    def failures(self, job: Job) -> int:
        """Failures for which Flink started tasks of a job again."""
        said = self.asked(f"/jobs/{job.identity}/exceptions?maxExceptions=100")
        return len(said.get("exceptionHistory", {}).get("entries", ()))

    def asked(self, path: str) -> Any:
        """What the job manager answers."""
        try:
            with urllib.request.urlopen(f"http://{self.master}{path}", timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, OSError):
            return {}

    def worker_of(self, name: str) -> psutil.Process | None:
        """The Python worker that a task manager has started last; others wait to be ended."""
        found = filter(is_worker, children(self.processes[name]))
        return max(found, key=lambda each: each.create_time(), default=None)

    def running(self, kind: str = "") -> list[subprocess.Popen[bytes]]:
        """Processes that live and whose names begin so."""
        found = self.processes.items()
        return [each for name, each in found if name.startswith(kind) and each.poll() is None]

    def cpu_seconds(self) -> float:
        """CPU time (seconds) of all living processes of the cluster and of all that they waited for."""
        own = [psutil.Process(each.pid) for each in self.running()]
        return sum(
            spent(each) for each in [*own, *(child for one in self.running() for child in children(one))]
        )

    def end(self) -> None:
        """End every process, Python workers included."""
        for process in self.processes.values():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def _conf(self) -> Path:
        return self.folder / "conf"

    def _write_settings(self, rpc: int) -> None:
        self._conf.mkdir(parents=True)
        (self.folder / "logs").mkdir()
        text = _SETTINGS.format(rpc=rpc, rest=self.rest_port, folder=self.folder, managed=self.managed)
        (self._conf / "flink-conf.yaml").write_text(text)
        (self._conf / "log4j.properties").write_text(_LOGGING)

    def _java(self, name: str, *words: str) -> None:
        logging = f"-Dlog4j.configurationFile={self._conf / 'log4j.properties'}"
        with (self.folder / "logs" / name).open("wb") as log:
            self.processes[name] = subprocess.Popen(
                ["java", "-XX:+UseSerialGC", logging, *OPENED, *words],
                env={**os.environ, "FLINK_CONF_DIR": str(self._conf)},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )


class PortTakenError(OSError):
    """Somebody else listens at a port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken; name another one, or end what listens there")


@contextmanager
def cluster(
    folder: Path, task_managers: int = 2, job_port: int = 0, rest_port: int = 0, managed: int = MANAGED
) -> Iterator[Cluster]:
    """A cluster that ends with the block, or with this process."""
    made = Cluster(folder, task_managers, job_port, rest_port, managed)
    atexit.register(made.end)
    try:
        made.start()
        yield made
    finally:
        made.end()
        atexit.unregister(made.end)


def class_path() -> str:
    """All jars of the distribution, and Beam's behind them."""
    return ":".join(map(str, [*sorted(FLINK.glob("*.jar")), JOB_SERVER]))


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def listens(port: int) -> bool:
    """Whether anybody listens."""
    with suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


def wait_for(ready: Callable[[], bool], what: str, seconds: float = SECONDS_TO_START) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: It never was.
    """
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise TimeoutError(f"no {what} after {seconds} s; see the logs")
        time.sleep(0.2)


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """All processes below one."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def is_worker(process: psutil.Process) -> bool:
    """Whether a process is a Python worker."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return "pipelines.engine_worker" in process.cmdline()
    return False


def spent(process: psutil.Process) -> float:
    """CPU time (seconds) of a process and of its children that have ended."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return times.user + times.system + times.children_user + times.children_system
    return 0.0


def end_when_terminated() -> None:
    """Let SIGTERM, or a terminal that goes, end this process as an interrupt does: and all it has started."""
    for word in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(word) is not signal.SIG_IGN:
            signal.signal(word, signal.default_int_handler)


def main(arguments: Sequence[str]) -> int:
    """Keep a cluster until this process is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--task-managers", type=int, default=2)
    parser.add_argument("--job-port", type=int, default=8099, help="of Beam's job service (--job_endpoint)")
    parser.add_argument("--rest-port", type=int, default=8081, help="of Flink itself (--flink_master)")
    options = parser.parse_args(arguments)
    if reason := lacking():
        print(reason, file=sys.stderr)
        return 3
    end_when_terminated()
    folder = Path(tempfile.mkdtemp(prefix="cofferdam-flink-"))
    ports = options.job_port, options.rest_port
    try:
        with suppress(KeyboardInterrupt), cluster(folder, options.task_managers, *ports) as made:
            print(f"Ready: a job service at localhost:{made.job_port}", flush=True)
            print(f"Flink tells of its jobs at http://{made.master}; logs are in {folder}/logs", flush=True)
            signal.pause()
    except TimeoutError as error:
        print(f"{error} in {folder}/logs", file=sys.stderr)
        return 3
    except PortTakenError as error:
        print(error, file=sys.stderr)
        folder.rmdir()
        return 3
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
