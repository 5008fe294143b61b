"""Decisions that concern a person, told so that they say nothing of anybody else (GDPR article 15(4)).

A decision about a meeting rests on the records of all who were there. The person sees what was decided, the
reasons that are theirs or nobody's (such as a roster that is not complete), and that there are reasons of
others; not which. Where what was decided would give those away, it says no more than that use was held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, DECISION_TELEMETRY
from transforms.erase_search import StoreSearch
from transforms.subject_rows import OwnRows
from transforms.subject_search import Section
from transforms.telemetry_exports import scopes_of
from validation.decisions import RELEASE
from validation.reasons import CATALOGUE

HELD: Final = "HELD"
"""What stands for a decision whose reasons are those of others."""

OF_OTHERS: Final = "OF_OTHERS"
"""What stands for the reasons of others."""

_OF_NOBODY: Final = frozenset(
    (
        *("CAPTURE_NOT_CONSENTED", "E2EE_CLAIM_VIOLATION", "SCHEMA_INVALID", "LEGAL_HOLD"),
        *("RETENTION_EXCEEDED", "CLASS_UNKNOWN", "FIELD_NOT_ALLOWLISTED", "LINEAGE_UNKNOWN"),
        *("PURPOSE_UNKNOWN", "CASE_NOT_AUTHORISED", "TENANT_NOT_AUTHORISED", "TRANSFER_NOT_COVERED"),
        *("SECTOR_FERPA", "SECTOR_HIPAA", "NO_SUBJECTS", "PARTICIPANT_UNIDENTIFIED", "ROSTER_INCOMPLETE"),
    )
)
"""Reasons that say something of an item, a meeting or a customer, and of no person. The list is closed: a
reason that is not in it is told to a person only if it is their own."""

_KEPT: Final = ("run_id", "stage", "decision_id", "meeting_join", "kind", "purpose", "recipient", "as_of")
_TELEMETRY: Final = ("run_id", "decision_id", "table", "meeting", "kind", "purpose", "recipient", "as_of")
_HASHES: Final = ("policy_hash", "suite_hash", "registry_hash")


class Decisions:
    """The decisions of a store, as far as they concern a person.

    Args:
        search: The store.
        keys: What decisions call the person.
        own_items: Ids of what they have sent.
        meetings: Meetings that they were in or sent something in, under the join key.
        own_records: Ids of their consent records.
    """

    def __init__(
        self,
        search: StoreSearch,
        keys: frozenset[str],
        own_items: frozenset[str],
        meetings: frozenset[str],
        own_records: frozenset[str],
    ) -> None:
        self._store, self._keys, self._records = search.store, keys, own_records
        self._meetings = meetings
        self._items = self._items_by_class(own_items)

    def about_content(self) -> Section:
        """Decisions about content."""
        rows = sorted(self._classes(), key=lambda row: (row["run_id"], row["decision_id"], row["stage"]))
        about = (
            "What was decided about content that the person sent, and about content of meetings that they "
            "were in. `items` names what is theirs. Reasons of others are not told, only that there are some."
        )
        return Section("decisions", "Decisions about content", about, rows)

    def about_telemetry(self, rows: OwnRows) -> Section:
        """Decisions about telemetry of the person's meetings."""
        about = (
            "Whether telemetry of the person's meetings may be used for a purpose. A meeting is decided "
            "for all who were there together, so reasons are not told."
        )
        found = sorted(self._telemetry(rows), key=lambda row: (row["run_id"], row["table"]))
        return Section("telemetry_decisions", "Decisions about telemetry", about, found)

    def _items_by_class(self, own: frozenset[str]) -> dict[tuple[str, str, str], list[str]]:
        found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        if own and DECISION_ITEMS in self._store.tables():
            columns = ["run_id", "stage", "decision_id", "item_id"]
            where = _among("item_id", own)
            for batch in self._store.scan(DECISION_ITEMS, columns, where):
                for row in batch.to_pylist():
                    found[row["run_id"], row["stage"], row["decision_id"]].append(row["item_id"])
        return found

    def _classes(self) -> Iterator[dict[str, Any]]:
        if DECISION_CLASSES not in self._store.tables():
            return
        decided = {decision for _, _, decision in self._items}
        where = _among("meeting_join", self._meetings) | _among("decision_id", decided)
        for batch in self._store.scan(DECISION_CLASSES, where=where):
            for row in batch.to_pylist():
                yield self._told(row)

    def _told(self, row: Mapping[str, Any]) -> dict[str, Any]:
        released = row["decision"] == RELEASE
        may_be_told = _OF_NOBODY | self._own_reasons(row["outcomes"] or ())
        reasons = [code for code in row["reasons"] or () if code in may_be_told]
        told = released or row["primary"] in may_be_told
        key = (row["run_id"], row["stage"], row["decision_id"])
        return {
            **{name: row[name] for name in (*_KEPT, *_HASHES)},
            "items": sorted(self._items.get(key, ())),
            "decision": row["decision"] if told else HELD,
            "primary": row["primary"] if told else OF_OTHERS,
            "reasons": [_explained(code) for code in reasons],
            "reasons_of_others": len(reasons) < len(row["reasons"] or ()),
            "own_records": [each for each in row["record_ids"] or () if each in self._records],
        }

    def _own_reasons(self, outcomes: Iterable[Mapping[str, Any]]) -> set[str]:
        own = (each for each in outcomes if self._keys.intersection(each["persons"] or ()))
        return {code for each in own for code in each["reasons"] or ()}

    def _telemetry(self, rows: OwnRows) -> Iterator[dict[str, Any]]:
        if DECISION_TELEMETRY not in self._store.tables():
            return
        scopes = {table: scopes_of(found) for table, found in rows.tables.items()}
        where = _among("table", scopes)
        for batch in self._store.scan(DECISION_TELEMETRY, [*_TELEMETRY, "tenant", "decision"], where):
            for row in batch.to_pylist():
                if (row["tenant"], row["meeting"]) in scopes[row["table"]]:
                    decision = RELEASE if row["decision"] == RELEASE else HELD
                    yield {**{name: row[name] for name in _TELEMETRY}, "decision": decision}


def _among(column: str, values: Iterable[str]) -> pc.Expression:
    return pc.field(column).isin(pa.array(sorted(values), pa.string()))


def _explained(code: str) -> dict[str, str]:
    reason = CATALOGUE[code]
    return {"code": code, "sentence": reason.sentence, "law": reason.hook, "cure": reason.cure}


__all__ = ["HELD", "OF_OTHERS", "Decisions"]
