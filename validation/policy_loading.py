"""Read policies from files, and refuse whatever could let something through by omission.

A policy file is JSON in the form of `validation/policies/profiles.json`: the order of strictness, the floor,
the registered purposes and one profile a region. A second file, the register of purposes, names the lawful
basis of each purpose in each region. Unknown keys are refused: a misspelt field would else count as absent,
and an absent field has the mildest value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from schemas.consent_sets import RELATIONS, WEAK_MECHANISMS
from schemas.errors import ConfigurationError
from validation.policy import ORDERED_VALUES, RULES, STRICTEST, Floor, LawfulBasis, Policies, Profile

POLICY_FOLDER: Final = Path(__file__).parent / "policies"
SHIPPED_PROFILES: Final = POLICY_FOLDER / "profiles.json"
SHIPPED_PURPOSES: Final = POLICY_FOLDER / "purposes.json"
SHIPPED_PINS: Final = POLICY_FOLDER / "pins.json"

BASES: Final = (
    "consent",
    "contract",
    "legal_obligation",
    "legitimate_interests",
    "legitimate_use",
    "business_purpose",
    "notice",
)
"""Lawful bases, under the names that the regions' laws use for them."""

_MERGES: Final = {
    "max_age_days": "min",
    "digital_age": "max",
    "vague_purposes": "union",
    "sector": "union",
    "prohibited_if": "union",
    "assist_mechanisms": "intersection",
}
_SECTORS: Final = ("hipaa", "ferpa")
_PROSE: Final = ("title", "about", "law")
_INFORMATIVE: Final = ("states", "gpc")
_PROFILE_KEYS: Final = frozenset(("extends", "purposes", *ORDERED_VALUES, *_MERGES, *_PROSE, *_INFORMATIVE))
_FLOOR_NUMBERS: Final = ("skew_seconds", "min_aggregate_k", "max_backdate_days")


def load_policies(
    profiles: Path | None = None, purposes: Path | None = None, pins: Path | None = None
) -> Policies:
    """Read and check a policy file and the register of purposes.

    Args:
        profiles: Policy file; None takes the one that the product ships.
        purposes: Register of purposes; None takes the one that the product ships.
        pins: Hashes that policies and suites must have before anything is decided. None takes those that the
            product ships for its own files; files of one's own are then not pinned.

    Raises:
        ConfigurationError: `POLICY_UNREADABLE`, `POLICY_INVALID`, `POLICY_MOSTLY`, `POLICY_BASIS_MISSING`
            or `POLICY_BELOW_FLOOR`; the message names the field.
    """
    document = read_json_object(profiles or SHIPPED_PROFILES, "policy file")
    register = read_json_object(purposes or SHIPPED_PURPOSES, "register of purposes")
    shipped = profiles is None and purposes is None
    pinned = pins or (SHIPPED_PINS if shipped else None)
    expected = None if pinned is None else read_json_object(pinned, "file of pins")
    return replace(build_policies(document, register), pins=expected)


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object whose keys are unique at every depth.

    Raises:
        ConfigurationError: `POLICY_UNREADABLE`, naming the file.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique_keys)
    except (OSError, ValueError, RecursionError):
        message = f"the {what} {path} cannot be read as JSON with unique keys; check the file"
        raise ConfigurationError("POLICY_UNREADABLE", message) from None
    if not isinstance(value, dict):
        raise ConfigurationError("POLICY_UNREADABLE", f"the {what} {path} is not a JSON object")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def build_policies(document: Mapping[str, Any], register: Mapping[str, Any]) -> Policies:
    """Check a policy document with its register of purposes and resolve inheritance.

    Args:
        document: Content of a policy file.
        register: Content of a register of purposes.

    Raises:
        ConfigurationError: As for `load_policies`.
    """
    _refuse_mostly(document)
    document, register = _without_notes(document), _without_notes(register)
    _check_keys(document, ("order", "floor", "base_purposes", "profiles"), _PROSE, "the policy file")
    order = _order(document["order"])
    floor = _floor(document["floor"])
    base = _base_purposes(document["base_purposes"])
    _each_in(floor.consent_all_purposes, base, "floor.consent_all_purposes")
    raw = _mapping(document["profiles"], "profiles")
    profiles = {name: _profile(name, _resolved(name, raw), order, floor, base) for name in raw}
    if STRICTEST not in profiles:
        raise _invalid("profiles", f"a profile named {STRICTEST} is needed for whoever cannot be placed")
    _check_floor(profiles.values(), floor)
    bases = _bases(base, raw, register)
    return Policies(order, floor, base, profiles, bases, _titles(raw, register))


