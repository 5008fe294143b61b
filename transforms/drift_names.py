"""The names behind drift: unknown fields and unknown event types, opened by order for who mends contracts.

A name is content, as whoever sends events can write anything into it. It leaves here for the release side's
screen only; what a run keeps and logs of it are numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from schemas.cells import Path
from schemas.contract import ContractSet
from transforms.chunked_encryption import SealBroken
from transforms.cut_out import json_type
from transforms.keys import ReleaseKeys
from transforms.opening import join_rejected
from transforms.ordered_opening import OpenedKey, OrderedOpener
from transforms.record_digests import RecordDigester
from transforms.reprocess_parts import Part, known_paths, parts_of, place_of, spelt, unknown_key, value_of
from transforms.reprocess_selection import Selection
from transforms.routing import UNKNOWN_TYPE, Router
from transforms.sealed_format import unframe_parts

DISTINCT_NAMES: Final = 10_000
"""Names that are told apart; whoever sends a new one with each event must not fill the memory."""


class UnknownField(NamedTuple):
    """An unknown field: where it stood, its name, the JSON type of its value, and the hash ledgers tell."""

    source: str
    event_type: str
    parent: str
    name: str
    json_type: str
    name_digest: str

    def __repr__(self) -> str:
        return f"<UnknownField {self.name_digest}>"


class UnknownType(NamedTuple):
    """An event type that no contract names, and the source whose key names it."""

    source: str
    event_type: str

    def __repr__(self) -> str:
        return "<UnknownType>"


_Name = TypeVar("_Name", UnknownField, UnknownType)


@dataclass
class Revealed:
    """What is behind the drift of a store.

    Attributes:
        fields: Values by unknown field.
        types: Records by unknown event type.
        beyond: Values and records under more names than are told apart.
        unreadable: Records that name no event type.
    """

    fields: Counter[UnknownField] = field(default_factory=Counter, repr=False)
    types: Counter[UnknownType] = field(default_factory=Counter, repr=False)
    beyond: int = 0
    unreadable: int = 0


class NameReader:
    """Reads names out of what was opened.

    Args:
        selection: What was chosen to be opened.
        contracts: Contracts that tell fields from objects.
        keys: The release side's keys.
    """

    def __init__(self, selection: Selection, contracts: ContractSet, keys: ReleaseKeys) -> None:
        self._selection, self._router = selection, Router(contracts)
        self._digester = RecordDigester(keys.digest_key)
        self._shapes = contracts.by_event
        self._known: dict[str, Mapping[str, Path]] = {}
        self.found = Revealed()

    def read(self, opener: OrderedOpener) -> Iterator[int]:
        """Open everything that was chosen; gives the number of items after each step."""
        for batch in opener.batches():
            for key in batch:
                if key.key_id in self._selection.rejects:
                    self._read_records(key)
                else:
                    self._read_fields(key)
            yield opener.items

    def _read_fields(self, key: OpenedKey) -> None:
        rows = self._selection.rows_of_items(key.key_id)
        for item in key.items:
            row = rows.get(item.item_id.hex())
            if row is None or row["event_id"] in self._selection.erased:
                continue
            for part in parts_of(unframe_parts(item.framed)):
                name = unknown_key(part)
                parent = None if name is None else self._parent(row["source"], row["event_type"], part)
                if name is None or parent is None:
                    continue
                digest = self._digester.name_digest(name.encode("utf-8", "surrogatepass"))
                about = (row["source"] or "-", row["event_type"] or "-", parent, name)
                self._count(self.found.fields, UnknownField(*about, json_type(value_of(part)), digest))

    def _parent(self, source: str, event_type: str, part: Part) -> str | None:
        """The path of the object around an unknown key; None for a key of a known field's own value."""
        shape = self._shapes.get((source, event_type))
        known = {} if shape is None else self._known.setdefault(shape.table, known_paths(shape))
        place = place_of(part, known)
        if place is None or (shape is not None and any(entry.path == place.path for entry in shape.fields)):
            return None
        return spelt(place.path) or "-"

    def _read_records(self, key: OpenedKey) -> None:
        rows = self._selection.rows_of_rejects(key.key_id)
        try:
            records = join_rejected(key.items)
        except SealBroken:
            self.found.unreadable += 1
            return
        for reject_id, raw in records.items():
            row = next(iter(rows[reject_id.hex()].values()))
            if row["reason"] != UNKNOWN_TYPE or reject_id.hex() in self._selection.destroyed:
                continue
            named = self._router.named_type(raw)
            if named is None:
                self.found.unreadable += 1
            else:
                self._count(self.found.types, UnknownType(*named))

    def _count(self, counter: Counter[_Name], name: _Name) -> None:
        if name in counter or len(counter) < DISTINCT_NAMES:
            counter[name] += 1
        else:
            self.found.beyond += 1
