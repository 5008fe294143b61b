from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from markupsafe import Markup, escape

from pipelines.report_html import _bases, _doubts, _rows_because, headed
from validation.report_parts import Basis, Named, Processing

HEADS = ("reason", "items", "what it says")


def test_each_cell_says_under_which_head_it_stands() -> None:
    rows = Markup('<tr><th scope="row">A</th><td class="n">1</td><td>x</td></tr>\n') * 2
    found = re.findall(r'<t[hd][^>]* role="(\w+)" data-head="([^"]*)"', headed(rows, HEADS))
    assert found == [("rowheader", "reason"), ("cell", "items"), ("cell", "what it says")] * 2


def test_a_cell_over_several_columns_says_nothing_and_those_after_it_say_theirs() -> None:
    made = headed(Markup('<tr><td colspan="2">too few</td><td>x</td></tr>'), HEADS)
    assert re.findall(r'data-head="([^"]*)"', made) == ["what it says"]
    assert '<td colspan="2" role="cell">' in made


def test_what_looks_like_a_cell_in_a_value_is_none() -> None:
    value = "<td>\u2028</td><tr>"
    rows = Markup("<tr><td>{}</td><td>2</td></tr>").format(value)
    made = headed(rows, ('a "head"', "b"))
    assert made.count('role="cell"') == 2
    assert escape(value) in made
    assert 'data-head="a &#34;head&#34;"' in made


def purpose(*bases: str) -> Processing:
    basis = [Basis(region=f"r{at}", basis=one, article="a", rule="necessary") for at, one in enumerate(bases)]
    return Processing(
        purpose="p",
        title="t",
        basis=basis,
        retention="P1D",
        dpia=None,
        tenants=0,
        recipients=[],
        kinds=[],
        items_released=0,
        items_now=0,
        asked=False,
    )


def test_the_most_common_basis_is_told_last_of_all_regions_that_are_left() -> None:
    assert _bases(purpose("consent", "notice", "consent")) == {"notice": ["r1"], "consent": ["rest"]}
    assert _bases(purpose("consent", "consent")) == {"consent": ["all"]}
    assert _bases(purpose()) == {}


@pytest.mark.parametrize(
    ("run_id", "as_of", "said"),
    [
        ("20260603t080000z-1f0c", "2026-06-01T00:00:00Z", ["2026-06-03", "2026-06-01", "2 days"]),
        ("20260602t080000z-1f0c", "2026-06-01T09:00:00Z", []),
        ("20260601t080000z-1f0c", "2026-07-01T00:00:00Z", []),
        ("of-no-day", "2026-06-01T00:00:00Z", []),
    ],
)
def test_a_release_that_went_by_old_words_is_told_of(run_id: str, as_of: str, said: list[str]) -> None:
    found = _doubts(report_of(0, run_id, as_of))
    assert len(found) == bool(said)
    assert all(word in found[0] for word in said)


def test_consent_by_test_keys_is_told_beside_the_promise() -> None:
    (found,) = _doubts(report_of(1, "20260601t080000z-1f0c", "2026-06-01T00:00:00Z"))
    assert "test keys" in found


def test_rows_are_counted_once_whatever_purposes_were_asked_for() -> None:
    told = ["a QUARANTINE X", "a RELEASE OK", "a ERASE Y", "b QUARANTINE X", "b REJECT Y"]
    rows = [Named(name=name, count=count) for name, count in zip(told, (3, 9, 4, 1, 7), strict=True)]
    report: Any = SimpleNamespace(decisions=SimpleNamespace(telemetry=rows))
    assert _rows_because(report, "X", "Y") == 8
    assert _rows_because(report, "Z") == 0


def report_of(with_test_keys: int, run_id: str, as_of: str) -> Any:
    release = SimpleNamespace(run_id=run_id, as_of=as_of)
    return SimpleNamespace(
        exceptions=SimpleNamespace(with_test_keys=with_test_keys),
        decisions=SimpleNamespace(releases=[release]),
    )
