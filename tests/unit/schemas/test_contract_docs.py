"""docs/contracts.md: its files are made, its commands are run, its words are all there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.contracts_command import contracts
from schemas.classification import (
    CLASSIFICATIONS,
    CONTENT_KINDS,
    Protection,
    allowed_protections,
    default_protection,
    lane_of,
)
from schemas.contract import ENVELOPE_ROLES
from schemas.contract_rules import CONTRACT_WORDS, FIELD_WORDS, TABLE_WORDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROGRAM = "$ cofferdam contracts "


def _write_file(fence: str) -> None:
    """Write a block that begins with `# file: NAME`, or change another by `before -> after` lines."""
    title, _, text = fence.partition("\n")
    name, _, origin = title.removeprefix("# file: ").partition(", from ")
    if origin:
        changes = [line.split(" -> ") for line in text.splitlines()]
        text = Path(origin).read_text(encoding="utf-8")
        for before, after in changes:
            assert before.strip('"') in text
            text = text.replace(before.strip('"'), after.strip('"'))
    Path(name).write_text(text, encoding="utf-8")


def _squeezed(text: str) -> list[str]:
    return [re.sub(r" {2,}", "  ", line.rstrip()) for line in text.splitlines()]


def test_every_example_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown, printed = [], []
    for language, fence in FENCES:
        if language != "console":
            _write_file(fence)
            continue
        if PROGRAM not in fence:
            continue  # a run: tests/pipeline/test_docs.py
        shown.append(_squeezed(fence))
        lines = [line for line in fence.splitlines() if line.startswith("$")]
        outputs = [CliRunner().invoke(contracts, line.removeprefix(PROGRAM).split()).output for line in lines]
        printed.append(_squeezed("".join(f"{line}\n{out}" for line, out in zip(lines, outputs, strict=True))))
    assert printed == shown
    assert len(printed) == 4


def test_the_sample_event_is_json() -> None:
    events = [fence for language, fence in FENCES if language == "json"]
    assert [json.loads(event.split("\n")[1])["type"] for event in events] == ["call.ended"]


@pytest.mark.parametrize("word", [*CONTRACT_WORDS, *TABLE_WORDS, *FIELD_WORDS])
def test_every_custom_property_is_explained(word: str) -> None:
    assert f"| `{word}` |" in PAGE


def test_every_word_of_the_vocabulary_is_named() -> None:
    assert not [role for role in ENVELOPE_ROLES if f"`{role}`" not in PAGE]
    assert not [kind for kind in CONTENT_KINDS if not re.search(rf"\b{kind}\b", PAGE)]
    assert not [protection for protection in Protection if f"| `{protection}` |" not in PAGE]


@pytest.mark.parametrize("name", [name for name in CLASSIFICATIONS if not name.startswith("content.")])
def test_every_classification_stands_with_its_lane_and_protections(name: str) -> None:
    row = re.findall(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)[-1]
    lane, default, others = (cell.strip() for cell in row.split("|")[3:6])
    assert lane == lane_of(name)
    assert default == (f"`{default_protection(name)}`" if default_protection(name) else "must be stated")
    assert set(re.findall(r"`(\w+)`", default + others)) == set(allowed_protections(name))


@pytest.mark.parametrize("module", ["reading", "fields", "signals", "rules", "lint", "patterns", "diff"])
def test_every_code_is_named(module: str) -> None:
    source = (ROOT / "schemas" / f"contract_{module}.py").read_text(encoding="utf-8")
    codes = set(re.findall(r'"([A-Z][A-Z_]{5,})"', source)) - {"CONTRACT_INVALID", "NO_CONTRACTS"}
    assert not [code for code in codes if f"`{code}`" not in PAGE]
