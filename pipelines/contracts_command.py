"""`cofferdam contracts`: lint, draft, show and compare the contracts that say what every field is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.command_errors import reported
from schemas.contract import SOURCES, ContractSet, EventShape, load_contracts
from schemas.contract_catalogue import COLUMNS, catalogue, catalogue_markdown, entries_of
from schemas.contract_diff import Change, Comparison, Effect, compare_contracts
from schemas.contract_draft import Draft, draft_contract
from schemas.contract_lint import LintProblem, contract_files, lint_contracts
from schemas.errors import EXIT_CONFIGURATION, EXIT_PROMISE_BROKEN, ConfigurationError

_CONTRACTS = click.Path(path_type=Path)
_WIDEST_CELL = 80
_STYLES = {Effect.LOOSENING: "bold red", Effect.INCOMPATIBLE: "red", Effect.TIGHTENING: "green"}
_LANE_STYLES = {"service": "green", "metadata": "yellow", "content": "red", "none": "dim"}


@click.group(name="contracts")
def contracts() -> None:
    """Lint, draft, show and compare contracts.

    A contract says for each field of an event what it is (service data, communications metadata, an
    identifier, content, a secret) and what happens to it (kept, pseudonymised, sealed, dropped). What no
    contract describes is sealed.

    \b
    A new kind of event, step by step:
      cofferdam contracts draft samples/ --source cofferdam --family call --type-at type --output call.yaml
      (say in call.yaml what each field is: everything is sealed until you do)
      cofferdam contracts lint call.yaml
      cofferdam contracts show call.yaml
      cofferdam contracts diff call-1.0.0.yaml call.yaml
    """  # noqa: D301 - click reads the backspace as "keep the lines of this paragraph"


@contracts.command()
@click.argument("files", nargs=-1, type=_CONTRACTS)
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_context
@reported()
def lint(context: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Check contracts and say, by file and line, what to put right.

    FILES are contract files or folders of them; without any, the contracts that come with Cofferdam are
    checked. Refused are fields without a classification, free text or opaque data that would be kept, kept
    fields that derive from content, words that nobody reads, and more. docs/contracts.md explains each code.

    Exit code: 0 no problem, 2 at least one.
    """
    paths = contract_files(files)
    problems = lint_contracts(paths)
    if as_json:
        _print_json({"files": len(paths), "problems": [problem.as_dict() for problem in problems]})
    else:
        for problem in problems:
            click.echo(_located(problem))
        summary = f"{_counted(len(paths), 'file')}, {_counted(len(problems), 'problem')}"
        click.echo(summary, err=bool(problems))
    if problems:
        context.exit(EXIT_CONFIGURATION)


def _located(problem: LintProblem) -> str:
    """One line in the form that editors turn into a link."""
    return f"{problem.file}:{problem.line}: {problem.field}: {problem.code}: {problem.message}"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


@contracts.command()
@click.argument("samples", nargs=-1, required=True, type=_CONTRACTS)
@click.option("--source", required=True, type=click.Choice(SOURCES), help="Who sends these events.")
@click.option("--family", required=True, help="A name for this family of events, such as meeting.")
@click.option(
    "--type-at",
    default="event",
    show_default=True,
    help="Dotted path of the key that names the event type; its values are the only ones that are written.",
)
@click.option("--output", type=_CONTRACTS, help="File to write; standard output otherwise. Never overwrites.")
@reported()
def draft(samples: tuple[Path, ...], source: str, family: str, type_at: str, output: Path | None) -> None:
    """Write a first contract from example events.

    SAMPLES are files (JSON documents, arrays or lines) or folders of .json, .jsonl and .ndjson files. The
    draft names every field at any depth and classifies each as content.unclassified: all of it is sealed
    until you say what it is. No value of a sample is written but the event types. Objects whose keys look
    like data (ids, names) are sealed as a whole.

    Exit codes: 0 written, 2 the samples or the output cannot be used, 3 a sample cannot be read.
    """
    if output is not None and output.exists():
        raise ConfigurationError("OUTPUT_EXISTS", f"{output} exists already; name another file for --output")
    made = draft_contract(samples, source=source, family=family, type_at=type_at)
    if output is None:
        click.echo(made.text, nl=False)
    else:
        _write_new(output, made.text)
    click.echo(_drafted(made), err=True)


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); name another file for --output"
        raise ConfigurationError("OUTPUT_UNWRITABLE", message) from None


def _drafted(made: Draft) -> str:
    skipped = [
        f"{_counted(number, noun)} skipped ({why})"
        for number, noun, why in (
            (made.malformed, "record", "no strict JSON object"),
            (made.untyped, "event", "no usable event type at --type-at"),
        )
        if number
    ]
    read = f"{_counted(made.events, 'event')} of {_counted(made.event_types, 'type')}"
    return "; ".join((read, *skipped, "every field is sealed until you classify it"))


