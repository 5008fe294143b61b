"""Whom and what an erasure is about, under every pseudonym that a store may hold.

A person has one pseudonym under the join key and, in telemetry, one for each epoch and tenant. Raw
identifiers live only in here: what leaves this module are pseudonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import ConfigurationError
from schemas.registry import CONFLICT, Registry
from transforms.consent_intake import MEETING_TYPE
from transforms.keys import ReleaseKeys
from transforms.pseudonyms import TENANT_TYPE, Pseudonymiser, join_pseudonyms, telemetry_pseudonyms
from transforms.release_rules import ReleaseRules
from validation.cases import Case
from validation.item_rules import find_item

ERASURE_REQUESTED: Final = "ERASURE_REQUESTED"
"""The person has asked for it."""

DECLARED_DUE: Final = "DECLARED_DUE"
"""The registry says that the meeting or the tenant is to be erased, or that its retention is over."""

TIME_TO_LIVE_OVER: Final = "TIME_TO_LIVE_OVER"
"""It has been sealed for as long as the policy allows."""

NO_PURPOSE_LEFT: Final = "NO_PURPOSE_LEFT"
"""People have said no, and no registered purpose can still use it."""

WITHDRAWN: Final = "WITHDRAWN"
"""People have said no to a purpose; the copies that were released for it go, the sealed item stays."""

Mask = npt.NDArray[np.bool_]
_Pseudonyms: TypeAlias = "Callable[[Sequence[Identifier]], frozenset[str]]"
_NO_MEETING: Final = "none"
_ANY_KIND: Final = "chat"


class Identifier(NamedTuple):
    """A typed identifier, raw, of a person, a meeting or a tenant.

    Attributes:
        type: Its type.
        value: Its value.
        tenant: The tenant that it belongs to, where that is known; empty for any.
    """

    type: str
    value: str
    tenant: str = ""

    def __repr__(self) -> str:
        return f"<identifier of type {self.type}>"


@dataclass(frozen=True)
class Scope:
    """Meetings and whole tenants under pseudonyms.

    Attributes:
        tenants: Tenants, all of whose meetings are meant.
        meetings: Single meetings.
        spared: Meetings of those tenants that are not meant.
    """

    tenants: frozenset[str] = frozenset()
    meetings: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tenants or self.meetings)

    def mask(self, tenant: pa.ChunkedArray, meeting: pa.ChunkedArray) -> Mask:
        """Which rows are meant, by their columns of tenants and meetings."""
        of_tenant = is_in(tenant, self.tenants) & ~is_in(meeting, self.spared)
        return of_tenant | is_in(meeting, self.meetings)

    @property
    def named(self) -> frozenset[str]:
        """What files that may hold such rows are found by."""
        return self.tenants | self.meetings


@dataclass(frozen=True)
class Space:
    """What an erasure is about in one of the two spaces of pseudonyms.

    Attributes:
        people: Identifiers of people.
        visits: Per-join ids of the same people.
        gone: Meetings and tenants of which everything goes.
        held: Meetings and tenants that are kept for a legal claim; nothing of theirs goes.
    """

    people: frozenset[str] = field(default=frozenset(), repr=False)
    visits: frozenset[str] = field(default=frozenset(), repr=False)
    gone: Scope = field(default=Scope(), repr=False)
    held: Scope = field(default=Scope(), repr=False)

    @property
    def named(self) -> frozenset[str]:
        """What files that may hold such rows are found by."""
        return self.people | self.visits | self.gone.named

    def with_people(self, people: Iterable[str] = (), visits: Iterable[str] = ()) -> Space:
        """The same with more people."""
        return replace(self, people=self.people.union(people), visits=self.visits.union(visits))


@dataclass(frozen=True)
class Reach:
    """What an erasure is about, in rosters and quarantine (`join`) and in telemetry."""

    join: Space
    telemetry: Space


def is_in(column: pa.ChunkedArray | pa.Array, values: Iterable[str | bytes]) -> Mask:
    """Which values of a column are among some; a null is none of them."""
    if not values:
        return np.zeros(len(column), dtype=bool)
    found = pc.is_in(column, value_set=pa.array(list(values), column.type))
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    mask: Mask = np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)
    return mask


def read_subject(text: str) -> Identifier:
    """The identifier that ``TYPE:ID`` names.

    Raises:
        ConfigurationError: ``SUBJECT_INVALID``; the message does not repeat it.
    """
    kind, separator, value = text.partition(":")
    if not kind or not separator or not value.strip() or not _is_unicode(text):
        message = (
            "--subject is TYPE:ID, such as zoom.user_id:… or email:…, with the type as contracts name it"
        )
        raise ConfigurationError("SUBJECT_INVALID", message)
    return Identifier(kind, value)


def _is_unicode(text: str) -> bool:
    """Whether text holds no lone surrogate, as which bytes of an argument that are no UTF-8 arrive."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def identifiers_of(registry: Registry, subject: Identifier) -> list[Identifier]:
    """All identifiers of a person: those that the registry links to nobody else.

    Raises:
        ConfigurationError: ``SUBJECT_AMBIGUOUS``: several people claim the identifier; whose data would go
            is not known.
    """
    person = registry.person_of(subject.type, subject.value)
    if person is CONFLICT:
        message = "the registry links this identifier to several people; remove what is wrong, then run again"
        raise ConfigurationError("SUBJECT_AMBIGUOUS", message)
    if person is None:
        return [subject]
    own = (
        Identifier(kind, value) for kind, value, claims in registry.subjects.links() if claims == (person,)
    )
    return sorted({subject, *own})


