"""What must stay true of the project as a whole: imports one way, metadata in one place, no strays."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from setuptools import find_packages  # type: ignore[import-untyped]

from pipelines import cli as command_line
from pipelines.cli import cli

ROOT = Path(__file__).parents[2]
ROOMS = ("schemas", "validation", "transforms", "pipelines")
"""Each room may import from those before it and from itself."""
LONGEST_FILE = 400


def modules(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def imports_when_loaded(tree: ast.Module) -> Iterator[str]:
    """Modules imported as soon as a module is: everything outside functions."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports_of(node)
        pending.extend(ast.iter_child_nodes(node))


# --- rooms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", modules(*ROOMS), ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    later = ROOMS[ROOMS.index(room) + 1 :]
    foreign = (*later, "tests", "benchmarks")
    found = {name for name in imports_of(ast.parse(path.read_bytes())) if name.split(".")[0] in foreign}
    assert not found, f"{room} may not import {sorted(found)}"


@pytest.mark.parametrize("path", modules("schemas", "validation"), ids=name_of)
def test_no_beam_where_data_and_rules_are_described(path: Path) -> None:
    found = {name for name in imports_of(ast.parse(path.read_bytes())) if name.startswith("apache_beam")}
    assert not found


@pytest.mark.parametrize("path", modules(*ROOMS), ids=name_of)
def test_great_expectations_is_imported_only_when_it_is_needed(path: Path) -> None:
    loaded = set(imports_when_loaded(ast.parse(path.read_bytes())))
    assert not {name for name in loaded if name.startswith("great_expectations")}


def test_help_loads_neither_the_engine_nor_the_suites() -> None:
    code = (
        "import sys; from pipelines.cli import cli; cli.main(['--help'], standalone_mode=False); "
        "print(sorted({'apache_beam', 'great_expectations'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


# --- packaging --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS)
def test_packages_are_those_of_this_tree(room: str) -> None:
    module = importlib.import_module(room)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == (ROOT / room / "__init__.py").resolve()


def test_the_package_holds_the_rooms_and_nothing_else() -> None:
    found = find_packages(where=str(ROOT), include=[f"{room}{rest}" for room in ROOMS for rest in ("", ".*")])
    assert set(found) >= set(ROOMS)
    with_code = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in modules(*ROOMS)}
    assert set(found) == with_code, "a folder of modules lacks its __init__.py"
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert re.search(r'for name in \("pipelines", "schemas", "transforms", "validation"\)', text)


@pytest.mark.parametrize("room", ROOMS)
def test_packages_carry_their_types(room: str) -> None:
    assert (ROOT / room / "py.typed").is_file()


def test_data_files_are_shipped() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    data = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    for path in data:
        _, *folders, _ = path.relative_to(ROOT).parts
        if path.suffix in (".py", ".pyc") or not folders:
            continue
        assert re.search(rf'"{re.escape("/".join(folders))}/\*', text), f"{path} would not be installed"


def test_constraints_pin_every_requirement() -> None:
    pins = [
        line
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in pins)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    required = re.findall(r'^ +"([A-Za-z][A-Za-z0-9-]+)(?:[><=][^"]*)?",', text, flags=re.MULTILINE)
    assert len(required) > 10
    assert {name.lower() for name in required} <= pinned


def test_the_changelog_tells_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())
    assert version is not None
    assert f"## [{version[1]}]" in text
    assert "### Breaking" in text
    assert "### Privacy" in text


def test_the_installed_command_is_this_version() -> None:
    shown = CliRunner().invoke(cli, ["--version"])
    assert shown.exit_code == 0
    assert importlib.metadata.version("cofferdam") in shown.output


# --- command line -----------------------------------------------------------------------------------------


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


def test_every_command_module_is_there() -> None:
    for module, name in command_line._COMMANDS.values():
        assert isinstance(getattr(importlib.import_module(module), name), click.Command)


@pytest.mark.parametrize("command", list(commands(cli)), ids=" ".join)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*command, "--help"])
    assert shown.exit_code == 0
    assert "Exit code" in shown.output or "Example" in shown.output


# --- files ------------------------------------------------------------------------------------------------


def lines_in_functions(path: Path) -> int:
    tree = ast.parse(path.read_bytes())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return len({line for node in functions for line in range(node.lineno, (node.end_lineno or 0) + 1)})


@pytest.mark.parametrize("path", modules(*ROOMS, "benchmarks"), ids=name_of)
def test_files_stay_short_enough_to_read(path: Path) -> None:
    length, code = len(path.read_bytes().splitlines()), lines_in_functions(path)
    # A long list of declarations is looked things up in, not read; code is read.
    assert length <= LONGEST_FILE or code <= length // 3


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


# Spelt in pieces, so that this file does not hold what it forbids.
FORBIDDEN = (
    "/wor" + "k/",
    "/ro" + "ot/",
    "/ho" + "me/",
    "pypi" + ".org",
    "pythonhos" + "ted",
    "crates" + ".io",
)


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name_of(path)}: {word}" for word in FORBIDDEN if word in text]
    assert not found


def test_no_generated_file_is_tracked() -> None:
    strays = re.compile(r"(__pycache__|\.pyc$|\.egg-info|^demo-output|^bench-output|\.coverage$|\.log$)")
    assert not [name_of(path) for path in tracked() if strays.search(name_of(path))]
