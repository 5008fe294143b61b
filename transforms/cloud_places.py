"""Registries and consent records on Cloud Storage, read as they are read from a folder.

Every worker that can reach the bucket sees what arrives there, which is what a release needs that hears a no
until its last step. Nothing is copied to a disk on the way: records and registries name people.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from schemas.errors import ConfigurationError
from schemas.places import Place
from transforms.store_cloud import SCHEME, CloudFiles, faults
from transforms.store_cloud_arrow import READ_AHEAD, ObjectReader

_ADDRESS: Final = re.compile(
    r"(gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9])/((?:(?!\.\.?/)[^/]+/)*(?!\.\.?$)[^/]+)"
)
_ELSEWHERE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


def place_at(address: str) -> Place:
    """The file or folder at a path or at ``gs://BUCKET/NAME``.

    Raises:
        ConfigurationError: It is neither (``PLACE_FILESYSTEM``).
    """
    if address.startswith(SCHEME):
        return CloudPlace(address.rstrip("/"))
    if _ELSEWHERE.match(address):
        raise _unknown("records and registries are read from a folder or from gs://BUCKET/NAME")
    return Path(address)


@dataclass(frozen=True, order=True)
class CloudPlace:
    """An object, or all objects below a name (implements ``PlaceWithListing``).

    Args:
        address: ``gs://BUCKET/NAME``.

    Raises:
        ConfigurationError: It is no such address (``PLACE_FILESYSTEM``).
    """

    address: str

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.address):
            raise _unknown("a place on Cloud Storage is named gs://BUCKET/NAME, without empty parts or dots")

    def __str__(self) -> str:
        return self.address

    @property
    def name(self) -> str:
        """Its last part."""
        return self.address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """What its name ends with, from the last dot on."""
        return Path(self.name).suffix

    def __truediv__(self, name: str, /) -> CloudPlace:
        return CloudPlace(f"{self.address}/{name}")

    def absolute(self) -> CloudPlace:
        """The same: an address is found from anywhere."""
        return self

    def is_file(self) -> bool:
        """Whether an object of this name is there.

        Raises:
            InfrastructureFault: The service cannot be asked (``STORE_CLOUD_FAILED``); also below.
        """
        files, path = self._place()
        return files.look(path) is not None

    def exists(self) -> bool:
        """Whether an object of this name is there, or one below it."""
        return self.is_file() or any(True for _ in self.files_below())

    def files_below(self) -> Iterator[tuple[str, CloudPlace]]:
        """Every object below it, with its path from here."""
        files, path = self._place()
        for found in files.find(path):
            below = found.path.removeprefix(f"{path}/")
            yield below, self / below

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """Its bytes, of the generation that is there now.

        Raises:
            FileNotFoundError: There is no such object.
        """
        files, path = self._place()
        there = files.look(path)
        if there is None:
            raise FileNotFoundError(self.address)
        return io.BufferedReader(ObjectReader(there, self.address, faults), READ_AHEAD)

    def _place(self) -> tuple[CloudFiles, str]:
        found = _ADDRESS.fullmatch(self.address)
        assert found is not None  # noqa: S101 - checked when it was made
        return CloudFiles(found[1]), found[2]


def _unknown(message: str) -> ConfigurationError:
    return ConfigurationError("PLACE_FILESYSTEM", message)
