"""Take telemetry out for a purpose: the rows that the last release decided may go, and no others.

What was decided holds for the records, the registry and the rows that it was decided from. If any of them is
another one now, nothing is taken out until a release has decided again: a withdrawal counts from the moment
that its record is there. What was taken out stays on record, so that an erasure can recall it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.tables import FIXED_TABLES, TELEMETRY_EXPORTS
from transforms.audit_append import append_to_log, resume_log
from transforms.audit_entries import EXPORT, leave_entry, stated
from transforms.audit_facts import audited
from transforms.commit_release import look_again
from transforms.erase_orders import refuse_interrupted
from transforms.keys import ReleaseKeys
from transforms.manifest_seal import seal_of
from transforms.release_rules import ReleaseRequest
from transforms.release_settings import ReleaseSettings
from transforms.store import Store, new_run_id
from transforms.telemetry_exports import Scope, allowed_scopes
from transforms.telemetry_scopes import basis_of, telemetry_tables

LINEAGE_FILE = "lineage.json"


@dataclass(frozen=True)
class Export:
    """What is to be taken out.

    Attributes:
        store: The store's root.
        purpose: The purpose.
        recipient: Who receives it.
        consents: Files and folders of records, as they are now.
        registry: The registry's folder.
        keys: The release side's keys; they sign the log.
    """

    store: str
    purpose: str
    recipient: str
    consents: tuple[str, ...]
    registry: str
    keys: ReleaseKeys


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
        InfrastructureFault: What it was decided from has changed (``TELEMETRY_DECISION_STALE``), an erasure
            is not finished (``ERASURE_UNFINISHED``), or files cannot be read or written.
        PromiseBroken: The audit log is not what it was.
    """
    if output.exists() or output.is_symlink():
        raise ConfigurationError("OUTPUT_EXISTS", f"{output} exists; name a new folder, none is overwritten")
    run_id = new_run_id(datetime.now(UTC))
    with Store.open(export.store, seal_of(export.keys)).writing(run_id) as store:
        refuse_interrupted(store.files_of_store, export.keys)
        ledger = last_decision(store, export)
        _check_current(store, ledger, export)
        resume_log(export.store, export.keys)  # of a run that was killed; refuses a log that was changed
        _log_beginning(store, export, run_id, ledger)
        return _taken_out(store, export, run_id, ledger, output)


def _log_beginning(store: Store, export: Export, run_id: str, ledger: Mapping[str, Any]) -> None:
    """Leave an entry before anything is written: an export that is killed has been logged all the same."""
    begun = {
        "type": EXPORT,
        "state": "begun",
        "run_id": run_id,
        "decided_by": ledger["run_id"],
        "purpose": export.purpose,
        "recipient": export.recipient,
        "as_of": ledger["as_of"],
    }
    leave_entry(store.files_of_store, f"{run_id}-export", begun)


def _taken_out(
    store: Store, export: Export, run_id: str, ledger: Mapping[str, Any], output: Path
) -> dict[str, Any]:
    """Write the rows, put on record what goes, and only then give the folder its name."""
    allowed = allowed_scopes(store, ledger["run_id"], export.purpose, export.recipient)
    draft = output.with_name(f".{output.name}.{secrets.token_hex(8)}")
    try:
        draft.mkdir(parents=True)
        tables = [_write(store, table, allowed.get(table, {}), draft) for table in telemetry_tables(store)]
        lineage = _lineage(ledger, export, run_id, tables)
        (draft / LINEAGE_FILE).write_text(json.dumps(lineage, indent=2) + "\n", encoding="utf-8")
        _commit(store, export, run_id, ledger, lineage)
        draft.rename(output)
    except OSError:
        message = f"{output} cannot be written; check that its parent is writable and the disk is not full"
        raise InfrastructureFault("OUTPUT_UNWRITABLE", message) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return lineage


def _commit(
    store: Store, export: Export, run_id: str, ledger: Mapping[str, Any], lineage: Mapping[str, Any]
) -> None:
    rows = list(_export_rows(export, run_id, ledger, lineage))
    adds = []
    if rows:
        with store.writer(run_id, TELEMETRY_EXPORTS) as writer:
            writer.append(pa.Table.from_pylist(rows, schema=FIXED_TABLES[TELEMETRY_EXPORTS]))
            adds = writer.close()
    said = {
        "type": EXPORT,
        "state": "done",
        "run_id": run_id,
        "decided_by": ledger["run_id"],
        "purpose": export.purpose,
        "recipient": export.recipient,
        "rows": lineage["rows"],
    }
    facts = audited({"kind": "telemetry_export", **stated(said)}, store, adds)
    store.commit(run_id, adds, facts)
    append_to_log(None, export.store, export.keys)


def _export_rows(
    export: Export, run_id: str, ledger: Mapping[str, Any], lineage: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    as_of = ReleaseRequest((export.purpose,), export.recipient, ledger["as_of"]).as_of_time
    for table in lineage["tables"]:
        if table["rows"]:
            yield {
                "run_id": run_id,
                "decided_by": ledger["run_id"],
                **{name: lineage[name] for name in ("purpose", "recipient", "policy_hash", "registry_hash")},
                **{name: table[name] for name in ("table", "rows", "file", "sha256", "decisions")},
                "records_seen": ledger["records"]["seen"],
                "as_of": as_of,
            }


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


def _write(store: Store, table: str, allowed: Mapping[Scope, str], folder: Path) -> dict[str, Any]:
    schema, file = store.schema(table), f"{table.rpartition('/')[2]}.parquet"
    given = held = 0
    digest = None
    if allowed:
        with pq.ParquetWriter(folder / file, schema) as writer:
            for rows, stayed in _chosen(store, table, allowed):
                writer.write_table(rows.cast(schema))
                given, held = given + rows.num_rows, held + stayed
        with (folder / file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    else:
        held = sum(record.rows for record in store.files(table))
    written = {"file": file, "sha256": digest} if digest is not None else {}
    return {
        "table": table,
        "rows": given,
        "held": held,
        **written,
        "decisions": sorted(set(allowed.values())),
    }


def _chosen(store: Store, table: str, allowed: Mapping[Scope, str]) -> Iterator[tuple[pa.Table, int]]:
    for batch in store.scan(table):
        rows = pa.Table.from_batches([batch])
        scopes = zip(rows.column("tenant").to_pylist(), rows.column("meeting").to_pylist(), strict=True)
        chosen = rows.filter(pa.array([scope in allowed for scope in scopes], pa.bool_()))
        yield chosen, rows.num_rows - chosen.num_rows


def _lineage(
    ledger: Mapping[str, Any], export: Export, run_id: str, tables: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "export_run_id": run_id,
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
