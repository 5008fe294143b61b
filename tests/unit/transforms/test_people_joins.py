"""Identifiers become people, and records find the meetings of theirs; neither order nor shards change it."""

from __future__ import annotations

from itertools import permutations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from transforms.consent_intake import Attested, Link, encode_row
from transforms.meeting_joins import HOME
from transforms.people_joins import (
    ALIASES,
    OTHER_MEETINGS,
    WANTED,
    PersonRows,
    alias_table,
    resolve_people,
    row_table,
    rows_to_meetings,
    tuples,
)

ADULT = Attested("eu", "adult", "guest", True)
GIVEN, REFUSED = encode_row({"id": "y", "status": "given"}), encode_row({"id": "n", "status": "refused"})


def wanted(*pairs: tuple[str, str]) -> pa.Table:
    return pa.table([[one for one, _ in pairs], [other for _, other in pairs]], schema=WANTED)


# --- whom identifiers stand for ---------------------------------------------------------------------------


def test_an_identifier_that_nobody_registered_is_its_own_person_in_each_of_its_meetings() -> None:
    found = resolve_people(
        ALIASES.empty_table(), wanted(("aa", "m1"), ("aa", "m2"), ("aa", "m1")), row_table([])
    )
    assert list(tuples(found.links)) == [(m, "aa", "aa", *Attested(), False) for m in ("m1", "m2")]
    assert set(tuples(found.wanted)) == {("aa", "m1"), ("aa", "m2")}


def test_records_under_any_identifier_of_a_person_are_the_persons() -> None:
    aliases = alias_table([Link(name, "p1", ADULT, registered=True) for name in ("aa", "bb")])
    found = resolve_people(aliases, wanted(("aa", "m1")), row_table([("bb", GIVEN), ("cc", REFUSED)]))
    assert list(tuples(found.links)) == [("m1", "aa", "p1", *ADULT, True)]
    assert list(tuples(found.wanted)) == [("p1", "m1")]
    assert set(tuples(found.rows)) == {("p1", GIVEN), ("cc", REFUSED)}


def test_an_identifier_of_two_people_asks_for_nobody() -> None:
    aliases = alias_table([Link("aa", name, ADULT, registered=True) for name in ("p1", "p2")])
    found = resolve_people(aliases, wanted(("aa", "m1")), row_table([("aa", GIVEN), ("aa", REFUSED)]))
    assert list(tuples(found.links)) == [("m1", "aa", None, *Attested(), True)]
    assert not found.wanted.num_rows
    assert {person for person, _ in tuples(found.rows)} == {"p1", "p2"}
    assert GIVEN not in found.rows.column("row").to_pylist()


def test_order_changes_nothing_about_who_is_who() -> None:
    links = [Link("aa", "p1", ADULT, registered=True), Link("bb", "p1", ADULT, registered=True)]
    own = [("aa", GIVEN), ("bb", REFUSED), ("aa", encode_row({"id": "z"}))]
    seen = {
        tuple(
            frozenset(tuples(table))
            for table in resolve_people(alias_table(some), wanted(("aa", "m")), row_table(rows))
        )
        for some in permutations(links)
        for rows in permutations(own)
    }
    assert len(seen) == 1


def test_records_go_to_the_meetings_of_their_person_alone() -> None:
    found = rows_to_meetings(
        wanted(("p1", "m1"), ("p1", "m2"), ("p1", "m1")), row_table([("p1", GIVEN), ("p2", REFUSED)])
    )
    assert found.column_names[0] == HOME
    assert list(tuples(found)) == [("m1", "p1", GIVEN), ("m2", "p1", GIVEN)]


# --- what travels to a meeting ----------------------------------------------------------------------------


def rows(number: int, scope: str, same_id: bool = False) -> list[bytes]:
    return [
        encode_row({"id": "r" if same_id else f"r{scope}{at}", "scope": scope, "event_time": f"{at:05d}"})
        for at in range(number)
    ]


def test_few_rows_about_other_meetings_travel_and_all_that_may_matter() -> None:
    here, everywhere = rows(100, "meeting:m"), rows(100, "tenant:t")
    doubtful, illegible = rows(100, "meeting:y", same_id=True), [encode_row({"id": "z", "scope": None})]
    kept = PersonRows([*here, *everywhere, *rows(500, "meeting:x"), *doubtful, *illegible]).for_meeting("m")
    assert set(kept) >= {*here, *everywhere, *doubtful, *illegible}
    assert len(kept) == 301 + OTHER_MEETINGS


@given(seed=st.randoms(use_true_random=False))
def test_which_rows_travel_does_not_depend_on_their_order(seed: object) -> None:
    found = [*rows(5, "meeting:m"), *rows(100, "meeting:x")]
    shuffled = list(found)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert PersonRows(shuffled).for_meeting("m") == PersonRows(found).for_meeting("m")
