"""Reconcile: everything that was read has exactly one outcome, and everything that was handed on was written.

Counts alone could let a loss and a duplicate cancel out. Each record's position (file and offset) is put
through a keyed permutation and added up, once where records are read and once where outcomes are counted; the
sums agree only if the same records were seen on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SideSum:
    """Count and keyed sum of the records on one side."""

    count: int
    sum: str


@dataclass(frozen=True)
class Reconciliation:
    """Whether a run adds up.

    Attributes:
        read: What the digesting pass read.
        outcomes: What the separating pass gave an outcome, all outcomes together.
        rows_written: Rows in the finished files, by table.
        rows_expected: Rows handed to the writers, by table.
        findings: What does not add up, in words; empty when everything does.
    """

    read: SideSum
    outcomes: SideSum
    rows_written: Mapping[str, int]
    rows_expected: Mapping[str, int]
    findings: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything adds up."""
        return not self.findings


def reconcile(
    read: SideSum,
    outcomes: SideSum,
    rows_written: Mapping[str, int],
    rows_expected: Mapping[str, int],
) -> Reconciliation:
    """Compare what was read with what became of it, and what was handed to writers with what they wrote."""
    findings = []
    if read.count != outcomes.count:
        findings.append(f"{read.count} records were read and {outcomes.count} have an outcome")
    elif read.sum != outcomes.sum:
        findings.append("the records that were read are not the records that have an outcome")
    for table in sorted({*rows_written, *rows_expected}):
        expected, written = rows_expected.get(table, 0), rows_written.get(table, 0)
        if expected != written:
            findings.append(f"{table}: {expected} rows were handed over and {written} written")
    return Reconciliation(read, outcomes, dict(rows_written), dict(rows_expected), tuple(findings))
