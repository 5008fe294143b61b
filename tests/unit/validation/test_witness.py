"""The witness: whoever was certainly there needs a yes that the release names, and no later no."""

from __future__ import annotations

from typing import Any

import pytest

from validation.witness import COVERED, UNCOVERED, Ask, Witness

ASK = Ask("ai_training", "chat", "first_party", "acme", "t1", "m1", "2026-03-10T00:00:00Z")
MINUTE = 60_000
PERSONS: dict[str, str | None] = {"ada": "ada", "bob": "bob", "eve": None, "b2": "bob"}
YES = {
    "id": "r-bob",
    "status": "given",
    "sig_ok": True,
    "controller": "acme",
    "purposes": ["ai_training"],
    "kinds": ["chat"],
    "recipients": ["first_party"],
    "scope": "meeting:m1",
    "event_time": "2026-03-02T09:00:00Z",
}


def row(event: str, minute: int, *names: str, visit: str | None = None) -> dict[str, Any]:
    subjects = [{"type": "zoom.user_id", "pseudonym": name} for name in names]
    about = {"subjects": subjects, "join_pseudonym": visit, "channel": None, "view_only": None}
    return {**about, "event": event, "event_time": minute * MINUTE}


def stay(start: int, end: int, *names: str, visit: str | None = None) -> list[dict[str, Any]]:
    return [row("join", start, *names, visit=visit), row("leave", end, *names, visit=visit)]


def item(**changes: Any) -> dict[str, Any]:
    nothing = {"recorded_start": None, "recorded_end": None, "sender_join": None, "consent_flag": None}
    return {**nothing, "event_time": 30 * MINUTE, **changes}


def judged(roster: list[dict[str, Any]], *rows: dict[str, Any], about: Any = None, **asked: Any) -> str:
    """What the witness says of one item; records are Bob's."""
    witness = Witness(roster, PERSONS, {"bob": list(rows)})
    ids = asked.pop("ids", [row["id"] for row in rows if row.get("id")])
    ask = Ask(**{name: asked.get(name, getattr(ASK, name)) for name in Ask.__slots__})
    return witness.judge([about or item()], ask, ids)[0]


def test_a_yes_that_the_release_names_covers_its_person() -> None:
    assert judged(stay(0, 60, "bob"), YES) == COVERED


@pytest.mark.parametrize("scope", ["global", "tenant:t1", "meeting:m1"])
def test_every_scope_around_the_meeting_covers_it(scope: str) -> None:
    assert judged(stay(0, 60, "bob"), {**YES, "scope": scope}) == COVERED


@pytest.mark.parametrize(
    "change",
    [
        {"status": "requested"},
        {"status": "withdrawn"},
        {"sig_ok": False},
        {"controller": "other"},
        {"purposes": ["ai_evaluation"]},
        {"purposes": ["*"]},
        {"kinds": ["audio"]},
        {"recipients": ["processor"]},
        {"scope": "meeting:m2"},
        {"scope": None},
        {"id": None},
    ],
)
def test_a_record_that_is_no_yes_to_this_covers_nobody(change: dict[str, Any]) -> None:
    assert judged(stay(0, 60, "bob"), {**YES, **change}, ids=["r-bob"]) == UNCOVERED


def test_a_yes_that_the_release_does_not_name_covers_nobody() -> None:
    assert judged(stay(0, 60, "bob"), YES, ids=["another"]) == UNCOVERED


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-03-02T08:59:59Z", COVERED),
        ("2026-03-02T09:00:00Z", UNCOVERED),
        ("2026-03-05T00:00:00Z", UNCOVERED),
        ("2026-03-11T00:00:00Z", UNCOVERED),
    ],
)
@pytest.mark.parametrize("purposes", [["ai_training"], ["*"], None])
def test_a_no_that_is_not_older_takes_the_cover_away(time: str, expected: str, purposes: Any) -> None:
    no = {**YES, "id": "r-no", "status": "withdrawn", "event_time": time, "purposes": purposes}
    assert judged(stay(0, 60, "bob"), YES, no, ids=["r-bob"]) == expected


