"""The archive's files: escaped, machine-readable, and safe to open in a browser or a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import subject_archive, subject_words
from pipelines.subject_archive import Archive, private_file
from pipelines.subject_page import page
from schemas.classification import CLASSIFICATIONS
from schemas.errors import ConfigurationError, InfrastructureFault
from transforms.subject_search import Section

AT = datetime(2026, 3, 2, 10, tzinfo=UTC)


def archive_of(*sections: Section) -> dict[str, bytes]:
    stream = io.BytesIO()
    archive = Archive(stream, AT)
    for section in sections:
        archive.add_section(section)
    archive.close()
    with zipfile.ZipFile(stream) as file:
        assert {info.date_time for info in file.infolist()} <= {(2026, 3, 2, 10, 0, 0)}
        return {name: file.read(name) for name in file.namelist()}


def test_json_and_csv_hold_the_same_rows() -> None:
    rows = [{"at": AT, "n": 1, "words": ["a", 'b"'], "no": None}, {"n": -2, "yes": True, "line": "x\ny"}]
    files = archive_of(Section("things", "Things", "What they are.", rows))
    assert [json.loads(line)["n"] for line in files["things.jsonl"].splitlines()] == [1, -2]
    told = list(csv.DictReader(io.StringIO(files["things.csv"].decode(), newline="")))
    assert told[0] == {
        "at": AT.isoformat(),
        "n": "1",
        "words": '["a", "b\\""]',
        "no": "",
        "yes": "",
        "line": "",
    }
    assert (told[1]["n"], told[1]["yes"], told[1]["line"]) == ("-2", "true", "x\ny")


def test_a_spreadsheet_runs_nothing() -> None:
    rows = [{"text": "=cmd|' /C calc'!A0"}, {"text": "@x"}, {"text": "-1+1"}, {"text": "plain"}]
    files = archive_of(Section("texts", "Texts", "", rows))
    told = [row["text"][0] for row in csv.DictReader(io.StringIO(files["texts.csv"].decode()))]
    assert told == ["'", "'", "'", "p"]
    assert json.loads(files["texts.jsonl"].splitlines()[0])["text"] == rows[0]["text"]


def test_a_section_without_rows_makes_no_file() -> None:
    assert archive_of(Section("nothing", "Nothing", "", [])) == {}


def test_the_page_escapes_whatever_it_shows() -> None:
    evil = "<script>alert(1)</script>&\"'"
    index: dict[str, Any] = {
        "summary": evil,
        "as_of": "2026-03-02T10:00:00Z",
        "subject": {"type": "email", "value": evil},
        "notes": [evil],
        "sections": [{"title": evil, "rows": 1, "about": evil}],
        "content": {"about": evil, "opened": {evil: 1}, "closed": {evil: 2}},
        "members": [{"path": evil, "rows": 1, "sha256": "0" * 64}],
        "information": {
            "controllers": [{"name": evil, "address": evil, "contact": evil}],
            "purposes": {
                evil: {"title": evil, "lawful_basis_by_region": {evil: evil}, "copies_are_kept_for": evil}
            },
            "categories": {"data": [evil], "sealed_content": [evil]},
            "recipients": [{"recipient": evil, "purpose": evil, "kind": evil}],
            "storage": evil,
            "source": [evil],
            "automated_decisions": evil,
            "rights": [{"law": evil, "right": evil}],
            "to_be_added_by_the_controller": [evil],
        },
    }
    shown = page(index, {evil: evil})
    assert "<script" not in shown
    assert "default-src 'none'" in shown
    assert shown.count("&lt;script&gt;") > 20


def test_every_classification_has_words_for_the_person() -> None:
    named = {name for name in CLASSIFICATIONS if not name.startswith("content.")}
    assert named == set(subject_words.CATEGORIES)
    told = subject_words.bases({"eu": "consent", "br": "consent", "xx": "legal_obligation"}, {"eu": "Europe"})
    assert told == "consent: Europe, br; legal obligation: xx"
    assert subject_words.recipient("first_party") == "the controller itself"


def test_a_filesystem_without_links_gets_the_file_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(subject_archive, "_unnamed", lambda _: None)
    monkeypatch.setattr(os, "link", unsupported)
    target = tmp_path / "new" / "archive.zip"
    with private_file(target) as file:
        file.stream.write(b"mine")
        file.publish()
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"mine", 0o600)
    with private_file(target) as file, pytest.raises(ConfigurationError, match="OUTPUT_EXISTS"):
        file.publish()
    assert [path.name for path in target.parent.iterdir()] == ["archive.zip"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureFault, match="OUTPUT_UNWRITABLE"), private_file(tmp_path / "file" / "x"):
        pass
