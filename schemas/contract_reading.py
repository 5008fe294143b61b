"""From an ODCS document to `schemas.contract`, with every problem found on the way."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject, SchemaProperty
from pydantic import ValidationError

from schemas.classification import (
    CLASSIFICATIONS,
    UNCLASSIFIED_KIND,
    Protection,
    allowed_protections,
    default_protection,
)
from schemas.contract import (
    ENVELOPE_ROLES,
    ITEMS,
    ROSTER_EVENTS,
    SOURCES,
    ArrayNode,
    Contract,
    ContractSet,
    EventShape,
    Field,
    Node,
    ObjectNode,
    as_mapping,
)
from schemas.contract_fields import (
    RESERVED_COLUMNS,
    Naming,
    element_depth,
    field_faults,
    read_cut,
    read_kind_by,
)
from schemas.contract_signals import WORDS, read_deletions, read_made_from, read_spans, signal_faults
from schemas.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a contract: where, what, and what to do."""

    file: str
    where: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.code}: {self.message}"


_Documents = dict[Path, OpenDataContractStandard | None]
"""Documents by path, None where one cannot be read (its problem has been noted)."""


def read_contract_set(files: list[Path]) -> ContractSet:
    """Read contract files; raise ConfigurationError (CONTRACT_INVALID) when any has a problem."""
    contracts, problems = read_contracts(files)
    if problems:
        shown = "; ".join(str(problem) for problem in problems[:5])
        rest = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ConfigurationError(
            "CONTRACT_INVALID", f"{shown}{rest}. Run `cofferdam contracts lint` to see all of them."
        )
    return ContractSet(tuple(contracts))


def read_contracts(files: Iterable[Path]) -> tuple[list[Contract], list[Problem]]:
    """Read contract files and collect the problems of all of them."""
    problems: list[Problem] = []
    documents: _Documents = {}
    read = [(path, document) for path in files if (document := _document_at(path, documents, problems))]
    contracts = [
        contract
        for path, document in read
        if _property(document, "role") != "shapes"
        and (contract := _Reader(path, document, documents, problems).read())
    ]
    problems.extend(_clashes(contracts))
    return contracts, problems


def _document_at(
    path: Path, documents: _Documents, problems: list[Problem]
) -> OpenDataContractStandard | None:
    """A document, read once however many contracts refer to its shapes."""
    place = path.resolve()
    if place not in documents:
        documents[place] = _read_document(path, problems)
    return documents[place]


