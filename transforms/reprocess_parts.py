"""An event made again from the parts of it that were sealed as unclassified.

A part is a value with the path where it stood: under an unknown key it is an object of that one key at the
path of the object around it, else the value itself. The event that is made of them has its type and these
parts alone, each in its place, so that the decoders of its shape judge them as they would judge the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from schemas.cells import Path
from schemas.contract import ITEMS, ArrayNode, EventShape, Field, Node, ObjectNode

_PLACE: Final = re.compile(r"(?P<dotted>.*?)(?P<places>(?:\[\d+\])*)", re.DOTALL)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Part(NamedTuple):
    """A sealed value of an event: the path where it stood, with places in arrays, and its JSON text."""

    path: str
    raw: bytes

    def __repr__(self) -> str:
        return "<Part>"


class Place(NamedTuple):
    """Where a part stood: the keys to it (`[]` for an array's elements), and the place in each array."""

    path: Path
    places: tuple[int, ...]


def known_paths(shape: EventShape) -> dict[str, Path]:
    """Every path of a shape by its spelling in sealed parts."""
    return {spelt(path): path for path in _paths(shape.root, ())}


def _paths(node: Node, path: Path) -> Iterator[Path]:
    yield path
    if isinstance(node, ArrayNode):
        yield from _paths(node.items, (*path, ITEMS))
    elif isinstance(node, ObjectNode):
        for name, child in node.children.items():
            yield from _paths(child, (*path, name))


def spelt(path: Path) -> str:
    """A path as it is spelt in sealed parts."""
    return ".".join(path).replace(f".{ITEMS}", ITEMS)


def place_of(part: Part, known: Mapping[str, Path]) -> Place | None:
    """Where a part stood, None where its path cannot be told.

    Args:
        part: The part.
        known: The paths of its shape.
    """
    found = _PLACE.fullmatch(part.path)
    assert found is not None  # noqa: S101 - matches every text
    dotted = found["dotted"]
    places = tuple(int(number) for number in re.findall(r"\d+", found["places"]))
    path = known.get(dotted)
    if path is None:
        path = tuple(dotted.replace(ITEMS, f".{ITEMS}").split(".")) if dotted else ()
    return Place(path, places) if path.count(ITEMS) == len(places) and "" not in path else None


def unknown_key(part: Part) -> str | None:
    """The key of a part that is an object of one key, None for every other."""
    if not part.raw.startswith(b"{"):
        return None
    try:
        members = _members(part.raw)
    except msgspec.MsgspecError:
        return None
    return next(iter(members)) if len(members) == 1 else None


# --- making the event again -------------------------------------------------------------------------------


@dataclass
class _Object:
    children: dict[str, _Object | _Array | bytes] = field(default_factory=dict)
    members: list[bytes] = field(default_factory=list)


@dataclass
class _Array:
    elements: dict[int, _Object] = field(default_factory=dict)


class PartialEvent:
    """An event of which only some values are known.

    Args:
        shape: Its shape.
        event_type: Its type, as the contract names it.
    """

    def __init__(self, shape: EventShape, event_type: str) -> None:
        self._root = _Object()
        entry = next((each for each in shape.fields if each.path == shape.type_at), None)
        self.add_value(Place(shape.type_at, ()), _type_text(entry, event_type))

    def add_part(self, place: Place | None, part: Part) -> bool:
        """Put a part into its place; says whether it could be: something else may stand there.

        Args:
            place: Its place, None where it cannot be told.
            part: The part.
        """
        if place is None:
            return False
        if unknown_key(part) is None:
            return self.add_value(place, part.raw)
        target = self._object_at(place.path, place.places)
        if target is None:
            return False
        target.members.append(part.raw.strip()[1:-1])
        return True

    def add_value(self, place: Place, raw: bytes) -> bool:
        """Put a value into its place; says whether it could be."""
        if not place.path or place.path[-1] == ITEMS:
            return False
        target = self._object_at(place.path[:-1], place.places)
        if target is None or place.path[-1] in target.children:
            return False
        target.children[place.path[-1]] = raw
        return True

    def _object_at(self, path: Path, places: Sequence[int]) -> _Object | None:
        """The object at a path, made where there is none yet."""
        at, numbers = self._root, iter(places)
        steps = list(path)
        while steps:
            name = steps.pop(0)
            is_array = bool(steps) and steps[0] == ITEMS
            below = at.children.setdefault(name, _Array() if is_array else _Object())
            if is_array:
                steps.pop(0)
                if not isinstance(below, _Array):
                    return None
                at = below.elements.setdefault(next(numbers), _Object())
            elif isinstance(below, _Object):
                at = below
            else:
                return None
        return at

    def encoded(self) -> bytes:
        """The event as JSON; elements of arrays that nothing is known of are empty objects."""
        return _encoded(self._root)


def _type_text(entry: Field | None, event_type: str) -> bytes:
    if entry is not None and entry.logical_type in ("integer", "number"):
        return event_type.encode()
    return msgspec.json.encode(event_type)


def _encoded(node: _Object | _Array | bytes) -> bytes:
    if isinstance(node, bytes):
        return node
    if isinstance(node, _Array):
        last = max(node.elements, default=-1)
        return b"[" + b",".join(_encoded(node.elements.get(at, _Object())) for at in range(last + 1)) + b"]"
    named = (msgspec.json.encode(name) + b":" + _encoded(child) for name, child in node.children.items())
    return b"{" + b",".join([*named, *node.members]) + b"}"


def parts_of(pairs: Iterable[tuple[str, bytes]]) -> list[Part]:
    """Parts as an item's framed bytes give them."""
    return [Part(*pair) for pair in pairs]


def holds_nothing(raw: bytes) -> bool:
    """Whether a value is one of the JSON values that hold nothing; nothing of such is sealed or kept."""
    return raw.strip() in (b"null", b'""', b"[]", b"{}")


def value_of(part: Part) -> Any:
    """The JSON text of a part's value: behind its key, where that is unknown."""
    key = unknown_key(part)
    return part.raw if key is None else bytes(_members(part.raw)[key])
