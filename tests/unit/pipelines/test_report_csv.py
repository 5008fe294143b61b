from __future__ import annotations

import pytest

from pipelines.report_csv import _cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert _cell(text) == f"'{text}"


def test_other_cells_stay_as_they_are() -> None:
    assert (_cell("Train a model, or tune it"), _cell(None), _cell(3)) == (
        "Train a model, or tune it",
        "",
        "3",
    )
