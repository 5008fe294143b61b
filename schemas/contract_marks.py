"""Contract files with the line of every entry, for messages that lead to the place.

The loader of `schemas.contract_reading` speaks of fields by their dotted path. Here the same files are read
with their marks, so that a path leads to a file and a line (through shapes, which lie in a file of their
own), and each field comes with everything a reviewer needs: its entry, its surroundings, its protection.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from schemas.classification import UNCLASSIFIED_KIND, Lane, Protection, default_protection, lane_of


class Marked(dict[str, Any]):
    """A YAML mapping that remembers its line, and keys that stand in it twice."""

    line: int = 0
    repeated: tuple[str, ...] = ()


class _MarkedLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that makes `Marked` mappings."""


def _construct(loader: Any, node: yaml.MappingNode) -> Iterator[Marked]:
    made = Marked()
    made.line = node.start_mark.line + 1
    yield made
    loader.flatten_mapping(node)
    keys = [str(loader.construct_object(key, deep=True)) for key, _ in node.value]
    made.repeated = tuple(sorted({key for key in keys if keys.count(key) > 1}))
    values = (loader.construct_object(value, deep=True) for _, value in node.value)
    made.update(zip(keys, values, strict=True))


_MarkedLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct)


def custom(entry: Any, name: str) -> Any:
    """Value of one of an entry's custom properties, None where it has none of that name."""
    for given in listed(entry, "customProperties"):
        if given.get("property") == name:
            return given.get("value")
    return None


def listed(entry: Any, key: str) -> list[Marked]:
    """The mappings in a list of an entry; whatever else stands there is the loader's to refuse."""
    found = entry.get(key) if isinstance(entry, Marked) else None
    return [each for each in found if isinstance(each, Marked)] if isinstance(found, list) else []


@dataclass(frozen=True)
class Place:
    """A file and a line in it."""

    file: str
    line: int


@dataclass(frozen=True)
class MarkedField:
    """One leaf of a contract, as it stands in the file.

    Attributes:
        table: The table it belongs to.
        path: Keys from the event's root; elements of arrays add no step.
        entry: The mapping that classifies it (of an array of scalars: its items).
        place: Where the entry stands.
        holders: The objects and arrays around it, outermost first.
        is_list: The value is an array of scalars.
        siblings: Names of all fields of the same object.
    """

    table: str
    path: tuple[str, ...]
    entry: Marked
    place: Place
    holders: tuple[Marked, ...] = ()
    is_list: bool = False
    siblings: frozenset[str] = frozenset()

    @property
    def where(self) -> str:
        """Table and dotted path, as the loader names it."""
        return ".".join((self.table, *self.path))

    @property
    def classification(self) -> str:
        """Its classification (content.unclassified where none is stated)."""
        return str(self.entry.get("classification") or f"content.{UNCLASSIFIED_KIND}")

    @property
    def lane(self) -> Lane:
        """The lane of its classification."""
        return lane_of(self.classification)

    @property
    def protection(self) -> str:
        """The stated or default protection; seal where a secret states none."""
        stated = custom(self.entry, "protection")
        return str(stated or default_protection(self.classification) or Protection.SEAL)

    @property
    def is_kept(self) -> bool:
        """Whether its value leaves the sealed side as it is."""
        return self.protection == Protection.KEEP

    def option(self, name: str) -> Any:
        """One of its ODCS logicalTypeOptions."""
        options = self.entry.get("logicalTypeOptions")
        return options.get(name) if isinstance(options, dict) else None


@dataclass(frozen=True)
class MarkedTable:
    """A schema object: the entry of a table (or a shared shape) and its fields."""

    name: str
    entry: Marked
    place: Place
    fields: tuple[MarkedField, ...]


