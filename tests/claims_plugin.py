"""Pytest hooks of the claims ledger: with ``--claims`` a session fails unless every named test passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import claims

__all__ = [
    "pytest_addoption",
    "pytest_configure",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Only the whole suite can prove every claim, so it is asked for."""
    parser.addoption(
        "--claims",
        action="store_true",
        help="fail unless every test that docs/claims.yaml names has run and passed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Listen where the reports of all workers arrive."""
    if config.getoption("--claims") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Listener(config.rootpath), "claims")


class _Listener:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._proofs = claims.Proofs()
        self._lacking: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._proofs.add(report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        _, stated = claims.read_ledger(self._root / claims.LEDGER_OF_SESSION)
        self._lacking = list(self._proofs.lacking(stated))
        if self._lacking and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lacking:
            terminalreporter.section("promises that are not proven")
            for line in self._lacking:
                terminalreporter.line(line)
