"""The version of this software, as ledgers state it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def software_version() -> str:
    """Version of the installed package."""
    try:
        return version("cofferdam")
    except PackageNotFoundError:
        return "uninstalled"
