from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from pipelines.gc_command import gc
from schemas.errors import EXIT_CONFIGURATION, EXIT_INFRASTRUCTURE
from tests.unit.transforms.store_samples import calls, participants, store_with_runs, write_calls
from transforms.store import Store


def with_leftover(tmp_path: Path) -> tuple[Store, Path]:
    store = store_with_runs(tmp_path / "store", {"run-000001": [1]})
    (leftover,) = write_calls(store, "killed-00001", calls([2]))
    return store, Path(store.root, leftover.path)


def test_a_dry_run_names_what_would_go_and_a_run_deletes_it(tmp_path: Path) -> None:
    store, leftover = with_leftover(tmp_path)
    dry = CliRunner().invoke(gc, ["--store", store.root, "--dry-run", "--older-than", "0"])
    assert (dry.exit_code, leftover.exists()) == (0, True)
    assert f"would delete {leftover.relative_to(store.root)}" in dry.output
    wet = CliRunner().invoke(gc, ["--store", store.root, "--older-than", "0"])
    assert (wet.exit_code, leftover.exists()) == (0, False)
    assert "deleted 1 file," in wet.output
    assert participants(store.refreshed()) == [1]


def test_young_files_are_spared_by_default(tmp_path: Path) -> None:
    store, leftover = with_leftover(tmp_path)
    ran = json.loads(CliRunner().invoke(gc, ["--store", store.root, "--json"]).output)
    assert ran["spared"] == [str(leftover.relative_to(store.root))]
    assert (ran["unnamed"], ran["replaced"], leftover.exists()) == ([], [], True)


def test_a_store_at_work_or_none_is_an_error(tmp_path: Path) -> None:
    store, _ = with_leftover(tmp_path)
    with store.writing("run-000002"):
        busy = CliRunner().invoke(gc, ["--store", store.root])
    assert (busy.exit_code, "STORE_LOCKED" in busy.output) == (EXIT_INFRASTRUCTURE, True)
    assert CliRunner().invoke(gc, ["--store", str(tmp_path / "none")]).exit_code == EXIT_CONFIGURATION
