"""Paths of a command's options as workers of an engine see them, from whichever folder they were started."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeVar

from pipelines.engines import absolute, runs_elsewhere
from schemas.places import Place

_PATHS: Final = ("store", "keys", "consents", "registry", "patterns")
"""Options that workers open by their paths; all others are read before the work begins."""

_Options = TypeVar("_Options")


def as_workers_see_it(options: _Options) -> _Options:
    """The options with paths that are found from any folder, where work is done elsewhere.

    Args:
        options: Options of a command, a data class with ``beam_arguments``.
    """
    said: Any = options
    if not runs_elsewhere(said.beam_arguments):
        return options
    named = {name: getattr(said, name) for name in _PATHS if hasattr(said, name)}
    found: _Options = replace(said, **{name: _found_anywhere(value) for name, value in named.items()})
    return found


def _found_anywhere(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_found_anywhere, value))
    if isinstance(value, str):
        return absolute(value)
    place: Place = value
    return place.absolute()


__all__ = ["as_workers_see_it"]
