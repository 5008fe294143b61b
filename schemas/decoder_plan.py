"""Plans of the fast decoder: the `msgspec` structs of a shape, and where each leaf lies in them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from schemas.cells import Path, cell_type, is_raw
from schemas.contract import ITEMS, ArrayNode, Field, ObjectNode

MAX_LEARNED = 64
"""Unknown fields a shape learns per worker; beyond them lines take the careful path."""


@dataclass
class Slot:
    """One field of a struct: a leaf of the contract, another spelling of one, or an unknown key."""

    path: Path
    attribute: str
    entry: Field | None
    is_raw: bool
    is_nullable: bool
    key: bytes | None = None
    alias_of: Path | None = None


@dataclass
class ObjectPlan:
    """How one JSON object is taken apart: its own fields, the objects and the arrays in it.

    Attributes are fetched object by object: a path of three attributes would cost three look-ups a cell.
    """

    path: Path
    struct: type[Struct] = Struct
    slots: list[Slot] = field(default_factory=list)
    objects: list[tuple[str, ObjectPlan]] = field(default_factory=list)
    arrays: list[tuple[Path, str, ObjectPlan]] = field(default_factory=list)
    getter: Callable[[Any], tuple[Any, ...]] = field(default=lambda row: ())


@dataclass
class Learned:
    """What a worker has learned about a shape from the events that it has seen.

    A contract names every field that a platform may send; most events use a few of them. The fast decoder is
    built for the fields that have been seen, and grows when another one comes.

    Attributes:
        active: Paths that have been seen: fields, objects, arrays and other spellings.
        unknown: (parent path, key) of fields that the contract does not name.
        nullable: Paths of fields that were seen as null.
        kinds: JSON types other than null as which a field was seen.
    """

    active: set[Path] = field(default_factory=set)
    unknown: dict[tuple[Path, bytes], None] = field(default_factory=dict)
    nullable: set[Path] = field(default_factory=set)
    kinds: dict[Path, set[str]] = field(default_factory=dict)

    def activate(self, path: Path) -> bool:
        """Remember that a path of the contract is in use; True when the decoder has to be built anew."""
        if path in self.active:
            return False
        self.active.add(path)
        return True

    def learn_unknown(self, parent: Path, key: bytes) -> bool:
        """Remember an unknown key; True when the decoder has to be built anew."""
        slot = (parent, key)
        if slot in self.unknown or len(self.unknown) >= MAX_LEARNED or not _can_be_slot(key):
            return False
        self.unknown[slot] = None
        return True

    def learn_null(self, path: Path) -> bool:
        """Remember that a field can be null; True when the decoder has to be built anew."""
        if path in self.nullable:
            return False
        self.nullable.add(path)
        return True

    def learn_kind(self, path: Path, kind: str) -> None:
        """Remember as what JSON type a field came; the decoders that know it take what comes like it."""
        self.kinds.setdefault(path, set()).add(kind)


def _can_be_slot(key: bytes) -> bool:
    return 0 < len(key) <= 64 and key.isascii() and not any(byte in b':\\"' or byte < 32 for byte in key)


class PlanBuilder:
    """Builds the structs of a shape for what has been learned about it.

    Args:
        learned: Which fields are in use, which are unknown, which can be null.
    """

    def __init__(self, learned: Learned) -> None:
        self._learned = learned
        self._count = 0

    def object(self, node: ObjectNode, path: Path) -> ObjectPlan:
        """The plan of an object and of everything below it."""
        plan = ObjectPlan(path)
        fields: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        for key, child in node.children.items():
            if (*path, key) in self._learned.active:
                attribute = f"f{len(fields)}"
                rename[attribute] = key
                fields.append((attribute, *self._member(child, (*path, key), attribute, plan)))
        for alias, key in node.aliases.items():
            child = node.children[key]
            if isinstance(child, Field) and (*path, alias) in self._learned.active:
                attribute = f"f{len(fields)}"
                rename[attribute] = alias
                slot = self._slot(child, (*path, alias), attribute, plan, alias_of=(*path, key))
                fields.append((attribute, *slot))
        for parent, unknown in self._learned.unknown:
            if parent == path:
                attribute = f"f{len(fields)}"
                rename[attribute] = unknown.decode()
                plan.slots.append(Slot(path, attribute, None, is_raw=True, is_nullable=False, key=unknown))
                fields.append((attribute, Raw, None))
        plan.struct = self._struct(fields, rename)
        names = [slot.attribute for slot in plan.slots]
        names += [attribute for attribute, _ in plan.objects]
        names += [attribute for _, attribute, _ in plan.arrays]
        if names:
            # attrgetter returns a bare value for one name; a repeated name keeps it a tuple.
            plan.getter = operator.attrgetter(*names, names[0])
        return plan

    def _struct(self, fields: list[tuple[str, Any, Any]], rename: dict[str, str]) -> type[Struct]:
        self._count += 1
        return msgspec.defstruct(
            f"Shape{self._count}",
            fields,
            rename=rename,
            forbid_unknown_fields=True,
            frozen=True,
            eq=False,
            gc=False,
            kw_only=True,
        )

    def _member(self, child: Any, path: Path, attribute: str, plan: ObjectPlan) -> tuple[Any, Any]:
        if isinstance(child, Field):
            return self._slot(child, path, attribute, plan)
        if isinstance(child, ArrayNode):
            elements = self.object(child.items, (*path, ITEMS))
            plan.arrays.append((path, attribute, elements))
            return list[elements.struct], None  # type: ignore[name-defined]
        below = self.object(child, path)
        plan.objects.append((attribute, below))
        # One shared instance stands for every absent object, so that its attributes always resolve.
        return below.struct, below.struct()

    def _slot(
        self, entry: Field, path: Path, attribute: str, plan: ObjectPlan, alias_of: Path | None = None
    ) -> tuple[Any, Any]:
        raw = is_raw(entry)
        nullable = not raw and entry.path in self._learned.nullable
        plan.slots.append(Slot(path, attribute, entry, raw, nullable, alias_of=alias_of))
        if raw:
            return Raw, None
        if nullable:
            return cell_type(entry) | None | UnsetType, UNSET
        return cell_type(entry), None
