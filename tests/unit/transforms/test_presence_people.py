from __future__ import annotations

from transforms.presence_people import Identity, identify, stable_pseudonyms


def test_an_unregistered_identifier_is_its_own_person() -> None:
    assert identify(["aa"], {}) == Identity("aa", ("aa",), True)


def test_identifiers_of_one_registered_person_are_one_key() -> None:
    assert identify(["bb", "aa"], {"aa": "p", "bb": "p"}) == Identity("p", ("p",), True)


def test_unregistered_identifiers_of_one_event_are_kept_together() -> None:
    assert identify(["bb", "aa"], {"aa": "p"}) == Identity("bb+p", ("bb", "p"), True)


def test_identifiers_of_two_registered_people_identify_nobody() -> None:
    assert not identify(["aa", "bb"], {"aa": "p", "bb": "q"}).identified


def test_an_identifier_that_several_claim_identifies_nobody() -> None:
    found = identify(["aa", "bb"], {"aa": None, "bb": "p"})
    assert (found.identified, found.keys) == (False, ("p",))


def test_nobody_is_identified_without_an_identifier() -> None:
    assert not identify([], {}).identified


def test_people_who_cannot_be_identified_are_told_apart_by_their_visits() -> None:
    assert identify([], {}, "v").key != identify([], {}, "w").key


def test_an_entry_that_stands_for_itself_is_nobody_registered() -> None:
    assert identify(["aa", "bb"], {"aa": "aa", "bb": "bb"}).identified


def test_no_representation_shows_a_key() -> None:
    assert "aa" not in repr(identify(["aa"], {}))


def test_ids_of_visits_and_rows_without_type_or_value_identify_nobody() -> None:
    subjects = [("zoom.join_id", "x"), ("email", "e"), (None, "n"), ("phone", None), ("phone", "")]
    rows = [{"type": type_, "pseudonym": value} for type_, value in subjects]
    assert stable_pseudonyms([*rows, None]) == {"e"}  # type: ignore[list-item]
    assert stable_pseudonyms(None) == frozenset()
