"""Telemetry is decided in the service lane: with everybody's consent, or where the law asks for none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from schemas.tables import DECISION_TELEMETRY, FIXED_TABLES, SIGNALS
from tests.unit.transforms.decision_samples import (
    ATTESTED,
    DECLARED,
    DELIVERY,
    REGISTRY,
    TRAINING,
    decide,
    given_meeting,
    grant,
    plain_decider,
    rules,
)
from tests.unit.transforms.presence_samples import MEETING, TENANT, Row, bounds, came, visit
from transforms import decide_meetings as module
from transforms.consent_intake import Attested, decode_row
from transforms.decide_meetings import MeetingInput
from transforms.decide_telemetry import TelemetryCounts, as_items, decision_rows, total_telemetry
from transforms.deletion_holds import person_rows
from transforms.release_rules import TenantView
from transforms.telemetry_scopes import SCOPE_SCHEMA

FREE = ATTESTED._replace(opt_out=False)
IN_US = Attested("us-default", "adult", "guest", False)
PEOPLE = ("ada", "bob")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decider_of", plain_decider)


def scope_table(*kinds: str, linked: bool = True, pieces: tuple[str, ...] = ()) -> pa.Table:
    joins = {"tenant_join": TENANT, "meeting_join": MEETING} if linked else {}
    rows = [
        {
            "scope_id": f"s-{kind}",
            "table": f"telemetry/{kind}",
            "kind": kind,
            "rows": 3,
            "meeting": "tm",
            "pieces": list(pieces),
            **joins,
        }
        for kind in kinds
    ]
    return pa.Table.from_pylist(rows, SCOPE_SCHEMA)


def decided(
    kind: str = "call_detail",
    purpose: str = TRAINING,
    *,
    records: dict[str, list[Row]] | None = None,
    people: Mapping[str, Attested | None] | None = None,
    roster: list[Row] | None = None,
    region: str | None = None,
    linked: bool = True,
    signals: list[Row] | None = None,
    pieces: tuple[str, ...] = (),
    attests: Row | None = None,
    **request: Any,
) -> Row:
    """The one decision about telemetry of a kind; everybody has agreed unless it is changed."""
    roster = (
        [*bounds(), *(row for name in PEOPLE for row in visit(0, 100, name))] if roster is None else roster
    )
    own = {name: [grant(f"r-{name}", at=-1)] for name in PEOPLE} if records is None else records
    known: Mapping[str, Attested | None] = dict.fromkeys(PEOPLE, FREE) if people is None else people
    scopes = scope_table(kind, linked=linked, pieces=pieces)
    given = given_meeting([], roster if linked else [], known if linked else {}, own if linked else {})
    given = replace(given, items=as_items(scopes), lane="service", meeting=MEETING if linked else None)
    given = replace(given, signals=[pa.Table.from_pylist(signals or [], FIXED_TABLES[SIGNALS])])
    declared = {**DECLARED, **({} if region is None else {"storage_region": region}), **(attests or {})}
    view = TenantView("acme", frozenset({TRAINING}), REGISTRY, declared)
    how = rules(purpose, tenants={TENANT: view}, **request)
    (row,) = decision_rows(scopes, decide(given, how)).to_pylist()
    return row


@pytest.mark.parametrize("kind", ["call_detail", "quality_stat", "feature_usage", "network_diag"])
def test_what_everybody_agreed_to_may_be_used(kind: str) -> None:
    row = decided(kind)
    assert (row["decision"], row["primary"], row["reasons"]) == ("RELEASE", "OK", [])
    assert row["record_ids"] == ["r-ada", "r-bob"]
    assert (row["table"], row["meeting"], row["rows"], row["people"]) == (f"telemetry/{kind}", "tm", 3, 2)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("call_detail", ["TRAFFIC_DATA_NO_CONSENT"]),
        ("quality_stat", ["SECONDARY_USE_NO_CONSENT", "TRAFFIC_DATA_NO_CONSENT"]),
        ("feature_usage", ["TERMINAL_ACCESS_NO_CONSENT", "TRAFFIC_DATA_NO_CONSENT"]),
        ("network_diag", ["TERMINAL_ACCESS_NO_CONSENT", "TRAFFIC_DATA_NO_CONSENT"]),
    ],
)
@pytest.mark.parametrize(
    "records",
    [
        {"ada": [grant("r-ada", at=-1)]},
        {"ada": [grant("r-ada", at=-1)], "bob": [grant("r-bob", at=-1, kinds=["chat"])]},
        {"ada": [grant("r-ada", at=-1)], "bob": [grant("r-bob", at=-1, status="refused")]},
        {"ada": [grant("r-ada", at=-1)], "bob": [grant("r-bob", at=-1, purposes=["marketing"])]},
        {"ada": [grant("r-ada", at=-1)], "bob": [grant("r-bob", at=50)]},
    ],
)
def test_one_who_has_not_agreed_holds_it(kind: str, codes: list[str], records: dict[str, list[Row]]) -> None:
    row = decided(kind, records=records)
    assert (row["decision"], row["reasons"]) == ("QUARANTINE", codes)


def test_a_grant_covers_telemetry_by_its_kind() -> None:
    named = {name: [grant(f"r-{name}", at=-1, kinds=["quality_stat"])] for name in PEOPLE}
    assert decided("quality_stat", records=named)["decision"] == "RELEASE"
    assert decided("network_diag", records=named)["decision"] == "QUARANTINE"


@pytest.mark.parametrize("opt_out", [True, None])
def test_who_opted_out_or_may_have_never_agrees(opt_out: bool | None) -> None:
    people = {"ada": FREE, "bob": ATTESTED._replace(opt_out=opt_out)}
    assert decided(people=people)["primary"] == "TRAFFIC_DATA_NO_CONSENT"


@pytest.mark.parametrize(
    ("opt_out", "decision", "reasons"),
    [(False, "RELEASE", []), (True, "QUARANTINE", ["OPTED_OUT"]), (None, "QUARANTINE", ["OPTED_OUT"])],
)
def test_where_the_law_asks_for_no_consent_an_opt_out_counts(
    opt_out: bool | None, decision: str, reasons: list[str]
) -> None:
    people = {"ada": IN_US, "bob": IN_US._replace(opt_out=opt_out)}
    row = decided(people=people, records={}, region="us-default")
    assert (row["decision"], row["reasons"]) == (decision, reasons)


def test_the_tenants_lock_holds_telemetry_too() -> None:
    assert decided(purpose="marketing")["primary"] == "TENANT_NOT_AUTHORISED"


@pytest.mark.parametrize("recipient", ["third_party"])
def test_telemetry_goes_to_nobody_outside(recipient: str) -> None:
    records = {name: [grant(f"r-{name}", at=-1, recipients=[recipient])] for name in PEOPLE}
    assert decided(recipient=recipient, records=records)["primary"] == "RECIPIENT_MISMATCH"


def test_running_the_service_needs_nobody() -> None:
    assert decided(purpose=DELIVERY, records={})["decision"] == "RELEASE"


@pytest.mark.parametrize("purpose", [TRAINING, DELIVERY])
def test_what_is_nobodys_is_held(purpose: str) -> None:
    assert decided(purpose=purpose, linked=False)["decision"] == "QUARANTINE"


@pytest.mark.parametrize(
    "missing",
    [
        [*bounds(), came("join", 0, "ada"), *visit(0, 100, "bob")],
        [*visit(0, 100, "ada"), *visit(0, 100, "bob")],
        [*bounds(), *visit(0, 100, "ada"), *visit(0, 100, "bob"), *visit(10, 20, name="anonymous")],
    ],
)
def test_an_incomplete_roster_may_hide_somebody_who_has_not_agreed(missing: list[Row]) -> None:
    row = decided(roster=missing)
    assert (row["decision"], row["primary"]) == ("QUARANTINE", "TRAFFIC_DATA_NO_CONSENT")


def test_a_meeting_of_nobody_has_nobody_who_could_agree() -> None:
    assert decided(roster=bounds(), people={}, records={})["primary"] == "NO_SUBJECTS"


ABOUT_ALL = [
    {"names": "meeting", "meeting_join": MEETING},
    {"names": "tenant", "tenant_join": TENANT},
    {"names": "everything"},
    {"names": "nobody-knows-this-word"},
]


@pytest.mark.parametrize("signal", ABOUT_ALL)
@pytest.mark.parametrize("kind", ["call_detail", "network_diag"])
def test_a_reported_deletion_holds_telemetry_that_everybody_agreed_to(signal: Row, kind: str) -> None:
    row = decided(kind, signals=[signal])
    assert (row["decision"], row["primary"]) == ("QUARANTINE", "LEGAL_HOLD")


@pytest.mark.parametrize("signal", ABOUT_ALL)
def test_a_reported_deletion_holds_where_nobody_is_asked(signal: Row) -> None:
    people = dict.fromkeys(PEOPLE, IN_US)
    row = decided(people=people, records={}, region="us-default", signals=[signal])
    assert row["decision"] == "QUARANTINE"
    assert decided(purpose=DELIVERY, records={}, signals=[signal])["decision"] == "QUARANTINE"


def test_a_deletion_elsewhere_holds_nothing() -> None:
    assert decided(signals=[{"names": "tenant", "tenant_join": "another"}])["decision"] == "RELEASE"


@pytest.mark.parametrize(
    ("pieces", "decision"),
    [(("p1",), "QUARANTINE"), (("p0", "p1"), "QUARANTINE"), (("p0",), "RELEASE"), ((), "RELEASE")],
)
@pytest.mark.parametrize("meeting", [MEETING, None])
def test_a_deleted_message_holds_the_rows_beside_which_it_lies(
    pieces: tuple[str, ...], decision: str, meeting: str | None
) -> None:
    signal = {"names": "piece", "piece_join": "p1", "meeting_join": meeting}
    assert decided(signals=[signal], pieces=pieces)["decision"] == decision


def test_what_lies_beside_an_unreadable_message_is_held_by_any_deleted_one() -> None:
    signal = {"names": "piece", "piece_join": "p1", "meeting_join": MEETING}
    assert decided(signals=[signal], pieces=("p0", "unreadable"))["decision"] == "QUARANTINE"
    assert decided(pieces=("p0", "unreadable"))["decision"] == "RELEASE"


@pytest.mark.parametrize(
    ("tenant", "decision"), [(TENANT, "QUARANTINE"), (None, "QUARANTINE"), ("another", "RELEASE")]
)
def test_somebody_whose_deletion_is_reported_counts_as_opted_out(tenant: str | None, decision: str) -> None:
    signal = {"names": "person", "tenant_join": tenant, "subjects": [{"type": "t", "pseudonym": "bob"}]}
    ((_, no),) = person_rows(pa.Table.from_pylist([signal], FIXED_TABLES[SIGNALS]))
    records = {"bob": [decode_row(no)]}
    row = decided(people=dict.fromkeys(PEOPLE, IN_US), records=records, region="us-default")
    assert (row["decision"], row["primary"]) == (decision, "OPTED_OUT" if decision == "QUARANTINE" else "OK")
    agreed = {name: [grant(f"r-{name}", at=-1)] for name in PEOPLE}
    row = decided(records={**agreed, "bob": [*agreed["bob"], decode_row(no)]})
    assert row["decision"] == decision


def test_an_erasure_that_the_registry_orders_is_not_softened_by_a_report() -> None:
    how = decided(signals=[ABOUT_ALL[0]], attests={"erasure_requested": True})
    assert how["decision"] == "ERASE"


def test_a_decision_fits_its_table() -> None:
    scopes = scope_table("call_detail", "quality_stat")
    given: MeetingInput = given_meeting([], bounds(), {}, {})
    given = replace(given, items=as_items(scopes), lane="service")
    rows = decision_rows(scopes, decide(given, rules(TRAINING, DELIVERY)))
    assert rows.schema.equals(FIXED_TABLES[DECISION_TELEMETRY])
    assert rows.num_rows == 4


def test_counts_add_up() -> None:
    one, other = TelemetryCounts(), TelemetryCounts(written=2)
    one.rows["p", "t", "RELEASE", "OK"] = 3
    other.rows["p", "t", "RELEASE", "OK"] = 4
    total = total_telemetry([one, other])
    assert (total.rows["p", "t", "RELEASE", "OK"], total.written) == (7, 2)
