"""What validation of the written files came to: counts by table and column, never a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from validation.suites import IN_SET
from validation.written_judge import WrittenJudge
from validation.written_rules import Rule, Value

WAITING: Final = 20_000
"""Values that wait for the judge, of all columns together."""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: a rule about a column of a table.

    Attributes:
        area: Part of the store: telemetry, quarantine, roster, released, evidence or conservation.
        table: The table, as the store names it.
        column: The column, as its schema declares it, or what was compared.
        rule: The rule.
    """

    area: str
    table: str
    column: str
    rule: Rule


@dataclass(frozen=True, order=True)
class Violation:
    """Rows that do not meet a check.

    Attributes:
        area: Part of the store.
        table: The table.
        column: The column, or what was compared.
        code: What is wrong (closed set).
        rows: How many rows, values of lists each for itself.
    """

    area: str
    table: str
    column: str
    code: str
    rows: int


@dataclass(frozen=True)
class AreaChecks:
    """The checks of one part of the store.

    Attributes:
        area: Its name.
        expectations: Checks that its suites hold.
        evaluated: Those that saw rows.
        failed: Those of them that rows do not meet.
        not_exercised: Those that saw none: nothing is known of them.
        rows: Rows that were read.
        violating: Rows that do not meet a check, each time they do not.
    """

    area: str
    expectations: int
    evaluated: int
    failed: int
    not_exercised: int
    rows: int
    violating: int


@dataclass(frozen=True)
class WrittenChecks:
    """What the validation of a store's files came to.

    Attributes:
        manifest: SHA-256 of the last manifest that it is about.
        suite_hash: SHA-256 of all suites.
        areas: Totals by part of the store.
        violations: What is wrong, sorted.
        not_exercised: Number of checks that saw no rows, by table; of tables that have rows.
        tables_without_rows: Declared tables of which the store has no row.
        evaluations: Calls of Great Expectations.
        judged: Values that it judged.
    """

    manifest: str
    suite_hash: str
    areas: tuple[AreaChecks, ...]
    violations: tuple[Violation, ...]
    not_exercised: Mapping[str, int]
    tables_without_rows: int
    evaluations: int
    judged: int

    @property
    def holds(self) -> bool:
        """Whether something was evaluated, and nothing is wrong."""
        return not self.violations and self.total("evaluated") > 0

    def total(self, figure: str) -> int:
        """A figure of all areas together (``expectations``, ``failed``, …)."""
        return sum(getattr(area, figure) for area in self.areas)

    def as_json(self) -> dict[str, Any]:
        """Counts, names of tables and columns as declared, and codes."""
        figures = ("expectations", "evaluated", "failed", "not_exercised", "rows", "violating")
        return {
            "manifest": self.manifest,
            "suite_hash": self.suite_hash,
            "holds": self.holds,
            "totals": {figure: self.total(figure) for figure in figures},
            "areas": [asdict(area) for area in self.areas],
            "violations": [asdict(violation) for violation in self.violations],
            "not_exercised": dict(self.not_exercised),
            "tables_without_rows": self.tables_without_rows,
            "evaluations": self.evaluations,
            "judged": self.judged,
        }


@dataclass
class WrittenTally:
    """Collects what was read for every check, and has it judged, many columns at once.

    Attributes:
        rows: Rows that were read, by area.
        tables: Tables that rows were read of.
    """

    judge: WrittenJudge = field(default_factory=WrittenJudge, repr=False)
    rows: Counter[str] = field(default_factory=Counter)
    tables: set[str] = field(default_factory=set)
    _declared: dict[Check, None] = field(default_factory=dict, repr=False)
    _seen: set[Check] = field(default_factory=set, repr=False)
    _violating: Counter[Check] = field(default_factory=Counter, repr=False)
    _waiting: dict[Rule, Counter[tuple[Check, Value]]] = field(default_factory=dict, repr=False)
    _held: int = 0
    _judged: int = 0

    def declare(self, checks: Iterable[Check]) -> None:
        """Make checks known, whether rows come or not."""
        self._declared.update(dict.fromkeys(checks))

    def add(self, check: Check, values: Iterable[tuple[Value, int]]) -> None:
        """Take in what a rule reads of some rows; what waits is judged when it becomes too much."""
        self._declared[check] = None
        waiting = self._waiting.setdefault(check.rule, Counter())
        before = len(waiting)
        for value, rows in values:
            waiting[check, value] += rows
        self._held += len(waiting) - before
        if self._held > WAITING:
            self.settle()

    def settle(self) -> None:
        """Have all that waits judged.

        Raises:
            PromiseBroken: ``WRITTEN_NOT_PROVEN``: a verdict cannot be relied upon.
        """
        # A value is judged once, however many columns have it.
        asked = {
            rule: list(dict.fromkeys(value for _, value in waiting))
            for rule, waiting in self._waiting.items()
            if waiting
        }
        for rule, failing in self._verdicts(asked):
            self._judged += len(asked[rule])
            wrong = {asked[rule][at] for at in failing}
            for (check, value), rows in self._waiting[rule].items():
                self._seen.add(check)
                if value in wrong:
                    self._violating[check] += rows
        self._waiting.clear()
        self._held = 0

    def _verdicts(self, asked: Mapping[Rule, list[Value]]) -> Iterator[tuple[Rule, frozenset[int]]]:
        sets = {rule: values for rule, values in asked.items() if rule.type == IN_SET}
        yield from self.judge.failing_sets(sets).items()
        for rule, values in asked.items():
            if rule not in sets:
                yield rule, self.judge.failing(rule, values)

    def finish(self, manifest: str, suite_hash: str) -> WrittenChecks:
        """The result, after all that waits was judged."""
        self.settle()
        areas = sorted({check.area for check in self._declared} | set(self.rows))
        silent = Counter(check.table for check in self._declared if check not in self._seen)
        return WrittenChecks(
            manifest=manifest,
            suite_hash=suite_hash,
            areas=tuple(map(self._area, areas)),
            violations=self._violations(),
            not_exercised=dict(sorted((name, n) for name, n in silent.items() if name in self.tables)),
            tables_without_rows=len({check.table for check in self._declared} - self.tables),
            evaluations=self.judge.runs,
            judged=self._judged,
        )

    def _area(self, area: str) -> AreaChecks:
        checks = [check for check in self._declared if check.area == area]
        evaluated = sum(check in self._seen for check in checks)
        return AreaChecks(
            area=area,
            expectations=len(checks),
            evaluated=evaluated,
            failed=sum(self._violating[check] > 0 for check in checks),
            not_exercised=len(checks) - evaluated,
            rows=self.rows[area],
            violating=sum(self._violating[check] for check in checks),
        )

    def _violations(self) -> tuple[Violation, ...]:
        found: Counter[tuple[str, str, str, str]] = Counter()
        for check, rows in self._violating.items():
            found[check.area, check.table, check.column, check.rule.code] += rows
        return tuple(sorted(Violation(*place, rows) for place, rows in found.items() if rows))
