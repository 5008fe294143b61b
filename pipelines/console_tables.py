"""Tables for people: drawn on a terminal, plain columns that nothing is cut from in a file or a pipe."""

from __future__ import annotations

import sys

from rich import box
from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 200
"""Columns of text where nothing tells how wide the reader's screen is."""

_NUMBERS = ("rows", "files", "bytes", "records", "values", "items", "expected")


def plain_console() -> Console:
    """Standard output, as wide as the terminal, or wide enough for every cell where there is none."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def harmless(text: str) -> str:
    """Text that no terminal takes for a command: what does not print is escaped, and so is the escape.

    Control characters, marks that turn the direction of writing, halves of surrogate pairs and white space
    other than the space do not print (`str.isprintable`).
    """
    return "".join(
        each if each.isprintable() and each != "\\" else each.encode("unicode_escape").decode()
        for each in text
    )


def grid(target: Console, *headings: str, title: str | None = None) -> Table:
    """An empty table; what does not fit into a cell goes on in the next line.

    Args:
        target: Where it will be printed.
        headings: Names of its columns; those of numbers stand to the right.
        title: A line above it.
    """
    style = box.SIMPLE_HEAD if target.is_terminal else None
    # As wide as its title at least, which would be broken over lines otherwise.
    width = None if title is None else min(len(title), target.width)
    made = Table(
        title=title, title_justify="left", box=style, pad_edge=False, header_style="bold", min_width=width
    )
    for heading in headings:
        made.add_column(heading, justify="right" if heading in _NUMBERS else "left", overflow="fold")
    return made
