"""Fixtures of the whole-pipeline tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from pipelines import run_ingest
from schemas.contract import ContractSet, load_contracts
from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key directory with both sides, one for all tests: pseudonyms can be compared between stores."""
    directory = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(directory, created=RECEIVED)
    return directory


@pytest.fixture(scope="session", autouse=True)
def contracts_are_read_once() -> Iterator[None]:
    """Reading the bundled contracts takes as long as a small run: runs in this process share them."""
    bundled = cache(load_contracts)

    def load(files: Iterable[Path] | None = None) -> ContractSet:
        return load_contracts(files) if files is not None else bundled()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_ingest, "load_contracts", load)
        yield
