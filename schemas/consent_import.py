"""Take records of another system through a mapping file, line by line, all of them or none.

A mapping says for each field of a record where its value comes from: a column (``from``), one fixed
``value``, or a column through a table of ``values``. A word that the table does not know refuses the import:
a guess could turn a no into a yes, and a line left out could be a withdrawal. Messages name lines and fields,
never a value.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import yaml
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.consent_building import BUILDING_FIELDS, build_record
from schemas.consent_record import ID_PATTERN, IDENTIFIER_TYPE_PATTERN, faulty_field
from schemas.consent_rows import Identifier
from schemas.consent_signing import read_legible, sign_record
from schemas.errors import ConfigurationError, InfrastructureFault
from schemas.registry import Registry
from schemas.registry_writing import PrivateKey

_LISTS: Final = ("purposes", "kinds", "recipients")
_FLAGS: Final = ("bundled", "conditional", "retroactive", "separate", "no_detriment")
_NOT_AS_DESCRIBED: Final = "missing, unknown here or not as docs/consent.md describes"
_SHOWN_PROBLEMS: Final = 20
_LARGEST: Final = 1 << 30


class Source(Struct, forbid_unknown_fields=True, kw_only=True, rename={"column": "from"}):
    """Where the values of one field come from.

    Attributes:
        column: Column or key of the other system.
        value: A fixed value instead of a column.
        values: The other system's words to ours; a word that is not here refuses the import.
        split: What separates several words in one cell.
        prefix: Put before the value (``meeting:`` for a scope).
        type: Identifier type, for the subject.
        unit: Unit of a time that is a number; without it, times are RFC 3339.
        optional: Whether an empty cell leaves the field out.
    """

    column: str | UnsetType = UNSET
    value: Any = UNSET
    values: dict[str, Any] | UnsetType = UNSET
    split: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    prefix: str = ""
    type: Annotated[str, Meta(pattern=IDENTIFIER_TYPE_PATTERN)] | UnsetType = UNSET
    unit: Literal["s since 1970 UTC", "ms since 1970 UTC"] | UnsetType = UNSET
    optional: bool = False


class Mapping_(Struct, forbid_unknown_fields=True, kw_only=True):  # noqa: N801 - Mapping is typing's
    """A mapping file.

    Attributes:
        source_system: Name of the other system, for the attestation.
        format: csv (with a header line) or jsonl.
        fields: Field of a record to its source.
        tenant: Whose contract decides which terms there are.
    """

    source_system: Annotated[str, Meta(pattern=ID_PATTERN)]
    format: Literal["csv", "jsonl"]
    fields: dict[str, Source]
    tenant: str | None = None


class _UniqueKeys(yaml.SafeLoader):
    """YAML whose mappings name each key once: of two meanings for one word, neither may win unseen."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key occurs twice", node.start_mark)
        return found


class _LineError(Exception):
    """A line that cannot be mapped: the field and what is wrong with it."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where = where
        self.what = what


def load_mapping(path: Path) -> Mapping_:
    """Read a mapping file.

    Raises:
        ConfigurationError: ``MAPPING_INVALID``; names the field.
        InfrastructureFault: ``MAPPING_UNREADABLE``.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 - a safe loader
        mapping = msgspec.convert(document, Mapping_)
    except (OSError, UnicodeDecodeError):
        raise InfrastructureFault(
            "MAPPING_UNREADABLE",
            f"{path} cannot be read as UTF-8 text; check that it exists and its permissions",
        ) from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ConfigurationError("MAPPING_INVALID", f"{path}:{line}: not valid YAML") from None
    except msgspec.ValidationError as error:
        where = faulty_field(str(error)) or "the mapping"
        raise ConfigurationError("MAPPING_INVALID", f"{path}: {where}: {_NOT_AS_DESCRIBED}") from None
    _check_fields(path, mapping)
    return mapping


def _check_fields(path: Path, mapping: Mapping_) -> None:
    for name, source in mapping.fields.items():
        if name not in BUILDING_FIELDS or name in ("ingested_at", "import_attestation"):
            known = ", ".join(each for each in BUILDING_FIELDS if each != "import_attestation")
            raise ConfigurationError(
                "MAPPING_INVALID", f"{path}: fields.{name}: no such field; known: {known}"
            )
        if (source.column is UNSET) == (source.value is UNSET):
            message = f"{path}: fields.{name}: needs either `from` or `value`"
            raise ConfigurationError("MAPPING_INVALID", message)
    subject = mapping.fields.get("subject")
    if subject is None or subject.type is UNSET:
        raise ConfigurationError("MAPPING_INVALID", f"{path}: fields.subject: needs `from` and `type`")


