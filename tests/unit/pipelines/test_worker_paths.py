"""Options that name files are found from the folders in which an engine's workers were started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.worker_paths import as_workers_see_it


@dataclass(frozen=True)
class Options:
    """What some command is asked for."""

    store: str
    keys: Path
    patterns: tuple[str, ...] = ()
    consents: tuple[Path, ...] = ()
    contract_files: tuple[Path, ...] = (Path("mended"),)
    beam_arguments: tuple[str, ...] = ()


def test_in_this_process_paths_stay_as_they_are_named() -> None:
    asked = Options("S", Path("K"), ("in/*.jsonl",))
    assert as_workers_see_it(asked) is asked


def test_for_workers_elsewhere_paths_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = ("--runner", "FlinkRunner")
    asked = Options("S", Path("K"), ("in/*.jsonl", "gs://b/x"), (Path("C"), Path("/D")), (), elsewhere)
    assert as_workers_see_it(asked) == Options(
        str(tmp_path / "S"),
        tmp_path / "K",
        (str(tmp_path / "in/*.jsonl"), "gs://b/x"),
        (tmp_path / "C", Path("/D")),
        (),
        elsewhere,
    )


def test_addresses_and_what_the_launching_process_reads_stay() -> None:
    asked = Options("gs://bucket/S", Path("/K"), beam_arguments=("--runner", "FlinkRunner"))
    assert as_workers_see_it(asked) == asked
