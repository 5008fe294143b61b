"""Numbers that people have, told from other numbers by their check digits.

Each function takes digits or letters without separators and says whether they can be such a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

_IBAN_LENGTHS: Final = MappingProxyType(
    {
        "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
        "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21,
        "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24,
        "SE": 24, "SI": 19, "SK": 24, "TR": 26, "AE": 23, "SA": 24, "IL": 23, "BR": 29,
    }
)  # fmt: skip

_VERHOEFF_D: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_VERHOEFF_P: Final = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
    (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
    (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8),
)  # fmt: skip


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit (ISO/IEC 7812-1).

    >>> is_luhn("4111111111111111"), is_luhn("4111111111111112")
    (True, False)
    """
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[-1::-2]]
    return (sum(plain) + sum(number - 9 if number > 9 else number for number in doubled)) % 10 == 0


def is_card(digits: str) -> bool:
    """Payment card: 13 to 19 digits of a known range, Luhn.

    >>> is_card("4111111111111111"), is_card("9999999999999995")
    (True, False)
    """
    return 13 <= len(digits) <= 19 and digits[0] in "23456" and len(set(digits)) > 1 and is_luhn(digits)


def is_iban(text: str) -> bool:
    """International bank account number (ISO 13616): length of its country, mod 97.

    >>> is_iban("DE89370400440532013000"), is_iban("DE89370400440532013001")
    (True, False)
    """
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def is_aadhaar(digits: str) -> bool:
    """Indian Aadhaar number: 12 digits, not beginning with 0 or 1, Verhoeff check digit.

    >>> is_aadhaar("234123412346"), is_aadhaar("234123412347")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _VERHOEFF_D[check][_VERHOEFF_P[place % 8][int(digit)]]
    return len(digits) == 12 and digits[0] not in "01" and check == 0


def is_german_tax_id(digits: str) -> bool:
    """German tax identification number: 11 digits, ISO/IEC 7064 MOD 11,10, one digit twice or three times.

    >>> is_german_tax_id("86095742719"), is_german_tax_id("86095742718")
    (True, False)
    """
    if len(digits) != 11 or digits[0] == "0" or len(set(digits[:10])) not in (8, 9):
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_german_id_card(text: str) -> bool:
    """German identity card: nine signs and a check digit with weights 7, 3, 1 (ICAO 9303).

    >>> is_german_id_card("T220001293"), is_german_id_card("T220001294")
    (True, False)
    """
    total = sum(int(sign, 36) * (7, 3, 1)[place % 3] for place, sign in enumerate(text[:9]))
    return len(text) == 10 and text[0].isalpha() and total % 10 == int(text[9], 36)


def is_spanish_dni(text: str) -> bool:
    """Spanish DNI or NIE: eight digits (or X, Y, Z and seven) and the letter of their remainder by 23.

    >>> is_spanish_dni("12345678Z"), is_spanish_dni("12345678A"), is_spanish_dni("X1234567L")
    (True, False, True)
    """
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return len(text) == 9 and number.isdecimal() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def is_french_nir(text: str) -> bool:
    """French social security number: sex, year, month, place, and the key 97 minus the remainder by 97.

    >>> is_french_nir("255081416802538"), is_french_nir("255081416802539")
    (True, False)
    """
    number = text[:13].replace("2A", "19").replace("2B", "18")
    if len(text) != 15 or not number.isdecimal() or text[0] not in "12":
        return False
    return 97 - int(number) % 97 == int(text[13:])


def is_brazilian_cpf(digits: str) -> bool:
    """Brazilian CPF: 11 digits, the last two of them check digits mod 11.

    >>> is_brazilian_cpf("52998224725"), is_brazilian_cpf("52998224726")
    (True, False)
    """
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    for length in (9, 10):
        total = sum(int(digit) * (length + 1 - place) for place, digit in enumerate(digits[:length]))
        if total * 10 % 11 % 10 != int(digits[length]):
            return False
    return True


def is_pesel(digits: str) -> bool:
    """Polish PESEL: 11 digits with weights 1, 3, 7, 9, and a month that exists.

    >>> is_pesel("44051401359"), is_pesel("44051401358")
    (True, False)
    """
    if len(digits) != 11 or int(digits[2:4]) % 20 not in range(1, 13) or not 1 <= int(digits[4:6]) <= 31:
        return False
    return (
        sum(int(digit) * (1, 3, 7, 9)[place % 4] for place, digit in enumerate(digits[:10])) % 10
        == (10 - int(digits[10])) % 10
    )


def is_swiss_ahv(digits: str) -> bool:
    """Swiss AHV number: 13 digits beginning with 756, check digit of EAN-13.

    >>> is_swiss_ahv("7569217076985"), is_swiss_ahv("7569217076984")
    (True, False)
    """
    total = sum(int(digit) * (1, 3)[place % 2] for place, digit in enumerate(digits))
    return len(digits) == 13 and digits.startswith("756") and total % 10 == 0


def is_italian_tax_code(text: str) -> bool:
    """Italian codice fiscale: 16 signs, the last one worked out from the others.

    >>> is_italian_tax_code("RSSMRA85T10A562S"), is_italian_tax_code("RSSMRA85T10A562T")
    (True, False)
    """
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    total = 0
    for place, sign in enumerate(text[:15]):
        value = int(sign) if sign.isdecimal() else ord(sign) - ord("A")
        total += odd[value] if place % 2 == 0 else value
    return len(text) == 16 and chr(ord("A") + total % 26) == text[15]


_SEPARATED: Final = "[ ./-]?"


def _digits(*groups: int) -> str:
    """Groups of digits with separators that may stand between them."""
    return _SEPARATED.join(rf"\d{{{group}}}" for group in groups)


_EDGE_BEFORE: Final = r"(?<![0-9A-Za-z])(?<!\d[.,])"
_EDGE_AFTER: Final = r"(?![0-9A-Za-z])"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"{_EDGE_BEFORE}(?:{pattern}){_EDGE_AFTER}", re.ASCII)


NUMBERS: Final[Mapping[str, tuple[re.Pattern[str], Callable[[str], bool]]]] = MappingProxyType(
    {
        "card": (_form(r"\d(?:[ -]?\d){12,18}"), is_card),
        "iban": (_form(r"[A-Z]{2}\d{2}(?: ?[0-9A-Z]){11,27}"), is_iban),
        "id_in": (_form(_digits(4, 4, 4)), is_aadhaar),
        "id_de": (_form(_digits(2, 3, 3, 3)), is_german_tax_id),
        "id_card_de": (_form(r"[CFGHJKLMNPRTVWXYZ][0-9CFGHJKLMNPRTVWXYZ]{8}\d"), is_german_id_card),
        "id_es": (_form(r"(?:\d{8}|[XYZ]\d{7})-?[A-Z]"), is_spanish_dni),
        "id_fr": (
            _form(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}"),
            is_french_nir,
        ),
        "id_br": (_form(_digits(3, 3, 3, 2)), is_brazilian_cpf),
        "id_pl": (_form(r"\d{11}"), is_pesel),
        "id_ch": (_form(_digits(3, 4, 4, 2)), is_swiss_ahv),
        "id_it": (_form(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]"), is_italian_tax_code),
        "id_us": (
            _form(r"(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}"),
            lambda text: len(text) == 9,
        ),
    }
)
"""Numbers by detector: their form, and the check of what is left without separators."""


def numbers_in(text: str) -> set[str]:
    """The detectors that find a number of theirs in a text."""
    return {
        name
        for name, (form, is_one) in NUMBERS.items()
        if any(is_one(re.sub(r"[ ./-]", "", found[0])) for found in form.finditer(text))
    }
