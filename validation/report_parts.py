"""The parts of a governance report: figures, ids and words of closed sets, and nothing that an event said.

Every list is capped: it holds the first so many and says how many more there are. So a report of a million
items is as long as one of a thousand.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
OneId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]+)$(?!\n)")]
Outcome = Literal["RELEASE", "QUARANTINE", "ERASE", "REJECT"]


class Part(Struct, forbid_unknown_fields=True, kw_only=True):
    """What all parts have in common: they hold nothing that is not declared."""


class Named(Part):
    """A number of something.

    Attributes:
        name: A word of a closed set.
        count: How many.
    """

    name: str
    count: Count


class Capped(Part):
    """How much of a list is shown.

    Attributes:
        total: Entries that there are.
        shown: Entries that are listed.
    """

    total: Count
    shown: Count


# --- header -------------------------------------------------------------------------------------------------


class RunLine(Part):
    """A commit of the store.

    Attributes:
        number: Its manifest's number.
        run_id: The run.
        kind: ingest, release, erasure, decisions, …
        sha256: SHA-256 of the manifest, as the audit log states it.
        log_entry: Index of its entry in the audit log, None if it is not in the log.
    """

    number: Count
    run_id: str
    kind: str
    sha256: Sha256
    log_entry: Count | None


class Controller(Part):
    """Who is answerable, as the registry says it.

    Attributes:
        id: Party id.
        name: Name.
        address: Address.
        contact: Whom to ask.
    """

    id: str
    name: str
    address: str
    contact: str


class RegistryUsed(Part):
    """The registry that the report was made with.

    Attributes:
        sha256: Its hash.
        signed_by: Thumbprint (RFC 7638) of the key that signed for it.
        test_key: Whether that is a key for trying things out.
        of_last_release: Whether the last release used the same one; None where nothing was released.
    """

    sha256: Sha256
    signed_by: str
    test_key: bool
    of_last_release: bool | None


class Header(Part):
    """What the report is about, and what it was made from.

    Attributes:
        software: Version that made it.
        as_of: Instant that ages are counted to.
        period_from: Begin of the period whose runs are told of, None for the store's.
        period_to: Its end, exclusive.
        log: Name of the store's audit log.
        commits: Commits that the store had.
        last_commit: SHA-256 of the last of them.
        policy_hashes: Policies that releases decided by.
        registry_hashes: Registries that releases decided by.
        release_suites: Suites over what was written.
        registry: The registry that was given, None without.
        keys_given: Whether a key side was given, with which record ids are looked up.
        live_days: Days after which a sealed item counts as overdue.
        controllers: Who is answerable; empty without a registry.
        runs: Commits of the period, the latest ones.
        runs_shown: How many there are.
    """

    software: str
    as_of: Time
    period_from: Time | None
    period_to: Time | None
    log: str
    commits: Count
    last_commit: Sha256
    policy_hashes: list[Sha256]
    registry_hashes: list[Sha256]
    release_suites: list[Sha256]
    registry: RegistryUsed | None
    keys_given: bool
    live_days: Count
    controllers: list[Controller]
    runs: list[RunLine]
    runs_shown: Capped


# --- page one -----------------------------------------------------------------------------------------------


class Checked(Part):
    """A number that must be 0, and how it was counted.

    Attributes:
        rows: Rows that were looked at.
        violations: Rows that fail at least one check.
        checks: For each check how many rows fail it.
        looked_up: Records of consent that were looked up by id, None where no key was given to do so.
        how: How it was counted, a sentence each.
    """

    rows: Count
    violations: Count
    checks: list[Named]
    looked_up: Count | None
    how: list[str]


# --- what is collected --------------------------------------------------------------------------------------


class TelemetryTable(Part):
    """A table of service data.

    Attributes:
        table: Its name.
        rows: Rows in it.
        service: Columns of service data.
        metadata: Columns that say who, when and with whom, as pseudonyms.
        other: Columns of any other lane; there must be none.
    """

    table: str
    rows: Count
    service: Count
    metadata: Count
    other: Count


class Kind(Part):
    """A kind of sealed content.

    Attributes:
        kind: The kind.
        items: Items in quarantine.
        bytes: Their size, padded.
    """

    kind: str
    items: Count
    bytes: Count


class EventType(Part):
    """Records of one type.

    Attributes:
        source: Platform.
        event_type: Type, as its contract names it.
        records: How many became telemetry and sealed items.
    """

    source: str
    event_type: str
    records: Count


class Collected(Part):
    """What came in, and what became of it.

    Attributes:
        records: Records read.
        outcomes: What became of them; each has one.
        reasons: Why records were refused.
        reconciled_runs: Runs in which what was read and what was committed agree by count and keyed sum.
        runs: Runs that read.
        recounted: Whether the rows of the ledger add up to what the runs state.
        telemetry: Tables of service data.
        telemetry_shown: How many there are.
        telemetry_rows: Rows of all of them.
        content: Sealed content by kind.
        content_items: Items of all kinds.
        types: Event types, most frequent first.
        types_shown: How many there are.
    """

    records: Count
    outcomes: list[Named]
    reasons: list[Named]
    reconciled_runs: Count
    runs: Count
    recounted: bool
    telemetry: list[TelemetryTable]
    telemetry_shown: Capped
    telemetry_rows: Count
    content: list[Kind]
    content_items: Count
    types: list[EventType]
    types_shown: Capped


# --- processing record --------------------------------------------------------------------------------------


class Basis(Part):
    """On what a purpose rests in a region.

    Attributes:
        region: The region.
        basis: The lawful basis.
        article: Where it stands.
        rule: What is asked before content may be used there.
    """

    region: str
    basis: str
    article: str
    rule: str


class Region(Part):
    """A region with rules of its own.

    Attributes:
        region: Its name in policies.
        title: Its name in plain words.
    """

    region: str
    title: str


class Processing(Part):
    """A purpose: an entry of the record of processing (GDPR article 30).

    Attributes:
        purpose: Its name.
        title: What is done, in plain words, as the registry says it.
        basis: Lawful basis by region.
        retention: How long what was released for it is kept.
        dpia: Reference of the impact assessment.
        tenants: Customers who have authorised it at the instant of the report.
        recipients: Who has received something for it.
        kinds: Kinds of content that were released for it.
        items_released: Items released for it, of all time.
        items_now: Copies that there are now.
        asked: Whether a release has ever asked for it.
    """

    purpose: str
    title: str
    basis: list[Basis]
    retention: str
    dpia: str | None
    tenants: Count
    recipients: list[str]
    kinds: list[str]
    items_released: Count
    items_now: Count
    asked: bool


class Record(Part):
    """The record of processing.

    Attributes:
        registered: Whether a registry was given; without, only purposes that were asked for are named.
        regions: Regions with rules of their own.
        purposes: The purposes.
        shown: How many there are.
        subjects: Categories of people.
        data: Categories of personal data, a sentence each.
        security: Measures, a sentence each.
        not_stated: What the store does not know and the record needs besides, a sentence each.
    """

    registered: bool
    regions: list[Region]
    purposes: list[Processing]
    shown: Capped
    subjects: list[str]
    data: list[str]
    security: list[str]
    not_stated: list[str]
