from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transforms.presence_samples import (
    MEETING,
    Row,
    bounds,
    came,
    flag,
    item,
    item_table,
    keys_of,
    people_of,
    roster_row,
    roster_table,
    visit,
)
from transforms.presence import (
    OTHER_TENANT,
    SENDER_ABSENT,
    TIMES_UNREADABLE,
    ItemClass,
    MeetingClasses,
    Objection,
    meeting_classes,
    meeting_people,
)
from transforms.presence_people import Persons
from transforms.presence_roster import NO_END, NO_START, OUTSIDE, UNIDENTIFIED

NS = 1_000_000


def classes(
    items: list[Row], roster: list[Row], persons: Persons | None = None, **how: Any
) -> MeetingClasses:
    return meeting_classes(item_table(items), roster_table(roster), persons or {}, **how)


def class_of(found: MeetingClasses, place: int = 0) -> ItemClass:
    return found.classes[found.class_of[place]]


def only(fields: Row, roster: list[Row], persons: Persons | None = None, **how: Any) -> ItemClass:
    return class_of(classes([{**item(), **fields}], roster, persons, **how))


MORNING = [*bounds(), *visit(0, 100, "a", name="v"), *visit(40, 60, "b", name="w")]


@pytest.mark.parametrize(("at", "present"), [(39, {"a"}), (40, {"a", "b"}), (60, {"a", "b"}), (61, {"a"})])
def test_a_late_joiner_is_concerned_from_join_to_leave(at: int, present: set[str]) -> None:
    found = classes([item(at=at)], MORNING)
    assert (keys_of(found), class_of(found).roster_complete) == (present, True)


def test_somebody_between_two_stays_is_not_concerned() -> None:
    roster = [*MORNING, *visit(80, 90, "b", name="x")]
    found = classes([item(at=70), item(at=None, recorded_start=50, recorded_end=70)], roster)
    assert (keys_of(found, 0), keys_of(found, 1)) == ({"a"}, {"a", "b"})


@pytest.mark.parametrize(
    ("times", "present", "recorded_end", "doubts"),
    [
        ((50, None, None), True, 50, ()),
        ((50, 10, 20), False, 20, ()),
        ((500, 10, 40), True, 40, ()),
        ((30, 10, None), False, 30, ()),
        ((50, 10, None), True, 50, ()),
        ((None, 10, None), True, 10, ()),
        ((None, None, 30), False, 30, ()),
        ((None, None, 40), True, 40, ()),
        ((None, None, None), True, 0, ()),
        ((101, None, None), False, 101, (OUTSIDE,)),
        ((-1, None, None), False, -1, (OUTSIDE,)),
        ((None, 90, 101), False, 101, (OUTSIDE,)),
        ((None, 20, 10), True, 10, (OUTSIDE, TIMES_UNREADABLE)),
        ((5, 20, None), True, 5, (OUTSIDE, TIMES_UNREADABLE)),
    ],
)
def test_the_interval_of_an_item(
    times: tuple[int | None, ...], present: bool, recorded_end: int, doubts: tuple[str, ...]
) -> None:
    fields = dict(zip(("event_time", "recorded_start", "recorded_end"), times, strict=True))
    found = classes([{**item(), **fields}], MORNING)
    one = class_of(found)
    assert (("b" in keys_of(found)), one.recorded_end, one.doubts) == (present, recorded_end * NS, doubts)


def test_an_item_without_any_time_in_a_meeting_without_start_ends_with_the_first_event_known() -> None:
    roster = [row for row in MORNING if row["event"] != "start"]
    one = only({"event_time": None}, roster)
    assert (one.recorded_end, one.doubts) == (0, (NO_START,))
    assert only({"event_time": None}, []).recorded_end is None


def test_items_without_a_roster_are_nobodys_and_held() -> None:
    found = classes([item()], [])
    assert (keys_of(found), class_of(found).doubts) == (set(), (NO_END, NO_START))


def test_no_items_make_no_classes() -> None:
    found = classes([], MORNING)
    assert (found.classes, len(found.class_of), found.items_by_class()) == ((), 0, [])


def test_items_of_several_meetings_are_refused() -> None:
    with pytest.raises(ValueError, match="several meetings"):
        classes([item(), item(meeting_join="another")], MORNING)


def test_a_sender_who_is_not_there_is_concerned_too() -> None:
    found = classes([item(at=10, sender_join="b"), item(at=10)], MORNING)
    assert (keys_of(found, 0), keys_of(found, 1)) == ({"a", "b"}, {"a"})
    assert class_of(found).roster_complete


