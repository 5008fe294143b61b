from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transforms.presence_samples import Row, bounds, came, roster_row, roster_table, visit
from transforms.presence_roster import (
    ALWAYS_AFTER,
    ALWAYS_BEFORE,
    NO_END,
    NO_JOIN,
    NO_LEAVE,
    NO_START,
    OUTSIDE,
    SHARED_VISIT,
    UNIDENTIFIED,
    UNREADABLE,
    MeetingRoster,
    Stay,
    read_roster,
)


def read(rows: Sequence[Row]) -> MeetingRoster:
    return read_roster(roster_table(rows), {})


def stays(rows: Sequence[Row], key: str = "a") -> list[Stay]:
    return sorted(read(rows).people[key].stays)


def test_a_visit_lasts_from_join_to_leave() -> None:
    found = read([*bounds(), *visit(10, 20, "a", name="v")])
    assert (found.people["a"].stays, found.doubts) == ([Stay(10, 20)], set())


def test_visits_of_one_person_are_stays_of_their_own() -> None:
    rows = [*bounds(), *visit(10, 20, "a", name="v"), *visit(30, 40, "a", name="w")]
    assert stays(rows) == [Stay(10, 20), Stay(30, 40)]


def test_a_second_join_of_a_visit_changes_nothing_before_its_last_leave() -> None:
    rows = [*bounds(), *visit(10, 20, "a", name="v"), came("join", 15, "a", visit="v")]
    assert (stays(rows), read(rows).doubts) == ([Stay(10, 20)], set())


def test_without_visit_ids_a_person_may_come_twice() -> None:
    rows = [*bounds(), *visit(10, 20, "a"), *visit(30, 40, "a")]
    assert (stays(rows), read(rows).doubts) == ([Stay(10, 20), Stay(30, 40)], set())


def test_without_visit_ids_overlapping_stays_become_one() -> None:
    rows = [*bounds(), *visit(10, 30, "a"), *visit(20, 40, "a")]
    assert stays(rows) == [Stay(10, 40)]


def test_without_visit_ids_every_join_needs_a_leave_of_its_own() -> None:
    rows = [*bounds(), *visit(10, 30, "a"), came("join", 20, "a")]
    assert (stays(rows), read(rows).doubts) == ([Stay(10, ALWAYS_AFTER)], {NO_LEAVE})


def test_a_return_at_the_instant_of_leaving_is_no_gap() -> None:
    rows = [*bounds(), *visit(10, 20, "a"), *visit(20, 40, "a")]
    assert (stays(rows), read(rows).doubts) == ([Stay(10, 40)], set())


def test_a_leave_does_not_close_a_stay_that_begins_at_its_instant() -> None:
    rows = [*bounds(), came("join", 10, "a"), *visit(20, 20, "a")]
    assert (stays(rows), read(rows).doubts) == ([Stay(10, ALWAYS_AFTER)], {NO_LEAVE})


def test_a_visit_of_no_length_is_believed_only_under_its_id() -> None:
    assert read([*bounds(), *visit(20, 20, "a", name="v")]).doubts == set()
    assert read([*bounds(), *visit(20, 20, "a")]).doubts == {NO_JOIN, NO_LEAVE}


@pytest.mark.parametrize(("event", "time", "doubt"), [("join", 20, NO_LEAVE), ("leave", 10, NO_JOIN)])
def test_an_event_at_the_edge_of_a_visit_may_be_of_another_stay(event: str, time: int, doubt: str) -> None:
    assert read([*bounds(), *visit(10, 20, "a", name="v"), came(event, time, "a", visit="v")]).doubts == {
        doubt
    }


@pytest.mark.parametrize("name", ["v", None])
@pytest.mark.parametrize(
    ("event", "time", "stay", "doubt"),
    [
        ("join", 10, Stay(10, ALWAYS_AFTER), NO_LEAVE),
        ("leave", 20, Stay(ALWAYS_BEFORE, 20), NO_JOIN),
    ],
)
def test_a_half_of_a_stay_is_held_to_be_as_long_as_can_be(
    name: str | None, event: str, time: int, stay: Stay, doubt: str
) -> None:
    rows = [*bounds(), came(event, time, "a", visit=name)]
    assert (stays(rows), read(rows).doubts) == ([stay], {doubt})


