"""The parts of a governance report about what was written: suites made from contracts, and the leak scan."""

from __future__ import annotations

from validation.report_parts import Capped, Count, Part, Sha256


class WrittenArea(Part):
    """The checks of one part of the store.

    Attributes:
        area: telemetry, quarantine, roster, released, evidence or conservation.
        rows: Rows that were read.
        expectations: Checks that its suites hold.
        evaluated: Those that saw rows.
        failed: Those of them that rows do not meet.
        not_exercised: Those that saw none: nothing is known of them.
        violating: Rows that do not meet a check, each time they do not.
    """

    area: str
    rows: Count
    expectations: Count
    evaluated: Count
    failed: Count
    not_exercised: Count
    violating: Count


class WrittenFault(Part):
    """Rows that do not meet a check.

    Attributes:
        area: Part of the store.
        table: Table.
        column: Column, or what was compared.
        code: What is wrong.
        rows: How many rows.
    """

    area: str
    table: str
    column: str
    code: str
    rows: Count


class LeakHit(Part):
    """What a detector found in a column of telemetry.

    Attributes:
        table: Table.
        column: Column.
        detector: What it looks like.
        rows: Rows with such a value.
        explained: Whether all of them are words of a closed set that a contract names.
    """

    table: str
    column: str
    detector: str
    rows: Count
    explained: bool


class LeakScanned(Part):
    """A second look at every text of telemetry, by detectors that know nothing of contracts.

    Attributes:
        tables: Tables that were read.
        columns: Columns of text that were read.
        values: Values that were read.
        distinct: Distinct values that went through the detectors.
        to_review: Values that a detector hit and no contract explains.
        hits: What was found, unexplained ones first.
        hits_shown: How many there are.
    """

    tables: Count
    columns: Count
    values: Count
    distinct: Count
    to_review: Count
    hits: list[LeakHit]
    hits_shown: Capped


class Written(Part):
    """Validation of the files, by suites that are made from the contracts.

    Attributes:
        suite_hash: SHA-256 of all suites.
        rows: Rows of telemetry that were read.
        violations: Rows of telemetry that do not meet a check of their contract.
        how: How they were counted, a sentence each.
        areas: Totals by part of the store.
        faults: What is wrong.
        faults_shown: How many there are.
        judged: Distinct values that Great Expectations judged.
        tables_without_rows: Declared tables of which the store has no row.
        leaks: The leak scan.
    """

    suite_hash: Sha256
    rows: Count
    violations: Count
    how: list[str]
    areas: list[WrittenArea]
    faults: list[WrittenFault]
    faults_shown: Capped
    judged: Count
    tables_without_rows: Count
    leaks: LeakScanned
