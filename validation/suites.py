"""Expectation suites: what facts must be for an item to go.

Two suites judge each kind of row. The floor suite holds everywhere; it also demands that no fact is null and
each is in its closed set. The jurisdiction suite is one merged profile put into expectations. Every
expectation is a list of the words that are let through, and carries the reason code of those that are not.
A suite is plain data here, pinned by its hash; `validation.gate` hands it to Great Expectations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from schemas.consent_sets import WEAK_MECHANISMS
from schemas.errors import PromiseBroken
from validation.facts import (
    BEYOND,
    CASE,
    CONSENT,
    ENDING_COLUMNS,
    ILLEGIBLE,
    KEPT_COLUMNS,
    NECESSARY,
    UNKNOWN,
    UNREAD,
    FactTable,
    age_word,
    use_word,
)
from validation.policy import Policies, Profile, canonical_hash

IN_SET: Final = "expect_column_values_to_be_in_set"
NOT_NULL: Final = "expect_column_values_to_not_be_null"

FACT_MALFORMED: Final = "FACT_MALFORMED"
"""Code of the expectations about facts themselves: a failure is our own fault, and holds the batch."""

_WEAK_CODES: Final = ("NOTICE_ONLY", "IMPLIED_ONLY", "PRETICKED", "OPT_OUT_ONLY", "TOS_ONLY")
MECHANISM_CODES: Final = dict(zip(WEAK_MECHANISMS, _WEAK_CODES, strict=True))


@dataclass(frozen=True)
class Expectation:
    """One expectation about one column.

    Attributes:
        code: Reason code of a row that does not meet it.
        column: The column.
        allowed: Words that meet it; None for an expectation that the column is not null.
        condition: (column, word): only rows with this word are judged.
        last_resort: Whether the code counts only if nothing else holds the item.
    """

    code: str
    column: str
    allowed: tuple[str, ...] | None
    condition: tuple[str, str] | None = None
    last_resort: bool = False

    @property
    def type(self) -> str:
        """Name of the expectation in Great Expectations."""
        return NOT_NULL if self.allowed is None else IN_SET

    def as_json(self) -> dict[str, Any]:
        """Everything that makes it this expectation."""
        return {
            "type": self.type,
            "code": self.code,
            "column": self.column,
            "allowed": None if self.allowed is None else list(self.allowed),
            "condition": None if self.condition is None else list(self.condition),
            "last_resort": self.last_resort,
        }


@dataclass(frozen=True)
class Suite:
    """Expectations over one kind of fact row.

    Attributes:
        name: Where it comes from, for people.
        table: Columns and closed sets of the rows.
        expectations: What is expected, at least one.
    """

    name: str
    table: FactTable = field(repr=False)
    expectations: tuple[Expectation, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.expectations:
            raise PromiseBroken("SUITE_EMPTY", f"suite {self.name} expects nothing and would let all pass")
        if len({canonical_hash(e.as_json()) for e in self.expectations}) < len(self.expectations):
            raise PromiseBroken("SUITE_AMBIGUOUS", f"suite {self.name} holds an expectation twice")

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of kind, columns, closed sets and expectations; the name does not count."""
        return canonical_hash(
            {
                "kind": self.table.kind,
                "columns": [[name, list(words)] for name, words in self.table.columns.items()],
                "expectations": [expectation.as_json() for expectation in self.expectations],
            }
        )


class _Builder:
    """Collects expectations over one table, and refuses words that the table does not know."""

    def __init__(self, table: FactTable) -> None:
        self.table = table
        self.expectations: list[Expectation] = []

    def refuse(self, code: str, column: str, *words: str, **how: Any) -> None:
        """Expect any word of the column but these."""
        known = self.table.columns[column]
        if unknown := set(words) - set(known):
            message = f"{code} refuses {sorted(unknown)}, which {column} never says"
            raise PromiseBroken("SUITE_INVALID", message)
        allowed = tuple(word for word in known if word not in words)
        self.expectations.append(Expectation(code, column, allowed, **how))

    def form(self) -> None:
        """Expect every column to be filled, and out of its closed set."""
        for column, words in self.table.columns.items():
            self.expectations.append(Expectation(FACT_MALFORMED, column, None))
            self.expectations.append(Expectation(FACT_MALFORMED, column, words))

    def suite(self, name: str) -> Suite:
        """The suite of what has been collected."""
        return Suite(name, self.table, tuple(self.expectations))


