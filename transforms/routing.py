"""Which contract a record belongs to: found cheaply, so that records can be decoded in groups.

The route is a guess that decoding confirms: the decoder of a shape refuses a record whose event type is not
one of the shape's own, so a wrong guess costs time, never a wrong classification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.contract import ContractSet, EventShape
from schemas.decoder import MAX_DEPTH
from schemas.strict_json import RecordFault, parse_strict

_EVENT_FIRST = b'{"event":"'
_CONTEXT_FIRST = b'{"specversion":"1.0",'
_TYPE_MARK = b'"type":"'

_USUAL_TYPE_AT = {"cofferdam": ("type",), "zoom": ("event",), "zoom_rtms": ("msg_type",)}
_CLOUD_EVENT_MARK = ("specversion",)

AUTO = "auto"
UNKNOWN_TYPE = "UNKNOWN_TYPE"
NOT_AN_EVENT = "NOT_AN_EVENT"


class _Marks(msgspec.Struct, gc=False):
    """The keys that tell the sources apart, each as its JSON text."""

    specversion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    event: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    msg_type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_marks = msgspec.json.Decoder(_Marks).decode
_scalar = msgspec.json.Decoder(str | int).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


@dataclass
class Routes:
    """Records of a block by the shape that should decode them.

    Attributes:
        groups: Shapes with the indexes of their records.
        unknown: Indexes of records that no contract claims, malformed ones among them.
    """

    groups: list[tuple[EventShape, list[int]]] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)


class Router:
    """Finds the shape of each record.

    Args:
        contracts: The contracts of the run.
        source: A source's name, or "auto" to tell sources apart by their marks.
    """

    def __init__(self, contracts: ContractSet, source: str = AUTO) -> None:
        self._source = source
        taken = {key: shape for key, shape in contracts.by_event.items() if source in (AUTO, key[0])}
        self._own = {(shape.type_at, key[1]): shape for key, shape in taken.items() if _has_own_form(shape)}
        self._own_paths = sorted({path for path, _ in self._own})
        taken = {key: shape for key, shape in taken.items() if shape.type_at == _USUAL_TYPE_AT[key[0]]}
        self._shapes = taken
        self._leading = {
            _EVENT_FIRST + event.encode(): shape for (name, event), shape in taken.items() if name == "zoom"
        }
        self._typed = {event.encode(): shape for (name, event), shape in taken.items() if name == "cofferdam"}

    def route(self, records: Sequence[bytes]) -> Routes:
        """Group records by shape."""
        routes = Routes()
        groups: dict[int, list[int]] = {}
        shapes: dict[int, EventShape] = {}
        # The longest run of equal starts is one look-up: everything up to the quote that ends the type.
        starts = [record.partition(b'",')[0] for record in records]
        for index, start in enumerate(starts):
            shape = self._leading.get(start) or self._otherwise(records[index])
            if shape is None:
                routes.unknown.append(index)
            elif (number := id(shape)) in groups:
                groups[number].append(index)
            else:
                groups[number], shapes[number] = [index], shape
        routes.groups = [(shapes[number], indexes) for number, indexes in groups.items()]
        return routes

    def _otherwise(self, record: bytes) -> EventShape | None:
        if record.startswith(_CONTEXT_FIRST):
            before, _, rest = record.partition(_TYPE_MARK)
            # No other brace and no escape before it: the key is one of the event's own, not of what it holds.
            if before.find(b"{", 1) < 0 and b"\\" not in before:
                shape = self._typed.get(rest.partition(b'"')[0])
                if shape is not None:
                    return shape
        return self._by_marks(record)

    def why_unknown(self, record: bytes) -> str:
        """Reason code of a record that no contract claims: not strict JSON, no event, or an unknown type."""
        try:
            value = parse_strict(record, max_depth=MAX_DEPTH)
        except RecordFault as fault:
            return fault.code
        return UNKNOWN_TYPE if value.kind == "object" else NOT_AN_EVENT

    def named_type(self, record: bytes) -> tuple[str, str] | None:
        """Source and event type as a record names them, None where it names none; both are its own words."""
        try:
            source, mark = self._source_of(_marks(record))
            return None if mark is msgspec.UNSET else (source, str(_scalar(mark)))
        except _UNREADABLE:
            return None

    def _by_marks(self, record: bytes) -> EventShape | None:
        """The shape named by the source's type key, or by a contract's own; None where nothing claims it."""
        named = self.named_type(record)
        shape = None if named is None else self._shapes.get(named)
        return shape or self._by_own_form(record)

    def _by_own_form(self, record: bytes) -> EventShape | None:
        """The first shape whose contract alone says where such a record names its type."""
        for path in self._own_paths:
            try:
                value = msgspec.Raw(record)
                for key in path:
                    value = _members(value)[key]
                shape = self._own.get((path, str(_scalar(value))))
            except (*_UNREADABLE, KeyError):
                continue
            if shape is not None:
                return shape
        return None

    def _source_of(self, marks: _Marks) -> tuple[str, msgspec.Raw | msgspec.UnsetType]:
        named = {"cofferdam": marks.type, "zoom": marks.event, "zoom_rtms": marks.msg_type}
        if self._source != AUTO:
            return self._source, named[self._source]
        if marks.specversion is not msgspec.UNSET:
            return "cofferdam", marks.type
        # Some RTMS messages have an object named `event`; a webhook's event is a string.
        if marks.event is not msgspec.UNSET and bytes(marks.event).startswith(b'"'):
            return "zoom", marks.event
        return "zoom_rtms", marks.msg_type


def _has_own_form(shape: EventShape) -> bool:
    """Whether only the contract tells a shape's events: no CloudEvents, or with their type elsewhere."""
    if shape.type_at != _USUAL_TYPE_AT[shape.source]:
        return True
    return shape.source == "cofferdam" and all(entry.path != _CLOUD_EVENT_MARK for entry in shape.fields)
