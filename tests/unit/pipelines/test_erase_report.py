"""What an erasure prints: plain columns in a pipe, and one word where nothing goes."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.erase_report import print_erasure


def _ledger(**changed: Any) -> dict[str, Any]:
    return {
        "dry_run": False,
        "share": {"released": 0.2},
        "rows": {"released": {"gone": 2, "changed": 0, "of": 1200}},
        "items": 1000,
        "data_keys": 1000,
        "bundle_keys": 100,
        "recalls": 2,
        "telemetry_recalls": 0,
        "files": {"rewritten": 1, "of": 42},
        "reasons": {"WITHDRAWN": 2},
        "unregistered": 0,
        "waiting": 0,
        "held": {},
        "check": {"keys_tried": 1000, "keys_opened": 0, "rows_present": 0, "files_left": 0},
        "resumed": 0,
        "as_of": "2026-03-08T00:00:00Z",
        "run_id": "r-1",
    } | changed


def test_a_pipe_gets_plain_columns_and_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_erasure(_ledger(), 1.5)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[:3] == [
        "What went",
        "table     rows gone  names taken out  of rows",
        "released          2                0    1,200",
    ]
    assert lines[4].startswith("1,000 items with 1,000 data keys")
    assert lines[4].endswith("1 of 42 files")


@pytest.mark.parametrize(
    ("dry_run", "said"), [(False, "What went: nothing"), (True, "What would go: nothing")]
)
def test_nothing_is_said_in_a_word(dry_run: bool, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_erasure(_ledger(rows={}, dry_run=dry_run), 1.5)
    assert capsys.readouterr().out.splitlines()[0] == said


def test_a_subject_that_nobody_knows_is_no_silent_success(capsys: pytest.CaptureFixture[str]) -> None:
    print_erasure(_ledger(rows={}), 1.5)
    assert "not in the registry" not in capsys.readouterr().out
    print_erasure(_ledger(rows={}, unregistered=1), 1.5)
    assert "1 subject is not in the registry" in capsys.readouterr().out


def test_exports_of_telemetry_are_named_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    print_erasure(_ledger(), 1.5)
    assert "exports of telemetry" not in capsys.readouterr().out
    print_erasure(_ledger(telemetry_recalls=3), 1.5)
    assert "3 exports of telemetry can hold what goes" in capsys.readouterr().out


def test_a_dry_run_says_what_the_guard_would_stop(capsys: pytest.CaptureFixture[str]) -> None:
    print_erasure(_ledger(dry_run=True, share={"roster": 4.0, "telemetry": 16.7}), 1.5, max_share=10.0)
    assert "more than 10 % of telemetry: nothing will be changed" in capsys.readouterr().out
    print_erasure(_ledger(dry_run=True, share={"roster": 4.0, "telemetry": 10.0}), 1.5, max_share=10.0)
    assert "more than" not in capsys.readouterr().out
