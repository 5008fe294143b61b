"""Lint contracts: everything that loading refuses, and what a careful reviewer would refuse besides.

Each problem names the file, the line, the field and what to do. Nothing here reads an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import (
    CustomProperty,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

from schemas.classification import Lane
from schemas.contract import as_mapping, bundled_contract_files
from schemas.contract_marks import (
    Marked,
    MarkedContract,
    MarkedField,
    MarkedTable,
    Place,
    custom,
    listed,
    read_marked,
)
from schemas.contract_reading import Problem, read_contracts
from schemas.contract_rules import (
    CONTRACT_WORDS,
    FIELD_RULES,
    FIELD_WORDS,
    TABLE_WORDS,
    Surroundings,
    source_lane,
    strictest,
)
from schemas.errors import ConfigurationError

_UNREADABLE = ("FILE_UNREADABLE", "NOT_YAML", "NOT_ODCS")
_LOGICAL_TYPES = ("string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean")
_TIME_UNITS = ("ms since 1970 UTC", "s since 1970 UTC")


@dataclass(frozen=True, order=True)
class LintProblem:
    """Something to put right in a contract file.

    Attributes:
        file: The file as it was named.
        line: Line of the entry.
        field: Table and dotted path, or what else is meant.
        code: Stable code.
        message: What is wrong and what to do.
    """

    file: str
    line: int
    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The problem as it is written to JSON."""
        return asdict(self)


def contract_files(named: Iterable[Path]) -> list[Path]:
    """The contract files that are meant by files and folders (the bundled ones if none is named).

    Raises:
        ConfigurationError: NO_CONTRACTS, a name that does not exist or a folder without contracts.
    """
    names = list(named)
    if not names:
        return bundled_contract_files()
    files: list[Path] = []
    for name in names:
        found = sorted([*name.glob("*.yaml"), *name.glob("*.yml")]) if name.is_dir() else [name]
        if not found or not all(file.is_file() for file in found):
            raise ConfigurationError("NO_CONTRACTS", f"no contract file at {name}; name a file or folder")
        files.extend(found)
    return list(dict.fromkeys(files))


def lint_contracts(files: Iterable[Path]) -> list[LintProblem]:
    """All problems of contract files, in the order of files and lines.

    A problem inside a shared shape is named once, in the shapes file, however many tables use the shape.
    """
    paths = list(files)
    marked = {path: contract for path in paths if (contract := read_marked(path))}
    _, found = read_contracts(paths)
    problems = [_located(problem, paths, marked) for problem in found]
    broken = {problem.file for problem in problems if problem.code in _UNREADABLE}
    sound = [contract for path, contract in marked.items() if str(path) not in broken]
    for contract in sound:
        problems.extend(_lint_one(contract))
    problems.extend(_unused_shapes(sound))
    unique = {
        (each.file, each.line, each.code, each.message): each for each in sorted(problems, reverse=True)
    }
    return sorted(unique.values())


def _located(problem: Problem, paths: list[Path], marked: Mapping[Path, MarkedContract]) -> LintProblem:
    path = next((path for path in paths if path.name == problem.file), Path(problem.file))
    contract = marked.get(path) or MarkedContract(path, Marked())
    place = contract.find(problem.where)
    return LintProblem(place.file, max(place.line, 1), problem.where, problem.code, problem.message)


def _lint_one(contract: MarkedContract) -> Iterator[LintProblem]:
    yield from _header(contract)
    yield from _words(contract.root, str(contract.path))
    tables = [] if contract.is_shapes_file else contract.tables()
    lanes = _lanes(tables)
    for table in tables:
        yield from _table(contract, table)
        around = _surroundings(contract, table, lanes)
        for field in table.fields:
            for rule in FIELD_RULES:
                for finding in rule(field, around):
                    yield _at(field.place, field.where, finding.code, finding.message)


def _at(place: Place, where: str, code: str, message: str) -> LintProblem:
    return LintProblem(place.file, place.line, where, code, message)


def _header(contract: MarkedContract) -> Iterator[LintProblem]:
    root, place = contract.root, Place(str(contract.path), contract.root.line)
    if root.get("kind") != "DataContract":
        yield _at(place, "kind", "BAD_HEADER", "must be DataContract")
    if not str(root.get("apiVersion")).startswith("v3."):
        yield _at(place, "apiVersion", "BAD_HEADER", "must be a version 3 of the standard, such as v3.1.0")


def _words(root: Marked, file: str) -> Iterator[LintProblem]:
    """Words that nobody reads: a misspelt `protection` would silently leave the default in force."""
    yield from _known(root, OpenDataContractStandard, CONTRACT_WORDS, "-", file)
    for table in listed(root, "schema"):
        name = str(table.get("name"))
        yield from _known(table, SchemaObject, TABLE_WORDS, name, file)
        yield from _field_words(listed(table, "properties"), name, file)


def _field_words(entries: list[Marked], where: str, file: str) -> Iterator[LintProblem]:
    for entry in entries:
        below = f"{where}.{entry.get('name')}"
        items = entry.get("items")
        for holder in (entry, items) if isinstance(items, Marked) else (entry,):
            yield from _known(holder, SchemaProperty, FIELD_WORDS, below, file)
            yield from _logical_type(holder, below, file)
            yield from _field_words(listed(holder, "properties"), below, file)


