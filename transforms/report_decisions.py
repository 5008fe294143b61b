"""What the last releases decided: by outcome and reason, how far consent reaches, which items to look at."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.tables import DECISION_CLASSES, DECISION_ITEMS, DECISION_TELEMETRY
from transforms.report_view import StoreView
from validation.report_suppression import ALL, NOWHERE, SEVERAL, Place, Reach
from validation.report_words import RISKS

LEADS: Final = 40
"""Lines of items by leading reason that are listed; there are fewer reasons than this for a purpose."""

Asked = tuple[str, str]
"""Purpose and recipient."""

_NO: Final = frozenset(("REFUSED", "WITHDRAWN"))
_STAGE: Final = ("stage",)


@dataclass(frozen=True, slots=True)
class LedBy:
    """What items have in common that one reason leads."""

    asked: Asked
    decision: str
    reason: str


@dataclass
class LastDecisions:
    """What the last release of each purpose and recipient decided.

    Attributes:
        runs: The release by what was asked.
        led: Items by leading reason.
        examples: The first item of each.
        reasons: Items in whose decision a reason stands.
        risks: Items in whose decision a reason stands that tells of a risk, each item once.
        reach: How far consent reaches, by what was asked, region and kind.
        regions: Classes of items to which a region's rules applied.
        classes: Classes of items.
        simplest: For each leading reason the decision with the fewest reasons besides, and their number.
        cited: Decisions to release that cite a version of terms.
        telemetry: Rows of telemetry by purpose, decision and reason.
    """

    runs: Mapping[Asked, str]
    led: Counter[LedBy] = field(default_factory=Counter)
    examples: dict[LedBy, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    risks: Counter[str] = field(default_factory=Counter)
    reach: dict[Asked, dict[Place, Reach]] = field(default_factory=dict)
    regions: Counter[str] = field(default_factory=Counter)
    classes: int = 0
    simplest: dict[LedBy, tuple[int, str]] = field(default_factory=dict)
    cited: Counter[str] = field(default_factory=Counter)
    telemetry: Counter[str] = field(default_factory=Counter)


def last_releases(view: StoreView) -> dict[Asked, str]:
    """The last release of each purpose and recipient in the period."""
    return {
        (str(purpose), str(ledger["recipient"])): run.run_id
        for run, ledger in view.ledgers("release")
        for purpose in ledger["purposes"]
    }


def last_decisions(view: StoreView) -> LastDecisions:
    """Read what the last releases decided, in passes over items, classes and telemetry."""
    found = LastDecisions(last_releases(view))
    if found.runs:
        _read_items(view, found)
        _read_classes(view, found)
        _read_telemetry(view, found)
    return found


def _of_last(found: LastDecisions, *, stage: bool) -> Any:
    runs = pc.field("run_id").isin(pa.array(sorted(set(found.runs.values())), pa.string()))
    return runs & (pc.field("stage") == "decide") if stage else runs


def _is_last(found: LastDecisions, row: Mapping[str, Any]) -> bool:
    return found.runs.get((row["purpose"], row["recipient"])) == row["run_id"]


def _read_items(view: StoreView, found: LastDecisions) -> None:
    by = ["run_id", "purpose", "recipient", "decision", "primary"]
    for rows in view.scan(DECISION_ITEMS, [*by, "item_id"], _of_last(found, stage=True), by=_STAGE):
        grouped = rows.group_by(by).aggregate([("item_id", "count"), ("item_id", "min")])
        for row in grouped.to_pylist():
            if _is_last(found, row):
                led = LedBy((row["purpose"], row["recipient"]), row["decision"], row["primary"])
                found.led[led] += row["item_id_count"]
                first = found.examples.get(led, row["item_id_min"])
                found.examples[led] = min(first, row["item_id_min"])


def _read_classes(view: StoreView, found: LastDecisions) -> None:
    columns = [
        *("run_id", "decision_id", "purpose", "recipient", "kind", "items", "decision", "primary"),
        *("reasons", "regions", "terms", "outcomes"),
    ]
    for rows in view.scan(DECISION_CLASSES, columns, _of_last(found, stage=True), by=_STAGE):
        states = _states(rows)
        for number, row in enumerate(rows.drop_columns(["outcomes"]).to_pylist()):
            if _is_last(found, row):
                _take_class(found, row, states.get(number, ()))


def _take_class(found: LastDecisions, row: Mapping[str, Any], states: Iterable[tuple[str, int]]) -> None:
    found.classes += 1
    found.regions.update(row["regions"])
    led = LedBy((row["purpose"], row["recipient"]), row["decision"], row["primary"])
    simple = (len(row["reasons"]), row["decision_id"])
    found.simplest[led] = min(found.simplest.get(led, simple), simple)
    for code in row["reasons"]:
        found.reasons[code] += row["items"]
    for risk, codes in RISKS.items():
        if not set(codes).isdisjoint(row["reasons"]):
            found.risks[risk] += row["items"]
    if row["decision"] == "RELEASE":
        found.cited.update(row["terms"])
    reach = Reach(items=row["items"], items_covered=row["items"] if row["decision"] == "RELEASE" else 0)
    for state, people in states:
        pairs = people * row["items"]
        reach.pairs += pairs
        setattr(reach, state, getattr(reach, state) + pairs)
    cells = found.reach.setdefault((row["purpose"], row["recipient"]), {})
    for region in (_region(row["regions"]), ALL):
        for kind in (row["kind"],) if region != ALL else (row["kind"], ALL):
            cells.setdefault((region, kind), Reach()).add(reach)


def _region(regions: Sequence[str]) -> str:
    """The row of consent coverage that a class stands in; each stands in one, so that rows add up."""
    return regions[0] if len(regions) == 1 else SEVERAL if regions else NOWHERE


def _states(rows: pa.Table) -> dict[int, list[tuple[str, int]]]:
    """For each row what people's records came to, without naming anybody."""
    column = rows.column("outcomes").combine_chunks()
    inside = pc.list_flatten(column)
    parents = pc.list_parent_indices(column).to_pylist()
    parts = (pc.struct_field(inside, name).to_pylist() for name in ("agrees", "reasons", "people"))
    found: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for parent, agrees, reasons, people in zip(parents, *parts, strict=True):
        found[parent].append((_state(agrees, reasons), people))
    return found


