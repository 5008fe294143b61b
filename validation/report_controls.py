"""The parts of a governance report about controls: separation, terms, exceptions, risks, suites, the log."""

from __future__ import annotations

from typing import Literal

from validation.report_decided import ReasonText
from validation.report_parts import Capped, Count, Named, OneId, Outcome, Part, Sha256, Time


class Drift(Part):
    """A field that no contract knows, or whose value does not fit; it was sealed or dropped.

    Attributes:
        what: unknown (sealed), misfit (sealed) or dropped (by contract).
        table: Table of the event.
        place: Known path of the field, or of the object in which an unknown one stood.
        name_digest: Keyed digest of an unknown name, empty otherwise.
        values: How often.
    """

    what: Literal["unknown", "misfit", "dropped"]
    table: str
    place: str
    name_digest: str
    values: Count


class Separation(Part):
    """What keeps content out of telemetry, and what it met.

    Attributes:
        contracts: Contracts of the last run, as id@version.
        found: Fields that were not taken as they came, most frequent first.
        found_shown: How many there are.
        values: How many values of all such fields were unknown, misfit or dropped; dropped ones are nowhere.
        unknown_types: Records of types that no contract names; sealed whole.
        rejected: Records that could not be read; sealed whole.
        canary_runs: Runs that planted canaries.
        canaries: Canaries that they planted.
        canaries_found: How many of them came through where they must not.
        files_searched: Files in which they were looked for.
    """

    contracts: list[str]
    found: list[Drift]
    found_shown: Capped
    values: list[Named]
    unknown_types: Count
    rejected: Count
    canary_runs: Count
    canaries: Count
    canaries_found: Count
    files_searched: Count


class Terms(Part):
    """A version of terms and its notice.

    Attributes:
        version: Its name.
        scope: general, or contract for a customer's own.
        start: From when it may be agreed to.
        status: active, superseded_compatible or superseded_material.
        notice_hash: SHA-256 of the text that was shown.
        language: Its language.
        jurisdiction: The law that it is written for.
        storage_locations: Where it says that data is kept.
        withdrawal_method: How it says that a yes can be taken back.
        decisions: Decisions to release that rest on records that cite it.
    """

    version: str
    scope: Literal["general", "contract"]
    start: Time
    status: str
    notice_hash: Sha256
    language: str
    jurisdiction: str
    storage_locations: list[str]
    withdrawal_method: str
    decisions: Count


class TermsInForce(Part):
    """Terms, and who must be asked again.

    Attributes:
        versions: Versions of the registry.
        shown: How many there are.
        cited_unregistered: Decisions to release that cite a version that the registry does not have.
        ask_again: Decisions on items that a reason about terms holds.
    """

    versions: list[Terms]
    shown: Capped
    cited_unregistered: Count
    ask_again: Count


class Change(Part):
    """A change that the audit log holds.

    Attributes:
        log_entry: Index in the log.
        what: What was changed: policies, registry, contracts, or the purpose of a key.
        change: new, gone or changed.
        now: What it is now; a hash or an id.
    """

    log_entry: Count
    what: str
    change: str
    now: str


class Exceptions(Part):
    """What is not the rule.

    Attributes:
        cases: Items released for purposes that are allowed case by case.
        other_openings: Openings for anything but a release.
        stopped: Releases that were stopped before anything went out.
        with_test_keys: Releases in which keys for trying things out counted.
        changes: Changes of policies, registry, contracts and keys, the latest.
        changes_shown: How many there are.
    """

    cases: Count
    other_openings: Count
    stopped: Count
    with_test_keys: Count
    changes: list[Change]
    changes_shown: Capped


class Risk(Part):
    """A risk, as far as decisions tell of it.

    Attributes:
        risk: Which.
        codes: Reasons that tell of it.
        items: Decisions on items in which one of them stands; those items are held.
    """

    risk: str
    codes: list[str]
    items: Count


class Measure(Part):
    """A measure against risks, and what this store shows of it.

    Attributes:
        measure: What is done, a sentence.
        figures: What was counted in this store of what it did.
        exercised: Whether it had anything to do here; if not, nothing here shows that it works.
        tests: Tests that prove it of the software; they run with each change of it, not with a report.
    """

    measure: str
    figures: list[Named]
    exercised: bool
    tests: list[str]


class Assessment(Part):
    """Inputs of an impact assessment (GDPR article 35(7)).

    Attributes:
        description: What is done, a sentence each.
        necessity: Why no more is done than is needed, a sentence each.
        risks: What decisions tell of risks.
        measures: Measures, with what this store shows of each.
        residual: What is left, a sentence each.
    """

    description: list[str]
    necessity: list[str]
    risks: list[Risk]
    measures: list[Measure]
    residual: list[str]


class SuiteResult(Part):
    """An expectation suite, and whether anything was judged by it.

    Attributes:
        suite: Its name.
        sha256: Its hash.
        expectations: Expectations in it.
        decisions: Decisions that it took part in; 0 is "not exercised", which is not "passed".
    """

    suite: str
    sha256: Sha256
    expectations: Count
    decisions: Count


class Controls(Part):
    """Control results.

    Attributes:
        policies_match: Whether the policies that were given are those of the last release; None without one.
        suites: Suites that gate releases.
        exercised: Reason codes that were given at least once by the last releases.
        not_exercised: Reason codes that were not: nothing shows here that they work.
        second_suite_rows: Released rows that the suite over what was written has judged before its commit.
        commits_checked: Commits whose manifests the audit log states, digest by digest.
    """

    policies_match: bool | None
    suites: list[SuiteResult]
    exercised: Count
    not_exercised: list[str]
    second_suite_rows: Count
    commits_checked: Count


# --- replay, log --------------------------------------------------------------------------------------------


class HeldItem(Part):
    """One item that is held, and why.

    Attributes:
        item_id: The item.
        decision_id: The decision about it.
        kind: Its kind.
        purpose: For what it was asked.
        recipient: For whom.
        decision: The decision.
        reasons: All reasons, the leading one first.
        command: The command that tells more.
    """

    item_id: OneId
    decision_id: OneId
    kind: str
    purpose: str
    recipient: str
    decision: Outcome
    reasons: list[ReasonText]
    command: str


class ReplayCommand(Part):
    """How to make a decision again.

    Attributes:
        decision_id: The decision.
        decision: What it was.
        command: The command.
    """

    decision_id: OneId
    decision: Outcome
    command: str


class Replay(Part):
    """How to check a decision.

    Attributes:
        held: Held items, one for each of the most frequent reasons.
        commands: Decisions to try, one of each outcome.
        needs: What the words in capitals stand for, a sentence each.
    """

    held: list[HeldItem]
    commands: list[ReplayCommand]
    needs: list[str]


class Log(Part):
    """The audit log.

    Attributes:
        entries: Entries.
        root: Root of the tree over them.
        checkpoint: The signed checkpoint.
        by_type: Entries by type.
        files: Files of the store whose digests are those of their manifests.
        holds: Whether everything verified.
        findings: Codes of what did not.
        verifiers: Public keys that signatures were checked with, as the store itself names them.
    """

    entries: Count
    root: str
    checkpoint: str
    by_type: list[Named]
    files: Count
    holds: bool
    findings: list[Named]
    verifiers: list[str]


class Limit(Part):
    """What the report does not prove.

    Attributes:
        about: What it is about.
        sentence: In plain words.
    """

    about: str
    sentence: str
