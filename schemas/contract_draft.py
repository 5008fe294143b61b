"""Draft a first contract from example events: every field named, and sealed until a person says otherwise.

The draft repeats keys and JSON types, and no value but the event types. Keys can be personal too (a map from
user ids to numbers): an object whose keys look like data is sealed as a whole and its keys are not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml

from schemas.classification import UNCLASSIFIED_KIND
from schemas.contract import SOURCES
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.strict_json import RecordFault, parse_strict

MAX_DEPTH = 32
MAX_KEYS = 256
"""An object with more distinct keys is a map: its keys are data."""
MAX_EVENT_TYPES = 1_000

_SEALED = f"content.{UNCLASSIFIED_KIND}"
_EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,127}|[0-9]{1,6}")
_FAMILY = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_PLAIN_KEY = re.compile(r"(?!.*[0-9]{5})(?!.*[0-9a-fA-F-]{16})[A-Za-z_$][A-Za-z0-9_$. -]{0,63}")
_SUFFIXES = (".json", ".jsonl", ".ndjson")
_HEADER = """\
# A first draft, made from example events. Nothing in it is released or kept yet: every field is sealed as
# content.unclassified. Go through the fields, say what each one is, and run `cofferdam contracts lint`.
# Look at the names of the fields too: a field named after a person or a meeting does not belong here.
"""


@dataclass
class Seen:
    """What stood at one place of the samples: JSON types, keys, elements; no values.

    Attributes:
        count: How often the place was filled.
        types: JSON types, with integers apart from other numbers.
        children: By key, where objects stood here.
        items: Elements, where arrays stood here.
        objects: How many objects stood here.
        has_too_many: More than MAX_KEYS distinct keys, or nested deeper than MAX_DEPTH.
    """

    count: int = 0
    types: set[str] = field(default_factory=set)
    children: dict[str, Seen] = field(default_factory=dict)
    items: Seen | None = None
    objects: int = 0
    has_too_many: bool = False

    def add(self, value: Any, depth: int = 0) -> None:
        """Take in one value."""
        self.count += 1
        self.types.add(_json_type(value))
        if depth > MAX_DEPTH:
            self.has_too_many = True
        elif isinstance(value, dict):
            self._add_object(value, depth)
        elif isinstance(value, list):
            self.items = self.items or Seen()
            for each in value:
                self.items.add(each, depth + 1)

    def _add_object(self, value: dict[str, Any], depth: int) -> None:
        self.objects += 1
        for key, child in value.items():
            if key not in self.children and len(self.children) >= MAX_KEYS:
                self.has_too_many = True
                return
            self.children.setdefault(key, Seen()).add(child, depth + 1)

    @property
    def structure(self) -> Any:
        """Its keys and kinds all the way down, comparable."""
        kinds = frozenset(self.types & {"object", "array"}) or "scalar"
        below = frozenset((key, child.structure) for key, child in self.children.items())
        return (kinds, below, self.items.structure if self.items else None)

    @property
    def has_keys_for_data(self) -> bool:
        """Whether the keys look like ids or names: odd spellings, or many keys that hold the same shape."""
        children = list(self.children.values())
        if self.has_too_many or not all(map(_PLAIN_KEY.fullmatch, self.children)):
            return True
        if len({child.structure for child in children}) != 1:
            return False
        are_objects = all(child.objects for child in children)
        come_and_go = self.objects >= 3 and all(child.count * 2 <= self.objects for child in children)
        return (are_objects and len(children) >= 4) or (come_and_go and len(children) >= 6)


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    named = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object", list: "array"}
    return named[type(value)]


@dataclass(frozen=True)
class Draft:
    """A drafted contract and what was read for it.

    Attributes:
        text: The contract as YAML.
        events: How many events it rests on.
        event_types: How many event types.
        malformed: How many records were no JSON objects.
        untyped: How many events named no usable event type.
    """

    text: str
    events: int
    event_types: int
    malformed: int
    untyped: int


def draft_contract(samples: Iterable[Path], *, source: str, family: str, type_at: str) -> Draft:
    """Draft a contract from example events in files and folders.

    Args:
        samples: JSON documents, JSON arrays or JSON lines; of a folder, its files of these kinds.
        source: Who sends the events; one of `schemas.contract.SOURCES`.
        family: Name of the family of events.
        type_at: Dotted path of the key that names the event type.

    Raises:
        ConfigurationError: The samples hold no usable event, or an option cannot be used.
        InfrastructureFault: A sample cannot be read.
    """
    if source not in SOURCES:
        raise ConfigurationError("UNKNOWN_SOURCE", f"--source must be one of {', '.join(SOURCES)}")
    if not _FAMILY.fullmatch(family):
        raise ConfigurationError("BAD_FAMILY", "--family takes lower case letters, digits, - and _")
    path = tuple(type_at.split("."))
    by_type: dict[str, Seen] = {}
    counts = {"events": 0, "malformed": 0, "untyped": 0}
    for event in _events(samples):
        if not isinstance(event, dict):
            counts["malformed"] += 1
        elif (name := _event_type(event, path)) is None:
            counts["untyped"] += 1
        else:
            counts["events"] += 1
            by_type.setdefault(name, Seen()).add(event)
            _refuse_too_many(by_type)
    if not by_type:
        message = "no sample is a JSON object that names its event type at --type-at; check both"
        raise ConfigurationError("NO_EVENTS", message)
    text = _HEADER + _dump(_document(by_type, source, family, path))
    return Draft(text=text, event_types=len(by_type), **counts)


def _refuse_too_many(by_type: dict[str, Seen]) -> None:
    if len(by_type) > MAX_EVENT_TYPES:
        message = f"more than {MAX_EVENT_TYPES} event types: --type-at must name the type, not an id"
        raise ConfigurationError("TOO_MANY_EVENT_TYPES", message)


def _event_type(event: dict[str, Any], path: tuple[str, ...]) -> str | None:
    now: Any = event
    for step in path:
        now = now.get(step) if isinstance(now, dict) else None
    if isinstance(now, bool) or not isinstance(now, (str, int)):
        return None
    return str(now) if _EVENT_TYPE.fullmatch(str(now)) else None


def _events(samples: Iterable[Path]) -> Iterator[Any]:
    """All records of the samples; None for one that is malformed."""
    for path in samples:
        files = (
            sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES) if path.is_dir() else [path]
        )
        for file in files:
            try:
                data = file.read_bytes()
            except OSError as error:
                message = f"the sample {file} cannot be read ({error.strerror})"
                raise InfrastructureFault("SAMPLE_UNREADABLE", message) from None
            yield from _records(data.removeprefix(b"\xef\xbb\xbf"))


def _records(data: bytes) -> list[Any]:
    whole = _parsed(data)
    if whole is not None:
        return whole if isinstance(whole, list) else [whole]
    lines = [_parsed(line) for line in data.splitlines() if line.strip()]
    # Not one line of a broken document that is laid out over many lines is an event.
    return lines if any(isinstance(line, dict) for line in lines) else [None]


def _parsed(data: bytes) -> Any:
    try:
        parse_strict(data.strip(), max_depth=MAX_DEPTH)
        return msgspec.json.decode(data)
    except (RecordFault, msgspec.DecodeError, RecursionError):
        return None


def _document(by_type: dict[str, Seen], source: str, family: str, path: tuple[str, ...]) -> dict[str, Any]:
    groups: dict[Any, list[str]] = {}
    for name in sorted(by_type):
        groups.setdefault(by_type[name].structure, []).append(name)
    names = _table_names(family, list(groups.values()))
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"{source}-{family}".replace("_", "-"),
        "name": f"{source} {family} events",
        "version": "0.1.0",
        "status": "draft",
        "description": {
            "purpose": "Says what each field of these events is and how it is protected.",
            "limitations": "Drafted from examples and not reviewed: everything is sealed.",
        },
        "customProperties": [
            _custom("source", source),
            _custom("family", family),
            _custom("typeAt", ".".join(path)),
        ],
        "schema": [
            _table(name, events, [by_type[event] for event in events], path)
            for name, events in zip(names, groups.values(), strict=True)
        ],
    }


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes `_Line` mappings in flow style and never refers to an entry by an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    _Line, lambda dumper, line: dumper.represent_mapping("tag:yaml.org,2002:map", line, flow_style=True)
)


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)


def _custom(name: str, value: Any) -> _Line:
    return _Line(property=name, value=value)


def _table_names(family: str, groups: list[list[str]]) -> list[str]:
    names: list[str] = []
    for events in groups:
        words = family if len(groups) == 1 else f"{family}_{events[0]}"
        name = base = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:58]
        number = 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return names


def _table(name: str, events: list[str], seen: list[Seen], path: tuple[str, ...]) -> dict[str, Any]:
    all_of_them = Seen()
    for each in seen:
        _merge(all_of_them, each)
    left_out = sum(1 for key in all_of_them.children if not _PLAIN_KEY.fullmatch(key) and key != path[0])
    note = f" {left_out} keys that look like data are not named and so sealed." if left_out else ""
    return {
        "name": name,
        "logicalType": "object",
        "description": f"Drafted from {all_of_them.count} events; to be reviewed.{note}",
        "customProperties": [_custom("events", events)],
        "properties": _properties(all_of_them, path),
    }


def _merge(into: Seen, other: Seen) -> None:
    into.count += other.count
    into.objects += other.objects
    into.types |= other.types
    into.has_too_many |= other.has_too_many
    if other.items:
        into.items = into.items or Seen()
        _merge(into.items, other.items)
    for key, child in other.children.items():
        _merge(into.children.setdefault(key, Seen()), child)


def _properties(seen: Seen, path: tuple[str, ...] | None) -> list[dict[str, Any]]:
    """The fields of an object; `path` leads on to the event type, or is None beside it."""
    return [
        _property(key, child, path[1:] if path and path[0] == key else None)
        for key, child in seen.children.items()
        if _PLAIN_KEY.fullmatch(key) or (path and path[0] == key)
    ]


def _property(name: str, seen: Seen, path: tuple[str, ...] | None) -> dict[str, Any]:
    if path == ():
        kind = "integer" if seen.types == {"integer"} else "string"
        return _Line(name=name, logicalType=kind, classification="envelope")
    if path or (seen.types <= {"object", "null"} and seen.children and not seen.has_keys_for_data):
        return {"name": name, "logicalType": "object", "properties": _properties(seen, path)}
    if seen.types <= {"array", "null"} and seen.items and (items := _items(seen.items)):
        return {"name": name, "logicalType": "array", "items": items}
    return _Line(name=name, **_sealed(seen))


def _items(seen: Seen) -> dict[str, Any] | None:
    """Elements of an array that can be named one by one: objects or scalars of one kind."""
    if seen.types <= {"object", "null"} and seen.children and not seen.has_keys_for_data:
        return {"logicalType": "object", "properties": _properties(seen, None)}
    if seen.count and not seen.types & {"object", "array"}:
        return _Line(_sealed(seen))
    return None


def _sealed(seen: Seen) -> dict[str, Any]:
    kinds = seen.types - {"null"}
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    notes = []
    if len(seen.types) > 1 or not kinds:
        notes.append(f"Seen as {', '.join(sorted(seen.types))}.")
    if "object" in kinds and seen.has_keys_for_data:
        notes.append("Its keys look like data, so it is sealed as a whole.")
    # ODCS wants a type for every field; what is sealed whole may be of any type.
    sealed = {"logicalType": kinds.pop() if len(kinds) == 1 else "string", "classification": _SEALED}
    return {**sealed, "description": " ".join(notes)} if notes else sealed