def person_floor(table: FactTable, policies: Policies) -> Suite:
    """What holds for every person in every region.

    Args:
        table: Columns of a person's row.
        policies: The policies whose floor it is.
    """
    build = _Builder(table)
    build.form()
    build.refuse("PARTICIPANT_UNIDENTIFIED", "identity", "unidentified")
    for code, column in (ENDING_COLUMNS | KEPT_COLUMNS).items():
        build.refuse(code, column, "yes")
    build.refuse("NO_CONSENT", "candidate", "absent")
    build.refuse("PENDING", "candidate", "waiting")
    build.refuse("PURPOSE_MISMATCH", "named_purpose", "another")
    build.refuse("KIND_MISMATCH", "kind_cover", "uncovered")
    build.refuse("SCOPE_MISMATCH", "scope_cover", "uncovered")
    build.refuse("RECIPIENT_MISMATCH", "recipient_cover", "uncovered")
    build.refuse("HOST_ON_BEHALF", "grantor", "host_for_another")
    build.refuse("ADMIN_ON_BEHALF", "grantor", "other")
    _refuse_mechanisms(build, "own_mechanism", policies.floor.express)
    build.refuse("BUNDLED", "bundled", "yes")
    build.refuse("CONDITIONAL_SERVICE", "conditional", "yes")
    build.refuse("TERMS_VERSION_UNKNOWN", "terms", "unregistered")
    build.refuse("TERMS_VERSION_SUPERSEDED", "terms", "material")
    build.refuse("TERMS_VERSION_NOT_IN_FORCE", "terms_start", "ahead")
    build.refuse("NOTICE_HASH_MISMATCH", "notice", "other")
    build.refuse("NOT_YET_VALID", "valid_from", "ahead")
    build.refuse("EXPIRED", "ended", "yes")
    build.refuse("RETROACTIVE_NOT_COVERED", "after_recording", "uncovered")
    return build.suite("floor of persons")


def _refuse_mechanisms(build: _Builder, column: str, allowed: Iterable[str]) -> None:
    refused = [word for word in build.table.columns[column] if word not in {UNREAD, *allowed}]
    for mechanism, code in MECHANISM_CODES.items():
        if mechanism in refused:
            build.refuse(code, column, mechanism)
    # An express mechanism that a profile does not accept for this use has no code of its own.
    build.refuse("NO_CONSENT", column, *(word for word in refused if word not in MECHANISM_CODES))


def person_jurisdiction(table: FactTable, profile: Profile, policies: Policies) -> Suite:
    """What a profile asks of every person's grant.

    Args:
        table: Columns of a person's row.
        profile: One profile, or several merged.
        policies: The policies that it is from.
    """
    build = _Builder(table)
    if profile.vague_purposes:
        build.refuse("PURPOSE_NOT_SPECIFIC", "named_purpose", *sorted(profile.vague_purposes))
    blocked = ("guarded_training_separate",) if profile.minor_ai_training == "block" else ()
    build.refuse("MINOR", "minority", "unguarded", "guarded_training_joint", *blocked)
    _refuse_mechanisms(build, "assist_mechanism", profile.assist_mechanisms)
    if profile.max_age_days is not None:
        older = (age_word(days) for days in policies.age_limits if days > profile.max_age_days)
        build.refuse("STALE", "age", *older, BEYOND)
    _refuse_forms(build, profile)
    if profile.employee == "attest":
        build.refuse("POWER_IMBALANCE", "employment", "unattested")
    return build.suite(f"jurisdiction of persons: {'+'.join(profile.regions)}")


_TOO_WEAK: Final = {
    "express": ("other",),
    "explicit": ("other", "express"),
    "written_release": ("other", "express", "explicit_statement"),
}


def _refuse_forms(build: _Builder, profile: Profile) -> None:
    if profile.special != "express":
        known = build.table.columns["special_form"]
        weak = (word for word in _TOO_WEAK[profile.special] if word in known)
        build.refuse("SPECIAL_CATEGORY", "special_form", *weak)
    build.refuse("BIOMETRIC_RELEASE_REQUIRED", "template_form", *_TOO_WEAK[profile.biometric])
    if profile.biometric_retention_policy:
        build.refuse("BIOMETRIC_RELEASE_REQUIRED", "template_retention", "missing")


