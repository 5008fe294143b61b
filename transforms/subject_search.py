"""Who a person is who asks what is held about them, and how a store names them.

The same search finds the person that an erasure uses. An identifier that several people claim finds nobody:
what is under it may be another's, and is held back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from schemas.contract import ContractSet
from schemas.errors import ConfigurationError
from schemas.registry import Registry
from transforms.consent_intake import PERSON_TYPE
from transforms.erase_reach import Identifier, Reach, Space, Spaces, identifiers_of
from transforms.erase_search import StoreSearch, TelemetryNames, with_visits
from transforms.roster import JOIN_ID_SUFFIX

_ROWS_AT_ONCE: Final = 4096


@dataclass(frozen=True)
class Person:
    """Somebody who asks.

    Attributes:
        asked: The identifier that was given.
        name: Id in the registry, None for somebody whom it does not have.
        identifiers: All identifiers that are this person's and nobody else's.
        held_back: Number, by type, of identifiers that others claim, too; nothing under them is given out.
    """

    asked: Identifier
    name: str | None
    identifiers: tuple[Identifier, ...] = field(repr=False)
    held_back: Counter[str]


def person_of(registry: Registry, asked: Identifier) -> Person:
    """The person behind an identifier.

    Raises:
        ConfigurationError: Several people claim it (``SUBJECT_AMBIGUOUS``), or it names a visit and nobody
            (``SUBJECT_IS_A_VISIT``).
    """
    if asked.type.endswith(JOIN_ID_SUFFIX):
        message = "an identifier of this type names one visit of a meeting and no person; give another one"
        raise ConfigurationError("SUBJECT_IS_A_VISIT", message)
    identifiers = tuple(identifiers_of(registry, asked))
    name = registry.person_of(asked.type, asked.value)
    known = name if isinstance(name, str) else None
    shared = (
        kind
        for kind, _, claims in registry.subjects.links()
        if known is not None and known in claims and len(claims) > 1
    )
    return Person(asked, known, identifiers, Counter(shared))


@dataclass(frozen=True)
class Found:
    """How a store names a person.

    Attributes:
        reach: Pseudonyms in both spaces, with visits.
        keys: What decisions call the person: the registered person's own pseudonym, and the identifiers'.
    """

    reach: Reach
    keys: frozenset[str] = field(repr=False)


def find_person(search: StoreSearch, contracts: ContractSet, spaces: Spaces, person: Person) -> Found:
    """The pseudonyms of a person under every epoch, and their visits."""
    named = list(person.identifiers)
    join = with_visits(search, Space(spaces.join(named)))
    reach = Reach(join, Space(spaces.telemetry(named)))
    reach = Reach(join, TelemetryNames(search, contracts).learn(reach))
    own = [Identifier(PERSON_TYPE, person.name)] if person.name is not None else []
    return Found(reach, join.people | spaces.join(own))


@dataclass(frozen=True)
class Section:
    """A part of what is held about a person.

    Attributes:
        name: Its name in the archive, made of words of ours.
        title: What it is, in a few words.
        about: What it says and what was left out, in a sentence or two.
        rows: Its rows: a table, whose columns explain themselves, or objects.
    """

    name: str
    title: str
    about: str
    rows: pa.Table | Sequence[Mapping[str, Any]] = field(repr=False)

    def __len__(self) -> int:
        return self.rows.num_rows if isinstance(self.rows, pa.Table) else len(self.rows)

    def pieces(self) -> Iterator[Sequence[Mapping[str, Any]]]:
        """The rows as objects, some at a time: as such they take many times their size in memory."""
        if not isinstance(self.rows, pa.Table):
            yield self.rows
            return
        for start in range(0, self.rows.num_rows, _ROWS_AT_ONCE):
            yield self.rows.slice(start, _ROWS_AT_ONCE).to_pylist()
