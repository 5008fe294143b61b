"""Canaries of a run: searched for in all that it writes, found when something leaks, counted nowhere else."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.run_report import print_ledger
from schemas.errors import InfrastructureFault, PromiseBroken
from tests.pipeline.support import Ledger, comparable, ingest, lines_file, reasons, rejects_of
from tests.pipeline.support_events import chat, joined
from tests.pipeline.support_search import STEM, TEST_STEM, everything_written
from transforms import canaries, ingest_steps
from transforms.audit_verify import verify_log
from transforms.canary_events import canary_events
from transforms.canary_search import Stem
from transforms.pseudonym_spaces import PseudonymSpaces
from transforms.store import Store
from transforms.store_files import LocalFiles
from transforms.store_gc import collect_garbage

PLANTED = 70
FEW = 8
EVENTS: list[dict[str, Any] | bytes] = [
    *(joined(number) for number in range(20)),
    chat("1", "hello"),
    b"no json",
]
FUTURE = 4_000_000_000.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lines_file(tmp_path_factory.mktemp("source") / "in.jsonl", EVENTS)


@dataclass
class Watched:
    """A run with canaries, and its tokens' stem."""

    ledger: Ledger
    store: Path
    stem: Stem


@pytest.fixture(scope="module")
def watched(source: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    made: list[Stem] = []
    fresh = Stem.fresh
    with pytest.MonkeyPatch.context() as patch:
        made.append(fresh())
        patch.setattr(Stem, "fresh", lambda: made[0])
        store = tmp_path_factory.mktemp("watched") / "S"
        ledger = ingest(source, store, keys, canaries=PLANTED)
    return Watched(ledger, store, made[0])


def test_canaries_are_told_of_apart_and_counted_nowhere_else(
    watched: Watched, source: Path, keys: Path, tmp_path: Path
) -> None:
    plain = ingest(source, tmp_path / "S", keys)
    told = watched.ledger["canaries"]
    assert (told["planted"], told["found"]) == (PLANTED, 0)
    assert sum(told["rows"].values()) > PLANTED
    assert told["files_searched"] > 60
    differs = ("run_id", "canaries")
    counted = {name: value for name, value in watched.ledger.items() if name not in differs}
    assert counted == {name: value for name, value in plain.items() if name not in differs}
    assert "canaries" not in plain
    assert comparable(watched.store, keys) == comparable(tmp_path / "S", keys)


def test_nothing_of_them_is_left_behind(watched: Watched) -> None:
    state = Store.open(watched.store)
    files = {path.relative_to(watched.store).as_posix() for path in watched.store.rglob("*.parquet")}
    assert files == set(state.snapshot.live)
    for _, path in everything_written(watched.store):
        assert watched.stem.word.encode() not in path.read_bytes()


def test_the_audit_log_says_what_was_planted_and_found(watched: Watched) -> None:
    manifest = Store.open(watched.store).snapshot.manifests[0]
    assert manifest.facts["audit"] == [{"type": "canaries", "planted": PLANTED, "found": 0}]
    assert verify_log(str(watched.store)).findings.listed == []


def test_the_report_of_the_run_tells_of_them(watched: Watched, capsys: pytest.CaptureFixture[str]) -> None:
    print_ledger(watched.ledger, "S", 1.0)
    assert f"{PLANTED} canaries planted and sealed; none found in " in capsys.readouterr().out


def test_stems_differ_and_are_long() -> None:
    first, second = Stem.fresh(), Stem.fresh()
    assert first != second
    assert len(first.word) == 14
    assert first.numbers[-1] < 2**53
    assert STEM not in repr(canaries.CanarySettings(1, TEST_STEM))


# --- leaks ------------------------------------------------------------------------------------------------


@pytest.fixture
def known_stem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stem, "fresh", lambda: TEST_STEM)


def caught(source: Path, store: Path, keys: Path, **changes: Any) -> str:
    """What is said of a run that fails; nothing was committed."""
    with pytest.raises(PromiseBroken) as failed:
        ingest(source, store, keys, canaries=FEW, **changes)
    assert failed.value.exit_code == 1
    assert STEM not in str(failed.value)
    return str(failed.value)


