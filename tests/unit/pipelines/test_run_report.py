"""The ledger as tables: every number is there, and nothing of the ledger is read as markup."""

from __future__ import annotations

import copy
import io
import re
from typing import Any

import pytest
from rich.console import Console

from pipelines.run_report import print_ledger
from tests.unit.pipelines.ledger_samples import LEDGER


def printed(ledger: dict[str, Any], store: str = "my-store", seconds: float = 10.0) -> str:
    out = io.StringIO()
    print_ledger(ledger, store, seconds, Console(file=out, width=160, color_system=None))
    return out.getvalue()


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def drifted(number: int) -> dict[str, Any]:
    ledger = copy.deepcopy(LEDGER)
    ledger["drift"] = [
        {
            "source": "zoom",
            "table": "zoom_meeting",
            "parent": "payload.object" if entry else "",
            "json_type": "string",
            "name_digest": f"{entry:016x}",
            "values": 1_000 + entry,
        }
        for entry in range(number)
    ]
    return ledger


def test_every_outcome_is_told_by_source_and_type() -> None:
    table = rows(printed(LEDGER))
    for expected in (
        ["zoom", "meeting.ended", "separated", "12,000"],
        ["zoom", "meeting.started", "separated", "338"],
        ["zoom", "-", "rejected", "3"],
        ["-", "-", "unknown", "2"],
        ["all", "all", "separated", "12,338"],
        ["all", "all", "rejected", "5"],
        ["all", "all", "unknown", "2"],
    ):
        assert table.count(expected) == 1


def test_rows_of_telemetry_and_sealed_items_are_told() -> None:
    table = rows(printed(LEDGER))
    assert ["service and metadata", "telemetry/zoom_meeting", "12,338"] in table
    assert ["content (sealed)", "chat", "41"] in table
    assert ["content (sealed)", "secret", "7"] in table
    assert not any("quarantine/items" in row for row in table)


def test_reasons_are_added_up_over_sources() -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["by_type"].append({**LEDGER["by_type"][2], "source": "cofferdam", "records": 4})
    table = rows(printed(ledger))
    assert ["DUPLICATE_KEY", "7"] in table
    assert ["NOT_JSON", "2"] in table
    assert ["UNKNOWN_TYPE", "2"] in table
    assert not any(row[0] == "-" and len(row) == 2 for row in table)


def test_without_rejects_and_drift_there_are_no_tables_of_them() -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["by_type"] = [row for row in ledger["by_type"] if row["outcome"] == "separated"]
    text = printed(ledger)
    assert "reason" not in text
    assert "hash of the name" not in text
    assert "reason" in printed(LEDGER)
    assert "hash of the name" in printed(drifted(1))


def test_drift_is_told_by_place_and_hash() -> None:
    text = printed(drifted(2))
    assert ["zoom_meeting", "(the event)", "string", "0" * 16, "1,000"] in rows(text)
    assert ["zoom_meeting", "payload.object", "string", "0" * 15 + "1", "1,001"] in rows(text)
    assert "more" not in text


def test_much_drift_is_cut_and_counted() -> None:
    text = printed(drifted(23))
    assert len([row for row in rows(text) if row[0] == "zoom_meeting"]) == 20
    assert "and 3 more (see --json)" in text


def test_values_that_do_not_fit_are_told_by_their_field() -> None:
    ledger = copy.deepcopy(LEDGER)
    fields = [f"payload.object.participant.field_{number}" for number in range(23)]
    ledger["misfits"] = [{"table": "zoom_meeting", "field": name, "values": 1_234} for name in fields]
    text = printed(ledger)
    told = [row for row in rows(text) if row[0] == "zoom_meeting"]
    assert told == [["zoom_meeting", name, "1,234"] for name in fields[:20]]
    assert "and 3 more (see --json)" in text
    assert "do not fit" not in printed(LEDGER)


@pytest.mark.parametrize("width", [80, 200])
def test_nothing_is_cut_from_a_name(width: int) -> None:
    ledger = drifted(1)
    name, place = "telemetry/" + "n" * 70, "payload." + "p" * 50
    ledger["rows"], ledger["drift"][0]["parent"] = {name: 7}, place
    out = io.StringIO()
    print_ledger(ledger, "S", 1.0, Console(file=out, width=width, color_system=None))
    text = out.getvalue()
    assert text.count("n" * 20) > 0 < text.count("p" * 5)
    assert (text.count("n"), text.count("p")) == (whole_of(ledger, "n"), whole_of(ledger, "p"))


def whole_of(ledger: dict[str, Any], letter: str) -> int:
    """How often a letter stands in a report that has all the room it needs."""
    out = io.StringIO()
    print_ledger(ledger, "S", 1.0, Console(file=out, width=500, color_system=None))
    return out.getvalue().count(letter)


def test_a_file_gets_wide_plain_columns_and_a_terminal_its_own_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = {**LEDGER, "rows": {f"telemetry/{'x' * 120}": 7}}
    print_ledger(ledger, "S", 1.0)
    written = capsys.readouterr().out
    assert "x" * 120 in written
    assert "│" not in written
    assert "\x1b" not in written


def test_the_end_says_what_was_read_and_how_fast() -> None:
    text = printed(LEDGER)
    assert "12,345 records read (6.7 MB)" in text
    assert "records read (99,999 bytes)" in printed({**LEDGER, "bytes_read": 99_999})
    assert "keyed sum 00112233…" in text
    assert "1,234 records a second" in text
    assert LEDGER["run_id"] in text
    assert "0 records a second" in printed(LEDGER, seconds=0)


def test_a_path_with_brackets_is_shown_as_it_is() -> None:
    assert "store /tmp/[bold]x/S" in printed(LEDGER, "/tmp/[bold]x/S")


def test_outcomes_of_no_record_take_no_line() -> None:
    ledger = copy.deepcopy(LEDGER)
    ledger["by_type"].append(
        {"source": "-", "event_type": "-", "outcome": "duplicate", "reason": "", "records": 0, "items": 0}
    )
    ledger["outcomes"]["duplicate"] = 0
    assert "duplicate" in printed(LEDGER | {"outcomes": {"duplicate": 1}})
    assert "duplicate" not in printed(ledger)


def test_what_is_unknown_comes_with_the_commands_that_tell_of_it() -> None:
    known = copy.deepcopy(LEDGER) | {"drift": [], "by_type": []}
    assert "cofferdam drift show" not in printed(known)
    assert "cofferdam drift show" in printed(drifted(1))
    unknown = {"source": "-", "event_type": "-", "outcome": "unknown", "reason": "UNKNOWN_TYPE", "records": 2}
    assert "cofferdam drift show" in printed(known | {"by_type": [unknown]})


def test_a_title_stands_in_one_line_over_a_narrow_table() -> None:
    assert "Records that are sealed whole\n" in re.sub(r" +\n", "\n", printed(LEDGER))