class Spaces:
    """Makes the pseudonyms of both spaces, telemetry's under every epoch and tenant.

    Args:
        keys: The release side's keys.
        tenants: Raw tenant ids that telemetry may be of.

    Raises:
        ConfigurationError: ``KEYS_WITHOUT_EPOCHS``: telemetry could not be searched.
    """

    def __init__(self, keys: ReleaseKeys, tenants: Iterable[str]) -> None:
        if not keys.epoch_roots:
            message = (
                "this release side holds no pseudonym epochs, so nobody could be found in telemetry; make a "
                "key directory that has them with `cofferdam keys init --continues`"
            )
            raise ConfigurationError("KEYS_WITHOUT_EPOCHS", message)
        self._join = join_pseudonyms(keys)
        self._epochs = [telemetry_pseudonyms(keys, epoch_id=epoch) for epoch in keys.epoch_roots]
        self._tenants: tuple[str | None, ...] = (None, *sorted(set(tenants)))

    @property
    def join_key(self) -> Pseudonymiser:
        """Pseudonyms under the join key."""
        return self._join

    def join(self, identifiers: Iterable[Identifier]) -> frozenset[str]:
        """Pseudonyms under the join key."""
        return frozenset(self._join.pseudonym(one.value, identifier_type=one.type) for one in identifiers)

    def telemetry(self, identifiers: Sequence[Identifier]) -> frozenset[str]:
        """Pseudonyms under every epoch and tenant; a tenant's own belongs to no tenant."""
        return frozenset(
            epoch.pseudonym(one.value, identifier_type=one.type, tenant=tenant)
            for epoch in self._epochs
            for one in identifiers
            for tenant in self._tenants_of(one)
        )

    def _tenants_of(self, one: Identifier) -> tuple[str | None, ...]:
        if one.type == TENANT_TYPE:
            return (None,)
        return (None, one.tenant) if one.tenant else self._tenants


def find_reach(
    registry: Registry, rules: ReleaseRules, spaces: Spaces, people: Iterable[Identifier], *, due: bool
) -> Reach:
    """What an erasure is about.

    Args:
        registry: The registry.
        rules: The same as decisions need it.
        spaces: Makes the pseudonyms.
        people: Identifiers of the people who have asked for erasure.
        due: Whether meetings and tenants whose erasure or end of retention is registered go, too.
    """
    states = dict(_states(registry, rules, spaces.join_key))
    held = _scope(states, "held")
    gone = _scope(states, "due") if due else _RawScope()
    named = sorted(set(people))
    return Reach(_space(spaces.join, named, gone, held), _space(spaces.telemetry, named, gone, held))


def _space(pseudonyms: _Pseudonyms, people: Sequence[Identifier], gone: _RawScope, held: _RawScope) -> Space:
    return Space(pseudonyms(people), gone=gone.under(pseudonyms), held=held.under(pseudonyms))


class _RawScope(NamedTuple):
    tenants: tuple[Identifier, ...] = ()
    meetings: tuple[Identifier, ...] = ()
    spared: tuple[Identifier, ...] = ()

    def under(self, pseudonyms: _Pseudonyms) -> Scope:
        return Scope(*(pseudonyms(part) for part in self))


def _states(
    registry: Registry, rules: ReleaseRules, pseudonyms: Pseudonymiser
) -> Iterator[tuple[tuple[str, str | None], str]]:
    """Of each tenant and each meeting that is declared about: held, due or kept."""
    for tenant, entry in registry.tenants.items():
        own = pseudonyms.pseudonym(tenant, identifier_type=TENANT_TYPE)
        yield (tenant, None), _state(rules, own, _NO_MEETING)
        for meeting in entry.meetings:
            yield (
                (tenant, meeting),
                _state(rules, own, pseudonyms.pseudonym(meeting, identifier_type=MEETING_TYPE)),
            )


def _state(rules: ReleaseRules, tenant: str, meeting: str) -> str:
    purpose = next(iter(sorted(rules.policies.base_purposes)))
    fields = rules.item_fields(tenant, meeting, _ANY_KIND, purpose)
    item = {**fields, "subjects": [], "recorded_end": rules.request.as_of}
    words = find_item(Case(item, [], rules.general, rules.request.as_of), rules.policies).words
    if words["hold"] != "none":
        return "held"
    return "due" if words["erasure"] == "requested" or words["retention"] == "over" else "kept"


def _scope(states: Mapping[tuple[str, str | None], str], state: str) -> _RawScope:
    tenants = {tenant for (tenant, meeting), found in states.items() if meeting is None and found == state}
    declared = {
        Identifier(MEETING_TYPE, meeting, tenant): found
        for (tenant, meeting), found in states.items()
        if meeting is not None
    }
    return _RawScope(
        tuple(Identifier(TENANT_TYPE, each) for each in sorted(tenants)),
        tuple(sorted(one for one, found in declared.items() if found == state)),
        tuple(sorted(one for one, found in declared.items() if found != state and one.tenant in tenants)),
    )
