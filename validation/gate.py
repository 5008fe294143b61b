"""The gate: Great Expectations judges fact rows, and every way in which it could pass by omission is closed.

Great Expectations reports success for nulls, for an empty batch, for an empty suite and for a condition that
no row meets. So every batch carries probes: rows made to fail one expectation each, one null and one foreign
word for every column, and a clean row. A run counts only if each expectation was evaluated, caught its
probe, saw exactly the rows it was given, and gave every row the verdict that a second, plain reading of the
suite gives it. Anything else raises `PromiseBroken`, and the caller holds the whole batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from schemas.errors import PromiseBroken
from validation.facts import FactRow
from validation.policy import canonical_hash
from validation.suites import FACT_MALFORMED, IN_SET, Expectation, Suite

Verdict = frozenset[Expectation]
"""The expectations that a row does not meet; empty if it goes."""

ROW: Final = "row"
"""Index column: position of a row in its batch."""

FOREIGN_WORD: Final = "no word of any closed set"
_ProbeRow = tuple[str | None, ...]
_MEMORY_LIMIT: Final = 200_000

# Great Expectations keeps its project, and the batch that was asked for last, for the whole process. A worker
# of a cluster decides on several threads, and one would validate the batch of another.
_ONE_AT_A_TIME: Final = threading.Lock()


class Gate:
    """Judges fact rows by suites, and remembers verdicts by suite and row.

    One a worker: it holds a Great Expectations context, which cannot be pickled, so a gate travels without
    its context and its memory. Great Expectations is imported when the first row is judged. Threads may share
    a gate; they judge one after another.
    """

    def __init__(self) -> None:
        self._batches: Any = None
        self._verdicts: dict[tuple[str, FactRow], Verdict] = {}
        self.rows_judged = 0
        self.runs = 0

    def __reduce__(self) -> tuple[type[Gate], tuple[()]]:
        return type(self), ()

    def judge(self, suite: Suite, rows: Iterable[FactRow]) -> dict[FactRow, Verdict]:
        """The verdict on each row.

        Args:
            suite: The suite.
            rows: Fact rows of the suite's table; equal rows are judged once.

        Raises:
            PromiseBroken: `GATE_NOT_PROVEN`: the verdicts cannot be relied upon; hold the batch.
        """
        pinned, distinct = suite.hash, list(dict.fromkeys(rows))
        with _ONE_AT_A_TIME:
            return self._judge(suite, pinned, distinct)

    def _judge(self, suite: Suite, pinned: str, distinct: Sequence[FactRow]) -> dict[FactRow, Verdict]:
        if len(self._verdicts) > _MEMORY_LIMIT:
            self._verdicts.clear()
        new = [row for row in distinct if (pinned, row) not in self._verdicts]
        if new:
            verdicts = self._validate(suite, new)
            self._verdicts |= {(pinned, row): one for row, one in zip(new, verdicts, strict=True)}
        return {row: self._verdicts[pinned, row] for row in distinct}

    def _validate(self, suite: Suite, rows: Sequence[FactRow]) -> list[Verdict]:
        batch: list[_ProbeRow] = [*rows, *make_probes(suite)]
        self.runs += 1
        self.rows_judged += len(rows)
        failing = _by_row(read_results(suite, batch, self._run(suite, batch)), len(batch))
        _check_agreement(suite, batch, failing)
        _check_exercised(suite, failing[len(rows) :])
        return [_verdict(suite, fails) for fails in failing[: len(rows)]]

    def _run(self, suite: Suite, batch: Sequence[_ProbeRow]) -> Sequence[Mapping[str, Any]]:
        """Run Great Expectations over a batch and return the results as plain JSON."""
        import pandas as pd

        definition = self._batch_definition()
        # One dtype for every column: words only, so that neither 1 nor "true" can pass for True.
        frame = pd.DataFrame(list(batch), columns=list(suite.table.names), dtype=object)
        frame[ROW] = range(len(batch))
        expectation_suite = build_expectation_suite(suite)
        try:
            result = definition.get_batch(batch_parameters={"dataframe": frame}).validate(
                expectation_suite,
                result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]},
            )
            return [one.to_json_dict() for one in result.results]
        except Exception as error:
            raise _not_proven(suite, f"the run ended with {type(error).__name__}") from None

    def _batch_definition(self) -> Any:
        if self._batches is None:
            self._batches = open_context()
        return self._batches


def open_context() -> Any:
    """An in-memory context that writes no files and calls nobody."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    config = DataContextConfig(
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    facts = context.data_sources.add_pandas("facts")
    return facts.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("batch")


