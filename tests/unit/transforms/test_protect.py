"""What is kept is inside its closed set, pattern, range or unit; everything else is handed back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.classification import Protection
from schemas.contract import Cut, Field
from schemas.telemetry import TIMESTAMP, is_time
from transforms.protect import EARLIEST_MS, LATEST_MS, cut_fragments, keep, timestamps

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def entry(logical_type: str = "string", **more: Any) -> Field:
    made: dict[str, Any] = {
        "path": ("a",),
        "classification": "service.telemetry",
        "protection": Protection.KEEP,
        **more,
    }
    return Field(logical_type=logical_type, **made)


def strings(*cells: str | None) -> pa.Array:
    return pa.array(cells, pa.string())


def kept(field: Field, cells: pa.Array) -> tuple[list[Any], list[int]]:
    judged = keep(field, cells)
    judged.array.validate(full=True)
    return judged.array.to_pylist(), judged.misfits


# Strings.

PATTERN = entry(pattern="[a-z]{1,4}|v[0-9]+", max_length=6)
CLOSED = entry(values=("wired", "wifi", "5"))
near = st.one_of(
    st.text(max_size=8),
    st.from_regex(r"\A[a-z]{1,5}\Z"),
    st.from_regex(r"\Av[0-9]{1,7}[\s\S]?\Z"),
    st.sampled_from(["wired", "wifi", "5", "Wifi", "wifi ", " wifi", "wired\n", "wif\0i", "wif\u0131", ""]),
)


def fits_pattern(text: str) -> bool:
    return len(text) <= 6 and re.fullmatch("[a-z]{1,4}|v[0-9]+", text) is not None


@given(cells=st.lists(st.none() | near, max_size=20))
def test_a_string_outside_its_pattern_never_stays(cells: list[str | None]) -> None:
    fits = [cell is None or fits_pattern(cell) for cell in cells]
    column, misfits = kept(PATTERN, strings(*cells))

    assert column == [cell if fit else None for cell, fit in zip(cells, fits, strict=True)]
    assert misfits == [row for row, fit in enumerate(fits) if not fit]


@given(cells=st.lists(st.none() | near, max_size=20))
def test_a_string_outside_its_closed_set_never_stays(cells: list[str | None]) -> None:
    fits = [cell in (None, "wired", "wifi", "5") for cell in cells]
    column, misfits = kept(CLOSED, strings(*cells))

    assert column == [cell if fit else None for cell, fit in zip(cells, fits, strict=True)]
    assert misfits == [row for row, fit in enumerate(fits) if not fit]


def test_the_longest_string_is_counted_in_characters() -> None:
    field = entry(pattern=".*", max_length=3)
    assert kept(field, strings("äöü", "äöüß")) == (["äöü", None], [1])


@pytest.mark.parametrize("more", [{}, {"pattern": "[a-z]+"}, {"max_length": 9}])
def test_without_a_closed_set_or_a_bounded_pattern_nothing_stays(more: dict[str, Any]) -> None:
    assert kept(entry(**more), strings("a", None)) == ([None, None], [0])


def test_a_pattern_of_alternatives_is_anchored_as_a_whole() -> None:
    field = entry(pattern="ab|cd", max_length=9)
    assert kept(field, strings("ab", "abx", "xcd", "cd"))[1] == [1, 2]


def test_a_closed_set_of_numbers_holds_for_their_text_too() -> None:
    field = entry(values=(1, 2), accepts=("integer",))
    assert kept(field, strings("1", "3")) == (["1", None], [1])


# Numbers.

bounds = st.integers(-9, 9) | st.floats(-9, 9) | st.sampled_from([-(2**70), 2**63, 2**70, 1e30, -1e30])
int64s = st.integers(-(2**63), 2**63 - 1)


@given(least=bounds, most=bounds, cells=st.lists(st.none() | int64s | st.integers(-9, 9), max_size=9))
def test_a_whole_number_outside_its_range_never_stays(
    least: float, most: float, cells: list[int | None]
) -> None:
    fits = [cell is None or least <= cell <= most for cell in cells]
    field = entry("integer", minimum=least, maximum=most)
    column, misfits = kept(field, pa.array(cells, pa.int64()))

    assert column == [cell if fit else None for cell, fit in zip(cells, fits, strict=True)]
    assert misfits == [row for row, fit in enumerate(fits) if not fit]


numbers = st.floats(allow_nan=False) | st.floats(-2, 2) | st.sampled_from([0.0, 1.0, -1.0])


@given(cells=st.lists(st.none() | numbers, max_size=9))
def test_a_number_outside_its_range_never_stays(cells: list[float | None]) -> None:
    fits = [cell is None or -1 <= cell <= 1 for cell in cells]
    column, misfits = kept(entry("number", minimum=-1, maximum=1), pa.array(cells, pa.float64()))

    assert column == [cell if fit else None for cell, fit in zip(cells, fits, strict=True)]
    assert misfits == [row for row, fit in enumerate(fits) if not fit]


def test_a_number_without_a_range_does_not_stay_unless_it_is_zero() -> None:
    assert kept(entry("integer"), pa.array([0, 1, -1])) == ([0, None, None], [1, 2])


def test_a_number_outside_its_closed_set_does_not_stay() -> None:
    field = entry("integer", values=(1, 2, 8), minimum=0, maximum=9)
    assert kept(field, pa.array([1, 3, None, 8])) == ([1, None, None, 8], [1])


# Text that holds numbers.

KBPS = entry("number", text_form="number_with_unit", unit="kbps", minimum=0, maximum=1000)


@pytest.mark.parametrize(
    ("unit", "text", "number"),
    [
        ("kbps", "63 kbps", 63.0),
        ("kbps", "63kbps", 63.0),
        ("kbps", " 63 kbps ", 63.0),
        ("ms", "0.25 ms", 0.25),
        ("percent", "0.0%", 0.0),
        ("percent", "12.5 %", 12.5),
        ("fps", "24 fps", 24.0),
        ("dBm", "-57 dbm", -57.0),
        ("GHz", "2.4 GHz", 2.4),
    ],
)
def test_a_number_is_read_with_its_unit(unit: str, text: str, number: float) -> None:
    field = entry("number", text_form="number_with_unit", unit=unit, minimum=-100, maximum=100)
    assert kept(field, strings(text)) == ([number], [])


@pytest.mark.parametrize(
    "text",
    [
        *("63", "63 ms", "63 kbps!", "a 63 kbps", "63  kbps", "1e3 kbps", "+63 kbps", "6 3 kbps"),
        *("63. kbps", ".5 kbps", "kbps", " ", "NaN kbps", "inf kbps", "0x1F kbps", "-1 kbps", "1001 kbps"),
        *(
            "\u0666\u0663 kbps",
            "63 kbps\n",
            "63 kbps 64 kbps",
            "6" * 16 + " kbps",
            "1." + "0" * 10 + " kbps",
            "63 Kbps",
        ),
    ],
)
def test_a_number_with_another_unit_or_none_is_handed_back(text: str) -> None:
    assert kept(KBPS, strings("1 kbps", text)) == ([1.0, None], [1])


@given(cells=st.lists(st.none() | st.text("0123456789.- kbps%m", max_size=10), max_size=9))
def test_text_that_is_no_number_with_its_unit_never_stays(cells: list[str | None]) -> None:
    column, misfits = kept(KBPS, strings(*cells))
    for row, (cell, number) in enumerate(zip(cells, column, strict=True)):
        found = re.fullmatch(r" *(-?[0-9]{1,15}(\.[0-9]{1,9})?) ?kbps *", cell or "")
        fits = found is not None and 0 <= float(found[1]) <= 1000
        assert number == (float(found[1]) if fits and found else None)
        assert (row in misfits) is (not fits and cell not in (None, ""))


def test_the_bounds_of_a_number_in_text_belong_to_it() -> None:
    assert kept(KBPS, strings("1000 kbps", "0 kbps", "1000.1 kbps")) == ([1000.0, 0.0, None], [2])


@pytest.mark.parametrize("others", [(), ("never",)])
def test_the_window_of_times_begins_and_ends_on_the_dot(others: tuple[str, ...]) -> None:
    edges = (
        "2000-01-01T00:00:00Z",
        "1999-12-31T23:59:59.999Z",
        "2099-12-31T23:59:59.999Z",
        "2100-01-01T00:00:00Z",
    )
    judged = timestamps(strings(*edges, *others), None)
    assert judged.array.is_valid().to_pylist() == [True, False, True, False, *(False for _ in others)]
    assert judged.misfits == [1, 3, *(4 for _ in others)]


def test_an_empty_text_is_an_absent_number() -> None:
    assert kept(KBPS, strings("", None, "5 kbps")) == ([None, None, 5.0], [])


def test_a_numeric_string_holds_nothing_but_the_number() -> None:
    field = entry("number", text_form="numeric_string", unit="ms", minimum=0, maximum=9)
    assert kept(field, strings("4.5", "4.5 ms", "10", "", None)) == ([4.5, None, None, None, None], [1, 2])


def test_a_whole_number_in_text_has_no_fraction() -> None:
    field = entry("integer", accepts=("string",), minimum=0, maximum=9)
    assert kept(field, strings("4", "4.0", "10", "-0")) == ([4, None, None, 0], [1, 2])


def test_a_number_in_text_keeps_to_its_closed_set() -> None:
    field = entry("integer", accepts=("string",), values=(1, 2))
    assert kept(field, strings("1", "3")) == ([1, None], [1])


def test_truth_values_may_be_words() -> None:
    field = entry("boolean", accepts=("boolean", "string"))
    assert kept(field, strings("true", "false", "True", "1", "", None)) == (
        [True, False, None, None, None, None],
        [2, 3],
    )


def test_plain_truth_values_stay() -> None:
    assert kept(entry("boolean"), pa.array([True, None, False])) == ([True, None, False], [])


# Points in time.


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


offsets = st.none() | st.integers(-(23 * 60 + 59), 23 * 60 + 59)


@st.composite
def written_times(draw: st.DrawFn) -> tuple[str, int | None]:
    """An RFC 3339 text, and what it is in milliseconds; None outside the accepted window."""
    local = draw(st.datetimes(datetime(1999, 12, 30), datetime(2100, 1, 3)))
    offset = draw(offsets)
    digits = draw(st.integers(0, 9))
    fraction = f"{local.microsecond:06d}{draw(st.integers(0, 999)):03d}"[:digits]
    shift = (
        "Z"
        if offset is None
        else f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    )
    zone = timezone(timedelta(minutes=offset or 0))
    whole = local.replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=zone)
    text = f"{local:%Y-%m-%dT%H:%M:%S}{'.' if digits else ''}{fraction}{shift}"
    return text, milliseconds(whole) if FIRST <= whole < LAST else None


@given(drawn=st.lists(written_times(), min_size=1, max_size=6), spoiled=st.booleans())
def test_times_are_what_the_calendar_says(drawn: list[tuple[str, int | None]], spoiled: bool) -> None:
    # One text that is no time sends the whole column the slow way; both ways must agree.
    texts = [text for text, _ in drawn] + ["soon"] * spoiled
    judged = timestamps(strings(*texts), None)

    expected = [moment for _, moment in drawn] + [None] * spoiled
    assert judged.array.type == TIMESTAMP
    assert judged.array.cast(pa.int64()).to_pylist() == expected
    assert judged.misfits == [row for row, moment in enumerate(expected) if moment is None]


@pytest.mark.parametrize(
    "text",
    [
        *("2023-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2100-02-29T00:00:00Z", "2024-13-01T00:00:00Z"),
        *("2024-00-01T00:00:00Z", "2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z"),
        *("2024-06-30T23:59:60Z", "2024-01-01T00:00:00", "2024-01-01", "2024-01-01 00:00:00Z"),
        *("2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00+0000"),
        *(
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.0123456789Z",
            "2024-01-01T00:00:00Z\n",
            "24-01-01T00:00:00Z",
        ),
        *("1677-01-01T00:00:00Z", "2600-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
        *("Tue Oct 31 13:52:37 BRT 2023", "1700000000000", "x2024-01-01T00:00:00Z", "2024-01-01T00:00Z"),
    ],
)
@pytest.mark.parametrize("others", [(), ("never",)])
def test_what_is_no_time_is_handed_back(text: str, others: tuple[str, ...]) -> None:
    judged = timestamps(strings("2024-02-29T12:00:00Z", text, *others), None)
    assert judged.array.cast(pa.int64()).to_pylist() == [1_709_208_000_000, None, *(None for _ in others)]
    assert judged.misfits == list(range(1, 2 + len(others)))


def test_absent_times_are_no_misfits() -> None:
    judged = timestamps(strings(None, "2024-02-29T12:00:00Z", "", None), None)
    assert judged.array.cast(pa.int64()).to_pylist() == [None, 1_709_208_000_000, None, None]
    assert judged.misfits == []


@pytest.mark.parametrize(("unit", "factor"), [("ms since 1970 UTC", 1), ("s since 1970 UTC", 1000)])
@pytest.mark.parametrize("as_text", [False, True])
def test_counted_times_stay_inside_the_accepted_window(unit: str, factor: int, as_text: bool) -> None:
    first, end = EARLIEST_MS // factor, LATEST_MS // factor
    numbers = [first, first - 1, end - 1, end, None, 0, -5, 2**53]
    cells = pa.array(numbers, pa.int64())
    judged = timestamps(cells.cast(pa.string()) if as_text else cells, unit)

    expected = [EARLIEST_MS, None, (end - 1) * factor, None, None, None, None, None]
    assert judged.array.type == TIMESTAMP
    assert judged.array.cast(pa.int64()).to_pylist() == expected
    assert judged.misfits == [1, 3, 5, 6, 7]


@pytest.mark.parametrize(
    "text", ["1e12", "1700000000000.0", " 1700000000000", "+1700000000000", "9" * 17, "\u0661\u0667\u0660"]
)
def test_a_counted_time_in_text_is_digits(text: str) -> None:
    assert timestamps(strings(text), "ms since 1970 UTC").misfits == [0]


def test_a_field_is_a_time_by_its_type_or_its_unit() -> None:
    assert is_time(entry("timestamp"))
    assert is_time(entry("integer", unit="ms since 1970 UTC"))
    assert not is_time(entry("integer", unit="ms"))
    assert kept(entry("timestamp"), strings("2024-02-29T12:00:00Z", "x"))[1] == [1]


# Lists.


@given(cells=st.lists(st.none() | st.lists(st.none() | near, max_size=4), max_size=8))
def test_one_value_that_does_not_fit_spoils_its_list_alone(cells: list[list[str | None]] | Any) -> None:
    def fits(items: list[str | None] | None) -> bool:
        return all(item is None or fits_pattern(item) for item in items or [])

    kind = pa.list_(pa.field("element", pa.string()))
    field = entry(pattern=PATTERN.pattern, max_length=6, is_list=True)
    column, misfits = kept(field, pa.array(cells, kind))

    assert column == [items if fits(items) else None for items in cells]
    assert misfits == [row for row, items in enumerate(cells) if not fits(items)]


def test_lists_of_times_are_read_item_by_item() -> None:
    kind = pa.list_(pa.field("element", pa.string()))
    judged = keep(entry("timestamp", is_list=True), pa.array([["2024-02-29T12:00:00Z"], None, ["x"]], kind))
    assert judged.array.type == pa.list_(pa.field("element", TIMESTAMP))
    assert judged.array.is_valid().to_pylist() == [True, False, False]
    assert judged.misfits == [2]


def test_a_slice_of_a_column_is_judged_by_its_own_rows() -> None:
    cells = strings("no!", "wifi", "Anna", "wired")
    assert kept(CLOSED, cells.slice(1)) == (["wifi", None, "wired"], [1])
    lists = pa.array(
        [["Anna"], ["wifi"], ["wired", "Anna"], None], pa.list_(pa.field("element", pa.string()))
    )
    assert kept(entry(values=CLOSED.values, is_list=True), lists.slice(1)) == ([["wifi"], None, None], [1])


# Fragments of sealed text.

REASON = entry(
    protection=Protection.SEAL,
    classification="identifier.direct",
    cut=Cut("<br>Reason: ", ("Host ended the meeting.", "Left")),
)


@pytest.mark.parametrize(
    ("cell", "fragment"),
    [
        (b'"Anna left.<br>Reason: Host ended the meeting."', "Host ended the meeting."),
        (b'"Anna<br>Reason: Left<br>Reason: Left"', "Left"),
        (b'"<br>Reason: Left  "', "Left"),
        (b'"Anna<br>Reason: Left<br>Reason: Anna"', None),
        (b'"<br>Reason: Host ended the meeting. Anna said"', None),
        (b'"Left"', None),
        (b'"Anna left. Reason: Left"', None),
        (b'"<br>Reason: left"', None),
        (b'""', None),
        (b"null", None),
        (b'{"a":"<br>Reason: Left"}', None),
        (None, None),
    ],
)
def test_only_a_listed_fragment_is_cut_out(cell: bytes | None, fragment: str | None) -> None:
    assert cut_fragments(REASON, pa.array([cell], pa.binary())).to_pylist() == [fragment]


@given(
    cells=st.lists(
        st.none()
        | st.binary(max_size=20)
        | st.text(max_size=9).map(lambda text: b'"x<br>Reason: ' + text.encode() + b'"'),
        max_size=9,
    )
)
def test_nothing_but_the_closed_list_comes_out_of_sealed_text(cells: list[bytes | None]) -> None:
    assert set(cut_fragments(REASON, pa.array(cells, pa.binary())).to_pylist()) <= {
        None,
        "Left",
        "Host ended the meeting.",
    }
