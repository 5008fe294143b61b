"""Options of the commands that open what was held upon an order, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.option_types import DAYS

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)

_ORDER = (
    click.option("--store", required=True, metavar="DIR", help="The store."),
    click.option("--keys", required=True, type=_PATH, metavar="DIR", help="The release side: KEYS/release."),
    click.option(
        "--as-of",
        metavar="TIME",
        help="Instant of the order (RFC 3339): what is too old by then is not opened. Now, without it.",
    ),
    click.option(
        "--live-days",
        type=DAYS,
        default=30,
        show_default=True,
        metavar="DAYS",
        help="How long sealed items live; what is older is not opened.",
    ),
    click.option(
        "--rejected-days",
        type=DAYS,
        default=30,
        show_default=True,
        metavar="DAYS",
        help="How long rejected records live; what is older is not opened.",
    ),
)


def order_options(command: _Command) -> _Command:
    """Add the store, the keys, the instant and the times to live to a command."""
    for option in reversed(_ORDER):
        command = option(command)
    return command
