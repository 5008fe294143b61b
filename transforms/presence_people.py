"""Who a participant is: identifiers of one event, resolved through the aliases that the registry attests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from transforms.roster import JOIN_ID_SUFFIX

Persons: TypeAlias = Mapping[str, "str | None"]
"""Join pseudonym of an identifier to the key of the registered person behind it, None if several claim it.

An identifier that is not in it, or that stands for itself, is registered for nobody and its own person.
"""

_UNIDENTIFIED: Final = "unidentified:"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a set of identifiers stands for.

    Attributes:
        key: Unlike that of anybody else in the meeting; the person's own key where there is only one.
        keys: Keys under which the person's records lie, sorted. A no under any of them is the person's.
        identified: Whether it is one person who can be asked. The records of another are not read.
    """

    key: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    identified: bool


def identify(pseudonyms: Iterable[str], persons: Persons, visit: str | None = None) -> Identity:
    """The person behind the identifiers that one event gives.

    Identifiers of two registered people, or one that several people claim, identify nobody. Identifiers that
    the registry does not know are believed to be this person's: who was there is what rosters say.

    Args:
        pseudonyms: Join pseudonyms of the identifiers; per-join ids are none.
        persons: Registered persons.
        visit: The visit, to tell people apart who cannot be identified.

    >>> identify(["aa", "bb"], {"aa": "p1"})
    Identity(identified=True)
    >>> identify(["aa", "bb"], {"aa": "p1", "bb": "p2"}).identified
    False
    """
    given = sorted(set(pseudonyms))
    found = {each: persons.get(each, each) for each in given}
    registered = {person for each, person in found.items() if person not in (each, None)}
    keys = tuple(sorted({person for person in found.values() if person is not None}))
    if given and len(registered) <= 1 and None not in found.values():
        return Identity("+".join(keys), keys, True)
    return Identity(
        _UNIDENTIFIED + "+".join([*given, *([] if visit is None else [f"@{visit}"])]), keys, False
    )


def stable_pseudonyms(subjects: Iterable[Mapping[str, Any]] | None) -> frozenset[str]:
    """The identifiers in a roster row that name a person and not a visit.

    Args:
        subjects: ``{"type": …, "pseudonym": …}`` each.
    """
    return frozenset(
        one["pseudonym"]
        for one in subjects or ()
        if one is not None
        and one["pseudonym"]
        and one["type"] is not None
        and not one["type"].endswith(JOIN_ID_SUFFIX)
    )