def _refuse_mostly(value: object) -> None:
    if isinstance(value, Mapping):
        if "mostly" in value:
            message = "a gate suite judges every row; remove `mostly` from the policy file"
            raise ConfigurationError("POLICY_MOSTLY", message)
        for child in value.values():
            _refuse_mostly(child)


def _without_notes(value: Any) -> Any:
    """The value without keys that begin with an underscore, which are remarks for people."""
    if isinstance(value, Mapping):
        return {k: _without_notes(child) for k, child in value.items() if not k.startswith("_")}
    return value


def _order(raw: object) -> dict[str, tuple[object, ...]]:
    given = {k: v for k, v in _mapping(raw, "order").items() if k not in _PROSE}
    known: dict[str, tuple[object, ...]] = {"rule": RULES, **ORDERED_VALUES}
    _check_keys(given, (*known, *_MERGES), (), "order")
    for name, how in _MERGES.items():
        if given[name] != how:
            raise _invalid(f"order.{name}", f"must be {how}")
    for name, values in known.items():
        if not isinstance(given[name], list) or sorted(map(repr, given[name])) != sorted(map(repr, values)):
            raise _invalid(f"order.{name}", "must list each of its values once, strictest first")
    return {name: tuple(given[name]) for name in known}


def _floor(raw: object) -> Floor:
    given = _mapping(raw, "floor")
    _check_keys(given, ("consent_all_purposes", "express", *_FLOOR_NUMBERS), _PROSE, "floor")
    numbers = {name: _whole_number(given[name], f"floor.{name}") for name in _FLOOR_NUMBERS}
    express = _words(given["express"], "floor.express")
    if not express or set(express) & set(WEAK_MECHANISMS):
        raise _invalid("floor.express", "must name express mechanisms and no weak one")
    consent_all = frozenset(_words(given["consent_all_purposes"], "floor.consent_all_purposes"))
    return Floor(consent_all, tuple(dict.fromkeys(express)), **numbers)


def _base_purposes(raw: object) -> dict[str, str]:
    base = _mapping(raw, "base_purposes")
    _each_in(base.values(), RULES, "base_purposes")
    if not base or "" in base:
        raise _invalid("base_purposes", "must name at least one purpose, each with a rule")
    return dict(base)


