"""The documentation is true: its commands run and print what it shows, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import strict_json
from tests.pipeline.table_docs import page_with_tables
from transforms.reserved_tenant import RESERVED
from transforms.routing import NOT_AN_EVENT, UNKNOWN_TYPE
from transforms.separate import ID_COLLISION
from transforms.splitting import SOURCE_FAULTS

ROOT = Path(__file__).parents[2]
TOURS = (
    "README.md",
    "docs/store.md",
    "docs/reliability.md",
    "docs/keys.md",
    "docs/audit.md",
    "docs/lifecycle.md",
    "docs/validation.md",
    "docs/report.md",
)
PAGES = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")


def text_of(page: str | Path) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def sessions(block: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that it should print."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown.splitlines()


def loosely(line: str) -> str:
    """A line without what differs between runs: ids, times, speeds, widths."""
    line = re.sub(r"[0-9a-f]{6,}…?", "#", line)
    line = re.sub(r"\d[\d,.]*", "#", line)
    return re.sub(r"\s+", " ", line).strip()


def lines_not_printed(expected: list[str], printed: str) -> list[str]:
    """Expected lines that do not stand in what was printed, in their order; "..." stands for any lines."""
    actual = iter([loosely(line) for line in printed.splitlines()])
    return [
        line
        for line in expected
        if line.strip() != "..." and not any(loosely(line) == other for other in actual)
    ]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    own = Path(sys.executable).parent
    surroundings = {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", TOURS)
def test_every_command_prints_what_the_page_shows(page: str, tmp_path: Path) -> None:
    for language, block in BLOCK.findall(text_of(page)):
        if language == "python" and (name := FILE.match(block)):
            (tmp_path / name[1]).write_text(block)
        elif language == "console":
            for command, expected in sessions(block):
                ran = run(command, tmp_path)
                assert "WARNING" not in ran.stderr
                assert ran.returncode == 0, f"{command}: {ran.stderr}"
                assert lines_not_printed(expected, ran.stdout) == [], f"{command} prints:\n{ran.stdout}"


@pytest.mark.slow
def test_the_worked_example_of_a_contract_is_taken_by_a_run(tmp_path: Path) -> None:
    shown: list[tuple[str, list[str]]] = []
    for language, block in BLOCK.findall(text_of("docs/contracts.md")):
        if language in ("json", "yaml") and (name := FILE.match(block)):
            (tmp_path / name[1]).write_text(block.removeprefix(name[0]))
        elif language == "console" and "cofferdam run" in block:
            shown += sessions(block)
    for command, expected in shown:
        ran = run(command, tmp_path)
        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        assert lines_not_printed(expected, ran.stdout) == [], f"{command} prints:\n{ran.stdout}"
    assert [command.split()[1] for command, _ in shown] == ["keys", "run"]


def test_a_line_that_is_not_printed_is_noticed() -> None:
    printed = "a 12 rows\nb\nc 0123abcdef\n"
    assert lines_not_printed(["a 99 rows", "...", "c fedcba9876"], printed) == []
    assert lines_not_printed(["b", "a 1 rows"], printed) == ["a 1 rows"]
    assert lines_not_printed(["a 12 columns"], printed) == ["a 12 columns"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files(page: Path) -> None:
    prose = BLOCK.sub("", text_of(page))
    targets = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose) if "://" not in link]
    missing = [link for link in targets if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_paths_in_text_exist(page: Path) -> None:
    prose = BLOCK.sub("", text_of(page))
    named = re.findall(r"`((?:schemas|transforms|validation|pipelines|tests|benchmarks)/[\w./]+)`", prose)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    makefile = text_of("Makefile")
    named = {target for page in PAGES for target in re.findall(r"\bmake ([a-z]+)\b", _code(text_of(page)))}
    assert named
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def _code(text: str) -> str:
    blocks = [block for language, block in BLOCK.findall(text) if language in ("sh", "")]
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))])


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = [line for line in text_of(".ci/run").splitlines() if line.startswith("make")]
    assert commands == ["make test", "make lint"]
    assert "```sh\nmake demo\nmake test\n```" in text_of("README.md")


def test_every_page_is_in_the_index() -> None:
    index = text_of("docs/README.md")
    pages = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"({name})" not in index] == []


def test_the_tables_of_the_store_are_as_declared() -> None:
    text = text_of("docs/store.md")
    assert page_with_tables(text) == text, "run `python -m tests.pipeline.table_docs`"


def test_every_reason_for_sealing_a_record_is_explained() -> None:
    codes = {
        *SOURCE_FAULTS,
        *typing.get_args(strict_json.FaultCode),
        UNKNOWN_TYPE,
        NOT_AN_EVENT,
        ID_COLLISION,
        RESERVED,
    }
    text = text_of("docs/architecture.md")
    section = text.split("### Records that are sealed whole")[1].split("###")[0]
    assert set(re.findall(r"^\| `([A-Z0-9_]+)` \|", section, re.MULTILINE)) == codes


def test_every_dependency_has_its_reason_in_the_readme() -> None:
    packages = re.findall(r'^    "([a-z-]+)[><=]', text_of("setup.py").split("EXTRAS")[0], re.MULTILINE)
    said = text_of("README.md").lower().replace(" ", "-")
    names = {"pyyaml": "pyyaml", "great-expectations": "great-expectations", "apache-beam": "apache-beam"}
    assert len(packages) > 8
    assert [name for name in packages if names.get(name, name) not in said] == []
