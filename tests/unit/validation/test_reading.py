from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation.reading import DAY, SECOND, UNREADABLE, read_flag, read_instant, read_optional_instant

EPOCH = datetime(1, 1, 1, tzinfo=UTC)


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(min_value=-1439, max_value=1439),
)
def test_an_instant_is_read_exactly(time: datetime, offset: int) -> None:
    there = time.replace(tzinfo=timezone(timedelta(minutes=offset)))
    since = there.astimezone(UTC) - EPOCH
    expected = (since.days + 1) * DAY + since.seconds * SECOND + since.microseconds * 1000
    assert read_instant(there.isoformat()) == expected


@pytest.mark.parametrize(
    "value",
    [
        *(
            "2026-03-02T09:58:00",
            "2026-03-02",
            "2026-03-02T09:58Z",
            "2026-03-02 09:58:00Z",
            "20260302T095800Z",
        ),
        *("2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-03-02T24:00:00Z", "2026-03-02T09:60:00Z"),
        *(
            "2026-03-02T09:58:61Z",
            "2026-03-02T09:58:00+24:00",
            "2026-03-02T09:58:00+0200",
            "0000-01-01T00:00:00Z",
        ),
        *(
            "2026-03-02T09:58:00.Z",
            "2026-03-02T09:58:00Z ",
            "2026-03-02T09:58:00Z\n",
            "\u0662026-03-02T09:58:00Z",
        ),
        *("", None, 7, True, ["2026-03-02T09:58:00Z"]),
    ],
)
def test_what_is_no_rfc_3339_timestamp_is_none(value: Any) -> None:
    assert read_instant(value) is None


def test_nanoseconds_and_small_letters_are_read() -> None:
    plain = read_instant("2026-03-02T09:58:00Z")
    assert plain is not None
    assert read_instant("2026-03-02t09:58:00.000000001z") == plain + 1
    assert read_instant("2026-03-02T09:58:00-00:00") == plain


def test_an_optional_instant_tells_absent_from_unreadable() -> None:
    assert read_optional_instant({}, "at") is None
    assert read_optional_instant({"at": None}, "at") is UNREADABLE
    assert read_optional_instant({"at": "0001-01-01T00:00:00Z"}, "at") == DAY


@pytest.mark.parametrize("value", [None, 0, 1, "true", "false", [], {}])
@pytest.mark.parametrize("otherwise", [True, False])
def test_a_flag_is_never_coerced(value: Any, otherwise: bool) -> None:
    assert read_flag({"flag": value}, "flag", otherwise=otherwise) is otherwise
    assert read_flag({}, "flag", otherwise=otherwise) is otherwise
    assert read_flag({"flag": not otherwise}, "flag", otherwise=otherwise) is not otherwise