def test_a_sender_who_is_on_no_roster_is_concerned_and_the_roster_doubted() -> None:
    found = classes([item(sender_join="c")], MORNING)
    assert (keys_of(found), class_of(found).doubts) == ({"a", "b", "c"}, (SENDER_ABSENT,))


def test_a_sender_under_a_visit_is_the_person_of_that_visit() -> None:
    found = classes([item(at=10, sender_join="w")], MORNING)
    assert (keys_of(found), class_of(found).roster_complete) == ({"a", "b"}, True)


def test_a_sender_is_found_under_an_alias() -> None:
    found = classes([item(at=10, sender_join="x")], MORNING, {"b": "p", "x": "p"})
    assert (keys_of(found), class_of(found).roster_complete) == ({"a", "p"}, True)


def test_a_sender_whom_several_claim_cannot_be_identified() -> None:
    found = classes([item(sender_join="x"), item()], MORNING, {"x": None})
    assert not all(person.identified for person in people_of(found, 0))
    assert (class_of(found, 0).doubts, class_of(found, 1).doubts) == ((UNIDENTIFIED,), ())


def test_somebody_unidentified_makes_the_roster_incomplete_at_any_time() -> None:
    roster = [*MORNING, *visit(0, 10, "phone/d", name="y")]
    assert only({}, roster, {"d": None}).doubts == (UNIDENTIFIED,)


def test_a_dial_in_without_an_identifier_is_present_and_unidentified() -> None:
    found = classes([item()], [*MORNING, *visit(0, 100, name="y")])
    assert sorted(person.identified for person in people_of(found)) == [False, True, True]


def test_two_identifiers_of_one_registered_person_are_one_person() -> None:
    roster = [*MORNING, *visit(0, 100, "email/e", name="y")]
    assert keys_of(classes([item()], roster, {"b": "p", "e": "p"})) == {"a", "p"}


def test_records_of_a_person_lie_under_every_identifier_of_the_event() -> None:
    found = classes([item()], [*bounds(), *visit(0, 100, "b", "email/e", name="y")], {"e": "p"})
    assert [person.keys for person in people_of(found)] == [("b", "p")]


def test_a_roster_of_another_tenant_is_doubted_and_one_of_no_tenant_is_not() -> None:
    assert only({"tenant_join": "other"}, MORNING).doubts == (OTHER_TENANT,)
    assert only({}, [*MORNING, roster_row("start", 0, tenant_join=None)]).doubts == ()


def test_an_objection_names_its_sender_and_purposes() -> None:
    roster = [*bounds(), *visit(0, 100, "a", name="v")]
    one = only({"sender_join": "a", "consent_flag": flag(["x", "w"])}, roster)
    assert one.objection == Objection((0,), ("w", "x"))


@pytest.mark.parametrize("purposes", [None, [], [None]])
def test_an_objection_that_names_nothing_is_to_everything(purposes: list[str] | None) -> None:
    one = only({"consent_flag": flag(purposes)}, MORNING)
    assert one.objection == Objection((), ("*",))


@pytest.mark.parametrize("given", [None, flag(["x"], False), flag(["x"], None)])
def test_a_flag_that_does_not_refuse_adds_nothing(given: Row | None) -> None:
    assert only({"consent_flag": given}, MORNING).class_id == only({}, MORNING).class_id


def test_regions_are_those_of_the_item_of_the_meeting_and_of_those_present() -> None:
    roster = [
        roster_row("start", 0, region="uk"),
        roster_row("end", 100),
        *visit(0, 100, "a", name="v", region="eu"),
        *visit(80, 90, "b", name="w", region="in"),
    ]
    assert only({"region": "br"}, roster).regions == ("br", "eu", "uk")
    assert only({"event_time": 85}, roster).regions == ("eu", "in", "uk")


def test_classes_are_split_by_what_decisions_depend_on() -> None:
    rows = [
        item(),
        item("same", sender_join="a"),
        item("kind", kind="audio"),
        item("tenant", tenant_join=None),
        item("region", region="eu"),
        item("objection", consent_flag=flag()),
        item("person", consent_flag=flag(), sender_join="a"),
        item("people", at=10),
    ]
    found = classes(rows, MORNING)
    assert found.class_of[0] == found.class_of[1]
    assert len(found.classes) == len(rows) - 1
    assert sorted(map(tuple, found.items_by_class())) == sorted([(0, 1), *((at,) for at in range(2, 8))])


