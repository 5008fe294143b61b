"""Open what a person has sent, for that person: by a signed decision, on record, and theirs alone.

What may be opened is settled before anything is: of each item the fields that `schemas.own_content` lists for
the event that it came from. An item without such a field, of an event that is not known, or of a contract of
another version than the ones at hand is named and stays closed.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.classification import IDENTITY_KIND
from schemas.contract import ContractSet
from schemas.own_content import own_fields
from schemas.tables import QUARANTINE_BLOBS, QUARANTINE_KEYS
from transforms.audit_entries import encode
from transforms.chunked_encryption import SealBroken
from transforms.keys import ReleaseKeys
from transforms.opening_warrants import FOR_EXPORT, Ground, Warrant, WarrantedOpener, issue_warrant
from transforms.sealed_format import COVERS_BUNDLE, HOLDS_ITEMS, BlobRow, KeyRow
from transforms.sealing import unframe_parts
from transforms.store import Store
from transforms.subject_items import EVENT_DIGITS, OwnBlob, OwnItems
from transforms.subject_rows import OwnRows
from transforms.subject_search import Found, Section

NOT_ALONE: Final = "NOT_THEIRS_ALONE"
"""Others may be in it, so it is named and not opened."""

NOT_KNOWN: Final = "EVENT_NOT_KNOWN"
"""The event or its contract is not at hand, so nobody can tell whose it is."""

_PLACE: Final = re.compile(r"(\[[0-9]+\])+$")
_DECISION_DIGITS: Final = 32


class Event(NamedTuple):
    """What an item came from."""

    source: str
    event_type: str
    contract: str


@dataclass
class OpeningPlan:
    """What is opened for a person, settled before anything is.

    Attributes:
        fields: Fields of each item that are the person's alone, by item id.
        blobs: Blobs that hold such an item.
        closed: Why the others stay closed, by item id.
        about: Kind and event of every item of theirs, None where it is not known, by item id.
    """

    fields: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    blobs: list[OwnBlob] = field(default_factory=list, repr=False)
    closed: dict[str, str] = field(default_factory=dict, repr=False)
    about: dict[str, tuple[str, Event | None]] = field(default_factory=dict, repr=False)


def plan_openings(contracts: ContractSet, items: OwnItems, telemetry: OwnRows) -> OpeningPlan:
    """Settle what may be opened.

    Args:
        contracts: The contracts at hand.
        items: What the person has sent.
        telemetry: Rows about the person, which tell the events of names and addresses.
    """
    plan, events = OpeningPlan(), _events_of(telemetry)
    known = {row["item_id"]: Event(row["source"], row["event_type"], row["contract"]) for row in items.rows}
    for blob in items.blobs:
        for item in blob.item_ids:
            event = known.get(item)
            if event is None and blob.kind == IDENTITY_KIND:
                event = events.get(item[:EVENT_DIGITS])
            plan.about[item] = (blob.kind, event)
            fields = _fields_of(contracts, blob, event)
            if fields:
                plan.fields[item] = fields
            else:
                plan.closed[item] = NOT_KNOWN if fields is None else NOT_ALONE
        if not plan.fields.keys().isdisjoint(blob.item_ids):
            plan.blobs.append(blob)
    return plan


def _events_of(telemetry: OwnRows) -> dict[str, Event]:
    """The events that the person is the participant of, by what their items' ids begin with."""
    found: dict[str, Event] = {}
    for rows in telemetry.tables.values():
        theirs = rows.filter(pc.is_valid(rows.column("participant")))
        for row in theirs.select(["event_id", "source", "event_type", "contract"]).to_pylist():
            if (event_id := row.pop("event_id")) is not None:
                found[event_id[:EVENT_DIGITS]] = Event(**row)
    return found


def _fields_of(contracts: ContractSet, blob: OwnBlob, event: Event | None) -> frozenset[str] | None:
    """Fields of an event that are its sender's alone; None if the event is not known."""
    if event is None or event.contract != blob.contract:
        return None
    shape = contracts.by_event.get((event.source, event.event_type))
    if shape is None or shape.contract_label != blob.contract:
        return None
    own = own_fields(shape, event.event_type)
    kinds = {each.dotted: each.kind for each in shape.fields if each.kind_by is None}
    return frozenset(name for name in own if kinds.get(name) == blob.kind)


def sealed_section(plan: OpeningPlan, items: OwnItems, unopened: Mapping[str, str]) -> Section:
    """Every sealed item that a person has sent, opened or not.

    Args:
        plan: What was to be opened.
        items: What the person has sent.
        unopened: Code of each item that did not open, by item id.
    """
    rows = {row["item_id"]: row for row in items.rows}
    told = []
    for item, (kind, event) in sorted(plan.about.items()):
        row = rows.get(item, {})
        why = unopened.get(item) or plan.closed.get(item)
        told.append(
            {
                "item_id": item,
                "kind": kind,
                "opened": why is None,
                "why_not": why,
                "source": event and event.source,
                "event_type": event and event.event_type,
                **{name: row.get(name) for name in ("meeting_join", "event_time", "region", "size_class")},
            }
        )
    about = (
        "Everything sealed that the person has sent. What is theirs alone was opened and lies in `content/`; "
        "the rest is named: NOT_THEIRS_ALONE means that others may be in it, EVENT_NOT_KNOWN that nobody "
        "can tell, and a code beginning with SEAL that it could not be opened."
    )
    return Section("items", "Sealed content of the person", about, told)


