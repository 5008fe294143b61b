"""The claims ledger: what the documentation promises, and whether the tests that prove it have passed.

Used by ``tests/conftest.py`` (option ``--claims``) and by ``tests/unit/test_claims.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LEDGER_OF_SESSION = "docs/claims.yaml"
"""Where the ledger lies in the project whose tests run."""

_ITEM = re.compile(r"^\d+\. +(.*?)(?=^\d+\. |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Claim:
    """A promise: the page, its words, and the tests that prove it."""

    page: str
    text: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A part of a page in which every item or row is a promise."""

    page: str
    heading: str
    units: str


def plain(text: str) -> str:
    """Words without what differs between lines."""
    return re.sub(r"\s+", " ", text).strip()


def read_ledger(path: Path = ROOT / LEDGER_OF_SESSION) -> tuple[list[Section], list[Claim]]:
    """Sections and claims as the ledger states them."""
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = [Section(**entry) for entry in found["sections"]]
    claims = [Claim(one["page"], plain(one["text"]), tuple(one["tests"])) for one in found["claims"]]
    return sections, claims


def promises_of(section: Section, text: str) -> list[str]:
    """The promises that stand in a section of a page."""
    _, _, rest = text.partition(f"\n{section.heading}\n")
    level = len(section.heading.split(" ")[0])
    body = re.split(rf"^#{{2,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    if section.units == "rows":
        rows = [line for line in body.splitlines() if line.startswith("| ")]
        return [plain(row.split(" | ")[0].removeprefix("|")) for row in rows[1:] if not row.startswith("|--")]
    if section.units == "leads":
        return [f"**{lead}**" for lead in re.findall(r"^(?:- )?\*\*(.+?)\*\*", body, re.MULTILINE)]
    return [plain(item.split("\n\n")[0]) for item in _ITEM.findall(body)]


@dataclass
class Proofs:
    """Which tests have passed and which have not, without what tells cases of one test apart."""

    passed: set[str] = field(default_factory=set)
    not_passed: set[str] = field(default_factory=set)

    def add(self, report: Any) -> None:
        """Take in what pytest reports of a step of a test."""
        name = report.nodeid.split("[")[0]
        if report.when == "call" and report.outcome == "passed":
            self.passed.add(name)
        elif report.outcome != "passed":
            self.not_passed.add(name)

    def lacking(self, claims: Iterable[Claim]) -> Iterator[str]:
        """What is not proven, in words."""
        for claim in claims:
            if not claim.tests:
                yield f"{claim.page}: no test is named for: {claim.text[:70]}"
            for test in claim.tests:
                if test in self.not_passed:
                    yield f"{claim.page}: failed or skipped in part: {test}"
                elif test not in self.passed:
                    yield f"{claim.page}: did not run: {test}"
