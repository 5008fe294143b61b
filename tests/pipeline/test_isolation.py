"""What ingest may touch: no network, no file outside its store, no key that opens what it sealed."""

from __future__ import annotations

import base64
import bz2
import gc
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.runners.portability.fn_api_runner import execution

from pipelines.ingest import build_ingest
from schemas.contract import load_contracts
from tests.pipeline.release_world import AS_OF, World, meeting
from tests.pipeline.support import RECEIVED, ingest, lines_file, opened, request
from tests.pipeline.support_events import chat, joined
from tests.pipeline.support_search import Canaries, everything_written, leaks
from transforms.chunked_encryption import KEY_BYTES
from transforms.commit_run import RunSettings
from transforms.keys import load_ingest_keys
from transforms.store import Store

ROOT = Path(__file__).parents[2]
WORD = Canaries().word()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    lines: list[Any] = [joined(number, WORD) for number in range(20)]
    lines += [chat("1", WORD), b"no json " + WORD.encode(), {"event": WORD}, {**joined(99), WORD: WORD}]
    return lines_file(tmp_path / "in.jsonl", lines)


@pytest.fixture
def ingest_side(tmp_path: Path, keys: Path) -> Path:
    """A key directory whose release side is elsewhere."""
    shutil.copytree(keys / "ingest", tmp_path / "K" / "ingest")
    return tmp_path / "K"


# --- network, files and words -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "text"])
def test_a_run_needs_no_network_and_writes_and_says_nothing_outside_its_store(
    form: list[str], events: Path, tmp_path: Path, ingest_side: Path, keys: Path
) -> None:
    store = tmp_path / "S"
    command = ["run", "--input", str(events), "--store", str(store), "--keys", str(ingest_side / "ingest")]
    ran, found = isolated(tmp_path, [*command, "--max-held-ratio", "1", *form])
    assert ran.returncode == 0, ran.stderr
    assert found["network"] == []
    outside = [path for path in found["written"] if not path.startswith((str(store), "/dev/null"))]
    assert outside == []
    assert not list((tmp_path / "tmp").iterdir())
    words = [("standard output", ran.stdout), ("standard error", ran.stderr)]
    assert leaks([*words, *everything_written(store)]) == []
    assert WORD.encode() in opened(store, keys).everything()


