"""The product's own search for canaries, with one stem for all tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from transforms import canary_search
from transforms.canary_search import Stem

STEM = "qvxkzjwp"
NUMBER_STEM = "73914286"
TEST_STEM = Stem(STEM, NUMBER_STEM, tail=5)


class Canaries(canary_search.Canaries):
    """Makes tokens, each of them once: twelve small letters, or thirteen digits."""

    def __init__(self) -> None:
        super().__init__(TEST_STEM)


def leaks(places: Iterable[tuple[str, bytes | Path]]) -> list[str]:
    """Where a token was found, and in which form; empty where none was."""
    found: list[str] = []
    for place, content in places:
        if isinstance(content, Path):
            found += canary_search.file_leaks(TEST_STEM, place, content)
        else:
            found += canary_search.leaks(TEST_STEM, [(place, content)])
    return found


def everything_written(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder."""
    return canary_search.everything_written(folder)


def tokens_in(content: bytes) -> set[bytes]:
    """The tokens that stand in some bytes, as they are."""
    return TEST_STEM.tokens_in(content)