@pytest.mark.parametrize("name", ["v", None])
def test_a_leave_before_the_first_join_means_that_a_join_is_missing(name: str | None) -> None:
    rows = [*bounds(), came("leave", 5, "a", visit=name), *visit(10, 20, "a", name=name)]
    assert read(rows).doubts == {NO_JOIN}
    assert stays(rows)[0].start == ALWAYS_BEFORE


@pytest.mark.parametrize("name", ["v", None])
def test_a_return_without_a_leave_means_that_a_leave_is_missing(name: str | None) -> None:
    rows = [*bounds(), *visit(10, 20, "a", name=name), came("join", 30, "a", visit=name)]
    assert read(rows).doubts == {NO_LEAVE}
    assert stays(rows)[-1].end == ALWAYS_AFTER


@pytest.mark.parametrize("name", ["v", None])
@pytest.mark.parametrize("event", ["join", "leave"])
def test_a_row_without_a_time_makes_the_roster_doubtful(name: str | None, event: str) -> None:
    rows = [*bounds(), *visit(10, 20, "a", name=name), came(event, None, "a", visit=name)]
    assert UNREADABLE in read(rows).doubts
    (stay,) = stays(rows)
    assert (stay.start if event == "join" else stay.end) in (ALWAYS_BEFORE, ALWAYS_AFTER)


@pytest.mark.parametrize("name", ["v", None])
def test_a_row_of_no_known_event_makes_somebody_present_all_along(name: str | None) -> None:
    rows = [*bounds(), came("", 10, "a", visit=name)]
    assert Stay(ALWAYS_BEFORE, ALWAYS_AFTER) in stays(rows)
    assert UNREADABLE in read(rows).doubts


@pytest.mark.parametrize(
    ("rows", "doubts"),
    [
        ([], {NO_START, NO_END}),
        ([roster_row("start", 0)], {NO_END}),
        ([roster_row("end", 9)], {NO_START}),
        ([*bounds(), roster_row("start", 200)], {NO_END}),
        ([*bounds(), roster_row("end", -1)], {NO_START}),
        ([*bounds(), *bounds(200, 300)], set()),
        ([roster_row("start", None), roster_row("end", 9)], {NO_START, UNREADABLE}),
    ],
)
def test_a_meeting_has_a_start_before_and_an_end_after_all_others(rows: list[Row], doubts: set[str]) -> None:
    assert read(rows).doubts == doubts


@pytest.mark.parametrize("name", ["v", None])
@pytest.mark.parametrize(("join", "leave"), [(-1, 50), (50, 101)])
def test_stays_lie_inside_the_meeting(name: str | None, join: int, leave: int) -> None:
    assert read([*bounds(), *visit(join, leave, "a", name=name)]).doubts == {OUTSIDE}


def test_somebody_under_a_visit_id_alone_is_unidentified_and_present() -> None:
    found = read([*bounds(), *visit(10, 20, "zoom.join_id/v", name="v")])
    (one,) = found.people.values()
    assert (found.doubts, one.stays, one.identity.identified) == ({UNIDENTIFIED}, [Stay(10, 20)], False)


def test_a_row_of_a_visit_with_fewer_identifiers_is_the_same_person() -> None:
    rows = [came("join", 10, "a", "email/e", visit="v"), came("leave", 20, "a", visit="v")]
    found = read([*bounds(), *rows])
    assert (list(found.people), found.doubts) == (["a+e"], set())


def test_a_visit_of_two_people_makes_both_present_and_is_doubted() -> None:
    found = read([*bounds(), came("join", 10, "a", visit="v"), came("leave", 20, "b", visit="v")])
    assert (set(found.people), found.doubts) == ({"a", "b"}, {SHARED_VISIT})