def isolated(
    folder: Path, command: list[str]
) -> tuple[subprocess.CompletedProcess[bytes], dict[str, list[str]]]:
    """Run a command without a network, with a folder of its own for temporary files."""
    (folder / "tmp").mkdir()
    places = {"TMPDIR": str(folder / "tmp"), "HOME": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    child = [sys.executable, "-m", "tests.pipeline.isolated_child", str(folder / "found.json"), *command]
    ran = subprocess.run(
        child, cwd=ROOT, env={**os.environ, **places}, capture_output=True, check=False, timeout=300
    )
    found: dict[str, list[str]] = json.loads((folder / "found.json").read_text())
    return ran, found


@pytest.mark.parametrize("command", ["inspect", "tables", "audit verify"])
def test_other_commands_need_no_network_either(
    command: str, events: Path, tmp_path: Path, keys: Path
) -> None:
    ingest(events, tmp_path / "S", keys)
    ran, found = isolated(tmp_path, [*command.split(), "--store", str(tmp_path / "S")])
    assert (ran.returncode, found) == (0, {"network": [], "written": []})


def test_a_release_needs_no_network(tmp_path: Path, keys: Path) -> None:
    world = World(tmp_path, keys)
    world.adults("ada", "bob")
    world.say("ada")
    world.say("bob")
    world.ingest(meeting(["ada", "bob"]))
    given = {"store": world.store, "keys": keys / "release", "consents": world.consents}
    shared = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    asked = ["--registry", str(world.registry), "--as-of", AS_OF, "--allow-test-keys"]
    what = ["--purpose", "ai_training", "--recipient", "first_party"]
    ran, found = isolated(tmp_path, ["release", *what, *shared, *asked])
    assert (ran.returncode, found["network"]) == (0, []), ran.stderr
    places = (str(world.store), str(tmp_path / "tmp"), "/dev/null")
    assert [path for path in found["written"] if not path.startswith(places)] == []
    assert not list((tmp_path / "tmp").iterdir())
    assert world.released()


def test_between_stages_no_event_travels(
    events: Path, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a stage hands on is collected: none of it grows with the events, and nothing is in clear."""
    handed: list[bytes] = []

    def watched(append: Any) -> Any:
        def take(self: Any, data: bytes) -> None:
            handed.append(data)
            append(self, data)

        return take

    for buffer in (execution.ListBuffer, execution.GroupingBuffer):
        monkeypatch.setattr(buffer, "append", watched(buffer.append))
    ingest(events, tmp_path / "few", keys)
    few, handed[:] = list(handed), []
    lines = [joined(number, WORD) for number in range(1000)]
    ingest(lines_file(tmp_path / "many.jsonl", lines), tmp_path / "many", keys)
    assert few
    assert leaks([(str(at), data) for at, data in enumerate([*few, *handed])]) == []
    assert sum(map(len, handed)) < 3 * sum(map(len, few))


def test_a_report_needs_no_network_and_leaves_nothing(events: Path, tmp_path: Path, keys: Path) -> None:
    """But for the list of the machine's fonts that the charts' library keeps."""
    ingest(events, tmp_path / "S", keys)
    given = ["--keys", str(keys / "ingest"), "--format", "html"]
    ran, found = isolated(tmp_path, ["report", "--store", str(tmp_path / "S"), *given])
    assert ran.returncode == 0, ran.stderr
    assert found["network"] == []
    outside = [path for path in found["written"] if not path.startswith((str(tmp_path / "tmp"), "/dev/null"))]
    assert outside == []
    left = [path.relative_to(tmp_path / "tmp") for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert {"/".join(path.parts[:2]) for path in left} <= {".cache/matplotlib", ".config/matplotlib"}


# --- keys ---------------------------------------------------------------------------------------------------


def test_a_run_does_not_need_the_side_that_opens(
    events: Path, tmp_path: Path, ingest_side: Path, keys: Path
) -> None:
    assert not (ingest_side / "release").exists()
    assert ingest(events, tmp_path / "S", ingest_side)["outcomes"]["separated"] == 22
    assert WORD.encode() in opened(tmp_path / "S", keys).everything()


def test_the_graph_that_travels_to_workers_holds_no_key(events: Path, tmp_path: Path, keys: Path) -> None:
    secret = key_material(keys)
    assert len(secret) >= 5
    pickled = list(unpacked(graph_of(events, tmp_path / "S", keys)))
    assert len(pickled) > 10
    assert any(b"_SeparateTask" in one for one in pickled)
    assert [name for name, key in secret.items() if _holds(pickled, key)] == []


def test_a_key_in_the_graph_would_be_found(keys: Path) -> None:
    secret = key_material(keys)
    for name, key in secret.items():
        careless = beam.Pipeline()
        _ = careless | beam.Create([1], reshuffle=False) | beam.Map(lambda _, key=key: key)
        assert _holds(list(unpacked(careless.to_runner_api().SerializeToString())), key), name


def graph_of(events: Path, store: Path, keys: Path) -> bytes:
    """The pipeline as it is handed to a runner."""
    asked = request(events, store, keys)
    Store.open_or_create(store)
    settings = RunSettings(str(store), "run-000001", "", asked.source, RECEIVED)
    pipeline = beam.Pipeline()
    contracts, own = load_contracts(), load_ingest_keys(keys / "ingest")
    build_ingest(pipeline, asked.patterns, settings, contracts, own, asked.split_bytes)
    graph: bytes = pipeline.to_runner_api().SerializeToString()
    return graph


def unpacked(graph: bytes) -> Iterator[bytes]:
    """The graph, and everything in it that was packed as Beam packs what it pickles."""
    yield graph
    for text in re.findall(rb"[A-Za-z0-9+/]{40,}={0,2}", graph):
        for unpack in (bz2.decompress, zlib.decompress):
            for cut in range(4):
                try:
                    yield unpack(base64.b64decode(text[cut : len(text) - (len(text) - cut) % 4]))
                except (OSError, ValueError, zlib.error, EOFError):
                    continue


def test_what_was_pickled_is_unpacked() -> None:
    assert any(b"some words" in one for one in unpacked(b"\0" + pickler.dumps("some words") + b"\0"))


def key_material(keys: Path) -> dict[str, bytes]:
    """The secret bytes of both sides: what is loaded from the ingest side, and each file of a key."""
    own = load_ingest_keys(keys / "ingest")
    secret = {"join key": own.join_key, "digest key": own.digest_key}
    secret |= {f"epoch root {number}": root for number, root in enumerate(own.epoch_roots.values())}
    for path in sorted(keys.rglob("*")):
        if path.is_file() and path.suffix != ".json" and "public" not in path.name:
            secret[str(path.relative_to(keys))] = path.read_bytes().strip()
    return secret


def _holds(contents: list[bytes], key: bytes) -> bool:
    half = key[: len(key) // 2]
    forms = (half, half.hex().encode(), base64.b64encode(key)[:20], repr(half)[2:-1].encode())
    return any(form in content for content in contents for form in forms)


# --- memory -------------------------------------------------------------------------------------------------

_INVERTED = bytes(255 - value for value in range(256))
_ONE_GROUP = KEY_BYTES + 16 + 12  # a data key, its id, and the nonce under which it is wrapped


class KeyWatch:
    """Remembers each key that sealing draws, as its complement, so as not to hold it itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: set[bytes] = set()
        self._draw = secrets.token_bytes
        monkeypatch.setattr(secrets, "token_bytes", self._drawn)

    def _drawn(self, size: int | None = None) -> bytes:
        drawn = self._draw(size)
        if len(drawn) == KEY_BYTES:
            self.keys.add(drawn.translate(_INVERTED))
        elif len(drawn) % _ONE_GROUP == 0:
            groups = range(0, len(drawn), _ONE_GROUP)
            self.keys |= {drawn[at : at + KEY_BYTES].translate(_INVERTED) for at in groups}
        return drawn

    def reachable(self) -> int:
        """How many of the keys any object that can be reached still holds."""
        gc.collect()
        gc.unfreeze()
        found: set[bytes] = set()
        for content in _byte_strings():
            if content not in self.keys:  # turned back, one of them would be found in this very frame
                turned = content.translate(_INVERTED)
                found |= {key for key in self.keys if key in turned}
        return len(found)


def _byte_strings() -> Iterator[bytes]:
    seen: set[int] = set()
    for holder in gc.get_objects():
        for held in (holder, *gc.get_referents(holder)):
            if isinstance(held, bytes | bytearray | memoryview) and id(held) not in seen:
                seen.add(id(held))
                content = bytes(held)
                if len(content) >= KEY_BYTES and not isinstance(holder, KeyWatch):
                    yield content


def test_no_key_of_a_bundle_is_left_in_memory_when_a_run_ends(
    events: Path, tmp_path: Path, ingest_side: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = KeyWatch(monkeypatch)
    ingest(events, tmp_path / "S", ingest_side)
    assert len(watch.keys) > 3
    assert watch.reachable() == 0


def test_a_key_that_is_left_in_memory_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = KeyWatch(monkeypatch)
    kept = [b"before" + secrets.token_bytes(KEY_BYTES) + b"behind"]
    assert watch.reachable() == 1
    kept.clear()
    assert watch.reachable() == 0
