"""Types of command-line options, and a kind of command, that click does not have."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from schemas.errors import CofferdamError
from schemas.places import Place

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # older versions of click name no type here
    _ParamType = click.ParamType

_SEVERAL = 2

DAYS: Final = click.IntRange(1, 36_500)
"""A number of days that can be counted back from an instant: there is no date before the year 1."""


class FiniteRange(click.FloatRange):
    """A number between bounds. Click's own range lets "nan" through, with which every bound is void."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number.

        Raises:
            click.BadParameter: It is no number, not finite, or out of the range.
        """
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a number between bounds.", param, ctx)
        return number


def store_path(value: str | Path) -> str | Path:
    """Where a store is: a folder as a path, or an address such as ``gs://BUCKET/FOLDER`` as it was given.

    As a path, an address would lose a slash.
    """
    return value if "://" in str(value) else Path(value)


class PlaceType(_ParamType):
    """A file or folder that is only read: a path, or an address on Cloud Storage as it was given."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        """Read the path or address.

        Raises:
            click.BadParameter: It is the address of something else.
        """
        if not isinstance(value, str) or "://" not in value:
            return Path(value)
        from transforms.cloud_places import place_at

        try:
            return place_at(value)
        except CofferdamError as error:
            self.fail(error.message, param, ctx)


class PatientCommand(click.Command):
    """A command that names all required options that are missing, where click stops at the first."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            click.UsageError: Options are missing, or cannot be read.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter:
            missing = self._missing(ctx, given)
            if len(missing) < _SEVERAL:
                raise
        raise click.UsageError(f"Missing options: {', '.join(missing)}", ctx)

    def _missing(self, ctx: click.Context, given: list[str]) -> list[str]:
        values, *_ = self.make_parser(ctx).parse_args(given)
        return [
            max(option.opts, key=len)
            for option in self.get_params(ctx)
            if option.required and option.name not in values
        ]
