"""The catalogue of contracts: for every field where it travels, what protects it, and where to find it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.classification import Lane, Protection
from schemas.contract import EventShape, Field
from schemas.tables import TELEMETRY
from schemas.telemetry import telemetry_tables

DROPPED = "none"
"""Lane of a value that is not stored at all."""

COLUMNS = ("field", "lane", "classification", "protection", "kind", "identifies", "unit", "bounds", "column")


@dataclass(frozen=True)
class CatalogueEntry:
    """One field as a reviewer reads it; see `COLUMNS` for what a catalogue shows of it.

    Attributes:
        field: Dotted path; `[]` stands for an array's elements.
        lane: Where the value travels under its protection: service, metadata, content or none (dropped).
        classification: What the contract says it is.
        protection: What happens to it.
        kind: Kind under which it is sealed, empty if it is not.
        unit: Unit of a number or timestamp, empty without.
        bounds: What of it may be kept, empty where nothing is.
        column: Telemetry table and column, or the role in the envelope; empty where nothing is kept.
        identifies: Identifier type, empty where it identifies nobody.
        description: The contract's own words.
    """

    field: str
    lane: str
    classification: str
    protection: str
    kind: str
    unit: str
    bounds: str
    column: str
    identifies: str
    description: str


def travels_in(field: Field) -> str:
    """The lane a value really travels in: a sealed one is content, a pseudonym is metadata."""
    if field.protection is Protection.DROP:
        return DROPPED
    if field.protection is Protection.SEAL:
        return str(Lane.CONTENT)
    return str(field.lane if field.protection is Protection.KEEP else Lane.METADATA)


def bounds_of(field: Field) -> str:
    """In words what a kept value may be; a fragment that is cut out of a sealed text counts too."""
    if field.cut is not None:
        return f"after {field.cut.after!r}: {_one_of(field.cut.values)}"
    if field.protection is not Protection.KEEP:
        return ""
    if field.values is not None:
        return _one_of(field.values)
    if field.pattern is not None:
        return f"/{field.pattern}/, at most {field.max_length} characters"
    if field.minimum is not None and field.maximum is not None:
        return f"{_plain(field.minimum)} to {_plain(field.maximum)}"
    return field.logical_type if field.logical_type in ("boolean", "timestamp") else ""


def _one_of(values: Sequence[object]) -> str:
    told = (str(value) or "(empty)" for value in values)
    return f"one of {', '.join(told)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def entries_of(shape: EventShape) -> list[CatalogueEntry]:
    """The catalogue's entries of a shape, in the contract's order."""
    columns = {
        field.path: f"{table.name.removeprefix(f'{TELEMETRY}/')}.{field.column}"
        for table in telemetry_tables(shape)
        for field in table.columns
    }
    roles = {path: f"envelope: {role}" for role, path in shape.envelope.items()}
    places = {shape.type_at: "envelope: type", **roles, **columns}
    return [_entry(field, places.get(field.path, "")) for field in shape.fields]


def _entry(field: Field, place: str) -> CatalogueEntry:
    return CatalogueEntry(
        field=field.dotted,
        lane=travels_in(field),
        classification=field.classification,
        protection=str(field.protection),
        kind=_kinds(field) if field.protection is Protection.SEAL else "",
        unit=field.unit or "",
        bounds=bounds_of(field),
        column=place,
        identifies=field.identifies or "",
        description=field.description,
    )


def _kinds(field: Field) -> str:
    if field.kind_by is None:
        return field.kind
    kinds = sorted({*field.kind_by.kinds.values(), field.kind_by.otherwise})
    return f"by {field.kind_by.sibling}: {', '.join(kinds)}"


def catalogue(shapes: Iterable[EventShape]) -> list[dict[str, Any]]:
    """The catalogue as plain data: tables with their event types and fields, for JSON."""
    return [
        {
            "table": shape.table,
            "source": shape.source,
            "contract": shape.contract_label,
            "description": shape.description,
            "events": list(shape.events),
            "fields": [asdict(entry) for entry in entries_of(shape)],
        }
        for shape in shapes
    ]


def catalogue_markdown(shapes: Iterable[EventShape]) -> str:
    """The catalogue as Markdown, a section and a table for each telemetry table."""
    return "\n".join(line for shape in shapes for line in _section(shape))


def _section(shape: EventShape) -> list[str]:
    rows = [[str(getattr(entry, name)) for name in COLUMNS] for entry in entries_of(shape)]
    return [
        f"## {shape.table}",
        "",
        *([_cell(shape.description), ""] if shape.description else []),
        f"Source {shape.source}, contract {shape.contract_label}. Event types: {', '.join(shape.events)}.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{' --- |' * len(COLUMNS)}",
        *(f"| {' | '.join(map(_cell, row))} |" for row in rows),
        "",
    ]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")