def _state(agrees: bool | None, reasons: list[str] | None) -> str:
    """Which number of `Reach` an outcome counts in."""
    codes = set(reasons or ())
    if agrees:
        return "pairs_covered"
    if codes & _NO:
        return "refused"
    if codes == {"PENDING"}:
        return "pending"
    return "none" if codes == {"NO_CONSENT"} else "other"


def _read_telemetry(view: StoreView, found: LastDecisions) -> None:
    by = ["run_id", "purpose", "recipient", "decision", "primary"]
    for rows in view.scan(DECISION_TELEMETRY, [*by, "rows"], _of_last(found, stage=False)):
        for row in rows.group_by(by).aggregate([("rows", "sum")]).to_pylist():
            if _is_last(found, row):
                found.telemetry[" ".join((row["purpose"], row["decision"], row["primary"]))] += row[
                    "rows_sum"
                ]


def first_items(view: StoreView, last: LastDecisions, decisions: Iterable[str]) -> dict[str, str]:
    """The first item of each of some decisions of the last releases."""
    found: dict[str, str] = {}
    wanted = pc.field("decision_id").isin(pa.array(sorted(set(decisions)), pa.string()))
    by = ["run_id", "decision_id", "purpose", "recipient"]
    mine = wanted & _of_last(last, stage=True)
    for rows in view.scan(DECISION_ITEMS, [*by, "item_id"], mine, by=_STAGE):
        for row in rows.group_by(by).aggregate([("item_id", "min")]).to_pylist():
            if _is_last(last, row):
                first = found.get(row["decision_id"], row["item_id_min"])
                found[row["decision_id"]] = min(first, row["item_id_min"])
    return found


def classes_of(view: StoreView, decisions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Kind and reasons of some decisions, by id."""
    columns = ["decision_id", "kind", "reasons"]
    where = pc.field("decision_id").isin(pa.array(sorted(set(decisions)), pa.string()))
    found: dict[str, dict[str, Any]] = {}
    for rows in view.scan(DECISION_CLASSES, columns, where):
        found |= {row["decision_id"]: row for row in rows.to_pylist()}
    return found