def build_expectation_suite(suite: Suite) -> Any:
    """The Great Expectations suite of a suite, proven to say the same.

    Raises:
        PromiseBroken: `GATE_NOT_PROVEN`: what was built does not have the pinned content.
    """
    import great_expectations as gx
    from great_expectations.expectations.core.expect_column_values_to_be_in_set import (
        ExpectColumnValuesToBeInSet,
    )
    from great_expectations.expectations.core.expect_column_values_to_not_be_null import (
        ExpectColumnValuesToNotBeNull,
    )

    built: list[Any] = []
    for position, expectation in enumerate(suite.expectations):
        meta = {"position": position, "code": expectation.code}
        if expectation.allowed is None:
            built.append(ExpectColumnValuesToNotBeNull(column=expectation.column, meta=meta))
            continue
        condition: dict[str, Any] = (
            {} if expectation.condition is None else _row_condition(expectation.condition)
        )
        built.append(
            ExpectColumnValuesToBeInSet(
                column=expectation.column, value_set=list(expectation.allowed), meta=meta, **condition
            )
        )
    expectation_suite = gx.ExpectationSuite(name=suite.hash, expectations=built)
    _check_pinned(suite, expectation_suite.expectations)
    return expectation_suite


def _row_condition(condition: tuple[str, str]) -> dict[str, str]:
    column, word = condition
    return {"row_condition": f'{column} == "{word}"', "condition_parser": "pandas"}


def _check_pinned(suite: Suite, built: Sequence[Any]) -> None:
    """Compare what Great Expectations will run with the pinned suite, expectation by expectation."""
    given = [one.configuration.to_json_dict() for one in built]
    wanted = [_configuration(at, expectation) for at, expectation in enumerate(suite.expectations)]
    if any(getattr(one, "mostly", 1) != 1 for one in built):
        raise _not_proven(suite, "an expectation tolerates failures")
    if canonical_hash(list(map(_essence, given))) != canonical_hash(wanted):
        raise _not_proven(suite, "the suite that was built differs from the pinned one")


def _configuration(position: int, expectation: Expectation) -> dict[str, Any]:
    condition = None if expectation.condition is None else _row_condition(expectation.condition)
    return {
        "type": expectation.type,
        "column": expectation.column,
        "value_set": None if expectation.allowed is None else list(expectation.allowed),
        "row_condition": condition and condition["row_condition"],
        "position": position,
        "code": expectation.code,
    }