def test_further_columns_split_classes() -> None:
    table = item_table([item(twice=True), item(twice=False)], pa.field("twice", pa.bool_()))
    found = meeting_classes(table, roster_table(MORNING), {}, labels=["twice"])
    assert {one.labels for one in found.classes} == {(True,), (False,)}


def test_the_roots_of_a_kind() -> None:
    assert (only({"kind": "transcript"}, MORNING).roots, only({}, MORNING).roots) == (("audio",), ("chat",))


def test_class_ids_do_not_depend_on_people_and_items_elsewhere() -> None:
    alone = only({}, MORNING)
    found = classes([item(), item("x", sender_join="0")], [*MORNING, *visit(1, 2, "00", name="z")])
    assert class_of(found).class_id == alone.class_id
    assert class_of(found).presence != alone.presence


def test_everybody_is_listed_before_anything_is_known_of_their_records() -> None:
    items, roster = item_table([item(sender_join="c")]), roster_table(MORNING)
    assert meeting_people(items, roster, {}) == meeting_classes(items, roster, {}).people


def test_no_representation_shows_a_pseudonym() -> None:
    roster = [*bounds(), *visit(0, 100, "secretly", name="v")]
    found = classes([item(sender_join="secretly")], roster)
    shown = repr(found) + repr(found.people)
    assert "secretly" not in shown
    assert MEETING not in shown


STAYS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=10
)
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)), min_size=1, max_size=8)


def roster_of(stays: list[tuple[str, int, int]]) -> list[Row]:
    rows = bounds(0, 40)
    for number, (who, start, length) in enumerate(stays):
        rows += visit(start, start + length, who, name=f"v{number}")
    return rows


def items_of(spans: list[tuple[int, int]]) -> list[Row]:
    return [
        item(f"i{n}", None, recorded_start=start, recorded_end=start + length)
        for n, (start, length) in enumerate(spans)
    ]


@given(STAYS, SPANS)
def test_people_are_those_that_counting_instants_finds(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]]
) -> None:
    found = classes(items_of(spans), roster_of(stays))
    for place, (start, length) in enumerate(spans):
        instants = range(start, start + length + 1)
        there = {who for who, at, long in stays if any(at <= now <= at + long for now in instants)}
        assert keys_of(found, place) == there
        assert class_of(found, place).roster_complete


@given(STAYS, SPANS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_items_changes_nothing(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]], random: Any
) -> None:
    items, roster = items_of(spans), [*roster_of(stays), came("join", 3, "a"), came("leave", 5, "b", "c")]
    first = classes(items, roster)
    order = random.sample(range(len(items)), len(items))
    second = classes([items[at] for at in order], random.sample(roster, len(roster)))
    assert (second.classes, second.people) == (first.classes, first.people)
    assert second.class_of.tolist() == first.class_of[order].tolist()


@given(STAYS, SPANS, st.booleans(), st.integers(0, 20), st.integers(1, 9))
def test_one_participant_more_never_takes_anybody_out_nor_completes_a_roster(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]], known: bool, start: int, length: int
) -> None:
    new = visit(start, start + length, *(["new"] if known else []), name="new")
    whole = roster_of(stays)
    for roster, bound in itertools.product((whole, [*whole, came("join", 3, "a")]), (5, 50, 10**6)):
        items = items_of(spans)
        before = classes(items, roster, people_in_segments=bound)
        after = classes(items, [*roster, *new], people_in_segments=bound)
        for place in range(len(items)):
            assert keys_of(before, place) <= keys_of(after, place)
            assert not class_of(after, place).roster_complete or class_of(before, place).roster_complete


