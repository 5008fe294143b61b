"""Facts: the closed vocabulary in which the rules tell the suites what they found.

A fact row has one word for every column, out of the column's closed set; no nulls, no numbers, no text from
an event. The first word of each set is the one that nothing is wrong with. There are two kinds of rows:

- a person's row: one person with one candidate grant (or with none), for one item and purpose;
- an item's row: the item as a whole, with what the persons' verdicts came to.

Facts are findings, not judgements: which mechanism was used, not whether it suffices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from schemas.consent_sets import RELATIONS, WEAK_MECHANISMS
from validation.policy import Policies

FactRow = tuple[str, ...]
"""Words in the order of the columns of its kind."""

UNREAD: Final = "unread"
NOT_CONCERNED: Final = "not_concerned"
UNKNOWN: Final = "unknown"
NO_RELATION: Final = "no_relation"
ILLEGIBLE: Final = "illegible"
BEYOND: Final = "beyond_all_limits"
CONSENT: Final = "consent"
NECESSARY: Final = "necessary"
CASE: Final = "authorised_case"
ROUTES: Final = (CONSENT, NECESSARY, CASE)
"""How a profile's rule lets a purpose go on: with everybody's consent, as necessary, or case by case."""

KEPT_COLUMNS: Final = {
    "BACKDATED": "backdated_only",
    "FUTURE_DATED": "future_dated_only",
    "KEY_REVOKED": "revoked_key_only",
    "SIGNATURE_INVALID": "bad_signature_only",
    "SIGNATURE_KEY_UNKNOWN": "unknown_key_only",
    "WRONG_CONTROLLER": "other_controller_only",
}
"""Codes of dropped rows to the columns that say that only such rows are left of a person."""

ENDING_COLUMNS: Final = {
    "WITHDRAWN": "withdrawn",
    "REFUSED": "refused",
    "CONSENT_INVALIDATED": "invalidated",
    "CONFLICTING_RECORDS": "conflicting",
    "DISPUTED_WITHDRAWAL": "disputed",
    "RECORD_ID_COLLISION": "colliding",
}
"""Codes that end a person's case before any grant is read, to their columns."""

_YES_NO: Final = ("no", "yes")


def age_word(days: int) -> str:
    """The word for a grant that is at most so many days old."""
    return f"within_{days}_days"


def use_word(purpose: str, route: str) -> str:
    """The word for a purpose on a route."""
    return f"{purpose}/{route}"


def relations_word(relations: frozenset[str]) -> str:
    """The word for the relations that occur among the people of an item."""
    return "+".join(sorted(relations)) or NO_RELATION


@dataclass(frozen=True)
class FactTable:
    """The columns of one kind of fact row.

    Attributes:
        kind: person or item.
        columns: Column to its closed set, the clean word first.
    """

    kind: str
    columns: Mapping[str, tuple[str, ...]]
    _clean: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_clean", {name: words[0] for name, words in self.columns.items()})

    @property
    def names(self) -> tuple[str, ...]:
        """Columns in order."""
        return tuple(self.columns)

    def row(self, findings: Mapping[str, str]) -> FactRow:
        """A row with these findings, clean in every other column."""
        return tuple({**self._clean, **findings}.values())


def person_table(policies: Policies) -> FactTable:
    """The columns of a person's row under these policies."""
    purposes = tuple(policies.base_purposes)
    mechanisms = (UNREAD, *policies.floor.express, *WEAK_MECHANISMS, UNKNOWN)
    return FactTable(
        "person",
        {
            "identity": ("known", "unidentified"),
            **dict.fromkeys(ENDING_COLUMNS.values(), _YES_NO),
            **dict.fromkeys(KEPT_COLUMNS.values(), _YES_NO),
            "candidate": ("grant", "waiting", "dropped", "absent", UNREAD),
            "named_purpose": (UNREAD, *purposes, "another"),
            "kind_cover": ("covered", "uncovered"),
            "scope_cover": ("covered", "uncovered"),
            "recipient_cover": ("covered", "uncovered"),
            "grantor": ("self", "host_self", "guardian", "host_for_another", "other"),
            "minority": (
                "adult",
                "guarded",
                "guarded_training_separate",
                "guarded_training_joint",
                "unguarded",
            ),
            "own_mechanism": mechanisms,
            "assist_mechanism": mechanisms,
            "bundled": _YES_NO,
            "conditional": _YES_NO,
            "terms": (UNREAD, "active", "compatible", "material", "unregistered"),
            "terms_start": ("reached", "ahead"),
            "notice": ("archived", "other"),
            "valid_from": ("reached", "ahead"),
            "age": (UNREAD, *map(age_word, policies.age_limits), BEYOND),
            "ended": _YES_NO,
            "after_recording": ("no", "covered", "uncovered"),
            "special_form": (NOT_CONCERNED, "written_release", "explicit_statement", "other"),
            "template_form": (NOT_CONCERNED, "written_release", "explicit_statement", "express", "other"),
            "template_retention": (NOT_CONCERNED, "stated", "missing"),
            "employment": (NOT_CONCERNED, "attested", "unattested"),
        },
    )


def item_table(policies: Policies) -> FactTable:
    """The columns of an item's row under these policies."""
    purposes = tuple(policies.base_purposes)
    return FactTable(
        "item",
        {
            "shape": ("valid", "invalid"),
            "hold": ("none", "held"),
            "erasure": ("none", "requested", ILLEGIBLE),
            "retention": ("running", "over", ILLEGIBLE),
            "purpose": (UNREAD, *purposes, "unregistered"),
            "lane": (UNREAD, "service", "content", UNKNOWN),
            "allow_list": ("kept", "left"),
            "lineage": ("plain_or_proven", "unproven"),
            "kind": ("placed", "unplaced", "unplaced_but_moved"),
            "transfer": ("none", "with_mechanism", "without_mechanism"),
            "plaintext": ("expected", "breaks_end_to_end"),
            "capture": (NOT_CONCERNED, "all_prior", "some", "none"),
            "use": (UNREAD, *(use_word(p, route) for p in purposes for route in ROUTES)),
            "relations": _relation_words(),
            "recipient": (NOT_CONCERNED, "inside", "outside"),
            "case": (NOT_CONCERNED, "authorised", "unauthorised"),
            "tenant": (NOT_CONCERNED, "authorised", "unauthorised"),
            "health": ("clear", "unauthorised"),
            "education": ("clear", "unconsented"),
            "mentions": ("clear", "unredacted"),
            "roster": ("complete", "incomplete"),
            "people": (NOT_CONCERNED, "present", "nobody"),
            "agreement": (NOT_CONCERNED, "everybody", "some", "nobody"),
            "device_data": (NOT_CONCERNED, "aggregated", *_asked("optional"), *_asked("personal")),
            "traffic_data": _asked("metadata", NOT_CONCERNED),
            "opt_outs": (NOT_CONCERNED, "none", "some"),
        },
    )


def _asked(what: str, *first: str) -> tuple[str, ...]:
    outcomes = ("agreed", "not_agreed", "not_asked", "nobody")
    return (*first, *(f"{what}_{outcome}" for outcome in outcomes))


def _relation_words() -> tuple[str, ...]:
    relations = (*RELATIONS, ILLEGIBLE)
    some = (frozenset(c) for size in range(len(relations) + 1) for c in combinations(relations, size))
    return tuple(map(relations_word, some))
