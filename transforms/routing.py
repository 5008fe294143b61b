"""Which contract a record belongs to: found cheaply, so that records can be decoded in groups.

The route is a guess that decoding confirms: the decoder of a shape refuses a record whose event type is not
one of the shape's own, so a wrong guess costs time, never a wrong classification.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.contract import ContractSet, EventShape
from schemas.decoder import MAX_DEPTH
from schemas.strict_json import RecordFault, parse_strict

_LEADING_EVENT = re.compile(rb'\{"event":"([a-z_.]{1,80})","event_ts"')
_LEADING_CLOUD_EVENT = re.compile(
    rb'\{"specversion":"1\.0","id":"[^"\\]{1,200}","source":"[^"\\]{1,200}","type":"([a-z0-9_.-]{1,120})"'
)
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
        self._shapes = contracts.by_event
        self._leading: dict[bytes, EventShape] = {}
        for (name, event), shape in contracts.by_event.items():
            if source in (AUTO, name) and name in ("zoom", "cofferdam"):
                self._leading[event.encode()] = shape

    def route(self, records: Sequence[bytes]) -> Routes:
        """Group records by shape."""
        routes = Routes()
        by_id: dict[int, list[int]] = {}
        shapes: dict[int, EventShape] = {}
        leading = self._leading
        for index, record in enumerate(records):
            found = _LEADING_EVENT.match(record) or _LEADING_CLOUD_EVENT.match(record)
            shape = leading.get(found.group(1)) if found else None
            if shape is None:
                shape = self._by_marks(record)
            if shape is None:
                routes.unknown.append(index)
                continue
            number = id(shape)
            if number in by_id:
                by_id[number].append(index)
            else:
                by_id[number] = [index]
                shapes[number] = shape
        routes.groups = [(shapes[number], indexes) for number, indexes in by_id.items()]
        return routes

    def why_unknown(self, record: bytes) -> str:
        """Reason code of a record that no contract claims: not strict JSON, no event, or an unknown type."""
        try:
            value = parse_strict(record, max_depth=MAX_DEPTH)
        except RecordFault as fault:
            return fault.code
        return UNKNOWN_TYPE if value.kind == "object" else NOT_AN_EVENT

    def _by_marks(self, record: bytes) -> EventShape | None:
        """The shape named by the source's own type key; None where nothing claims the record."""
        try:
            marks = _marks(record)
            source, mark = self._source_of(marks)
            if mark is msgspec.UNSET:
                return None
            return self._shapes.get((source, str(_scalar(mark))))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return None

    def _source_of(self, marks: _Marks) -> tuple[str, msgspec.Raw | msgspec.UnsetType]:
        named = {"cofferdam": marks.type, "zoom": marks.event, "zoom_rtms": marks.msg_type}
        if self._source != AUTO:
            return self._source, named[self._source]
        if marks.specversion is not msgspec.UNSET:
            return "cofferdam", marks.type
        if marks.event is not msgspec.UNSET:
            return "zoom", marks.event
        return "zoom_rtms", marks.msg_type
