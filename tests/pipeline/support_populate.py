"""Events made from the contracts: every field of every shape filled with a canary, in every wrong way too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.classification import Protection
from schemas.contract import ITEMS, ArrayNode, ContractSet, EventShape, Field, Node, ObjectNode
from tests.pipeline.support_search import Canaries

Path = tuple[str, ...]
Leaf = Callable[[Field], Any]


@dataclass(frozen=True)
class Planted:
    """Where a token was put.

    Attributes:
        table: Telemetry table of the shape.
        entry: The field, or None where no field takes the value.
        scalar: Whether the token is the field's value itself, of a type that the field may have.
        way: In which way it was put there.
    """

    table: str
    entry: Field | None
    scalar: bool
    way: str


@dataclass
class Plan:
    """Events, what was planted in them, and how many values of theirs contracts drop, by table and field."""

    events: list[bytes] = field(default_factory=list)
    planted: dict[bytes, Planted] = field(default_factory=dict)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)


class Populator:
    """Fills shapes with canaries, each of which it remembers."""

    def __init__(self, canaries: Canaries) -> None:
        self.plan = Plan()
        self._canaries = canaries
        self._way = ""
        self._shape: EventShape | None = None

    # --- tokens ---------------------------------------------------------------------------------------------

    def word(self, entry: Field | None = None, *, scalar: bool = False) -> str:
        token = self._canaries.word()
        self._remember(token, entry, scalar)
        return token

    def number(self, entry: Field | None = None) -> int:
        token = self._canaries.number()
        self._remember(str(token), entry, True)
        return token

    def _remember(self, token: str, entry: Field | None, scalar: bool) -> None:
        assert self._shape is not None
        self.plan.planted[token.encode()] = Planted(self._shape.table, entry, scalar, self._way)

    # --- leaves ---------------------------------------------------------------------------------------------

    def as_word(self, entry: Field) -> Any:
        if entry.logical_type == "object":
            return {"inside": self.word(entry, scalar=True)}
        if entry.logical_type == "array":
            return [self.word(entry, scalar=True)]
        return self.word(entry, scalar=True) if _is_text(entry) else _valid(entry)

    def as_prose(self, entry: Field) -> Any:
        value = self.as_word(entry)
        return f"{value} said this, 4 all" if isinstance(value, str) and _is_text(entry) else value

    def as_name(self, entry: Field) -> Any:
        value = self.as_word(entry)
        return f"{value}-x.y_1" if isinstance(value, str) and _is_text(entry) else value

    def as_wrong_type(self, entry: Field) -> Any:
        if entry.path == ("event",):  # a text there is another platform's mark
            return [self.word(entry)]
        return self.word(entry, scalar=_is_text(entry))

    def as_object(self, entry: Field) -> Any:
        return {self.word(entry): self.word(entry), "deeper": [{self.word(entry): self.word(entry)}]}

    def as_array(self, entry: Field) -> Any:
        return self.word(entry) if entry.is_list else [self.word(entry), 5, {"key": self.word(entry)}]

    def as_number(self, entry: Field) -> Any:
        if entry.logical_type in ("object", "array"):
            return self.as_word(entry)
        is_person_s = entry.classification.startswith(("identifier", "content", "secret"))
        return self.number(entry) if is_person_s else _valid(entry)

    # --- events ---------------------------------------------------------------------------------------------

    def add(self, shape: EventShape, event_type: str, way: str, leaf: Leaf, *, escaped: bool = False) -> None:
        """One event of a type with all of its fields filled."""
        self._way, self._shape = way, shape
        event = self._filled(shape.root, leaf)
        self._finish(shape, event_type, event, escaped)

    def add_with_node(
        self, shape: EventShape, way: str, at: Path, change: Callable[[Any], Any], leaf: Leaf
    ) -> None:
        """One event, one object or array of which is changed."""
        self._way, self._shape = way, shape
        event = _changed(self._filled(shape.root, leaf), at, change)
        self._finish(shape, shape.events[0], event, False)

    def _finish(self, shape: EventShape, event_type: str, event: Any, escaped: bool) -> None:
        value: Any = int(event_type) if shape.source == "zoom_rtms" else event_type
        _put(event, shape.type_at, value)
        if event.get("id") == "x":
            event["id"] = f"event {len(self.plan.events)}"
        self.plan.dropped.update((shape.table, path) for path in _dropped(shape.root, event))
        text = json.dumps(event)
        self.plan.events.append((_with_escaped_keys(event) if escaped else text).encode())

    def _filled(self, node: Node, leaf: Leaf) -> Any:
        if isinstance(node, ObjectNode):
            return {key: self._filled(child, leaf) for key, child in node.children.items()}
        if isinstance(node, ArrayNode):
            return [self._filled(node.items, leaf), self._filled(node.items, leaf)]
        if self._shape is not None and node.path == self._shape.type_at:
            return None
        if node.logical_type == "timestamp" and leaf != self.as_wrong_type:
            return _valid(node)
        if node.is_list and leaf not in (self.as_array, self.as_object):
            return [leaf(node), leaf(node)]
        return leaf(node)

    # --- everything -----------------------------------------------------------------------------------------

    def populate(self, contracts: ContractSet) -> Plan:
        """Events of every shape in every way."""
        for shape in contracts.shapes:
            for event_type in shape.events:
                self.add(shape, event_type, "word", self.as_word)
            last = shape.events[-1]
            self.add(shape, last, "prose", self.as_prose)
            self.add(shape, last, "name", self.as_name)
            self.add(shape, last, "wrong type", self.as_wrong_type)
            self.add(shape, last, "object", self.as_object)
            self.add(shape, last, "array", self.as_array)
            self.add(shape, last, "number", self.as_number)
            self.add(shape, last, "escaped keys", self.as_word, escaped=True)
            self._nodes(shape)
        return self.plan

    def _nodes(self, shape: EventShape) -> None:
        for path, node in nodes(shape.root):
            if isinstance(node, ObjectNode):
                self.add_with_node(shape, "extra key", path, self._with_extra_key, _plain)
                self.add_with_node(shape, "key in capitals", path, self._with_capitals, _plain)
            if path and shape.type_at[: len(path)] != path:
                self.add_with_node(shape, "text for a node", path, lambda _: self.word(), _plain)
                self.add_with_node(shape, "list for a node", path, lambda _: [self.word()], _plain)
                self.add_with_node(shape, "object for a node", path, self._strange_object, _plain)

    def _with_extra_key(self, value: Any) -> Any:
        return {**value, self.word(): self.word(), f"{self.word()} \u00e9\n": {self.word(): 1}}

    def _with_capitals(self, value: Any) -> Any:
        return {**value, **{key.upper() + " ": self.word() for key in value}}

    def _strange_object(self, _: Any) -> Any:
        return {self.word(): [{self.word(): self.word()}]}


def nodes(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """All objects and arrays of a shape with their paths; an array's elements are under ``[]``."""
    if isinstance(node, Field):
        return
    yield path, node
    if isinstance(node, ArrayNode):
        yield from nodes(node.items, (*path, ITEMS))
    else:
        for key, child in node.children.items():
            yield from nodes(child, (*path, key))


