"""The parts of a report that rest on the registry and the policies: purposes, terms, suites, risks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from schemas.registry import Registry
from schemas.registry_entries import TermsEntry
from schemas.tables import DECISION_EXPORTS
from transforms.report_decisions import LastDecisions
from transforms.report_view import StoreView
from validation import report_words as words
from validation.pins import single_suites
from validation.policy import Policies
from validation.reasons import ADVISORY, CATALOGUE
from validation.report_controls import (
    Assessment,
    Controls,
    Measure,
    Risk,
    SuiteResult,
    Terms,
    TermsInForce,
)
from validation.report_parts import Basis, Capped, Controller, Named, Processing, Record, Region

PURPOSES: Final = 60
TERMS: Final = 60
CONTROLLERS: Final = 20
LOCATIONS: Final = 20
_ABOUT_TERMS: Final = tuple(
    code for code, reason in CATALOGUE.items() if reason.rank == CATALOGUE["TERMS_VERSION_SUPERSEDED"].rank
)
_NOT_STATED: Final = "not stated"


@dataclass
class Exported:
    """What was ever released for a purpose.

    Attributes:
        items: Items.
        recipients: Who received some.
        kinds: Kinds among them.
    """

    items: int = 0
    recipients: set[str] = field(default_factory=set)
    kinds: set[str] = field(default_factory=set)


def exported(view: StoreView) -> dict[str, Exported]:
    """What was released, by purpose."""
    found: dict[str, Exported] = defaultdict(Exported)
    for rows in view.scan(DECISION_EXPORTS, ["purpose", "recipient", "kind", "items"]):
        for row in rows.to_pylist():
            one = found[row["purpose"]]
            one.items += row["items"]
            one.recipients.add(row["recipient"])
            one.kinds.add(row["kind"])
    return dict(found)


def controllers(registry: Registry | None) -> list[Controller]:
    """The controllers of the registry's tenants."""
    known = registry.controllers if registry is not None else {}
    return [
        Controller(id=name, name=party.name, address=party.address, contact=party.contact)
        for name, party in sorted(known.items())[:CONTROLLERS]
    ]


def processing_record(
    registry: Registry | None,
    policies: Policies,
    given: Mapping[str, Exported],
    copies: Mapping[str, int],
    asked: Iterable[str],
    as_of: datetime,
) -> Record:
    """The record of processing.

    Args:
        registry: The registry, None without.
        policies: The policies.
        given: What was released, by purpose.
        copies: Copies that there are, by purpose.
        asked: Purposes that releases have asked for.
        as_of: Instant of the report.
    """
    wanted = set(asked)
    names = sorted({*wanted, *given, *(registry.purposes if registry is not None else ())})
    purposes = [
        _purpose(name, registry, policies, given.get(name, Exported()), copies.get(name, 0), as_of)
        for name in names[:PURPOSES]
    ]
    for one in purposes:
        one.asked = one.purpose in wanted
    return Record(
        registered=registry is not None,
        regions=[
            Region(region=name, title=policies.titles.get(name, name)) for name in sorted(policies.profiles)
        ],
        purposes=purposes,
        shown=Capped(total=len(names), shown=len(purposes)),
        subjects=list(words.SUBJECTS),
        data=list(words.DATA),
        security=list(words.SECURITY),
        not_stated=list(words.NOT_STATED),
    )


def _purpose(
    name: str, registry: Registry | None, policies: Policies, given: Exported, copies: int, as_of: datetime
) -> Processing:
    entry = registry.purposes.get(name) if registry is not None else None
    tenants = registry.tenants.values() if registry is not None else ()
    return Processing(
        purpose=name,
        title=entry.title if entry is not None else _NOT_STATED,
        basis=_bases(name, policies) if entry is not None else [],
        retention=entry.retention if entry is not None else _NOT_STATED,
        dpia=entry.dpia if entry is not None else None,
        tenants=sum(tenant.authorises(name, as_of) for tenant in tenants),
        recipients=sorted(given.recipients),
        kinds=sorted(given.kinds),
        items_released=given.items,
        items_now=copies,
        asked=False,
    )


