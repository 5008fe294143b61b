"""Registry files: read once, held to their pinned hash, and read strictly with a line for every problem.

A registry is a folder. ``registry.json`` names its files and pins the SHA-256 of each; the bytes that were
hashed are the bytes that are parsed. A message names the file, the line and the field, never a person.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from schemas.consent_record import HASH_PATTERN, faulty_field
from schemas.errors import CofferdamError, ConfigurationError, InfrastructureFault
from schemas.places import Place
from schemas.strict_json import RecordFault, Value, parse_strict

REGISTRY_FILE: Final = "registry.json"
FORMAT_VERSION: Final = 1
PARTS: Final = ("keys", "terms", "purposes", "tenants", "subjects")
"""What every registry holds."""
POLICIES: Final = "policies"
"""What a registry may hold besides; without it, the shipped policies apply."""

UNREADABLE: Final = "REGISTRY_UNREADABLE"
MALFORMED: Final = "REGISTRY_MALFORMED"
PIN_MISMATCH: Final = "REGISTRY_PIN_MISMATCH"

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99})?")
_LARGEST: Final = 1 << 30
_T = TypeVar("_T")

Path_ = tuple["str | int", ...]


@dataclass(frozen=True, order=True, slots=True)
class RegistryProblem:
    """Something to put right in a registry or a file of records.

    Attributes:
        file: The file, relative to the registry.
        line: Line, from 1; 0 where the file as a whole is meant.
        field: Dotted path of the entry, empty for the whole.
        code: Stable code.
        message: What is wrong and what to do.
        is_advice: Whether the registry loads all the same.
    """

    file: str
    line: int
    field: str
    code: str
    message: str
    is_advice: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The problem as it is written to JSON."""
        return asdict(self)

    def as_error(self) -> CofferdamError:
        """The problem as the error that stops a run."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        named = f"{where}: {self.field}: " if self.field else f"{where}: "
        error = InfrastructureFault if self.code == UNREADABLE else ConfigurationError
        return error(self.code, f"{named}{self.message}")


class FileError(Exception):
    """A registry file that cannot be read on; carries its problem."""

    def __init__(self, problem: RegistryProblem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Pin(Struct, forbid_unknown_fields=True):
    """A file of the registry and the SHA-256 that its bytes must have."""

    path: str
    sha256: Annotated[str, Meta(pattern=HASH_PATTERN)]


class Pins(Struct, forbid_unknown_fields=True):
    """What ``registry.json`` says."""

    format_version: int
    files: dict[str, Pin]


@dataclass(frozen=True)
class JsonFile:
    """A JSON file that was read strictly, and where its values stand.

    Attributes:
        name: The file's name as messages give it.
        data: Its bytes.
        value: The JSON value.
    """

    name: str
    data: bytes = field(repr=False)
    value: Any = field(repr=False)
    _tree: Value = field(repr=False)

    @classmethod
    def parse(cls, name: str, data: bytes) -> JsonFile:
        """Read a file that is one strict JSON object.

        Raises:
            FileError: It is not, with the line.
        """
        try:
            tree = parse_strict(data)
            value = msgspec.json.decode(data)
        except RecordFault as fault:
            line = _line_at(data, fault.position)
            advice = "a key occurs twice" if fault.code == "DUPLICATE_KEY" else "not valid JSON from here on"
            raise FileError(RegistryProblem(name, line, "", MALFORMED, advice)) from None
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise FileError(RegistryProblem(name, 1, "", MALFORMED, "not valid JSON")) from None
        if not isinstance(value, dict):
            raise FileError(RegistryProblem(name, 1, "", MALFORMED, "must be a JSON object"))
        return cls(name, data, value, tree)

    def line_of(self, path: Path_) -> int:
        """Line of the value at a path, or of the nearest one around it."""
        value = self._tree
        for step in path:
            inner = _child(value, step)
            if inner is None:
                break
            value = inner
        return _line_at(self.data, value.start)

    def problem(
        self, path: Path_, message: str, code: str = MALFORMED, *, is_advice: bool = False
    ) -> RegistryProblem:
        """A problem of the value at a path."""
        where = ".".join(map(str, path))
        return RegistryProblem(self.name, self.line_of(path), where, code, message, is_advice)

    def typed(self, path: Path_, value: object, wanted: type[_T]) -> _T:
        """A part of the file as a type.

        Raises:
            FileError: It does not fit; names the field.
        """
        try:
            return msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            inner = faulty_field(str(error))
        except (ValueError, TypeError, RecursionError):
            inner = ""
        steps = tuple(step for step in re.split(r"[.\[\]]+", inner) if step)
        message = "missing, unknown here or not of the form described in docs/consent.md"
        raise FileError(self.problem((*path, *steps), message)) from None

    def entries(self, *path: str) -> Iterator[tuple[Path_, str, Any]]:
        """Path, name and value of each entry of the object at a path.

        Raises:
            FileError: There is no object.
        """
        value = self.value
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if not isinstance(value, dict):
            raise FileError(self.problem(path, "must be a JSON object with an entry for each name"))
        for name, entry in value.items():
            yield (*path, name), name, entry

    def unknown_members(self, known: tuple[str, ...]) -> Iterator[RegistryProblem]:
        """Problems of members that nobody reads: a misspelt one would silently be left out."""
        for name in self.value:
            if name not in known:
                yield self.problem((name,), f"no such entry; known: {', '.join(known)}")


def _child(value: Value, step: str | int) -> Value | None:
    if value.members is not None:
        return dict(value.members).get(str(step).encode())
    if value.items is not None and str(step).isdecimal() and int(step) < len(value.items):
        return value.items[int(step)]
    return None


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def read_bytes(directory: Place, name: str) -> bytes:
    """The bytes of a file of the registry.

    Raises:
        FileError: It cannot be read, or its name could lead out of the registry.
    """
    if not _FILE_NAME.fullmatch(name):
        message = "must be the plain name of a file in the registry or in one folder below it"
        raise FileError(RegistryProblem(REGISTRY_FILE, 0, "", MALFORMED, message))
    try:
        with (directory / name).open("rb") as file:
            return file.read(_LARGEST)
    except OSError:
        message = f"cannot be read in {directory}; check that it exists and its permissions"
        raise FileError(RegistryProblem(name, 0, "", UNREADABLE, message)) from None


def read_pins(directory: Place) -> tuple[Pins, bytes]:
    """The pins of a registry, and the bytes of ``registry.json``.

    Raises:
        FileError: It cannot be read, or is not of its form.
    """
    data = read_bytes(directory, REGISTRY_FILE)
    file = JsonFile.parse(REGISTRY_FILE, data)
    pins = file.typed((), file.value, Pins)
    if pins.format_version != FORMAT_VERSION:
        raise FileError(file.problem(("format_version",), f"must be {FORMAT_VERSION}"))
    missing = sorted(set(PARTS) - set(pins.files))
    unknown = sorted(set(pins.files) - {*PARTS, POLICIES})
    if missing or unknown:
        raise FileError(file.problem(("files",), f"needs {', '.join(PARTS)}; {POLICIES} may be added"))
    for part, pin in pins.files.items():
        if not _FILE_NAME.fullmatch(pin.path):
            message = "must be the plain name of a file in this folder or in one folder below it"
            raise FileError(file.problem(("files", part, "path"), message))
    return pins, data


def check_pin(part: str, pin: Pin, data: bytes) -> RegistryProblem | None:
    """The problem of a file whose bytes are not the pinned ones."""
    if sha256_hex(data) == pin.sha256:
        return None
    message = (
        "its SHA-256 is not the one pinned in registry.json; look at what changed, and if it is right, "
        "run `cofferdam consent pin`"
    )
    return RegistryProblem(pin.path, 0, part, PIN_MISMATCH, message)


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def pinned_json(files: Mapping[str, str], hashes: Mapping[str, str]) -> bytes:
    """The bytes of ``registry.json``.

    Args:
        files: Part to file name.
        hashes: Part to SHA-256.
    """
    pins = {part: {"path": files[part], "sha256": hashes[part]} for part in files}
    return msgspec.json.format(msgspec.json.encode({"format_version": FORMAT_VERSION, "files": pins})) + b"\n"