def _plain(entry: Field) -> Any:
    if entry.logical_type in ("object", "array"):
        return {} if entry.logical_type == "object" else []
    return "x" if _is_text(entry) else _valid(entry)


def _is_text(entry: Field) -> bool:
    numbers = ("integer", "number", "boolean", "timestamp")
    return entry.logical_type not in numbers or entry.text_form is not None


def _valid(entry: Field) -> Any:
    """A value that the field may have, for fields that are no text; anything for those that are."""
    if entry.logical_type == "timestamp":
        scale = {"ms since 1970 UTC": 1000, "s since 1970 UTC": 1}.get(entry.unit or "")
        return "2026-03-01T10:00:00Z" if scale is None else 1772359200 * scale
    if entry.logical_type == "boolean":
        return True
    if entry.text_form is not None or entry.protection is not Protection.KEEP:
        return "x"
    if entry.logical_type in ("integer", "number"):
        return entry.values[0] if entry.values else int(entry.minimum or 0)
    return "x"


def _changed(value: Any, at: Path, change: Callable[[Any], Any]) -> Any:
    if not at:
        return change(value)
    if at[0] == ITEMS:
        return [_changed(value[0], at[1:], change), *value[1:]]
    return {**value, at[0]: _changed(value[at[0]], at[1:], change)}


def _dropped(node: Node, value: Any) -> Iterator[str]:
    """The fields of an event that its contract drops."""
    if isinstance(node, Field):
        if node.protection is Protection.DROP:
            yield node.dotted
    elif isinstance(node, ArrayNode):
        for item in value if isinstance(value, list) else ():
            yield from _dropped(node.items, item)
    elif isinstance(value, dict):
        for key in value.keys() & node.children.keys():
            yield from _dropped(node.children[key], value[key])


def _put(event: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        event = event[key]
    event[path[-1]] = value


def _with_escaped_keys(value: Any) -> str:
    """JSON in which each key's first character is written as an escape."""
    if isinstance(value, dict):
        members = (f'"\\u{ord(key[0]):04x}{key[1:]}":{_with_escaped_keys(value[key])}' for key in value)
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_with_escaped_keys, value)) + "]"
    return json.dumps(value)
