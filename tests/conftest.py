"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.claims_plugin import pytest_addoption, pytest_configure

__all__ = ["pytest_addoption", "pytest_configure"]

settings.register_profile(
    "cofferdam", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("cofferdam")

SHARED_FOLDER = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of public samples and vectors beside the checkout; tests that need it skip without it."""
    if not SHARED_FOLDER.is_dir():
        pytest.skip("the folder of public samples and vectors is not beside this checkout")
    return SHARED_FOLDER