def item_floor(table: FactTable) -> Suite:
    """What holds for every item in every region.

    Args:
        table: Columns of an item's row.
    """
    build = _Builder(table)
    build.form()
    build.refuse("SCHEMA_INVALID", "shape", "invalid")
    build.refuse("LEGAL_HOLD", "hold", "held")
    build.refuse("LEGAL_HOLD", "erasure", ILLEGIBLE)
    build.refuse("LEGAL_HOLD", "retention", ILLEGIBLE)
    build.refuse("ERASURE_REQUESTED", "erasure", "requested")
    build.refuse("RETENTION_EXCEEDED", "retention", "over")
    build.refuse("PURPOSE_UNKNOWN", "purpose", "unregistered")
    build.refuse("CLASS_UNKNOWN", "lane", UNKNOWN)
    build.refuse("FIELD_NOT_ALLOWLISTED", "allow_list", "left")
    build.refuse("LINEAGE_UNKNOWN", "lineage", "unproven")
    build.refuse("CLASS_UNKNOWN", "kind", "unplaced")
    build.refuse("CLASS_UNKNOWN", "kind", "unplaced_but_moved", last_resort=True)
    build.refuse("E2EE_CLAIM_VIOLATION", "plaintext", "breaks_end_to_end")
    build.refuse("RECIPIENT_MISMATCH", "recipient", "outside")
    build.refuse("CASE_NOT_AUTHORISED", "case", "unauthorised")
    build.refuse("TENANT_NOT_AUTHORISED", "tenant", "unauthorised")
    build.refuse("ROSTER_INCOMPLETE", "roster", "incomplete")
    build.refuse("NO_SUBJECTS", "people", "nobody")
    build.refuse("NOT_ALL_PARTICIPANTS", "agreement", "some")
    return build.suite("floor of items")


def item_jurisdiction(table: FactTable, profile: Profile) -> Suite:
    """What a profile asks of the item as a whole.

    Args:
        table: Columns of an item's row.
        profile: One profile, or several merged.
    """
    build = _Builder(table)
    allowed = {UNREAD, *_allowed_uses(profile)}
    build.refuse("PURPOSE_PROHIBITED", "use", *(w for w in table.columns["use"] if w not in allowed))
    for purpose, relations in profile.prohibited_if.items():
        if relations:
            words = tuple(_words_with(table, {*relations, ILLEGIBLE}))
            build.refuse("PURPOSE_PROHIBITED", "relations", *words, condition=("purpose", purpose))
    if profile.transfer == "mechanism":
        build.refuse("TRANSFER_NOT_COVERED", "transfer", "without_mechanism")
    if profile.capture_prior_all:
        build.refuse("CAPTURE_NOT_CONSENTED", "capture", "some", "none")
    _refuse_locks(build, profile)
    _refuse_service_data(build, profile)
    return build.suite(f"jurisdiction of items: {'+'.join(profile.regions)}")


def _allowed_uses(profile: Profile) -> Iterator[str]:
    routes = {"necessary": NECESSARY, "authorised_case": CASE}
    for purpose, rule in profile.rules.items():
        if rule != "prohibited":
            yield use_word(purpose, routes.get(rule, CONSENT))


def _words_with(table: FactTable, relations: set[str]) -> Iterator[str]:
    return (word for word in table.columns["relations"] if relations & set(word.split("+")))


def _refuse_locks(build: _Builder, profile: Profile) -> None:
    if "hipaa" in profile.sector:
        build.refuse("SECTOR_HIPAA", "health", "unauthorised")
    if "ferpa" in profile.sector:
        build.refuse("SECTOR_FERPA", "education", "unconsented")
    if profile.third_party_mention == "redact":
        build.refuse("THIRD_PARTY_UNREDACTED", "mentions", "unredacted")


def _refuse_service_data(build: _Builder, profile: Profile) -> None:
    if profile.terminal_rule == "consent":
        build.refuse("TERMINAL_ACCESS_NO_CONSENT", "device_data", "optional_not_agreed", "optional_not_asked")
        build.refuse("SECONDARY_USE_NO_CONSENT", "device_data", "personal_not_agreed", "personal_not_asked")
        build.refuse("NO_SUBJECTS", "device_data", "optional_nobody", "personal_nobody")
    if profile.traffic_rule == "consent_all":
        build.refuse("TRAFFIC_DATA_NO_CONSENT", "traffic_data", "metadata_not_agreed", "metadata_not_asked")
    else:
        build.refuse("OPTED_OUT", "opt_outs", "some")
    build.refuse("NO_SUBJECTS", "traffic_data", "metadata_nobody")
