"""Charts of a report as inline SVG: bars that are legible on a phone, in the page's own colours and letters.

A chart never stands alone: the page shows its numbers as a table beside it. No colour is named here: every
shape gets a class, and the page's style sheet says what it looks like by day, by night and on paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree

from markupsafe import Markup

_SVG: Final = "http://www.w3.org/2000/svg"
_LINK: Final = "http://www.w3.org/1999/xlink"
_WIDTH: Final = 3.6
"""Inches; the letters of a wider chart would shrink on a phone."""
_ROW: Final = 0.42
_CLASSES: Final = {"#000001": "ink", "#000002": "bar", "#000003": "track"}
_INK, _BAR, _TRACK = _CLASSES
_KEPT: Final = ("font-size", "text-anchor", "stroke-width")
_LONGEST: Final = 44


@dataclass(frozen=True)
class Bar:
    """A bar.

    Attributes:
        label: What it is of.
        value: Its length.
        of: What it is a part of, 0 for nothing.
        text: The value in words.
    """

    label: str
    value: int
    text: str
    of: int = 0


def bar_chart(name: str, title: str, description: str, bars: Sequence[Bar]) -> Markup:
    """A chart of bars.

    Args:
        name: Name of the chart, of a-z and -; no two of a page share it.
        title: What it shows.
        description: What it shows, in a sentence, for those who do not see it.
        bars: The bars, from top to bottom.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}):
        height = _ROW * max(len(bars), 1) + 0.1
        figure = Figure(figsize=(_WIDTH, height))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        _draw(axes, bars)
        out = io.BytesIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(out, format="svg", metadata=nothing, transparent=True)
    return Markup(_plain(out.getvalue(), name, title, description))  # noqa: S704 - serialised, hence escaped


def _draw(axes: Any, bars: Sequence[Bar]) -> None:
    longest = max((max(bar.value, bar.of) for bar in bars), default=0) or 1
    for number, bar in enumerate(bars):
        place = len(bars) - number
        axes.barh(place - 0.2, longest, height=0.26, color=_TRACK, linewidth=0)
        axes.barh(place - 0.2, bar.value, height=0.26, color=_BAR, linewidth=0)
        axes.text(0, place + 0.06, _short(bar.label), va="bottom", ha="left", color=_INK, parse_math=False)
        axes.text(longest, place + 0.06, bar.text, va="bottom", ha="right", color=_INK, parse_math=False)
    axes.set_xlim(0, longest)
    axes.set_ylim(0.5, len(bars) + 0.62)
    axes.set_axis_off()


def _short(text: str) -> str:
    told = "".join(letter if letter.isprintable() else " " for letter in text)
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 1]}…"


def _plain(svg: bytes, name: str, title: str, description: str) -> str:
    """The drawing without anything that a strict page refuses: no style, no link, no id of another chart."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    root = ElementTree.fromstring(svg)  # noqa: S314 - as above
    for part in root.iter():
        for inside in list(part):
            if inside.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}defs") and not len(
                inside.findall(f".//{{{_SVG}}}clipPath")
            ):
                part.remove(inside)
        _restyle(part, name)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "class": "chart", "aria-labelledby": f"{name}-title {name}-desc"}
    for tag, text in (("desc", description), ("title", title)):
        told = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        told.text = text
        root.insert(0, told)
    return ElementTree.tostring(root, encoding="unicode")


def _restyle(part: ElementTree.Element, name: str) -> None:
    style = dict(re.findall(r"([a-z-]+):\s*([^;]+)", part.attrib.pop("style", "")))
    for key in _KEPT:
        if key in style:
            part.set(key, style[key])
    classes = [_CLASSES[style[key]] for key in ("fill", "stroke") if style.get(key) in _CLASSES]
    if classes:
        part.set("class", classes[0])
    elif style.get("fill") == "none" or part.tag == f"{{{_SVG}}}path":
        part.set("fill", "none")
    if "font" in style:
        part.set("font-size", re.sub(r"^.*?([0-9.]+px).*$", r"\1", style["font"]))
    for key, value in list(part.attrib.items()):
        if key == "id":
            part.set(key, f"{name}-{value}")
        elif "url(#" in value:
            part.set(key, value.replace("url(#", f"url(#{name}-"))
        elif key == f"{{{_LINK}}}href":
            part.set(key, f"#{name}-{value.removeprefix('#')}")
