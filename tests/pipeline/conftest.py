"""Fixtures of the whole-pipeline tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import run_drift, run_erase, run_ingest, run_reprocess, run_subject_export
from tests.pipeline.read_once import bundled_once
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory

RUNS = (run_drift, run_erase, run_ingest, run_reprocess, run_subject_export)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key directory with both sides, one for all tests: pseudonyms can be compared between stores."""
    directory = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(directory, created=RECEIVED)
    return directory


@pytest.fixture(scope="session", autouse=True)
def contracts_are_read_once() -> Iterator[None]:
    """Runs in this process share the bundled contracts, and Beam looks for no translations of its help.

    It makes dozens of argument parsers a run, each of which would look on the disk.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANGUAGE", "C")
        for module in RUNS:
            patch.setattr(module, "load_contracts", bundled_once)
        yield