def _essence(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What makes an expectation of Great Expectations this one, out of its configuration."""
    kwargs, meta = configuration["kwargs"], configuration["meta"]
    condition = kwargs.get("row_condition")
    text = condition.get("pass_through_filter") if isinstance(condition, Mapping) else condition
    return {
        "type": configuration["type"],
        "column": kwargs.get("column"),
        "value_set": kwargs.get("value_set"),
        "row_condition": text,
        "position": meta.get("position"),
        "code": meta.get("code"),
    }


def make_probes(suite: Suite) -> list[_ProbeRow]:
    """Rows that prove that each expectation of a suite is alive: a clean one, and one that fails each.

    A null or a foreign word in a row stands for a fault of the product.
    """
    clean = suite.table.row({})
    rows: list[_ProbeRow] = [clean]
    for expectation in suite.expectations:
        rows.append(_violation(suite, expectation, clean))
    return list(dict.fromkeys(rows))


def _violation(suite: Suite, expectation: Expectation, clean: FactRow) -> _ProbeRow:
    cells = dict(zip(suite.table.names, clean, strict=True))
    words = suite.table.columns[expectation.column]
    wrong = (word for word in words if word not in (expectation.allowed or words))
    broken: dict[str, str | None] = {**cells}
    if expectation.condition is not None:
        broken[expectation.condition[0]] = expectation.condition[1]
    broken[expectation.column] = None if expectation.allowed is None else next(wrong, FOREIGN_WORD)
    return tuple(broken.values())


def expected_failures(suite: Suite, row: _ProbeRow) -> frozenset[int]:
    """Positions of the expectations that a row fails, worked out without Great Expectations.

    As there, a null fails only the expectation that there is none.
    """
    cells = dict(zip(suite.table.names, row, strict=True))
    return frozenset(
        at
        for at, expectation in enumerate(suite.expectations)
        if _applies(expectation, cells) and not _meets(expectation, cells[expectation.column])
    )


def _applies(expectation: Expectation, cells: Mapping[str, str | None]) -> bool:
    return expectation.condition is None or cells[expectation.condition[0]] == expectation.condition[1]


def _meets(expectation: Expectation, word: str | None) -> bool:
    if word is None or expectation.allowed is None:
        return (word is None) != (expectation.allowed is None)
    return word in expectation.allowed


def read_results(
    suite: Suite, batch: Sequence[_ProbeRow], results: Sequence[Mapping[str, Any]]
) -> list[frozenset[int]]:
    """Which rows fail each expectation, out of Great Expectations' results.

    Args:
        suite: The suite that was run.
        batch: The rows that it was run over, probes included.
        results: One result an expectation, in any order.

    Returns:
        For each expectation of the suite, the positions of the rows that fail it.

    Raises:
        PromiseBroken: `GATE_NOT_PROVEN`: a result is missing, has an exception, or does not add up.
    """
    if not suite.expectations or len(results) != len(suite.expectations):
        raise _not_proven(suite, f"{len(results)} of {len(suite.expectations)} expectations were evaluated")
    by_position: dict[int, frozenset[int]] = {}
    for result in results:
        position = _position(suite, result)
        by_position[position] = _failing_rows(suite, suite.expectations[position], batch, result)
    if len(by_position) != len(suite.expectations):
        raise _not_proven(suite, "an expectation was evaluated twice and another not at all")
    return [by_position[at] for at in range(len(suite.expectations))]


def _position(suite: Suite, result: Mapping[str, Any]) -> int:
    configuration = result.get("expectation_config")
    if not isinstance(configuration, Mapping):
        raise _not_proven(suite, "a result does not say what it is the result of")
    essence = _essence(configuration)
    position = essence["position"]
    if not isinstance(position, int) or not 0 <= position < len(suite.expectations):
        raise _not_proven(suite, "a result belongs to no expectation")
    if essence != _configuration(position, suite.expectations[position]):
        raise _not_proven(suite, f"expectation {position} was run with other settings than pinned")
    return position


def _failing_rows(
    suite: Suite, expectation: Expectation, batch: Sequence[_ProbeRow], result: Mapping[str, Any]
) -> frozenset[int]:
    about = f"{expectation.code} on {expectation.column}"
    if result.get("exception_info", {}).get("raised_exception") is not False:
        raise _not_proven(suite, f"{about} raised an exception")
    figures = result.get("result") or {}
    index = figures.get("unexpected_index_list")
    count = figures.get("unexpected_count")
    seen, missing = _expected_counts(suite, expectation, batch)
    if seen == 0 or figures.get("element_count") != seen:
        raise _not_proven(suite, f"{about} was not exercised on the rows that it is for")
    if expectation.type == IN_SET and figures.get("missing_count") != missing:
        raise _not_proven(suite, f"{about} met nulls")
    if not isinstance(index, list) or len(index) != count:
        # A run without failures has an empty list; a missing one is never read as none.
        raise _not_proven(suite, f"{about} does not say which rows fail")
    rows = frozenset(_row_number(suite, entry, len(batch)) for entry in index)
    if len(rows) != count or result.get("success") is not (count == 0):
        raise _not_proven(suite, f"{about} contradicts itself")
    return rows


def _expected_counts(suite: Suite, expectation: Expectation, batch: Sequence[_ProbeRow]) -> tuple[int, int]:
    names = suite.table.names
    column = names.index(expectation.column)
    if expectation.condition is None:
        concerned = batch
    else:
        at, word = names.index(expectation.condition[0]), expectation.condition[1]
        concerned = [row for row in batch if row[at] == word]
    return len(concerned), sum(row[column] is None for row in concerned)


def _row_number(suite: Suite, entry: object, rows: int) -> int:
    number = entry.get(ROW) if isinstance(entry, Mapping) else None
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < rows:
        raise _not_proven(suite, "a failing row has no place in the batch")
    return number


def _by_row(failing: Sequence[frozenset[int]], rows: int) -> list[frozenset[int]]:
    """For each row, the positions of the expectations that it fails."""
    by_row: list[set[int]] = [set() for _ in range(rows)]
    for position, failing_rows in enumerate(failing):
        for row in failing_rows:
            by_row[row].add(position)
    return list(map(frozenset, by_row))


def _check_agreement(suite: Suite, batch: Sequence[_ProbeRow], failing: Sequence[frozenset[int]]) -> None:
    """Compare each verdict with one that is worked out without Great Expectations."""
    if any(expected_failures(suite, row) != fails for row, fails in zip(batch, failing, strict=True)):
        raise _not_proven(suite, "Great Expectations and the second reading of the suite disagree")


def _check_exercised(suite: Suite, probes: Sequence[frozenset[int]]) -> None:
    if len(frozenset[int]().union(*probes)) != len(suite.expectations):
        raise _not_proven(suite, "an expectation was not exercised")


def _verdict(suite: Suite, fails: frozenset[int]) -> Verdict:
    verdict = frozenset(suite.expectations[at] for at in fails)
    if any(expectation.code == FACT_MALFORMED for expectation in verdict):
        raise _not_proven(suite, "a fact is null or outside its closed set")
    return verdict


def _not_proven(suite: Suite, what: str) -> PromiseBroken:
    message = f"suite {suite.name}: {what}; nothing of this batch may be released"
    return PromiseBroken("GATE_NOT_PROVEN", message)
