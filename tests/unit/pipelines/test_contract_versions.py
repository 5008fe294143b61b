"""A contract that was changed under its version is told of; one that was copied, or is new, is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.contract_versions import changed_under_their_version, tell_of_versions
from schemas.contract import bundled_contract_files
from tests.unit.schemas.contract_samples import HEADER, written

FEATURE = "          - name: feature\n"
MORE = "          - {name: diary, logicalType: string, classification: content.chat}\n"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for file in bundled_contract_files():
        shutil.copy(file, tmp_path)
    return tmp_path


def test_copies_and_new_contracts_need_no_word(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(copied, HEADER)
    assert changed_under_their_version([copied]) == changed_under_their_version([]) == []
    tell_of_versions([copied])
    assert capsys.readouterr().err == ""


def test_a_changed_contract_of_the_same_version_is_named(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = copied / "cofferdam_service.yaml"
    text = service.read_text(encoding="utf-8")
    assert text.count(FEATURE) == text.count("version: 1.1.0") == 1
    service.write_text(text.replace(FEATURE, MORE + FEATURE), encoding="utf-8")
    assert changed_under_their_version([copied]) == ["cofferdam-service@1.1.0"]
    tell_of_versions([copied])
    assert "Note: cofferdam-service@1.1.0: differs from" in capsys.readouterr().err
    service.write_text(
        text.replace(FEATURE, MORE + FEATURE).replace("version: 1.1.0", "version: 1.2.0"), encoding="utf-8"
    )
    assert changed_under_their_version([copied]) == []
