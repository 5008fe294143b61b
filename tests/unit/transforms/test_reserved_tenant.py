"""The reserved tenant is told from decoded cells, in whatever form a contract has them decoded."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.cells import Level
from schemas.contract import load_contracts
from transforms.reserved_tenant import reserved_rows

SHAPE = load_contracts().by_event["cofferdam", "io.cofferdam.chat.message.sent.v1"]


@pytest.mark.parametrize(
    ("cells", "rows"),
    [
        (pa.array(["urn:cofferdam:canary:1", None, "t", "urn:cofferdam:canary"]), [0, 3]),
        (pa.array([b'"urn:cofferdam:canary:1"', None, b'"t"', b'"\\u0075rn:cofferdam:canary"']), [0, 3]),
        (pa.array([b'["urn:cofferdam:canary"]', b"7", b"null", None]), []),
        (pa.array([1, 2, None, 4]), []),
        (pa.nulls(4, pa.string()), []),
    ],
)
def test_it_is_found_as_text_and_as_json(cells: pa.Array, rows: list[int]) -> None:
    assert reserved_rows(Level(4, {SHAPE.envelope["tenant"]: cells}), SHAPE) == rows


def test_events_without_a_tenant_are_of_no_tenant() -> None:
    assert reserved_rows(Level(4), SHAPE) == []
