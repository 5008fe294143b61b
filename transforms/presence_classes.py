"""Classes of a meeting's items, and the people that each class concerns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.consent_sets import CONTENT_LIKE, ROOTS_BY_KIND

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom items of the meeting concern.

    Attributes:
        key: Unlike that of anybody else in the meeting; the person's own key where there is only one.
        keys: Keys under which the person's records lie, sorted; all of them are the person's.
        identified: Whether the person can be asked; if not, no record is read.
        regions: Regions that events claim for the person; they are among those of the classes already.
    """

    key: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    identified: bool
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Objection:
    """A refusal that came with an item: it proves nothing and must not be ignored.

    Attributes:
        people: Places of the sender in the list of people; empty if nobody knows who objects, so that it
            may be anybody.
        purposes: Purposes that it names, sorted; ``*`` where it names none.
    """

    people: tuple[int, ...]
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemClass:
    """What the items of one class have in common.

    Attributes:
        class_id: 32 hexadecimal digits, over all else that is here and the people's keys.
        meeting: Join pseudonym, None for items of no meeting.
        tenant: Join pseudonym, None if the items name none.
        kind: Kind of content.
        labels: Values of the columns that were asked to split classes.
        regions: Regions that events claim for the items, the meeting or the people, sorted.
        recorded_end: When the recording ended (ns since 1970), or an instant on the same side of all that it
            is compared with; None if nothing is known.
        roots: What the items come from: what their kind comes from, and whatever else is known of it, sorted.
        lineage_known: Whether all that is said of it can be read.
        doubts: Why the roster is not believed, in a closed set of words, sorted; none if it is complete.
        objection: A refusal that came with the items.
        presence: The people, one bit each.
    """

    class_id: str
    meeting: str | None = field(repr=False)
    tenant: str | None = field(repr=False)
    kind: str
    labels: tuple[Any, ...]
    regions: tuple[str, ...]
    recorded_end: int | None
    roots: tuple[str, ...]
    lineage_known: bool
    doubts: tuple[str, ...]
    objection: Objection | None
    presence: int = field(repr=False)

    @property
    def roster_complete(self) -> bool:
        """Whether it is attested that nobody else was there."""
        return not self.doubts


def roots_of(kind: str, derived_from: Iterable[str | None]) -> tuple[tuple[str, ...], bool]:
    """What an item of a kind comes from, and whether all that is said of it can be read.

    What is said adds to what its kind comes from, and never takes away: each kind that is named counts, and
    so does what that one comes from in turn.

    >>> roots_of("embedding", ["transcript"])
    (('audio', 'embedding', 'transcript'), True)
    >>> roots_of("chat", ["rumour"])
    (('chat',), False)
    """
    named = set(derived_from)
    known = {each for each in named if each is not None and each in CONTENT_LIKE}
    roots = {ROOTS_BY_KIND.get(each, each) for each in (kind, *known)} | known
    return tuple(sorted(roots)), known == named


@dataclass(frozen=True)
class MeetingClasses:
    """The classes of a meeting's items.

    Attributes:
        people: Everybody whom an item concerns, sorted by key.
        classes: The classes, sorted by id.
        class_of: For each item the place of its class.
    """

    people: tuple[Person, ...] = field(repr=False)
    classes: tuple[ItemClass, ...]
    class_of: Numbers = field(repr=False)

    def people_of(self, one: ItemClass) -> Numbers:
        """Places of the people whom a class concerns, ascending."""
        return places_of(one.presence, len(self.people))

    def items_by_class(self) -> list[Numbers]:
        """Places of the items of each class, ascending, in the order of the classes."""
        order = np.argsort(self.class_of, kind="stable")
        bounds = np.searchsorted(self.class_of[order], np.arange(len(self.classes) + 1))
        return [order[start:end] for start, end in pairwise(bounds.tolist())]


def places_of(bits: int, people: int) -> Numbers:
    """Places of the people whose bit is set."""
    octets = np.frombuffer(bits.to_bytes(people // 8 + 1, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(octets, bitorder="little"))
