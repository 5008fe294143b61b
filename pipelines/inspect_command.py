"""``cofferdam inspect`` and ``cofferdam tables``: what a store holds, and how others may read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from rich.console import Console
from rich.text import Text

from pipelines.command_errors import reported
from pipelines.console_tables import grid, plain_console
from pipelines.option_types import store_path
from schemas.errors import ConfigurationError
from schemas.tables import PREVIEW_COLUMNS, TELEMETRY, fact, lane_of_column
from transforms.store import Store

_LONGEST_CELL = 28
_STORE_OPTION = click.option(
    "--store", "store_at", required=True, type=store_path, metavar="DIR", help="The store."
)
_JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


# --- inspect ----------------------------------------------------------------------------------------------


@click.command(name="inspect")
@_STORE_OPTION
@click.option("--table", help="Show this table's columns and rows, for example telemetry/zoom_participant.")
@click.option("--rows", type=click.IntRange(0, 1000), default=3, show_default=True, help="Rows to show.")
@click.option("--verify", is_flag=True, help="Read every file and compare its SHA-256 with its manifest.")
@_JSON_OPTION
def inspect(store_at: str | Path, table: str | None, rows: int, verify: bool, as_json: bool) -> None:
    """Show the tables of a store: rows, files, columns with lane and unit, and a few telemetry rows.

    Of sealed tables only ids, kinds and sizes are shown. Without --table, the largest telemetry table stands
    as an example.

    Exit codes: 0 shown, 2 no such store or table, 3 the store is damaged.
    """
    with reported():
        store = Store.open(store_at)
        store.check(digests=verify)
        _check_table(store, table)
        shown = describe_store(store, [table] if table else store.tables(), rows)
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    else:
        _print_store(shown, table, verify)


def _check_table(store: Store, table: str | None) -> None:
    names = store.tables()
    if table is None or table in names:
        return
    near = [name for name in names if name.rsplit("/", 1)[-1] == table]
    hint = f"did you mean {near[0]}?" if near else "without --table, all are listed"
    raise ConfigurationError("STORE_NO_TABLE", f"there is no such table; {hint}")


def describe_store(store: Store, tables: Iterable[str], rows: int) -> dict[str, Any]:
    """A store as JSON can hold it: its runs, and of each table the columns, figures and a few rows.

    Args:
        store: The store.
        tables: Tables to describe.
        rows: Rows to show of each; of sealed tables ids and sizes only.
    """
    manifests = store.snapshot.manifests
    return {
        "store": store.root,
        "version": store.version,
        "runs": [
            {"run_id": run.run_id, "adds": len(run.adds), "removes": len(run.removes), "facts": run.facts}
            for run in manifests
        ],
        "tables": [_describe_table(store, table, rows) for table in tables],
    }


def _describe_table(store: Store, table: str, rows: int) -> dict[str, Any]:
    files, schema = store.files(table), store.schema(table)
    return {
        "name": table,
        "rows": sum(record.rows for record in files),
        "files": len(files),
        "bytes": sum(record.size for record in files),
        "columns": [_describe_column(field) for field in schema],
        "preview": _preview(store, table, schema, rows),
    }


def _describe_column(field: pa.Field) -> dict[str, str]:
    return {
        "name": field.name,
        "type": str(field.type),
        "lane": lane_of_column(field),
        "unit": fact(field, "unit"),
        "classification": fact(field, "classification"),
        "description": fact(field, "description"),
    }


def _preview(store: Store, table: str, schema: pa.Schema, rows: int) -> list[dict[str, Any]]:
    columns = schema.names if table.startswith(f"{TELEMETRY}/") else list(PREVIEW_COLUMNS.get(table, ()))
    if not columns or not rows:
        return []
    found = store.read_table(table, columns, limit=rows).to_pylist()
    return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(member) for member in value]
    return value


def _print_store(shown: dict[str, Any], table: str | None, verified: bool) -> None:
    console = plain_console()
    count = len(shown["runs"])
    console.print(Text(f"{shown['store']}: {count} run{'' if count == 1 else 's'}"))
    if verified:
        console.print("every file has the SHA-256 that its manifest states")
    _print_overview(console, shown["tables"])
    examples = [entry for entry in shown["tables"] if entry["name"].startswith(f"{TELEMETRY}/")]
    chosen = shown["tables"] if table else sorted(examples, key=lambda entry: -entry["rows"])[:1]
    for entry in chosen:
        _print_table(console, entry)
    if not table and shown["tables"]:
        console.print("\nMore: --table NAME for another table, `cofferdam tables` for the files.")


def _print_overview(console: Console, tables: list[dict[str, Any]]) -> None:
    if not tables:
        console.print("no tables: no run has committed anything yet")
        return
    table = grid(console, "table", "rows", "files", "bytes", "lanes")
    for entry in tables:
        lanes = sorted({column["lane"] for column in entry["columns"]})
        figures = (f"{entry[name]:,}" for name in ("rows", "files", "bytes"))
        table.add_row(Text(entry["name"]), *figures, ", ".join(lanes))
    console.print()
    console.print(table)


def _print_table(console: Console, entry: dict[str, Any]) -> None:
    table = grid(console, "column", "type", "lane", "unit", "meaning")
    for column in entry["columns"]:
        words = (column["name"], column["type"], column["lane"], column["unit"], column["description"])
        table.add_row(*map(Text, words))
    console.print(Text(f"\n{entry['name']}: columns"), style="bold")
    console.print(table)
    if entry["preview"]:
        _print_rows(console, entry["preview"])


def _print_rows(console: Console, rows: list[dict[str, Any]]) -> None:
    """Rows stand side by side, so that a table of many columns stays readable."""
    table = grid(console, "column", *(f"row {number}" for number in range(1, len(rows) + 1)))
    for name in rows[0]:
        table.add_row(Text(name), *(Text(_cell(row[name])) for row in rows))
    console.print()
    console.print(table)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    visible = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
    return visible if len(visible) <= _LONGEST_CELL else f"{visible[: _LONGEST_CELL - 1]}…"


# --- tables -----------------------------------------------------------------------------------------------


@click.command(name="tables")
@_STORE_OPTION
@click.option("--table", help="Only this table.")
@_JSON_OPTION
def tables(store_at: str | Path, table: str | None, as_json: bool) -> None:
    """Print each table's files, and how to read them with DuckDB and pandas.

    Read the files that are listed, not the folders: a folder may hold files of a run that was killed, or
    files that were replaced.

    Exit codes: 0 printed, 2 no such store or table, 3 the store is damaged.
    """
    with reported():
        store = Store.open(store_at)
        _check_table(store, table)
        listed = [describe_files(store, name) for name in ([table] if table else store.tables())]
    click.echo(json.dumps({"tables": listed}, indent=2) if as_json else "\n\n".join(map(_as_text, listed)))


def describe_files(store: Store, table: str) -> dict[str, Any]:
    """A table's files by absolute path or address, with a DuckDB view and a pandas frame of them."""
    root = store.root if "://" in store.root else Path(store.root).absolute()
    records = store.files(table)
    paths = [f"{root}/{record.path}" for record in records]
    return {
        "name": table,
        "rows": sum(record.rows for record in records),
        "files": paths,
        "duckdb": duckdb_view(view_name(table), paths),
        "pandas": pandas_frame(view_name(table), paths),
    }


