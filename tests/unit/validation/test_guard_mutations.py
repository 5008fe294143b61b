"""Take any single guard away, and a case that it is for comes through, or ends elsewhere.

A guard is a place where the gate, the suites, their pins, the second suite or the decider refuse to go on.
Each is listed here by its words, with a case that ends there; none in the code is missing from the list.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from schemas.errors import PromiseBroken
from tests.unit.validation.judging import PlainGate, shipped_policies
from tests.unit.validation.test_gate import SUITE, TAMPERED, Results, _Failing
from validation import decisions, gate, pins, release_suite, suites
from validation.decisions import Decider
from validation.facts import FactRow
from validation.gate import Gate, expected_failures, make_probes
from validation.grant_rules import PersonRow
from validation.item_rules import ItemFindings
from validation.policy import Policies
from validation.release_suite import WrittenRelease, check_written, released_suite
from validation.suites import Expectation, Suite, _Builder

MODULES = (gate, suites, pins, release_suite, decisions)
ROWS: list[FactRow] = [("blue", "round")]
Case = Callable[[pytest.MonkeyPatch], Any]


@cache
def _answers() -> Results:
    """What Great Expectations says of the rows; asked once."""
    batch = [*ROWS, *make_probes(SUITE)]
    return [dict(one) for one in Gate()._run(SUITE, batch)]


class _Answering(Gate):
    """Gives these answers without asking."""

    def __init__(self, results: Sequence[dict[str, Any]]) -> None:
        super().__init__()
        self._results = results

    def _run(self, suite: Suite, batch: Any) -> Any:
        return self._results


def _tampered(change: Callable[[Results], Results | None]) -> Case:
    def case(_: pytest.MonkeyPatch) -> None:
        results = copy.deepcopy(_answers())
        _Answering(change(results) or results).judge(SUITE, ROWS)

    return case


def _raising(_: pytest.MonkeyPatch) -> None:
    failing = Gate()
    failing._batches = _Failing()
    failing.judge(SUITE, ROWS)


class _Built:
    """An expectation as Great Expectations would have built it."""

    def __init__(self, position: int, mostly: float = 1, **changes: Any) -> None:
        wanted = {**gate._configuration(position, SUITE.expectations[position]), **changes}
        kwargs = {name: wanted[name] for name in ("column", "value_set", "row_condition")}
        meta = {name: wanted[name] for name in ("position", "code")}
        self.mostly = mostly
        self._json = {"type": wanted["type"], "kwargs": kwargs, "meta": meta}

    @property
    def configuration(self) -> _Built:
        return self

    def to_json_dict(self) -> dict[str, Any]:
        return self._json


def _built(**changes: Any) -> Case:
    def case(_: pytest.MonkeyPatch) -> None:
        last = len(SUITE.expectations) - 1
        gate._check_pinned(SUITE, [*map(_Built, range(last)), _Built(last, **changes)])

    return case


def _without_a_probe(patch: pytest.MonkeyPatch) -> None:
    kept = [row for row in make_probes(SUITE) if 4 not in expected_failures(SUITE, row)]
    patch.setattr(gate, "make_probes", lambda _: kept)
    Gate().judge(SUITE, [("red", "round")])


def _foreign_fact(_: pytest.MonkeyPatch) -> None:
    gate._verdict(SUITE, frozenset({0}))


def _pinned(**wrong: Any) -> Case:
    def case(_: pytest.MonkeyPatch) -> None:
        policies: Policies = shipped_policies()
        pins.check_pins(replace(policies, pins={**pins.make_pins(policies), **wrong}))

    return case


def _written(rows: int, expected: int, **findings: str) -> Case:
    def case(_: pytest.MonkeyPatch) -> None:
        found = WrittenRelease()
        found.add(findings, rows)
        check_written(found, expected, PlainGate())

    return case


class _Silent(PlainGate):
    """Gives no verdicts."""

    def judge(self, suite: Suite, rows: Any) -> dict[FactRow, Any]:
        return {}


def _written_unjudged(_: pytest.MonkeyPatch) -> None:
    found = WrittenRelease()
    found.add({})
    check_written(found, 1, _Silent())


def _another_suite(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(release_suite, "RELEASE_SUITE_HASH", "0" * 64)
    released_suite()


def _unasked_release(_: pytest.MonkeyPatch) -> None:
    decider = Decider(shipped_policies(), PlainGate())
    one = decisions._Open(ItemFindings())
    one.row = decider._items.row({})
    decider._check_consistent(one, set())


def _grantless_yes(_: pytest.MonkeyPatch) -> None:
    row = PersonRow(facts=())
    decisions._passing([row], [frozenset()])


GUARDS: dict[str, list[Case]] = {
    "the run ended with": [_raising],
    "an expectation tolerates failures": [_built(mostly=0.99)],
    "the suite that was built differs from the pinned one": [_built(value_set=["round", "square"])],
    "was not exercised on the rows that it is for": [],
    "expectations were evaluated": [],
    "an expectation was evaluated twice and another not at all": [],
    "a result does not say what it is the result of": [],
    "a result belongs to no expectation": [],
    "was run with other settings than pinned": [],
    "raised an exception": [],
    "met nulls": [],
    "does not say which rows fail": [],
    "contradicts itself": [],
    "a failing row has no place in the batch": [],
    "Great Expectations and the second reading of the suite disagree": [],
    "an expectation was not exercised": [_without_a_probe],
    "a fact is null or outside its closed set": [_foreign_fact],
    "expects nothing and would let all pass": [lambda _: Suite("none", SUITE.table, ())],
    "holds an expectation twice": [lambda _: replace(SUITE, expectations=SUITE.expectations[:1] * 2)],
    "never says": [lambda _: _Builder(SUITE.table).refuse("X", "colour", "mauve")],
    "the policies are not those that were pinned": [_pinned(policies="0" * 64)],
    "suites that are missing or differ": [_pinned(suites={})],
    "the suite over what was written is not the pinned one": [_another_suite],
    "rows were to be written and": [_written(2, 3)],
    "rows without a verdict": [_written_unjudged],
    "written rows fail": [_written(1, 1, people="uncovered")],
    "a release contradicts its own findings": [_unasked_release],
    "a person agrees without a grant": [_grantless_yes],
}
"""Words of each guard, with cases that end there; those of tampered answers are found by themselves."""

CASES: list[Case] = [
    *(_tampered(one.values[0]) for one in TAMPERED),
    *(c for cases in GUARDS.values() for c in cases),
]


def ends(case: Case) -> str:
    """The words that a case ends with, empty if it comes through."""
    with pytest.MonkeyPatch.context() as patch:
        try:
            case(patch)
        except PromiseBroken as error:
            return str(error)
        except Exception as error:  # what a mutant stumbles over is not a guard
            return type(error).__name__
    return ""


@cache
def endings() -> list[tuple[Case, str]]:
    """Where each case ends in the code as it is."""
    return [(case, ends(case)) for case in CASES]


def words_of(node: ast.AST) -> set[str]:
    """The constant texts in a piece of code."""
    return {
        one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


def guards_in(module: ModuleType) -> Iterator[tuple[str, ast.Raise, str]]:
    """Every refusal in a module: the function, the statement, and which of `GUARDS` it is."""
    tree = ast.parse(inspect.getsource(module))
    for function in (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)):
        for block in (one for one in ast.walk(function) if isinstance(one, ast.If | ast.Try)):
            for statement in (each for each in ast.walk(block) if isinstance(each, ast.Raise)):
                texts = " ".join(words_of(block))
                known = [words for words in GUARDS if words in texts]
                yield function.name, statement, max(known, key=len, default="")


SITES = {
    (module.__name__, function, statement.lineno): words
    for module in MODULES
    for function, statement, words in guards_in(module)
}


def test_every_guard_in_the_code_is_listed_and_every_listed_one_is_in_the_code() -> None:
    assert [site for site, words in SITES.items() if not words] == []
    assert set(SITES.values()) == set(GUARDS)
    raised = sum(
        isinstance(node, ast.Raise)
        for module in MODULES
        for node in ast.walk(ast.parse(inspect.getsource(module)))
    )
    assert raised == len(SITES)


@pytest.mark.parametrize("words", GUARDS)
def test_every_guard_stops_a_case(words: str) -> None:
    assert any(words in ending for _, ending in endings())


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield name, value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            yield from ((key, one) for key, one in vars(value).items() if isinstance(one, FunctionType))


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def without(module: ModuleType, line: int) -> dict[str, CodeType]:
    """The code of a module's functions with the refusal in one line taken away, by qualified name."""
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        for name in ("body", "orelse", "handlers"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                changed = [
                    ast.copy_location(ast.Pass(), one)
                    if isinstance(one, ast.Raise) and one.lineno == line
                    else one
                    for one in block
                ]
                setattr(node, name, changed)
    compiled = compile(
        ast.fix_missing_locations(tree), str(Path(module.__file__ or "")), "exec", dont_inherit=True
    )
    return {code.co_qualname: code for code in _codes(compiled)}


@pytest.mark.parametrize(("site", "words"), SITES.items(), ids=lambda value: str(value))
def test_a_missing_guard_is_noticed(site: tuple[str, str, int], words: str) -> None:
    module = next(one for one in MODULES if one.__name__ == site[0])
    stopped = [case for case, ending in endings() if words in ending]
    mutant = without(module, site[2])
    with pytest.MonkeyPatch.context() as patch:
        for name, function in _functions(module):
            if name == site[1]:
                patch.setattr(function, "__code__", mutant[function.__qualname__])
        assert any(words not in ends(case) for case in stopped)


def test_an_expectation_is_data_that_the_pins_hold() -> None:
    """Besides being missed by decisions, an expectation that is taken out changes a pinned hash."""
    shipped = shipped_policies()
    for suite in [*pins.single_suites(shipped), released_suite()]:
        for at, expectation in enumerate(suite.expectations):
            assert isinstance(expectation, Expectation)
            rest = suite.expectations[:at] + suite.expectations[at + 1 :]
            assert replace(suite, expectations=rest).hash != suite.hash
