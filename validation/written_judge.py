"""Great Expectations judges what was read of the files, with every way to pass by omission closed.

It reports success for nulls, for an empty batch, for an empty suite and for an exception that nobody looks
at. So every batch carries a value that must fail, a run counts only if it saw exactly the values that it was
given and says of each whether it fails, and a second, plain reading of the rule must come to the same.
Results hold positions, never a value.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.errors import PromiseBroken
from validation.gate import ROW, open_context
from validation.suites import NOT_NULL
from validation.written_rules import Rule, Value, in_sets, numbered

COLUMN: Final = "value"
AT_ONCE: Final = 50_000
"""Values in one batch: bounded memory, and few enough calls."""

_RESULT_FORMAT: Final = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": [ROW],
    "exclude_unexpected_values": True,
}


class WrittenJudge:
    """Judges values by rules; Great Expectations is imported with the first value."""

    def __init__(self) -> None:
        self._batches: Any = None
        self.runs = 0

    def failing(self, rule: Rule, values: Sequence[Value]) -> frozenset[int]:
        """Positions of the values that do not meet a rule.

        Args:
            rule: The rule.
            values: At least one value, as the rule reads it.

        Raises:
            PromiseBroken: ``WRITTEN_NOT_PROVEN``: the verdict cannot be relied upon.
        """
        if not values:
            raise not_proven(rule, "it was asked about nothing")
        found: set[int] = set()
        for start in range(0, len(values), AT_ONCE):
            some = values[start : start + AT_ONCE]
            found.update(start + at for at in self._failing(rule, some))
        return frozenset(found)

    def failing_sets(self, asked: Mapping[Rule, Sequence[Value]]) -> dict[Rule, frozenset[int]]:
        """As ``failing``, for many rules with closed sets in few calls.

        Args:
            asked: Values by rule, none of them null. A value that no set holds is judged by each rule, too.

        Raises:
            PromiseBroken: ``WRITTEN_NOT_PROVEN``: a verdict cannot be relied upon.
        """
        rules = list(asked)
        words: list[Value] = []
        places: list[tuple[int, int]] = []
        for at, rule in enumerate(rules):
            for place, value in enumerate((*asked[rule], rule.wrong)):
                words.append(numbered(at, value))
                places.append((at, place))
        found: list[set[int]] = [set() for _ in rules]
        for number in self.failing(in_sets(rules), words) if rules else ():
            at, place = places[number]
            found[at].add(place)
        for rule, rows in zip(rules, found, strict=True):
            if len(asked[rule]) not in rows:
                raise not_proven(rule, "a value that is wrong for certain was not found")
        return {rule: frozenset(rows - {len(asked[rule])}) for rule, rows in zip(rules, found, strict=True)}

    def _failing(self, rule: Rule, values: Sequence[Value]) -> frozenset[int]:
        batch = [*values, rule.wrong]
        rows = read_result(rule, batch, self._run(rule, batch))
        if rows != {at for at, value in enumerate(batch) if not rule.is_met_by(value)}:
            raise not_proven(rule, "Great Expectations and the second reading of the rule disagree")
        if len(values) not in rows:
            raise not_proven(rule, "a value that is wrong for certain was not found")
        return rows - {len(values)}

    def _run(self, rule: Rule, batch: Sequence[Value]) -> Sequence[Mapping[str, Any]]:
        import pandas as pd

        if self._batches is None:
            self._batches = open_context()
        self.runs += 1
        # No dtype of its own, so that a number is not taken for a text, nor 1 for True.
        frame = pd.DataFrame({COLUMN: pd.Series(list(batch), dtype=object), ROW: range(len(batch))})
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = self._batches.get_batch(batch_parameters={"dataframe": frame}).validate(
                    build_suite(rule), result_format=_RESULT_FORMAT
                )
            return [one.to_json_dict() for one in result.results]
        except Exception as error:
            # The text of the exception may quote a value.
            raise not_proven(rule, f"the run ended with {type(error).__name__}") from None


def build_suite(rule: Rule) -> Any:
    """The Great Expectations suite of one rule."""
    import great_expectations as gx

    name = "".join(part.capitalize() for part in rule.type.split("_"))
    built = getattr(gx.expectations, name)(column=COLUMN, **rule.settings)
    if getattr(built, "mostly", 1) != 1:
        raise not_proven(rule, "the expectation tolerates failures")
    return gx.ExpectationSuite(name="written", expectations=[built])


def read_result(rule: Rule, batch: Sequence[Value], results: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Positions of a batch that fail a rule, out of Great Expectations' results.

    Raises:
        PromiseBroken: ``WRITTEN_NOT_PROVEN``: the result is missing, is of another expectation, has an
            exception, or does not add up.
    """
    if len(results) != 1:
        raise not_proven(rule, f"{len(results)} of 1 expectations were evaluated")
    (result,) = results
    _check_expectation(rule, result.get("expectation_config") or {})
    if (result.get("exception_info") or {}).get("raised_exception") is not False:
        raise not_proven(rule, "it raised an exception")
    figures = result.get("result") or {}
    index, count = figures.get("unexpected_index_list"), figures.get("unexpected_count")
    if figures.get("element_count") != len(batch):
        raise not_proven(rule, "it was not exercised on the values that it was given")
    if rule.type != NOT_NULL and figures.get("missing_count") != 0:
        raise not_proven(rule, "it met nulls")
    if not isinstance(index, list) or result.get("success") is not (count == 0):
        raise not_proven(rule, "it does not say which values fail, or contradicts itself")
    rows = [number for entry in index for number in _positions(rule, entry, len(batch))]
    if len(rows) != count or len(set(rows)) != count:
        raise not_proven(rule, "it names other values than it counts")
    return frozenset(rows)


def _check_expectation(rule: Rule, configuration: Mapping[str, Any]) -> None:
    kwargs = configuration.get("kwargs") or {}
    given = {name: value for name, value in kwargs.items() if name not in ("batch_id", "column")}
    if (configuration.get("type"), kwargs.get("column"), given) != (rule.type, COLUMN, rule.settings):
        raise not_proven(rule, "it was run with other settings")


def _positions(rule: Rule, entry: object, size: int) -> list[int]:
    """Without the values, all failing rows stand in one entry."""
    numbers = entry.get(ROW) if isinstance(entry, Mapping) else None
    found = [
        number
        for number in (numbers if isinstance(numbers, list) else [None])
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < size
    ]
    if not isinstance(numbers, list) or len(found) != len(numbers):
        raise not_proven(rule, "a failing value has no place in the batch")
    return found


def not_proven(rule: Rule, what: str) -> PromiseBroken:
    """The error for a verdict that cannot be relied upon."""
    message = f"validation of what was written, {rule.code}: {what}; do not rely on this store's report"
    return PromiseBroken("WRITTEN_NOT_PROVEN", message)