@given(STAYS, SPANS, st.data())
def test_any_row_that_is_missing_makes_every_roster_incomplete(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    items, roster = items_of(spans), roster_of(stays)
    missing = data.draw(st.integers(0, len(roster) - 1))
    before = classes(items, roster)
    after = classes(items, roster[:missing] + roster[missing + 1 :])
    assert not any(one.roster_complete for one in after.classes)
    assert all(keys_of(before, place) <= keys_of(after, place) for place in range(len(items)))


CLAIMS = st.fixed_dictionaries(
    {
        "region": st.sampled_from([None, "eu", "us-default"]),
        "channel": st.sampled_from([None, "bot", "dial_in"]),
        "role": st.sampled_from([None, "host", "attendee"]),
        "view_only": st.sampled_from([None, True, False]),
        "is_host": st.sampled_from([None, True, False]),
    }
)


@given(STAYS, SPANS, st.data())
def test_what_events_claim_about_attributes_only_adds_regions(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    items, roster = items_of(spans), roster_of(stays)
    before = classes(items, roster)
    after = classes(
        [{**row, "region": data.draw(st.sampled_from([None, "eu"]))} for row in items],
        [{**row, **data.draw(CLAIMS)} for row in roster],
    )
    for place in range(len(items)):
        one, other = class_of(before, place), class_of(after, place)
        assert set(one.regions) <= set(other.regions)
        assert keys_of(before, place) == keys_of(after, place)
        assert (one.doubts, one.recorded_end) == (other.doubts, other.recorded_end)


@given(SPANS, st.lists(st.integers(-5 * NS, 45 * NS), max_size=6))
def test_ends_in_one_class_lie_on_the_same_side_of_every_instant(
    spans: list[tuple[int, int]], instants: list[int]
) -> None:
    found = classes(items_of(spans), MORNING, instants=instants)
    for place, (start, length) in enumerate(spans):
        end = class_of(found, place).recorded_end
        assert end is not None
        assert all((instant > end) == (instant > (start + length) * NS) for instant in instants)
    ends = {one.recorded_end for one in found.classes}
    assert len(ends) <= len(set(instants)) + 1


@given(STAYS, SPANS, st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(1, 60))
def test_a_large_meeting_in_longer_steps_concerns_more_people_and_earlier_ends(
    stays: list[tuple[str, int, int]], spans: list[tuple[int, int]], instants: list[int], bound: int
) -> None:
    grants = [instant * NS for instant in instants]
    exact = classes(items_of(spans), roster_of(stays), instants=grants)
    coarse = classes(items_of(spans), roster_of(stays), instants=grants, people_in_segments=bound)
    for place in range(len(spans)):
        assert keys_of(exact, place) <= keys_of(coarse, place)
        ends = class_of(exact, place).recorded_end, class_of(coarse, place).recorded_end
        assert ends[0] is not None
        assert ends[1] is not None
        assert all(grant > ends[1] for grant in grants if grant > ends[0])


@pytest.mark.parametrize(("at", "present"), [(31, {"a"}), (32, {"a", "b"}), (63, {"a", "b"}), (64, {"a"})])
def test_in_a_large_meeting_time_goes_in_steps(at: int, present: set[str]) -> None:
    """Two people in the three steps of 32 ms in which somebody came or left."""
    assert keys_of(classes([item(at=at)], MORNING, people_in_segments=6)) == present


def test_in_a_large_meeting_ends_are_compared_in_steps() -> None:
    items = [item(f"i{at}", at) for at in range(64)]
    found = classes(items, bounds(0, 64), instants=[at * NS for at in range(64)], people_in_segments=4)
    ends = [class_of(found, at).recorded_end for at in range(64)]
    assert ends == [at // 16 * 16 * NS for at in range(64)]


def large_meeting(people: int, items: int) -> tuple[pa.Table, pa.Table]:
    hour, random = 3_600_000, np.random.default_rng(7)
    joins, leaves = random.integers(0, hour // 2, people), random.integers(hour // 2, hour, people)
    roster = bounds(0, hour)
    for number, (join, leave) in enumerate(zip(joins.tolist(), leaves.tolist(), strict=True)):
        roster += visit(join, leave, f"{number:032x}", name=f"v{number}")
    rows = [item(f"i{n}", at) for n, at in enumerate(random.integers(0, hour, items).tolist())]
    return item_table(rows), roster_table(roster)


@pytest.mark.parametrize(
    ("people", "items", "seconds"),
    [(1_000, 5_000, 2.0), pytest.param(10_000, 50_000, 5.0, marks=pytest.mark.slow)],
)
def test_a_large_meeting_comes_to_few_classes_and_takes_seconds(
    people: int, items: int, seconds: float
) -> None:
    item_rows, roster = large_meeting(people, items)
    grants = np.random.default_rng(8).integers(0, 3_600_000 * NS, people).tolist()
    began = time.process_time()
    found = meeting_classes(item_rows, roster, {}, instants=grants, people_in_segments=500 * people)
    assert time.process_time() - began < seconds
    assert len(found.classes) < 2_500
    assert len(found.class_of) == items
