"""The parts of a report about agreement, decisions, what is sealed, what was released and how to check it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from pipelines.report_coverage import coverage_tables
from schemas.consent_sets import NEGATIVE_STATUSES
from schemas.tables import DECISION_EXPORTS, ERASED_EVENTS, TELEMETRY_EXPORTS, TOMBSTONES
from transforms.report_collected import named
from transforms.report_decisions import LEADS, LastDecisions, LedBy, classes_of, first_items
from transforms.report_log import LogRead
from transforms.report_record import exported
from transforms.report_released import ReleasedCheck
from transforms.report_sealed import (
    AGES,
    NOT_DATED,
    PIECES,
    RELEASE_GROUND,
    Said,
    Sealed,
    destroyed_items,
    read_openings,
    recall_rows,
    rejected_records,
    share,
)
from transforms.report_view import StoreView, instant
from validation import report_words as words
from validation.decisions import ERASE
from validation.policy import Policies
from validation.reasons import CATALOGUE
from validation.report_controls import Exceptions, HeldItem, Replay, ReplayCommand
from validation.report_decided import (
    Agreed,
    Coverage,
    Decisions,
    Export,
    Led,
    Opened,
    Quarantine,
    ReasonCount,
    ReasonText,
    Recall,
    ReleaseRun,
    Releases,
    TelemetryOut,
    Withdrawals,
)
from validation.report_parts import Capped, Named
from validation.report_suppression import MINIMUM

RELEASES: Final = 30
EXPORTS: Final = 30
RECALLS: Final = 30
OPENED: Final = 40
HELD: Final = 5


# --- agreement ----------------------------------------------------------------------------------------------


def agreed(view: StoreView, said: Said, last: LastDecisions) -> Agreed:
    """Who has said what, and how far consent reaches."""
    times = {run.run_id: ledger["as_of"] for run, ledger in view.ledgers("release")}
    asked = sorted(last.reach)
    tables = coverage_tables([last.reach[one] for one in asked])
    return Agreed(
        records=said.records,
        by_status=named(said.status),
        by_grantor=named(said.grantors),
        untrusted=named(said.faults),
        minimum=MINIMUM,
        coverage=[
            Coverage(
                purpose=purpose,
                recipient=recipient,
                run_id=last.runs[purpose, recipient],
                as_of=times[last.runs[purpose, recipient]],
                cells=cells,
            )
            for (purpose, recipient), cells in zip(asked, tables, strict=True)
        ],
    )


# --- decisions ----------------------------------------------------------------------------------------------


def decisions(view: StoreView, last: LastDecisions) -> Decisions:
    """What the last releases decided, and the trend."""
    outcomes: Counter[str] = Counter()
    for led, number in last.led.items():
        outcomes[led.decision] += number
    runs = view.ledgers("release")
    return Decisions(
        items=outcomes.total(),
        outcomes=named(outcomes),
        led=[_led(one, last) for one in _in_order(last)[:LEADS]],
        reasons=[
            ReasonCount(reason=reason_text(code), items=number)
            for code, number in sorted(last.reasons.items(), key=lambda one: (-one[1], one[0]))
            if code in CATALOGUE
        ],
        telemetry=named(last.telemetry),
        releases=[_run(run.run_id, ledger) for run, ledger in runs[-RELEASES:]],
        releases_shown=Capped(total=len(runs), shown=min(RELEASES, len(runs))),
    )


def _in_order(last: LastDecisions) -> list[LedBy]:
    return sorted(last.led, key=lambda one: (-last.led[one], one.asked, one.decision, one.reason))


def _led(one: LedBy, last: LastDecisions) -> Led:
    purpose, recipient = one.asked
    decision: Any = one.decision
    return Led(
        purpose=purpose,
        recipient=recipient,
        decision=decision,
        reason=one.reason,
        items=last.led[one],
        example=last.examples[one] if last.led[one] >= MINIMUM else None,
    )


def reason_text(code: str) -> ReasonText:
    """A reason in plain words."""
    reason = CATALOGUE[code]
    return ReasonText(code=code, sentence=reason.sentence, law=reason.hook, cure=reason.cure)


def _run(run_id: str, ledger: Any) -> ReleaseRun:
    return ReleaseRun(
        run_id=run_id,
        as_of=ledger["as_of"],
        purposes=list(ledger["purposes"]),
        recipient=ledger["recipient"],
        outcomes=named(ledger["outcomes"]),
        released=ledger["released"],
        stopped=ledger["stopped"],
        test_keys=bool(ledger["records"]["test_keys"]),
    )


# --- what is sealed, and what was released ------------------------------------------------------------------


def quarantine(view: StoreView, sealed: Sealed) -> Quarantine:
    """What is sealed, for how long, and what was opened."""
    counted = read_openings(view)
    keys = sorted({key[:3] for key in counted})
    ages = [name for _, name in AGES] + ([NOT_DATED] if sealed.ages[NOT_DATED] else [])
    return Quarantine(
        items=sealed.kinds.total(),
        ages=[Named(name=name, count=sealed.ages[name]) for name in ages],
        overdue=sealed.overdue,
        rejected=rejected_records(view),
        data_keys=sealed.keys["data"],
        bundle_keys=sealed.keys["bundle"],
        vault_keys=len(sealed.vaults),
        schemes=named(sealed.schemes),
        pieces=[Named(name=name, count=sealed.pieces[name]) for name in PIECES],
        openings=[
            Opened(
                ground=ground,
                outcome=outcome,
                purpose=purpose,
                openings=counted[ground, outcome, purpose, "openings"],
                items=counted[ground, outcome, purpose, "items"],
                beside=counted[ground, outcome, purpose, "beside"],
            )
            for ground, outcome, purpose in keys[:OPENED]
        ],
        openings_shown=Capped(total=len(keys), shown=min(OPENED, len(keys))),
    )


def releases(view: StoreView, released: ReleasedCheck, log: LogRead) -> Releases:
    """What was released, by release and item by item."""
    exports = list(_exports(view, log))
    return Releases(
        copies=released.rows,
        to_delete=released.to_delete,
        exports=exports[-EXPORTS:],
        exports_shown=Capped(total=len(exports), shown=min(EXPORTS, len(exports))),
        extract=released.extract,
        extract_shown=Capped(total=released.rows, shown=len(released.extract)),
        telemetry=telemetry_out(view),
    )


def telemetry_out(view: StoreView) -> list[TelemetryOut]:
    """Telemetry that runs of the period have taken out, by purpose and recipient."""
    found: dict[tuple[str, str], TelemetryOut] = {}
    runs: set[tuple[str, str, str]] = set()
    columns = ["run_id", "purpose", "recipient", "table", "rows"]
    for rows in view.scan(TELEMETRY_EXPORTS, columns, records=view.added(TELEMETRY_EXPORTS)):
        for row in rows.to_pylist():
            asked = (row["purpose"], row["recipient"])
            one = found.setdefault(
                asked,
                TelemetryOut(purpose=asked[0], recipient=asked[1], exports=0, tables=[], rows=0),
            )
            one.exports += (row["run_id"], *asked) not in runs
            runs.add((row["run_id"], *asked))
            one.tables = sorted({*one.tables, row["table"]})
            one.rows += row["rows"]
    return [found[asked] for asked in sorted(found)]


def _exports(view: StoreView, log: LogRead) -> Iterator[Export]:
    """What releases gave out, all kinds of a purpose together, by run."""
    numbers = {run.run_id: run.number for run in view.runs}
    grouped: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    columns = [
        *("run_id", "as_of", "purpose", "recipient", "kind", "items", "terms", "records_seen"),
        *("policy_hash", "registry_hash", "release_suite_hash"),
    ]
    for rows in view.scan(DECISION_EXPORTS, columns):
        for row in rows.to_pylist():
            if row["run_id"] in numbers:
                grouped.setdefault((row["run_id"], row["purpose"], row["recipient"]), []).append(row)
    for (run_id, purpose, recipient), found in sorted(grouped.items()):
        first = found[0]
        yield Export(
            run_id=run_id,
            as_of=instant(first["as_of"]),
            purpose=purpose,
            recipient=recipient,
            items=sum(row["items"] for row in found),
            kinds=sorted({row["kind"] for row in found}),
            terms=sorted({term for row in found for term in row["terms"] or ()}),
            policy_hash=first["policy_hash"],
            registry_hash=first["registry_hash"],
            suite_hash=first["release_suite_hash"],
            records_seen=first["records_seen"],
            log_entry=log.exports.get(numbers[run_id]),
        )


def withdrawals(view: StoreView, said: Said, last: LastDecisions) -> Withdrawals:
    """Noes, what they stopped, and what was destroyed."""
    recalls = sorted(recall_rows(view), key=lambda row: (row["run_id"], row["export_run_id"], row["reason"]))
    noes = {status: number for status, number in said.status.items() if status in NEGATIVE_STATUSES}
    destroyed = destroyed_items(view)
    return Withdrawals(
        noes=named(noes),
        trusted=said.trusted_noes,
        timed=len(said.waits),
        stop_p50=share(said.waits, 50),
        stop_p95=share(said.waits, 95),
        stop_max=share(said.waits, 100),
        passed_over=said.passed_over,
        on_hold=last.reasons["LEGAL_HOLD"],
        lost=named(_lost(last)),
        destroyed=named(destroyed),
        keys_destroyed=view.rows(TOMBSTONES),
        events_erased=view.rows(ERASED_EVENTS),
        recalls=[
            Recall(
                run_id=row["run_id"],
                export_run_id=row["export_run_id"],
                purpose=row["purpose"],
                recipient=row["recipient"],
                reason=row["reason"],
                items=row["items"],
                as_of=instant(row["as_of"]),
            )
            for row in recalls[-RECALLS:]
        ],
        recalls_shown=Capped(total=len(recalls), shown=min(RECALLS, len(recalls))),
    )


def _lost(last: LastDecisions) -> Counter[str]:
    """Decisions on items by which a purpose has lost them, by leading reason."""
    found: Counter[str] = Counter()
    for led, number in last.led.items():
        if led.decision == ERASE:
            found[led.reason] += number
    return found


# --- exceptions, replay -------------------------------------------------------------------------------------


def exceptions(view: StoreView, log: LogRead, policies: Policies) -> Exceptions:
    """What is not the rule."""
    cases = {name for name, rule in policies.base_purposes.items() if rule == "authorised_case"}
    ledgers = [ledger for _, ledger in view.ledgers("release")]
    others = [
        number
        for (ground, _, _, what), number in read_openings(view).items()
        if what == "openings" and ground != RELEASE_GROUND
    ]
    return Exceptions(
        cases=sum(one.items for purpose, one in exported(view).items() if purpose in cases),
        other_openings=sum(others),
        stopped=sum(ledger["stopped"] is not None for ledger in ledgers),
        with_test_keys=sum(bool(ledger["records"]["test_keys"]) for ledger in ledgers),
        changes=log.changes,
        changes_shown=Capped(total=log.changed, shown=len(log.changes)),
    )


def replay(view: StoreView, last: LastDecisions) -> Replay:
    """Held items to look at, and decisions to make again: those with the fewest reasons tell most.

    Of a reason that leads few items none is named, but for the most frequent one.
    """
    chosen = [one for one in _in_order(last) if one in last.simplest]
    leading = [one for one in chosen if one.decision != "RELEASE"][:HELD]
    held = [one for one in leading if one == leading[0] or last.led[one] >= MINIMUM]
    by_outcome = {one.decision: one for one in reversed(chosen)}
    ids = {one: last.simplest[one][1] for one in (*held, *by_outcome.values())}
    items, classes = first_items(view, last, ids.values()), classes_of(view, ids.values())
    return Replay(
        held=[_held(one, ids[one], items[ids[one]], classes[ids[one]]) for one in held if ids[one] in items],
        commands=[_command(ids[one], one.decision) for _, one in sorted(by_outcome.items())],
        needs=list(words.NEEDS),
    )


def _command(decision_id: str, decision: Any) -> ReplayCommand:
    return ReplayCommand(
        decision_id=decision_id,
        decision=decision,
        command=(
            f"cofferdam replay --decision {decision_id} --store STORE "
            "--keys KEYS/release --consents CONSENTS --registry REGISTRY"
        ),
    )


def _held(one: LedBy, decision_id: str, item_id: str, known: Any) -> HeldItem:
    decision: Any = one.decision
    return HeldItem(
        item_id=item_id,
        decision_id=decision_id,
        kind=known["kind"],
        purpose=one.asked[0],
        recipient=one.asked[1],
        decision=decision,
        reasons=[reason_text(code) for code in known["reasons"] if code in CATALOGUE],
        command=f"cofferdam explain --store STORE --item {item_id}",
    )
