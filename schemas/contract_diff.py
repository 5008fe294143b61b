"""Compare two versions of contracts: is the new one compatible, and what moves between lanes.

Compatible means that whoever reads the tables, the released content or the rosters of the old version can
read those of the new one. Loosening means that something leaves the sealed side, or loses a protection: that
may be intended, but never unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from schemas.classification import Protection
from schemas.contract import ContractSet, EventShape, Field
from schemas.contract_catalogue import DROPPED, bounds_of, travels_in
from schemas.telemetry import TelemetryTable, arrow_type, telemetry_tables

_LANES = ("service", "metadata", "content", DROPPED)
_PROTECTIONS = (
    Protection.KEEP,
    Protection.TRUNCATE_IP,
    Protection.PSEUDONYM,
    Protection.SEAL,
    Protection.DROP,
)


class Effect(StrEnum):
    """What a change means to whoever relies on the old version; the first two fail a comparison."""

    LOOSENING = "loosening"
    INCOMPATIBLE = "incompatible"
    TIGHTENING = "tightening"
    COMPATIBLE = "compatible"


@dataclass(frozen=True)
class Change:
    """One difference between two versions.

    Attributes:
        effect: What it means.
        table: Telemetry table, or contract.
        field: Dotted path, empty where the table as a whole is meant.
        code: Stable code.
        message: What was and what is.
    """

    effect: Effect
    table: str
    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The change as it is written to JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """All changes between two sets of contracts, the gravest first."""

    changes: tuple[Change, ...]

    @property
    def is_compatible(self) -> bool:
        """Whether readers of the old version can read the new one."""
        return not any(change.effect is Effect.INCOMPATIBLE for change in self.changes)

    @property
    def is_loosened(self) -> bool:
        """Whether anything moved to a lighter lane or lost a protection."""
        return any(change.effect is Effect.LOOSENING for change in self.changes)


def compare_contracts(old: ContractSet, new: ContractSet) -> Comparison:
    """Compare two sets of contracts table by table and field by field."""
    changes = [
        *_events(old, new),
        *(change for pair in _pairs(old.shapes, new.shapes) for change in _table(*pair)),
    ]
    changes.extend(_versions(old, new, {change.table for change in changes}))
    order = list(Effect)
    return Comparison(
        tuple(sorted(changes, key=lambda each: (order.index(each.effect), each.table, each.field)))
    )


def _pairs(
    old: Iterable[EventShape], new: Iterable[EventShape]
) -> Iterator[tuple[EventShape | None, EventShape | None]]:
    before = {shape.table: shape for shape in old}
    after = {shape.table: shape for shape in new}
    for name in sorted({*before, *after}):
        yield before.get(name), after.get(name)


def _versions(old: ContractSet, new: ContractSet, changed: set[str]) -> Iterator[Change]:
    before = {contract.id: contract.version for contract in old.contracts}
    for contract in new.contracts:
        tables = {shape.table for shape in contract.shapes}
        if before.get(contract.id) == contract.version and tables & changed:
            message = (
                f"changed, but is still version {contract.version}: rows of both would bear the same label"
            )
            yield Change(Effect.INCOMPATIBLE, contract.id, "", "VERSION_UNCHANGED", message)


def _events(old: ContractSet, new: ContractSet) -> Iterator[Change]:
    for key in sorted({*old.by_event, *new.by_event}):
        before, after = old.by_event.get(key), new.by_event.get(key)
        if before is None and after is not None:
            message = f"{key[1]} is described now (until now it was sealed whole)"
            yield Change(Effect.COMPATIBLE, after.table, "", "EVENT_ADDED", message)
        elif after is None and before is not None:
            message = f"{key[1]} is not described any more: it will be sealed whole"
            yield Change(Effect.INCOMPATIBLE, before.table, "", "EVENT_REMOVED", message)
        elif before and after and before.table != after.table:
            message = f"{key[1]} moves to the table {after.table}"
            yield Change(Effect.INCOMPATIBLE, before.table, "", "EVENT_MOVED", message)


def _table(old: EventShape | None, new: EventShape | None) -> Iterator[Change]:
    if old is None and new is not None:
        yield Change(Effect.COMPATIBLE, new.table, "", "TABLE_ADDED", "is new")
    elif new is None and old is not None:
        yield Change(Effect.INCOMPATIBLE, old.table, "", "TABLE_REMOVED", "is gone")
    elif old is not None and new is not None:
        yield from _roles(old, new)
        yield from _columns(old, new)
        before = {field.path: field for field in old.fields}
        after = {field.path: field for field in new.fields}
        for path in dict.fromkeys((*before, *after)):
            yield from _field(new.table, before.get(path), after.get(path))


def _roles(old: EventShape, new: EventShape) -> Iterator[Change]:
    for word, before, after in (
        ("envelope", dict(old.envelope), dict(new.envelope)),
        ("roster", dict(old.roster), dict(new.roster)),
        ("lineage", dict(old.made_from), dict(new.made_from)),
    ):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                effect = Effect.INCOMPATIBLE if key in before else Effect.COMPATIBLE
                message = f"{key}: {_shown(before.get(key))} becomes {_shown(after.get(key))}"
                yield Change(effect, new.table, "", f"{word.upper()}_CHANGED", message)
    if old.deletions != new.deletions:
        is_more = set(old.deletion_signals) <= set(new.deletion_signals)
        effect = Effect.COMPATIBLE if is_more else Effect.INCOMPATIBLE
        message = (
            f"signals of deletion: {_shown(old.deletion_signals)} becomes {_shown(new.deletion_signals)}"
        )
        yield Change(effect, new.table, "", "DELETION_SIGNAL_CHANGED", message)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ".".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)


def _columns(old: EventShape, new: EventShape) -> Iterator[Change]:
    before, after = _by_column(old), _by_column(new)
    for name in sorted(set(before) - set(after)):
        message = f"the column {name} is gone"
        yield Change(Effect.INCOMPATIBLE, old.table, before[name].dotted, "COLUMN_REMOVED", message)
    for name in sorted(set(after) - set(before)):
        message = f"the column {name} is new"
        yield Change(Effect.COMPATIBLE, new.table, after[name].dotted, "COLUMN_ADDED", message)
    for name in sorted(set(before) & set(after)):
        one, other = before[name], after[name]
        if arrow_type(one) != arrow_type(other):
            message = f"the column {name} changes from {arrow_type(one)} to {arrow_type(other)}"
            yield Change(Effect.INCOMPATIBLE, new.table, other.dotted, "COLUMN_RETYPED", message)
        # Of a timestamp column the unit is that of the store, whatever the event's was.
        elif one.unit != other.unit and one.logical_type != "timestamp":
            message = (
                f"the column {name} changes its unit from {one.unit or 'none'} to {other.unit or 'none'}"
            )
            yield Change(Effect.INCOMPATIBLE, new.table, other.dotted, "UNIT_CHANGED", message)


def _by_column(shape: EventShape) -> dict[str, Field]:
    tables: Sequence[TelemetryTable] = telemetry_tables(shape)
    return {
        f"{table.name.rpartition('/')[2]}.{field.column}": field
        for table in tables
        for field in table.columns
    }


def _field(table: str, old: Field | None, new: Field | None) -> Iterator[Change]:
    if old is None and new is not None:
        message = f"is described now: {new.classification}, {new.protection}, {travels_in(new)} lane"
        yield Change(
            Effect.COMPATIBLE, table, new.dotted, "FIELD_ADDED", f"{message} (sealed as unknown until now)"
        )
    elif new is None and old is not None:
        # What was dropped would be stored from now on, sealed as every unknown field is.
        effect = Effect.LOOSENING if old.protection is Protection.DROP else Effect.INCOMPATIBLE
        message = "is not described any more: it will be sealed as unclassified and can never be released"
        yield Change(effect, table, old.dotted, "FIELD_REMOVED", message)
    elif old is not None and new is not None:
        yield from _lane(table, old, new)
        yield from _meaning(table, old, new)
        yield from _bounds(table, old, new)


def _lane(table: str, old: Field, new: Field) -> Iterator[Change]:
    lanes = travels_in(old), travels_in(new)
    step = _LANES.index(lanes[1]) - _LANES.index(lanes[0])
    if step:
        effect = Effect.LOOSENING if step < 0 else Effect.TIGHTENING
        code = "LANE_LOOSENED" if step < 0 else "LANE_TIGHTENED"
        message = (
            f"moves from the {lanes[0]} to the {lanes[1]} lane ({old.classification} to {new.classification})"
        )
        yield Change(effect, table, new.dotted, code, message)
    elif old.protection is not new.protection:
        is_lighter = _PROTECTIONS.index(new.protection) < _PROTECTIONS.index(old.protection)
        effect = Effect.LOOSENING if is_lighter else Effect.TIGHTENING
        message = f"was protected by {old.protection}, now by {new.protection}"
        yield Change(effect, table, new.dotted, "PROTECTION_CHANGED", message)
    elif old.classification != new.classification:
        # A sealed kind decides what the item may be released for.
        effect = Effect.INCOMPATIBLE if old.kind != new.kind else Effect.COMPATIBLE
        message = f"was {old.classification}, is {new.classification}"
        yield Change(effect, table, new.dotted, "CLASSIFICATION_CHANGED", message)


def _meaning(table: str, old: Field, new: Field) -> Iterator[Change]:
    if old.identifies != new.identifies:
        message = f"identified {old.identifies or 'nobody'}, now {new.identifies or 'nobody'}"
        yield Change(Effect.INCOMPATIBLE, table, new.dotted, "IDENTIFIES_CHANGED", message)
    if old.kind_by != new.kind_by:
        message = "another sibling or map decides the kind of content"
        yield Change(Effect.INCOMPATIBLE, table, new.dotted, "KIND_BY_CHANGED", message)
    if (old.text_form, old.accepts, old.aliases) != (new.text_form, new.accepts, new.aliases):
        message = "other spellings of the value or the key are taken"
        yield Change(Effect.COMPATIBLE, table, new.dotted, "INPUT_CHANGED", message)


def _bounds(table: str, old: Field, new: Field) -> Iterator[Change]:
    """Closed sets, fragments, ranges and patterns; only where both versions keep something."""
    before, after = bounds_of(old), bounds_of(new)
    if before == after or not after or not before:
        if after and not before and old.cut is None and new.cut is not None:
            message = f"a fragment of the sealed text is kept now ({after})"
            yield Change(Effect.LOOSENING, table, new.dotted, "FRAGMENT_KEPT", message)
        return
    code, message = _allowed(old, new)
    yield Change(Effect.COMPATIBLE, table, new.dotted, code, f"{message} (was: {before}; is: {after})")


def _allowed(old: Field, new: Field) -> tuple[str, str]:
    closed = _closed_set(old), _closed_set(new)
    if closed[0] is not None and closed[1] is not None:
        return _widened(closed[0] <= closed[1], closed[1] <= closed[0], "closed set")
    if (
        old.minimum is not None
        and new.minimum is not None
        and old.maximum is not None
        and new.maximum is not None
    ):
        wider = new.minimum <= old.minimum and new.maximum >= old.maximum
        narrower = new.minimum >= old.minimum and new.maximum <= old.maximum
        return _widened(wider, narrower, "range")
    if old.pattern == new.pattern and old.max_length is not None and new.max_length is not None:
        return _widened(new.max_length >= old.max_length, new.max_length <= old.max_length, "length")
    return "BOUNDS_CHANGED", "other values may be kept: compare them"


def _closed_set(field: Field) -> frozenset[object] | None:
    if field.cut is not None:
        return frozenset(field.cut.values)
    return None if field.values is None else frozenset(field.values)


def _widened(is_wider: bool, is_narrower: bool, what: str) -> tuple[str, str]:
    if is_wider and not is_narrower:
        return "BOUNDS_WIDENED", f"the {what} is wider: values are kept that were sealed"
    if is_narrower and not is_wider:
        return "BOUNDS_NARROWED", f"the {what} is narrower: values are sealed that were kept"
    return "BOUNDS_CHANGED", f"the {what} holds other values"