def test_who_enters_a_room_is_there_until_the_meeting_ends() -> None:
    for name in ("v", None):
        found = read([*bounds(), came("enter", 10, "a", visit=name)])
        assert (found.people["a"].stays, found.doubts) == ([Stay(10, ALWAYS_AFTER)], set())


def test_no_leave_ends_the_stay_of_somebody_who_entered_a_room() -> None:
    main = visit(5, 20, "a", name="v")
    found = read([*bounds(), *main, came("enter", 15, "a", visit="w"), came("enter", 20, "a", visit="v")])
    assert sorted(found.people["a"].stays) == [Stay(5, 20), Stay(15, ALWAYS_AFTER), Stay(20, ALWAYS_AFTER)]
    assert found.doubts == set()


def test_a_room_may_be_where_somebody_was_seen_first() -> None:
    found = read([*bounds(), came("enter", 10, "a", visit="v"), came("leave", 30, "a", visit="v")])
    assert sorted(found.people["a"].stays) == [Stay(10, 30), Stay(10, ALWAYS_AFTER)]
    assert found.doubts == set()
    late = [came("enter", 30, "a", visit="v"), came("leave", 10, "a", visit="v")]
    assert NO_JOIN in read([*bounds(), *late]).doubts


@pytest.mark.parametrize("name", ["v", None])
def test_a_room_outside_the_meeting_or_without_a_time_is_doubted(name: str | None) -> None:
    assert read([*bounds(10, 20), came("enter", 30, "a", visit=name)]).doubts == {OUTSIDE}
    assert read([*bounds(10, 20), came("enter", 5, "a", visit=name)]).doubts == {OUTSIDE}
    untimed = read([*bounds(), came("enter", None, "a", visit=name)])
    assert NO_JOIN in untimed.doubts
    assert Stay(ALWAYS_BEFORE, ALWAYS_AFTER) in untimed.people["a"].stays


@given(
    st.lists(st.tuples(st.sampled_from(["join", "leave", "enter"]), st.integers(0, 9)), max_size=6),
    st.integers(0, 9),
    st.sampled_from(["v", None]),
)
def test_entering_a_room_makes_nobody_present_for_shorter(
    events: list[tuple[str, int]], at: int, name: str | None
) -> None:
    def present(more: list[tuple[str, int]]) -> set[int]:
        rows = [came(event, time, "a", visit=name) for event, time in more]
        known = read([*bounds(0, 9), *rows]).people.get("a")
        stays = known.stays if known else []
        return {time for stay in stays for time in range(10) if stay.start <= time <= stay.end}

    after = present([*events, ("enter", at)])
    assert after >= set(range(at, 10))
    if any(event == "join" for event, _ in events):
        assert after >= present(events)


EVENTS = st.lists(st.tuples(st.sampled_from(["join", "leave"]), st.integers(0, 9)), min_size=1, max_size=8)


@given(EVENTS, st.sampled_from(["v", None]))
def test_stays_cover_every_instant_at_which_any_order_of_the_events_puts_the_person_there(
    events: list[tuple[str, int]], name: str | None
) -> None:
    found = read([*bounds(0, 9), *(came(event, at, "a", visit=name) for event, at in events)])
    covered = {at for stay in found.people["a"].stays for at in range(10) if stay.start <= at <= stay.end}
    for instant in range(10):
        came_by = sum(event == "join" and at <= instant for event, at in events)
        left_before = sum(event == "leave" and at < instant for event, at in events)
        if came_by > left_before and name is None:
            assert instant in covered
    balanced = sum(1 if event == "join" else -1 for event, _ in events) == 0
    assert balanced or name is not None or found.doubts


@given(EVENTS)
def test_a_roster_without_doubt_is_left_by_everybody_in_the_end(events: list[tuple[str, int]]) -> None:
    found = read([*bounds(0, 9), *(came(event, at, "a", visit="v") for event, at in events)])
    last = max(at for _, at in events)
    at_last = {event for event, at in events if at == last}
    if "leave" not in at_last:
        assert NO_LEAVE in found.doubts
