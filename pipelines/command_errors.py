"""How every command ends when something is wrong: one line on standard error, and the error's exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from schemas.errors import CofferdamError


@contextmanager
def reported() -> Iterator[None]:
    """Turn our errors into a message and an exit code, without a traceback."""
    try:
        yield
    except CofferdamError as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(error.exit_code) from None
