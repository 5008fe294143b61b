"""Tables of a store to BigQuery: one load job a table, from the files that manifests name.

A load makes a table anew (``WRITE_TRUNCATE``), in one step that readers see whole or not at all. So running
it again changes nothing, files that a killed run left are not loaded, and what an erasure or a reprocessing
has taken out of the store is out of the table with the next load. A table that was loaded from the same files
before is passed over: its label says which they were.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from schemas.bigquery import (
    INGESTION_TIME,
    Field,
    cluster_columns,
    described,
    fields_of,
    is_offered,
    partition_column,
    table_name,
)
from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from transforms.store import Store
from transforms.store_reading import check_size

LABEL: Final = "cofferdam-files"
MOST_FILES: Final = 10_000
"""Files of one load job (a quota of the service)."""
_DATASET: Final = re.compile(r"[a-z][a-z0-9.:-]{4,60}\.[A-Za-z0-9_]{1,1024}")
_ABSENT: Final = 404


@dataclass(frozen=True)
class TableLoad:
    """One table to be loaded.

    Attributes:
        table: Its name in the store.
        target: Its name in BigQuery, ``PROJECT.DATASET.TABLE``.
        schema: Its columns, of all its files together.
        uris: Addresses of its files; none, if an erasure has left nothing of it.
        rows: Rows in them.
        digest: Digest of the files, by which a load that is not needed is known.
    """

    table: str
    target: str
    schema: pa.Schema
    uris: tuple[str, ...]
    rows: int
    digest: str


def plan_loads(store: Store, dataset: str, tables: Iterable[str] = ()) -> list[TableLoad]:
    """What is to be loaded from a store.

    Args:
        store: The store; its files must be where BigQuery can read them.
        dataset: ``PROJECT.DATASET``.
        tables: Only these tables; all that go to BigQuery, if empty.

    Raises:
        ConfigurationError: The store is not on Cloud Storage (``BIGQUERY_LOCAL_STORE``), the dataset is not
            named as one (``BIGQUERY_DATASET``), or a table is none of those that go there
            (``BIGQUERY_TABLE``).
        InfrastructureFault: A file is not there as its manifest says, or a table has too many files for one
            job (``BIGQUERY_TOO_MANY_FILES``).
    """
    if not store.root.startswith("gs://"):
        raise ConfigurationError(
            "BIGQUERY_LOCAL_STORE",
            "BigQuery loads from Cloud Storage; copy the store to gs:// and name it so",
        )
    if not _DATASET.fullmatch(dataset):
        raise ConfigurationError("BIGQUERY_DATASET", "name the dataset as PROJECT.DATASET")
    return [_plan(store, dataset, table) for table in chosen_tables(store, tables)]


def chosen_tables(store: Store, tables: Iterable[str] = ()) -> list[str]:
    """Those of a store's tables that go to BigQuery, or of these; also tables that have no rows any more.

    Raises:
        ConfigurationError: One of them does not, or the store has none of its name (``BIGQUERY_TABLE``).
    """
    ever = {record.table for manifest in store.snapshot.manifests for record in manifest.adds}
    offered = [table for table in sorted(ever) if is_offered(table)]
    if unknown := sorted(set(tables) - set(offered)):
        raise ConfigurationError(
            "BIGQUERY_TABLE",
            f"{', '.join(unknown)}: not a table of this store that goes to BigQuery; only telemetry, "
            "decisions and the ledger do",
        )
    return [table for table in offered if table in set(tables)] if tables else offered


def _plan(store: Store, dataset: str, table: str) -> TableLoad:
    records = store.files(table)
    if len(records) > MOST_FILES:
        raise InfrastructureFault(
            "BIGQUERY_TOO_MANY_FILES",
            f"{table} has {len(records)} files, one load takes {MOST_FILES}; load the others with --table",
        )
    for record in records:
        check_size(store.files_of_store, record)
    schema = store.schema(table) if records else pa.schema([])
    digest = hashlib.sha256("\n".join(sorted(record.sha256 for record in records)).encode())
    return TableLoad(
        table=table,
        target=f"{dataset}.{table_name(table)}",
        schema=schema,
        uris=tuple(f"{store.root}/{record.path}" for record in records),
        rows=sum(record.rows for record in records),
        digest=digest.hexdigest()[:32],
    )


def connect(dataset: str) -> Any:
    """A client of BigQuery, with the credentials of the environment.

    Raises:
        ConfigurationError: The client library is not installed (``BIGQUERY_NO_CLIENT``).
        InfrastructureFault: There are no credentials (``BIGQUERY_FAILED``).
    """
    try:
        from google.cloud import bigquery
    except ImportError:
        raise ConfigurationError(
            "BIGQUERY_NO_CLIENT",
            "the client of BigQuery is not installed; run `pip install 'cofferdam[gcp]'`",
        ) from None
    with faults("BigQuery"):
        return bigquery.Client(project=dataset.split(".")[0])


@contextmanager
def faults(what: str) -> Iterator[None]:
    """Turn the library's errors, which quote values that do not fit, into ours."""
    try:
        yield
    except CofferdamError:
        raise
    except Exception as error:
        raise InfrastructureFault(
            "BIGQUERY_FAILED",
            f"{what} could not be loaded or asked ({type(error).__name__}); check the account's rights, then "
            "run again. What was loaded before is as it was",
        ) from None


def load(client: Any, plan: TableLoad) -> bool:
    """Make a table of BigQuery anew from its files; one that has none any more is deleted.

    Returns:
        Whether anything was changed; not, where the same files were loaded the last time.

    Raises:
        InfrastructureFault: The service refuses or does not answer (``BIGQUERY_FAILED``), or the table has
            other rows than the files (``BIGQUERY_ROWS``).
    """
    with faults(plan.table):
        if not plan.uris:
            client.delete_table(plan.target, not_found_ok=True)
            return True
        if _is_loaded(client, plan):
            return False
        job = client.load_table_from_uri(list(plan.uris), plan.target, job_config=_job_config(plan))
        job.result()
    if job.output_rows != plan.rows:
        raise InfrastructureFault(
            "BIGQUERY_ROWS",
            f"{plan.table} has {plan.rows} rows, BigQuery has loaded {job.output_rows}; load it again",
        )
    with faults(plan.table):
        made = client.get_table(plan.target)
        made.labels, made.description = {LABEL: plan.digest}, described(plan.table)
        client.update_table(made, ["labels", "description"])
    return True


def _is_loaded(client: Any, plan: TableLoad) -> bool:
    try:
        return client.get_table(plan.target).labels.get(LABEL) == plan.digest
    except Exception as error:
        if getattr(error, "code", None) != _ABSENT:
            raise
        return False


def _job_config(plan: TableLoad) -> Any:
    from google.cloud import bigquery

    options = bigquery.ParquetOptions()
    options.enable_list_inference = True  # else a list becomes a struct of a list of structs
    partition = partition_column(plan.schema)
    return bigquery.LoadJobConfig(
        source_format=bigquery.SourceFormat.PARQUET,
        parquet_options=options,
        schema=[_schema_field(field) for field in fields_of(plan.schema)],
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
        time_partitioning=bigquery.TimePartitioning(
            type_=bigquery.TimePartitioningType.DAY, field=None if partition == INGESTION_TIME else partition
        ),
        clustering_fields=cluster_columns(plan.schema),
    )


def _schema_field(field: Field) -> Any:
    from google.cloud import bigquery

    return bigquery.SchemaField(
        field["name"],
        field["type"],
        mode=field["mode"],
        description=field.get("description"),
        fields=[_schema_field(child) for child in field.get("fields", ())],
    )
