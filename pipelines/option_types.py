"""Types of command-line options that click does not have."""

from __future__ import annotations

import math
from typing import Any

import click


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
