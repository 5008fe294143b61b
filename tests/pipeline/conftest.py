"""Fixtures of the whole-pipeline tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.support import RECEIVED
from transforms.keys import create_key_directory


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key directory with both sides, one for all tests: pseudonyms can be compared between stores."""
    directory = tmp_path_factory.mktemp("keys") / "K"
    create_key_directory(directory, created=RECEIVED)
    return directory
