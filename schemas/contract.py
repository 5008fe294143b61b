"""Contracts: ODCS v3 documents that say what each field of an event is and how it is protected.

A contract file describes one family of events from one source in the Open Data Contract Standard (bitol-io,
ODCS v3.1). Cofferdam's own words live in `customProperties`; docs/contracts.md lists them. Loading checks
everything the pipeline relies on and refuses the file otherwise: a field without a classification, free text
in a lane that is not sealed, an unknown word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from schemas.classification import Lane, Protection, lane_of, sealed_kind

SOURCES = ("zoom", "zoom_rtms", "cofferdam")
ROSTER_EVENTS = ("start", "end", "join", "leave", "enter")
ENVELOPE_ROLES = (
    "id",
    "source",
    "time",
    "tenant",
    "meeting",
    "participant",
    "started",
    "ended",
    "region",
    "channel",
    "role",
    "is_host",
    "view_only",
    "consent",
    "derived_from",
    "piece",
)
DELETION_NAMES = ("meeting", "piece", "person")
"""What a deletion can be about: a whole meeting, one message or document of it, or a person."""

ITEMS = "[]"
"""The step of a path that stands for the elements of an array."""


@dataclass(frozen=True)
class Field:
    """One leaf of a contract: a value that is kept, pseudonymised, sealed or dropped as a whole.

    Attributes:
        path: Keys from the event's root; `[]` stands for an array's elements.
        logical_type: ODCS logical type of the JSON value, or "any" where the value is sealed unread.
        classification: One of `classification.CLASSIFICATIONS`.
        protection: What happens to the value.
        unit: Unit of a number or timestamp, None where it has none.
        text_form: "number_with_unit" or "numeric_string" where a number arrives as a JSON string.
        accepts: Further JSON types the value may have ("integer", "string", "boolean").
        values: The closed set of a kept value, None where a pattern or range bounds it.
        pattern: Regular expression (RE2) that a kept string must match as a whole.
        max_length: Longest kept string, in characters.
        minimum: Lowest kept number.
        maximum: Highest kept number.
        identifies: Identifier type, where the value identifies a person.
        kind_by: Sibling field that decides the content kind, its map, and the kind otherwise.
        cut: Marker and closed list: only what follows the marker, if listed, is kept; the whole is sealed.
        is_list: The value is an array of scalars.
        column: Name of the telemetry column, None where nothing of the value is kept.
    """

    path: tuple[str, ...]
    logical_type: str
    classification: str
    protection: Protection
    aliases: tuple[str, ...] = ()
    description: str = ""
    unit: str | None = None
    text_form: str | None = None
    accepts: tuple[str, ...] = ()
    values: tuple[str | int, ...] | None = None
    pattern: str | None = None
    max_length: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    identifies: str | None = None
    kind_by: KindBy | None = None
    cut: Cut | None = None
    is_list: bool = False
    column: str | None = None

    @property
    def lane(self) -> Lane:
        """Lane of the classification, before any protection."""
        return lane_of(self.classification)

    @property
    def kind(self) -> str:
        """Kind under which the value is sealed when it is."""
        return sealed_kind(self.classification)

    @property
    def dotted(self) -> str:
        """The path as text, for catalogues and sealed parts."""
        return ".".join(self.path).replace(f".{ITEMS}", ITEMS)


@dataclass(frozen=True)
class KindBy:
    """Content kind of a field by the value of a sibling (`recording_files[].file_type`)."""

    sibling: str
    kinds: Mapping[str, str]
    otherwise: str


@dataclass(frozen=True)
class Cut:
    """A closed fragment inside free text that may be kept: what follows `after`, if it is in `values`."""

    after: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class ObjectNode:
    """A JSON object with known keys."""

    children: Mapping[str, Node]
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ArrayNode:
    """A JSON array of objects that share a shape."""

    items: ObjectNode


Node = ObjectNode | ArrayNode | Field


@dataclass(frozen=True)
class Deletions:
    """By which events the platform says that something was deleted or withdrawn.

    Attributes:
        events: Event types.
        fields: Fields that decide whether such an event is a deletion; none if each of them is.
        values: With which values of these fields it is one.
        when_absent: Whether it is one where none of the fields is there.
        names: What it is about, one of `DELETION_NAMES`.
        meetings: Fields with meetings that it is about besides the envelope's.
    """

    events: tuple[str, ...] = ()
    fields: tuple[tuple[str, ...], ...] = ()
    values: tuple[str | int, ...] = ()
    when_absent: bool = False
    names: str = DELETION_NAMES[0]
    meetings: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Span:
    """Where the elements of an array say when what they point at was recorded."""

    array: tuple[str, ...]
    start: str
    end: str


@dataclass(frozen=True)
class EventShape:
    """Event types that share one shape and so one telemetry table.

    Attributes:
        table: Name of the telemetry table.
        events: Event types with this shape (for `zoom_rtms` the message type's number as text).
        envelope: Role (see `ENVELOPE_ROLES`) to path.
        roster: Event type to start, end, join, leave or enter.
        deletions: By which events something is said to be deleted or withdrawn.
        made_from: Kind of content to the kinds that it is made from in these events, whatever they say.
        spans: Arrays whose elements say when they were recorded, where the event itself does not.
        root: The event's fields.
    """

    table: str
    description: str
    source: str
    contract: str
    version: str
    type_at: tuple[str, ...]
    events: tuple[str, ...]
    prefix: tuple[str, ...]
    envelope: Mapping[str, tuple[str, ...]]
    roster: Mapping[str, str]
    root: ObjectNode
    deletions: Deletions = field(default_factory=Deletions)
    made_from: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    @property
    def deletion_signals(self) -> tuple[str, ...]:
        """Event types by which something is said to be deleted or withdrawn."""
        return self.deletions.events

    @property
    def contract_label(self) -> str:
        """Contract id and version, as written beside every row."""
        return f"{self.contract}@{self.version}"

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All leaves in the contract's order."""
        return tuple(leaves(self.root))


@dataclass(frozen=True)
class Contract:
    """One contract file."""

    id: str
    name: str
    version: str
    source: str
    family: str
    path: str
    shapes: tuple[EventShape, ...]


@dataclass(frozen=True)
class ContractSet:
    """The contracts of a run, with every event type found by source and name."""

    contracts: tuple[Contract, ...]

    @cached_property
    def shapes(self) -> tuple[EventShape, ...]:
        """All event shapes of all contracts."""
        return tuple(shape for contract in self.contracts for shape in contract.shapes)

    @cached_property
    def by_event(self) -> dict[tuple[str, str], EventShape]:
        """Event shape of each (source, event type)."""
        return {(shape.source, event): shape for shape in self.shapes for event in shape.events}


def leaves(node: Node) -> Iterator[Field]:
    """All fields below a node, depth first."""
    if isinstance(node, Field):
        yield node
    elif isinstance(node, ArrayNode):
        yield from leaves(node.items)
    else:
        for child in node.children.values():
            yield from leaves(child)


def bundled_contract_files() -> list[Path]:
    """The contract files that ship with Cofferdam, in name order."""
    folder = resources.files("schemas") / "contracts"
    return sorted(Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_contracts(files: Iterable[Path] | None = None) -> ContractSet:
    """Load contract files (the bundled ones by default) and refuse what the pipeline could not trust.

    Raises:
        ConfigurationError: With code CONTRACT_INVALID and the first problems, by file and field.
    """
    from schemas.contract_reading import read_contract_set

    return read_contract_set(list(files) if files is not None else bundled_contract_files())


def as_mapping(value: Any) -> dict[str, Any]:
    """A mapping with text keys, or an empty one."""
    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else {}
