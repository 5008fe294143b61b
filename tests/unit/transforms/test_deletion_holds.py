"""What events claim of lineage and deletions can hold a meeting's items, and never let one go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.tables import FIXED_TABLES, SIGNALS
from tests.unit.transforms.decision_samples import (
    ASSIST,
    DELIVERY,
    TRAINING,
    by_item,
    decide,
    given_meeting,
    grant,
    plain_decider,
    rules,
    when,
)
from tests.unit.transforms.presence_samples import MEETING, TENANT, Row, item
from tests.unit.transforms.test_decide_meetings import everybody_agrees, meetings
from transforms import decide_meetings as module
from transforms.consent_intake import Attested
from transforms.decide_meetings import MeetingInput
from transforms.release_rules import ReleaseRules
from validation.decisions import RELEASE


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decider_of", plain_decider)


# --- lineage ----------------------------------------------------------------------------------------------


def attesting(purpose: str = TRAINING, **declared: Any) -> ReleaseRules:
    how = rules(purpose)
    view = replace(how.tenants[TENANT], declared={**how.tenants[TENANT].declared, **declared})
    return replace(how, tenants={TENANT: view})


def primaries(found: MeetingInput, how: ReleaseRules | None = None) -> set[str]:
    return {row["primary"] for row in by_item(decide(found, how or rules())).values()}


def decisions(found: MeetingInput, how: ReleaseRules | None = None) -> set[str]:
    return {row["decision"] for row in by_item(decide(found, how or rules())).values()}


@pytest.mark.parametrize("made_from", [["audio"], ["video"], ["transcript"], ["chat", "caption"]])
def test_what_is_made_of_sound_or_pictures_needs_their_capture_agreed(made_from: list[str]) -> None:
    _, roster, people, records_ = everybody_agrees()
    given_ = given_meeting([item("i1", derived_from=made_from)], roster, people, records_)
    assert primaries(given_) == {"OK"}
    german = {name: Attested("eu-de", "adult", "guest") for name in people}
    again = given_meeting([item("i1", derived_from=made_from)], roster, german, records_)
    assert primaries(again, attesting(capture="some")) == {"CAPTURE_NOT_CONSENTED"}
    plain = given_meeting([item("i1")], roster, german, records_)
    assert primaries(plain, attesting(capture="some")) == {"OK"}


def test_a_template_that_content_was_made_from_must_be_agreed_to_by_name() -> None:
    _, roster, people, records_ = everybody_agrees()
    made = given_meeting([item("i1", derived_from=["voiceprint"])], roster, people, records_)
    assert primaries(made) == {"KIND_MISMATCH"}
    named = {name: [grant(f"r-{name}", kinds=["*", "voiceprint"])] for name in people}
    assert primaries(given_meeting([item("i1", derived_from=["voiceprint"])], roster, people, named)) == {
        "OK"
    }


@pytest.mark.parametrize("made_from", [["unreadable"], ["audio", "unreadable"], [None], ["rumour"]])
def test_a_lineage_that_cannot_be_read_holds(made_from: list[str | None]) -> None:
    _, roster, people, records_ = everybody_agrees()
    given_ = given_meeting([item("i1", derived_from=made_from), item("i2")], roster, people, records_)
    rows = by_item(decide(given_, rules()))
    assert rows["i1", TRAINING]["primary"] == "CLASS_UNKNOWN"
    assert rows["i1", TRAINING]["kind"] == "chat"
    assert rows["i2", TRAINING]["decision"] == RELEASE


def test_the_roots_of_a_decision_are_all_that_its_items_come_from() -> None:
    _, roster, people, records_ = everybody_agrees()
    given_ = given_meeting(
        [item("i1", kind="embedding", derived_from=["transcript"])], roster, people, records_
    )
    (row,) = decide(given_, rules()).classes.to_pylist()
    assert row["roots"] == ["audio", "embedding", "transcript"]


# --- deletions that a source reports ----------------------------------------------------------------------


def signal(names: str, **fields: Any) -> Row:
    return {"names": names, "tenant_join": TENANT, "meeting_join": MEETING, **fields}


def with_signals(given_: MeetingInput, *signals: Row) -> MeetingInput:
    table = pa.Table.from_pylist(list(signals), schema=FIXED_TABLES[SIGNALS])
    return replace(given_, signals=[table])


@pytest.mark.parametrize(
    "reported", [signal("meeting"), signal("tenant"), signal("everything"), signal("something")]
)
def test_a_meeting_that_was_deleted_is_held(reported: Row) -> None:
    given_ = given_meeting(*everybody_agrees())
    assert primaries(given_) == {"OK"}
    assert primaries(with_signals(given_, reported)) == {"DISPUTED_WITHDRAWAL"}


def test_only_the_message_that_was_deleted_is_held() -> None:
    _, roster, people, records_ = everybody_agrees()
    items_ = [
        item(name, piece_join=piece) for name, piece in (("i1", "p1"), ("i2", "p2"), ("i3", "unreadable"))
    ]
    given_ = given_meeting([*items_, item("i4")], roster, people, records_)
    rows = by_item(decide(with_signals(given_, signal("piece", piece_join="p1")), rules()))
    primary = {name: row["primary"] for (name, _), row in rows.items()}
    held = "DISPUTED_WITHDRAWAL"
    assert primary == {"i1": held, "i2": "OK", "i3": held, "i4": "OK"}


def test_another_account_s_deletion_holds_only_its_own() -> None:
    given_ = given_meeting(*everybody_agrees())
    assert primaries(with_signals(given_, signal("tenant", tenant_join="another"))) == {"OK"}


def test_a_deletion_holds_what_needs_nobody_s_consent_too() -> None:
    given_ = given_meeting(*everybody_agrees())
    how = rules(DELIVERY)
    assert primaries(given_, how) == {"OK"}
    assert primaries(with_signals(given_, signal("meeting")), how) == {"LEGAL_HOLD"}


def test_a_deletion_that_nobody_signed_destroys_nothing_and_keeps_nothing_from_being_destroyed() -> None:
    items_, roster, people, records_ = everybody_agrees()
    withdrawn = {**records_, "ada": [grant("r-ada"), grant("w-ada", 10, status="withdrawn")]}
    given_ = given_meeting(items_, roster, people, withdrawn)
    assert decisions(given_) == decisions(with_signals(given_, signal("meeting"))) == {"ERASE"}
    erased = attesting(DELIVERY, erasure_requested=True)
    plain = with_signals(given_meeting(*everybody_agrees()), signal("meeting"))
    assert decisions(plain, erased) == {"ERASE"}
    over = attesting(DELIVERY, retention_until=when(0))
    assert decisions(plain, over) == {"ERASE"}


@settings(max_examples=200, deadline=None)
@given(
    found=meetings(),
    names=st.lists(st.sampled_from(["meeting", "piece", "tenant", "everything"]), min_size=1, max_size=3),
    how=st.sampled_from([TRAINING, ASSIST, DELIVERY]),
)
def test_no_deletion_turns_a_hold_into_a_release(found: MeetingInput, names: list[str], how: str) -> None:
    before = by_item(decide(found, rules(how)))
    reported = [signal(name, piece_join="p1") for name in names]
    after = by_item(decide(with_signals(found, *reported), rules(how)))
    assert (
        decide(with_signals(found, *reported[::-1]), rules(how)).classes
        == decide(with_signals(found, *reported), rules(how)).classes
    )
    for key, row in after.items():
        assert row["decision"] != RELEASE or before[key]["decision"] == RELEASE