def view_name(table: str) -> str:
    """A table's name as SQL and Python can hold it, such as ``telemetry_zoom_participant``."""
    return re.sub(r"[^a-z0-9_]", "_", table)


def duckdb_view(name: str, paths: list[str]) -> str:
    """A DuckDB statement that makes a view of some files."""
    listed = ",\n  ".join("'" + path.replace("'", "''") + "'" for path in paths)
    options = "union_by_name = true, hive_partitioning = false"
    source = f"read_parquet([\n  {listed}\n], {options})"
    return f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {source};"  # noqa: S608 - printed for a person


def pandas_frame(name: str, paths: list[str]) -> str:
    """Python lines that read some files into one pandas frame."""
    listed = ",\n    ".join(map(repr, paths))
    return (
        f"import pandas\n\n{name}_files = [\n    {listed},\n]\n"
        f"{name} = pandas.concat(\n"
        f"    [pandas.read_parquet(file, partitioning=None) for file in {name}_files], ignore_index=True\n)"
    )


def _as_text(listed: dict[str, Any]) -> str:
    files = "\n".join(f"  {path}" for path in listed["files"])
    return (
        f"{listed['name']}: {listed['rows']} rows\n{files}\n\n"
        f"DuckDB:\n\n{_indented(listed['duckdb'])}\n\npandas:\n\n{_indented(listed['pandas'])}"
    )


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.splitlines())
