"""The claims ledger: every promise is in it as it stands, with tests that exist and must have passed."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.claims import ROOT, Claim, Proofs, Section, plain, promises_of, read_ledger

SECTIONS, CLAIMS = read_ledger()


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_bytes())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.page}: {claim.text[:60]}")
def test_a_claim_stands_on_its_page_and_names_tests_that_exist(claim: Claim) -> None:
    assert claim.text in plain(page(claim.page)), "the words have changed: prove them anew"
    assert claim.tests
    for test in claim.tests:
        file, _, name = test.partition("::")
        assert name in names_in(file), f"{test} is not there"


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: f"{section.page} {section.heading}")
def test_every_promise_of_a_section_has_a_claim(section: Section) -> None:
    promises = promises_of(section, page(section.page))
    claimed = {claim.text for claim in CLAIMS if claim.page == section.page}
    assert len(promises) >= 3
    assert [promise for promise in promises if promise not in claimed] == []


def test_promises_are_found_in_lists_and_tables() -> None:
    listed = "# T\n\n## P\n\nEach is.\n\n1. One\n   is long.\n2. Two.\n\nAfter.\n"
    text = f"{listed}\n## Q\n\n| A | B |\n|---|---|\n| x y | z |\n"
    assert promises_of(Section("p", "## P", "items"), text) == ["One is long.", "Two."]
    assert promises_of(Section("p", "## Q", "rows"), text) == ["x y"]
    led = "# T\n\n## P\n\n**One.** And so\n**on** it goes.\n\nNot **this**.\n\n**Two**, too.\n"
    assert promises_of(Section("p", "## P", "leads"), led) == ["**One.**", "**on**", "**Two**"]


def report(test: str, outcome: str, when: str = "call") -> SimpleNamespace:
    return SimpleNamespace(nodeid=test, outcome=outcome, when=when)


@pytest.mark.parametrize(
    ("reports", "lacking"),
    [
        ([report("t::a[1]", "passed"), report("t::a[2]", "passed")], 0),
        ([report("t::a[1]", "passed"), report("t::a[2]", "failed")], 1),
        ([report("t::a", "skipped")], 1),
        ([report("t::a", "skipped", "setup")], 1),
        ([report("t::a", "passed", "setup")], 1),
        ([report("t::a", "passed"), report("t::a", "failed", "teardown")], 1),
        ([report("t::b", "passed")], 1),
        ([], 1),
    ],
)
def test_a_claim_is_proven_by_tests_that_ran_and_passed(reports: list[SimpleNamespace], lacking: int) -> None:
    proofs = Proofs()
    for each in reports:
        proofs.add(each)
    assert len(list(proofs.lacking([Claim("p", "text", ("t::a",))]))) == lacking


def test_a_claim_without_tests_is_not_proven() -> None:
    assert list(Proofs().lacking([Claim("p", "text", ())]))


def pytest_with(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "none.ini",
        "--rootdir",
        ".",
    ]
    (folder / "none.ini").write_text("[pytest]\n")
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """A project of two tests, with a claim that names one of them."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "import tests.claims as claims\n"
        "claims.LEDGER_OF_SESSION = 'claims.yaml'\n"
        "from tests.claims_plugin import *\n"
    )
    (tmp_path / "claims.yaml").write_text(
        "sections: []\nclaims: [{page: p, text: t, tests: ['test_x.py::test_a']}]\n"
    )
    (tmp_path / "test_x.py").write_text(
        "import os\ndef test_a(): assert os.environ.get('BAD') is None\ndef test_b(): pass\n"
    )
    return tmp_path


def test_a_session_fails_if_a_named_test_did_not_run(small_project: Path) -> None:
    partly = pytest_with(small_project, "--claims", "-k", "test_b", "-n", "1")
    assert partly.returncode == 1
    assert "did not run: test_x.py::test_a" in partly.stdout


def test_a_session_passes_if_all_named_tests_did(small_project: Path) -> None:
    assert pytest_with(small_project, "--claims", "-n", "1").returncode == 0


def test_a_part_of_the_suite_need_not_prove_anything(small_project: Path) -> None:
    assert pytest_with(small_project, "-k", "test_b").returncode == 0