def _bases(purpose: str, policies: Policies) -> list[Basis]:
    return [
        Basis(
            region=region,
            basis=policies.bases[purpose, region].basis,
            article=policies.bases[purpose, region].article,
            rule=profile.rules[purpose],
        )
        for region, profile in sorted(policies.profiles.items())
        if (purpose, region) in policies.bases and purpose in profile.rules
    ]


def asks_nobody(policies: Policies, purpose: str) -> bool:
    """Whether a purpose needs nobody's consent in any region; one that is not known needs everybody's."""
    rules = {profile.rules.get(purpose, "") for profile in policies.profiles.values()}
    return bool(rules) and rules <= {"necessary", "authorised_case"}


def terms_in_force(registry: Registry | None, decisions: LastDecisions) -> TermsInForce:
    """Versions of terms, and how many decisions rest on them."""
    known: list[tuple[str, str, TermsEntry]] = []
    if registry is not None:
        known = [("general", name, entry) for name, entry in sorted(registry.terms.versions.items())]
        known += [
            ("contract", name, entry)
            for _, contract in sorted(registry.terms.contracts.items())
            for name, entry in sorted(contract.versions.items())
        ]
    listed = [_terms(*one, decisions.cited) for one in known[:TERMS]]
    names = {name for _, name, _ in known}
    return TermsInForce(
        versions=listed,
        shown=Capped(total=len(known), shown=len(listed)),
        cited_unregistered=sum(
            number for name, number in decisions.cited.items() if known and name not in names
        ),
        ask_again=sum(decisions.reasons[code] for code in _ABOUT_TERMS),
    )


def _terms(scope: str, name: str, entry: TermsEntry, cited: Counter[str]) -> Terms:
    return Terms(
        version=name,
        scope="general" if scope == "general" else "contract",
        start=entry.start,
        status=entry.status,
        notice_hash=entry.hash,
        language=entry.language,
        jurisdiction=entry.jurisdiction,
        storage_locations=list(entry.storage_locations)[:LOCATIONS],
        withdrawal_method=entry.withdrawal_method,
        decisions=cited[name],
    )


def assessment(decisions: LastDecisions, shown: Mapping[str, Mapping[str, int]]) -> Assessment:
    """Inputs of an impact assessment.

    Args:
        decisions: The last decisions.
        shown: What the store shows of each measure: counts by what was counted.
    """
    return Assessment(
        description=list(words.DESCRIPTION),
        necessity=list(words.NECESSITY),
        risks=[
            Risk(risk=name, codes=list(codes), items=decisions.risks[name])
            for name, codes in words.RISKS.items()
        ],
        measures=[
            Measure(
                measure=sentence,
                figures=[Named(name=name, count=count) for name, count in shown[key].items()],
                exercised=any(shown[key].values()),
                tests=list(tests),
            )
            for key, (sentence, tests) in words.MEASURES.items()
        ],
        residual=list(words.RESIDUAL),
    )


def controls(
    policies: Policies,
    decisions: LastDecisions,
    *,
    last_policy: str | None,
    judged: int,
    commits_checked: int,
) -> Controls:
    """Which suites took part in decisions, and which did not.

    Args:
        policies: The policies that were given.
        decisions: The last decisions.
        last_policy: Hash of the policies of the last release, None without one.
        judged: Released rows that the suite over what was written has judged.
        commits_checked: Commits whose manifests the log states.
    """
    match = None if last_policy is None else last_policy == policies.policy_hash
    blocking = [code for code, reason in CATALOGUE.items() if reason.action != ADVISORY]
    on_telemetry = {key.split()[-1] for key in decisions.telemetry}
    exercised = [code for code in blocking if decisions.reasons[code] or code in on_telemetry]
    return Controls(
        policies_match=match,
        suites=[
            SuiteResult(
                suite=suite.name,
                sha256=suite.hash,
                expectations=len(suite.expectations),
                decisions=_took_part(suite.name, decisions) if match else 0,
            )
            for suite in single_suites(policies)
        ],
        exercised=len(exercised),
        not_exercised=[code for code in blocking if code not in exercised],
        second_suite_rows=judged,
        commits_checked=commits_checked,
    )


def _took_part(suite: str, decisions: LastDecisions) -> int:
    """Classes of items that a suite judged: the floor all, a region's those that its rules applied to."""
    _, _, region = suite.partition(": ")
    return decisions.regions[region] if region else decisions.classes
