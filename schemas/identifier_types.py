"""Identifier types that contracts know, and notes on those of registries and records that none uses.

A person who is registered, or has agreed, under a type that no contract gives its events is found by nobody:
the records are in order, and everything stays held. That is no fault of a file, but worth knowing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from schemas.consent_signing import RecordVerifier
from schemas.contract import ContractSet
from schemas.registry import Registry
from schemas.registry_files import RegistryProblem

UNUSED_TYPE: Final = "IDENTIFIER_TYPE_UNUSED"
_OF_A_VISIT: Final = ".join_id"
"""What types of per-join ids end with; they name one visit and nobody."""


def types_of(contracts: ContractSet) -> frozenset[str]:
    """The identifier types under which contracts find people."""
    fields = (field for shape in contracts.shapes for field in shape.fields)
    named = {field.identifies for field in fields if field.identifies is not None}
    return frozenset(name for name in named if not name.endswith(_OF_A_VISIT))


def unused_in_registry(name: str, registry: Registry, known: frozenset[str]) -> Iterator[RegistryProblem]:
    """A note for each type of identifier in the register of people that no contract uses.

    Args:
        name: Name of the file of people.
        registry: The registry.
        known: Types that contracts use.
    """
    numbers: dict[str, int] = defaultdict(int)
    for kind, _, _ in registry.subjects.links():
        numbers[kind] += 1
    for kind in sorted(set(numbers) - known):
        yield _note(name, 0, f"type {kind}", f"{numbers[kind]} identifiers are of it")


def unused_in_records(name: str, lines: Iterable[bytes], known: frozenset[str]) -> Iterator[RegistryProblem]:
    """A note for each type of identifier in a file of records that no contract uses, at its first line.

    Args:
        name: Name of the file.
        lines: Its lines.
        known: Types that contracts use.
    """
    reader = RecordVerifier({})  # without keys nothing is verified, only read
    found: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        subject = reader.verify(line, number).subject if line.strip() else None
        if subject is not None and subject.type not in known:
            found[subject.type].append(number)
    for numbers in sorted(found.values()):
        yield _note(
            name, numbers[0], "pii_principal_id.type", f"{len(numbers)} records are about such people"
        )


def _note(name: str, line: int, where: str, how_many: str) -> RegistryProblem:
    message = (
        f"no contract finds people under this type, so nobody is found by it ({how_many}); "
        "check its spelling, or give --contracts"
    )
    return RegistryProblem(name, line, where, UNUSED_TYPE, message, is_advice=True)
