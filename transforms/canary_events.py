"""Events of a reserved tenant with a token in every field that is not service data, made from contracts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from schemas.classification import Protection
from schemas.contract import ArrayNode, ContractSet, EventShape, Field, Node, ObjectNode
from transforms.canary_search import Canaries, Stem
from transforms.reserved_tenant import RESERVED_TENANT
from transforms.routing import AUTO

_A_DAY: Final = "2026-03-01T10:00:00Z"
_SECONDS: Final = 1_772_359_200
_SCALES: Final = {"ms since 1970 UTC": 1000, "s since 1970 UTC": 1}


def canary_events(contracts: ContractSet, stem: Stem, number: int, source: str = AUTO) -> Iterator[bytes]:
    """Events of all types in turn.

    Args:
        contracts: The contracts of the run.
        stem: What all tokens begin with; equal stems give equal events.
        number: How many.
        source: The only source that events may be of, or "auto".
    """
    shapes = [shape for shape in contracts.shapes if source in (AUTO, shape.source)]
    maker, types = _Maker(stem), list(_types(shapes))
    for place in range(number if types else 0):
        yield maker.event(*types[place % len(types)])


def _types(shapes: Sequence[EventShape]) -> Iterator[tuple[EventShape, str]]:
    """Event types, the first of every shape before the second of any."""
    for place in range(max((len(shape.events) for shape in shapes), default=0)):
        yield from ((shape, shape.events[place]) for shape in shapes if place < len(shape.events))


class _Maker:
    """Makes events; no token stands twice."""

    def __init__(self, stem: Stem) -> None:
        self._canaries = Canaries(stem)
        self._strange_key = self._canaries.word()

    def event(self, shape: EventShape, event_type: str) -> bytes:
        event = self._filled(shape, shape.root)
        typed: Any = int(event_type) if shape.source == "zoom_rtms" else event_type
        _put(event, shape.type_at, typed)
        tenant = shape.envelope.get("tenant")
        if tenant is not None:
            _put(event, tenant, f"{RESERVED_TENANT}:{self._canaries.word()}")
        # A field that no contract names, the same in all events: decoders learn it once.
        event[self._strange_key] = self._canaries.word()
        return json.dumps(event, separators=(",", ":")).encode()

    def _filled(self, shape: EventShape, node: Node) -> Any:
        if isinstance(node, ObjectNode):
            filled = {key: self._filled(shape, child) for key, child in node.children.items()}
            return {key: value for key, value in filled.items() if value is not None}
        if isinstance(node, ArrayNode):
            return [self._filled(shape, node.items)]
        value = self._leaf(shape, node)
        return [value] if node.is_list and value is not None else value

    def _leaf(self, shape: EventShape, entry: Field) -> Any:
        if entry.path == shape.type_at:
            return "x"
        if entry.protection is Protection.KEEP and entry.path != shape.envelope.get("id"):
            return None if entry.is_list else _valid(entry)
        if entry.logical_type == "object":
            return {"inside": self._canaries.word()}
        if entry.logical_type == "array":
            return [self._canaries.word()]
        if entry.logical_type in ("integer", "number"):
            return self._canaries.number()
        if entry.logical_type in ("boolean", "timestamp"):
            return _valid(entry)
        return self._canaries.word()


def _valid(entry: Field) -> Any:
    """A value that a kept field may have; None where leaving it out is as good."""
    if entry.values:
        return entry.values[0]
    if entry.logical_type == "timestamp" or (entry.unit or "").endswith("since 1970 UTC"):
        scale = _SCALES.get(entry.unit or "")
        return _A_DAY if scale is None else _SECONDS * scale
    if entry.logical_type == "boolean":
        return True
    if entry.logical_type in ("integer", "number") and entry.text_form is None:
        return int(entry.minimum or 0)
    return None


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        event = event.setdefault(key, {})
    event[path[-1]] = value
