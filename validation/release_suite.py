"""The second control: a suite over what was written, which must agree with the gate before anything exists.

Rows that were written are read back, without their content, and held against the decisions that they name.
What that finds is again words out of closed sets, judged by Great Expectations behind the same guards as the
gate; a row that fails, a row too many or one too few, and nothing of the release is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from schemas.errors import PromiseBroken
from validation.facts import FactRow, FactTable
from validation.gate import Gate
from validation.suites import Expectation, Suite
from validation.witness import COVERED, UNCOVERED

RELEASE_SUITE_HASH: Final = "c9bbd5ea46bd7bb43f882e5110589c7a4f524b2a20a305f5a3b771868596e075"
"""The suite that is meant; another one is not run."""

UNWITNESSED: Final = "unwitnessed"
"""Word for a row that the witness was not asked about."""

_GOOD_AND_BAD: Final = {
    "item_id": ("known", "missing", "unknown"),
    "repetition": ("once", "again"),
    "decision": ("release", "other", "missing"),
    "reasons": ("none", "some", "missing"),
    "decision_id": ("resolved", "unresolved"),
    "purpose": ("decided", "other"),
    "recipient": ("decided", "other"),
    "kind": ("decided", "other"),
    "records": ("decided", "other"),
    "grounds": ("stated", "missing"),
    "people": (COVERED, UNCOVERED, UNWITNESSED),
    "terms": ("decided", "other"),
    "policy": ("decided", "other"),
    "suites": ("decided", "other"),
    "as_of": ("decided", "other"),
}


@cache
def released_table() -> FactTable:
    """The columns of a fact row about a released row; the first word of each is the only good one."""
    return FactTable("released", _GOOD_AND_BAD)


def released_suite() -> Suite:
    """What is expected of every row that was written.

    Raises:
        PromiseBroken: ``SUITE_NOT_PINNED``: it is not the suite that was pinned.
    """
    table = released_table()
    expectations = []
    for column, words in table.columns.items():
        code = f"RELEASED_{column.upper()}"
        expectations.append(Expectation("FACT_MALFORMED", column, None))
        expectations.append(Expectation("FACT_MALFORMED", column, words))
        expectations.append(Expectation(code, column, words[:1]))
    suite = Suite("written release", table, tuple(expectations))
    if suite.hash != RELEASE_SUITE_HASH:
        raise PromiseBroken("SUITE_NOT_PINNED", "the suite over what was written is not the pinned one")
    return suite


@dataclass
class WrittenRelease:
    """What was found in the rows that were written.

    Attributes:
        facts: How many rows have each fact row.
    """

    facts: Counter[FactRow] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Rows that were read back."""
        return self.facts.total()

    def add(self, findings: Mapping[str, str], rows: int = 1) -> None:
        """Count rows with some findings, clean in every other column."""
        self.facts[released_table().row(findings)] += rows


def total_written(parts: Iterable[WrittenRelease]) -> WrittenRelease:
    """The findings of all parts."""
    total = WrittenRelease()
    for part in parts:
        total.facts.update(part.facts)
    return total


def check_written(written: WrittenRelease, expected_rows: int, gate: Gate | None = None) -> str:
    """Let the suite judge what was written.

    Args:
        written: What was read back.
        expected_rows: Rows that the decisions let through and that opened.
        gate: The gate; a new one without.

    Returns:
        Hash of the suite that judged.

    Raises:
        PromiseBroken: ``RELEASE_NOT_AS_DECIDED`` or ``GATE_NOT_PROVEN``: nothing may be committed.
    """
    suite = released_suite()
    if written.rows != expected_rows:
        message = f"{expected_rows} rows were to be written and {written.rows} were; nothing was committed"
        raise PromiseBroken("RELEASE_NOT_AS_DECIDED", message)
    verdicts = (gate or Gate()).judge(suite, written.facts) if written.facts else {}
    if set(verdicts) != set(written.facts):
        raise PromiseBroken("RELEASE_NOT_AS_DECIDED", "rows without a verdict; nothing was committed")
    codes = sorted({one.code for verdict in verdicts.values() for one in verdict})
    if codes:
        rows = sum(written.facts[row] for row, verdict in verdicts.items() if verdict)
        message = f"{rows} written rows fail {', '.join(codes)}; nothing was committed"
        raise PromiseBroken("RELEASE_NOT_AS_DECIDED", message)
    return suite.hash
