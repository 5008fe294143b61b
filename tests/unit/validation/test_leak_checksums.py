"""Numbers of people: those with the right check digits are told from those with a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.leak_checksums import NUMBERS, is_aadhaar, is_luhn, numbers_in

SOUND = {
    "card": ["4111111111111111", "5500 0055 5555 5559", "3782-822463-10005"],
    "iban": ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "FR1420041010050500013M02606"],
    "id_in": ["2341 2341 2346", "234123412346"],
    "id_de": ["86095742719", "47 036 892 816"],
    "id_card_de": ["T220001293"],
    "id_es": ["12345678Z", "X1234567L"],
    "id_fr": ["255081416802538", "2 55 08 14 168 025 38"],
    "id_br": ["529.982.247-25"],
    "id_pl": ["44051401359"],
    "id_ch": ["756.9217.0769.85"],
    "id_it": ["RSSMRA85T10A562S"],
    "id_us": ["078-05-1120"],
}


def test_every_detector_of_numbers_has_an_example() -> None:
    assert set(SOUND) == set(NUMBERS)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in SOUND.items() for text in texts])
def test_a_sound_number_is_found_in_a_text_and_not_in_a_longer_number(name: str, text: str) -> None:
    assert name in numbers_in(text)
    assert name in numbers_in(f"call {text}, please")
    assert name not in numbers_in(f"a{text}")
    assert name not in numbers_in(f"{text}7b")


@pytest.mark.parametrize("name", [name for name in SOUND if name != "id_us"])
def test_a_wrong_check_digit_is_no_number(name: str) -> None:
    text = SOUND[name][0]
    last = text[-1]
    others = "0123456789" if last.isdecimal() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    wrong = [text[:-1] + other for other in others if other != last]
    found = sum(name in numbers_in(each) for each in wrong)
    assert found == 0


@pytest.mark.parametrize("text", ["000-12-3456", "666-12-3456", "912-12-3456", "123-00-4567", "123-45-0000"])
def test_what_was_never_issued_is_no_us_number(text: str) -> None:
    assert "id_us" not in numbers_in(text)


@given(st.text("0123456789", min_size=11, max_size=18), st.integers(0, 10), st.integers(1, 9))
def test_luhn_finds_every_wrong_digit(digits: str, place: int, shift: int) -> None:
    sound = next(digits + str(check) for check in range(10) if is_luhn(digits + str(check)))
    wrong = sound[:place] + str((int(sound[place]) + shift) % 10) + sound[place + 1 :]
    assert not is_luhn(wrong)


@given(st.from_regex(r"[2-9][0-9]{10}", fullmatch=True), st.integers(1, 10))
def test_verhoeff_finds_every_swap_of_neighbours(digits: str, place: int) -> None:
    sound = next(digits + str(check) for check in range(10) if is_aadhaar(digits + str(check)))
    swapped = sound[:place] + sound[place + 1] + sound[place] + sound[place + 2 :]
    assert swapped == sound or not is_aadhaar(swapped)
