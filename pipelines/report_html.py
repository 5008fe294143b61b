"""Render a report as one HTML page: no script, no outside host, every value escaped."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape

from pipelines import report_labels as labels
from pipelines.report_charts import Bar, bar_chart
from validation.report_controls import Terms
from validation.report_decided import Coverage, ReleaseRun
from validation.report_document import Report, broken_promises
from validation.report_parts import Named, Processing
from validation.report_suppression import ALL, NOWHERE, OTHERS, SEVERAL

TEMPLATES: Final = Path(__file__).parent / "report_templates"
CONTENTS: Final = (
    ("first", "Two numbers that must be 0"),
    ("questions", "Seven questions"),
    ("check", "Why an item is held, and how to check a decision"),
    ("counted", "How the two numbers were counted"),
    ("collected", "What is collected"),
    ("processing", "Record of processing"),
    ("coverage", "Consent coverage"),
    ("decisions", "Decisions by reason"),
    ("sealed", "What lies sealed"),
    ("releases", "Release log"),
    ("withdrawals", "Withdrawal and erasure"),
    ("separation", "Evidence of separation"),
    ("terms", "Terms and notices"),
    ("exceptions", "Exceptions and changes"),
    ("assessment", "Impact assessment"),
    ("controls", "Control results"),
    ("log", "Audit log"),
    ("limits", "What this report does not prove"),
)
_REST: Final = "rest"
_TO_ERASE: Final = ("ERASURE_REQUESTED", "RETENTION_EXCEEDED")
_APART: Final = timedelta(days=1)
"""How much older than a release what it went by may be, before the page speaks of it."""

_RUN: Final = re.compile(r"\d{8}t\d{6}z-")
_TRAINING: Final = ("ai_training", "ai_evaluation")
_BARS: Final = 12
_SAID: Final = (
    *("word", "plain", "begun", "explained", "law", "number", "counted"),
    *("duration", "size", "share", "period"),
)
_STACKED: Final = 3
"""A table of more columns is shown on a phone as a list of its rows."""

_CELL: Final = re.compile(r"<(?P<tag>tr|td|th)(?P<more>[^>]*)>")
_SPAN: Final = re.compile(r'colspan="(\d+)"')


def report_html(report: Report) -> str:
    """The report as a page; equal reports make equal pages."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # Everything is escaped, whatever a template is called.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in _SAID:
        environment.globals[name] = getattr(labels, name)
    places = _places(report)
    environment.filters |= {"plain": labels.plain, "coded": labels.coded, "headed": headed}
    environment.globals |= {
        "words": labels,
        "stacked": _STACKED,
        "outcome": _outcome,
        "places": places,
        "places_apart": _places_apart,
        "short": _bases,
        "named": lambda regions: "; ".join(places.get(region, region) for region in regions),
    }
    style = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        report=report,
        style=Markup(style),  # noqa: S704 - our own file
        style_hash=style_hash(style),
        contents=CONTENTS,
        broken=broken_promises(report),
        charts=_charts(report),
        head=report.header,
        first=report.released_without_consent,
        seen=report.collected,
        who=report.agreed,
        sealed=report.quarantine,
        out=report.releases,
        gone=report.withdrawals,
        **_figures(report),
    )


def style_hash(style: str) -> str:
    """The source expression by which the page's policy allows its one style sheet and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}"


def headed(rows: Markup, heads: Sequence[str]) -> Markup:
    """Rows of a table in which each cell says under which head it stands.

    Where a screen is narrow, the rows are shown one below the other, and so are their cells. They are cells
    to a screen reader all the same, whatever the style sheet makes of them.

    Args:
        rows: Rows as a template wrote them: whatever is not ours is escaped in them.
        heads: The heads of the columns.

    >>> str(headed(Markup("<tr><td>a</td></tr>"), ("items",)))
    '<tr role="row"><td role="cell" data-head="items">a</td></tr>'
    """
    at = 0

    def cell(match: re.Match[str]) -> str:
        nonlocal at
        tag, more = match["tag"], match["more"]
        if tag == "tr":
            at = 0
            return '<tr role="row">'
        span = _SPAN.search(more)
        head = "" if span else f' data-head="{escape(heads[at])}"'
        at += int(span[1]) if span else 1
        return f'<{tag}{more} role="{"rowheader" if tag == "th" else "cell"}"{head}>'

    return Markup(_CELL.sub(cell, str(rows)))  # noqa: S704 - escaped by the template


def _figures(report: Report) -> dict[str, Any]:
    purposes = report.processing.purposes
    groups = {one.purpose: _groups(one) for one in purposes}
    outcomes = {one.name: one.count for one in report.decisions.outcomes}
    return {
        "groups": groups,
        "asked": [{"purpose": one.purpose, "groups": groups[one.purpose]} for one in purposes if one.asked],
        "training": [
            one for one in purposes if one.purpose in _TRAINING and (one.asked or one.items_released)
        ],
        "released_now": outcomes.get("RELEASE", 0),
        "values_dropped": sum(one.count for one in report.separation.values if one.name == "dropped"),
        "pieces": Counter({one.name: one.count for one in report.quarantine.pieces}),
        "doubts": _doubts(report),
        "unagreed_devices": _rows_because(report, "TERMINAL_ACCESS_NO_CONSENT"),
        "due_items": sum(one.items for one in report.decisions.reasons if one.reason.code in _TO_ERASE),
        "due_rows": _rows_because(report, *_TO_ERASE),
        "opened": sum(one.items for one in report.quarantine.openings),
        "opened_beside": sum(one.beside for one in report.quarantine.openings),
        "openings": sum(one.openings for one in report.quarantine.openings),
        "kept_in": _of_terms(report, lambda one: one.storage_locations),
        "ways_to_say_no": _of_terms(report, lambda one: [one.withdrawal_method]),
        "on_telemetry": [_on_telemetry(one) for one in report.decisions.telemetry],
    }


def _doubts(report: Report) -> list[str]:
    """What must be said beside the promise that nothing was released without consent."""
    found = []
    if report.exceptions.with_test_keys:
        found.append("The records of consent are signed with test keys: no real agreement is shown.")
    for one in report.decisions.releases:
        made, judged = _day(one.run_id), _day(one.as_of)
        if made is not None and judged is not None and made - judged > _APART:
            found.append(
                f"The release of {made} went by what people had said until {judged}: what they said in"
                f" the {labels.counted((made - judged).days, 'day')} between was not looked at."
            )
    return found


def _day(text: str) -> date | None:
    """The day of a time, or of the run whose id begins with one."""
    with suppress(ValueError):
        return date.fromisoformat(text[:8] if _RUN.match(text) else text[:10])
    return None


def _rows_because(report: Report, *reasons: str) -> int:
    """Rows of telemetry that were decided for one of these reasons, for the purpose with the most of them."""
    found = Counter[str]()
    for one in map(_on_telemetry, report.decisions.telemetry):
        found[one["purpose"]] += one["rows"] * (one["reason"] in reasons)
    return max(found.values(), default=0)


def _of_terms(report: Report, what: Callable[[Terms], Iterable[str]]) -> list[str]:
    """What the versions of terms that can be agreed to say, each once."""
    said = (what(one) for one in report.terms.versions if one.status == "active")
    return list(dict.fromkeys(itertools.chain.from_iterable(said)))


def _on_telemetry(one: Named) -> dict[str, Any]:
    """Rows of telemetry by what was decided about them, with the decision's parts apart."""
    purpose, decision, reason = (*one.name.split(" "), "", "")[:3]
    return {"purpose": purpose, "decision": decision, "reason": reason, "rows": one.count}


