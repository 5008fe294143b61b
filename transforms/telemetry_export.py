"""Take telemetry out for a purpose: the rows that the last release decided may go, and no others.

What was decided holds for the records, the registry and the rows that it was decided from. If any of them is
another one now, nothing is taken out until a release has decided again: a withdrawal counts from the moment
that its record is there.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import DECISION_TELEMETRY
from transforms.commit_release import look_again
from transforms.release_settings import ReleaseSettings
from transforms.store import Store
from transforms.telemetry_scopes import basis_of, telemetry_tables
from validation.decisions import RELEASE

LINEAGE_FILE = "lineage.json"
_Scope = tuple[str | None, str | None]


@dataclass(frozen=True)
class Export:
    """What is to be taken out.

    Attributes:
        store: The store's root.
        purpose: The purpose.
        recipient: Who receives it.
        consents: Files and folders of records, as they are now.
        registry: The registry's folder.
    """

    store: str
    purpose: str
    recipient: str
    consents: tuple[str, ...]
    registry: str


def export_telemetry(export: Export, output: Path) -> dict[str, Any]:
    """Write the rows that may go to a folder of their own, with their lineage; all of it or nothing.

    Args:
        export: What is to be taken out.
        output: A folder that does not exist yet.

    Returns:
        The lineage: what it rests on, and of each table the rows that went and that stayed.

    Raises:
        ConfigurationError: Nothing was decided for this purpose and recipient (``TELEMETRY_NOT_DECIDED``),
            or the folder exists (``OUTPUT_EXISTS``).
        InfrastructureFault: What it was decided from has changed (``TELEMETRY_DECISION_STALE``), or files
            cannot be read or written.
    """
    if output.exists() or output.is_symlink():
        raise ConfigurationError("OUTPUT_EXISTS", f"{output} exists; name a new folder, none is overwritten")
    store = Store.open(export.store)
    ledger = last_decision(store, export)
    _check_current(store, ledger, export)
    allowed = _allowed(store, ledger["run_id"], export)
    draft = output.with_name(f".{output.name}.{secrets.token_hex(8)}")
    try:
        draft.mkdir(parents=True)
        tables = [_write(store, table, allowed.get(table, {}), draft) for table in telemetry_tables(store)]
        lineage = _lineage(ledger, export, tables)
        (draft / LINEAGE_FILE).write_text(json.dumps(lineage, indent=2) + "\n", encoding="utf-8")
        draft.rename(output)
    except OSError:
        message = f"{output} cannot be written; check that its parent is writable and the disk is not full"
        raise InfrastructureFault("OUTPUT_UNWRITABLE", message) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return lineage


def last_decision(store: Store, export: Export) -> dict[str, Any]:
    """The ledger of the last release that was asked for the purpose and recipient.

    Raises:
        ConfigurationError: ``TELEMETRY_NOT_DECIDED``.
    """
    for manifest in reversed(store.snapshot.manifests):
        ledger = manifest.facts.get("ledger", {})
        asked = export.purpose in ledger.get("purposes", ()) and ledger.get("recipient") == export.recipient
        if manifest.facts.get("kind") == "release" and asked and "telemetry" in ledger:
            return dict(ledger)
    message = "no release has decided about telemetry for this purpose and recipient; run `cofferdam release`"
    raise ConfigurationError("TELEMETRY_NOT_DECIDED", message)


def _check_current(store: Store, ledger: Mapping[str, Any], export: Export) -> None:
    settings = ReleaseSettings(
        export.store, ledger["run_id"], store.snapshot.last_digest, export.consents, export.registry
    )
    sighting = look_again(settings, ledger["registry_hash"])
    changed = {
        "the release was overtaken by other records": ledger["telemetry"]["stopped"] is not None,
        "records or registry are not those that it was decided from": sighting.records
        != ledger["records"]["seen"],
        "the store has other rows than were decided about": basis_of(store) != ledger["telemetry"]["basis"],
    }
    for what, is_so in changed.items():
        if is_so:
            message = f"{what}; nothing was taken out, run `cofferdam release` again"
            raise InfrastructureFault("TELEMETRY_DECISION_STALE", message)


def _allowed(store: Store, run_id: str, export: Export) -> dict[str, dict[_Scope, str]]:
    """Of each table the meetings whose rows may go, with the decision that lets them."""
    if DECISION_TELEMETRY not in store.tables():
        return {}
    where = (
        (pc.field("run_id") == run_id)
        & (pc.field("purpose") == export.purpose)
        & (pc.field("recipient") == export.recipient)
    )
    columns = ["table", "tenant", "meeting", "decision", "reasons", "decision_id"]
    allowed: dict[str, dict[_Scope, str]] = defaultdict(dict)
    for row in store.read_table(DECISION_TELEMETRY, columns, where=where).to_pylist():
        if row["decision"] == RELEASE and row["reasons"] == []:
            allowed[row["table"]][row["tenant"], row["meeting"]] = row["decision_id"]
    return allowed


def _write(store: Store, table: str, allowed: Mapping[_Scope, str], folder: Path) -> dict[str, Any]:
    schema, name = store.schema(table), table.rpartition("/")[2]
    given = held = 0
    if allowed:
        with pq.ParquetWriter(folder / f"{name}.parquet", schema) as writer:
            for rows, stayed in _chosen(store, table, allowed):
                writer.write_table(rows.cast(schema))
                given, held = given + rows.num_rows, held + stayed
    else:
        held = sum(record.rows for record in store.files(table))
    return {"table": table, "rows": given, "held": held, "decisions": sorted(set(allowed.values()))}


def _chosen(store: Store, table: str, allowed: Mapping[_Scope, str]) -> Iterator[tuple[pa.Table, int]]:
    for batch in store.scan(table):
        rows = pa.Table.from_batches([batch])
        scopes = zip(rows.column("tenant").to_pylist(), rows.column("meeting").to_pylist(), strict=True)
        chosen = rows.filter(pa.array([scope in allowed for scope in scopes], pa.bool_()))
        yield chosen, rows.num_rows - chosen.num_rows


def _lineage(ledger: Mapping[str, Any], export: Export, tables: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "purpose": export.purpose,
        "recipient": export.recipient,
        "run_id": ledger["run_id"],
        "as_of": ledger["as_of"],
        "policy_hash": ledger["policy_hash"],
        "registry_hash": ledger["registry_hash"],
        "records_seen": ledger["records"]["seen"],
        "test_keys": ledger["records"]["test_keys"] if ledger["records"]["test_keys_allowed"] else [],
        "rows": sum(table["rows"] for table in tables),
        "held": sum(table["held"] for table in tables),
        "tables": tables,
    }