@dataclass
class MarkedContract:
    """A contract file with marks.

    Attributes:
        path: The file.
        root: The whole document.
        shapes: Shared shapes it may refer to, with the file each stands in.
    """

    path: Path
    root: Marked
    shapes: dict[str, tuple[str, Marked]] = field(default_factory=dict)

    @property
    def is_shapes_file(self) -> bool:
        """Whether it describes shared shapes, not events."""
        return custom(self.root, "role") == "shapes"

    @property
    def shape_files(self) -> list[str]:
        """Names of the shapes files beside this one that it refers to."""
        names = custom(self.root, "shapes")
        return [str(name) for name in names] if isinstance(names, list) else []

    def tables(self) -> list[MarkedTable]:
        """Its schema objects with all their leaves."""
        return [self._table(entry) for entry in listed(self.root, "schema")]

    def _table(self, entry: Marked) -> MarkedTable:
        name = str(entry.get("name") or "")
        file = str(self.path)
        fields = tuple(self._leaves(listed(entry, "properties"), name, file, (), (entry,)))
        return MarkedTable(name, entry, Place(file, entry.line), fields)

    def _leaves(
        self, entries: list[Marked], table: str, file: str, path: tuple[str, ...], holders: tuple[Marked, ...]
    ) -> Iterator[MarkedField]:
        siblings = frozenset(str(entry.get("name")) for entry in entries)
        for entry in entries:
            below = (*path, str(entry.get("name") or ""))
            items = _holder(entry)
            if entry.get("classification"):
                is_list = entry.get("logicalType") == "array"
                place = Place(file, entry.line)
                yield MarkedField(table, below, entry, place, (*holders, entry), is_list, siblings)
            elif items is not entry and items.get("classification"):
                yield MarkedField(
                    table, below, items, Place(file, items.line), (*holders, entry), True, siblings
                )
            elif _shape_name(entry) not in {_shape_name(holder) or None for holder in holders}:
                yield from self._members(entry, table, file, below, (*holders, entry))

    def _members(
        self, entry: Marked, table: str, file: str, path: tuple[str, ...], holders: tuple[Marked, ...]
    ) -> Iterator[MarkedField]:
        yield from self._leaves(listed(_holder(entry), "properties"), table, file, path, holders)
        shape_file, shape = self.shapes.get(_shape_name(entry), ("", Marked()))
        yield from self._leaves(listed(shape, "properties"), table, shape_file, path, holders)

    def find(self, where: str) -> Place:
        """The place that a loader's dotted path names, or the file's first line."""
        own = str(self.path)
        if where.startswith("line "):
            return Place(own, int(where.removeprefix("line ") or 1))
        if where.startswith("customProperties"):
            return Place(own, self._line_of_property(where.rpartition(".")[2]))
        wanted = where.replace("[]", "")
        tables = {str(entry.get("name") or ""): entry for entry in listed(self.root, "schema")}
        for name, entry in tables.items():
            if wanted == name or wanted.startswith(f"{name}."):
                return self._descend(entry, own, wanted[len(name) + 1 :]) or Place(own, entry.line)
        # Columns that clash are named without their table, faults of the ODCS model by position.
        found = (self._descend(entry, own, wanted) for entry in tables.values())
        return next((place for place in found if place), Place(own, self._line_by_index(where)))

    def _line_of_property(self, name: str) -> int:
        for given in listed(self.root, "customProperties"):
            if given.get("property") == name:
                return given.line
        return self.root.line

    def _line_by_index(self, where: str) -> int:
        """Line of a path with positions (`schema.0.properties.2.name`), as the ODCS model names it."""
        line, now = self.root.line, self.root
        for step in where.split("."):
            if isinstance(now, list) and step.isdigit() and int(step) < len(now):
                now = now[int(step)]
            elif isinstance(now, Marked) and step in now:
                now = now[step]
            else:
                break
            line = getattr(now, "line", line)
        return line

    def _descend(self, entry: Marked, file: str, rest: str) -> Place | None:
        shape_file, shape = self.shapes.get(_shape_name(entry), ("", Marked()))
        for side, entries in (
            (file, listed(_holder(entry), "properties")),
            (shape_file, listed(shape, "properties")),
        ):
            for child in entries:
                name = str(child.get("name") or "")
                if rest == name:
                    return Place(side, child.line)
                if name and rest.startswith(f"{name}."):
                    return self._descend(child, side, rest[len(name) + 1 :]) or Place(side, child.line)
        return None


def _holder(entry: Marked) -> Marked:
    """Where the fields below an entry stand: an array has them in its items."""
    items = entry.get("items")
    return items if isinstance(items, Marked) else entry


def _shape_name(entry: Marked) -> str:
    return str(custom(_holder(entry), "shape") or "")


def read_marked(path: Path) -> MarkedContract | None:
    """Read a contract with marks and the shapes it refers to; None where it is no YAML mapping."""
    root = _load(path)
    if root is None:
        return None
    contract = MarkedContract(path, root)
    for name in contract.shape_files:
        beside = path.parent / name
        for entry in listed(_load(beside), "schema"):
            contract.shapes[str(entry.get("name"))] = (str(beside), entry)
    return contract


def _load(path: Path) -> Marked | None:
    try:
        root = yaml.load(path.read_bytes(), Loader=_MarkedLoader)  # noqa: S506 - a safe loader
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return root if isinstance(root, Marked) else None
