"""The parts of a governance report about agreement, decisions, what is sealed and what was released."""

from __future__ import annotations

from typing import Literal

from validation.report_parts import Capped, Count, Named, OneId, Outcome, Part, Sha256, Time

# --- consent coverage ---------------------------------------------------------------------------------------


class Cell(Part):
    """How far consent reaches, for items of one kind to which one region's rules applied.

    An item counts under each region whose rules applied to it. Numbers are null where one of them, or what it
    leaves of its whole, is 1 to 4, or where such a number would follow from others.

    Attributes:
        region: The region, ``all``, or ``others`` for those that are told of together.
        kind: The kind, ``all``, or ``others`` likewise.
        withheld: nothing, the reasons (refused, pending, none, other) or everything; together for a region or
            kind whose numbers are among those of ``others``.
        items: Items that were decided about.
        items_covered: Items that everybody concerned has agreed to.
        pairs: Pairs of an item and a person concerned whose records were read.
        pairs_covered: Pairs of which the person has agreed.
        refused: Pairs with a no: refused or withdrawn.
        pending: Pairs of which the person has not answered yet.
        none: Pairs without any record.
        other: Pairs with records that do not suffice.
    """

    region: str
    kind: str
    withheld: Literal["nothing", "reasons", "everything", "together"]
    items: Count | None
    items_covered: Count | None
    pairs: Count | None
    pairs_covered: Count | None
    refused: Count | None
    pending: Count | None
    none: Count | None
    other: Count | None


class Coverage(Part):
    """Consent coverage of one purpose and recipient, as the last release found it.

    Attributes:
        purpose: The purpose.
        recipient: Who was to receive it.
        run_id: The release.
        as_of: Its instant.
        cells: By region and kind; ``all`` stands for every region or kind.
    """

    purpose: str
    recipient: str
    run_id: str
    as_of: Time
    cells: list[Cell]


class Agreed(Part):
    """Who has said what, by whom, over all records that releases have read.

    Attributes:
        records: Records that any release has seen.
        by_status: What they say; ``not noted`` for those that older versions saw.
        by_grantor: Of the trusted yeses, who said them.
        untrusted: Records that are not trusted, by reason.
        minimum: Numbers below it, other than 0, are not shown in coverage.
        coverage: Consent coverage.
    """

    records: Count
    by_status: list[Named]
    by_grantor: list[Named]
    untrusted: list[Named]
    minimum: Count
    coverage: list[Coverage]


# --- decisions ----------------------------------------------------------------------------------------------


class Led(Part):
    """Items whose decision one reason leads.

    Attributes:
        purpose: The purpose.
        recipient: Who was to receive it.
        decision: The decision.
        reason: Leading reason, or OK.
        items: How many items.
        example: One of them, None where there are fewer than 5: it could tell of single people.
    """

    purpose: str
    recipient: str
    decision: Outcome
    reason: str
    items: Count
    example: OneId | None


class ReasonText(Part):
    """What a reason means.

    Attributes:
        code: The code.
        sentence: In plain words.
        law: What it rests on.
        cure: What would help.
    """

    code: str
    sentence: str
    law: str
    cure: str


class ReasonCount(Part):
    """How often a reason stands in decisions.

    Attributes:
        reason: What it means.
        items: Decisions on items of the last releases in which it stands, leading or not.
    """

    reason: ReasonText
    items: Count


class ReleaseRun(Part):
    """A release, and what it decided.

    Attributes:
        run_id: The run.
        as_of: Instant of its decisions.
        purposes: What it asked for.
        recipient: For whom.
        outcomes: Decisions.
        released: Items that it released.
        stopped: Why it released nothing, None if it was not stopped.
        test_keys: Whether keys for trying things out were allowed.
    """

    run_id: str
    as_of: Time
    purposes: list[str]
    recipient: str
    outcomes: list[Named]
    released: Count
    stopped: str | None
    test_keys: bool


class Decisions(Part):
    """What was decided.

    Attributes:
        items: Decisions of the last release of each purpose and recipient.
        outcomes: How they came out.
        led: By purpose and leading reason.
        reasons: What the reasons mean, most frequent first.
        telemetry: Decisions about telemetry of the last releases, as purpose, decision and reason.
        releases: Releases of the period, the latest ones.
        releases_shown: How many there are.
    """

    items: Count
    outcomes: list[Named]
    led: list[Led]
    reasons: list[ReasonCount]
    telemetry: list[Named]
    releases: list[ReleaseRun]
    releases_shown: Capped


# --- quarantine, openings, keys -----------------------------------------------------------------------------


class Opened(Part):
    """Openings of sealed content.

    Attributes:
        ground: What it was opened for.
        outcome: opened, or why not.
        purpose: For which purpose, empty for none.
        openings: How many.
        items: Items that the decisions were about.
        beside: Other items that lay under the same seal and were forgotten unread.
    """

    ground: str
    outcome: str
    purpose: str
    openings: Count
    items: Count
    beside: Count


