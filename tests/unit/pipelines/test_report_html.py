from __future__ import annotations

import re

from markupsafe import Markup, escape

from pipelines.report_html import _bases, headed
from validation.report_parts import Basis, Processing

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
