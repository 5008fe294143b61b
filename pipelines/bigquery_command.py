"""``cofferdam bigquery``: telemetry, decisions and the ledger as tables of BigQuery."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipelines.command_errors import reported
from pipelines.option_types import store_path

_STORE = click.option("--store", required=True, type=store_path, metavar="DIR", help="The store.")
_TABLE = click.option(
    "--table",
    "tables",
    multiple=True,
    help="Only this table, as the store names it; may be given several times.",
)


@click.group()
def bigquery() -> None:
    """Declare and load the tables of a store in BigQuery.

    Telemetry, decisions and the ledger go there; nothing that is sealed, and nothing that was released.
    """


@bigquery.command()
@_STORE
@_TABLE
@click.option(
    "--dataset", default="cofferdam", show_default=True, metavar="NAME", help="DATASET or PROJECT.DATASET."
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON schema of each table instead.")
def schema(store: str | Path, tables: tuple[str, ...], dataset: str, as_json: bool) -> None:
    """Print the statements that make the tables, partitioned by day and clustered by tenant and meeting.

    They are made of the same declarations as the Parquet files, with every column's description, unit and
    lane. `load` makes the tables by itself; this is to look at them, or to make them with rights of your own.

    Exit codes: 0 printed, 2 no such store or table, 3 the store is damaged.
    """
    from schemas.bigquery import cluster_columns, ddl, fields_of, partition_column, table_name
    from transforms.bigquery_load import chosen_tables
    from transforms.store import Store

    with reported():
        opened = Store.open(store)
        chosen = chosen_tables(opened, tables)
        found = {table: opened.schema(table) for table in chosen if opened.files(table)}
        said = {
            table_name(table): {
                "table": table,
                "partition": partition_column(columns),
                "clusters": cluster_columns(columns),
                "fields": fields_of(columns),
            }
            for table, columns in found.items()
        }
        statements = [ddl(dataset, table, columns) for table, columns in found.items()]
    click.echo(json.dumps(said, indent=2) if as_json else "\n\n".join(statements))


@bigquery.command()
@_STORE
@_TABLE
@click.option("--dataset", required=True, metavar="PROJECT.DATASET", help="The dataset; it must be there.")
@click.option("--dry-run", is_flag=True, help="Only say what would be loaded; BigQuery is not asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def load(store: str | Path, tables: tuple[str, ...], dataset: str, dry_run: bool, as_json: bool) -> None:
    """Load the tables of a store on Cloud Storage, each anew from the files that manifests name.

    Load again after each run, and after each erasure: a table in BigQuery has what the store had when it was
    loaded. A table of which the files are the same is passed over.

    Exit codes: 0 loaded, 2 no such store, table or dataset, 3 the store is damaged, or BigQuery refuses.
    """
    from transforms.bigquery_load import connect, plan_loads
    from transforms.bigquery_load import load as load_table
    from transforms.store import Store

    done = []
    with reported():
        plans = plan_loads(Store.open(store), dataset, tables)
        client = None if dry_run else connect(dataset)
        for plan in plans:
            loaded = client is not None and load_table(client, plan)
            done.append(
                {
                    "table": plan.table,
                    "target": plan.target,
                    "files": len(plan.uris),
                    "rows": plan.rows,
                    "loaded": loaded,
                }
            )
            if not as_json:
                what = "would load" if dry_run else "loaded" if loaded else "has already"
                click.echo(f"{plan.target}: {what} {plan.rows:,} rows of {len(plan.uris):,} files")
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "tables": done}, indent=2))
