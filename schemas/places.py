"""Files and folders that a registry and consent records are read from, wherever they lie.

A ``pathlib.Path`` is a place. What lies in an object store is another kind of one
(``transforms.cloud_places``); nothing in here knows of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol


class Place(Protocol):
    """A file or folder to read from; whatever cannot be read raises ``OSError``, as it does for a path."""

    @property
    def name(self) -> str:
        """Its last part."""

    @property
    def suffix(self) -> str:
        """What its name ends with, from the last dot on."""

    def __truediv__(self, name: str, /) -> Place:
        """A file or folder below it."""

    def is_file(self) -> bool:
        """Whether a file is there."""

    def exists(self) -> bool:
        """Whether anything is there."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """Its bytes, from the beginning, to be read anywhere."""

    def absolute(self) -> Place:
        """The same, as it is found from any folder."""


class PlaceWithListing(Place, Protocol):
    """A place of a kind that is listed as a whole, and not folder by folder."""

    def files_below(self) -> Iterator[tuple[str, Place]]:
        """Every file below it, with its path from here."""


def size_of(place: Place) -> int:
    """Size of a file in bytes.

    Raises:
        OSError: It cannot be read.
    """
    if isinstance(place, Path):
        return place.stat().st_size
    with place.open("rb") as file:
        return file.seek(0, 2)
