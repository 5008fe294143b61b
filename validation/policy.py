"""Jurisdiction profiles as data, and how profiles that apply together become one.

A profile states what a region asks before an item may be used for a purpose. Profiles are merged field by
field to the strictest value, so that adding a region can only ask for more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Final

STRICTEST: Final = "strictest"
"""The profile for whoever cannot be placed."""

RULES: Final = ("prohibited", "consent_all", "authorised_case", "one_party_notice", "opt_out", "necessary")
ORDERED_VALUES: Final[dict[str, tuple[object, ...]]] = {
    "party_scope": ("present", "featured"),
    "special": ("written_release", "explicit", "express"),
    "biometric": ("written_release", "explicit", "express"),
    "minor_ai_training": ("block", "guardian_separate"),
    "traffic_rule": ("consent_all", "opt_out"),
    "terminal_rule": ("consent", "none"),
    "employee": ("attest", "flag"),
    "third_party_mention": ("redact", "flag"),
    "transfer": ("mechanism", None),
    "capture_prior_all": (True, False),
    "biometric_retention_policy": (True, False),
}
"""Fields with a fixed set of values; the order of strictness itself is data of the policies."""

UNION_FIELDS: Final = ("vague_purposes", "sector")


@dataclass(frozen=True, slots=True)
class Profile:
    """What applies to an item: one region's profile with its inheritance resolved, or several merged.

    Attributes:
        regions: Names of the profiles that went into it, sorted.
        rules: Rule of every registered purpose (one of `RULES`).
        prohibited_if: Purpose to the relations to the controller that forbid it.
        max_age_days: Days after which a grant is stale, unless it has ended before; None means never.
        digital_age: Age of digital consent in years; informative, ages are an input.
    """

    regions: tuple[str, ...]
    rules: Mapping[str, str]
    party_scope: str
    assist_mechanisms: frozenset[str]
    special: str
    biometric: str
    biometric_retention_policy: bool
    minor_ai_training: str
    capture_prior_all: bool
    traffic_rule: str
    terminal_rule: str
    vague_purposes: frozenset[str]
    prohibited_if: Mapping[str, frozenset[str]]
    employee: str
    max_age_days: int | None
    third_party_mention: str
    transfer: str | None
    sector: frozenset[str]
    digital_age: int

    def as_json(self) -> dict[str, Any]:
        """The profile as plain JSON values, lists sorted."""
        values = {name: getattr(self, name) for name in ORDERED_VALUES}
        values |= {name: sorted(getattr(self, name)) for name in (*UNION_FIELDS, "assist_mechanisms")}
        values["prohibited_if"] = {purpose: sorted(who) for purpose, who in self.prohibited_if.items() if who}
        return {
            **values,
            "regions": list(self.regions),
            "purposes": dict(self.rules),
            "max_age_days": self.max_age_days,
            "digital_age": self.digital_age,
        }


@dataclass(frozen=True, slots=True)
class Floor:
    """What holds in every region.

    Attributes:
        consent_all_purposes: Purposes that always need everybody's own express consent and the tenant's yes.
        express: Mechanisms that express a choice.
        skew_seconds: Seconds that a grant's clock may run ahead.
        min_aggregate_k: People that an aggregate must cover to count as nobody's data.
        max_backdate_days: Days after which a record that arrives late needs an import attestation.
    """

    consent_all_purposes: frozenset[str]
    express: tuple[str, ...]
    skew_seconds: int
    min_aggregate_k: int
    max_backdate_days: int

    def as_json(self) -> dict[str, Any]:
        """The floor as plain JSON values."""
        return {
            "consent_all_purposes": sorted(self.consent_all_purposes),
            "express": list(self.express),
            "skew_seconds": self.skew_seconds,
            "min_aggregate_k": self.min_aggregate_k,
            "max_backdate_days": self.max_backdate_days,
        }


@dataclass(frozen=True, slots=True)
class LawfulBasis:
    """The basis of a purpose in a region and the article that it rests on."""

    basis: str
    article: str


@dataclass(frozen=True)
class Policies:
    """All profiles of one policy version.

    Attributes:
        order: Values of each ordered field (and `rule`), strictest first.
        floor: What holds everywhere.
        base_purposes: Registered purposes with the rule that a silent profile takes.
        profiles: Profile of each region, inheritance resolved.
        bases: (purpose, region) to its lawful basis.
        titles: Region or purpose to its plain name.
        pins: Hashes that the policies and their suites must have, if they are pinned.
    """

    order: Mapping[str, tuple[object, ...]]
    floor: Floor
    base_purposes: Mapping[str, str]
    profiles: Mapping[str, Profile]
    bases: Mapping[tuple[str, str], LawfulBasis]
    titles: Mapping[str, str]
    pins: Mapping[str, Any] | None = None
    _merged: dict[frozenset[str], Profile] = field(default_factory=dict, repr=False, compare=False)

    @property
    def age_limits(self) -> tuple[int, ...]:
        """Every age in days at which some profile calls a grant stale, rising."""
        return tuple(sorted({p.max_age_days for p in self.profiles.values() if p.max_age_days is not None}))

    @property
    def policy_hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of everything that a decision depends on."""
        return canonical_hash(
            {
                "order": {name: list(values) for name, values in self.order.items()},
                "floor": self.floor.as_json(),
                "base_purposes": dict(self.base_purposes),
                "profiles": {name: profile.as_json() for name, profile in self.profiles.items()},
                "bases": sorted([*key, b.basis, b.article] for key, b in self.bases.items()),
            }
        )

    def merged(self, regions: Iterable[str]) -> Profile:
        """The strictest value of every field over some regions.

        Args:
            regions: Names of profiles, at least one.

        Raises:
            ValueError: No region was given.
            KeyError: A region has no profile.
        """
        names = frozenset(regions)
        if not names:
            raise ValueError("profiles are merged over at least one region")
        if names not in self._merged:
            profiles = [self.profiles[name] for name in sorted(names)]
            self._merged[names] = reduce(self._stricter, profiles)
        return self._merged[names]

    def _stricter(self, one: Profile, other: Profile) -> Profile:
        ordered = {
            name: self._strictest(name, getattr(one, name), getattr(other, name)) for name in ORDERED_VALUES
        }
        ages = [p.max_age_days for p in (one, other) if p.max_age_days is not None]
        return Profile(
            **ordered,
            regions=tuple(sorted({*one.regions, *other.regions})),
            rules={p: self._strictest("rule", one.rules[p], other.rules[p]) for p in one.rules},
            assist_mechanisms=one.assist_mechanisms & other.assist_mechanisms,
            vague_purposes=one.vague_purposes | other.vague_purposes,
            prohibited_if=_union(one.prohibited_if, other.prohibited_if),
            sector=one.sector | other.sector,
            max_age_days=min(ages, default=None),
            digital_age=max(one.digital_age, other.digital_age),
        )

    def _strictest(self, name: str, one: Any, other: Any) -> Any:
        return min(one, other, key=self.order[name].index)


def _union(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    nobody: frozenset[str] = frozenset()
    return {p: one.get(p, nobody) | other.get(p, nobody) for p in sorted({*one, *other})}


def canonical_hash(value: object) -> str:
    """SHA-256 (hex) of a JSON value in canonical form: sorted keys, no spaces, UTF-8.

    >>> canonical_hash({"b": 1, "a": 2}) == canonical_hash({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
