from __future__ import annotations

import re
from pathlib import Path

from tests.unit.validation.judging import shipped_policies
from validation.pins import single_suites
from validation.reasons import CATALOGUE, in_order
from validation.suites import FACT_MALFORMED


def test_ranks_and_actions_are_the_published_ones(shared_folder: Path) -> None:
    text = (shared_folder / "consent" / "rules.md").read_text()
    table = text[text.index("### 4.3") : text.index("### 4.4")]
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.*) \|$", table, re.MULTILINE)
    published = {
        code: (int(rank), action) for rank, action, codes in rows for code in re.findall(r"`(\w+)`", codes)
    }
    assert published == {code: (reason.rank, reason.action) for code, reason in CATALOGUE.items()}


def test_every_reason_says_in_one_sentence_what_why_and_what_helps() -> None:
    for reason in CATALOGUE.values():
        assert re.fullmatch(r"[A-Z][^\n]{20,160}\.", reason.sentence), reason.code
        assert reason.sentence.count(". ") == 0, reason.code
        assert reason.hook, reason.code
        assert re.fullmatch(r"[A-Z][^\n]{8,160}\.", reason.cure), reason.code


def test_sentences_are_not_shared() -> None:
    assert len({reason.sentence for reason in CATALOGUE.values()}) == len(CATALOGUE) == 72


def test_every_expectation_carries_a_reason_of_the_catalogue() -> None:
    codes = {one.code for suite in single_suites(shipped_policies()) for one in suite.expectations}
    blocking = {code for code, reason in CATALOGUE.items() if reason.action != "ADVISORY"}
    assert codes - {FACT_MALFORMED} == blocking


def test_reasons_are_ordered_by_rank_then_name() -> None:
    assert in_order(["NO_CONSENT", "WITHDRAWN", "REFUSED", "WITHDRAWN"]) == (
        "REFUSED",
        "WITHDRAWN",
        "NO_CONSENT",
    )