@pytest.mark.parametrize(
    "change", [{"purposes": ["marketing"]}, {"scope": "meeting:m2"}, {"controller": "other"}]
)
def test_a_no_to_something_else_takes_nothing_away(change: dict[str, Any]) -> None:
    no = {**YES, "id": "r-no", "status": "refused", "event_time": "2026-03-05T00:00:00Z", **change}
    assert judged(stay(0, 60, "bob"), YES, no, ids=["r-bob"]) == COVERED


def test_who_was_certainly_not_there_need_not_be_covered() -> None:
    assert judged(stay(31, 60, "ada") + stay(0, 29, "ada")) == COVERED
    assert judged(stay(30, 60, "ada")) == UNCOVERED
    assert judged(stay(0, 30, "ada")) == UNCOVERED


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"channel": "bot"}, COVERED),
        ({"view_only": True}, COVERED),
        ({"view_only": False}, UNCOVERED),
        ({"channel": "dial_in"}, UNCOVERED),
    ],
)
def test_bots_and_those_who_only_watch_need_no_cover(about: dict[str, Any], expected: str) -> None:
    assert judged([{**each, **about} for each in stay(0, 60, "ada")]) == expected


def test_who_only_watched_for_a_while_needs_cover() -> None:
    first, last = stay(0, 60, "ada")
    assert judged([{**first, "view_only": True}, last]) == UNCOVERED


def test_without_a_time_an_item_concerns_everybody() -> None:
    assert judged(stay(50, 60, "ada"), about=item(event_time=None)) == UNCOVERED


def test_a_recording_concerns_whoever_was_there_while_it_ran() -> None:
    recording = item(recorded_start=10 * MINUTE, recorded_end=20 * MINUTE, event_time=90 * MINUTE)
    assert judged(stay(20, 60, "ada"), about=recording) == UNCOVERED
    assert judged(stay(21, 60, "ada"), about=recording) == COVERED


def test_a_visit_is_one_person_whatever_its_rows_name() -> None:
    roster = [row("join", 0, "b2", visit="v"), row("leave", 60, "bob", visit="v")]
    assert judged(roster, YES) == COVERED
    assert judged(roster) == UNCOVERED


def test_a_person_whom_nobody_can_tell_is_not_covered() -> None:
    assert judged(stay(0, 60, "eve", visit="v"), YES) == UNCOVERED
    assert judged(stay(0, 60, visit="v"), YES) == UNCOVERED


def test_a_visits_own_id_names_nobody() -> None:
    roster = stay(0, 60, "bob", visit="v")
    for each in roster:
        each["subjects"].append({"type": "zoom.join_id", "pseudonym": "ada"})
    assert judged(roster, YES) == COVERED


@pytest.mark.parametrize(("sender", "expected"), [("bob", COVERED), ("ada", UNCOVERED), ("v", COVERED)])
def test_a_sender_is_asked_even_without_a_stay(sender: str, expected: str) -> None:
    roster = [row("join", 0, "bob", visit="v")]
    assert judged(roster, YES, about=item(sender_join=sender)) == expected


def test_an_item_whose_own_event_refuses_is_not_covered() -> None:
    for purposes in (["ai_training"], ["*"], [], None, [None]):
        flag = {"refuses": True, "purposes": purposes, "record_ids": []}
        assert judged([], about=item(consent_flag=flag)) == UNCOVERED
    flag = {"refuses": True, "purposes": ["marketing"], "record_ids": []}
    assert judged([], about=item(consent_flag=flag)) == COVERED


@pytest.mark.parametrize(
    ("kind", "named", "expected"),
    [
        ("transcript", "audio", COVERED),
        ("transcript", "*", COVERED),
        ("voiceprint", "audio", UNCOVERED),
        ("voiceprint", "*", UNCOVERED),
        ("voiceprint", "voiceprint", COVERED),
    ],
)
def test_a_kind_is_covered_by_its_root_unless_it_is_a_template(kind: str, named: str, expected: str) -> None:
    assert judged(stay(0, 60, "bob"), {**YES, "kinds": [named]}, kind=kind) == expected