def _groups(purpose: Processing) -> list[dict[str, Any]]:
    """The bases of a purpose, regions with the same one together."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for basis in purpose.basis:
        found[basis.basis, basis.article, basis.rule].append(basis.region)
    return [
        {"basis": basis, "article": article, "rule": rule, "regions": regions}
        for (basis, article, rule), regions in found.items()
    ]


def _bases(purpose: Processing) -> dict[str, list[str]]:
    """The regions of each basis of a purpose; the most common basis last, of all regions that are left."""
    found: dict[str, list[str]] = defaultdict(list)
    for basis in purpose.basis:
        found[basis.basis].append(basis.region)
    told = dict(sorted(found.items(), key=lambda one: len(one[1])))
    if told:
        told[list(told)[-1]] = [ALL if len(told) == 1 else _REST]
    return told


def _outcome(run: ReleaseRun, name: str) -> int:
    return sum(one.count for one in run.outcomes if one.name == name)


# --- charts -------------------------------------------------------------------------------------------------


def _charts(report: Report) -> dict[str, Markup]:
    seen, decided, sealed = report.collected, report.decisions, report.quarantine
    held = [one for one in decided.led if one.decision != "RELEASE"][:_BARS]
    charts = {
        "kinds": bar_chart(
            "kinds",
            "Sealed items by kind",
            "Bars of the number of sealed items of each kind. The table beside it has the numbers.",
            [Bar(labels.plain(one.kind), one.items, f"{one.items:,}") for one in seen.content[:_BARS]],
        ),
        "reasons": bar_chart(
            "reasons",
            "Held items by leading reason",
            "Bars of the number of items that each reason holds. The table beside it has the numbers.",
            [Bar(one.reason, one.items, f"{one.items:,}") for one in held],
        ),
        "ages": bar_chart(
            "ages",
            "Sealed items by age",
            "Bars of the number of sealed items of each age. The table beside it has the numbers.",
            [Bar(one.name, one.count, f"{one.count:,}") for one in sealed.ages],
        ),
        "trend": bar_chart(
            "trend",
            "Items released by each release",
            "Bars of what each release released. The table below has the numbers.",
            [Bar(one.as_of, one.released, f"{one.released:,}") for one in decided.releases[-_BARS:]],
        ),
    }
    places = _places(report)
    coverage = {
        f"coverage-{number}": _coverage_chart(f"coverage-{number}", one, places)
        for number, one in enumerate(report.agreed.coverage)
    }
    return charts | coverage


def _places(report: Report) -> dict[str, str]:
    """Names of regions, and of the rows beside them."""
    named = {one.region: one.title for one in report.processing.regions}
    return {
        **named,
        ALL: "all regions",
        SEVERAL: "several regions together",
        NOWHERE: "no region",
        OTHERS: "other regions",
        _REST: "all other regions",
    }


def _places_apart(one: Coverage) -> bool:
    """Whether a region stands in a line of its own."""
    told = {cell.region for cell in one.cells if cell.withheld != "together"}
    return bool(told - {ALL, OTHERS})


def _coverage_chart(name: str, one: Coverage, places: Mapping[str, str]) -> Markup:
    bars = [
        Bar(
            places.get(cell.region, cell.region),
            1000 * cell.pairs_covered // cell.pairs,
            labels.share(cell.pairs_covered, cell.pairs),
            1000,
        )
        for cell in one.cells
        if cell.kind == ALL and cell.pairs and cell.pairs_covered is not None
        if cell.region != OTHERS or _places_apart(one)
    ]
    return bar_chart(
        name,
        "Share of pairs of an item and a person that are covered by consent",
        "A bar for all regions, and for each that is told apart: the filled part is the share of pairs of "
        "which the person agrees. The table below has the numbers, in the rows of all kinds.",
        bars,
    )