def order_digest(run_id: str, as_of: str, found: Found, plan: OpeningPlan) -> str:
    """The decision that openings rest on: a digest of what was ordered, for whom and about which items."""
    order = {
        "run_id": run_id,
        "as_of": as_of,
        "subject": sorted(found.reach.join.people),
        "items": sorted(plan.fields),
    }
    return hashlib.sha256(encode(order)).hexdigest()[:_DECISION_DIGITS]


class ContentOpener:
    """Opens a plan's items; what does not open is named and hinders nothing else.

    Args:
        store: The store.
        keys: The release side's keys.
        ground: What for.
        plan: What may be opened.
    """

    def __init__(self, store: Store, keys: ReleaseKeys, ground: Ground, plan: OpeningPlan) -> None:
        self._store, self._keys, self._ground, self._plan = store, keys, ground, plan
        self.unopened: dict[str, str] = {}
        self.opened = 0
        self._opener = WarrantedOpener(keys, _key_rows(store, plan.blobs))

    def kinds(self) -> list[str]:
        """Kinds of what may be opened."""
        return sorted({blob.kind for blob in self._plan.blobs})

    def lines(self, kind: str) -> Iterator[bytes]:
        """The opened items of a kind, each as one line of JSON."""
        by_path: dict[str, dict[tuple[bytes, int], OwnBlob]] = defaultdict(dict)
        for blob in self._plan.blobs:
            if blob.kind == kind:
                by_path[blob.path][blob.key_id, blob.part] = blob
        for path, wanted in sorted(by_path.items()):
            yield from self._file(path, wanted)

    def take_rows(self) -> pa.Table:
        """Rows for the table of openings."""
        return self._opener.take_rows()

    def close(self) -> None:
        """Forget the unwrapped keys."""
        self._opener.close()

    def _file(self, path: str, wanted: dict[tuple[bytes, int], OwnBlob]) -> Iterator[bytes]:
        record = self._store.snapshot.live[path]
        keys = pa.array(sorted({key for key, _ in wanted}), pa.binary(16))
        where = pc.field("key_id").isin(keys)
        for batch in self._store.scan(QUARANTINE_BLOBS, where=where, records=[record]):
            for row in batch.to_pylist():
                own = wanted.pop((row["key_id"], row["part"]), None)
                if own is not None:
                    yield from self._open(BlobRow(**row), own)

    def _open(self, blob: BlobRow, own: OwnBlob) -> Iterator[bytes]:
        wanted = [item for item in own.item_ids if item in self._plan.fields]
        try:
            items = self._opener.open_blob(blob, [self._warrant(own, wanted)])
        except SealBroken as error:
            self.unopened |= dict.fromkeys(wanted, error.code)
            return
        for item in items:
            name = item.item_id.hex()
            try:
                line = _line(name, self._plan, unframe_parts(item.framed))
            except SealBroken as error:
                self.unopened[name] = error.code
                continue
            if line is not None:
                self.opened += 1
                yield line

    def _warrant(self, own: OwnBlob, wanted: Sequence[str]) -> Warrant:
        ids = [bytes.fromhex(item) for item in wanted]
        return issue_warrant(self._keys.log_signing_key, self._ground, own.key_id, own.part, ids)


def export_ground(run_id: str, decision_id: str) -> Ground:
    """What the openings of an export are for."""
    return Ground(run_id, FOR_EXPORT, decision_id)


def _key_rows(store: Store, blobs: Sequence[OwnBlob]) -> list[KeyRow]:
    data = _keys_of(store, {blob.key_id for blob in blobs})
    wrapping = _keys_of(store, {row.wrapping_key_id for row in data})
    return [*data, *(row for row in wrapping if row.covers == COVERS_BUNDLE)]


def _keys_of(store: Store, ids: set[bytes]) -> list[KeyRow]:
    if not ids:
        return []
    where = pc.field("key_id").isin(pa.array(sorted(ids), pa.binary(16)))
    rows = store.read_table(QUARANTINE_KEYS, where=where).to_pylist()
    return [KeyRow(**row) for row in rows if row["holds"] == HOLDS_ITEMS]


def _line(item: str, plan: OpeningPlan, parts: Sequence[tuple[str, bytes]]) -> bytes | None:
    """An item as a line of JSON, with the fields that are the person's alone; None if it has none."""
    allowed = plan.fields[item]
    own = [(name, value) for name, value in parts if _PLACE.sub("", name) in allowed]
    if not own:
        return None
    kind, event = plan.about[item]
    said = {
        "item_id": item,
        "kind": kind,
        "source": event and event.source,
        "event_type": event and event.event_type,
        "fields": [{"field": name, "value": _value(value)} for name, value in own],
    }
    return msgspec.json.encode(said)


def _value(raw: bytes) -> msgspec.Raw:
    """A value as it came, on one line: in JSON, line breaks stand between tokens only."""
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return msgspec.Raw(b'{"unreadable":true}')
    return msgspec.Raw(raw.replace(b"\r", b" ").replace(b"\n", b" "))


__all__ = [
    "NOT_ALONE",
    "NOT_KNOWN",
    "ContentOpener",
    "OpeningPlan",
    "export_ground",
    "order_digest",
    "plan_openings",
    "sealed_section",
]