def _known(
    entry: Marked, model: Any, words: Mapping[str, str], where: str, file: str
) -> Iterator[LintProblem]:
    place = Place(file, entry.line)
    allowed = {info.alias or name for name, info in model.model_fields.items()}
    for key in entry.repeated:
        yield _at(place, where, "REPEATED_KEY", f"{key} stands here twice, and only one would count")
    for key in sorted(set(entry) - allowed):
        yield _at(place, where, "UNKNOWN_KEY", f"{key} is no word of the standard here, so nobody reads it")
    for given in listed(entry, "customProperties"):
        name = str(given.get("property"))
        if name not in words or set(given) - set(CustomProperty.model_fields):
            message = f"{name} is no custom property that is read here; one of {', '.join(words)}"
            yield _at(Place(file, given.line), where, "UNKNOWN_PROPERTY", message)
    names = [given.get("property") for given in listed(entry, "customProperties")]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield _at(place, where, "REPEATED_KEY", f"{name} is stated twice, and only one would count")


def _logical_type(entry: Marked, where: str, file: str) -> Iterator[LintProblem]:
    given = entry.get("logicalType")
    if given is None:
        # The standard's JSON Schema takes a field without a type for a map, and refuses it.
        message = "has no logicalType, which the standard asks for; string will do for what is sealed whole"
        yield _at(Place(file, entry.line), where, "MISSING_TYPE", message)
    elif given not in _LOGICAL_TYPES:
        message = f"{given} is no logical type; one of {', '.join(_LOGICAL_TYPES)}"
        yield _at(Place(file, entry.line), where, "BAD_TYPE", message)


def _lanes(tables: list[MarkedTable]) -> dict[str, Lane]:
    """Strictest lane at or below every path of a contract, with and without the table's name."""
    lanes: dict[str, Lane] = {}
    for field in (field for table in tables for field in table.fields):
        lane = source_lane(field.classification)
        for length in range(1, len(field.path) + 1):
            path = ".".join(field.path[:length])
            for name in (path, f"{field.table}.{path}"):
                lanes[name] = strictest(lanes.get(name, lane), lane)
    return lanes


def _envelope(table: MarkedTable) -> dict[str, tuple[str, ...]]:
    given = as_mapping(custom(table.entry, "envelope"))
    return {role: tuple(str(path).split(".")) for role, path in given.items() if path}


def _surroundings(contract: MarkedContract, table: MarkedTable, lanes: dict[str, Lane]) -> Surroundings:
    envelope = _envelope(table)
    type_at = tuple(str(custom(contract.root, "typeAt")).split("."))
    plumbing = {type_at, *(envelope[role] for role in ("id", "source") if role in envelope)}
    prefix = custom(table.entry, "prefix")
    return Surroundings(tuple(str(prefix).split(".")) if prefix else (), frozenset(plumbing), lanes)


def _table(contract: MarkedContract, table: MarkedTable) -> Iterator[LintProblem]:
    fields = {field.path: field for field in table.fields}
    envelope = _envelope(table)
    yield from _roles(table, {role: fields[path] for role, path in envelope.items() if path in fields})
    roster = as_mapping(custom(table.entry, "roster"))
    needed = ["meeting", "time"] if roster else []
    if {"join", "leave", "enter"} & set(map(str, roster.values())):
        needed.append("participant")
    for role in needed:
        if role not in envelope:
            message = f"a roster is built from the envelope's {role}: name its field"
            yield _at(table.place, table.name, "ROSTER_WITHOUT_ROLE", message)
    for holder_path, names in _aliases(table).items():
        for name in names:
            if (*holder_path, name) in fields:
                message = f"the alias {name} is the name of another field of the same object"
                yield _at(table.place, ".".join((table.name, *holder_path)), "ALIAS_CLASH", message)


def _aliases(table: MarkedTable) -> dict[tuple[str, ...], list[str]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for field in table.fields:
        names = custom(field.entry, "aliases")
        found.setdefault(field.path[:-1], []).extend(map(str, names) if isinstance(names, list) else ())
    return found


def _roles(table: MarkedTable, roles: Mapping[str, MarkedField]) -> Iterator[LintProblem]:
    """The envelope's fields must be what their roles make of them."""
    for role, field in roles.items():
        message = None
        if role == "participant" and custom(field.entry, "identifies") is None:
            message = "is the participant: say under which identifier type in identifies"
        elif role in ("tenant", "meeting", "participant") and not field.classification.startswith(
            "identifier."
        ):
            message = f"is the {role}: classify it as an identifier, so that telemetry holds its pseudonym"
        elif role == "time" and not _is_time(field):
            message = f"is the time: a timestamp, or an integer with the unit {' or '.join(_TIME_UNITS)}"
        if message:
            yield _at(field.place, field.where, "BAD_ENVELOPE", message)


def _is_time(field: MarkedField) -> bool:
    given = field.entry.get("logicalType")
    return given == "timestamp" or (given == "integer" and custom(field.entry, "unit") in _TIME_UNITS)


def _unused_shapes(contracts: list[MarkedContract]) -> Iterator[LintProblem]:
    """Shapes that no contract here refers to: nothing checks them, so they may not lie about."""
    used = {str(place) for contract in contracts for place in _shapes_used(contract)}
    for contract in contracts:
        for entry in listed(contract.root, "schema") if contract.is_shapes_file else ():
            if f"{contract.path}:{entry.line}" not in used:
                message = "no contract among these files uses the shape; name them too, or remove it"
                place = Place(str(contract.path), entry.line)
                yield _at(place, str(entry.get("name")), "SHAPE_UNUSED", message)


def _shapes_used(contract: MarkedContract) -> Iterator[str]:
    waiting = [entry for table in listed(contract.root, "schema") for entry in listed(table, "properties")]
    seen: set[str] = set()
    while waiting:
        entry = waiting.pop()
        items = entry.get("items")
        waiting.extend([*listed(entry, "properties"), *([items] if isinstance(items, Marked) else [])])
        name = str(custom(entry, "shape") or "")
        if name in contract.shapes and name not in seen:
            seen.add(name)
            file, shape = contract.shapes[name]
            yield f"{file}:{shape.line}"
            waiting.extend(listed(shape, "properties"))