def _resolved(name: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    chain = _ancestry(name, raw)
    fields: dict[str, Any] = {}
    purposes: dict[str, Any] = {}
    for ancestor in reversed(chain):
        own = _mapping(raw[ancestor], f"profiles.{ancestor}")
        _check_keys(own, (), _PROFILE_KEYS, f"profiles.{ancestor}")
        purposes |= _mapping(own.get("purposes", {}), f"profiles.{ancestor}.purposes")
        fields |= own
    return {**fields, "purposes": purposes}


def _ancestry(name: str, raw: Mapping[str, Any]) -> list[str]:
    """The profile and its parents, nearest first."""
    chain = [name]
    while (parent := _mapping(raw[chain[-1]], f"profiles.{chain[-1]}").get("extends")) is not None:
        if not isinstance(parent, str) or parent not in raw or parent in chain:
            raise _invalid(f"profiles.{chain[-1]}.extends", "must name another profile, without a circle")
        chain.append(parent)
    return chain


def _profile(
    name: str,
    given: Mapping[str, Any],
    order: Mapping[str, tuple[object, ...]],
    floor: Floor,
    base: Mapping[str, str],
) -> Profile:
    where = f"profiles.{name}"
    _each_in(given["purposes"], base, f"{where}.purposes")
    _each_in(given["purposes"].values(), RULES, f"{where}.purposes")
    mechanisms = (*floor.express, *WEAK_MECHANISMS)
    return Profile(
        **{field: _ordered(given, field, order, where) for field in ORDERED_VALUES},
        assist_mechanisms=_subset(given, "assist_mechanisms", mechanisms, where, absent=mechanisms),
        vague_purposes=_subset(given, "vague_purposes", base, where),
        sector=_subset(given, "sector", _SECTORS, where),
        regions=(name,),
        rules={**base, **given["purposes"]},
        prohibited_if=_prohibited_if(given.get("prohibited_if", {}), base, where),
        max_age_days=_optional_days(given, where),
        digital_age=_whole_number(given.get("digital_age", 0), f"{where}.digital_age"),
    )


def _ordered(
    given: Mapping[str, Any], field: str, order: Mapping[str, tuple[object, ...]], where: str
) -> Any:
    if field not in given:
        return order[field][-1]
    value = given[field]
    for known in ORDERED_VALUES[field]:
        if type(value) is type(known) and value == known:
            return known
    raise _invalid(f"{where}.{field}", "has a value outside its closed set")


def _subset(
    given: Mapping[str, Any], field: str, allowed: Iterable[str], where: str, absent: Iterable[str] = ()
) -> frozenset[str]:
    if field not in given:
        return frozenset(absent)
    words = _words(given[field], f"{where}.{field}")
    _each_in(words, allowed, f"{where}.{field}")
    return frozenset(words)


def _prohibited_if(raw: object, base: Mapping[str, str], where: str) -> dict[str, frozenset[str]]:
    given = _mapping(raw, f"{where}.prohibited_if")
    _each_in(given, base, f"{where}.prohibited_if")
    found = {purpose: frozenset(_words(who, f"{where}.prohibited_if")) for purpose, who in given.items()}
    for who in found.values():
        _each_in(who, RELATIONS, f"{where}.prohibited_if")
    return found


def _optional_days(given: Mapping[str, Any], where: str) -> int | None:
    if "max_age_days" not in given:
        return None
    days = _whole_number(given["max_age_days"], f"{where}.max_age_days")
    if days == 0:
        raise _invalid(f"{where}.max_age_days", "must be at least one day")
    return days


def _check_floor(profiles: Iterable[Profile], floor: Floor) -> None:
    for profile in profiles:
        for purpose in sorted(floor.consent_all_purposes):
            if profile.rules[purpose] not in ("consent_all", "prohibited"):
                message = (
                    f"profile {profile.regions[0]} loosens {purpose}: everybody's own consent is the floor"
                )
                raise ConfigurationError("POLICY_BELOW_FLOOR", message)


def _bases(
    base: Mapping[str, str], raw: Mapping[str, Any], register: Mapping[str, Any]
) -> dict[tuple[str, str], LawfulBasis]:
    _check_keys(register, ("purposes", "articles"), _PROSE, "the register of purposes")
    purposes = _mapping(register["purposes"], "purposes")
    articles = _mapping(register["articles"], "articles")
    return {
        (purpose, region): _basis(purpose, region, _ancestry(region, raw), purposes, articles)
        for purpose in base
        for region in raw
    }


def _basis(
    purpose: str, region: str, ancestry: list[str], purposes: Mapping[str, Any], articles: Mapping[str, Any]
) -> LawfulBasis:
    # The nearest region with a law of its own: the United Kingdom never falls back on the Union's articles.
    home = next((name for name in ancestry if name in articles), region)
    entry = _mapping(purposes.get(purpose, {}), f"purposes.{purpose}")
    basis = _mapping(entry.get("basis", {}), f"purposes.{purpose}.basis").get(home)
    article = _mapping(articles.get(home, {}), f"articles.{home}").get(str(basis))
    if basis not in BASES or not isinstance(article, str) or not article.strip():
        message = f"purpose {purpose} has no lawful basis with an article in {region}; register one"
        raise ConfigurationError("POLICY_BASIS_MISSING", message)
    return LawfulBasis(basis, article)


def _titles(raw: Mapping[str, Any], register: Mapping[str, Any]) -> dict[str, str]:
    named = {**register["purposes"], **raw}
    return {name: str(entry.get("title", name)) for name, entry in named.items()}


def _check_keys(given: Mapping[str, Any], needed: Iterable[str], optional: Iterable[str], where: str) -> None:
    missing = sorted(set(needed) - set(given))
    unknown = sorted(set(given) - set(needed) - set(optional))
    if missing or unknown:
        raise _invalid(where, f"missing keys: {missing}; unknown keys: {unknown}")


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(where, "must be an object")
    return value


def _words(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise _invalid(where, "must be a list of words")
    return value


def _each_in(values: Iterable[object], allowed: Iterable[object], where: str) -> None:
    known = list(allowed)
    if any(value not in known for value in values):
        raise _invalid(where, "names something outside its closed set")


def _whole_number(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _invalid(where, "must be a whole number, not negative")
    return value


def _invalid(where: str, what: str) -> ConfigurationError:
    return ConfigurationError("POLICY_INVALID", f"{where}: {what}")