@contracts.command()
@click.argument("files", nargs=-1, type=_CONTRACTS)
@click.option("--source", type=click.Choice(SOURCES), help="Only events of this source.")
@click.option("--table", "name", help="Only this telemetry table.")
@click.option(
    "--format",
    "layout",
    type=click.Choice(("table", "json", "markdown")),
    default="table",
    show_default=True,
    help="How to print it.",
)
@reported()
def show(files: tuple[Path, ...], source: str | None, name: str | None, layout: str) -> None:
    """Show every field with its lane, classification, protection and column.

    FILES are contract files or folders; without any, the contracts that come with Cofferdam are shown. The
    lane is where a value travels once it is protected: service, metadata, content (sealed) or none (dropped).
    Long bounds are cut short in a table, and stand in full in JSON and Markdown.

    Exit codes: 0 shown, 2 a contract has problems or nothing matches.
    """
    found = [
        shape
        for shape in load_contracts(contract_files(files)).shapes
        if source in (None, shape.source) and name in (None, shape.table)
    ]
    if not found:
        message = "no contract describes such a source and table; run `cofferdam contracts show` without them"
        raise ConfigurationError("NO_SUCH_TABLE", message)
    if layout == "json":
        _print_json(catalogue(found))
    elif layout == "markdown":
        click.echo(catalogue_markdown(found), nl=False)
    else:
        _print_catalogue(found)


def _print_catalogue(shapes: Iterable[EventShape]) -> None:
    for shape in shapes:
        click.echo(f"{shape.table}  (source {shape.source}, contract {shape.contract_label})")
        click.echo(f"event types: {', '.join(shape.events)}")
        rows = [[_short(str(getattr(entry, name))) for name in COLUMNS] for entry in entries_of(shape)]
        _print_rows(COLUMNS, rows, [_LANE_STYLES[row[1]] for row in rows])
        click.echo()


def _short(cell: str) -> str:
    return cell if len(cell) <= _WIDEST_CELL else f"{cell[: _WIDEST_CELL - 1]}…"


@contracts.command()
@click.argument("old", type=_CONTRACTS)
@click.argument("new", type=_CONTRACTS)
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
@click.pass_context
@reported()
def diff(context: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """Say whether NEW is compatible with OLD, and what moves between lanes.

    OLD and NEW are contract files or folders of them. Incompatible is what breaks whoever reads the tables,
    the rosters or the released content: a column that goes or changes its type or unit, an event type that is
    described no more. Loosening is what leaves the sealed side or loses a protection; it is listed first.

    Exit code: 0 compatible and nothing loosened, 1 incompatible or something loosened, 2 a contract cannot be
    loaded.
    """
    comparison = compare_contracts(_loaded(old), _loaded(new))
    if as_json:
        _print_json(_compared(comparison))
    else:
        _print_changes(comparison)
    if not comparison.is_compatible or comparison.is_loosened:
        context.exit(EXIT_PROMISE_BROKEN)


def _loaded(path: Path) -> ContractSet:
    return load_contracts(contract_files([path]))


def _compared(comparison: Comparison) -> dict[str, Any]:
    return {
        "compatible": comparison.is_compatible,
        "loosened": comparison.is_loosened,
        "changes": [change.as_dict() for change in comparison.changes],
    }


def _print_changes(comparison: Comparison) -> None:
    if comparison.changes:
        names = ("effect", "table", "field", "code", "what")
        styles = [_STYLES.get(change.effect, "") for change in comparison.changes]
        _print_rows(names, [_row(change) for change in comparison.changes], styles)
        click.echo()
    verdict = "compatible" if comparison.is_compatible else "INCOMPATIBLE"
    loosened = sum(change.effect is Effect.LOOSENING for change in comparison.changes)
    moved = f"; {_counted(loosened, 'field')} LOOSENED: see the first rows" if loosened else ""
    click.echo(f"{verdict}, {_counted(len(comparison.changes), 'change')}{moved}")


def _row(change: Change) -> list[str]:
    return [str(change.effect), change.table, change.field, change.code, change.message]


def _print_rows(names: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> None:
    """A table on a terminal, and plain aligned columns that tools can read elsewhere."""
    console = Console(highlight=False)
    if not console.is_terminal:
        widths = [max(map(len, cells)) for cells in zip(names, *rows, strict=True)]
        for row in (names, *rows):
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(padded).rstrip())
        return
    table = Table(*names, box=None, header_style="bold", pad_edge=False)
    for row, style in zip(rows, styles, strict=True):
        # Text, not markup: `[]` stands in paths.
        table.add_row(*(Text(cell) for cell in row), style=style)
    console.print(table)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