def _read_document(path: Path, problems: list[Problem]) -> OpenDataContractStandard | None:
    try:
        raw = yaml.load(path.read_bytes(), Loader=_LOADER)  # noqa: S506 - a safe loader
        return OpenDataContractStandard.model_validate(raw)
    except OSError as error:
        reason = error.strerror or "unreadable"
        problems.append(Problem(path.name, "-", "FILE_UNREADABLE", f"cannot be read ({reason})"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else "-"
        problems.append(Problem(path.name, line, "NOT_YAML", "is not YAML; see the line named"))
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False)[:5]:
            where = ".".join(str(step) for step in fault["loc"])
            problems.append(Problem(path.name, where, "NOT_ODCS", str(fault["msg"])))
    return None


def _property(holder: Any, name: str) -> Any:
    for entry in getattr(holder, "customProperties", None) or ():
        if entry.property == name:
            return entry.value
    return None


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(str(entry) for entry in value) if isinstance(value, (list, tuple)) else ()


def _dotted(text: Any) -> tuple[str, ...]:
    return tuple(str(text).split(".")) if text else ()


def _clashes(contracts: list[Contract]) -> list[Problem]:
    seen: dict[tuple[str, ...], str] = {}
    problems = []
    for contract in contracts:
        for shape in contract.shapes:
            claims = [("table", shape.table), *(("event", shape.source, event) for event in shape.events)]
            for claim in claims:
                other = seen.setdefault(claim, contract.id)
                if other is not contract.id or claims.count(claim) > 1:
                    message = f"{claim[0]} {claim[-1]} is described twice (also in {other})"
                    problems.append(Problem(contract.path, shape.table, "DESCRIBED_TWICE", message))
    return problems


class _Reader:
    """Reads one contract document."""

    def __init__(
        self,
        path: Path,
        document: OpenDataContractStandard,
        documents: _Documents,
        problems: list[Problem],
    ) -> None:
        self._path = path
        self._document = document
        self._documents = documents
        self._problems = problems
        self._shapes: dict[str, SchemaObject] = {}
        self._open_shapes: list[Any] = []

    def read(self) -> Contract | None:
        before = len(self._problems)
        document = self._document
        source = str(_property(document, "source") or "")
        if source not in SOURCES:
            self._problem("customProperties.source", "UNKNOWN_SOURCE", f"must be one of {', '.join(SOURCES)}")
        type_at = _dotted(_property(document, "typeAt"))
        if not type_at:
            self._problem("customProperties.typeAt", "MISSING", "names the key that holds the event type")
        if not document.id or not document.version:
            self._problem("id", "MISSING", "a contract needs an id and a version")
        self._load_shared_shapes()
        shapes = [self._event_shape(entry, source, type_at) for entry in document.schema_ or ()]
        if len(self._problems) > before:
            return None
        return Contract(
            id=str(document.id),
            name=str(document.name or document.id),
            version=str(document.version),
            source=source,
            family=str(_property(document, "family") or document.id),
            path=self._path.name,
            shapes=tuple(shapes),
        )

    def _problem(self, where: str, code: str, message: str) -> None:
        self._problems.append(Problem(self._path.name, where, code, message))

    def _load_shared_shapes(self) -> None:
        for name in _strings(_property(self._document, "shapes")):
            document = _document_at(self._path.parent / name, self._documents, self._problems)
            for entry in (document.schema_ or ()) if document else ():
                self._shapes[str(entry.name)] = entry

    def _event_shape(self, entry: SchemaObject, source: str, type_at: tuple[str, ...]) -> EventShape:
        table = str(entry.name or "")
        if not _NAME.fullmatch(table):
            self._problem(table, "BAD_NAME", "a table is named in lower case letters, digits and underscores")
        prefix = _dotted(_property(entry, "prefix"))
        envelope = {
            role: _dotted(path) for role, path in as_mapping(_property(entry, "envelope")).items() if path
        }
        root = self._object(entry.properties or (), table, (), Naming(prefix, envelope, type_at))
        words = {word: _property(entry, word) for word in WORDS}
        report = partial(self._problem, table)
        shape = EventShape(
            table=table,
            description=str(entry.description or ""),
            source=source,
            contract=str(self._document.id),
            version=str(self._document.version),
            type_at=type_at,
            events=_strings(_property(entry, "events")),
            prefix=prefix,
            envelope=envelope,
            roster={key: str(value) for key, value in as_mapping(_property(entry, "roster")).items()},
            root=root,
            deletions=read_deletions(words, report),
            made_from=read_made_from(words, report),
            spans=read_spans(words, report),
        )
        self._check_shape(shape)
        return shape

    def _check_shape(self, shape: EventShape) -> None:
        paths = {entry.path for entry in shape.fields}
        if not shape.events:
            self._problem(shape.table, "NO_EVENTS", "names the event types that have this shape")
        if shape.type_at not in paths:
            self._problem(
                shape.table, "NO_TYPE_FIELD", f"the field {'.'.join(shape.type_at)} is not described"
            )
        for role, path in shape.envelope.items():
            if role not in ENVELOPE_ROLES:
                self._problem(shape.table, "UNKNOWN_ROLE", f"envelope role {role} is not known")
            elif path not in paths and role != "consent":
                self._problem(
                    shape.table, "ROLE_WITHOUT_FIELD", f"envelope.{role} names no field of the shape"
                )
        for event, word in shape.roster.items():
            if word not in ROSTER_EVENTS or event not in shape.events:
                self._problem(
                    shape.table, "BAD_ROSTER", f"roster entry {event} names no event or no known word"
                )
        for code, message in signal_faults(shape):
            self._problem(shape.table, code, message)
        self._check_columns(shape)

    def _check_columns(self, shape: EventShape) -> None:
        seen: dict[tuple[str, str], str] = {}
        for entry in shape.fields:
            if entry.column is None:
                continue
            table = ".".join(entry.path[: element_depth(entry.path)])
            reserved = "every table's own" if entry.column in RESERVED_COLUMNS else entry.dotted
            other = seen.setdefault((table, entry.column), reserved)
            if other != entry.dotted:
                self._problem(entry.dotted, "COLUMN_CLASH", f"shares the column {entry.column} with {other}")
            if not _NAME.fullmatch(entry.column):
                self._problem(entry.dotted, "BAD_NAME", f"cannot be a column name: {entry.column}")

    def _object(
        self, entries: Iterable[SchemaProperty], where: str, path: tuple[str, ...], naming: Naming
    ) -> ObjectNode:
        children: dict[str, Node] = {}
        aliases: dict[str, str] = {}
        for entry in entries:
            name = str(entry.name or "")
            if not name or name in children:
                self._problem(f"{where}.{name}", "BAD_NAME", "a field needs a name of its own")
                continue
            children[name] = self._node(entry, f"{where}.{name}", (*path, name), naming)
            aliases.update(dict.fromkeys(_strings(_property(entry, "aliases")), name))
        return ObjectNode(children, aliases)

    def _node(self, entry: SchemaProperty, where: str, path: tuple[str, ...], naming: Naming) -> Node:
        if entry.classification:
            return self._field(entry, where, path, naming)
        if entry.logicalType == "array" and entry.items is not None:
            if entry.items.classification:
                return self._field(entry.items, where, path, naming, is_list=True)
            return ArrayNode(self._described(entry.items, where, (*path, ITEMS), naming))
        if entry.logicalType == "object":
            return self._described(entry, where, path, naming)
        self._problem(where, "UNCLASSIFIED", "has no classification: say what it is, or content.unclassified")
        return ObjectNode({})

    def _described(
        self, entry: SchemaProperty, where: str, path: tuple[str, ...], naming: Naming
    ) -> ObjectNode:
        shape = _property(entry, "shape")
        if shape is not None and shape in self._open_shapes:
            self._problem(where, "ENDLESS_SHAPE", f"the shape {shape} holds itself")
            return ObjectNode({})
        self._open_shapes.append(shape)
        node = self._object(self._members(entry, where), where, path, naming)
        self._open_shapes.pop()
        return node

    def _members(self, entry: SchemaProperty, where: str) -> list[SchemaProperty]:
        members = list(entry.properties or ())
        name = _property(entry, "shape")
        if name is not None:
            shared = self._shapes.get(str(name))
            if shared is None:
                self._problem(where, "UNKNOWN_SHAPE", f"no shapes file of this contract describes {name}")
            else:
                members.extend(shared.properties or ())
        if not members:
            self._problem(where, "UNCLASSIFIED", "an object without described fields needs a classification")
        return members

    def _field(
        self,
        entry: SchemaProperty,
        where: str,
        path: tuple[str, ...],
        naming: Naming,
        is_list: bool = False,
    ) -> Field:
        classification = str(entry.classification)
        if classification not in CLASSIFICATIONS:
            self._problem(where, "UNKNOWN_CLASSIFICATION", f"{classification} is not a classification")
            classification = f"content.{UNCLASSIFIED_KIND}"
        protection = self._protection(entry, where, classification)
        options: Mapping[str, Any] = entry.logicalTypeOptions or {}
        values = _property(entry, "values")
        made = Field(
            path=path,
            logical_type=str(entry.logicalType or "any"),
            classification=classification,
            protection=protection,
            aliases=_strings(_property(entry, "aliases")),
            description=str(entry.description or ""),
            unit=_optional_text(_property(entry, "unit")),
            text_form=_optional_text(_property(entry, "textForm")),
            accepts=(*_strings(_property(entry, "accepts")), *naming.also_accepted(path)),
            values=tuple(values) if isinstance(values, list) else None,
            pattern=_optional_text(options.get("pattern")),
            max_length=self._bound(options, "maxLength", where, int),
            minimum=self._bound(options, "minimum", where, (int, float)),
            maximum=self._bound(options, "maximum", where, (int, float)),
            identifies=_optional_text(_property(entry, "identifies")),
            kind_by=read_kind_by(_property(entry, "kindBy"), partial(self._problem, where)),
            cut=read_cut(_property(entry, "cut"), partial(self._problem, where)),
            is_list=is_list,
            column=naming.column(path, protection, bool(_property(entry, "cut"))),
        )
        opaque = _property(entry, "opaque") == "id"
        for code, message in field_faults(made, never_kept=naming.is_never_kept(path), opaque=opaque):
            self._problem(where, code, message)
        return made

    def _bound(
        self, options: Mapping[str, Any], name: str, where: str, types: type | tuple[type, ...]
    ) -> Any:
        """A number among the options; a text or a truth value there would be compared with data later."""
        value = options.get(name)
        is_number = isinstance(value, types) and not isinstance(value, bool)
        if value is None or (is_number and math.isfinite(value)):
            return value
        self._problem(where, "BAD_BOUNDS", f"{name} must be a number")
        return None

    def _protection(self, entry: SchemaProperty, where: str, classification: str) -> Protection:
        stated = _property(entry, "protection")
        protection = default_protection(classification) if stated is None else stated
        if protection is None:
            self._problem(where, "PROTECTION_MISSING", "a secret must say whether it is sealed or dropped")
        elif protection not in allowed_protections(classification):
            self._problem(where, "PROTECTION_REFUSED", f"{protection} is not allowed for {classification}")
        else:
            return Protection(protection)
        return Protection.SEAL


def _optional_text(value: Any) -> str | None:
    return None if value is None else str(value)
