"""The judge of written values: real verdicts, and every way in which they could be passed by omission."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from schemas.errors import PromiseBroken
from validation.suites import NOT_NULL
from validation.written_judge import COLUMN, WrittenJudge, build_suite, read_result
from validation.written_rules import Rule, Value, between, in_set, matches, not_null, pseudonym

WORDS = in_set("a", "b")
SECRET = "Ada said she would leave"


@pytest.fixture(scope="module")
def judge() -> WrittenJudge:
    return WrittenJudge()


CASES: list[tuple[Rule, list[Value], set[int]]] = [
    (not_null(), ["present", None], {1}),
    (WORDS, ["a", "A", "b ", "b"], {1, 2}),
    (in_set(1, 2), [1, 3, "1"], {1, 2}),
    (pseudonym(), ["#/32", "#/33", "plain/5"], {1, 2}),
    (between(0, 10), [0, 10, 10.001, -1, 5.5], {2, 3}),
    (matches(r"\d{1,3}"), ["12", "\u0661\u0662", "1234", "7\n", ""], {1, 2, 3, 4}),
    (matches(r"[A-Z]{2}(,[A-Z]{2}){0,3}"), ["DE", "DE,FR", "DE,", "xDE"], {2, 3}),
]


@pytest.mark.parametrize(("rule", "values", "wrong"), CASES)
def test_values_are_judged(judge: WrittenJudge, rule: Rule, values: list[Value], wrong: set[int]) -> None:
    assert judge.failing(rule, values) == wrong


def test_many_values_are_judged_in_batches(judge: WrittenJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation.written_judge.AT_ONCE", 2)
    assert judge.failing(WORDS, ["a", "x", "b", "a", "y"]) == {1, 4}


def test_rules_with_closed_sets_are_judged_together_and_each_by_its_own_set(judge: WrittenJudge) -> None:
    numbers, others = in_set(1, 2), in_set("b", "c", "1")
    asked: dict[Rule, list[Value]] = {WORDS: ["a", "c"], numbers: [1, 2.0, "1", 3], others: ["1", "a", "c"]}
    before = judge.runs
    found = judge.failing_sets(asked)
    assert judge.runs == before + 1
    assert found == {WORDS: {1}, numbers: {2, 3}, others: {1}}
    assert found == {rule: judge.failing(rule, values) for rule, values in asked.items()}
    assert judge.failing_sets({}) == {}


def test_each_of_the_rules_must_find_what_is_wrong_for_certain(judge: WrittenJudge) -> None:
    lax = in_set("a")
    lax.__dict__["wrong"] = "a"
    with pytest.raises(PromiseBroken, match="wrong for certain"):
        judge.failing_sets({WORDS: ["a"], lax: ["a"]})


def test_nothing_is_not_a_verdict(judge: WrittenJudge) -> None:
    with pytest.raises(PromiseBroken, match="WRITTEN_NOT_PROVEN"):
        judge.failing(WORDS, [])


def test_results_hold_no_value(judge: WrittenJudge) -> None:
    results = judge._run(WORDS, ["a", SECRET])
    assert "Ada" not in repr(results)
    assert results[0]["result"]["unexpected_count"] == 1


def test_an_exception_of_the_engine_is_no_verdict_and_says_nothing(judge: WrittenJudge) -> None:
    with pytest.raises(PromiseBroken) as caught:
        judge.failing(Rule("PATTERN", matches("x").type, matches("x").reading, pattern="("), [SECRET])
    assert "Ada" not in str(caught.value)


def test_both_readings_must_agree(judge: WrittenJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rule, "is_met_by", lambda self, value: value != "b" and value != self.wrong)
    with pytest.raises(PromiseBroken, match="disagree"):
        judge.failing(WORDS, ["a", "b"])


def test_what_is_wrong_for_certain_must_be_found(
    judge: WrittenJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rule, "wrong", "a")
    with pytest.raises(PromiseBroken, match="wrong for certain"):
        judge.failing(in_set("a", "c"), ["c"])


def test_no_expectation_tolerates_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rule, "settings", {"value_set": ["a"], "mostly": 0.99})
    with pytest.raises(PromiseBroken, match="tolerates"):
        build_suite(in_set("a"))


def sound() -> dict[str, Any]:
    """What Great Expectations says of the batch "a", "x"."""
    return {
        "success": False,
        "expectation_config": {
            "type": WORDS.type,
            "kwargs": {"batch_id": "facts-rows", "column": COLUMN, "value_set": ["a", "b"]},
        },
        "exception_info": {"raised_exception": False},
        "result": {
            "element_count": 2,
            "missing_count": 0,
            "unexpected_count": 1,
            "unexpected_index_list": [{"row": [1]}],
        },
    }


def test_a_sound_result_is_read() -> None:
    assert read_result(WORDS, ["a", "x"], [sound()]) == {1}


def _set(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(result: dict[str, Any]) -> None:
        place = result
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


UNSOUND = {
    "an exception": _set("exception_info", "raised_exception", value=True),
    "no word of exceptions": _set("exception_info", value={}),
    "another expectation": _set("expectation_config", "type", value=NOT_NULL),
    "another column": _set("expectation_config", "kwargs", "column", value="row"),
    "another set": _set("expectation_config", "kwargs", "value_set", value=["a", "b", "x"]),
    "some tolerance": _set("expectation_config", "kwargs", "mostly", value=0.5),
    "fewer values": _set("result", "element_count", value=1),
    "no values": _set("result", "element_count", value=0),
    "nulls": _set("result", "missing_count", value=1),
    "no list of rows": _set("result", "unexpected_index_list", value=None),
    "fewer rows than it counts": _set("result", "unexpected_index_list", value=[]),
    "a row twice": _set("result", "unexpected_index_list", value=[{"row": [1, 1]}]),
    "a row that is none": _set("result", "unexpected_index_list", value=[{"row": [2]}]),
    "a row without a number": _set("result", "unexpected_index_list", value=[{"row": ["1"]}]),
    "success in spite of failures": _set("success", value=True),
    "no result": _set("result", value={}),
}


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND.keys())
def test_an_unsound_result_is_no_verdict(change: Callable[[dict[str, Any]], None]) -> None:
    result = copy.deepcopy(sound())
    change(result)
    with pytest.raises(PromiseBroken, match="WRITTEN_NOT_PROVEN"):
        read_result(WORDS, ["a", "x"], [result])


@pytest.mark.parametrize("results", [[], [sound(), sound()]])
def test_there_is_one_result_for_one_expectation(results: list[dict[str, Any]]) -> None:
    with pytest.raises(PromiseBroken, match="of 1 expectations"):
        read_result(WORDS, ["a", "x"], results)
