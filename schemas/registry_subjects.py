"""Aliases and attributes of people: which identifiers belong to one person, and what the rules ask of them.

The file has one JSON object a line: ``{"person": "p1", "identifiers": [{"type": "email", "value": "…"}, …],
"region": "eu", "age": "adult", "relation": "guest", "opt_out": false}``. A person may stand in several lines;
the identifiers add up. Whatever two lines say differently is not believed: an identifier of two people
identifies nobody, and an attribute with two values has none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.consent_record import ID_PATTERN, Principal, faulty_field
from schemas.consent_sets import AGES, RELATIONS
from schemas.registry_files import MALFORMED, RegistryProblem
from schemas.strict_json import RecordFault, parse_strict

ALIAS_CONFLICT: Final = "ALIAS_CONFLICT"
ATTRIBUTE_CONFLICT: Final = "ATTRIBUTE_CONFLICT"
_EMAIL: Final = "email"

if TYPE_CHECKING:
    Age: TypeAlias = str
    Relation: TypeAlias = str
else:
    Age = Literal[AGES]
    Relation = Literal[RELATIONS]


class Conflict(Enum):
    """An identifier that several people claim; it identifies nobody."""

    CONFLICT = "conflict"


CONFLICT: Final = Conflict.CONFLICT


class _SubjectEntry(Struct, forbid_unknown_fields=True, kw_only=True):
    person: Annotated[str, Meta(pattern=ID_PATTERN)]
    identifiers: Annotated[list[Principal], Meta(min_length=1, max_length=1000)]
    region: Annotated[str, Meta(pattern=r"^[a-z]{2,16}(-[a-z]{2,16})*$(?!\n)")] | UnsetType = UNSET
    age: Age | UnsetType = UNSET
    relation: Relation | UnsetType = UNSET
    opt_out: bool | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the registry says of a person; None where it says nothing or two things.

    Attributes:
        region: Region, as profiles name it.
        age: Age class.
        relation: Relation to the controller.
        opt_out: Whether the person has objected to any further use of metadata, as by a browser's signal.
    """

    region: str | None = None
    age: str | None = None
    relation: str | None = None
    opt_out: bool | None = None


@dataclass(frozen=True)
class SubjectRegister:
    """The people of a registry, found by any of their identifiers."""

    _claims: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict, repr=False)
    _attributes: Mapping[str, Attributes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self._attributes)

    def person_of(self, identifier_type: str, value: str | int) -> str | Conflict | None:
        """The person behind an identifier: an id, `CONFLICT` if several claim it, None if nobody does."""
        claims = self.claimants(identifier_type, value)
        if len(claims) > 1:
            return CONFLICT
        return claims[0] if claims else None

    def claimants(self, identifier_type: str, value: str | int) -> tuple[str, ...]:
        """Ids of all people that an identifier is linked to, sorted.

        A no under an identifier that several people claim may be any of theirs.
        """
        return self._claims.get((identifier_type, canonical_identifier(identifier_type, value)), ())

    def attributes_of(self, person: str) -> Attributes:
        """What is known of a person; everything None for somebody who is not registered."""
        return self._attributes.get(person, Attributes())

    def regions(self) -> frozenset[str]:
        """Every region that somebody is placed in."""
        return frozenset(each.region for each in self._attributes.values() if each.region is not None)

    def links(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Type, canonical value and claimants of every identifier."""
        for (identifier_type, value), claims in self._claims.items():
            yield identifier_type, value, claims


def canonical_identifier(identifier_type: str, value: str | int) -> str:
    """The one text that stands for an identifier: NFC; an e-mail address also trimmed and case-folded.

    >>> canonical_identifier("email", " Ada@Example.ORG")
    'ada@example.org'
    """
    text = str(value)
    if identifier_type == _EMAIL:
        text = unicodedata.normalize("NFD", text.strip()).casefold()
    return unicodedata.normalize("NFC", text)


def read_subjects(name: str, data: bytes) -> tuple[SubjectRegister, list[RegistryProblem]]:
    """The register of people, and every problem of its file.

    Args:
        name: The file's name as messages give it.
        data: Its bytes.
    """
    reader = _Reader(name)
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            reader.take(number, line)
    claims = {identifier: tuple(sorted(people)) for identifier, people in reader.claims.items()}
    return SubjectRegister(claims, reader.attributes), sorted(reader.problems)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self.claims: dict[tuple[str, str], set[str]] = {}
        self.attributes: dict[str, Attributes] = {}
        self.problems: list[RegistryProblem] = []
        self._stated: dict[str, Attributes] = {}

    def take(self, number: int, line: bytes) -> None:
        try:
            parse_strict(line, keep_below=0)
            entry = msgspec.json.decode(line, type=_SubjectEntry)
        except RecordFault:
            self._note(number, "", MALFORMED, "not one strict JSON object")
            return
        except msgspec.MsgspecError as error:
            where = faulty_field(str(error))
            self._note(
                number,
                where,
                MALFORMED,
                "missing, unknown here or not of the form described in docs/consent.md",
            )
            return
        self._link(number, entry)
        self._describe(number, entry)

    def _link(self, number: int, entry: _SubjectEntry) -> None:
        for place, each in enumerate(entry.identifiers):
            key = (each.identifier_type, canonical_identifier(each.identifier_type, each.value))
            people = self.claims.setdefault(key, set())
            people.add(entry.person)
            if len(people) > 1:
                message = (
                    "an earlier line links this identifier to another person; until one of the two is "
                    "removed, it identifies nobody and holds what it is about"
                )
                self._note(number, f"identifiers.{place}", ALIAS_CONFLICT, message, is_advice=True)

    def _describe(self, number: int, entry: _SubjectEntry) -> None:
        known = self._stated.get(entry.person)
        if known is None:
            stated_at_first = {
                name: value for name in Attributes.__slots__ if (value := getattr(entry, name)) is not UNSET
            }
            first = Attributes(**stated_at_first)
            self._stated[entry.person] = self.attributes[entry.person] = first
            return
        believed = self.attributes[entry.person]
        for name in Attributes.__slots__:
            stated = getattr(entry, name)
            if stated is UNSET:
                continue
            earlier = getattr(known, name)
            if earlier is None:
                known, believed = replace(known, **{name: stated}), replace(believed, **{name: stated})
            elif earlier != stated:
                believed = replace(believed, **{name: None})
                message = "an earlier line says something else of this person; neither is believed"
                self._note(number, name, ATTRIBUTE_CONFLICT, message, is_advice=True)
        self._stated[entry.person], self.attributes[entry.person] = known, believed

    def _note(self, number: int, where: str, code: str, message: str, *, is_advice: bool = False) -> None:
        self.problems.append(RegistryProblem(self._name, number, where, code, message, is_advice))
