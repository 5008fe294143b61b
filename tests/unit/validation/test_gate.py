"""Great Expectations passes nulls, empty suites and unmatched conditions; the gate does not."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from schemas.errors import PromiseBroken
from tests.unit.validation.judging import PlainGate, shipped_policies
from validation.facts import FactRow, FactTable, item_table
from validation.gate import (
    ROW,
    Gate,
    build_expectation_suite,
    expected_failures,
    make_probes,
    read_results,
)
from validation.pins import single_suites
from validation.suites import FACT_MALFORMED, Expectation, Suite, item_floor

TABLE = FactTable("toy", {"colour": ("red", "green", "blue"), "shape": ("round", "square")})
SUITE = Suite(
    "toy",
    TABLE,
    (
        Expectation(FACT_MALFORMED, "colour", None),
        Expectation(FACT_MALFORMED, "colour", TABLE.columns["colour"]),
        Expectation(FACT_MALFORMED, "shape", None),
        Expectation(FACT_MALFORMED, "shape", TABLE.columns["shape"]),
        Expectation("BLUE", "colour", ("red", "green")),
        Expectation("SQUARE_GREEN", "shape", ("round",), condition=("colour", "green")),
    ),
)
Results = list[dict[str, Any]]


class _TamperedGate(Gate):
    """Changes what Great Expectations answered."""

    def __init__(self, tamper: Callable[[Results], Results | None]) -> None:
        super().__init__()
        self._tamper = tamper

    def _run(self, suite: Suite, batch: Sequence[tuple[str | None, ...]]) -> Sequence[Mapping[str, Any]]:
        results = copy.deepcopy(list(map(dict, super()._run(suite, batch))))
        return self._tamper(results) or results


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate()


def codes(gate: Gate, *row: str | None) -> set[str]:
    return {one.code for one in gate.judge(SUITE, [row])[row]}  # type: ignore[list-item, index]


def result_of(results: Results, code: str) -> dict[str, Any]:
    return next(one for one in results if one["expectation_config"]["meta"]["code"] == code)


def test_rows_are_judged(gate: Gate) -> None:
    assert codes(gate, "red", "square") == set()
    assert codes(gate, "blue", "round") == {"BLUE"}
    assert codes(gate, "green", "square") == {"SQUARE_GREEN"}
    assert codes(gate, "blue", "square") == {"BLUE"}


def test_equal_rows_are_judged_once() -> None:
    gate = Gate()
    gate.judge(SUITE, [("red", "round")] * 5)
    gate.judge(SUITE, [("red", "round")])
    assert (gate.runs, gate.rows_judged) == (1, 1)


def test_threads_may_share_gates() -> None:
    """A worker of a cluster decides on several threads; Great Expectations keeps state for the process."""
    other = replace(SUITE, name="other", expectations=SUITE.expectations[:5])
    gates = (Gate(), Gate())
    jobs = [(gates[at % 2], (SUITE, other)[at // 2 % 2], row) for at in range(4) for row in _all_rows()]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda job: job[0].judge(job[1], [job[2]])[job[2]], jobs))
    assert found == [PlainGate().judge(suite, [row])[row] for _, suite, row in jobs]


def _all_rows() -> list[FactRow]:
    return list(itertools.product(*TABLE.columns.values()))


def test_no_rows_need_no_verdict(gate: Gate) -> None:
    assert gate.judge(SUITE, []) == {}


@pytest.mark.parametrize(
    "row", [(None, "round"), ("red", None), ("red", "oval"), ("", "round"), (True, "round"), (1, "round")]
)
def test_a_null_or_foreign_fact_holds_the_batch(gate: Gate, row: Any) -> None:
    with pytest.raises(PromiseBroken, match="GATE_NOT_PROVEN"):
        gate.judge(SUITE, [("red", "round"), row])


def _mutated(suite: Suite, position: int) -> Suite:
    return replace(suite, expectations=suite.expectations[:position] + suite.expectations[position + 1 :])


@pytest.mark.parametrize(("position", "row"), [(0, (None, "round")), (1, ("mauve", "round"))])
def test_each_of_a_pair_catches_what_the_other_lets_through(gate: Gate, position: int, row: Any) -> None:
    verdicts = gate.judge(_mutated(_mutated(SUITE, 4), position), [row])
    assert verdicts[row] == frozenset()


def test_every_column_of_the_shipped_floors_is_filled_and_closed() -> None:
    for suite in list(single_suites(shipped_policies()))[:2]:
        pairs = [(one.column, one.allowed) for one in suite.expectations if one.code == FACT_MALFORMED]
        expected = [
            pair for name, words in suite.table.columns.items() for pair in ((name, None), (name, words))
        ]
        assert pairs == expected


def test_an_empty_suite_is_refused() -> None:
    with pytest.raises(PromiseBroken, match="SUITE_EMPTY"):
        Suite("empty", TABLE, ())


def test_an_expectation_twice_is_refused() -> None:
    with pytest.raises(PromiseBroken, match="SUITE_AMBIGUOUS"):
        Suite("twice", TABLE, SUITE.expectations[:1] * 2)


def test_a_suite_cannot_refuse_a_word_that_its_column_never_says() -> None:
    with pytest.raises(PromiseBroken, match="SUITE_INVALID"):
        item_floor(FactTable("item", {**item_table(shipped_policies()).columns, "people": ("present",)}))


def tampered(*changes: tuple[str, Callable[[Results], Results | None]]) -> list[Any]:
    return [pytest.param(change, id=name) for name, change in changes]


def _set(code: str, *path: str, to: Any) -> Callable[[Results], None]:
    def change(results: Results) -> None:
        holder = result_of(results, code)
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = to

    return change


def _drop(code: str, *path: str) -> Callable[[Results], None]:
    def change(results: Results) -> None:
        holder = result_of(results, code)
        for step in path[:-1]:
            holder = holder[step]
        del holder[path[-1]]

    return change


def _forget_one_failure(results: Results) -> None:
    result = result_of(results, "BLUE")["result"]
    result["unexpected_index_list"] = result["unexpected_index_list"][1:]
    result["unexpected_count"] -= 1


def _move_one_failure(results: Results) -> None:
    result_of(results, "BLUE")["result"]["unexpected_index_list"][0][ROW] = 1


def _repeat_one_failure(results: Results) -> None:
    index = result_of(results, "BLUE")["result"]["unexpected_index_list"]
    index[-1] = index[0] if len(index) > 1 else index[-1]
    index.append(index[0])
    result_of(results, "BLUE")["result"]["unexpected_count"] = len(index)


def _forget_all_failures(results: Results) -> None:
    blue = result_of(results, "BLUE")
    blue["result"] |= {"unexpected_index_list": [], "unexpected_count": 0}
    blue["success"] = True


def _place(row: Any) -> Callable[[Results], None]:
    def change(results: Results) -> None:
        result_of(results, "BLUE")["result"]["unexpected_index_list"][0][ROW] = row

    return change


TAMPERED = tampered(
    ("no results", lambda results: [{}] * 0 or [results[0]]),
    ("one result is missing", lambda results: results[1:]),
    ("one result twice, another missing", lambda results: [results[1], *results[1:]]),
    ("one result too many", lambda results: [*results, results[0]]),
    ("an exception", _set("BLUE", "exception_info", "raised_exception", to=True)),
    ("an exception of a metric", _set("BLUE", "exception_info", to={"metric": {"raised_exception": True}})),
    ("no word about exceptions", _drop("BLUE", "exception_info")),
    ("no index list", _drop("BLUE", "result", "unexpected_index_list")),
    ("an index list of none", _set("BLUE", "result", "unexpected_index_list", to=None)),
    ("no count", _drop("BLUE", "result", "unexpected_count")),
    ("an empty result", _set("BLUE", "result", to={})),
    ("a condition that met no row", _set("SQUARE_GREEN", "result", "element_count", to=0)),
    ("fewer rows than given", _set("BLUE", "result", "element_count", to=3)),
    ("nulls that were not given", _set("BLUE", "result", "missing_count", to=9)),
    ("success in spite of failures", _set("BLUE", "success", to=True)),
    ("success that is no boolean", _set("BLUE", "success", to=0)),
    ("a row outside the batch", _place(99)),
    ("a row before the batch", _place(-1)),
    ("a row that is no number", _place("0")),
    ("a row without a place", _place(None)),
    ("a forgotten failure", _forget_one_failure),
    ("a forgotten probe", _forget_all_failures),
    ("another row blamed", _move_one_failure),
    ("one failure twice", _repeat_one_failure),
    (
        "failures tolerated",
        _set("BLUE", "expectation_config", "kwargs", "value_set", to=["red", "green", "blue"]),
    ),
    ("another column", _set("BLUE", "expectation_config", "kwargs", "column", to="shape")),
    ("no position", _drop("BLUE", "expectation_config", "meta", "position")),
    ("a position outside the suite", _set("BLUE", "expectation_config", "meta", "position", to=77)),
    ("no configuration", _drop("BLUE", "expectation_config")),
)


@pytest.mark.parametrize("change", TAMPERED)
def test_results_that_do_not_add_up_hold_the_batch(change: Callable[[Results], Results | None]) -> None:
    gate = _TamperedGate(change)
    with pytest.raises(PromiseBroken, match="GATE_NOT_PROVEN"):
        gate.judge(SUITE, [("blue", "round")])


def test_a_row_condition_that_meets_nothing_is_not_exercised(monkeypatch: pytest.MonkeyPatch) -> None:
    clean_only = make_probes(SUITE)[:1]
    monkeypatch.setattr("validation.gate.make_probes", lambda _: clean_only)
    with pytest.raises(PromiseBroken, match="not exercised"):
        Gate().judge(SUITE, [("red", "round")])


def test_an_expectation_without_its_probe_is_not_exercised(monkeypatch: pytest.MonkeyPatch) -> None:
    without_blue = [row for row in make_probes(SUITE) if 4 not in expected_failures(SUITE, row)]
    monkeypatch.setattr("validation.gate.make_probes", lambda _: without_blue)
    with pytest.raises(PromiseBroken, match="an expectation was not exercised"):
        Gate().judge(SUITE, [("red", "round")])


def test_an_error_inside_great_expectations_holds_the_batch_and_keeps_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(_: Suite) -> None:
        raise RuntimeError("the text of a failure")

    gate = Gate()
    gate.judge(SUITE, [("red", "round")])
    monkeypatch.setattr(gate, "_batches", _Failing())
    with pytest.raises(PromiseBroken, match="RuntimeError") as caught:
        gate.judge(SUITE, [("green", "round")])
    assert "the text of a failure" not in str(caught.value)
    assert caught.value.__suppress_context__


class _Failing:
    def get_batch(self, **_: object) -> None:
        raise RuntimeError("the text of a failure")


def test_mostly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.expectations.core.expect_column_values_to_be_in_set import (
        ExpectColumnValuesToBeInSet,
    )

    original = ExpectColumnValuesToBeInSet.__init__

    def lenient(self: Any, **how: Any) -> None:
        original(self, **how, mostly=0.99)

    monkeypatch.setattr(ExpectColumnValuesToBeInSet, "__init__", lenient)
    with pytest.raises(PromiseBroken, match="tolerates failures"):
        build_expectation_suite(SUITE)


def test_a_suite_that_is_built_otherwise_than_pinned_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.expectations.core.expect_column_values_to_be_in_set import (
        ExpectColumnValuesToBeInSet,
    )

    original = ExpectColumnValuesToBeInSet.__init__

    def wider(self: Any, **how: Any) -> None:
        original(self, **{**how, "value_set": [*how["value_set"], "blue"]})

    monkeypatch.setattr(ExpectColumnValuesToBeInSet, "__init__", wider)
    with pytest.raises(PromiseBroken, match="differs from the pinned one"):
        build_expectation_suite(SUITE)


def test_read_results_refuses_a_suite_without_results() -> None:
    with pytest.raises(PromiseBroken, match="0 of 6 expectations"):
        read_results(SUITE, [("red", "round")], [])


def test_every_expectation_of_every_suite_has_a_probe_that_fails_it() -> None:
    for suite in single_suites(shipped_policies()):
        fails = [expected_failures(suite, row) for row in make_probes(suite)]
        assert frozenset().union(*fails) == set(range(len(suite.expectations)))
        assert fails[0] == frozenset()


def test_the_real_gate_and_the_plain_one_agree_on_every_word() -> None:
    """One row for each word of each column, through every suite of the shipped policies."""
    gate, plain = Gate(), PlainGate()
    for suite in single_suites(shipped_policies()):
        rows = [
            suite.table.row({name: word}) for name, words in suite.table.columns.items() for word in words
        ]
        conditions = [one.condition for one in suite.expectations if one.condition is not None]
        rows += [
            suite.table.row({column: word, "relations": relation})
            for column, word in conditions
            for relation in suite.table.columns["relations"]
        ]
        assert gate.judge(suite, rows) == plain.judge(suite, rows)


def test_nothing_is_reported_to_anybody(gate: Gate) -> None:
    import os

    gate.judge(SUITE, [("red", "round")])
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"


def test_verdicts_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.gate._MEMORY_LIMIT", 1)
    gate = Gate()
    gate.judge(SUITE, [("red", "round"), ("red", "square")])
    assert gate.judge(SUITE, [("red", "round")]) == {("red", "round"): frozenset()}
    assert gate.runs == 2