def import_records(
    path: Path, mapping: Mapping_, registry: Registry, signer: PrivateKey, *, ingested_at: str
) -> list[str]:
    """The records of a file of another system, each signed with an attestation of where it came from.

    Args:
        path: The file.
        mapping: How its columns become fields.
        registry: Where terms, purposes and controllers are looked up.
        signer: The attester's key.
        ingested_at: When the records arrive here (RFC 3339).

    Returns:
        Compact JWS, in the order of the lines.

    Raises:
        ConfigurationError: ``IMPORT_REFUSED``: names every line and field that is not understood (up to 20).
        InfrastructureFault: ``IMPORT_UNREADABLE``.
    """
    data = _read(path)
    digest = hashlib.sha256(data).hexdigest()
    tokens, problems = [], []
    for number, cells in _rows(path, data, mapping.format):
        attestation = {
            "source_system": mapping.source_system,
            "source_file_sha256": digest,
            "source_line": number,
            "attester_kid": signer.kid,
        }
        try:
            # An id that depends on the line alone lets the same file be imported twice without harm.
            fields = {"id": f"import-{digest[:32]}-{number}", **_mapped(cells, mapping)}
            fields |= {"ingested_at": ingested_at, "import_attestation": attestation}
            record = build_record(fields, registry, tenant=mapping.tenant)
            tokens.append(sign_record(record, signer.key, signer.kid))
        except _LineError as error:
            problems.append(f"line {number}: {error.where}: {error.what}")
        except ConfigurationError as error:
            problems.append(f"line {number}: {error.message}")
    if problems:
        raise _refused(path, problems)
    return tokens


def _refused(path: Path, problems: list[str]) -> ConfigurationError:
    more = len(problems) - _SHOWN_PROBLEMS
    shown = [*problems[:_SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
    message = f"{path}: nothing was imported; put right the file, or the mapping, for\n  " + "\n  ".join(
        shown
    )
    return ConfigurationError("IMPORT_REFUSED", message)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        raise InfrastructureFault(
            "IMPORT_UNREADABLE", f"{path} cannot be read; check that it exists and its permissions"
        ) from None


def _rows(path: Path, data: bytes, form: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line number (of the last line of a record, in CSV) and cells of each record."""
    if form == "csv":
        yield from _csv_rows(path, data)
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            value, fault = read_legible(line)
            if fault is not None or not isinstance(value, dict):
                raise _refused(path, [f"line {number}: not one strict JSON object"])
            yield number, value


def _csv_rows(path: Path, data: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(_text(path, data), newline=""), strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header) or not header:
            raise _refused(path, ["line 1: the header must name each column once"])
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise _refused(path, [f"line {reader.line_num}: not as many cells as the header has"])
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error:
        raise _refused(path, [f"line {reader.line_num}: not CSV, such as a quotation mark too few"]) from None


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refused(path, [f"line {line}: not UTF-8; save the file as UTF-8"]) from None


def _mapped(cells: Mapping[str, Any], mapping: Mapping_) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, source in mapping.fields.items():
        value = _value(name, source, cells)
        if value is UNSET:
            continue
        if name == "subject":
            value = Identifier(str(source.type), value)
        fields[name] = value
    return fields


def _value(name: str, source: Source, cells: Mapping[str, Any]) -> Any:
    if source.value is not UNSET:
        return source.value
    cell = cells.get(str(source.column), UNSET)
    if cell is UNSET:
        raise _LineError(name, "the line has no such column")
    if cell in ("", None):
        if source.optional:
            return UNSET
        raise _LineError(name, "is empty, and the mapping does not say that it is optional")
    words = cell.split(str(source.split)) if source.split is not UNSET and isinstance(cell, str) else cell
    found = (
        [_word(name, source, each) for each in words]
        if isinstance(words, list)
        else _word(name, source, words)
    )
    return [found] if name in _LISTS and not isinstance(found, list) else found


def _word(name: str, source: Source, word: Any) -> Any:
    text = word.strip() if isinstance(word, str) else word
    if source.values is not UNSET:
        if not isinstance(text, str) or text not in source.values:
            raise _LineError(name, "holds a word that the mapping's `values` do not know")
        text = source.values[text]
    if name in _FLAGS and not isinstance(text, bool):
        raise _LineError(name, "is no boolean; map its words with `values` to true and false")
    if source.unit is not UNSET:
        return _instant(name, text, 1000 if source.unit.startswith("ms") else 1)
    return f"{source.prefix}{text}" if source.prefix else text


def _instant(name: str, value: Any, per_second: int) -> str:
    try:
        seconds, rest = divmod(int(value), per_second)
        moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1_000_000 // per_second)
    except (ValueError, TypeError, OverflowError, OSError):
        raise _LineError(name, "is no whole number of the unit that the mapping states") from None
    return moment.isoformat()
