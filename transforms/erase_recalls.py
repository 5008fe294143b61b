"""Recalls: which exports had used what is erased, so that whoever received them deletes it, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_EXPORTS, FIXED_TABLES, RECALLS, RELEASED
from transforms import store_reading
from transforms.erase_plan import ErasurePlan
from transforms.erase_reach import DECLARED_DUE, ERASURE_REQUESTED, WITHDRAWN, is_in
from transforms.erase_reach import Scope as Places
from transforms.erase_rows import Edit, edited, needed_columns
from transforms.store import Store
from transforms.telemetry_exports import KIND, Scope, exports_of

COPIES: Final = "copies"
"""Key of an erasure's facts: for each rewritten file of released copies, the one that it replaced."""


class _Copy(NamedTuple):
    """What copies of one export have in common."""

    file: str
    purpose: str
    recipient: str
    kind: str
    reason: str


def recall_rows(store: Store, plan: ErasurePlan, run_id: str, as_of: datetime) -> pa.Table:
    """Rows of the table of recalls: one for each export, kind and reason.

    Args:
        store: The store before the erasure.
        plan: The erasure.
        run_id: Its run.
        as_of: Its instant.
    """
    exports = _exports(store)
    copies = replaced_copies(store)
    grouped: dict[tuple[str, str, str, str, str], dict[str, set[str]]] = defaultdict(
        lambda: {"item_ids": set(), "files": set()}
    )
    for copy, item in _copies(store, plan):
        origin = _origin(copy.file, copies)
        found = grouped[exports.get(origin, ""), copy.purpose, copy.recipient, copy.kind, copy.reason]
        found["item_ids"].add(item)
        found["files"].add(origin)
    for export, reason, events in telemetry_recalls(store, plan):
        found = grouped[export["run_id"], export["purpose"], export["recipient"], KIND, reason]
        found["item_ids"].update(events)
        found["files"].add(export["file"])
    names = ("export_run_id", "purpose", "recipient", "kind", "reason")
    rows = [
        {
            "run_id": run_id,
            "as_of": as_of,
            **dict(zip(names, key, strict=True)),
            **{name: sorted(values) for name, values in found.items()},
        }
        for key, found in sorted(grouped.items())
    ]
    return pa.Table.from_pylist(rows, schema=FIXED_TABLES[RECALLS])


def _copies(store: Store, plan: ErasurePlan) -> Iterator[tuple[_Copy, str]]:
    reasons = {each.item_id: each.reason for each in plan.destroyed}
    columns = ["item_id", "purpose", "recipient", "kind"]
    for edit in plan.edits_of(RELEASED):
        record = store.snapshot.live[edit.path]
        for batch in store.scan(RELEASED, columns, records=[record]):
            rows = pa.Table.from_batches([batch])
            names = pc.binary_join_element_wise(rows.column("item_id"), rows.column("purpose"), "|")
            for row in rows.filter(pa.array(is_in(names, edit.released))).to_pylist():
                item = row.pop("item_id")
                reason = reasons.get(item) or plan.copies.get((item, row["purpose"]), WITHDRAWN)
                yield _Copy(file=edit.path, reason=reason, **row), item


# --- telemetry that was taken out ---------------------------------------------------------------------------


def telemetry_recalls(store: Store, plan: ErasurePlan) -> Iterator[tuple[Mapping[str, Any], str, set[str]]]:
    """Exports of telemetry that can hold rows which go: a row of the export, the reason, ids of events.

    Which rows an export held follows from the meetings that it was let to hold. One that came into such a
    meeting later is named, too: nobody is harmed by a recall of what is not there.

    Args:
        store: The store before the erasure.
        plan: The erasure.
    """
    exports = list(exports_of(store))
    tables = {export["table"] for export, _ in exports}
    for edit in plan.edits if exports else ():
        if edit.table not in tables:
            continue
        for (scope, reason), events in _going(store, edit).items():
            for export, scopes in exports:
                if export["table"] == edit.table and scope in scopes:
                    yield export, reason, events


def _going(store: Store, edit: Edit) -> dict[tuple[Scope, str], set[str]]:
    """Events whose rows go from a file of telemetry, or lose a name, by meeting and reason."""
    record = store.snapshot.live[edit.path]
    schema = store_reading.schema_of(store.files_of_store, record.table, [record])
    of_people = replace(edit, space=replace(edit.space, gone=Places()))
    found: dict[tuple[Scope, str], set[str]] = defaultdict(set)
    for batch in store.scan(record.table, needed_columns(record.table, schema), records=[record]):
        rows = pa.Table.from_batches([batch])
        asked = set(edited(of_people, rows).events)
        for row in rows.filter(
            pa.array(is_in(rows.column("event_id"), edited(edit, rows).events))
        ).to_pylist():
            reason = ERASURE_REQUESTED if row["event_id"] in asked else DECLARED_DUE
            found[(row["tenant"], row["meeting"]), reason].add(row["event_id"])
    return found


def released_by(store: Store) -> Callable[[str], str]:
    """Tells the run that released a file of copies, whatever erasures have left of it; empty if unknown."""
    exports, copies = _exports(store), replaced_copies(store)
    return lambda path: exports.get(_origin(path, copies), "")


def _exports(store: Store) -> dict[str, str]:
    """The run that released each file, from the exports' lineage."""
    rows = store.read_table(DECISION_EXPORTS, ["run_id", "files"]).to_pylist()
    return {file["path"]: row["run_id"] for row in rows for file in row["files"] or ()}


def replaced_copies(store: Store) -> dict[str, str]:
    """For each file of copies that an erasure wrote, the file that it took the place of."""
    found: dict[str, str] = {}
    for manifest in store.snapshot.manifests:
        copies = manifest.facts.get(COPIES)
        found |= copies if isinstance(copies, Mapping) else {}
    return found


def _origin(path: str, copies: Mapping[str, Any]) -> str:
    """The file that was released, of which this one is what erasures have left."""
    while path in copies:
        path = copies[path]
    return path