class Quarantine(Part):
    """What is sealed, for how long, and what was opened.

    Attributes:
        items: Sealed items.
        ages: By age in days at the report's instant.
        overdue: Items older than they may be.
        rejected: Refused records that are sealed.
        data_keys: Keys that what is sealed is under.
        bundle_keys: Keys that those are wrapped under.
        vault_keys: Vault keys that all is wrapped to.
        schemes: Formats of the ciphertext.
        pieces: Pieces of ciphertext by what is in them: items, identity, secret or rejected. A piece holds
            one or several items or refused records; identities and secrets are counted nowhere else.
        openings: Openings.
        openings_shown: How many lines of them there are.
    """

    items: Count
    ages: list[Named]
    overdue: Count
    rejected: Count
    data_keys: Count
    bundle_keys: Count
    vault_keys: Count
    schemes: list[Named]
    pieces: list[Named]
    openings: list[Opened]
    openings_shown: Capped


# --- releases -----------------------------------------------------------------------------------------------


class Export(Part):
    """What one release gave out for a purpose.

    Attributes:
        run_id: The release.
        as_of: Its instant.
        purpose: For what.
        recipient: To whom.
        items: Items.
        kinds: Kinds among them.
        terms: Versions of terms that were agreed to.
        policy_hash: Policies.
        registry_hash: Registry.
        suite_hash: Suite that judged what was written.
        records_seen: Number and digest of all records that were read.
        log_entry: Index in the audit log of the entry that states these rows, None if there is none.
    """

    run_id: str
    as_of: Time
    purpose: str
    recipient: str
    items: Count
    kinds: list[str]
    terms: list[str]
    policy_hash: Sha256
    registry_hash: Sha256
    suite_hash: Sha256
    records_seen: str
    log_entry: Count | None


class ReleasedItem(Part):
    """A released item and what it rests on.

    Attributes:
        item_id: The item.
        purpose: For what.
        recipient: To whom.
        decision_id: The decision.
        records: Consent records that it rests on.
        record_ids: The first of them.
        terms: Versions of terms that they cite.
        as_of: Instant of the decision.
    """

    item_id: OneId
    purpose: str
    recipient: str
    decision_id: OneId
    records: Count
    record_ids: list[str]
    terms: list[str]
    as_of: Time


class TelemetryOut(Part):
    """Telemetry that was taken out for a purpose, by decisions about it.

    Attributes:
        purpose: For what.
        recipient: To whom.
        exports: How often.
        tables: Tables that rows were taken of.
        rows: Rows, of all exports together.
    """

    purpose: str
    recipient: str
    exports: Count
    tables: list[str]
    rows: Count


class Releases(Part):
    """What was released.

    Attributes:
        copies: Copies that there are.
        to_delete: Copies that the last decision does not allow any more; `cofferdam erase` deletes them.
        exports: What releases gave out, the latest.
        exports_shown: How many there are.
        extract: Some of the copies.
        extract_shown: How many there are.
        telemetry: Telemetry that was taken out.
    """

    copies: Count
    to_delete: Count
    exports: list[Export]
    exports_shown: Capped
    extract: list[ReleasedItem]
    extract_shown: Capped
    telemetry: list[TelemetryOut]


class Recall(Part):
    """An export of which something must be deleted by whoever received it.

    Attributes:
        run_id: The erasure.
        export_run_id: The release.
        purpose: For what.
        recipient: To whom.
        reason: Why.
        items: How many items.
        as_of: Instant of the erasure.
    """

    run_id: str
    export_run_id: str
    purpose: str
    recipient: str
    reason: str
    items: Count
    as_of: Time


class Withdrawals(Part):
    """Noes, what they stopped, and what was destroyed.

    Attributes:
        noes: Records that say no, by what they say.
        trusted: Those that are trusted; the others hold what they are about.
        timed: Trusted noes whose two times can be read.
        stop_p50: Seconds from the no until the first release that read it, half of all noes.
        stop_p95: The same, 95 of 100.
        stop_max: The same, the longest.
        passed_over: Noes that say that they had arrived when a release decided, and that it had not read.
        on_hold: Decisions on items that a legal claim holds.
        lost: Decisions on items by which a purpose has lost them (ERASE), by leading reason.
        destroyed: Items destroyed, by reason.
        keys_destroyed: Rows of destroyed items; each names the key that is gone.
        events_erased: Events of which an erasure took something.
        recalls: Exports that were recalled, the latest.
        recalls_shown: How many there are.
    """

    noes: list[Named]
    trusted: Count
    timed: Count
    stop_p50: Count | None
    stop_p95: Count | None
    stop_max: Count | None
    passed_over: Count
    on_hold: Count
    lost: list[Named]
    destroyed: list[Named]
    keys_destroyed: Count
    events_erased: Count
    recalls: list[Recall]
    recalls_shown: Capped
