from __future__ import annotations

import re
from xml.etree import ElementTree

from pipelines.report_charts import Bar, bar_chart

BARS = (Bar("NO_CONSENT", 40, "40"), Bar("<b>$x^2$</b> & \x00", 3, "3", 10))
SVG = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_the_same_again_and_has_a_text_alternative() -> None:
    chart = bar_chart("one", "Title", "What it shows.", BARS)
    assert chart == bar_chart("one", "Title", "What it shows.", BARS)
    root = ElementTree.fromstring(chart)  # noqa: S314 - our own drawing
    assert root.get("role") == "img"
    named = {part.get("id"): part.text for part in root.iter() if part.tag in (f"{SVG}title", f"{SVG}desc")}
    assert named == {"one-title": "Title", "one-desc": "What it shows."}
    assert root.get("aria-labelledby") == "one-title one-desc"


def test_a_chart_holds_nothing_that_a_strict_page_refuses() -> None:
    chart = bar_chart("one", "Title", "What it shows.", BARS)
    assert "style=" not in chart
    assert "<style" not in chart
    assert not re.search(r"#[0-9a-f]{6}", chart)
    assert set(re.findall(r"https?://[^\"]+", chart)) == {"http://www.w3.org/2000/svg"}


def test_labels_are_escaped_and_no_formula() -> None:
    chart = bar_chart("one", "T", "D", BARS)
    assert "&lt;b&gt;$x^2$&lt;/b&gt; &amp;" in chart
    assert "<b>" not in chart


def test_charts_of_one_page_share_no_id() -> None:
    ids = [set(re.findall(r' id="([^"]+)"', bar_chart(name, "T", "D", BARS))) for name in ("one", "two")]
    assert not ids[0] & ids[1]


def test_a_chart_of_nothing_is_a_chart() -> None:
    assert bar_chart("none", "T", "D", ()).startswith("<svg")