@pytest.mark.usefixtures("known_stem")
def test_a_leak_into_telemetry_stops_the_run(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaking(_: PseudonymSpaces, kind: str, values: Any, tenants: Any) -> pa.Array:
        texts = values.to_pylist() if hasattr(values, "to_pylist") else list(values)
        return pa.array([None if text is None else text.encode().hex() for text in texts], pa.string())

    monkeypatch.setattr(PseudonymSpaces, "telemetry", leaking)
    said = caught(source, tmp_path / "S", keys)
    assert said.startswith("CANARY_FOUND: ")
    assert "hex" in said
    assert "telemetry/" in said
    assert Store.open(tmp_path / "S").version == 0
    monkeypatch.undo()
    assert ingest(source, tmp_path / "S", keys)["outcomes"]["separated"] == 21


@pytest.mark.usefixtures("known_stem")
def test_a_leak_into_the_log_is_found(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = canary_events

    def chatty(*arguments: Any) -> Any:
        made = list(real(*arguments))
        logging.getLogger("some.step").warning("took %s", made[0])
        return made

    monkeypatch.setattr(canaries, "canary_events", chatty)
    said = caught(source, tmp_path / "S", keys)
    assert "a log line of some.step" in said


@pytest.mark.usefixtures("known_stem")
def test_a_leak_into_the_ledger_is_found(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.commit_run.ledger_of", lambda *_: {"event_type": f"{STEM}abcd".upper()})
    assert "the ledger" in caught(source, tmp_path / "S", keys)


@pytest.mark.usefixtures("known_stem")
def test_the_name_of_a_column_is_not_said_if_it_is_what_leaks(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canaries, "file_leaks", lambda stem, name, file: [f"{STEM}aaaa of {name}: plain"])
    assert "a name in " in caught(source, tmp_path / "S", keys)


def test_canaries_that_get_lost_stop_the_run(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canaries, "canary_events", lambda *_: [b"{}"])
    assert caught(source, tmp_path / "S", keys).startswith(f"CANARIES_LOST: 0 of {FEW}")


def test_rows_of_canaries_that_get_lost_stop_the_run(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ingest_steps._SeparateTask._canaries

    def losing(self: Any, planted: Any) -> Any:
        became = real(self, planted)
        return canaries.CanaryFiles(became.files[1:], became.counts)

    monkeypatch.setattr(ingest_steps._SeparateTask, "_canaries", losing)
    assert "rows of canaries were lost" in caught(source, tmp_path / "S", keys)


# --- kills, sources and what comes from outside -----------------------------------------------------------


def test_a_run_that_ends_in_between_leaves_what_gc_deletes(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr("transforms.commit_run.search_run", end)
    with pytest.raises(InfrastructureFault, match="STEP_FAILED"):
        ingest(source, tmp_path / "S", keys, canaries=FEW)
    monkeypatch.undo()
    assert Store.open(tmp_path / "S").tables() == []
    ingest(source, tmp_path / "S", keys, canaries=FEW)
    collected(tmp_path / "S")


def collected(store: Path) -> None:
    """Garbage is collected, and then nothing is there but what manifests name."""
    assert len(collect_garbage(Store.open(store), now=FUTURE, older_than=0).unnamed) > FEW
    files = {path.relative_to(store).as_posix() for path in store.rglob("*.parquet")}
    assert files == set(Store.open(store).snapshot.live)


def test_files_of_canaries_that_cannot_be_deleted_are_left_to_gc(
    source: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalFiles.delete

    def keeping(self: LocalFiles, path: str) -> None:
        if path.startswith("telemetry/"):
            raise InfrastructureFault("STORE_FILE_FAILED", "no")
        real(self, path)

    monkeypatch.setattr(LocalFiles, "delete", keeping)
    assert ingest(source, tmp_path / "S", keys, canaries=2 * FEW)["canaries"]["found"] == 0
    monkeypatch.undo()
    collected(tmp_path / "S")


@pytest.mark.parametrize("platform", ["zoom", "cofferdam"])
def test_canaries_are_of_the_source_that_the_run_takes(
    platform: str, source: Path, keys: Path, tmp_path: Path
) -> None:
    ledger = ingest(source, tmp_path / "S", keys, source=platform, canaries=FEW)
    assert ledger["canaries"]["planted"] == FEW
    tables = [name for name in ledger["canaries"]["rows"] if name.startswith("telemetry/")]
    assert all(name.startswith(f"telemetry/{platform}_") for name in tables)


def _claiming(tenant: str, identity: str = "2") -> bytes:
    return json.dumps(chat(identity, "hello", tenant="@@")).encode().replace(b"@@", tenant.encode())


def held(records: Sequence[bytes], folder: Path, keys: Path) -> Ledger:
    return ingest(lines_file(folder / "in.jsonl", records), folder / "S", keys)


@pytest.mark.parametrize(
    "tenant", ["urn:cofferdam:canary", "urn:cofferdam:canary:x", r"urn\u003acofferdam:c\u0061nary"]
)
def test_the_reserved_tenant_is_not_taken_from_outside(tenant: str, keys: Path, tmp_path: Path) -> None:
    record = _claiming(tenant)
    ledger = held([record, _claiming("t-1", "3")], tmp_path, keys)
    assert reasons(ledger) == {"RESERVED_TENANT": 1}
    assert ledger["outcomes"] == {"rejected": 1, "separated": 1}
    assert [reject.raw for reject in rejects_of(tmp_path / "S", keys)] == [record]


def test_whoever_only_speaks_of_the_reserved_tenant_is_taken(keys: Path, tmp_path: Path) -> None:
    record = json.dumps(chat("2", "we are not urn:cofferdam:canary, are we")).encode()
    assert held([record], tmp_path, keys)["outcomes"] == {"separated": 1}
